"""The steps of a run before and after the receiver's work: before_start, on_success; on_failure, after_return, on_dead.

And the one thing a receiver decides outside of a run: the pause before the next attempt.
"""

import asyncio
import inspect
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple, cast

import msgspec

from jobhooks.contract.change import Change
from jobhooks.contract.changed_object import AsyncChangedObject, LiveRow
from jobhooks.contract.control import LONGEST_RETRY, Discard, LoggedFailure
from jobhooks.contract.log import ReceiverLog, clean_text
from jobhooks.contract.nautobot.step_arguments import call_step
from jobhooks.contract.receiver import JobHookReceiver
from jobhooks.discovery.registry import FoundReceiver
from jobhooks.engine.delivery.lasting_errors import RetryRules
from jobhooks.engine.delivery.outcome import Outcome
from jobhooks.engine.running.output import output_to


def arguments_of(found: FoundReceiver, change: Change) -> dict[str, Any]:
    """The arguments that a receiver takes, without the live row."""
    arguments: dict[str, Any] = {"change": change} if "change" in found.wanted else {}
    if "action" in found.wanted:
        arguments["action"] = change.action
    return arguments


def warn_of_unsaved(live: LiveRow[Any], log: ReceiverLog) -> None:
    """Log a warning if a receiver has assigned columns that it never saved: nothing was written then."""
    if names := live.unsaved():
        call = "await changed_object.save()" if isinstance(live, AsyncChangedObject) else "changed_object.save()"
        log.warning(live, f"assigned and not saved: {', '.join(names)}. Call {call} to write it")


class Step(NamedTuple):
    """A step, the function to call for it, and the log of its run."""

    name: str
    call: Callable[[], object]
    log: ReceiverLog


@dataclass(slots=True)
class Ending:
    """How a run ended, for the steps after it: the ``value`` that the receiver returned, or ``exc`` that it raised.

    ``rules``: those of its delivery, if the receiver has an ``on_dead``; none for a batch, because after a failure each
    of its deliveries is attempted by itself.
    """

    receiver: JobHookReceiver[Any] | None = None
    value: object = None
    exc: BaseException | None = None
    rules: RetryRules | None = None

    def steps(self, outcome: Outcome) -> list[Step]:
        """The steps to call for this ending."""
        if self.receiver is None:
            return []
        exc = self.exc
        if exc is None and outcome.error is not None:
            exc = LoggedFailure(outcome.error)
        value = self.value if self.exc is None else self.exc
        after = _step(self.receiver, "after_return", outcome.status, value, exc=exc)
        if exc is None:
            return [after]
        dead = [dead_step(self.receiver, exc)] if self._makes_dead(outcome) else []
        return [_step(self.receiver, "on_failure", exc, exc=exc), after, *dead]

    def _makes_dead(self, outcome: Outcome) -> bool:
        return outcome.may_call_on_dead and self.rules is not None and self.rules.is_last(outcome.lasting)


def dead_step(receiver: JobHookReceiver[Any], exc: BaseException) -> Step:
    """The step after a failure that makes the delivery dead."""
    return _step(receiver, "on_dead", exc)


def _step(receiver: JobHookReceiver[Any], name: str, *own: object, exc: BaseException | None = None) -> Step:
    delivery = receiver.delivery
    return Step(
        name,
        partial(call_step, receiver, name, own, delivery.mark, delivery.change_id, exc),
        receiver.logger.log_of_run,
    )


def in_steps(receiver: JobHookReceiver[Any], work: Callable[[], object]) -> object:
    """Call a ``def`` receiver's work with ``before_start`` and ``on_success``, and return the work's value.

    If ``before_start`` logs a failure, the work is not called. If either logs one, ``on_success`` is not called.
    """
    refuse_awaitable(_step(receiver, "before_start").call())
    if receiver.logger.failure_message() is not None:
        return None
    value = work()
    refuse_awaitable(value)
    if receiver.logger.failure_message() is None:
        refuse_awaitable(_step(receiver, "on_success", value).call())
    return value


async def in_steps_async(receiver: JobHookReceiver[Any], work: Callable[[], Awaitable[object]]) -> object:
    """The same for an ``async def`` receiver, whose steps may be ``def`` or ``async def``."""
    await _awaited(_step(receiver, "before_start").call)
    if receiver.logger.failure_message() is not None:
        return None
    value = await work()
    if receiver.logger.failure_message() is None:
        await _awaited(_step(receiver, "on_success", value).call)
    return value


