"""How the service talks to systemd: its state by sd_notify(3), the priority of its log lines by sd-daemon(3)."""

import contextlib
import os
import socket
import sys

PRIORITIES = {"critical": 2, "error": 3, "warning": 4, "info": 6, "debug": 7}  # of syslog


def notify(state: str) -> None:
    """Send ``state``, such as ``READY=1``, to the socket in NOTIFY_SOCKET; without systemd there is no such socket."""
    address = os.environ.get("NOTIFY_SOCKET")
    if not address:
        return
    if address.startswith("@"):  # in the abstract namespace
        address = "\0" + address[1:]
    # The daemon works without a service manager that listens.
    with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sock:
        sock.connect(address)
        sock.sendall(state.encode())


def watchdog_s() -> float | None:
    """WatchdogSec of the service, in seconds: WATCHDOG=1 must come more often."""
    microseconds = os.environ.get("WATCHDOG_USEC", "")
    if not microseconds.isdigit() or os.environ.get("WATCHDOG_PID", str(os.getpid())) != str(os.getpid()):
        return None
    return int(microseconds) / 1_000_000 or None


def stderr_is_journal() -> bool:
    """Whether systemd connected stderr to the journal, which takes a prefix such as ``<4>`` off each line.

    JOURNAL_STREAM alone does not say so: a child with another stderr inherits the variable.
    """
    stream = os.environ.get("JOURNAL_STREAM")
    if not stream:
        return False
    with contextlib.suppress(OSError, ValueError):
        status = os.fstat(sys.stderr.fileno())
        return stream == f"{status.st_dev}:{status.st_ino}"
    return False


def with_priority(level: str, text: str) -> str:
    """Put the priority of a log level before each line, as sd-daemon(3) says."""
    prefix = f"<{PRIORITIES.get(level, PRIORITIES['info'])}>"
    return "\n".join(prefix + line for line in text.split("\n"))
