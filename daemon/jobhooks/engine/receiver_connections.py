"""The connections that ``async def`` receivers write through: few, kept, and opened when a run first needs one."""

import asyncio
import contextlib
import functools
import inspect
from collections.abc import AsyncGenerator, Awaitable, Callable, Generator
from typing import Any

import asyncpg
from asyncpg.transaction import Transaction, TransactionState

from jobhooks.errors import DatabaseUnreachable
from jobhooks.store.connections import BROKEN, AsyncConnection, close_async, connect_async, translated_errors
from jobhooks.store.sql_files import filled, query

APPLICATION_NAME = "jobhooks receiver"
READER = ""  # who has the connections on which rows are read, and nothing else happens: no receiver


# As the capture writes rows as json, so that what is read is what was captured.
FORMATS = {
    "datestyle": "ISO, YMD",
    "intervalstyle": "postgres",
    "extra_float_digits": "1",
    "bytea_output": "hex",
}


class Connections:
    """At most ``size`` connections. One is reused by the receiver that had it, or opened anew.

    A session can be made as new, a driver's connection cannot: types that a receiver taught it would reach the next
    receiver. So each keeps to one receiver, and is closed when another one needs its place.
    """

    def __init__(self, arguments: dict[str, Any], size: int) -> None:
        settings = {**arguments.get("server_settings", {}), "application_name": APPLICATION_NAME, **FORMATS}
        self._arguments = {**arguments, "server_settings": settings}
        self._size = size
        self._open = 0
        self._idle: dict[str, list[AsyncConnection]] = {}
        self._held: dict[str, int] = {}
        self._freed = asyncio.Condition()

    async def acquire(self, owner: str) -> AsyncConnection:
        """Return a connection for the receiver ``owner``, waiting for one if it must.

        Raises:
            DatabaseUnreachable: a new one could not be opened.
        """
        async with self._freed:
            await self._freed.wait_for(lambda: sum(self._held.values()) < self._size)
            self._held[owner] = self._held.get(owner, 0) + 1
            idle = self._idle.get(owner)
            while idle:
                conn = idle.pop()
                if not conn.is_closed():
                    return conn
                self._open -= 1
            evicted = None
            if self._open >= self._size:
                evicted = next(conns.pop() for conns in self._idle.values() if conns)
            else:
                self._open += 1
        try:
            if evicted is not None:
                await close_async(evicted)
            return await connect_async(self._arguments)
        except BaseException:
            await self._give_back(owner, None)
            raise

    async def release(self, owner: str, conn: AsyncConnection) -> None:
        """Take a connection back, and roll back what is not committed."""
        if not conn.is_closed() and conn.is_in_transaction():
            try:
                await conn.execute(query("rollback"))
                _tell_of_transaction(conn, None)
            except (asyncpg.PostgresError, *BROKEN):
                conn.terminate()
        await self._give_back(owner, None if conn.is_closed() else conn)

    async def close(self) -> None:
        """Close those that are idle, without a farewell, which a server that is gone would not answer."""
        for conns in self._idle.values():
            for conn in conns:
                conn.terminate()
        self._idle.clear()

    async def _give_back(self, owner: str, conn: AsyncConnection | None) -> None:
        async with self._freed:
            self._held[owner] -= 1
            if not self._held[owner]:
                del self._held[owner]
            if conn is None:
                self._open -= 1
            else:
                self._idle.setdefault(owner, []).append(conn)
            self._freed.notify_all()


def _tell_of_transaction(conn: AsyncConnection, transaction: Transaction | None) -> None:
    """Tell asyncpg of a transaction that a statement began or ended, so that cursors and savepoints work."""
    if transaction is not None:
        setattr(transaction, "_state", TransactionState.STARTED)  # noqa: B010 - private, see RunTransaction
    setattr(conn, "_top_xact", transaction)  # noqa: B010


@contextlib.asynccontextmanager
async def borrowed(connections: Connections, owner: str) -> AsyncGenerator[AsyncConnection]:
    """Lend a connection for a statement, outside of any transaction."""
    conn = await connections.acquire(owner)
    try:
        yield conn
    finally:
        await connections.release(owner, conn)


