"""The transactions that ``async def`` receivers write in: of one run, or of several short ones after one another."""

import asyncio

import asyncpg
from asyncpg.transaction import Transaction

from jobhooks.contract.run import DeliveryIdentity
from jobhooks.engine.running.in_loop.pool import READER, Connections, borrowed, tell_of_transaction
from jobhooks.engine.running.result_statements import join_run
from jobhooks.engine.running.sharing import GaveWay
from jobhooks.errors import DatabaseUnreachable, JobhooksError
from jobhooks.store.connections import BROKEN, AsyncConnection, is_lock_timeout, translated_errors
from jobhooks.store.queries import filled, query


class SharedTransaction:
    """A transaction that runs of one receiver join, one after the other, and that commits with their results.

    It begins when the first of them first uses its connection. Begin and mark are one message, and so are results and
    commit: on a fast receiver, half of the time goes into messages. Those that join after the first have a savepoint,
    so that each can be undone alone, and the session made as new, as far as a transaction can be. asyncpg is told of
    the transaction by its private attribute, so that cursors and savepoints of the receiver's work in it.
    """

    def __init__(self, connections: Connections, owner: str) -> None:
        self._connections = connections
        self._owner = owner
        self._joined = 0
        self.lock = asyncio.Lock()  # for whoever joins: a receiver may use its connection from several tasks
        self.conn: AsyncConnection | None = None
        self.current: RunTransaction | None = None  # of the run that is in it, or about to be
        self.closed = False  # no run may join any more
        self.broken = False  # it cannot commit

    async def join(self, run: "RunTransaction") -> None:
        """Begin the transaction for this run, or let it in after the others.

        Raises:
            DatabaseUnreachable: no connection could be opened, or it was lost.
            JobhooksError: a run before it has left the transaction in a state in which no other can follow.
        """
        self.current = run
        if self.conn is None:
            await self._begin(run.delivery.mark)
        else:
            try:
                with translated_errors():
                    await self.conn.execute(join_run(run.delivery, after=self._joined))
            except BaseException:
                self.broken = True
                raise
        self._joined += 1

    @property
    def is_shared(self) -> bool:
        """Whether there are runs in it besides the current one."""
        return self._joined > 1

    async def undo(self) -> None:
        """Undo what the current run wrote; what those before it wrote stays.

        Raises:
            DatabaseUnreachable: the connection was lost, and with it the work of all.
        """
        conn = self.conn
        if conn is None or self.broken:
            return
        if not self.is_shared:
            self.conn = None
            self._joined = 0
            await self._connections.release(self._owner, conn)
            return
        try:
            with translated_errors():
                await conn.execute(query("undo_run"))
        except BaseException:
            self.broken = True
            raise

    async def commit(self, statements: str) -> None:
        """Run ``statements``, the last of which commits, and give the connection back."""
        conn = self.conn
        assert conn is not None
        self.closed = True
        with translated_errors():
            await conn.execute(statements)
        tell_of_transaction(conn, None)
        self.conn = None
        await self._connections.release(self._owner, conn)

    async def end(self) -> None:
        """Roll back what is not committed, and give the connection back."""
        self.closed = True
        conn, self.conn = self.conn, None
        if conn is not None:
            await self._connections.release(self._owner, conn)

    async def _begin(self, mark: str) -> None:
        conn = await self._connections.acquire(self._owner)
        try:
            await _begin(conn, mark)
        except DatabaseUnreachable:
            # It was cut while it was idle.
            await self._connections.release(self._owner, conn)
            conn = await self._connections.acquire(self._owner)
            try:
                await _begin(conn, mark)
            except BaseException:
                await self._connections.release(self._owner, conn)
                raise
        except BaseException:
            await self._connections.release(self._owner, conn)
            raise
        self.conn = conn


