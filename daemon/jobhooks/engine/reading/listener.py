"""Listening for NOTIFYs, on a connection that does nothing else."""

import asyncio
from collections.abc import Callable

from jobhooks.errors import DatabaseUnreachable
from jobhooks.store.connections import AsyncConnection, call_async, translated_errors

CHANNEL = "jobhooks"
HEARTBEAT_INTERVAL_S = 1.0
HEARTBEAT_TIMEOUT_S = 3.0
LATE_S = 1.0  # a timeout that comes so much later shows that this process was stopped, or a receiver blocked the loop
SILENCE_S = 10.0  # after this time without a heartbeat, the server ends the session
NOT_ANSWERED = "the database does not answer on the connection that waits for changes"
NOT_HEARD = (
    "no NOTIFY arrives on the connection that waits for changes. Try: if it leads through a pooler, connect past that,"
    " or set it to session mode"
)


class Listener:
    """Listens on a separate connection. It never opens a transaction, which would hold NOTIFYs back.

    ``woken`` is set by each NOTIFY of a writer; ``configuration_changed`` by one that says that hooks or jobs have
    changed; ``backlog_changed`` by one that says that another session has changed the backlog. ``is_crowded``: the
    server's NOTIFY queue is so full that writers send none.
    """

    def __init__(self, conn: AsyncConnection) -> None:
        self._conn = conn
        self.woken = asyncio.Event()
        self.configuration_changed = asyncio.Event()
        self.backlog_changed = asyncio.Event()
        self.is_crowded = False
        self._heard = asyncio.Event()

    async def listen(self) -> None:
        """Start to listen. Read the log after this, not before."""
        self._conn.add_termination_listener(self._lost)
        with translated_errors():
            await self._conn.add_listener(CHANNEL, self._notified)

    async def keep_hearing(self, is_news: Callable[[int, str], bool]) -> None:
        """Check that NOTIFYs arrive, by sending one to this connection at intervals, until cancelled.

        ``is_news``: as ``Reader.is_news``. While the queue of NOTIFYs is crowded, writers send none. One that did not
        may commit at any time, even after the queue is empty again. So each heartbeat also reads the position of the
        log: the first one after the commit of a change that has not been read shows that there is news. The queue is
        that of the whole server, and the session that does not read it may belong to another application.

        If the heartbeats stop, the server ends this session: unread NOTIFYs of a daemon that is stopped or cut off
        must not fill the queue.

        Raises:
            DatabaseUnreachable: the connection is gone, or open on this side only, or its pooler does not keep LISTEN.
        """
        await call_async(self._conn, "end_when_silent", seconds=SILENCE_S)
        loop = asyncio.get_running_loop()
        while True:
            self._heard.clear()
            is_answered = False
            late_at = loop.time() + HEARTBEAT_TIMEOUT_S + LATE_S
            try:
                async with asyncio.timeout(HEARTBEAT_TIMEOUT_S):
                    ((sent, last_id, snapshot),) = await call_async(self._conn, "heartbeat")
                    is_answered = True
                    self.is_crowded = not sent
                    if is_news(last_id, snapshot):
                        self.woken.set()
                    if sent:
                        await self._heard.wait()
            except TimeoutError as exc:
                if loop.time() > late_at and not self._conn.is_closed():
                    continue  # this process did not run: an answer may be there that has not been read
                self._conn.terminate()
                raise DatabaseUnreachable(NOT_HEARD if is_answered else NOT_ANSWERED) from exc
            await asyncio.sleep(HEARTBEAT_INTERVAL_S)

    def check(self) -> None:
        """Raise DatabaseUnreachable if the connection is gone."""
        if self._conn.is_closed():
            raise DatabaseUnreachable("lost the connection to the database that waits for changes")

    def _lost(self, *_connection: object) -> None:
        self.woken.set()

    def _notified(self, _connection: object, _process: int, _channel: str, payload: object) -> None:
        match payload:
            case "heartbeat":
                self._heard.set()
            case "configuration":
                self.configuration_changed.set()
                self.woken.set()
            case "deliveries":
                self.backlog_changed.set()
            case _:
                self.woken.set()
