"""Keeping the log from growing for ever: new segments are begun and old ones dropped, now and then."""

import asyncio
import contextlib
import datetime
from typing import Any

import structlog

from jobhooks.errors import DatabaseUnreachable, JobhooksError
from jobhooks.store.connections import call_async, close_async, connect_async

INTERVAL = 600.0  # seconds between two rounds; what a round does is due for hours at least

log = structlog.stdlib.get_logger()


async def maintain(asyncpg_arguments: dict[str, Any], retention_days: float, stop: asyncio.Event) -> None:
    """Look after the log at once and then at intervals, until ``stop``.

    A failure is logged and tried again the next time: deliveries go on without.
    """
    while not stop.is_set():
        try:
            done = await _round(asyncpg_arguments, retention_days)
            if done:
                log.info("log_maintained", done=done)
        except DatabaseUnreachable as exc:
            log.debug("log_not_maintained", error=str(exc))  # the daemon notices by itself that it lost the database
        except JobhooksError as exc:
            log.warning("log_not_maintained", error=str(exc))
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(INTERVAL):
                await stop.wait()


async def _round(asyncpg_arguments: dict[str, Any], retention_days: float) -> str:
    """Run on a connection that is opened for it: the daemon's others are busy, or must not be in a transaction."""
    conn = await connect_async(asyncpg_arguments)
    try:
        ((done,),) = await call_async(conn, "maintain_log", datetime.timedelta(days=retention_days))
        return done
    finally:
        await close_async(conn)
