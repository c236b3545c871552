"""Waiting for changes: a NOTIFY from a writer only wakes, the log is the truth."""

import asyncio

from jobhooks.errors import DatabaseUnreachable
from jobhooks.store.connections import AsyncConnection, call_async

CHANNEL = "jobhooks"


class Wakeup:
    """Listens on a connection of its own, which never opens a transaction: one would hold NOTIFYs back."""

    def __init__(self, conn: AsyncConnection, poll_interval_s: float) -> None:
        self._conn = conn
        self._poll_interval_s = poll_interval_s
        self._event = asyncio.Event()

    async def listen(self) -> None:
        """Listen, then ask writers to send a NOTIFY; the caller reads the log after this, not before.

        A writer that asked for the lock before it was taken sends none, although it may commit after the log is read.
        Such a change is found when the next one wakes us, or after ``poll_interval_s``.
        """
        self._conn.add_termination_listener(self._wake)
        await self._conn.add_listener(CHANNEL, self._wake)
        await call_async(self._conn, "ask_to_be_woken")

    def wake(self) -> None:
        """End the wait, or the next one."""
        self._event.set()

    def clear(self) -> None:
        """Forget what came until now: called before the log is read, so that what comes meanwhile is not forgotten."""
        self._event.clear()

    async def wait(self) -> None:
        """Wait until woken, at most ``poll_interval_s``.

        Raises:
            DatabaseUnreachable: the connection is gone, and nobody would wake us any more.
        """
        try:
            async with asyncio.timeout(self._poll_interval_s):
                await self._event.wait()
        except TimeoutError:
            pass
        if self._conn.is_closed():
            raise DatabaseUnreachable("lost the connection to the database while waiting for changes")

    def _wake(self, *_connection_and_notification: object) -> None:
        self._event.set()
