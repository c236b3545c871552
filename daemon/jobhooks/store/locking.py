"""Locks on the tables of an application: had soon or not at all, since its writers queue behind who waits for one."""

import time
from collections.abc import Callable
from typing import TypeVar

from psycopg.rows import TupleRow

from jobhooks.errors import LockNotAvailable
from jobhooks.store.connections import SyncConnection, call

T = TypeVar("T")
ATTEMPTS = 4
PAUSE = 0.5  # seconds between attempts: the writers queued behind us continue


def call_with_lock(conn: SyncConnection, name: str, /, **parameters: object) -> list[TupleRow]:
    """Run the query called ``name``, which locks tables: each attempt in a transaction, with a brief ``lock_timeout``.

    Raises:
        LockNotAvailable: others held the tables all the while; nothing was changed.
    """
    return attempt_with_lock(conn, lambda: call(conn, name, **parameters))


def attempt_with_lock(conn: SyncConnection, action: Callable[[], T]) -> T:
    """Run ``action`` in a transaction with short lock waits, repeatedly until it gets its locks.

    Raises:
        LockNotAvailable: other sessions held the tables all the time; nothing was changed.
    """

    def attempt() -> T:
        with conn.transaction():
            call(conn, "set_lock_timeout")
            return action()

    return retried(attempt)


def retried(attempt: Callable[[], T]) -> T:
    """Repeat ``attempt``, a separate transaction with short lock waits, until it gets its locks; return its value.

    Raises:
        LockNotAvailable: every attempt failed.
    """
    for _ in range(1, ATTEMPTS):
        try:
            return attempt()
        except LockNotAvailable:
            time.sleep(PAUSE)
    return attempt()
