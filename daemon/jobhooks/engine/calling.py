"""What comes before and after a receiver's work, and how it finds the change before one."""

import inspect
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any, cast

import asyncpg
import structlog

from jobhooks.contract.change import Change
from jobhooks.contract.choices import JobResultStatus
from jobhooks.contract.control import Discard
from jobhooks.contract.receiver import JobHookReceiver
from jobhooks.engine.live_rows import AsyncTransaction
from jobhooks.engine.reader import change_of
from jobhooks.store.connections import SyncConnection, call
from jobhooks.store.sql_files import query

LOOKED_AT = 100_000  # changes before one, among which the one before it of its object is looked for
STEPS = ("before_start", "on_success", "on_failure", "after_return")

log = structlog.stdlib.get_logger()


def steps_of(receiver: type[JobHookReceiver[Any]]) -> frozenset[str]:
    """Return which steps beside its work a receiver has."""
    return frozenset(step for step in STEPS if getattr(receiver, step) is not getattr(JobHookReceiver, step))


def in_steps(receiver: JobHookReceiver[Any], work: Callable[[], object]) -> object:
    """Call a ``def`` receiver's steps and its work; return what that returns."""
    refuse_awaitable(receiver.before_start())
    value = work()
    refuse_awaitable(value)
    refuse_awaitable(receiver.on_success(value))
    refuse_awaitable(receiver.after_return(JobResultStatus.SUCCESS, value))
    return value


async def in_steps_async(receiver: JobHookReceiver[Any], work: Callable[[], Awaitable[object]]) -> object:
    """Do the same for an ``async def`` receiver, whose steps may be ``async def`` or not."""
    await _maybe(receiver.before_start())
    value = await work()
    await _maybe(receiver.on_success(value))
    await _maybe(receiver.after_return(JobResultStatus.SUCCESS, value))
    return value


def after_failure(receiver: JobHookReceiver[Any], exc: BaseException) -> None:
    """Tell a ``def`` receiver that its run failed; what it raises then is logged, and changes nothing."""
    for step in _steps_after(receiver, exc):
        try:
            refuse_awaitable(step())
        except Exception:
            log.warning("receiver_failed_after_its_failure", receiver=type(receiver).__name__, exc_info=True)


async def after_failure_async(receiver: JobHookReceiver[Any], exc: BaseException) -> None:
    """Do the same for an ``async def`` receiver."""
    for step in _steps_after(receiver, exc):
        try:
            await _maybe(step())
        except Exception:
            log.warning("receiver_failed_after_its_failure", receiver=type(receiver).__name__, exc_info=True)


def _steps_after(receiver: JobHookReceiver[Any], exc: BaseException) -> list[Callable[[], Any]]:
    status = JobResultStatus.DISCARDED if isinstance(exc, Discard) else JobResultStatus.FAILURE
    return [partial(receiver.on_failure, exc), partial(receiver.after_return, status, exc)]


def refuse_awaitable(returned: object) -> None:
    """Fail a run whose work was never begun: that of an ``async def`` behind a decorator that hides it.

    Raises:
        TypeError: this is to be awaited, and nobody does.
    """
    if inspect.isawaitable(returned):
        if inspect.iscoroutine(returned):
            returned.close()
        raise TypeError("a def receiver returned an awaitable and is no async def: what it returned was not awaited")


async def _maybe(returned: object) -> None:
    if inspect.isawaitable(returned):
        await returned


class PreviousChanges:
    """Finds the change before one, of the same object, for a ``def`` receiver."""

    def __init__(self, connect: Callable[[], SyncConnection]) -> None:
        self._connect = connect

    def __call__(self, change: Change) -> Change | None:
        """Return it, or None."""
        rows = call(self._connect(), "previous_change", change.id, LOOKED_AT)
        return _change(change, rows[0] if rows else None)


class AsyncPreviousChanges:
    """The same for an ``async def`` receiver; to look does not begin its transaction."""

    def __init__(self, transaction: AsyncTransaction) -> None:
        self._transaction = transaction

    async def __call__(self, change: Change) -> Change | None:
        """Return it, or None."""
        return _change(change, await self._transaction.reading(query("previous_change"), change.id, LOOKED_AT))


def _change(change: Change, row: object) -> Change | None:
    if row is None:
        return None
    return change_of(cast("asyncpg.Record", row), {change.content_type.id: change.content_type})
