"""Inside a worker process: it does what the daemon asks for, on a connection that it keeps."""

import contextlib
import resource
import signal
import socket
from collections.abc import Callable
from functools import partial

from jobhooks.contract.log import LogEntry, ReceiverLog
from jobhooks.contract.run import Run
from jobhooks.discovery.loading import FoundReceiver, load_again
from jobhooks.discovery.sources import Installed, Source
from jobhooks.engine.delivery.outcome import Outcome, failed
from jobhooks.engine.running import output
from jobhooks.engine.running.in_process.calls import (
    add_lines_to,
    call_receiver,
    find_running,
    run_receivers,
    within_limits,
)
from jobhooks.engine.running.in_process.connection import Leftovers
from jobhooks.engine.running.in_process.line_file import LineFile
from jobhooks.engine.running.in_process.messages import encoded, receive
from jobhooks.engine.running.in_process.order import DeadRun, Order
from jobhooks.engine.running.in_process.transaction import KeptConnection, RunConnection, SharedTransaction
from jobhooks.engine.running.steps import (
    call_steps,
    dead_step,
)
from jobhooks.errors import AlreadySettled, DatabaseUnreachable, InvalidReceiver
from jobhooks.runtime.logging import LogSettings, configure
from jobhooks.runtime.parent_process import end_with
from jobhooks.runtime.process_copies import without_copies

MOST_THREADS = 40  # a ThreadPoolExecutor of a module starts up to 32

_found: FoundReceiver | InvalidReceiver
_connection: KeptConnection


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
    connection.set_inheritable(False)
    add_lines_to(lines)
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
            limited = partial(within_limits, order.soft_time_limit, None)
            call_steps([dead_step(receiver, dead.exc)], limited, sensitive=order.sensitive)
    log.end_lines()
    return tuple(log.entries)


def _not_imported(order: Order, error: InvalidReceiver) -> Outcome:
    return failed(order.clock.now(), order.clock, ReceiverLog(), error, rules=order.rules)