class RunTransaction:
    """The transaction of one run: begun, and marked as the run's, when the receiver first uses its connection.

    Begin and mark are one message, and so are result and commit: on a fast receiver, half of the time goes into
    messages. asyncpg is told of the transaction by its private attribute, so that cursors and savepoints work in it.
    """

    def __init__(self, connections: Connections, owner: str, mark: str) -> None:
        self._connections = connections
        self._owner = owner
        self._mark = mark
        self._lock = asyncio.Lock()
        self.conn: AsyncConnection | None = None

    async def reading(self, statement: str, *parameters: str) -> asyncpg.Record | None:
        """Return the row that a statement finds: in the transaction if it has begun, else without beginning it.

        On a connection then that no receiver ever has: so its session is as it was opened.
        """
        if self.conn is not None:
            return await self.conn.fetchrow(statement, *parameters)
        try:
            return await self._read(statement, *parameters)
        except DatabaseUnreachable:
            return await self._read(statement, *parameters)  # the connection was cut while it was idle

    async def _read(self, statement: str, *parameters: str) -> asyncpg.Record | None:
        async with borrowed(self._connections, READER) as conn:
            try:
                return await conn.fetchrow(statement, *parameters)
            except (asyncpg.PostgresConnectionError, *BROKEN) as exc:
                conn.terminate()
                raise DatabaseUnreachable(f"lost the connection to the database: {exc}") from exc

    async def writing(self, statement: str, *parameters: str) -> asyncpg.Record | None:
        """Return the row that a statement has written, in the transaction."""
        return await (await self.open()).fetchrow(statement, *parameters)

    async def open(self) -> AsyncConnection:
        """Return the connection, in the transaction.

        Raises:
            DatabaseUnreachable: none could be opened; nothing was written.
        """
        async with self._lock:  # a receiver may use it from several tasks
            if self.conn is None:
                conn = await self._connections.acquire(self._owner)
                try:
                    await self._begin(conn)
                except DatabaseUnreachable:
                    # It was cut while it was idle.
                    await self._connections.release(self._owner, conn)
                    conn = await self._connections.acquire(self._owner)
                    await self._begin(conn)
                self.conn = conn
            return self.conn

    async def _begin(self, conn: AsyncConnection) -> None:
        try:
            with translated_errors():
                await conn.execute(filled("begin_run", f"'{self._mark}'"))
        except BaseException:
            if not conn.is_closed():
                conn.terminate()
            raise
        transaction = conn.transaction()
        assert isinstance(transaction, Transaction)
        _tell_of_transaction(conn, transaction)

    async def commit(self, statements: str) -> None:
        """Run ``statements``, the last of which commits."""
        conn = self.conn
        assert conn is not None
        with translated_errors():
            await conn.execute(statements)
        _tell_of_transaction(conn, None)
        self.conn = None
        await self._connections.release(self._owner, conn)

    async def end(self) -> None:
        """Roll back what is not committed, and give the connection back."""
        conn, self.conn = self.conn, None
        if conn is not None:
            await self._connections.release(self._owner, conn)


class LazyConnection:
    """What ``self.connection`` is in an ``async def`` receiver: asyncpg's connection, opened when it is first used.

    It has all methods of asyncpg's that are awaited, ``transaction`` and ``cursor``; the others once it is open.
    ``await connection`` opens it and returns asyncpg's own.
    """

    def __init__(self, transaction: RunTransaction) -> None:
        self._run_transaction = transaction

    def __await__(self) -> Generator[Any, Any, AsyncConnection]:
        return self._run_transaction.open().__await__()

    def __getattr__(self, name: str) -> Any:
        attribute = getattr(asyncpg.Connection, name)  # raises for a name that asyncpg's connection has not
        if inspect.iscoroutinefunction(attribute):
            return functools.partial(self._call, name)
        conn = self._run_transaction.conn
        if conn is None:
            raise asyncpg.InterfaceError(f"the connection is not open yet: await self.connection before {name}()")
        return getattr(conn, name)

    def transaction(self, **options: Any) -> "LazyTransaction":
        """Return a savepoint, as asyncpg's ``transaction`` does inside a transaction."""
        return LazyTransaction(self._run_transaction, options)

    def cursor(self, *arguments: Any, **options: Any) -> "LazyCursor":
        """Return a cursor, to be awaited or iterated over."""
        return LazyCursor(self._run_transaction, arguments, options)

    def is_closed(self) -> bool:
        """Return whether the connection is closed; one that is not open yet is not."""
        conn = self._run_transaction.conn
        return conn is not None and conn.is_closed()

    def is_in_transaction(self) -> bool:
        """Return whether there is a transaction: always, until the receiver breaks it."""
        conn = self._run_transaction.conn
        return conn is None or conn.is_in_transaction()

    async def _call(self, name: str, *arguments: Any, **options: Any) -> Any:
        conn = self._run_transaction.conn or await self._run_transaction.open()
        method: Callable[..., Awaitable[Any]] = getattr(conn, name)
        return await method(*arguments, **options)


class LazyTransaction:
    """A savepoint of a connection that may not be open yet."""

    def __init__(self, run_transaction: RunTransaction, options: dict[str, Any]) -> None:
        self._run_transaction = run_transaction
        self._options = options
        self._transaction: Any = None

    async def start(self) -> None:
        """Set the savepoint."""
        conn = await self._run_transaction.open()
        self._transaction = conn.transaction(**self._options)
        await self._transaction.start()

    async def commit(self) -> None:
        """Release the savepoint."""
        await self._transaction.commit()

    async def rollback(self) -> None:
        """Roll back to the savepoint."""
        await self._transaction.rollback()

    async def __aenter__(self) -> None:
        await self.start()

    async def __aexit__(self, *error: Any) -> Any:
        return await self._transaction.__aexit__(*error)


class LazyCursor:
    """A cursor of a connection that may not be open yet."""

    def __init__(self, run_transaction: RunTransaction, arguments: tuple[Any, ...], options: dict[str, Any]) -> None:
        self._run_transaction = run_transaction
        self._arguments = arguments
        self._options = options
        self._iterator: Any = None

    def __await__(self) -> Generator[Any, Any, Any]:
        return self._open().__await__()

    async def _open(self) -> Any:
        conn = await self._run_transaction.open()
        return await conn.cursor(*self._arguments, **self._options)

    def __aiter__(self) -> "LazyCursor":
        return self

    async def __anext__(self) -> asyncpg.Record:
        if self._iterator is None:
            conn = await self._run_transaction.open()
            self._iterator = aiter(conn.cursor(*self._arguments, **self._options))
        return await anext(self._iterator)
