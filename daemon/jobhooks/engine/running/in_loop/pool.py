"""The connections that ``async def`` receivers write through: few, kept, and opened when a run first needs one."""

import asyncio
import contextlib
from collections import Counter
from collections.abc import AsyncGenerator
from typing import Any

import asyncpg
from asyncpg.transaction import Transaction, TransactionState

from jobhooks.errors import DatabaseUnreachable
from jobhooks.store.connections import BROKEN, AsyncConnection, close_async, connect_async
from jobhooks.store.queries import query

APPLICATION_NAME = "jobhooks receiver"
ROLLBACK_S = 5.0  # for which the server may take to roll back; then the connection counts as dead
READER = ""  # who has the connections on which rows are read, and nothing else happens: no receiver


# As the capture writes rows as json, so that what is read is what was captured.
FORMATS = {
    "datestyle": "ISO, YMD",
    "intervalstyle": "postgres",
    "extra_float_digits": "1",
    "bytea_output": "hex",
}


class Connections:
    """For each receiver at most ``size`` connections, opened when they are needed, and kept for it.

    A session can be made as new, a driver's connection cannot: types that a receiver taught it would reach the next
    receiver. And so that a slow receiver never stands in front of another, each has its own. Of those that are idle,
    twice ``size`` are kept; where the server has no room for another, one of them makes it, or else one is waited for.
    """

    def __init__(self, arguments: dict[str, Any], size: int) -> None:
        settings = {**arguments.get("server_settings", {}), "application_name": APPLICATION_NAME, **FORMATS}
        self._arguments = {**arguments, "server_settings": settings}
        self._size = size
        self._idle: dict[AsyncConnection, str] = {}  # those of whom, the one longest idle first
        self._held: dict[AsyncConnection, None] = {}
        self._taken: Counter[str] = Counter()  # how many each receiver has, or is about to have
        self._freed = asyncio.Condition()

    def has_room(self, owner: str) -> bool:
        """Return whether ``owner`` can have a connection without waiting for one to be given back."""
        return self._taken[owner] < self._size

    async def acquire(self, owner: str) -> AsyncConnection:
        """Return a connection for the receiver ``owner``, waiting for one if it must.

        Raises:
            DatabaseUnreachable: a new one could not be opened.
        """
        async with self._freed:
            await self._freed.wait_for(lambda: self.has_room(owner))
            self._taken[owner] += 1
        try:
            conn = self._take_idle(owner) or await self._open()
        except BaseException:
            await self._give_back(owner)
            raise
        self._held[conn] = None
        return conn

    async def release(self, owner: str, conn: AsyncConnection) -> None:
        """Take a connection back, and roll back what is not committed."""
        try:
            if not conn.is_closed() and conn.is_in_transaction():
                async with asyncio.timeout(ROLLBACK_S):
                    await conn.execute(query("rollback"))
                set_asyncpg_transaction(conn, None)
        except (asyncpg.PostgresError, *BROKEN):  # a TimeoutError is an OSError
            conn.terminate()
        except BaseException:
            conn.terminate()
            raise
        finally:
            self._held.pop(conn, None)
            if not conn.is_closed():
                self._idle[conn] = owner
            await self._give_back(owner)

    def terminate(self) -> None:
        """Cut all connections, without a farewell, which a server that is gone would not answer.

        What runs cannot commit any more.
        """
        for conn in [*self._idle, *self._held]:
            conn.terminate()
        self._idle.clear()

    async def _open(self) -> AsyncConnection:
        while True:
            try:
                return await connect_async(self._arguments)
            except DatabaseUnreachable as exc:
                if not isinstance(exc.__cause__, asyncpg.TooManyConnectionsError):
                    raise
                if self._idle:
                    await close_async(self._oldest_idle())
                elif not self._held:
                    raise
                else:
                    async with self._freed:
                        await self._freed.wait()

    def _take_idle(self, owner: str) -> AsyncConnection | None:
        """Take the one of this receiver that was used last."""
        for conn in [conn for conn, whose in reversed(self._idle.items()) if whose == owner]:
            del self._idle[conn]
            if not conn.is_closed():
                return conn
        return None

    def _oldest_idle(self) -> AsyncConnection:
        conn = next(iter(self._idle))
        del self._idle[conn]
        return conn

    async def _give_back(self, owner: str) -> None:
        spare = self._oldest_idle() if len(self._idle) > 2 * self._size else None
        async with self._freed:
            self._taken[owner] -= 1
            self._freed.notify_all()
        if spare is not None:
            await close_async(spare)


def set_asyncpg_transaction(conn: AsyncConnection, transaction: Transaction | None) -> None:
    """Tell asyncpg of a transaction that a statement began or ended, so that cursors and savepoints work."""
    if transaction is not None:
        setattr(transaction, "_state", TransactionState.STARTED)  # noqa: B010 - private, see SharedTransaction
    setattr(conn, "_top_xact", transaction)  # noqa: B010


@contextlib.asynccontextmanager
async def borrowed(connections: Connections, owner: str) -> AsyncGenerator[AsyncConnection]:
    """Lend a connection for a statement, outside of any transaction."""
    conn = await connections.acquire(owner)
    try:
        yield conn
    finally:
        await connections.release(owner, conn)
