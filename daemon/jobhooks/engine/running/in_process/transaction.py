"""The connection of a worker process, and the transactions that its runs write in: of one, or of several short ones."""

import contextlib
from collections.abc import Generator, Iterable
from typing import Any, NoReturn

import psycopg
from psycopg import sql
from psycopg.abc import Params, Query
from psycopg.pq import TransactionStatus
from psycopg.rows import TupleRow, tuple_row

from jobhooks.contract.run import DeliveryIdentity
from jobhooks.engine.running.result_statements import join_run
from jobhooks.engine.running.sharing import GaveWay, may_share
from jobhooks.errors import DatabaseUnreachable, JobhooksError
from jobhooks.store.connections import SyncConnection, connect, execute, is_lock_timeout, translated_errors
from jobhooks.store.queries import filled, query

APPLICATION_NAME = "jobhooks receiver"
RUN_HAS_ENDED = "this run of the receiver has ended, and its connection with it"
CANCEL_S = 2.0  # for which the server may take to hear that a statement is to end


class ReceiverConnection(psycopg.Connection[TupleRow]):
    """The connection of a ``def`` receiver, whose transaction commits with the run's result, and not before."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.cursor_factory = ReceiverCursor
        self.shared: SharedTransaction | None = None

    def commit(self) -> NoReturn:
        """Refuse: the run's result would not be in the transaction any more."""
        raise psycopg.ProgrammingError("a receiver cannot commit: what it writes commits with the result of its run")

    def rollback(self) -> NoReturn:
        """Refuse, for the same reason."""
        raise psycopg.ProgrammingError(
            "a receiver cannot roll back: raise an error, or use self.connection.transaction()"
        )


class ReceiverCursor(psycopg.Cursor[Any]):
    """A cursor by which a receiver's run keeps to itself if it does more than to query, and gives way to locks."""

    def execute(self, query: Any, params: Any = None, **options: Any) -> Any:  # psycopg's has overloads
        """Run a statement, as psycopg's does."""
        with self._watched(query):
            return super().execute(query, params, **options)

    def executemany(self, query: Query, params_seq: Iterable[Params], **options: Any) -> None:
        """Run a statement again and again, as psycopg's does."""
        with self._watched(query):
            super().executemany(query, params_seq, **options)

    @contextlib.contextmanager
    def _watched(self, query: Query) -> Generator[None]:
        connection = self.connection
        shared = None
        if isinstance(connection, ReceiverConnection):
            shared = connection.shared
            if shared is None:
                raise psycopg.InterfaceError(RUN_HAS_ENDED)  # what is written now would be nobody's
        if shared is not None and not may_share(_text(query, connection)):
            shared.keep_to_one()
        try:
            yield
        except psycopg.Error as exc:
            if shared is not None and shared.is_shared and is_lock_timeout(exc):
                raise GaveWay from exc
            raise


def _text(query: Query, connection: psycopg.Connection[Any]) -> str:
    match query:
        case str():
            return query
        case bytes():
            return query.decode(errors="replace")
        case sql.Composable():
            return query.as_string(connection)
        case _:
            return ""  # what is not known keeps to itself


class Connection:
    """The connection that this process keeps: opened when a receiver first needs it, or it was lost."""

    def __init__(self, database_url: str) -> None:
        self._database_url = database_url
        self._conn: SyncConnection | None = None

    def begin(self, mark: str) -> SyncConnection:
        """Return it, in a transaction that is marked as a run's.

        Raises:
            DatabaseUnreachable: it could not be opened; nothing was written.
        """
        statements = filled("begin_run", f"'{mark}'").encode()
        if self._conn is not None and not self._conn.closed:
            try:
                with translated_errors():
                    execute(self._conn, statements)
                self._conn.row_factory = tuple_row
                return self._conn
            except DatabaseUnreachable:
                self._conn.close()  # it was cut while it was idle
        self._conn = connect(self._database_url, ReceiverConnection, application_name=APPLICATION_NAME)
        with translated_errors():
            execute(self._conn, statements)
        return self._conn

    def close(self) -> None:
        """Close it; the next run opens another."""
        if self._conn is not None:
            self._conn.close()


