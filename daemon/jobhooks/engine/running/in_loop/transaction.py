"""The transactions that ``async def`` receivers write in: the run protocol on asyncpg, and one run's share of it."""

import asyncio
from collections.abc import Sequence

import asyncpg
from asyncpg.transaction import Transaction

from jobhooks.contract.nautobot.identities import ChangeOrigin
from jobhooks.contract.run import DeliveryIdentity
from jobhooks.engine.delivery.delivery import Delivery
from jobhooks.engine.delivery.outcome import Outcome
from jobhooks.engine.running.in_loop.pool import (
    READER,
    Connections,
    borrowed,
    cut_off,
    lent,
    set_asyncpg_transaction,
)
from jobhooks.engine.running.run_protocol import Command, Ended, RunProtocol, Send, State, Steps, T
from jobhooks.engine.running.sharing_policy import GaveWay
from jobhooks.errors import DatabaseUnreachable, JobhooksError
from jobhooks.store.connections import (
    BROKEN,
    AsyncConnection,
    AsyncResettableConnection,
    is_stale_plan,
    lost_by,
    translated_errors,
)


class SharedTransaction:
    """A transaction that runs of one receiver join, one after the other: drives the run protocol on asyncpg.

    It begins when the first of them first uses its connection. asyncpg learns of the transaction through a private
    attribute, so that the receiver's own cursors and savepoints work in it. ``version``: of the receiver.
    """

    def __init__(self, connections: Connections, owner: str, version: int | None = None) -> None:
        self._connections = connections
        self._owner = owner
        self.protocol = RunProtocol(version)
        self.lock = asyncio.Lock()  # for joining: a receiver may use its connection from several tasks
        self.conn: AsyncConnection | None = None
        self.current: RunTransaction | None = None  # the run that is in it, or joining
        self._is_outdated = False  # what asyncpg has prepared on the connection

    async def join(self, run: "RunTransaction") -> None:
        """Begin the transaction for this run, or let the run join after the others.

        Raises:
            DatabaseUnreachable: no connection could be opened, or it was lost.
            JobhooksError: a run before this one left the transaction in a state that no other can follow.
        """
        self.current = run
        begins = self.protocol.state is State.NEW
        await self._drive(self.protocol.join(run.delivery, run.changes))
        if begins:
            conn = self.conn
            assert conn is not None
            transaction = conn.transaction()
            assert isinstance(transaction, Transaction)
            set_asyncpg_transaction(conn, transaction)

    async def undo(self) -> None:
        """Undo the current run. The runs before it stay.

        Raises:
            DatabaseUnreachable: the connection was lost, and with it all runs.
        """
        await self._drive(self.protocol.undo())

    async def record(self, deliveries: list[Delivery], outcome: Outcome, *, commit: bool) -> Outcome:
        """Record the outcome of one call, and ``commit`` if it is alone.

        Raises:
            AlreadySettled: one of the deliveries has a result.
            JobhooksError: the result cannot be recorded, or the transaction cannot commit.
        """
        assert self.conn is not None
        identities = [identity for delivery in deliveries for identity in delivery.identities]
        encoding = self.conn.get_settings().server_encoding
        job_id = deliveries[0].hook.job_id
        return await self._drive(self.protocol.record(identities, job_id, outcome, encoding, commit=commit))

    async def commit_all(self, runs: list[tuple[Delivery, Outcome]]) -> None:
        """Commit these runs, together with the results that are not recorded yet.

        Raises:
            AlreadySettled: one of them has a result.
            DatabaseUnreachable: the connection was lost; whether they committed is unknown.
            JobhooksError: they cannot commit.
        """
        await self._drive(
            self.protocol.commit_all([(each.identity, each.hook.job_id, outcome) for each, outcome in runs])
        )

    async def end(self) -> None:
        """Roll back uncommitted work, and give the connection back."""
        await self._drive(self.protocol.end())

    def has_lost(self, exc: BaseException) -> bool:
        """Whether an error says that the connection is closed, or of no more use."""
        if is_stale_plan(exc):
            self._is_outdated = True
        return self._is_outdated or self.conn is None or self.conn.is_closed()

    async def _drive(self, steps: Steps[T]) -> T:
        try:
            step = next(steps)
            while True:
                try:
                    answer = await self._perform(step)
                except GeneratorExit:
                    raise
                except BaseException as exc:  # noqa: BLE001 - the protocol decides
                    step = steps.throw(exc)
                else:
                    step = steps.send(answer)
        except StopIteration as end:
            return end.value

    async def _perform(self, step: Command | Send) -> str | None:
        if isinstance(step, Send):
            assert self.conn is not None
            with translated_errors():
                await self.conn.execute(step.statements, *step.parameters)
        elif step is Command.CONNECT:
            self.conn = conn = await self._connections.acquire(self._owner)
            return conn.set_again_after_reset if type(conn) is AsyncResettableConnection else None
        else:
            conn, self.conn = self.conn, None
            assert conn is not None
            if step is Command.DROP or self._is_outdated:
                conn.terminate()
                self._is_outdated = False
            set_asyncpg_transaction(conn, None)
            await self._connections.release(self._owner, conn)
        return None


