"""The protocol between a run and the database, without I/O: which statements are sent, when, and how errors are read.

A receiver's first use of its connection begins a transaction that is marked as the run's. Its result is recorded in
that transaction. Short runs of one hook may share a transaction: each run after the first has a savepoint, so that it
can be undone alone, and all commit together with their results.

Messages to the server take half of the time of a fast receiver. So begin and mark are one message, joining is one
message, and so are results and commit.

Each operation is a generator of steps. A driver performs them one by one, resumes the generator after a step that
worked, and throws the error of a step that failed into it: ``in_loop.transaction`` drives asyncpg,
``in_process.transaction`` drives psycopg.
"""

from collections.abc import Generator, Sequence
from enum import Enum, auto
from typing import NamedTuple, TypeVar

import msgspec

from jobhooks.contract.nautobot.identities import ChangeOrigin
from jobhooks.contract.run import DeliveryIdentity
from jobhooks.engine.delivery.outcome import Outcome
from jobhooks.engine.running.result_statements import (
    begin_run,
    end_results,
    end_runs,
    join_run,
    results_parameters,
    says_only_success,
)
from jobhooks.engine.running.sharing_policy import GaveWay
from jobhooks.errors import DatabaseUnreachable
from jobhooks.store.connections import is_lock_timeout, is_stale_plan
from jobhooks.store.queries import find_query, query

T = TypeVar("T")


class State(Enum):
    """The state of a transaction on the server."""

    NEW = auto()  # nothing
    ONE = auto()  # one run is in it, without a savepoint
    SEVERAL = auto()  # the current run has a savepoint; others may be before it
    BROKEN = auto()  # it cannot commit, or whether it did is unknown
    COMMITTED = auto()
    ENDED = auto()  # rolled back


NEEDS_END = frozenset({State.ONE, State.SEVERAL, State.BROKEN})


class Command(Enum):
    """Steps that are no message to the server."""

    CONNECT = auto()  # get an open connection, in no transaction
    DROP = auto()  # close the connection: the state of its session is unknown
    RELEASE = auto()  # roll back if a transaction is open, and give the connection back


class Send(NamedTuple):
    """Send this to the server. With ``parameters``, one statement; without, any number of them in one message."""

    statements: str
    parameters: tuple[object, ...] = ()


# A driver answers CONNECT with the statement that makes the session's settings again after a reset, or an empty text.
Steps = Generator[Command | Send, str | None, T]


class Ended(Enum):
    """How a run ended that an error ended."""

    FAILED = auto()  # the receiver's failure
    GAVE_WAY = auto()  # the run was in the way of others, or would wait for a lock: undo it and run it by itself
    LOST = auto()  # the connection is gone, whether the run committed is unknown; or the driver's caches are outdated


