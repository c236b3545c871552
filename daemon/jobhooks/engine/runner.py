"""Running ``async def`` receivers, in the daemon's loop."""

import asyncio
import contextlib
import datetime
from typing import Any

from jobhooks.contract.change import Change
from jobhooks.contract.changed_object import AsyncChangedObject
from jobhooks.contract.log import ReceiverLog
from jobhooks.contract.receiver import JobHookReceiver, Run
from jobhooks.engine.live_rows import AsyncLiveRows, key_to_load
from jobhooks.engine.matching import Delivery
from jobhooks.engine.settle import Outcome, completed, failed, result_parameters
from jobhooks.errors import AlreadySettled, DatabaseUnreachable, JobhooksError
from jobhooks.store.connections import AsyncConnection, call_async, close_async, connect_async, translated_errors
from jobhooks.store.sql_files import query


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
        if self._conn is not None and not self._conn.is_closed():
            try:
                return await _run(self._conn, receiver, delivery)
            except DatabaseUnreachable:
                await self.close()  # it was cut while it was idle, and the receiver was not called
        self._conn = await connect_async(self._asyncpg_arguments)
        return await _run(self._conn, receiver, delivery)

    async def close(self) -> None:
        """Close the connection."""
        if self._conn is not None:
            await close_async(self._conn)


async def _run(conn: AsyncConnection, receiver: type[JobHookReceiver[AsyncConnection]], delivery: Delivery) -> Outcome:
    log = ReceiverLog()
    started_at = datetime.datetime.now(datetime.UTC).isoformat()
    run = Run(delivery.identity, conn, log)
    called = False
    try:
        async with conn.transaction(isolation="read_committed"):
            ((started_at, *_),) = await call_async(conn, "begin_run", delivery.identity.mark)
            changed_object = await _load(conn, delivery.change)
            called = True
            instance = receiver(run)
            await instance.receive_job_hook(  # pyright: ignore[reportGeneralTypeIssues] - it is an async def one
                change=delivery.change, action=delivery.change.action, changed_object=changed_object
            )
            outcome = completed(started_at, log)
            encoding = conn.get_settings().server_encoding
            parameters = result_parameters(
                delivery.identity, outcome, in_receivers_transaction=True, server_encoding=encoding
            )
            await call_async(conn, "record_result", *parameters)
        return outcome
    except (AlreadySettled, GeneratorExit):
        raise
    except BaseException as exc:
        task = asyncio.current_task()
        if isinstance(exc, asyncio.CancelledError) and task is not None and task.cancelling():
            raise  # it is the daemon that ends, not something inside the receiver
        if not called and conn.is_closed():
            raise DatabaseUnreachable(f"lost the connection to the database: {exc}") from exc
        return failed(started_at, log, exc)
    finally:
        await _forget(conn, taken=run.connection_taken)


async def _load(conn: AsyncConnection, change: Change) -> AsyncChangedObject | None:
    key = key_to_load(change)
    rows = AsyncLiveRows(conn)
    loaded = None if key is None else await rows.load(change.content_type, key)
    return None if loaded is None else AsyncChangedObject(change.content_type, rows, loaded)


async def _forget(conn: AsyncConnection, *, taken: bool) -> None:
    """Make the session as new for the next run; close it where the receiver had its hands on it."""
    if conn.is_closed():
        return
    if not taken and not conn.is_in_transaction():
        with contextlib.suppress(JobhooksError), translated_errors():
            await conn.execute(query("forget_session"))
            return
    await close_async(conn)
