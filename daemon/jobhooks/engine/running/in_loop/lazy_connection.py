"""``self.connection`` of an ``async def`` receiver: asyncpg's connection, opened when it is first used."""

import functools
import inspect
from collections.abc import Awaitable, Callable, Generator
from typing import Any

import asyncpg

from jobhooks.engine.running.in_loop.transaction import RunTransaction
from jobhooks.engine.running.sharing_policy import CANNOT_PREPARE, may_share, prepares
from jobhooks.store.connections import AsyncConnection

QUERIES = {"execute", "executemany", "fetch", "fetchrow", "fetchval", "fetchmany"}  # each with its statement first


class LazyConnection:
    """``self.connection`` of an ``async def`` receiver: asyncpg's connection, opened when it is first used.

    It has all methods of asyncpg's that are awaited, ``transaction`` and ``cursor``; the others once it is open.
    ``await connection`` opens it and returns asyncpg's own.
    """

    def __init__(self, transaction: RunTransaction) -> None:
        self._run_transaction = transaction

    def __await__(self) -> Generator[Any, Any, AsyncConnection]:
        self._run_transaction.keep_to_itself()  # its statements pass by this class
        return self._run_transaction.lend().__await__()

    def __getattr__(self, name: str) -> Any:
        if _is_awaited(name):
            return functools.partial(self._call, name)
        conn = self._run_transaction.conn
        if conn is None:
            raise asyncpg.InterfaceError(f"the connection is not open yet: await self.connection before {name}()")
        return getattr(conn, name)

    def transaction(self, **options: Any) -> "LazyTransaction":
        """A savepoint, like asyncpg's ``transaction`` inside a transaction."""
        return LazyTransaction(self._run_transaction, options)

    def cursor(self, *arguments: Any, **options: Any) -> "LazyCursor":
        """A cursor, to await or to iterate over."""
        _check(self._run_transaction, arguments, options)
        return LazyCursor(self._run_transaction, arguments, options)

    def is_closed(self) -> bool:
        """Whether the connection is closed; False before it is opened."""
        conn = self._run_transaction.conn
        return conn is not None and conn.is_closed()

    def is_in_transaction(self) -> bool:
        """Whether a transaction is open: always, unless the receiver ended it."""
        conn = self._run_transaction.conn
        return conn is None or conn.is_in_transaction()

    async def _call(self, name: str, *arguments: Any, **options: Any) -> Any:
        transaction = self._run_transaction
        if name in QUERIES:
            _check(transaction, arguments, options)
        elif not name.startswith("copy_"):
            transaction.keep_to_itself()
        conn = transaction.conn or await transaction.open()
        method: Callable[..., Awaitable[Any]] = getattr(conn, name)
        try:
            return await method(*arguments, **options)
        except asyncpg.PostgresError as exc:
            transaction.give_way(exc)
            raise


def _check(transaction: RunTransaction, arguments: tuple[Any, ...], options: dict[str, Any]) -> None:
    """Keep a run to itself if its statement is more than a query.

    Raises:
        asyncpg.InterfaceError: it prepares the transaction.
    """
    statement = arguments[0] if arguments else options.get("query")
    if isinstance(statement, str) and prepares(statement):
        raise asyncpg.InterfaceError(CANNOT_PREPARE)
    if not (isinstance(statement, str) and may_share(statement)):
        transaction.keep_to_itself()


@functools.cache
def _is_awaited(name: str) -> bool:
    """Whether a method of asyncpg's connection is a coroutine.

    Raises:
        AttributeError: asyncpg has no such method.
    """
    return inspect.iscoroutinefunction(getattr(asyncpg.Connection, name))


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
