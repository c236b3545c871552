"""Work for worker processes: functions that they can import."""

import contextlib
import os
import signal
import stat
import threading
from pathlib import Path

import psycopg

from jobhooks.engine.running.in_process.connection import refuse


def process_id(_argument: object) -> int:
    return os.getpid()


def same(argument: object) -> object:
    return argument


def hang(started: Path) -> None:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    started.write_text(str(os.getpid()))
    while True:
        signal.pause()


def leave_threads(count: int) -> int:
    """Start threads that never end."""
    for _ in range(count):
        threading.Thread(target=threading.Event().wait, daemon=True).start()
    return os.getpid()


def use_a_connection_after_its_run(_argument: object) -> int:
    with contextlib.suppress(psycopg.InterfaceError):
        refuse()
    return os.getpid()


def leave(code: int) -> None:
    os._exit(code)


def close_everything(_argument: object) -> None:
    os.closerange(3, 1000)
    while True:
        signal.pause()


def write_on_connections(sent: bytes) -> None:
    for descriptor in range(3, 100):
        with contextlib.suppress(OSError):
            if stat.S_ISSOCK(os.fstat(descriptor).st_mode):
                os.write(descriptor, sent)


def fail(_argument: object) -> None:
    raise LookupError("no")


def unsendable(_argument: object) -> object:
    return lambda: None
