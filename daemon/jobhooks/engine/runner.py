"""Running ``async def`` receivers, in the daemon's loop."""

import asyncio
from collections.abc import Callable
from typing import Any

import msgspec

from jobhooks.contract.changed_object import AsyncChangedObject
from jobhooks.contract.log import ReceiverLog
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
        hook = delivery.hook
        opened: list[RunTransaction] = []

        def transaction() -> RunTransaction:
            if not opened:
                opened.append(RunTransaction(self._connections, hook.class_path, delivery.identity.mark))
            return opened[0]

        try:
            arguments = await _arguments(found, delivery, transaction)
            instance = found.receiver(Run(delivery.identity, lambda: LazyConnection(transaction()), log))
            coroutine: Any = instance.receive_job_hook(**arguments)
            await Limited(coroutine, hook.class_path, hook.soft_time_limit, hook.time_limit).run()
            outcome = completed(started_at, self._clock, log)
            if opened and opened[0].conn is not None:
                outcome = await _commit(opened[0], delivery, outcome)
            return outcome
        except (AlreadySettled, GeneratorExit):
            raise
        except BaseException as exc:
            task = asyncio.current_task()
            if isinstance(exc, asyncio.CancelledError) and task is not None and task.cancelling():
                raise  # it is the daemon that ends, not something inside the receiver
            if opened and opened[0].conn is not None and opened[0].conn.is_closed():
                raise DatabaseUnreachable(f"lost the connection to the database: {exc}") from exc
            return failed(started_at, self._clock, log, exc)
        finally:
            if opened and opened[0].conn is not None:
                await asyncio.shield(opened[0].end())


async def _arguments(
    found: FoundReceiver, delivery: Delivery, transaction: Callable[[], RunTransaction]
) -> dict[str, Any]:
    arguments: dict[str, Any] = {"change": delivery.change}
    if "action" in found.wanted:
        arguments["action"] = delivery.change.action
    if "changed_object" in found.wanted:
        arguments["changed_object"] = await _load(transaction(), delivery)
    return arguments


async def _load(transaction: RunTransaction, delivery: Delivery) -> AsyncChangedObject | None:
    key = key_to_load(delivery.change)
    if key is None:
        return None
    rows = AsyncLiveRows(transaction)
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
    return msgspec.structs.replace(outcome, recorded=True)
