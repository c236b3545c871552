"""The protocol of a run, without a database: its steps, their order, and the meaning of errors."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypeVar

import pytest
from hypothesis import settings
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from jobhooks.contract.choices import JobResultStatus
from jobhooks.contract.run import DeliveryIdentity
from jobhooks.engine.delivery.outcome import Outcome
from jobhooks.engine.running.run_protocol import Command, Ended, RunProtocol, Send, State, Steps
from jobhooks.engine.running.sharing_policy import GaveWay
from jobhooks.errors import AlreadySettled, DatabaseUnreachable, JobhooksError

T = TypeVar("T")
SUCCESS = Outcome(1.0, 2.0, JobResultStatus.SUCCESS)
FAILURE = Outcome(1.0, 2.0, JobResultStatus.FAILURE, error="logged")
CONNECT, DROP, RELEASE = Command.CONNECT, Command.DROP, Command.RELEASE
BEGIN, JOIN, NEXT, UNDO = "begin", "savepoint", "release+savepoint", "rollback to"
SUCCESS_COMMIT, SUCCESSES_COMMIT, RESULTS, COMMIT = "result+commit", "results+commit", "record results", "commit"


def run_of(change_id: int) -> DeliveryIdentity:
    return DeliveryIdentity(change_id, 1, 1)


class LockTimeout(Exception):
    sqlstate = "55P03"


@dataclass
class Driver:
    """Performs steps by writing them down; ``fails`` says which of them fail."""

    fails: Callable[[str | Command], BaseException | None] = lambda _: None
    performed: list[str | Command] = field(default_factory=list[str | Command])

    def drive(self, steps: Steps[T]) -> T:
        try:
            step = next(steps)
            while True:
                name = kind_of(step)
                self.performed.append(name)
                error = self.fails(name)
                step = next(steps) if error is None else steps.throw(error)
        except StopIteration as end:
            return end.value


def kind_of(step: Command | Send) -> str | Command:
    """Classify a message by its statements."""
    if isinstance(step, Command):
        return step
    text = "\n".join(line for line in step.statements.splitlines() if not line.startswith("--"))
    if "record_results(" in text:
        assert step.parameters
        return RESULTS
    assert not step.parameters
    commits = text.strip().endswith("commit")
    if "record_successes(" in text:
        assert commits
        return SUCCESSES_COMMIT
    if "record_result(" in text:
        assert commits
        return SUCCESS_COMMIT
    if "rollback to savepoint" in text:
        return UNDO
    if "savepoint jobhooks" in text:
        return NEXT if text.startswith("release savepoint") else JOIN
    if "begin isolation level" in text:
        return BEGIN
    assert text == "commit"
    return COMMIT


def failing(
    kind: str | Command, error: BaseException, times: int = 1
) -> Callable[[str | Command], BaseException | None]:
    left = [error] * times
    return lambda performed: left.pop() if performed is kind and left else None


def joined(runs: int, driver: Driver | None = None) -> RunProtocol:
    """A protocol with that number of runs."""
    protocol = RunProtocol()
    for number in range(1, runs + 1):
        (driver or Driver()).drive(protocol.join(run_of(number)))
    return protocol


def test_a_run_by_itself_takes_two_messages() -> None:
    driver = Driver()
    protocol = joined(1, driver)
    outcome = driver.drive(protocol.record([run_of(1)], 7, SUCCESS, "UTF8", commit=True))
    driver.drive(protocol.end())
    assert driver.performed == [CONNECT, BEGIN, SUCCESS_COMMIT, RELEASE]
    assert outcome.recorded and protocol.state is State.COMMITTED


@pytest.mark.parametrize("runs", [2, 3, 32])
def test_each_further_run_takes_one_message_and_the_commit_one_for_all(runs: int) -> None:
    """The first run has no savepoint that the second one could release."""
    driver = Driver()
    protocol = joined(runs, driver)
    driver.drive(protocol.commit_all([(run_of(number), 7, SUCCESS) for number in range(1, runs + 1)]))
    assert driver.performed == [CONNECT, BEGIN, JOIN, *[NEXT] * (runs - 2), SUCCESSES_COMMIT, RELEASE]
    assert sum(isinstance(step, str) for step in driver.performed) == runs + 1


def test_an_outcome_with_text_is_recorded_in_a_message_before_the_commit() -> None:
    driver = Driver()
    driver.drive(joined(1, driver).record([run_of(1)], 7, FAILURE, "UTF8", commit=True))
    assert driver.performed == [CONNECT, BEGIN, RESULTS, COMMIT, RELEASE]


def test_a_batch_is_recorded_in_one_message_with_the_commit() -> None:
    driver = Driver()
    driver.drive(joined(1, driver).record([run_of(1), run_of(2)], 7, SUCCESS, "UTF8", commit=True))
    assert driver.performed == [CONNECT, BEGIN, SUCCESSES_COMMIT, RELEASE]


def test_results_that_are_recorded_are_not_sent_with_the_commit() -> None:
    driver = Driver()
    protocol = joined(2, driver)
    first = driver.drive(protocol.record([run_of(1)], 7, FAILURE, "UTF8", commit=False))
    assert first.recorded and protocol.state is State.SEVERAL
    driver.drive(protocol.commit_all([(run_of(1), 7, first), (run_of(2), 7, first)]))
    assert driver.performed[3:] == [RESULTS, COMMIT, RELEASE]


def test_an_idle_connection_that_was_cut_is_replaced_once() -> None:
    driver = Driver(failing(BEGIN, DatabaseUnreachable()))
    assert joined(1, driver).state is State.ONE
    assert driver.performed == [CONNECT, BEGIN, DROP, CONNECT, BEGIN]
    driver = Driver(failing(BEGIN, DatabaseUnreachable(), times=2))
    protocol = RunProtocol()
    with pytest.raises(DatabaseUnreachable):
        driver.drive(protocol.join(run_of(1)))
    assert driver.performed == [CONNECT, BEGIN, DROP] * 2 and protocol.state is State.NEW


@pytest.mark.parametrize("error", [KeyboardInterrupt(), GaveWay(), JobhooksError()])
def test_a_connection_on_which_begin_was_interrupted_is_dropped(error: BaseException) -> None:
    """Whether a transaction has begun there is unknown."""
    driver = Driver(failing(BEGIN, error))
    protocol = RunProtocol()
    with pytest.raises(type(error)):
        driver.drive(protocol.join(run_of(1)))
    assert driver.performed == [CONNECT, BEGIN, DROP] and protocol.state is State.NEW


def test_a_run_that_is_alone_is_undone_with_its_transaction_and_another_may_begin() -> None:
    driver = Driver()
    protocol = joined(1, driver)
    driver.drive(protocol.undo())
    assert driver.performed == [CONNECT, BEGIN, RELEASE] and protocol.state is State.NEW
    driver.drive(protocol.join(run_of(2)))
    assert driver.performed[3:] == [CONNECT, BEGIN]


def test_undoing_one_of_several_keeps_those_before_it() -> None:
    driver = Driver()
    protocol = joined(2, driver)
    driver.drive(protocol.undo())
    driver.drive(protocol.commit_all([(run_of(1), 7, SUCCESS)]))
    assert driver.performed == [CONNECT, BEGIN, JOIN, UNDO, SUCCESSES_COMMIT, RELEASE]


@pytest.mark.parametrize("kind", [JOIN, UNDO, SUCCESSES_COMMIT])
def test_a_transaction_is_broken_by_a_failure_to_join_undo_or_commit(kind: str) -> None:
    driver = Driver(failing(kind, JobhooksError("no")))
    protocol = joined(1, driver)
    runs = [(run_of(1), 7, SUCCESS)]
    with pytest.raises(JobhooksError, match="no"):
        driver.drive(protocol.join(run_of(2)))
        driver.drive(protocol.undo())
        driver.drive(protocol.commit_all(runs))
    performed = len(driver.performed)
    assert protocol.broken
    with pytest.raises(DatabaseUnreachable):
        driver.drive(protocol.commit_all(runs))
    driver.drive(protocol.undo())
    assert len(driver.performed) == performed  # neither sent anything
    driver.drive(protocol.end())
    driver.drive(protocol.end())
    assert driver.performed[performed:] == [RELEASE]


def test_a_result_that_is_refused_breaks_nothing() -> None:
    """The run is undone, and those before it still commit."""
    driver = Driver(failing(RESULTS, AlreadySettled()))
    protocol = joined(2, driver)
    with pytest.raises(AlreadySettled):
        driver.drive(protocol.record([run_of(2)], 7, FAILURE, "UTF8", commit=False))
    driver.drive(protocol.undo())
    driver.drive(protocol.commit_all([(run_of(1), 7, SUCCESS)]))
    assert protocol.state is State.COMMITTED


def test_a_run_keeps_to_itself_only_if_it_is_alone() -> None:
    protocol = joined(1)
    protocol.keep_to_one()
    assert protocol.closed
    protocol = joined(2)
    with pytest.raises(GaveWay):
        protocol.keep_to_one()
    assert not protocol.closed


@pytest.mark.parametrize(
    ("runs", "error", "lost", "ended"),
    [
        (1, ValueError(), False, Ended.FAILED),
        (2, ValueError(), False, Ended.FAILED),
        (1, ValueError(), True, Ended.LOST),
        (1, DatabaseUnreachable(), False, Ended.LOST),
        (2, GaveWay(), True, Ended.GAVE_WAY),
        (1, LockTimeout(), False, Ended.FAILED),  # the receiver's own lock_timeout
        (2, LockTimeout(), False, Ended.GAVE_WAY),
        (2, LockTimeout(), True, Ended.LOST),
    ],
)
def test_what_an_error_means(runs: int, error: BaseException, lost: bool, ended: Ended) -> None:
    assert joined(runs).how_it_ended(error, lost=lost) is ended


def test_an_error_that_comes_from_a_lock_timeout_gives_way() -> None:
    """Receivers wrap the driver's errors in their own."""
    error = ValueError()
    error.__cause__ = LockTimeout()
    assert joined(2).gives_way(error)


