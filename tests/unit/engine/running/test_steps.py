"""The steps around a receiver's work, called without a database."""

import asyncio
import math
from collections.abc import Awaitable, Callable, Coroutine
from decimal import Decimal
from typing import Any

import pytest

from jobhooks.contract.choices import JobResultStatus
from jobhooks.contract.control import LoggedFailure
from jobhooks.contract.receiver import JobHookReceiver
from jobhooks.contract.run import DeliveryIdentity, Run
from jobhooks.engine.delivery.lasting_errors import RetryRules
from jobhooks.engine.delivery.outcome import Clock, Outcome, completed, failed
from jobhooks.engine.running.run_protocol import recorded
from jobhooks.engine.running.steps import (
    Ending,
    after_run,
    after_run_async,
    computed_pause,
    in_steps,
    in_steps_async,
    refuse_awaitable,
)

CLOCK = Clock()


class Steps(JobHookReceiver[Any]):
    """Writes down which steps were called, and logs or raises in the step that ``at`` names."""

    at = ""
    error: BaseException | None = None

    def note(self, step: str, value: object = None) -> None:
        self.called = [*getattr(self, "called", []), (step, value)]
        if step == self.at:
            if self.error is not None:
                raise self.error
            self.log_failure(f"at {step}")

    def before_start(self) -> None:
        self.note("before_start")

    def on_success(self, value: object) -> None:
        self.note("on_success", value)

    def on_failure(self, exc: BaseException) -> None:
        self.note("on_failure", str(exc))

    def after_return(self, status: JobResultStatus, value: object) -> None:
        self.note("after_return", (status, str(value)))

    def work(self) -> int:
        self.note("work")
        return 7

    async def work_async(self) -> int:
        return self.work()


def made(at: str = "", error: BaseException | None = None) -> Steps:
    receiver = Steps(Run(DeliveryIdentity(1, 1, 1), lambda: None))
    receiver.at, receiver.error = at, error
    return receiver


def names(receiver: Steps) -> list[str]:
    return [step for step, _ in receiver.called]


def run_def(receiver: Steps) -> object:
    return in_steps(receiver, receiver.work)


def run_async(receiver: Steps) -> object:
    return asyncio.run(_awaited(in_steps_async(receiver, receiver.work_async)))


async def _awaited(coroutine: Awaitable[object]) -> object:
    return await coroutine


BOTH = pytest.mark.parametrize("run", [run_def, run_async])
RunSteps = Callable[[Steps], object]


@BOTH
def test_the_steps_of_a_success_are_called_in_order(run: RunSteps) -> None:
    receiver = made()
    assert run(receiver) == 7
    assert receiver.called == [("before_start", None), ("work", None), ("on_success", 7)]


@BOTH
@pytest.mark.parametrize(("at", "called"), [("before_start", ["before_start"]), ("work", ["before_start", "work"])])
def test_a_logged_failure_ends_the_steps(run: RunSteps, at: str, called: list[str]) -> None:
    receiver = made(at)
    run(receiver)
    assert names(receiver) == called


@BOTH
def test_an_error_of_a_step_is_the_run_s_own(run: RunSteps) -> None:
    with pytest.raises(ValueError, match="no"):
        run(made("on_success", ValueError("no")))


def last_def(ending: Ending, outcome: Outcome, *, sensitive: bool) -> Outcome:
    return after_run(ending, outcome, sensitive=sensitive)


def last_async(ending: Ending, outcome: Outcome, *, sensitive: bool) -> Outcome:
    def unlimited(step: Coroutine[Any, Any, object]) -> Awaitable[object]:
        return step

    return asyncio.run(after_run_async(ending, outcome, unlimited, sensitive=sensitive))


LAST = pytest.mark.parametrize("last", [last_def, last_async])
LastSteps = Callable[..., Outcome]


@LAST
def test_after_a_success_there_is_only_after_return(last: LastSteps) -> None:
    receiver = made()
    outcome = completed(1.0, CLOCK, receiver.logger.log_of_run, 7)
    assert last(Ending(receiver, 7), outcome, sensitive=False) is outcome
    assert receiver.called == [("after_return", (JobResultStatus.SUCCESS, "7"))]


@LAST
def test_after_a_failure_both_get_the_error(last: LastSteps) -> None:
    receiver, error = made(), ValueError("no")
    outcome = failed(1.0, CLOCK, receiver.logger.log_of_run, error)
    ending = Ending(receiver, None, error)
    last(ending, outcome, sensitive=False)
    assert receiver.called == [("on_failure", "no"), ("after_return", (JobResultStatus.FAILURE, "no"))]
    assert ending.exc is None  # no cycle through its frames is left


@LAST
def test_a_logged_failure_is_an_error_that_says_so(last: LastSteps) -> None:
    receiver = made()
    receiver.log_failure("not good")
    outcome = completed(1.0, CLOCK, receiver.logger.log_of_run, 7)
    steps = Ending(receiver, 7).steps(outcome)
    assert [step.name for step in steps] == ["on_failure", "after_return"]
    last(Ending(receiver, 7), outcome, sensitive=False)
    assert receiver.called[0] == ("on_failure", str(LoggedFailure("not good")))


@LAST
@pytest.mark.parametrize(("sensitive", "message"), [(False, "raised ValueError: Ann"), (True, "raised ValueError")])
def test_an_error_of_a_last_step_is_logged_and_changes_nothing(last: LastSteps, sensitive: bool, message: str) -> None:
    receiver = made("after_return", ValueError("Ann"))
    outcome = completed(1.0, CLOCK, receiver.logger.log_of_run, 7)
    after = last(Ending(receiver, 7), outcome, sensitive=sensitive)
    assert after.status is JobResultStatus.SUCCESS and [line.message for line in after.log] == [message]


@LAST
def test_lines_after_a_recorded_result_do_not_belong_to_it(last: LastSteps) -> None:
    receiver = made("after_return", ValueError("no"))
    outcome = recorded(completed(1.0, CLOCK, receiver.logger.log_of_run, 7))
    after = last(Ending(receiver, 7), outcome, sensitive=False)
    assert after.log == () and [line.message for line in after.afterwards] == ["raised ValueError: no"]


def test_an_ending_without_a_receiver_has_no_steps() -> None:
    assert Ending().steps(Outcome(1.0, 2.0, JobResultStatus.SUCCESS)) == []


def test_an_awaitable_of_a_def_receiver_is_refused() -> None:
    """Its work would never run, and the run would be a success."""
    with pytest.raises(TypeError, match="not awaited"):
        refuse_awaitable(made().work_async())
    refuse_awaitable(7)


class Unshown:
    def __repr__(self) -> str:
        raise RuntimeError("no")


@pytest.mark.parametrize(
    ("returned", "pause"),
    [
        *((number, number) for number in (0, 5, 0.5, 366 * 86_400)),
        *((number, None) for number in (-1, math.nan, math.inf, 366 * 86_401, 10**5000, True, Decimal(1), "1", None)),
        (Unshown(), None),
    ],
    ids=lambda value: type(value).__name__,
)
def test_a_pause_is_a_number_of_seconds_or_the_usual_one(returned: object, pause: float | None) -> None:
    """Whatever the function of the receiver returns, the error of the run is the one that is stored."""

    class Paused(Steps):
        class Meta:
            @staticmethod
            def backoff(_failures: int) -> object:
                return returned

    receiver = made()
    log = receiver.logger.log_of_run
    assert computed_pause(Paused, RetryRules((), (), True, 15, 0, False), ValueError(), log) == pause
    assert len(log.entries) == (pause is None)