class SharedTransaction:
    """A transaction that runs join one after the other, and that commits with their results.

    As its namesake for ``async def`` receivers, where it is explained.
    """

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._joined = 0
        self.conn: SyncConnection | None = None
        self.closed = False  # no run may join any more

    def keep_to_one(self) -> None:
        """Let the current run be the only one.

        Raises:
            GaveWay: it is not.
        """
        if self.is_shared:
            raise GaveWay
        self.closed = True

    @property
    def is_shared(self) -> bool:
        """Whether there are runs in it besides the current one."""
        return self._joined > 1

    def join(self, delivery: DeliveryIdentity) -> SyncConnection:
        """Begin the transaction for a run of this delivery, or let it in after the others; return the connection.

        Raises:
            DatabaseUnreachable: the connection could not be opened, or was lost.
            GaveWay: a run before it has left the transaction in a state in which no other can follow.
        """
        if self.conn is None:
            self.conn = self._connection.begin(delivery.mark)
        else:
            try:
                with translated_errors():
                    execute(self.conn, join_run(delivery, after=self._joined).encode())
            except JobhooksError as exc:
                raise GaveWay from exc  # not by this run's doing
            self.conn.row_factory = tuple_row
        self._joined += 1
        if isinstance(self.conn, ReceiverConnection):
            self.conn.shared = self
        return self.conn

    def undo(self) -> None:
        """Undo what the current run wrote; what those before it wrote stays.

        Raises:
            JobhooksError: that cannot be, and all is undone.
        """
        if self.conn is None:
            return
        if self.is_shared:
            if self.conn.info.transaction_status == TransactionStatus.ACTIVE:
                raise DatabaseUnreachable("a run was ended in the middle of a statement")
            with translated_errors():
                execute(self.conn, query("undo_run").encode())
        else:
            self.end()

    def commit(self, statements: str) -> None:
        """Run ``statements``, the last of which commits."""
        assert self.conn is not None
        with translated_errors():
            execute(self.conn, statements.encode())
        _leave(self.conn)

    def end(self) -> None:
        """Roll back what is not committed; a connection that cannot is closed."""
        conn, self.conn, self._joined = self.conn, None, 0
        _leave(conn)
        if conn is None or conn.closed or conn.info.transaction_status == TransactionStatus.IDLE:
            return
        try:
            if conn.info.transaction_status == TransactionStatus.ACTIVE:
                conn.cancel_safe(timeout=CANCEL_S)  # or the statement, with its locks, would outlive the run
                conn.close()
            else:
                execute(conn, query("rollback").encode())
        except psycopg.Error:
            conn.close()


class RunConnection:
    """The connection of one run, as long as that lasts; it joins the transaction when it is first asked for."""

    def __init__(self, shared: SharedTransaction, delivery: DeliveryIdentity) -> None:
        self._shared = shared
        self._delivery = delivery
        self.conn: SyncConnection | None = None
        self.ended = False

    def __call__(self) -> SyncConnection:
        """Return it.

        Raises:
            psycopg.InterfaceError: the run has ended: what would be written now would be nobody's.
            DatabaseUnreachable, GaveWay: as ``SharedTransaction.join``.
        """
        if self.ended:
            raise psycopg.InterfaceError(RUN_HAS_ENDED)
        if self.conn is None:
            self.conn = self._shared.join(self._delivery)
        return self.conn

    @property
    def is_lost(self) -> bool:
        """Whether it was opened, and is closed by now."""
        return self.conn is not None and self.conn.closed

    def undo(self) -> None:
        """Undo what the run wrote.

        Raises: as ``SharedTransaction.undo``.
        """
        if self.conn is not None:
            self._shared.undo()


def _leave(conn: SyncConnection | None) -> None:
    """Let nothing more be written by whoever has kept the connection: the transaction is over."""
    if isinstance(conn, ReceiverConnection):
        conn.shared = None