class RunsInOneTransaction(RuleBasedStateMachine):
    """Any order of operations, each may fail, against a model of the server."""

    @initialize()
    def begin(self) -> None:
        self.protocol = RunProtocol()
        self.connected = False
        self.written: list[int] = []  # by the runs in the transaction
        self.saved: list[int] | None = None  # at the savepoint
        self.aborted = False
        self.committed: list[int] | None = None
        self.error: BaseException | None = None
        self.number = 0

    def drive(self, steps: Steps[T]) -> T | None:
        """Perform the steps on the model; the next statement fails if ``error`` is set."""
        try:
            step = next(steps)
            while True:
                try:
                    self.perform(kind_of(step))
                except JobhooksError as exc:
                    step = steps.throw(exc)
                else:
                    step = next(steps)
        except StopIteration as end:
            return end.value
        except JobhooksError:
            return None

    def perform(self, kind: str | Command) -> None:
        if kind is CONNECT:
            assert not self.connected
            self.connected = True
            return
        assert self.connected, "every other step needs a connection"
        if kind in {RELEASE, DROP}:
            self.connected = False
            self.written, self.saved, self.aborted = [], None, False
            return
        error, self.error = self.error, None
        if error is not None or (self.aborted and kind != UNDO):
            self.aborted = True
            raise error or JobhooksError("the transaction is aborted")
        match kind:
            case "begin":
                assert not self.written and self.saved is None
            case "savepoint":
                assert self.saved is None, "the second run would leave a savepoint behind"
                self.saved = list(self.written)
            case "release+savepoint":
                assert self.saved is not None, "there is no savepoint to release"
                self.saved = list(self.written)
            case "rollback to":
                assert self.saved is not None
                self.written, self.aborted = list(self.saved), False
            case "record results":
                pass
            case _:
                assert self.committed is None, "it commits once"
                self.committed, self.written, self.saved = list(self.written), [], None

    @rule()
    def next_statement_fails(self) -> None:
        self.error = JobhooksError("injected")

    @precondition(lambda self: not self.protocol.closed and not self.protocol.broken)
    @rule()
    def join_and_write(self) -> None:
        self.number += 1
        self.drive(self.protocol.join(run_of(self.number)))
        if not self.protocol.broken and self.protocol.state is not State.NEW:
            self.written.append(self.number)

    @precondition(lambda self: self.protocol.state in {State.ONE, State.SEVERAL} and not self.protocol.closed)
    @rule()
    def undo(self) -> None:
        """The runs before the current one stay."""
        before = [] if self.saved is None else list(self.saved)
        self.drive(self.protocol.undo())
        assert self.protocol.broken or self.written == before

    @rule()
    def keep_to_one(self) -> None:
        if self.protocol.is_shared:
            with pytest.raises(GaveWay):
                self.protocol.keep_to_one()
        else:
            self.protocol.keep_to_one()
            assert self.protocol.closed

    @precondition(lambda self: self.protocol.state in {State.ONE, State.SEVERAL, State.BROKEN})
    @rule()
    def commit(self) -> None:
        written, was_broken = list(self.written), self.protocol.broken
        self.drive(self.protocol.commit_all([(run_of(number), 7, SUCCESS) for number in [*written, 10_000]]))
        assert self.protocol.closed or was_broken
        if self.committed is not None:
            assert self.committed == written and not was_broken

    @rule()
    def end(self) -> None:
        self.drive(self.protocol.end())
        assert not self.connected and self.protocol.closed

    @invariant()
    def a_committed_transaction_holds_no_connection(self) -> None:
        if self.protocol.state in {State.COMMITTED, State.ENDED, State.NEW}:
            assert not self.connected
        if self.protocol.state in {State.ONE, State.SEVERAL, State.BROKEN}:
            assert self.connected

    def teardown(self) -> None:
        self.drive(self.protocol.end())
        assert not self.connected


TestRunsInOneTransaction = RunsInOneTransaction.TestCase
TestRunsInOneTransaction.settings = settings(max_examples=200, stateful_step_count=20, deadline=None)
