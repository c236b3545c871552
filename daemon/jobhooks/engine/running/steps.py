"""The steps of a run before and after the receiver's work: before_start, on_success, on_failure, after_return."""

import asyncio
import inspect
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

import msgspec

from jobhooks.contract.change import Change
from jobhooks.contract.control import LoggedFailure
from jobhooks.contract.log import clean_text
from jobhooks.contract.receiver import JobHookReceiver
from jobhooks.discovery.loading import FoundReceiver
from jobhooks.engine.delivery.outcome import Outcome


def arguments_of(found: FoundReceiver, change: Change) -> dict[str, Any]:
    """The arguments that a receiver takes, without the live row."""
    return {"change": change, "action": change.action} if "action" in found.wanted else {"change": change}


class Step(NamedTuple):
    """A step and what to call for it."""

    name: str
    call: Callable[[], object]


@dataclass(slots=True)
class Ending:
    """How a run ended, for the steps that come after it: what the ``receiver`` returned, or ``exc`` that it raised."""

    receiver: JobHookReceiver[Any] | None = None
    value: object = None
    exc: BaseException | None = None

    def steps(self, outcome: Outcome) -> list[Step]:
        """Return the steps that this ending is told in."""
        if self.receiver is None:
            return []
        exc = self.exc
        if exc is None and outcome.error is not None:
            exc = LoggedFailure(outcome.error)
        value = self.value if self.exc is None else self.exc
        after = Step("after_return", partial(self.receiver.after_return, outcome.status, value))
        return [after] if exc is None else [Step("on_failure", partial(self.receiver.on_failure, exc)), after]


def in_steps(receiver: JobHookReceiver[Any], work: Callable[[], object]) -> object:
    """Call a ``def`` receiver's work with the steps that are a part of it; return what it returns.

    A failure that was logged before the start keeps it from being called, and one that was logged in it is no success.
    """
    refuse_awaitable(receiver.before_start())
    if receiver.logger.failure_message() is not None:
        return None
    value = work()
    refuse_awaitable(value)
    if receiver.logger.failure_message() is None:
        refuse_awaitable(receiver.on_success(value))
    return value


async def in_steps_async(receiver: JobHookReceiver[Any], work: Callable[[], Awaitable[object]]) -> object:
    """Do the same for an ``async def`` receiver, whose steps may be ``async def`` or not."""
    await _awaited(receiver.before_start)
    if receiver.logger.failure_message() is not None:
        return None
    value = await work()
    if receiver.logger.failure_message() is None:
        await _awaited(partial(receiver.on_success, value))
    return value


def after_run(
    ending: Ending,
    outcome: Outcome,
    limited: Callable[[], AbstractContextManager[None]] = nullcontext,
    *,
    sensitive: bool = False,
) -> Outcome:
    """Tell a ``def`` receiver how its run ended; return the outcome with what was logged meanwhile.

    What a step raises is logged, and changes nothing. Each has limits of its own.
    """
    for step in ending.steps(outcome):
        try:
            with limited():
                refuse_awaitable(step.call())
        except BaseException as exc:  # noqa: BLE001 - SystemExit, too: the run has ended as it has
            _note(ending, step, exc, sensitive=sensitive)
    return _with_later_lines(ending, outcome)


async def after_run_async(
    ending: Ending,
    outcome: Outcome,
    limited: Callable[[Coroutine[Any, Any, object]], Awaitable[object]],
    *,
    sensitive: bool = False,
) -> Outcome:
    """Do the same for an ``async def`` receiver."""
    for step in ending.steps(outcome):
        try:
            await limited(_awaited(step.call))
        except GeneratorExit:
            raise
        except BaseException as exc:
            task = asyncio.current_task()
            if isinstance(exc, asyncio.CancelledError) and task is not None and task.cancelling():
                raise  # it is the daemon that ends
            _note(ending, step, exc, sensitive=sensitive)
    return _with_later_lines(ending, outcome)


def _note(ending: Ending, step: Step, exc: BaseException, *, sensitive: bool) -> None:
    assert ending.receiver is not None
    message = "" if sensitive else clean_text(exc)
    ending.receiver.logger.warning(step.name, f"raised {type(exc).__name__}" + (f": {message}" if message else ""))


def _with_later_lines(ending: Ending, outcome: Outcome) -> Outcome:
    """Add the lines that came after the run: to its result, or where that is recorded by now to the daemon's log."""
    ending.exc = None  # whose frames lead back to here: a cycle, and nobody looks for those soon
    if ending.receiver is None:
        return outcome
    lines = tuple(ending.receiver.logger.entries)
    if len(lines) == len(outcome.log):
        return outcome
    if outcome.recorded:
        return msgspec.structs.replace(outcome, afterwards=lines[len(outcome.log) :])
    return msgspec.structs.replace(outcome, log=lines)


def refuse_awaitable(returned: object) -> None:
    """Fail a run whose work was never begun: that of an ``async def`` behind a decorator that hides it.

    Raises:
        TypeError: this is to be awaited, and nobody does.
    """
    if inspect.isawaitable(returned):
        if inspect.iscoroutine(returned):
            returned.close()
        raise TypeError("a def receiver returned an awaitable and is no async def: what it returned was not awaited")


async def _awaited(step: Callable[[], object]) -> object:
    returned = step()
    return await returned if inspect.isawaitable(returned) else returned
