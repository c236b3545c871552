"""A dry run: a receiver runs for a change, in a separate process, and its writes are listed and rolled back.

It uses the code that deliveries run by, up to the commit. The process makes it possible to end a receiver of either
kind at its time limit, even if it hangs or crashes.
"""

import asyncio
import contextlib
import multiprocessing
import os
import sys
from dataclasses import dataclass
from functools import partial
from multiprocessing.connection import Connection, wait
from typing import TextIO, cast

from jobhooks.contract.choices import LogLevel
from jobhooks.contract.control import TimeLimitExceeded, WorkerDied
from jobhooks.contract.log import ReceiverLog
from jobhooks.contract.run import mark_of
from jobhooks.discovery.loading import FoundReceiver, load_again
from jobhooks.discovery.sources import Installed, Source
from jobhooks.engine.delivery.delivery import Delivery
from jobhooks.engine.delivery.outcome import Clock, Outcome, failed, failed_after
from jobhooks.engine.running import output
from jobhooks.engine.running.in_loop.call import call_receiver
from jobhooks.engine.running.in_loop.pool import Connections
from jobhooks.engine.running.in_loop.transaction import RunTransaction, end_transaction
from jobhooks.engine.running.in_process import calls
from jobhooks.engine.running.in_process.runner import orders_of
from jobhooks.engine.running.in_process.transaction import KeptConnection, SharedTransaction
from jobhooks.engine.running.in_process.worker import limit_memory
from jobhooks.engine.running.in_process.worker_process import how_it_ended
from jobhooks.errors import JobhooksError, TransactionEnded
from jobhooks.runtime.parent_process import end_with
from jobhooks.store.captured_changes import ListedChange, changes_with_ids, changes_with_ids_async
from jobhooks.store.connections import SyncConnection, asyncpg_arguments, call, call_async, connect
from jobhooks.store.queries import query

GRACE_S = 2.0  # after an async def receiver is cancelled at its time limit, its process is killed
CLOCK = Clock()


@dataclass(frozen=True)
class DryRunOutcome:
    """The outcome, and the changes that the receiver would have made in watched tables. Their ids do not exist."""

    outcome: Outcome
    changes: list[ListedChange]


def run_dry(
    database_url: str, found: FoundReceiver, delivery: Delivery, memory_limit: int | None = None
) -> DryRunOutcome:
    """Run a receiver for ``delivery``, and roll back its writes.

    The last steps, ``on_failure``, ``after_return`` and ``on_dead``, are not called: they act on a commit or a
    rollback, and here is neither. ``memory_limit``: bytes of data that the process may have.

    Raises:
        DatabaseUnreachable: the connection was lost; nothing was kept.
        InvalidReceiver: it cannot be imported in that process.
    """
    assert found.origin is not None
    started_at = CLOCK.now()
    longest_s = delivery.hook.limits.time_limit
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe(duplex=False)
    process = context.Process(
        target=_serve, args=(theirs, os.getpid(), memory_limit, database_url, found.class_path, found.origin, delivery)
    )
    process.start()
    theirs.close()
    try:
        if not wait([ours, process.sentinel], None if longest_s is None else longest_s + GRACE_S):
            assert longest_s is not None
            error: Exception = TimeLimitExceeded(longest_s)
        elif not ours.poll():
            raise EOFError  # a program that the receiver started may hold the connection open
        else:
            ran, raised = cast("tuple[DryRunOutcome | None, Exception | None]", ours.recv())
            if raised is not None:
                raise raised
            assert ran is not None
            return ran
    except EOFError:
        process.join()
        assert process.exitcode is not None
        error = WorkerDied(how_it_ended(process.exitcode, "while it ran the receiver"))
    finally:
        process.kill()
        process.join()
        ours.close()
    return DryRunOutcome(failed(started_at, CLOCK, ReceiverLog(), error), [])


# Everything below runs in the process of the dry run.


