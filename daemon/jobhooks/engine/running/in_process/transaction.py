"""The transactions that ``def`` receivers write in: the run protocol on psycopg, and one run's share of it."""

from collections.abc import Sequence

import psycopg
from psycopg.pq import TransactionStatus
from psycopg.rows import tuple_row

from jobhooks.contract.nautobot.identities import ChangeOrigin
from jobhooks.contract.run import DeliveryIdentity
from jobhooks.engine.delivery.outcome import Outcome
from jobhooks.engine.running.in_process.connection import Leftovers, ReceiverConnection, refuse
from jobhooks.engine.running.run_protocol import Command, RunProtocol, Send, Steps, T
from jobhooks.engine.running.sharing_policy import GaveWay
from jobhooks.errors import DatabaseUnreachable, JobhooksError
from jobhooks.store.connections import (
    ResettableConnection,
    SyncConnection,
    connect,
    execute,
    is_stale_plan,
    translated_errors,
)
from jobhooks.store.queries import query
from jobhooks.store.session_settings import RECEIVER

APPLICATION_NAME = "jobhooks receiver"
CANCEL_S = 2.0  # how long the server may take to cancel a statement


class KeptConnection:
    """The connection that a process keeps: opened when a receiver first needs it, and again if it was lost."""

    def __init__(self, database_url: str) -> None:
        self._database_url = database_url
        self._conn: SyncConnection | None = None

    def open(self) -> SyncConnection:
        """Return it, open.

        Raises:
            DatabaseUnreachable: it could not be opened.
        """
        if self._conn is None or self._conn.closed:
            self._conn = connect(
                self._database_url,
                ReceiverConnection,
                special=RECEIVER,
                checked=True,
                application_name=APPLICATION_NAME,
            )
        return self._conn

    def hand_over(self) -> SyncConnection | None:
        """Have all later runs use another object for the same session; return it. The current one refuses every use."""
        if isinstance(self._conn, ReceiverConnection) and not self._conn.closed:
            self._conn = self._conn.successor()
        return self._conn

    def close(self) -> None:
        """Close it; the next run opens another one."""
        if self._conn is not None:
            self._conn.close()