class RunTransaction:
    """One run's share of a transaction, which it joins when its receiver first uses the connection.

    It joins ``shared``. Without one, or if that is closed when the run first uses its connection, it gets a transaction
    for itself. If its delivery still ``waits`` for others of the same object then, it gives way instead: it may not
    commit before they have.
    """

    def __init__(
        self,
        connections: Connections,
        owner: str,
        delivery: DeliveryIdentity,
        shared: SharedTransaction | None = None,
        waits: Delivery | None = None,
    ) -> None:
        self._connections = connections
        self._owner = owner
        self._shared = shared or SharedTransaction(connections, owner)
        self._waits = waits
        self._ended = False
        self._private = False
        self._lent: AsyncConnection | None = None
        self.delivery = delivery
        self.changes: Sequence[ChangeOrigin] = ()  # that the receiver sees
        self.joined: SharedTransaction | None = None

    @property
    def conn(self) -> AsyncConnection | None:
        """The connection, in the transaction. None before the receiver uses it, and when its run has ended."""
        return None if self.joined is None or self._ended else self.joined.conn

    @property
    def _is_behind(self) -> bool:
        """Whether its delivery waits for others, so they are in the shared transaction or not settled yet."""
        return self._waits is not None and self._waits.waits_for > 0

    async def reading(self, statement: str, *parameters: object) -> asyncpg.Record | None:
        """Fetch one row: in the transaction if the run has joined it, else without beginning it.

        Outside of the transaction it uses a connection that receivers never see, so its session is as it was opened. If
        no such connection is free while other runs hold locks in the shared transaction, the run joins that instead. So
        does a run behind others: it must see what they wrote.
        """
        if self.conn is not None:
            return await self.conn.fetchrow(statement, *parameters)
        if not self._reads_apart():
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
                raise lost_by(exc) from exc

    async def reading_all(self, statement: str, *parameters: object) -> list[asyncpg.Record]:
        """Fetch rows, where ``reading`` fetches one."""
        if self.conn is None and self._reads_apart():
            try:
                return await self._read_all(statement, *parameters)
            except DatabaseUnreachable:
                return await self._read_all(statement, *parameters)  # the connection was cut while it was idle
        return await (await self.open()).fetch(statement, *parameters)

    def _reads_apart(self) -> bool:
        """Whether the run, which has not joined its transaction, may read outside of it; see ``reading``."""
        needs_end = self._shared.protocol.needs_end
        return not (needs_end and (self._is_behind or not self._connections.has_room(READER)))

    async def _read_all(self, statement: str, *parameters: object) -> list[asyncpg.Record]:
        async with borrowed(self._connections, READER) as conn:
            try:
                return await conn.fetch(statement, *parameters)
            except (asyncpg.PostgresConnectionError, *BROKEN) as exc:
                conn.terminate()
                raise lost_by(exc) from exc

    async def writing(self, statement: str, *parameters: object) -> asyncpg.Record | None:
        """Run a statement in the transaction and fetch the row that it returns."""
        return await (await self.open()).fetchrow(statement, *parameters)

    async def open(self) -> AsyncConnection:
        """Join the transaction if need be, and return its connection.

        Raises:
            asyncpg.InterfaceError: the run has ended: a statement would belong to another run now.
            DatabaseUnreachable: no connection could be opened; nothing was written.
            GaveWay: a run before this one broke the transaction, or this one is behind others and cannot join them.
        """
        if self._shared.protocol.closed and self.joined is None:
            if self._is_behind:
                raise GaveWay
            self._shared = SharedTransaction(self._connections, self._owner, self._shared.protocol.version)
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
            if shared.protocol.broken:
                raise GaveWay from exc
            raise
        self.joined = shared
        if self._private:
            shared.protocol.keep_to_one()

    def keep_to_itself(self) -> None:
        """Keep other runs out of this one's transaction: its next statement could affect them.

        Raises:
            GaveWay: there are others in it, or it is behind others that are.
        """
        self._private = True
        if self.joined is not None:
            self.joined.protocol.keep_to_one()
        elif self._shared.protocol.needs_end:
            if self._is_behind:
                raise GaveWay
            self._shared = SharedTransaction(self._connections, self._owner, self._shared.protocol.version)

    def give_way(self, exc: BaseException) -> None:
        """End this run if it would wait for a lock while it holds those of others.

        Raises:
            GaveWay: it would.
        """
        if self.joined is not None and self.joined.protocol.gives_way(exc):
            raise GaveWay from exc

    def how_it_ended(self, exc: BaseException) -> Ended:
        """Classify an error that ended the run."""
        if self.joined is None:
            return NOT_JOINED.how_it_ended(exc, lost=False)
        return self.joined.protocol.how_it_ended(exc, lost=self.conn is not None and self.joined.has_lost(exc))

    async def lend(self) -> AsyncConnection:
        """Open the connection, and return asyncpg's own object for it, which is of no use after the run.

        Raises: as ``open``.
        """
        conn = await self.open()
        if self._lent is None:
            self._lent = lent(conn)
        return self._lent

    def end(self) -> None:
        """End the run: neither it nor a task that it left can send statements any more."""
        if self.conn is not None:
            cut_off(self.conn, self._lent)
        self._ended = True
        if self._shared.current is self:
            self._shared.current = None


NOT_JOINED = RunProtocol()


async def end_transaction(transaction: RunTransaction) -> None:
    """End a run, and roll back its transaction if that is not committed."""
    transaction.end()
    if transaction.joined is not None:
        await asyncio.shield(transaction.joined.end())