class RunProtocol:
    """One transaction, and the runs that are in it, one after the other. ``version``: of their receiver."""

    __slots__ = ("_set_again", "closed", "state", "version")

    def __init__(self, version: int | None = None) -> None:
        self.version = version
        self.state = State.NEW
        self.closed = False  # no further run may join
        self._set_again = ""  # for the settings of the connection's session

    @property
    def needs_end(self) -> bool:
        """Whether there is something to roll back."""
        return self.state in NEEDS_END

    @property
    def is_shared(self) -> bool:
        """Whether the current run may have others before it."""
        return self.state is State.SEVERAL

    @property
    def broken(self) -> bool:
        """Whether everything in the transaction is lost."""
        return self.state is State.BROKEN

    def join(self, delivery: DeliveryIdentity, changes: Sequence[ChangeOrigin] = ()) -> Steps[None]:
        """Begin the transaction for this run, or let the run join after the others.

        ``changes``: those that the run is for. An idle connection may have been cut: then a second one is tried. An
        error of joining breaks the transaction, as it is a run before this one that left it in such a state.
        """
        assert not self.closed
        if self.state is State.NEW:
            try:
                yield from self._begin(delivery, changes)
            except DatabaseUnreachable:
                yield from self._begin(delivery, changes)
            self.state = State.ONE
            return
        try:
            yield Send(join_run(delivery, self._set_again, changes, is_second=self.state is State.ONE))
        except BaseException:
            self.state = State.BROKEN
            raise
        self.state = State.SEVERAL

    def undo(self) -> Steps[None]:
        """Undo the current run. Runs before it stay; a run that is alone is rolled back with its transaction."""
        if self.state is State.ONE:
            self.state = State.NEW
            yield Command.RELEASE
        elif self.state is State.SEVERAL:
            try:
                yield Send(query("undo_run"))
            except BaseException:
                self.state = State.BROKEN
                raise

    def record(
        self,
        deliveries: Sequence[DeliveryIdentity],
        job_id: int,
        outcome: Outcome,
        encoding: str | None,
        *,
        commit: bool,
    ) -> Steps[Outcome]:
        """Record the outcome of one call for these deliveries; ``commit`` it if no other run follows.

        ``encoding``: the server's. If the outcome is only a success, its result is sent with the commit.
        """
        if not commit:
            yield self._results(deliveries, job_id, outcome, encoding)
        elif says_only_success(outcome):
            yield from self._commit(end_results(deliveries, job_id, outcome, self.version))
        else:
            yield self._results(deliveries, job_id, outcome, encoding)
            yield from self._commit(query("commit"))
        return recorded(outcome)

    def commit_all(self, runs: Sequence[tuple[DeliveryIdentity, int, Outcome]]) -> Steps[None]:
        """Commit runs, each with the id of its job, together with the results that are not recorded yet.

        Raises:
            DatabaseUnreachable: the transaction is broken; nothing is sent.
        """
        unrecorded = [run for run in runs if not run[2].recorded]
        yield from self._commit(end_runs(unrecorded, self.version) if unrecorded else query("commit"))

    def end(self) -> Steps[None]:
        """Roll back unless it is committed, or no transaction has begun."""
        self.closed = True
        if self.needs_end:
            self.state = State.ENDED
            yield Command.RELEASE

    def keep_to_one(self) -> None:
        """Let the current run be the only one: its next statement could affect the others.

        Raises:
            GaveWay: there are others.
        """
        if self.is_shared:
            raise GaveWay
        self.closed = True

    def how_it_ended(self, exc: BaseException, *, lost: bool) -> Ended:
        """Classify an error that ended the current run. ``lost``: the connection is closed."""
        if isinstance(exc, GaveWay):
            return Ended.GAVE_WAY
        if lost or isinstance(exc, DatabaseUnreachable) or is_stale_plan(exc):
            return Ended.LOST
        return Ended.GAVE_WAY if self.gives_way(exc) else Ended.FAILED

    def gives_way(self, exc: BaseException) -> bool:
        """Whether the current run would wait for a lock while it holds those of others."""
        return self.is_shared and is_lock_timeout(exc)

    def _begin(self, delivery: DeliveryIdentity, changes: Sequence[ChangeOrigin]) -> Steps[None]:
        self._set_again = (yield Command.CONNECT) or ""
        try:
            yield Send(begin_run(delivery, self._set_again, changes))
        except GeneratorExit:
            raise
        except BaseException:
            yield Command.DROP  # whether the transaction has begun is unknown
            raise

    def _results(
        self, deliveries: Sequence[DeliveryIdentity], job_id: int, outcome: Outcome, encoding: str | None
    ) -> Send:
        found = find_query("record_results")
        parameters = results_parameters(deliveries, job_id, outcome, self.version, encoding)
        return Send(found.text, found.arguments(parameters))

    def _commit(self, statements: str) -> Steps[None]:
        if self.broken:
            raise DatabaseUnreachable
        self.closed = True
        try:
            yield Send(statements)
        except BaseException:
            self.state = State.BROKEN
            raise
        self.state = State.COMMITTED
        yield Command.RELEASE


def recorded(outcome: Outcome) -> Outcome:
    """Mark an outcome as recorded."""
    return msgspec.structs.replace(outcome, recorded=True)
