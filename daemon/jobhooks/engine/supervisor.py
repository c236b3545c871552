"""The daemon's life: connect, listen, read and deliver until told to stop."""

import asyncio
import contextlib
import os
import signal
from collections.abc import AsyncGenerator, Callable, Coroutine
from dataclasses import dataclass
from typing import Any

import structlog

from jobhooks.engine.dispatcher import Dispatcher
from jobhooks.engine.loading import Findings
from jobhooks.engine.maintenance import maintain
from jobhooks.engine.reader import Reader
from jobhooks.engine.runner import AsyncRunner
from jobhooks.engine.wakeup import Wakeup
from jobhooks.engine.workers import Worker
from jobhooks.store.connections import AsyncConnection, close_async, connect_async

LAST_RESORT = 2.0  # seconds after the grace, when the process ends whatever still runs in it

log = structlog.stdlib.get_logger()


@dataclass(frozen=True)
class EngineSettings:
    """What the engine is told: where the database is (for each driver), and its limits, in seconds and changes."""

    database_url: str
    asyncpg_arguments: dict[str, Any]
    page_size: int
    poll_interval_s: float
    gated_wakeup: bool
    shutdown_grace_s: float
    retention_days: float


async def run(settings: EngineSettings, findings: Findings, notify: Callable[[str], None]) -> None:
    """Deliver until SIGTERM or SIGINT. ``notify`` gets systemd's words: READY=1 once listening and reading.

    What runs when the signal comes has ``shutdown_grace_s`` to end. What is not settled then, or was not begun, is
    read again by the next daemon.

    Raises:
        DatabaseUnreachable: a connection was lost; nothing that committed is.
    """
    stop = asyncio.Event()
    runner = AsyncRunner(settings.asyncpg_arguments)
    worker = Worker(settings.database_url)
    try:
        async with asyncio.timeout(None) as limit, _connection(settings) as listening, _connection(settings) as own:
            wakeup = Wakeup(listening, settings.poll_interval_s, gated=settings.gated_wakeup)
            _stop_on_signals(stop, wakeup, limit, settings.shutdown_grace_s, notify)
            await wakeup.listen()
            reader = Reader(own, settings.page_size)
            await reader.load()
            log.info("started", receivers=sorted(findings.receivers))
            notify("READY=1")
            async with _beside(maintain(settings.asyncpg_arguments, settings.retention_days, stop)):
                await _deliver(wakeup, reader, Dispatcher(own, runner, worker, findings), stop)
    except TimeoutError:
        log.warning("shutdown_grace_exceeded", shutdown_grace_s=settings.shutdown_grace_s)
    finally:
        await runner.close()
        worker.close()
    log.info("stopped")
    signal.setitimer(signal.ITIMER_REAL, 0)


def _stop_on_signals(
    stop: asyncio.Event, wakeup: Wakeup, limit: asyncio.Timeout, grace_s: float, notify: Callable[[str], None]
) -> None:
    loop = asyncio.get_running_loop()

    def request_stop() -> None:
        if not stop.is_set():
            notify("STOPPING=1")
            stop.set()
            limit.reschedule(loop.time() + grace_s)
            wakeup.wake()

    def on_signal(_number: int, _frame: object) -> None:
        # Not a handler of the loop's: an async receiver that blocks the loop, or will not be cancelled, must not keep
        # the process alive. What it wrote is rolled back, and delivered again.
        signal.signal(signal.SIGALRM, _end_at_once)
        signal.setitimer(signal.ITIMER_REAL, grace_s + LAST_RESORT)
        loop.call_soon_threadsafe(request_stop)

    for signal_number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(signal_number, on_signal)


def _end_at_once(_number: int, _frame: object) -> None:
    os._exit(0)


async def _deliver(wakeup: Wakeup, reader: Reader, dispatcher: Dispatcher, stop: asyncio.Event) -> None:
    while not stop.is_set():
        wakeup.clear()
        page = await reader.next_page()
        if not page:
            await wakeup.wait()
        elif await dispatcher.deliver(page, stop):
            await reader.save()


@contextlib.asynccontextmanager
async def _beside(work: Coroutine[None, None, None]) -> AsyncGenerator[None]:
    """Run ``work`` beside the block, and end it with the block, whose error a TaskGroup would wrap."""
    task = asyncio.create_task(work)
    try:
        yield
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


@contextlib.asynccontextmanager
async def _connection(settings: EngineSettings) -> AsyncGenerator[AsyncConnection]:
    conn = await connect_async(settings.asyncpg_arguments)
    try:
        yield conn
    finally:
        await close_async(conn)