def after_run(
    ending: Ending,
    outcome: Outcome,
    limited: Callable[[], AbstractContextManager[None]] = nullcontext,
    *,
    sensitive: bool = False,
) -> Outcome:
    """Call the last steps of a ``def`` receiver; return the outcome with the lines that they logged.

    An error of a step is logged and changes nothing. The time limits start again for each step.
    """
    call_steps(ending.steps(outcome), limited, sensitive=sensitive)
    return _with_later_lines(ending, outcome)


def call_steps(steps: Sequence[Step], limited: Callable[[], AbstractContextManager[None]], *, sensitive: bool) -> None:
    """Call steps of a ``def`` receiver, each within ``limited``; the log of the run has the errors that they raise."""
    for step in steps:
        try:
            with limited(), output_to(step.log):
                refuse_awaitable(step.call())
        except BaseException as exc:  # noqa: BLE001 - SystemExit included: the run has ended
            _note(step, exc, sensitive=sensitive)


async def after_run_async(
    ending: Ending,
    outcome: Outcome,
    limited: Callable[[Coroutine[Any, Any, object]], Awaitable[object]],
    *,
    sensitive: bool = False,
) -> Outcome:
    """The same for an ``async def`` receiver."""
    for step in ending.steps(outcome):
        try:
            with output_to(step.log):
                await limited(_awaited(step.call))
        except GeneratorExit:
            raise
        except BaseException as exc:
            task = asyncio.current_task()
            if isinstance(exc, asyncio.CancelledError) and task is not None and task.cancelling():
                raise  # the caller is cancelled
            _note(step, exc, sensitive=sensitive)
    return _with_later_lines(ending, outcome)


def _note(step: Step, exc: BaseException, *, sensitive: bool) -> None:
    message = "" if sensitive else clean_text(exc)
    step.log.warning(step.name, f"raised {type(exc).__name__}" + (f": {message}" if message else ""))


def _with_later_lines(ending: Ending, outcome: Outcome) -> Outcome:
    """Add lines that were logged after the run: to the result, or to the daemon's log if the result is recorded."""
    ending.exc = None  # its frames refer to this one: a cycle, which the collector would find late
    if ending.receiver is None:
        return outcome
    log = ending.receiver.logger.log_of_run
    if log.begun is not None:
        log.end_lines()
    lines = tuple(log.entries)
    if len(lines) == len(outcome.log):
        return outcome
    if outcome.recorded:
        return msgspec.structs.replace(outcome, afterwards=lines[len(outcome.log) :])
    return msgspec.structs.replace(outcome, log=lines)


def refuse_awaitable(returned: object) -> None:
    """Fail a run whose work never began: an ``async def`` method behind a decorator that hides it.

    Raises:
        TypeError: it returned an awaitable.
    """
    if inspect.isawaitable(returned):
        if inspect.iscoroutine(returned):
            returned.close()
        raise TypeError("a def receiver returned an awaitable and is no async def: what it returned was not awaited")


async def _awaited(step: Callable[[], object]) -> object:
    returned = step()
    return await returned if inspect.isawaitable(returned) else returned


def computed_pause(
    receiver: type[JobHookReceiver[Any]], rules: RetryRules | None, exc: BaseException, log: ReceiverLog
) -> float | None:
    """The seconds before the next attempt that the function ``Meta.backoff`` returns; null if the usual pause applies.

    A function that fails, or returns something else, leaves a warning in the run's log.
    """
    if rules is None or not rules.has_function or isinstance(exc, Discard):
        return None
    failures = rules.failures + 1
    try:
        pause = cast("object", getattr(receiver.Meta, "backoff")(failures))  # noqa: B009 - a Meta has any attributes
        if isinstance(pause, int | float) and not isinstance(pause, bool) and 0 <= pause <= LONGEST_RETRY:
            return float(pause)
        problem = f"it returned {clean_text(repr(pause))}, which is not a number of seconds from 0 to a year"
    except BaseException as error:  # noqa: BLE001 - it must not hide the error of the run; a repr can raise as well
        problem = f"it raised {type(error).__name__}"
    refused = f"{problem}: the usual pause applies"
    log.warning("Meta.backoff", refused)
    return None
