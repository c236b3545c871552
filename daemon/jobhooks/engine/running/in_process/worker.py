"""Inside a worker process: a ``def`` receiver runs, on a connection that the process keeps.

The daemon itself calls nothing here. A test's ThreadRunner does, and so does a dry run.
"""

import contextlib
import resource
import signal
import socket
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any, NoReturn

import msgspec

from jobhooks.contract.change import Change
from jobhooks.contract.changed_object import ChangedObject
from jobhooks.contract.control import SoftTimeLimitExceeded, TimeLimitExceeded, WorkerDied
from jobhooks.contract.log import LogEntry, ReceiverLog
from jobhooks.contract.run import DeliveryIdentity, Run, current_run
from jobhooks.discovery.loading import FoundReceiver, load_again
from jobhooks.discovery.sources import Installed, Source
from jobhooks.engine.delivery.lasting_errors import RetryRules
from jobhooks.engine.delivery.outcome import Clock, Outcome, completed, failed
from jobhooks.engine.running import output
from jobhooks.engine.running.change_readers import SyncChangeReader
from jobhooks.engine.running.in_process.connection import Leftovers
from jobhooks.engine.running.in_process.line_file import LineFile
from jobhooks.engine.running.in_process.messages import encoded, receive
from jobhooks.engine.running.in_process.transaction import KeptConnection, RunConnection, SharedTransaction
from jobhooks.engine.running.result_statements import says_only_success
from jobhooks.engine.running.run_protocol import Ended, recorded
from jobhooks.engine.running.sharing_policy import LONGEST_S, TOO_LONG_S, GaveWay
from jobhooks.engine.running.steps import (
    Ending,
    after_run,
    arguments_of,
    call_steps,
    computed_pause,
    dead_step,
    in_steps,
    refuse_awaitable,
    warn_of_unsaved,
)
from jobhooks.errors import AlreadySettled, DatabaseUnreachable, InvalidReceiver, JobhooksError
from jobhooks.runtime.logging import LogSettings, configure
from jobhooks.runtime.parent_process import end_with
from jobhooks.runtime.process_copies import without_copies
from jobhooks.store.connections import lost_by

MOST_THREADS = 40  # a ThreadPoolExecutor of a module starts up to 32


@dataclass(frozen=True)
class Order:
    """The data of one attempt, sent to a worker. Times are in seconds.

    ``merged``: settled with it. ``further``: updates of further parents; the receiver is also called for each of them.
    ``behind``: it is a later change of an object of others that are sent with it. ``rules``: for the next attempt, if
    they are not the usual ones.
    """

    class_path: str
    delivery: DeliveryIdentity
    job_id: int
    change: Change
    soft_time_limit: float | None
    clock: Clock
    hook_name: str = ""
    sensitive: bool = False
    merged: tuple[DeliveryIdentity, ...] = ()
    further: tuple[Change, ...] = ()
    behind: bool = False
    rules: RetryRules | None = None
    hook_data: str = ""

    def makes_dead(self, outcome: Outcome) -> bool:
        """Whether this outcome makes the delivery dead."""
        return outcome.may_call_on_dead and self.rules is not None and self.rules.is_last(outcome.lasting)


class DeadRun:
    """A run whose process was ended, and which made its delivery dead."""

    def __init__(self, order: Order, exc: TimeLimitExceeded | WorkerDied) -> None:
        self.order = order
        self._limit_s = exc.seconds if isinstance(exc, TimeLimitExceeded) else None
        self._message = str(exc)

    @property
    def exc(self) -> Exception:
        """How the run ended, made again from the values that can be sent."""
        return WorkerDied(self._message) if self._limit_s is None else TimeLimitExceeded(self._limit_s)


_found: FoundReceiver | InvalidReceiver
_connection: KeptConnection
_running: Run[Any] | None = None  # the last to begin
_lines: LineFile | None = None  # null in a test's process and in a dry run


def serve(
    connection: socket.socket,
    lines: LineFile,
    daemon: int,
    database_url: str,
    memory_limit: int | None,
    log_settings: LogSettings | None,
    class_path: str,
    origin: Source | Installed,
) -> None:
    """Do what the daemon asks for, until it closes the connection: call a function, and send its value or its error.

    First send the version of the receiver: one of a package may have been upgraded since the daemon imported it.
    """
    global _lines
    connection.set_inheritable(False)
    _lines = lines
    initialize(daemon, database_url, memory_limit, log_settings, class_path, origin)
    with contextlib.suppress(EOFError, ConnectionError):  # the daemon has closed the connection, or was killed
        connection.sendall(encoded(None if isinstance(_found, InvalidReceiver) else _found.version))
        while True:
            work, argument = receive(connection)
            connection.sendall(_answer(work, argument))


def _answer(work: Callable[[object], object], argument: object) -> bytes:
    """The value or the error, and why the process must be ended, if it must."""
    try:
        return encoded((work(argument), None, _leftovers()))
    except (AlreadySettled, DatabaseUnreachable) as exc:
        return encoded((None, exc, _leftovers()))
    except Exception as exc:  # noqa: BLE001 - raised in the daemon, where its type may not exist
        return encoded((None, RuntimeError(f"{type(exc).__name__}: {exc}"), _leftovers()))


