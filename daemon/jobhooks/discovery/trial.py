"""Imports a module in another process first: one that ends its process, or never ends, must not do so in the daemon."""

import contextlib
import os
import pickle
import select
import signal
import subprocess
import sys
import time
import warnings
from collections.abc import Callable

from jobhooks.discovery.sources import Installed, Source
from jobhooks.errors import InvalidReceiver
from jobhooks.runtime.signal_names import signal_name

Origin = Source | Installed
# Imports a module elsewhere. It raises InvalidReceiver if that process ended, or took too long; an exception of the
# module is left to the import here.
Trial = Callable[[Origin], None]

LIMIT_S = 30.0  # for the import of a module; below TimeoutStartSec of the service
LOOK_S = 0.02  # between two checks whether the process has ended
END_S = 5.0  # for a process that has closed its descriptors to end
STOPPED = (-signal.SIGTERM, -signal.SIGINT)  # this process is about to end as well
IMPORTED = b"."


def in_copy(origin: Origin) -> None:
    """Import it in a copy of this process, which must have no other threads that import anything."""
    ours, theirs = os.pipe()
    with warnings.catch_warnings(action="ignore", category=DeprecationWarning):  # of threads, which it does not need
        child = os.fork()
    if not child:
        with contextlib.suppress(BaseException):
            _import_silently(origin)
        os.write(theirs, IMPORTED)
        os._exit(0)
    os.close(theirs)
    try:
        imported, code = _watch(ours, child)
    finally:
        os.close(ours)
    _judge(imported, code)


def in_new_process(origin: Origin) -> None:
    """Import it in a new process, which takes longer."""
    program = f"import sys; sys.path = {sys.path!r}; from {__name__} import main; main()"
    command = [sys.executable, "-c", program]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as process:
        assert process.stdin is not None and process.stdout is not None
        with contextlib.suppress(BrokenPipeError):
            process.stdin.write(pickle.dumps(origin))
            process.stdin.close()
        has_answered = bool(select.select([process.stdout], [], [], LIMIT_S)[0])
        imported = has_answered and process.stdout.read(1) == IMPORTED
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(END_S if has_answered else 0)
        code = process.poll()
        process.kill()
    _judge(imported, code)


def _watch(answer: int, child: int) -> tuple[bool, int | None]:
    """Wait for a child's answer or end, and end it. Whether it has imported the module, and else its exit code."""
    until = time.monotonic() + LIMIT_S
    while True:
        if select.select([answer], [], [], LOOK_S)[0] and os.read(answer, 1) == IMPORTED:
            os.waitpid(child, 0)
            return True, None
        ended, status = os.waitpid(child, os.WNOHANG)
        if ended:
            return False, os.waitstatus_to_exitcode(status)
        if time.monotonic() > until:
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
            return False, None


def _judge(imported: bool, code: int | None) -> None:
    """Raise InvalidReceiver if a module cannot be imported here. ``code``: null if it took too long."""
    if imported or code in STOPPED:
        return
    if code is None:
        raise InvalidReceiver(f"its import does not end within {LIMIT_S:.0f} seconds")
    how = signal_name(-code) if code < 0 else f"exit code {code}"
    raise InvalidReceiver(f"its import ends the process, with {how}")


def _import_silently(origin: Origin) -> None:
    nowhere = os.open(os.devnull, os.O_RDWR)
    for stream in (0, 1, 2):
        os.dup2(nowhere, stream)
    sys.stdout = sys.stderr = open(nowhere, "w", closefd=False)  # noqa: SIM115 - until the process ends
    origin.load()


def main() -> None:
    """Be the new process."""
    origin = pickle.load(sys.stdin.buffer)  # noqa: S301 - from the daemon
    answer = os.dup(1)
    with contextlib.suppress(BaseException):
        _import_silently(origin)
    os.write(answer, IMPORTED)
    os._exit(0)
