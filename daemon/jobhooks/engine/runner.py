"""Running ``async def`` receivers, in the daemon's loop."""

import asyncio
from dataclasses import replace
from typing import Any

from jobhooks.contract.changed_object import AsyncChangedObject
from jobhooks.contract.log import ReceiverLog
from jobhooks.contract.meta import wanted_arguments
from jobhooks.contract.receiver import Run
from jobhooks.engine.delivery import Delivery
from jobhooks.engine.limits import Limited
from jobhooks.engine.live_rows import AsyncLiveRows, key_to_load
from jobhooks.engine.loading import FoundReceiver
from jobhooks.engine.outcome import (
    Clock,
    Outcome,
    completed,
    end_run,
    failed,
    result_parameters,
    says_only_success,
)
from jobhooks.engine.receiver_connections import Connections, LazyConnection, RunTransaction
from jobhooks.errors import AlreadySettled, DatabaseUnreachable
from jobhooks.store.connections import call_async
from jobhooks.store.sql_files import query


class AsyncRunner:
    """Runs ``async def`` receivers: many at a time, each in a transaction of its own, if it needs one."""

    def __init__(self, connections: Connections, clock: Clock) -> None:
        self._connections = connections
        self._clock = clock

    async def run(self, found: FoundReceiver, delivery: Delivery) -> Outcome:
        """Run a receiver for ``delivery``, and return what it did.

        If it used its connection, its result is in the same transaction; else the result is not recorded yet, and
        neither is a failure, whose transaction is rolled back.

        Raises:
            AlreadySettled: somebody else was faster; nothing of this run is kept.
            DatabaseUnreachable: the connection was lost: whether it had committed is not known.
        """
        log = ReceiverLog()
        started_at = self._clock.now()
        transaction = RunTransaction(self._connections, delivery.hook.class_path, delivery.identity.mark)
        connection = LazyConnection(transaction)
        hook = delivery.hook
        change = delivery.change
        try:
            wanted = wanted_arguments(found.receiver)
            arguments: dict[str, Any] = {"change": change}
            if "action" in wanted:
                arguments["action"] = change.action
            if "changed_object" in wanted:
                arguments["changed_object"] = await _load(transaction, delivery)
            instance = found.receiver(Run(delivery.identity, lambda: connection, log))
            coroutine: Any = instance.receive_job_hook(**arguments)
            await Limited(coroutine, hook.class_path, hook.soft_time_limit, hook.time_limit).run()
            outcome = completed(started_at, self._clock, log)
            if transaction.conn is not None:
                outcome = await _commit(transaction, delivery, outcome)
            return outcome
        except (AlreadySettled, GeneratorExit):
            raise
        except BaseException as exc:
            task = asyncio.current_task()
            if isinstance(exc, asyncio.CancelledError) and task is not None and task.cancelling():
                raise  # it is the daemon that ends, not something inside the receiver
            if transaction.conn is not None and transaction.conn.is_closed():
                raise DatabaseUnreachable(f"lost the connection to the database: {exc}") from exc
            return failed(started_at, self._clock, log, exc)
        finally:
            if transaction.conn is not None:
                await asyncio.shield(transaction.end())


async def _load(transaction: RunTransaction, delivery: Delivery) -> AsyncChangedObject | None:
    key = key_to_load(delivery.change)
    if key is None:
        return None
    rows = AsyncLiveRows(await transaction.open())
    loaded = await rows.load(delivery.change.content_type, key)
    return None if loaded is None else AsyncChangedObject(delivery.change.content_type, rows, loaded)


async def _commit(transaction: RunTransaction, delivery: Delivery, outcome: Outcome) -> Outcome:
    """Record the result and commit: in one message where it consists of numbers only."""
    conn = transaction.conn
    assert conn is not None
    job_id = delivery.hook.job_id
    if says_only_success(outcome):
        await transaction.commit(end_run(delivery.identity, job_id, outcome))
    else:
        encoding = conn.get_settings().server_encoding
        await call_async(conn, "record_result", *result_parameters(delivery.identity, job_id, outcome, encoding))
        await transaction.commit(query("commit"))
    return replace(outcome, recorded=True)
