"""Identifies a process of jobhooks among those of all hosts, and finds out whether one of this host has ended."""

import contextlib
import functools
import os
import secrets
from pathlib import Path

PROC = Path("/proc")
PARTS = 6  # host, boot, process namespace, process id, start, random number


@functools.cache
def this_process() -> str:
    """Identify this process, from the start of its program to its end.

    A random number. On Linux also host, boot, process namespace, process id and start time, so that another process of
    this host can find out that this one has ended (``has_ended``).
    """
    number = secrets.token_hex(8)
    with contextlib.suppress(OSError):
        host = os.uname().nodename.replace(":", "")
        boot = (PROC / "sys/kernel/random/boot_id").read_text().strip()
        namespace = (PROC / "self/ns/pid").stat().st_ino
        _, start = _state_and_start(os.getpid())
        return f"{host}:{boot}:{namespace}:{os.getpid()}:{start}:{number}"
    return number


def has_ended(process: str) -> bool:
    """Whether a process is known to have ended. False if it runs, is one of another host, or cannot be seen."""
    own, other = this_process().split(":"), process.split(":")
    if other == own or len(other) != PARTS or other[:3] != own[:3]:
        return False
    pid, start = int(other[3]), other[4]
    if other[:5] == own[:5]:
        return True  # this program replaced it in the same process
    try:
        os.kill(pid, 0)
        state, start_now = _state_and_start(pid)
    except ProcessLookupError:
        return True
    except OSError:
        return False
    return state in "ZX" or start_now != start


def _state_and_start(pid: int) -> tuple[str, str]:
    """The state of a process, and its start in ticks since the boot: fields 3 and 22 of its ``stat``."""
    fields = (PROC / str(pid) / "stat").read_text().rpartition(")")[2].split()
    return fields[0], fields[19]
