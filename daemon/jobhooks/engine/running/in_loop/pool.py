"""The connections of ``async def`` receivers: few, opened when a run first needs one, and kept."""

import asyncio
import contextlib
from collections import Counter
from collections.abc import AsyncGenerator
from typing import Any, cast

import asyncpg
from asyncpg.pool import PoolConnectionProxy
from asyncpg.transaction import Transaction, TransactionState

from jobhooks.errors import DatabaseUnreachable
from jobhooks.store.connections import (
    BROKEN,
    AsyncConnection,
    AsyncpgArguments,
    AsyncResettableConnection,
    close_async,
    connect_async,
)
from jobhooks.store.queries import query
from jobhooks.store.session_settings import RECEIVER

APPLICATION_NAME = "jobhooks receiver"
ROLLBACK_S = 5.0  # how long a rollback may take; after that the connection counts as dead
READER = ""  # owns the connections that only read rows; no receiver has this name


class Connections:
    """For each receiver up to ``size`` connections, opened on demand and kept for it.

    Receivers do not share connections. SQL can reset a session, but nothing resets asyncpg's object: type codecs that
    one receiver sets would reach another. It also keeps a slow receiver from delaying others. Up to twice ``size`` idle
    connections are kept. If the server has no room for another, the oldest idle one is closed; if all are busy, this
    waits for one.
    """

    def __init__(self, arguments: AsyncpgArguments, size: int) -> None:
        own = arguments.having(RECEIVER, connection_class=AsyncResettableConnection)
        self._arguments = own.named(APPLICATION_NAME)
        self._size = size
        self._idle: dict[AsyncConnection, str] = {}  # with their owners, the longest idle first
        self._held: dict[AsyncConnection, None] = {}
        self._taken: Counter[str] = Counter()  # how many each receiver has, or is about to have
        self._freed = asyncio.Condition()

    def has_room(self, owner: str) -> bool:
        """Whether ``owner`` can get a connection without waiting for another run of it to end."""
        return self._taken[owner] < self._size

    async def acquire(self, owner: str) -> AsyncConnection:
        """Get a connection for the receiver ``owner``, waiting for one if need be.

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
        """Take a connection back, and roll back an open transaction."""
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
        """Cut all connections at the socket: a server that is gone would not answer a clean close.

        Current runs cannot commit after this.
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
        """Take this owner's most recently used connection."""
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
    """Set or clear asyncpg's idea of the open transaction, so that cursors and savepoints work in it."""
    if transaction is not None:
        setattr(transaction, "_state", TransactionState.STARTED)  # noqa: B010 - private, see SharedTransaction
    setattr(conn, "_top_xact", transaction)  # noqa: B010


def lent(conn: AsyncConnection) -> AsyncConnection:
    """An object with all methods of a connection, as asyncpg's own pool hands it out: ``cut_off`` makes it useless."""
    return cast("AsyncConnection", PoolConnectionProxy(cast("Any", None), conn))


def cut_off(conn: AsyncConnection, lent_as: AsyncConnection | None) -> None:
    """Make everything useless that a run has of a connection: cursors, prepared statements, and what ``lent`` made."""
    # asyncpg's objects remember this number, and refuse their methods if it has changed.
    setattr(conn, "_pool_release_ctr", getattr(conn, "_pool_release_ctr") + 1)  # noqa: B009, B010 - private
    if lent_as is not None:
        getattr(lent_as, "_detach")()  # noqa: B009 - private


@contextlib.asynccontextmanager
async def borrowed(connections: Connections, owner: str) -> AsyncGenerator[AsyncConnection]:
    """Lend a connection for a statement, outside of any transaction."""
    conn = await connections.acquire(owner)
    try:
        yield conn
    finally:
        await connections.release(owner, conn)
