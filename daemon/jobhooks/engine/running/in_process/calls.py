"""Calling a ``def`` receiver: in a worker process, in a test's ThreadRunner, and in a dry run."""

import signal
import time
from collections.abc import Generator
from contextlib import contextmanager
from functools import partial
from typing import Any, NoReturn

import msgspec

from jobhooks.contract.changed_object import ChangedObject
from jobhooks.contract.control import SoftTimeLimitExceeded
from jobhooks.contract.log import ReceiverLog
from jobhooks.contract.run import Run, current_run
from jobhooks.discovery.loading import FoundReceiver
from jobhooks.engine.delivery.outcome import Outcome, completed, failed
from jobhooks.engine.running.change_readers import SyncChangeReader
from jobhooks.engine.running.in_process.line_file import LineFile
from jobhooks.engine.running.in_process.order import Order
from jobhooks.engine.running.in_process.transaction import KeptConnection, RunConnection, SharedTransaction
from jobhooks.engine.running.result_statements import says_only_success
from jobhooks.engine.running.run_protocol import Ended, recorded
from jobhooks.engine.running.sharing_policy import LONGEST_S, TOO_LONG_S, GaveWay
from jobhooks.engine.running.steps import (
    Ending,
    after_run,
    arguments_of,
    computed_pause,
    in_steps,
    refuse_awaitable,
    warn_of_unsaved,
)
from jobhooks.errors import AlreadySettled, DatabaseUnreachable, JobhooksError
from jobhooks.runtime.process_copies import without_copies
from jobhooks.store.connections import lost_by

_running: Run[Any] | None = None  # the last to begin
_lines: LineFile | None = None  # null in a test's process and in a dry run


def add_lines_to(lines: LineFile) -> None:
    """Add the log lines of each run to this file."""
    global _lines
    _lines = lines


def find_running() -> Run[Any] | None:
    """The run of this process, for threads that the receiver has started; null before the first one."""
    return _running


def call_receiver(found: FoundReceiver, orders: list[Order], connection: KeptConnection) -> Outcome:
    """Call a receiver once, for one order or for a batch, in a transaction that no other run shares.

    Raises:
        AlreadySettled: one of them has a result; the run was rolled back.
        DatabaseUnreachable: the connection was lost; whether the run committed is unknown.
    """
    shared = SharedTransaction(connection, found.version)
    order = orders[0]
    ending = Ending(rules=order.rules if found.has_on_dead and len(orders) == 1 else None)
    try:
        outcome = _run(found, orders, shared, ending, alone=True)
        assert outcome is not None  # it shares no transaction, so it does not give way
    finally:
        shared.end()
    if not found.has_last_steps:
        return outcome
    with without_copies(found.class_path):
        return after_run(
            ending, outcome, partial(within_limits, order.soft_time_limit, None), sensitive=order.sensitive
        )


def run_receivers(found: FoundReceiver, orders: list[Order], connection: KeptConnection) -> list[Outcome | None]:
    """Run a receiver for one order after the other, for about 10 milliseconds; the outcomes of those that began.

    Their writes and results commit together. The caller records the result of a run that wrote nothing, or failed. But
    if orders are ``behind`` others, a run that wrote nothing commits with them. After a failed run, none behind others
    runs. None stands for a run that was undone and must run by itself: it would have waited for a lock, or the runs
    cannot commit together.

    Raises:
        AlreadySettled: the only one has a result; it was rolled back.
        DatabaseUnreachable: the connection of the only one was lost; whether it committed is unknown.
    """
    shared = SharedTransaction(connection, found.version)
    until = time.monotonic() + LONGEST_S
    outcomes: list[Outcome | None] = []
    ends_lanes = False
    try:
        for order in orders:
            if order.behind and ends_lanes:
                break
            outcomes.append(None)
            outcomes[-1] = outcome = _run(found, [order], shared, Ending(), alone=len(orders) == 1)
            if outcome is None or shared.protocol.closed or time.monotonic() > until:
                break
            # The shared transaction cannot record a text for a run that has not joined it.
            ends_lanes = ends_lanes or not (outcome.recorded or says_only_success(outcome))
        return _commit_all(shared, orders, outcomes)
    except (AlreadySettled, DatabaseUnreachable):
        if len(orders) == 1:
            raise
        return _undone(orders, outcomes)
    except JobhooksError:
        return _undone(orders, outcomes)
    finally:
        shared.end()


def _undone(orders: list[Order], outcomes: list[Outcome | None]) -> list[Outcome | None]:
    """The outcomes if the shared transaction is lost: only those that did not depend on it."""
    ended = zip(orders, outcomes, strict=False)
    return [None if outcome is None or outcome.joined or order.behind else outcome for order, outcome in ended]


def run_uncommitted(found: FoundReceiver, order: Order, shared: SharedTransaction) -> Outcome:
    """Run a receiver as ``run_receivers`` does, but commit nothing: its writes stay in ``shared``, to be rolled back.

    Raises:
        DatabaseUnreachable: the connection was lost.
    """
    outcome = _run(found, [order], shared, Ending(), alone=False)
    assert outcome is not None  # it shares no transaction, so it does not give way
    return outcome


