"""One call of an ``async def`` receiver, and recording its result."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import Any

from jobhooks.contract.changed_object import AsyncChangedObject
from jobhooks.contract.log import ReceiverLog
from jobhooks.contract.run import Run, current_run
from jobhooks.discovery.registry import FoundReceiver
from jobhooks.engine.delivery.call import RunDiscarded
from jobhooks.engine.delivery.delivery import Delivery
from jobhooks.engine.delivery.lasting_errors import rules_of
from jobhooks.engine.delivery.outcome import Clock, Outcome, completed, failed, failed_after
from jobhooks.engine.running.change_readers import AsyncChangeReader
from jobhooks.engine.running.in_loop.lazy_connection import LazyConnection
from jobhooks.engine.running.in_loop.limits import Limited
from jobhooks.engine.running.in_loop.transaction import RunTransaction, SharedTransaction
from jobhooks.engine.running.run_protocol import Ended
from jobhooks.engine.running.sharing_policy import GaveWay
from jobhooks.engine.running.steps import Ending, arguments_of, computed_pause, in_steps_async, warn_of_unsaved
from jobhooks.errors import AlreadySettled
from jobhooks.store.connections import lost_by


class RunCancelled(Exception):
    """A receiver was cancelled, but not by the daemon."""

    def __init__(self) -> None:
        super().__init__("the receiver cancelled its own task, or raised CancelledError")


async def call_receiver(
    found: FoundReceiver,
    delivery: Delivery,
    transaction: RunTransaction,
    clock: Clock,
    batch: Sequence[Delivery] = (),
    ending: Ending | None = None,
    task: asyncio.Task[Any] | None = None,
) -> Outcome:
    """Call a receiver for a delivery, or for the deliveries of a ``batch``. Nothing is committed or undone here.

    ``ending`` collects data for the last steps. ``task``: the current one, looked up if not given.

    Raises:
        AlreadySettled: it was discarded, and ended.
        DatabaseUnreachable: the connection was lost.
        GaveWay: it has others before it in its transaction, and must run by itself.
    """
    log = ReceiverLog()
    started_at = clock.now()
    hook = delivery.hook
    change = delivery.shown or delivery.change
    connect, reader = partial(LazyConnection, transaction), AsyncChangeReader(transaction)
    changes = [one for each in batch for one in each.changes] if batch else [change]
    transaction.changes = changes
    run: Run[Any] = Run(
        *(transaction.delivery, connect, log, change.id, hook.name, reader, change),
        changes=changes,
        hook_data=hook.data_json,
    )
    live: AsyncChangedObject | None = None
    current_run.set(run)
    try:
        instance: Any = found.receiver(run)
        if found.takes_batches or delivery.further:
            work = _of_several(found, instance, delivery, reader, run)
        else:
            arguments = arguments_of(found, change)
            if "changed_object" in found.wanted:
                arguments["changed_object"] = live = await reader.changed_object(change)
            work = partial(instance.receive_job_hook, **arguments)
        coroutine: Any = in_steps_async(instance, work) if found.steps else work()
        if ending is not None:
            ending.receiver = instance
        limits = hook.limits
        deliveries = batch or (delivery,)
        limited = Limited(coroutine, hook.job, limits.soft_time_limit, limits.time_limit, deliveries, log)
        value = await limited.run(task)
        if ending is not None:
            ending.value = value
        if live is not None:
            warn_of_unsaved(live, log)
        return completed(started_at, clock, log, value, sensitive=hook.limits.has_sensitive_variables)
    except (GeneratorExit, GaveWay):
        raise
    except BaseException as exc:  # noqa: BLE001 - whatever a receiver raises, SystemExit included
        _raise_unless_failed(transaction, exc)
        if ending is not None:
            ending.exc = exc
        if isinstance(exc, asyncio.CancelledError):
            exc = RunCancelled().with_traceback(exc.__traceback__)
        rules = rules_of(delivery, calls_on_dead=found.has_on_dead)
        pause = computed_pause(found.receiver, rules, exc, log)
        sensitive = hook.limits.has_sensitive_variables
        return failed(started_at, clock, log, exc, sensitive=sensitive, rules=rules, pause=pause)
    finally:
        run.ended = True
        current_run.set(None)


def _of_several(
    found: FoundReceiver, instance: Any, delivery: Delivery, reader: AsyncChangeReader, run: Run[Any]
) -> Callable[[], Awaitable[object]]:
    """The work for a batch, or for a change that updates several parents."""
    if found.takes_batches:
        return partial(instance.receive_job_hook_batch, changes=run.changes)
    return partial(_in_turn, found, instance, delivery, reader, run)


async def _in_turn(
    found: FoundReceiver, instance: Any, delivery: Delivery, reader: AsyncChangeReader, run: Run[Any]
) -> list[object]:
    """Call the receiver for each parent that the change updates; the list of its return values."""
    values: list[object] = []
    for change in delivery.changes:
        run.part, run.change, run.changes = change.part, change, [change]
        live: AsyncChangedObject | None = None
        arguments = arguments_of(found, change)
        if "changed_object" in found.wanted:
            arguments["changed_object"] = live = await reader.changed_object(change)
        values.append(await instance.receive_job_hook(**arguments))
        if live is not None:
            warn_of_unsaved(live, run.log)
    return values


def _raise_unless_failed(transaction: RunTransaction, exc: BaseException) -> None:
    """Return if an error is the receiver's failure.

    Raises:
        AlreadySettled: it was discarded, and ended.
        CancelledError: the caller is cancelled, not something inside of the receiver.
        DatabaseUnreachable, GaveWay: as ``call_receiver``.
    """
    if isinstance(exc, RunDiscarded):
        raise exc
    task = asyncio.current_task()
    if isinstance(exc, asyncio.CancelledError) and task is not None and task.cancelling():
        raise exc
    match transaction.how_it_ended(exc):
        case Ended.LOST:
            raise lost_by(exc) from exc
        case Ended.GAVE_WAY:
            raise GaveWay from exc
        case Ended.FAILED:
            return


async def record(
    shared: SharedTransaction,
    deliveries: list[Delivery],
    outcome: Outcome,
    clock: Clock,
    ending: Ending | None = None,
    *,
    commit: bool,
) -> Outcome:
    """Record the outcome of one call in its transaction, and ``commit``. A run that cannot be recorded has failed.

    Raises:
        AlreadySettled: one of the deliveries has a result.
        DatabaseUnreachable: the connection was lost; whether the run committed is unknown.
    """
    try:
        return await shared.record(deliveries, outcome, commit=commit)
    except AlreadySettled:
        raise
    except Exception as exc:
        if shared.has_lost(exc):
            raise lost_by(exc) from exc
        if ending is not None:
            ending.exc = exc
        first = deliveries[0]
        rules = rules_of(first, calls_on_dead=False)
        return failed_after(outcome, clock, exc, sensitive=first.hook.limits.has_sensitive_variables, rules=rules)
