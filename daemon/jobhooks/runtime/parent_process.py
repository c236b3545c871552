"""Ending with the process that one belongs to, however that ends: a worker with its daemon, a demo's daemon with it."""

import os
import select
import signal
import threading
import time

LOOK_S = 0.5  # between two looks whether it is there, where the system cannot tell by itself


def end_with(process: int) -> None:
    """Kill this process when that one has ended; to be called once."""
    threading.Thread(target=_end_with, args=[process], name="jobhooks end", daemon=True).start()


def _end_with(process: int) -> None:
    try:
        ended = os.pidfd_open(process)
    except ProcessLookupError:
        pass
    except (AttributeError, OSError):  # not Linux, or not allowed
        while _exists(process):
            time.sleep(LOOK_S)
    else:
        select.select([ended], [], [])
    os.kill(os.getpid(), signal.SIGKILL)


def _exists(process: int) -> bool:
    try:
        os.kill(process, 0)
    except OSError:
        return False
    return True