def _serve(
    connection: Connection,
    owner: int,
    memory_limit: int | None,
    database_url: str,
    class_path: str,
    origin: Source | Installed,
    delivery: Delivery,
) -> None:
    _initialize(owner, memory_limit)
    try:
        ran = _run(database_url, class_path, origin, delivery)
    except Exception as exc:  # noqa: BLE001 - raised in the other process
        connection.send((None, exc))
    else:
        connection.send((ran, None))


def _initialize(owner: int, memory_limit: int | None) -> None:
    end_with(owner)
    # stdout has the data of the command. Programs that a receiver starts, and code outside of runs, print to stderr.
    os.dup2(2, 1)
    sys.stdout = sys.stderr
    output.capture(calls.find_running, partial(_print_rest, sys.stderr))
    limit_memory(memory_limit)


def _print_rest(stream: TextIO, _level: LogLevel, source: str, text: str) -> None:
    stream.write(f"{source}: {text}\n")


def _run(database_url: str, class_path: str, origin: Source | Installed, delivery: Delivery) -> DryRunOutcome:
    found = load_again(class_path, origin)
    if found.is_async:
        return asyncio.run(_run_async(database_url, found, delivery))
    return _run_def(database_url, found, delivery)


def _run_def(database_url: str, found: FoundReceiver, delivery: Delivery) -> DryRunOutcome:
    (order,) = orders_of(found, [delivery], CLOCK)
    with contextlib.closing(KeptConnection(database_url)) as connection:
        shared = SharedTransaction(connection)
        try:
            outcome = calls.run_uncommitted(found, order, shared)
            if outcome.undone or shared.conn is None:
                return DryRunOutcome(outcome, [])
            try:
                return DryRunOutcome(outcome, _written(shared.conn, delivery))
            except JobhooksError as exc:
                return _failed(outcome, exc)
        finally:
            shared.end()


def _written(conn: SyncConnection, delivery: Delivery) -> list[ListedChange]:
    """The changes that the transaction made, after running the checks that its commit would run.

    Raises:
        TransactionEnded: the receiver ended the transaction that was opened for this run.
        JobhooksError: it could not commit.
    """
    _refuse_ended(delivery, call(conn, "mark_in_force")[0][0])
    call(conn, "check_deferred")
    call(conn, "become_oneself")
    return changes_with_ids(conn, [id_ for (id_,) in call(conn, "changes_of_this_transaction")])


async def _run_async(database_url: str, found: FoundReceiver, delivery: Delivery) -> DryRunOutcome:
    with contextlib.closing(connect(database_url)) as conn:
        connections = Connections(asyncpg_arguments(conn), 2)
    transaction = RunTransaction(connections, delivery.hook.job, delivery.identity)
    try:
        outcome = await call_receiver(found, delivery, transaction, CLOCK, [delivery])
        if outcome.undone or transaction.conn is None:
            return DryRunOutcome(outcome, [])
        try:
            return DryRunOutcome(outcome, await _written_async(transaction, delivery))
        except JobhooksError as exc:
            return _failed(outcome, exc)
    finally:
        await end_transaction(transaction)
        connections.terminate()


async def _written_async(transaction: RunTransaction, delivery: Delivery) -> list[ListedChange]:
    """The same as ``_written``."""
    conn = transaction.conn
    assert conn is not None
    _refuse_ended(delivery, (await call_async(conn, "mark_in_force"))[0][0])
    await call_async(conn, "check_deferred")
    await conn.execute(query("become_oneself"))
    return await changes_with_ids_async(conn, [id_ for (id_,) in await call_async(conn, "changes_of_this_transaction")])


def _refuse_ended(delivery: Delivery, mark: str | None) -> None:
    if mark != mark_of(delivery.identity, delivery.changes):
        raise TransactionEnded


def _failed(outcome: Outcome, exc: JobhooksError) -> DryRunOutcome:
    return DryRunOutcome(failed_after(outcome, CLOCK, exc), [])
