"""Listening for NOTIFYs, on a connection that does nothing else."""

import asyncio

from jobhooks.errors import DatabaseUnreachable
from jobhooks.store.connections import AsyncConnection, translated_errors
from jobhooks.store.queries import query

CHANNEL = "jobhooks"
HEARTBEAT_INTERVAL_S = 1.0
HEARTBEAT_TIMEOUT_S = 3.0


class Listener:
    """Listens on a separate connection. It never opens a transaction, which would hold NOTIFYs back.

    ``woken`` is set by each NOTIFY of a writer; ``configuration_changed`` by one that says that hooks or jobs have
    changed; ``backlog_changed`` by one that says that another session has changed the backlog.
    """

    def __init__(self, conn: AsyncConnection) -> None:
        self._conn = conn
        self.woken = asyncio.Event()
        self.configuration_changed = asyncio.Event()
        self.backlog_changed = asyncio.Event()
        self._heard = asyncio.Event()

    async def listen(self) -> None:
        """Start to listen. Read the log after this, not before."""
        self._conn.add_termination_listener(self._lost)
        with translated_errors():
            await self._conn.add_listener(CHANNEL, self._notified)

    async def keep_hearing(self) -> None:
        """Check that NOTIFYs arrive, by sending one to this connection at intervals, until cancelled.

        Raises:
            DatabaseUnreachable: the connection is gone, or open on this side only, or its pooler does not keep LISTEN.
        """
        while True:
            self._heard.clear()
            try:
                async with asyncio.timeout(HEARTBEAT_TIMEOUT_S):
                    with translated_errors():
                        await self._conn.execute(query("heartbeat"))
                    await self._heard.wait()
            except TimeoutError as exc:
                self._conn.terminate()
                raise DatabaseUnreachable(
                    "no NOTIFY arrives on the connection that waits for changes. Try: connect past the pooler, or set"
                    " it to session mode"
                ) from exc
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