def _leftovers() -> str | None:
    """What runs have left in this process that must not stay. A library may keep some threads for all runs."""
    if Leftovers.late_use:
        return "a run left a thread or a callback that used the run's connection after its end"
    count = Leftovers.threads()
    return f"its runs have left {count} threads" if count > MOST_THREADS else None


def initialize(
    daemon: int,
    database_url: str,
    memory_limit: int | None,
    log_settings: LogSettings | None,
    class_path: str,
    origin: Source | Installed,
) -> None:
    """Make this process a worker of the process ``daemon``, for one version of one receiver. It ends with the daemon.

    The receiver is imported from the source that the daemon has read, not from its file, which may have changed.
    """
    global _found, _connection
    end_with(daemon)  # else it would run beside the next daemon's workers
    Leftovers.own_threads = 1
    # Ctrl-C in a terminal signals all of its processes, as some service managers do with SIGTERM. Only the daemon acts
    # on it, and lets runs finish. SIGTERM has a handler: programs that a receiver starts would inherit an ignored one.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, _leave_to_daemon)
    limit_memory(memory_limit)
    handler = _capture_output(class_path, log_settings)
    try:
        _found = load_again(class_path, origin)
    except InvalidReceiver as exc:
        _found = exc
    handler.put_back()  # the module may have set logging up
    _connection = KeptConnection(database_url)


def _capture_output(class_path: str, log_settings: LogSettings | None) -> output.RecordHandler:
    """Send printed and logged lines to the log of the run, and those that belong to no run to the daemon's log."""
    if log_settings is None:
        return output.capture(find_running, output.nothing)
    configure(*log_settings)
    return output.capture(find_running, partial(output.log_event, receiver=class_path))


def find_running() -> Run[Any] | None:
    """The run of this process, for threads that the receiver has started; null before the first one."""
    return _running


def _leave_to_daemon(_number: int, _frame: object) -> None:
    """Do nothing."""


def limit_memory(memory_limit: int | None) -> None:
    """Limit the data of this process, in bytes. More of it raises a MemoryError."""
    if memory_limit is not None:
        resource.setrlimit(resource.RLIMIT_DATA, (memory_limit, memory_limit))


def run(orders: list[Order]) -> list[Outcome | None]:
    """Run the receiver of this process for each order; see ``run_receivers``."""
    if isinstance(_found, InvalidReceiver):
        return [_not_imported(order, _found) for order in orders]
    return run_receivers(_found, orders, _connection)


def call_once(orders: list[Order]) -> Outcome:
    """Call the receiver of this process once, for all orders; see ``call_receiver``."""
    if isinstance(_found, InvalidReceiver):
        return _not_imported(orders[0], _found)
    return call_receiver(_found, orders, _connection)


def call_on_dead(dead: DeadRun) -> tuple[LogEntry, ...]:
    """Call ``on_dead`` of the receiver of this process, without a connection; return the lines that it logged."""
    if isinstance(_found, InvalidReceiver):
        return ()
    log, order = ReceiverLog(), dead.order
    connection = RunConnection(SharedTransaction(_connection), order.delivery)
    connection.end()
    try:
        receiver = _found.receiver(
            Run(
                *(order.delivery, connection, log, order.change.id, order.hook_name),
                changes=[order.change, *order.further],
                hook_data=order.hook_data,
            )
        )
    except BaseException as exc:  # noqa: BLE001 - a constructor may raise anything
        log.warning("on_dead", f"the receiver raised {type(exc).__name__}")
    else:
        with without_copies(_found.class_path):
            limited = partial(_limits, order.soft_time_limit, None)
            call_steps([dead_step(receiver, dead.exc)], limited, sensitive=order.sensitive)
    log.end_lines()
    return tuple(log.entries)


def _not_imported(order: Order, error: InvalidReceiver) -> Outcome:
    return failed(order.clock.now(), order.clock, ReceiverLog(), error, rules=order.rules)


def call_receiver(found: FoundReceiver, orders: list[Order], connection: KeptConnection) -> Outcome:
    """Call a receiver once, for one order or for a batch, in a transaction that no other run shares.

    Raises:
        AlreadySettled: one of them has a result; the run was rolled back.
        DatabaseUnreachable: the connection was lost; whether the run committed is unknown.
    """
    shared = SharedTransaction(connection, found.version)
    order = orders[0]
    ending = Ending(rules=order.rules if found.has_on_dead else None)
    try:
        outcome = _run(found, orders, shared, ending, alone=True)
        assert outcome is not None  # it shares no transaction, so it does not give way
    finally:
        shared.end()
    if not found.has_last_steps:
        return outcome
    with without_copies(found.class_path):
        return after_run(ending, outcome, partial(_limits, order.soft_time_limit, None), sensitive=order.sensitive)


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
        with without_copies(found.class_path), _limits(order.soft_time_limit, longest_s):
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
    with without_copies(found.class_path), _limits(order.soft_time_limit, None):
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
def _limits(soft_s: float | None, longest_s: float | None) -> Generator[None]:
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
