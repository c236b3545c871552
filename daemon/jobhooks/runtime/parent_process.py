"""Ends a process when its parent ends, even if that is killed: a worker with its daemon, a daemon with its demo."""

import os
import select
import signal
import threading
import time

LOOK_S = 0.5  # between two checks, on systems without pidfd_open


def end_with(process: int) -> None:
    """Kill this process when process number ``process`` has ended. Call it once."""
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
