"""Running ``async def`` receivers, in the daemon's loop."""

import asyncio
from collections.abc import Awaitable, Coroutine, Sequence
from functools import partial
from typing import Any

import msgspec

from jobhooks.contract.change import Change
from jobhooks.contract.changed_object import AsyncChangedObject
from jobhooks.contract.log import ReceiverLog
from jobhooks.contract.run import Run, current_run
from jobhooks.discovery.loading import FoundReceiver
from jobhooks.engine.delivery.delivery import Delivery
from jobhooks.engine.delivery.outcome import Clock, Outcome, completed, failed
from jobhooks.engine.running.in_loop.lazy_connection import LazyConnection
from jobhooks.engine.running.in_loop.limits import Limited
from jobhooks.engine.running.in_loop.pool import Connections
from jobhooks.engine.running.in_loop.transaction import RunTransaction, SharedTransaction
from jobhooks.engine.running.live_rows import AsyncLiveRows, key_to_load
from jobhooks.engine.running.previous_change import previous_change_async
from jobhooks.engine.running.result_statements import end_results, end_runs, results_parameters, says_only_success
from jobhooks.engine.running.sharing import GaveWay
from jobhooks.engine.running.steps import Ending, after_run_async, in_steps_async
from jobhooks.errors import AlreadySettled, DatabaseUnreachable
from jobhooks.store.connections import call_async
from jobhooks.store.queries import query


