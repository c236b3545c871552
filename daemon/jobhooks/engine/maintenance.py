"""Maintenance: keeping the log, the results and the history of hooks and jobs from growing forever."""

import asyncio
import datetime

from jobhooks.errors import DatabaseUnreachable, JobhooksError
from jobhooks.runtime.event_log import get_logger
from jobhooks.store.connections import AsyncpgArguments, call_async, close_async, connect_async

INTERVAL_S = 600.0  # between two rounds; the work of a round is due for hours at least
PAUSE_S = 0.1  # between two batches of results, so that deliveries come first

log = get_logger()


async def maintain(asyncpg_arguments: AsyncpgArguments, retention_days: float) -> None:
    """Run a round now and then at intervals, until cancelled.

    A failed round is logged; the next one tries again. Deliveries go on without it.
    """
    while True:
        try:
            done = await _round(asyncpg_arguments, datetime.timedelta(days=retention_days))
            if done:
                log.info("log_maintained", done=done)
        except DatabaseUnreachable as exc:
            log.debug("log_not_maintained", error=str(exc))  # the session notices that it lost the database
        except JobhooksError as exc:
            log.warning("log_not_maintained", error=str(exc))
        await asyncio.sleep(INTERVAL_S)


async def _round(asyncpg_arguments: AsyncpgArguments, retention: datetime.timedelta) -> str:
    """Run on a new connection: the daemon's others are busy, or must not have an open transaction."""
    conn = await connect_async(asyncpg_arguments)
    try:
        ((done,),) = await call_async(conn, "maintain_log", retention=retention)
        after: int | None = 0
        while after is not None:
            ((after,),) = await call_async(conn, "drop_old_results", retention=retention, after=after)
            await asyncio.sleep(PAUSE_S)
        await call_async(conn, "drop_old_history", retention=retention)
        return done
    finally:
        await close_async(conn)
