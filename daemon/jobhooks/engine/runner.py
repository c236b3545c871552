"""Running ``async def`` receivers, in the daemon's loop."""

import asyncio
import datetime
from typing import Any

from jobhooks.contract.change import Change
from jobhooks.contract.changed_object import AsyncChangedObject
from jobhooks.contract.log import ReceiverLog
from jobhooks.contract.receiver import JobHookReceiver, Run
from jobhooks.engine.live_rows import AsyncLiveRows, key_to_load
from jobhooks.engine.matching import Delivery
from jobhooks.engine.settle import Outcome, completed, failed, result_parameters
from jobhooks.errors import AlreadySettled
from jobhooks.store.connections import AsyncConnection, call_async, close_async, connect_async


class AsyncRunner:
    """Runs ``async def`` receivers one at a time, on a connection that is opened for the first of them."""

    def __init__(self, asyncpg_arguments: dict[str, Any]) -> None:
        self._asyncpg_arguments = asyncpg_arguments
        self._conn: AsyncConnection | None = None

    async def run(self, receiver: type[JobHookReceiver[AsyncConnection]], delivery: Delivery) -> Outcome:
        """Run ``receiver`` for ``delivery`` in one transaction with its result, and return what it did.

        A failure is returned and not recorded: its transaction is rolled back.

        Raises:
            AlreadySettled: another daemon was faster; nothing of this run is kept.
            DatabaseUnreachable: no connection could be opened for it.
        """
        if self._conn is None or self._conn.is_closed():
            self._conn = await connect_async(self._asyncpg_arguments)
        try:
            return await _run(self._conn, receiver, delivery)
        finally:
            if self._conn.is_in_transaction():
                await self.close()  # the receiver meddled with the transaction; the next run opens a fresh connection

    async def close(self) -> None:
        """Close the connection."""
        if self._conn is not None:
            await close_async(self._conn)


async def _run(conn: AsyncConnection, receiver: type[JobHookReceiver[AsyncConnection]], delivery: Delivery) -> Outcome:
    log = ReceiverLog()
    started_at = datetime.datetime.now(datetime.UTC)
    try:
        async with conn.transaction():
            ((started_at, _),) = await call_async(conn, "begin_run", delivery.identity.mark)
            changed_object = await _load(conn, delivery.change)
            instance = receiver(Run(delivery.identity, conn, log))
            await instance.receive_job_hook(  # pyright: ignore[reportGeneralTypeIssues] - it is an async def one
                change=delivery.change, action=delivery.change.action, changed_object=changed_object
            )
            outcome = completed(started_at, log)
            parameters = result_parameters(delivery.identity, outcome, in_receivers_transaction=True)
            await call_async(conn, "record_result", *parameters)
        return outcome
    except AlreadySettled:
        raise
    except asyncio.CancelledError as exc:
        task = asyncio.current_task()
        if task is not None and task.cancelling():  # it is the daemon that ends, not something inside the receiver
            raise
        return failed(started_at, log, exc)
    except (Exception, SystemExit) as exc:  # noqa: BLE001 - an author's code may raise anything, and it is recorded
        return failed(started_at, log, exc)


async def _load(conn: AsyncConnection, change: Change) -> AsyncChangedObject | None:
    key = key_to_load(change)
    rows = AsyncLiveRows(conn)
    loaded = None if key is None else await rows.load(change.content_type, key)
    return None if loaded is None else AsyncChangedObject(change.content_type, rows, loaded)
