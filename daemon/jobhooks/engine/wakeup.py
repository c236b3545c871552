"""Waiting for changes: a NOTIFY from a writer only wakes, the log is the truth."""

import asyncio

from jobhooks.errors import DatabaseUnreachable
from jobhooks.store.connections import AsyncConnection, call_async, translated_errors

CHANNEL = "jobhooks"
AWAKE_INTERVAL = 0.05  # seconds between two looks at the log while writers send no NOTIFY


class Wakeup:
    """Listens on a connection of its own, which never opens a transaction: one would hold NOTIFYs back.

    ``gated``: writers send a NOTIFY while we sleep. Otherwise they never do, and the log is read every 50 milliseconds:
    for two-phase commit, which cannot prepare a transaction that notifies.
    """

    def __init__(self, conn: AsyncConnection, poll_interval_s: float, *, gated: bool = True) -> None:
        self._conn = conn
        self._poll_interval_s = poll_interval_s
        self._gated = gated
        self._event = asyncio.Event()
        self._asleep = False

    async def listen(self) -> None:
        """Listen; the caller reads the log after this, not before."""
        self._conn.add_termination_listener(self._wake)
        with translated_errors():
            await self._conn.add_listener(CHANNEL, self._wake)

    def wake(self) -> None:
        """End the wait, or the next one."""
        self._event.set()

    def clear(self) -> None:
        """Forget what came until now: called before the log is read, so that what comes meanwhile is not forgotten."""
        self._event.clear()

    async def wait(self) -> None:
        """Wait until woken, or until the log should be read although nobody called.

        Writers send a NOTIFY once we hold the lock that says "I sleep", exclusively. A writer that sends none holds it
        shared until its transaction ends. So while somebody holds it we are not asleep, and read the log again soon;
        and when we get it, all that sent no NOTIFY have ended: reading once more finds them, and then we are woken.

        Raises:
            DatabaseUnreachable: the connection is gone, and nobody would wake us any more.
        """
        self._check_open()  # it may have been cut while receivers ran, and that event is forgotten by now
        interval_s = self._poll_interval_s
        if not self._asleep:
            if self._gated:
                ((self._asleep,),) = await call_async(self._conn, "ask_to_be_woken")
            if self._asleep:
                return
            interval_s = min(interval_s, AWAKE_INTERVAL)
        try:
            async with asyncio.timeout(interval_s):
                await self._event.wait()
        except TimeoutError:
            pass
        self._check_open()

    def _check_open(self) -> None:
        if self._conn.is_closed():
            raise DatabaseUnreachable("lost the connection to the database that waits for changes")

    def _wake(self, *_connection_and_notification: object) -> None:
        self._event.set()
