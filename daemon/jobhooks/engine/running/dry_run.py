"""A rehearsal: a receiver runs for a change, in a process of its own, and what it wrote is read and rolled back.

It runs by the code that deliveries run by, up to the commit. The process is there so that a receiver that hangs or
crashes is ended at its time limit, as in the daemon, whichever kind it is.
"""

import asyncio
import contextlib
import multiprocessing
import os
import sys
from concurrent.futures import Future
from dataclasses import dataclass

from pebble import ProcessExpired, ProcessPool

from jobhooks.contract.control import TimeLimitExceeded
from jobhooks.contract.log import ReceiverLog
from jobhooks.discovery.loading import FoundReceiver, load_again
from jobhooks.discovery.sources import Installed, Source
from jobhooks.engine.delivery.delivery import Delivery
from jobhooks.engine.delivery.outcome import Clock, Outcome, failed, failed_after
from jobhooks.engine.running.in_loop.call import call_receiver
from jobhooks.engine.running.in_loop.pool import Connections
from jobhooks.engine.running.in_loop.transaction import RunTransaction, end_transaction
from jobhooks.engine.running.in_process import worker
from jobhooks.engine.running.in_process.runner import WorkerDied, how_it_ended, orders_of
from jobhooks.engine.running.in_process.transaction import KeptConnection, SharedTransaction
from jobhooks.errors import JobhooksError, TransactionEnded
from jobhooks.runtime.parent_process import end_with
from jobhooks.store.captured_changes import ListedChange, changes_with_ids, changes_with_ids_async
from jobhooks.store.connections import SyncConnection, asyncpg_arguments, call, call_async, connect
from jobhooks.store.queries import query

GRACE_S = 2.0  # that an async def receiver, which is cancelled at its time limit, has before its process is killed
CLOCK = Clock()


@dataclass(frozen=True)
class Rehearsal:
    """What a receiver did, and the changes that it would have made in watched tables, with ids that nobody has."""

    outcome: Outcome
    changes: list[ListedChange]


def rehearse(database_url: str, found: FoundReceiver, delivery: Delivery, memory_limit: int | None = None) -> Rehearsal:
    """Run a receiver for ``delivery``, and keep nothing of what it wrote.

    Its last steps, ``on_failure`` and ``after_return``, are left out: nothing is committed or undone that they could
    tell of. ``memory_limit``: bytes of data that its process may have.

    Raises:
        DatabaseUnreachable: the connection was lost; nothing is kept.
        InvalidReceiver: it cannot be imported in that process.
    """
    assert found.origin is not None
    started_at = CLOCK.now()
    longest_s = delivery.hook.limits.time_limit
    pool = ProcessPool(
        max_workers=1,
        initializer=_initialize,
        initargs=(os.getpid(), memory_limit),
        context=multiprocessing.get_context("spawn"),
    )
    try:
        running: Future[Rehearsal] = pool.schedule(
            _rehearse,
            args=[database_url, found.class_path, found.origin, delivery],
            timeout=None if longest_s is None else longest_s + GRACE_S,
        )
        return running.result()
    except TimeoutError:
        assert longest_s is not None
        error: Exception = TimeLimitExceeded(longest_s)
    except ProcessExpired as exc:
        error = WorkerDied(how_it_ended(exc))
    finally:
        pool.stop()
        pool.join()
    return Rehearsal(failed(started_at, CLOCK, ReceiverLog(), error), [])


# What follows runs in the process of the rehearsal.


def _initialize(owner: int, memory_limit: int | None) -> None:
    end_with(owner)
    # What a receiver prints, or has others print, is none of the data that the command prints.
    os.dup2(2, 1)
    sys.stdout = sys.stderr
    worker.limit_memory(memory_limit)


def _rehearse(database_url: str, class_path: str, origin: Source | Installed, delivery: Delivery) -> Rehearsal:
    found = load_again(class_path, origin)
    if found.is_async:
        return asyncio.run(_rehearse_async(database_url, found, delivery))
    return _rehearse_def(database_url, found, delivery)


def _rehearse_def(database_url: str, found: FoundReceiver, delivery: Delivery) -> Rehearsal:
    (order,) = orders_of([delivery], CLOCK)
    with contextlib.closing(KeptConnection(database_url)) as connection:
        shared = SharedTransaction(connection)
        try:
            outcome = worker.rehearse(found, order, shared)
            if outcome.undone or shared.conn is None:
                return Rehearsal(outcome, [])
            try:
                return Rehearsal(outcome, _written(shared.conn, delivery))
            except JobhooksError as exc:
                return _failed(outcome, exc)
        finally:
            shared.end()


def _written(conn: SyncConnection, delivery: Delivery) -> list[ListedChange]:
    """Return the changes that the transaction has made, once all that would be checked at its commit is.

    Raises:
        TransactionEnded: it is not the one that was opened for this run.
        JobhooksError: it could not be committed.
    """
    _refuse_ended(delivery, call(conn, "mark_in_force")[0][0])
    call(conn, "check_deferred")
    call(conn, "become_oneself")
    return changes_with_ids(conn, [id_ for (id_,) in call(conn, "changes_of_this_transaction")])


async def _rehearse_async(database_url: str, found: FoundReceiver, delivery: Delivery) -> Rehearsal:
    with contextlib.closing(connect(database_url)) as conn:
        connections = Connections(asyncpg_arguments(conn), 2)
    transaction = RunTransaction(connections, delivery.hook.job, delivery.identity)
    try:
        outcome = await call_receiver(found, delivery, transaction, CLOCK, [delivery])
        if outcome.undone or transaction.conn is None:
            return Rehearsal(outcome, [])
        try:
            return Rehearsal(outcome, await _written_async(transaction, delivery))
        except JobhooksError as exc:
            return _failed(outcome, exc)
    finally:
        await end_transaction(transaction)
        connections.terminate()


async def _written_async(transaction: RunTransaction, delivery: Delivery) -> list[ListedChange]:
    """Do what ``_written`` does."""
    conn = transaction.conn
    assert conn is not None
    _refuse_ended(delivery, (await call_async(conn, "mark_in_force"))[0][0])
    await call_async(conn, "check_deferred")
    await conn.execute(query("become_oneself"))
    return await changes_with_ids_async(conn, [id_ for (id_,) in await call_async(conn, "changes_of_this_transaction")])


def _refuse_ended(delivery: Delivery, mark: str | None) -> None:
    if mark != delivery.identity.mark:
        raise TransactionEnded


def _failed(outcome: Outcome, exc: JobhooksError) -> Rehearsal:
    return Rehearsal(failed_after(outcome, CLOCK, exc), [])
