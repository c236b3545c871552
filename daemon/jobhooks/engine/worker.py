"""What happens inside a worker process: a ``def`` receiver runs, on a connection that the process keeps.

Nothing here is called in the daemon's own process, but for what tests call.
"""

import inspect
import os
import resource
import select
import signal
import threading
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

import msgspec
import psycopg
from psycopg.pq import TransactionStatus
from psycopg.rows import TupleRow, tuple_row

from jobhooks.contract.change import Change
from jobhooks.contract.changed_object import ChangedObject
from jobhooks.contract.control import SoftTimeLimitExceeded
from jobhooks.contract.log import ReceiverLog
from jobhooks.contract.receiver import DeliveryIdentity, Run
from jobhooks.engine.live_rows import SyncLiveRows, key_to_load
from jobhooks.engine.loading import Findings, FoundReceiver, find_receivers
from jobhooks.engine.outcome import (
    Clock,
    Outcome,
    completed,
    end_run,
    failed,
    result_parameters,
    says_only_success,
)
from jobhooks.errors import AlreadySettled, DatabaseUnreachable, UnknownJob
from jobhooks.store.connections import SyncConnection, call, connect, execute, translated_errors
from jobhooks.store.sql_files import filled, query


@dataclass(frozen=True)
class Order:
    """What a worker is told of an attempt; times in seconds."""

    class_path: str
    delivery: DeliveryIdentity
    job_id: int
    change: Change
    soft_time_limit: float | None
    clock: Clock


class ReceiverConnection(psycopg.Connection[TupleRow]):
    """The connection of a ``def`` receiver, whose transaction commits with the run's result, and not before."""

    def commit(self) -> NoReturn:
        """Refuse: the run's result would not be in the transaction any more."""
        raise psycopg.ProgrammingError("a receiver cannot commit: what it writes commits with the result of its run")

    def rollback(self) -> NoReturn:
        """Refuse, for the same reason."""
        raise psycopg.ProgrammingError(
            "a receiver cannot roll back: raise an error, or use self.connection.transaction()"
        )


class Connection:
    """The connection that this process keeps: opened when a receiver first needs it, or it was lost."""

    def __init__(self, database_url: str) -> None:
        self._database_url = database_url
        self._conn: SyncConnection | None = None

    def begin(self, mark: str) -> SyncConnection:
        """Return it, in a transaction that is marked as a run's.

        Raises:
            DatabaseUnreachable: it could not be opened; nothing was written.
        """
        statements = filled("begin_run", f"'{mark}'").encode()
        if self._conn is not None and not self._conn.closed:
            try:
                with translated_errors():
                    execute(self._conn, statements)
                self._conn.row_factory = tuple_row
                return self._conn
            except DatabaseUnreachable:
                self._conn.close()  # it was cut while it was idle
        self._conn = connect(self._database_url, ReceiverConnection, application_name=APPLICATION_NAME)
        with translated_errors():
            execute(self._conn, statements)
        return self._conn

    def close(self) -> None:
        """Close it; the next run opens another."""
        if self._conn is not None:
            self._conn.close()


LOOK_S = 0.5  # between two looks whether the daemon is there, where the system cannot tell by itself
APPLICATION_NAME = "jobhooks receiver"
_findings: Findings
_connection: Connection


def initialize(daemon: int, database_url: str, directories: tuple[Path, ...], memory_limit: int | None) -> None:
    """Make this process a worker of the process ``daemon``: it finds the receivers by itself and ends with that one."""
    global _findings, _connection
    threading.Thread(target=_end_with, args=[daemon], name="jobhooks end", daemon=True).start()
    # What the terminal sends on Ctrl-C is for the daemon, which lets runs finish.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    if memory_limit is not None:
        resource.setrlimit(resource.RLIMIT_DATA, (memory_limit, memory_limit))
    _findings = find_receivers(directories)
    _connection = Connection(database_url)


def _end_with(process: int) -> None:
    """Wait until that process has ended, and end this one: nobody would hear what it does, and another takes over."""
    try:
        ended = os.pidfd_open(process)
    except ProcessLookupError:
        pass
    except (AttributeError, OSError):  # not Linux, or not allowed
        while _exists(process):
            time.sleep(LOOK_S)
    else:
        select.select([ended], [], [])
    os.kill(os.getpid(), signal.SIGKILL)