def _run(
    found: FoundReceiver, orders: list[Order], shared: SharedTransaction, ending: Ending, *, alone: bool
) -> Outcome | None:
    """Call a receiver once. ``alone``: record the result and commit, else leave a mere success to ``commit_all``.

    None: the run gave way, and was undone. ``ending`` collects data for the last steps.

    Raises:
        JobhooksError: the transaction is lost, with all runs in it.
    """
    global _running
    log = _new_log()
    order = orders[0]
    clock = order.clock
    started_at = clock.now()
    changes = [change for order in orders for change in (order.change, *order.further)]
    connection = RunConnection(shared, order.delivery, changes)
    reader = SyncChangeReader(connection)
    run = Run(
        *(order.delivery, connection, log, order.change.id, order.hook_name, reader, order.change),
        changes=changes,
        hook_data=order.hook_data,
    )
    current_run.set(run)
    _running = run
    try:
        longest_s = TOO_LONG_S if shared.protocol.needs_end else None
        with without_copies(found.class_path), within_limits(order.soft_time_limit, longest_s):
            ending.receiver = found.receiver(run)
            ending.value = value = _call(found, ending.receiver, orders, reader, run)
        outcome = completed(started_at, clock, log, value, sensitive=order.sensitive)
        if order.behind and shared.protocol.needs_end and not says_only_success(outcome):
            connection()  # to be recorded with those before it
        joined = connection.conn is not None
        if joined and (alone or not says_only_success(outcome)):
            identities = [identity for order in orders for identity in (order.delivery, *order.merged)]
            outcome = shared.record(identities, order.job_id, outcome, commit=alone)
        return msgspec.structs.replace(outcome, joined=True) if joined else outcome
    except AlreadySettled:
        if alone:
            raise
        connection.undo()
        return None
    except BaseException as exc:
        connection.note(exc)
        ended = shared.protocol.how_it_ended(exc, lost=connection.is_lost)
        if ended is Ended.LOST:
            raise lost_by(exc) from None
        if ended is Ended.GAVE_WAY and alone:
            raise
        connection.undo()
        if ended is Ended.GAVE_WAY:
            return None
        if found.has_last_steps:
            ending.exc = exc
        pause = _computed_pause(found, order, exc, log)
        return failed(started_at, clock, log, exc, sensitive=order.sensitive, rules=order.rules, pause=pause)
    finally:
        log.on_entry = None  # a later line would be among those of the next run
        connection.end()
        run.ended = True
        current_run.set(None)


def _new_log() -> ReceiverLog:
    if _lines is None:
        return ReceiverLog()
    _lines.begin()
    return ReceiverLog(_lines.add)


def _computed_pause(found: FoundReceiver, order: Order, exc: BaseException, log: ReceiverLog) -> float | None:
    if order.rules is None or not order.rules.has_function:
        return None
    with without_copies(found.class_path), within_limits(order.soft_time_limit, None):
        return computed_pause(found.receiver, order.rules, exc, log)


def _call(found: FoundReceiver, receiver: Any, orders: list[Order], reader: SyncChangeReader, run: Run) -> object:
    live: ChangedObject | None = None
    if found.takes_batches:
        work = partial(receiver.receive_job_hook_batch, changes=list(run.changes))
    elif orders[0].further:
        work = partial(_in_turn, found, receiver, orders[0], reader, run)
    else:
        change = orders[0].change
        arguments = arguments_of(found, change)
        if "changed_object" in found.wanted:
            arguments["changed_object"] = live = reader.changed_object(change)
        work = partial(receiver.receive_job_hook, **arguments)
    if found.steps:
        value = in_steps(receiver, work)
    else:
        value = work()
        refuse_awaitable(value)
    if live is not None:
        warn_of_unsaved(live, run.log)
    return value


def _in_turn(found: FoundReceiver, receiver: Any, order: Order, reader: SyncChangeReader, run: Run) -> list[object]:
    """Call the receiver for each parent that the change updates; the list of its return values."""
    values: list[object] = []
    for change in (order.change, *order.further):
        run.part, run.change, run.changes = change.part, change, [change]
        live: ChangedObject | None = None
        arguments = arguments_of(found, change)
        if "changed_object" in found.wanted:
            arguments["changed_object"] = live = reader.changed_object(change)
        values.append(receiver.receive_job_hook(**arguments))
        refuse_awaitable(values[-1])
        if live is not None:
            warn_of_unsaved(live, run.log)
    return values


def _commit_all(shared: SharedTransaction, orders: list[Order], outcomes: list[Outcome | None]) -> list[Outcome | None]:
    """Commit the runs that are in the transaction, with their results as far as they are not recorded."""
    if len(orders) == 1:
        return outcomes
    ended = list(zip(orders, outcomes, strict=False))
    if not any(outcome is not None and outcome.joined for _, outcome in ended):
        return outcomes
    is_group = any(order.behind for order, _ in ended)
    kept = [
        (order.delivery, order.job_id, outcome)
        for order, outcome in ended
        if outcome is not None and (outcome.joined or (is_group and says_only_success(outcome)))
    ]
    shared.commit_all(kept)
    committed = {identity for identity, _, _ in kept}
    return [
        recorded(outcome) if outcome is not None and order.delivery in committed else outcome
        for order, outcome in ended
    ]


@contextmanager
def within_limits(soft_s: float | None, longest_s: float | None) -> Generator[None]:
    """Raise SoftTimeLimitExceeded in the block after ``soft_s``, or GaveWay after ``longest_s``.

    The signal interrupts Python code, and C code that checks for signals, such as psycopg's waiting.
    """
    seconds = min((limit for limit in (soft_s, longest_s) if limit is not None), default=None)
    if seconds is None:
        yield
        return

    def exceeded(_number: int, _frame: object) -> NoReturn:
        if soft_s is None or soft_s > seconds:
            raise GaveWay
        raise SoftTimeLimitExceeded(soft_s)

    former = signal.signal(signal.SIGALRM, exceeded)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, former)
