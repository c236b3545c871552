"""Starts this program again in the same process: with the same id, arguments and standard streams."""

import contextlib
import os
import signal
import sys
from typing import NoReturn

from jobhooks.runtime.stop_signals import SIGNALS


def restart() -> NoReturn:
    """Replace this process by a new start of the program. Any thread may call it; all others end where they are.

    Connections and other descriptors close. Timers would survive, so they are stopped.
    """
    signal.setitimer(signal.ITIMER_REAL, 0)
    signal.setitimer(signal.ITIMER_VIRTUAL, 0)
    with contextlib.suppress(OSError, ValueError):
        sys.stderr.flush()
    command = _command()
    # The new start has no handler for a while; a signal then waits for that, instead of ending the process.
    signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
    os.execv(command[0], command)  # noqa: S606 - the command that started this process


def _command() -> list[str]:
    arguments = sys.argv[1:]
    started_by = sys.orig_argv[1:]
    if arguments and started_by[-len(arguments) :] == arguments:
        return [sys.executable, *started_by]
    return [sys.executable, "-m", "jobhooks", *arguments]  # it was not started by a command of its own