def _exists(process: int) -> bool:
    try:
        os.kill(process, 0)
    except OSError:
        return False
    return True


def run(order: Order) -> Outcome:
    """Run a receiver, in this process; as ``run_receiver``."""
    found = _findings.receivers.get(order.class_path)
    if found is None:
        missing = UnknownJob(_findings.why_missing(order.class_path))
        return failed(order.clock.now(), order.clock, ReceiverLog(), missing)
    return run_receiver(found, order, _connection)


def run_receiver(found: FoundReceiver, order: Order, connection: Connection) -> Outcome:
    """Run a receiver and return what it did.

    If it used its connection, its result is in the same transaction; else the result is not recorded yet, and neither
    is a failure, whose transaction is rolled back.

    Raises:
        AlreadySettled: somebody else was faster; nothing of this run is kept.
        DatabaseUnreachable: the connection was lost: whether it had committed is not known.
    """
    log = ReceiverLog()
    clock = order.clock
    started_at = clock.now()
    used: list[SyncConnection] = []

    def connected() -> SyncConnection:
        if not used:
            used.append(connection.begin(order.delivery.mark))
        return used[0]

    try:
        with _soft_limit(order.soft_time_limit):
            wanted = found.wanted
            arguments: dict[str, Any] = {"change": order.change}
            if "action" in wanted:
                arguments["action"] = order.change.action
            if "changed_object" in wanted:
                arguments["changed_object"] = _load(connected, order.change)
            _refuse_awaitable(found.receiver(Run(order.delivery, connected, log)).receive_job_hook(**arguments))
        outcome = completed(started_at, clock, log)
        return _commit(used[0], order, outcome) if used else outcome
    except AlreadySettled:
        raise
    except BaseException as exc:  # noqa: BLE001 - SystemExit, too: it is the receiver that ends, not the worker
        if (used and used[0].closed) or isinstance(exc, DatabaseUnreachable):
            raise DatabaseUnreachable(f"lost the connection to the database: {exc}") from None
        return failed(started_at, clock, log, exc)
    finally:
        if used:
            _end(used[0])


def _commit(conn: SyncConnection, order: Order, outcome: Outcome) -> Outcome:
    """Record the result and commit: in one message where it consists of numbers only."""
    with translated_errors():
        if says_only_success(outcome):
            execute(conn, end_run(order.delivery, order.job_id, outcome).encode())
        else:
            encoding = conn.info.parameter_status("server_encoding")
            call(conn, "record_result", *result_parameters(order.delivery, order.job_id, outcome, encoding))
            execute(conn, query("commit").encode())
    return msgspec.structs.replace(outcome, recorded=True)


def _end(conn: SyncConnection) -> None:
    """Roll back what is not committed; a connection that cannot is closed."""
    if conn.closed or conn.info.transaction_status == TransactionStatus.IDLE:
        return
    try:
        execute(conn, query("rollback").encode())
    except psycopg.Error:
        conn.close()


def _load(connected: Callable[[], SyncConnection], change: Change) -> ChangedObject | None:
    key = key_to_load(change)
    if key is None:
        return None
    rows = SyncLiveRows(connected())
    loaded = rows.load(change.content_type, key)
    return None if loaded is None else ChangedObject(change.content_type, rows, loaded)


def _refuse_awaitable(returned: object) -> None:
    """Fail a run whose work was never begun: that of an ``async def`` behind a decorator that hides it."""
    if inspect.isawaitable(returned):
        if inspect.iscoroutine(returned):
            returned.close()
        raise TypeError("receive_job_hook returned an awaitable and is no async def: what it returned was not awaited")


@contextmanager
def _soft_limit(seconds: float | None) -> Generator[None]:
    """Raise SoftTimeLimitExceeded in the block when it has run for so long; Python's own code only is interrupted."""
    if seconds is None:
        yield
        return

    def exceeded(_number: int, _frame: object) -> NoReturn:
        assert seconds is not None
        raise SoftTimeLimitExceeded(seconds)

    former = signal.signal(signal.SIGALRM, exceeded)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, former)
