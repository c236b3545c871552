"""``self.connection`` of a ``def`` receiver: psycopg's connection, without commit and rollback."""

import _thread
import contextlib
from collections.abc import Generator, Iterable
from typing import Any, NoReturn, Self

import psycopg
from psycopg import sql
from psycopg.abc import Params, Query

from jobhooks.engine.running.run_protocol import RunProtocol
from jobhooks.engine.running.sharing_policy import CANNOT_PREPARE, GaveWay, may_share, prepares
from jobhooks.store.connections import ResettableConnection, is_stale_plan

RUN_HAS_ENDED = "this run of the receiver has ended, and its connection with it"


class Leftovers:
    """What runs have left in this process."""

    late_use = False  # code of a run has used its connection after the run
    own_threads = 0  # how many threads the worker has itself

    @classmethod
    def threads(cls) -> int:
        """The number of Python threads, except the main thread and those of the worker."""
        return _thread._count() - cls.own_threads  # pyright: ignore - threading leaves out those of _thread


def refuse(*_arguments: object, **_options: object) -> NoReturn:
    """Refuse to use a connection after its run: the statement would belong to no run, or to a later one.

    Raises:
        psycopg.InterfaceError: always.
    """
    Leftovers.late_use = True
    raise psycopg.InterfaceError(RUN_HAS_ENDED)


class ReceiverConnection(ResettableConnection):
    """The connection of a ``def`` receiver, whose transaction commits with the run's result, and not before."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.cursor_factory = ReceiverCursor
        self.protocol: RunProtocol | None = None  # of the transaction that the current run is in
        self.is_outdated = False  # a statement that it prepared does not fit its tables any more

    def successor(self) -> Self:
        """Another object for the same session, for the runs that follow. This one refuses every use from now on."""
        new = type(self)(self.pgconn)
        vars(new).update(vars(self))
        # psycopg does everything in wait(), with the lock held that both objects share.
        vars(self).update(pgconn=psycopg.pq.PGconn(), protocol=None, wait=refuse, cursor=refuse)
        return new

    def commit(self) -> NoReturn:
        """Refuse: the run's result would not be in the same transaction."""
        raise psycopg.ProgrammingError("a receiver cannot commit: what it writes commits with the result of its run")

    def rollback(self) -> NoReturn:
        """Refuse, for the same reason."""
        raise psycopg.ProgrammingError(
            "a receiver cannot roll back: raise an error, or use self.connection.transaction()"
        )


class ReceiverCursor(psycopg.Cursor[Any]):
    """A cursor that keeps a run to itself if a statement is more than a query, and ends a run that waits for locks."""

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
        protocol = None
        if isinstance(connection, ReceiverConnection):
            protocol = connection.protocol
            if protocol is None:
                refuse()
        if protocol is not None and not may_share(text := _text(query, connection)):
            if prepares(text):
                raise psycopg.ProgrammingError(CANNOT_PREPARE)
            protocol.keep_to_one()
        try:
            yield
        except psycopg.Error as exc:
            if isinstance(connection, ReceiverConnection) and is_stale_plan(exc):
                connection.is_outdated = True
            if protocol is not None and protocol.gives_way(exc):
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
            return ""  # unknown, so the run keeps to itself