class SharedTransaction:
    """A transaction that runs join, one after the other: drives the run protocol on psycopg.

    ``version``: of their receiver.
    """

    def __init__(self, connection: KeptConnection, version: int | None = None) -> None:
        self._connection = connection
        self.protocol = RunProtocol(version)
        self.conn: SyncConnection | None = None

    def join(self, delivery: DeliveryIdentity, changes: Sequence[ChangeOrigin]) -> SyncConnection:
        """Begin the transaction for a run, or let the run join after the others; return the connection.

        Raises:
            DatabaseUnreachable: the connection could not be opened, or was lost.
            GaveWay: a run before this one left the transaction in a state that no other can follow.
        """
        try:
            self._drive(self.protocol.join(delivery, changes))
        except JobhooksError as exc:
            if self.protocol.broken:
                raise GaveWay from exc
            raise
        conn = self.conn
        assert conn is not None
        conn.row_factory = tuple_row
        if isinstance(conn, ReceiverConnection):
            conn.protocol = self.protocol
        return conn

    def undo(self) -> None:
        """Undo the current run. The runs before it stay.

        Raises:
            JobhooksError: that is not possible, and no run can commit.
        """
        self._drive(self.protocol.undo())

    def record(self, deliveries: list[DeliveryIdentity], job_id: int, outcome: Outcome, *, commit: bool) -> Outcome:
        """Record the outcome of one call, and ``commit`` if it is alone.

        Raises:
            AlreadySettled: one of the deliveries has a result.
            JobhooksError: the result cannot be recorded, or the transaction cannot commit.
        """
        assert self.conn is not None
        encoding = self.conn.info.parameter_status("server_encoding")
        return self._drive(self.protocol.record(deliveries, job_id, outcome, encoding, commit=commit))

    def commit_all(self, runs: list[tuple[DeliveryIdentity, int, Outcome]]) -> None:
        """Commit runs, each with the id of its job, together with the results that are not recorded yet.

        Raises:
            AlreadySettled: one of them has a result.
            DatabaseUnreachable: the connection was lost; whether they committed is unknown.
            JobhooksError: they cannot commit.
        """
        self._drive(self.protocol.commit_all(runs))

    def take_from_run(self) -> None:
        """Make the connection object of the run that has ended useless. The transaction goes on with another one."""
        successor = self._connection.hand_over()
        if self.conn is not None:
            self.conn = successor

    def end(self) -> None:
        """Roll back uncommitted work."""
        self._drive(self.protocol.end())
        if self.conn is not None:
            self._perform(Command.RELEASE)  # a time limit's signal came between two steps

    def _drive(self, steps: Steps[T]) -> T:
        try:
            step = next(steps)
            while True:
                try:
                    answer = self._perform(step)
                except BaseException as exc:  # noqa: BLE001 - the protocol decides
                    step = steps.throw(exc)
                else:
                    step = steps.send(answer)
        except StopIteration as end:
            return end.value

    def _perform(self, step: Command | Send) -> str | None:
        if isinstance(step, Send):
            conn = self.conn
            assert conn is not None
            if conn.pgconn.transaction_status == TransactionStatus.ACTIVE:
                raise DatabaseUnreachable("a run was ended in the middle of a statement")
            with translated_errors():
                execute(conn, step.statements.encode(), *step.parameters)
        elif step is Command.CONNECT:
            self.conn = conn = self._connection.open()
            return conn.set_again_after_reset if isinstance(conn, ResettableConnection) else None
        else:
            conn, self.conn = self.conn, None
            assert conn is not None
            outdated = False
            if isinstance(conn, ReceiverConnection):
                conn.protocol, outdated = None, conn.is_outdated
            if step is Command.DROP or outdated:
                conn.close()
            else:
                _roll_back(conn)
        return None


class RunConnection:
    """The connection of one run, for as long as the run lasts. It joins the transaction when it is first used."""

    def __init__(
        self, shared: SharedTransaction, delivery: DeliveryIdentity, changes: Sequence[ChangeOrigin] = ()
    ) -> None:
        self._shared = shared
        self._changes = changes
        self._delivery = delivery
        self.conn: SyncConnection | None = None
        self.ended = False

    def __call__(self) -> SyncConnection:
        """Join the transaction if need be, and return its connection.

        Raises:
            psycopg.InterfaceError: the run has ended: a statement would belong to no run.
            DatabaseUnreachable, GaveWay: as ``SharedTransaction.join``.
        """
        if self.ended:
            refuse()
        if self.conn is None:
            self.conn = self._shared.join(self._delivery, self._changes)
        return self.conn

    def end(self) -> None:
        """The run has ended. A thread that is left may have the connection, and would write in a later run with it."""
        self.ended = True
        if self.conn is not None and Leftovers.threads():
            self._shared.take_from_run()

    @property
    def is_lost(self) -> bool:
        """Whether it was opened, and is closed now."""
        return self.conn is not None and self.conn.closed

    def note(self, exc: BaseException) -> None:
        """Close the connection after the run, if the error says that what the driver has prepared is outdated."""
        if isinstance(self.conn, ReceiverConnection) and is_stale_plan(exc):
            self.conn.is_outdated = True

    def undo(self) -> None:
        """Undo the run's writes.

        Raises: as ``SharedTransaction.undo``.
        """
        if self.conn is not None:
            self._shared.undo()


def _roll_back(conn: SyncConnection) -> None:
    """Roll back a transaction if one is open. A connection on which that is not possible is closed."""
    if conn.closed or conn.pgconn.transaction_status == TransactionStatus.IDLE:
        return
    try:
        if conn.pgconn.transaction_status == TransactionStatus.ACTIVE:
            conn.cancel_safe(timeout=CANCEL_S)  # or the statement and its locks would outlive the run
            conn.close()
        else:
            execute(conn, query("rollback").encode())
    except psycopg.Error:
        conn.close()