async def _begin(conn: AsyncConnection, mark: str) -> None:
    try:
        with translated_errors():
            await conn.execute(filled("begin_run", f"'{mark}'"))
    except BaseException:
        if not conn.is_closed():
            conn.terminate()
        raise
    transaction = conn.transaction()
    assert isinstance(transaction, Transaction)
    tell_of_transaction(conn, transaction)


class RunTransaction:
    """What one run has of a transaction, which it joins when its receiver first uses the connection.

    It is the ``shared`` one, or one of its own where that is closed by then, or there is none.
    """

    def __init__(
        self, connections: Connections, owner: str, delivery: DeliveryIdentity, shared: SharedTransaction | None = None
    ) -> None:
        self._connections = connections
        self._owner = owner
        self._shared = shared or SharedTransaction(connections, owner)
        self._ended = False
        self._private = False
        self.delivery = delivery
        self.joined: SharedTransaction | None = None

    @property
    def conn(self) -> AsyncConnection | None:
        """The connection, in the transaction; None before the receiver has used it, and when its run has ended."""
        return None if self.joined is None or self._ended else self.joined.conn

    async def reading(self, statement: str, *parameters: object) -> asyncpg.Record | None:
        """Return the row that a statement finds: in the transaction if it has begun, else without beginning it.

        On a connection then that no receiver ever has: so its session is as it was opened. Where none is free, and
        others would wait in their transaction until one is, it is joined instead.
        """
        if self.conn is not None:
            return await self.conn.fetchrow(statement, *parameters)
        if not self._connections.has_room(READER) and self._shared.conn is not None:
            return await self.writing(statement, *parameters)
        try:
            return await self._read(statement, *parameters)
        except DatabaseUnreachable:
            return await self._read(statement, *parameters)  # the connection was cut while it was idle

    async def _read(self, statement: str, *parameters: object) -> asyncpg.Record | None:
        async with borrowed(self._connections, READER) as conn:
            try:
                return await conn.fetchrow(statement, *parameters)
            except (asyncpg.PostgresConnectionError, *BROKEN) as exc:
                conn.terminate()
                raise DatabaseUnreachable(f"lost the connection to the database: {exc}") from exc

    async def writing(self, statement: str, *parameters: object) -> asyncpg.Record | None:
        """Return the row that a statement has written, in the transaction."""
        return await (await self.open()).fetchrow(statement, *parameters)

    async def open(self) -> AsyncConnection:
        """Return the connection, in the transaction.

        Raises:
            asyncpg.InterfaceError: the run has ended: what would be written now would belong to another.
            DatabaseUnreachable: none could be opened; nothing was written.
        """
        if self._shared.closed and self.joined is None:
            self._shared = SharedTransaction(self._connections, self._owner)
        shared = self._shared
        async with shared.lock:
            if self._ended:
                raise asyncpg.InterfaceError("this run of the receiver has ended, and its connection with it")
            if self.joined is None:
                await self._join(shared)
            assert shared.conn is not None
            return shared.conn

    async def _join(self, shared: SharedTransaction) -> None:
        try:
            await shared.join(self)
        except JobhooksError as exc:
            if shared.broken:
                raise GaveWay from exc  # not by this run's doing
            raise
        self.joined = shared
        shared.closed = shared.closed or self._private

    def keep_to_itself(self) -> None:
        """Let no other run be in this one's transaction: what the receiver does next could reach it.

        Raises:
            GaveWay: there are others already.
        """
        self._private = True
        if self.joined is None:
            if self._shared.conn is not None:
                self._shared = SharedTransaction(self._connections, self._owner)
        elif self.joined.is_shared:
            raise GaveWay
        else:
            self.joined.closed = True

    def give_way(self, exc: BaseException) -> None:
        """End this run if it would have to wait for a lock, and has others before it.

        Raises:
            GaveWay: so it is.
        """
        if self.joined is not None and self.joined.is_shared and is_lock_timeout(exc):
            raise GaveWay from exc

    def end(self) -> None:
        """Let nothing more be done by this run."""
        self._ended = True
        if self._shared.current is self:
            self._shared.current = None