class AsyncRunner:
    """Runs ``async def`` receivers: many at a time, each in a transaction of its own, if it needs one."""

    def __init__(self, connections: Connections, clock: Clock) -> None:
        self._connections = connections
        self._clock = clock

    def shared_transaction(self, delivery: Delivery) -> SharedTransaction:
        """Return a transaction that has not begun, for runs of this delivery's receiver."""
        return SharedTransaction(self._connections, delivery.hook.class_path)

    def transaction(self, delivery: Delivery, shared: SharedTransaction | None = None) -> RunTransaction:
        """Return what a run of ``delivery`` has of a transaction: ``shared``, or one of its own."""
        return RunTransaction(self._connections, delivery.hook.class_path, delivery.identity, shared)

    async def run(self, found: FoundReceiver, deliveries: list[Delivery]) -> Outcome:
        """Run a receiver for these deliveries, in one call, by itself, and return what it did; several are a batch.

        If it used its connection, its results are in the same transaction; else they are not recorded yet, and
        neither is a failure, whose transaction is rolled back.

        Raises:
            AlreadySettled: somebody else was faster; nothing of this run is kept.
            DatabaseUnreachable: the connection was lost: whether it had committed is not known.
        """
        first = deliveries[0]
        transaction = self.transaction(first)
        ending = Ending() if found.has_last_steps else None
        try:
            outcome = await self.begin(found, first, transaction, deliveries, ending)
            if transaction.joined is not None and not outcome.undone:
                outcome = await self._written(transaction.joined, deliveries, outcome, ending, commit=True)
        finally:
            await end_transaction(transaction)
        if ending is None:
            return outcome
        hook = first.hook

        def limited(step: Coroutine[Any, Any, object]) -> Awaitable[object]:
            return Limited(step, hook.class_path, hook.soft_time_limit, hook.time_limit).run()

        return await after_run_async(ending, outcome, limited, sensitive=hook.has_sensitive_variables)

    async def begin(
        self,
        found: FoundReceiver,
        delivery: Delivery,
        transaction: RunTransaction,
        batch: Sequence[Delivery] = (),
        ending: Ending | None = None,
    ) -> Outcome:
        """Run a receiver, and return what it did; what it wrote is not committed, and if it failed not undone either.

        ``batch``: the deliveries of one that takes batches. ``ending``: takes what its last steps are to be told.

        Raises:
            DatabaseUnreachable: the connection was lost.
            GaveWay: it has others before it in its transaction, and is to be run by itself.
        """
        log = ReceiverLog()
        started_at = self._clock.now()
        hook = delivery.hook
        change = delivery.shown or delivery.change
        connect, previous = partial(LazyConnection, transaction), partial(previous_change_async, transaction)
        run: Run[Any] = Run(transaction.delivery, connect, log, change.id, hook.name, previous)
        current_run.set(run)
        try:
            instance: Any = found.receiver(run)
            if found.takes_batches:
                changes = [each.shown or each.change for each in batch]
                work = partial(instance.receive_job_hook_batch, changes=changes)
            else:
                arguments = _arguments(found, change)
                if "changed_object" in found.wanted:
                    arguments["changed_object"] = await _load(transaction, change)
                work = partial(instance.receive_job_hook, **arguments)
            coroutine: Any = in_steps_async(instance, work) if found.steps else work()
            if ending is not None:
                ending.receiver = instance
            value = await Limited(coroutine, hook.class_path, hook.soft_time_limit, hook.time_limit).run()
            if ending is not None:
                ending.value = value
            return completed(started_at, self._clock, log, value, sensitive=hook.has_sensitive_variables)
        except (GeneratorExit, GaveWay):
            raise
        except BaseException as exc:
            task = asyncio.current_task()
            if isinstance(exc, asyncio.CancelledError) and task is not None and task.cancelling():
                raise  # it is the daemon that ends, or who waits for this run, not something inside the receiver
            if transaction.conn is not None and transaction.conn.is_closed():
                raise DatabaseUnreachable(f"lost the connection to the database: {exc}") from exc
            transaction.give_way(exc)
            if ending is not None:
                ending.exc = exc
            return failed(started_at, self._clock, log, exc, sensitive=hook.has_sensitive_variables)
        finally:
            current_run.set(None)

    async def record(self, shared: SharedTransaction, delivery: Delivery, outcome: Outcome) -> Outcome:
        """Record the result of a run in its transaction, or return it as a failure because that cannot be.

        Raises: as ``run``.
        """
        return await self._written(shared, [delivery], outcome, commit=False)

    async def commit(self, shared: SharedTransaction | None, delivery: Delivery, outcome: Outcome) -> Outcome:
        """Record the result of a run that is alone in its transaction, and commit; or return it as a failure.

        What failed is left to be undone, and a run that joined no transaction has its result recorded by others.

        Raises: as ``run``.
        """
        if shared is None or outcome.undone:
            return outcome
        return await self._written(shared, [delivery], outcome, commit=True)

    async def commit_all(
        self, shared: SharedTransaction, runs: list[tuple[Delivery, Outcome]]
    ) -> list[tuple[Delivery, Outcome]]:
        """Record the results of runs that are in one transaction, as far as they are not, and commit; return them.

        Raises:
            AlreadySettled: one of them has a result by now.
            JobhooksError: they cannot be committed; whether they are is not known after DatabaseUnreachable.
        """
        if not runs:
            return []
        if shared.broken:
            raise DatabaseUnreachable
        unrecorded = [(each.identity, each.hook.job_id, outcome) for each, outcome in runs if not outcome.recorded]
        await shared.commit(end_runs(unrecorded) if unrecorded else query("commit"))
        return [(delivery, msgspec.structs.replace(outcome, recorded=True)) for delivery, outcome in runs]

    async def _written(
        self,
        shared: SharedTransaction,
        deliveries: Sequence[Delivery],
        outcome: Outcome,
        ending: Ending | None = None,
        *,
        commit: bool,
    ) -> Outcome:
        conn = shared.conn
        assert conn is not None
        identities = [identity for delivery in deliveries for identity in delivery.identities]
        job_id = deliveries[0].hook.job_id
        try:
            if says_only_success(outcome) and commit:
                await shared.commit(end_results(identities, job_id, outcome))
            else:
                encoding = conn.get_settings().server_encoding
                await call_async(conn, "record_results", *results_parameters(identities, job_id, outcome, encoding))
                if commit:
                    await shared.commit(query("commit"))
        except AlreadySettled:
            raise
        except Exception as exc:
            if conn.is_closed():
                raise DatabaseUnreachable(f"lost the connection to the database: {exc}") from exc
            log = ReceiverLog()
            log.entries = list(outcome.log)
            if ending is not None:
                ending.exc = exc
            sensitive = deliveries[0].hook.has_sensitive_variables
            return failed(outcome.started_at, self._clock, log, exc, sensitive=sensitive)
        return msgspec.structs.replace(outcome, recorded=True)


async def end_transaction(transaction: RunTransaction) -> None:
    """End a run, and roll back what it has not committed in a transaction of its own."""
    transaction.end()
    if transaction.joined is not None:
        await asyncio.shield(transaction.joined.end())


def _arguments(found: FoundReceiver, change: Change) -> dict[str, Any]:
    """Return what a receiver takes, but for the live row."""
    return {"change": change, "action": change.action} if "action" in found.wanted else {"change": change}


async def _load(transaction: RunTransaction, change: Change) -> AsyncChangedObject | None:
    key = key_to_load(change)
    if key is None:
        return None
    rows = AsyncLiveRows(transaction)
    loaded = await rows.load(change.content_type, key)
    return None if loaded is None else AsyncChangedObject(change.content_type, rows, loaded)
