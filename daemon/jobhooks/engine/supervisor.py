"""The daemon's life: session after session, as long as the database comes back, until told to stop."""

import asyncio
import contextlib
import gc
import os
import signal
from collections.abc import Callable
from typing import cast

import structlog

from jobhooks.discovery.loading import ReceiverRegistry
from jobhooks.engine.delivery.retry import Backoff
from jobhooks.engine.receiver_reload import Reloading
from jobhooks.engine.running.in_process.runner import ProcessRunner
from jobhooks.engine.session import EngineSettings, Session, Stopped
from jobhooks.errors import DatabaseUnreachable, LeadsNoMore

LAST_RESORT_S = 2.0  # after the grace, when the process ends whatever still runs in it

log = structlog.stdlib.get_logger()


async def run(
    settings: EngineSettings,
    registry: ReceiverRegistry,
    notify: Callable[[str], None],
    register: Callable[[ReceiverRegistry], None],
) -> None:
    """Deliver until SIGTERM or SIGINT. ``notify`` gets systemd's words: READY=1 once listening and reading.

    Receivers that are added, changed or removed are taken at once, or on SIGHUP; ``register``, called in a thread,
    makes their jobs.

    What runs when the signal comes has ``shutdown_grace_s`` to end. What is not settled then, or was not begun, is
    read again by the next daemon. A second signal ends it at once. A database that goes away is waited for.
    """
    _spare_the_collector()
    stop = asyncio.Event()
    def_runner = ProcessRunner(settings.database_url, registry, settings.workers, settings.worker_memory_limit)
    _stop_on_signals(stop, settings.shutdown_grace_s, notify)
    told = asyncio.Event()
    if not os.isatty(0):  # there it says that the terminal is gone, which is to end the daemon
        asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, told.set)
    reloading = asyncio.create_task(Reloading(registry, def_runner, register).run(told))
    backoff = Backoff()

    def ready() -> None:
        backoff.reset()
        notify("READY=1")

    try:
        while not stop.is_set():
            await _run_session(Session(settings, registry, def_runner, stop, ready), backoff, stop)
    finally:
        reloading.cancel()
        await asyncio.wait([reloading])
        await def_runner.close()
    log.info("stopped")
    signal.setitimer(signal.ITIMER_REAL, 0)


def _spare_the_collector() -> None:
    """Have Python look for cycles less often, and never among what is loaded by now, which stays.

    What is made for a delivery has none, and goes by itself: to look was a sixth of a delivery's time.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(10_000, 10, 10)


async def _run_session(session: Session, backoff: Backoff, stop: asyncio.Event) -> None:
    """Run a session to its end, and wait a while if it was not us who ended it."""
    try:
        await session.run()
    except* Stopped:
        stop.set()
    except* (DatabaseUnreachable, LeadsNoMore) as lost:
        wait_s = backoff.next()
        log.warning("database_lost", error=_reason(lost), next_attempt_s=round(wait_s, 1))
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(wait_s):
                await stop.wait()


def _reason(group: BaseExceptionGroup[BaseException]) -> str:
    """Return the first reason in a group."""
    first = group.exceptions[0]
    return (
        _reason(cast("BaseExceptionGroup[BaseException]", first))
        if isinstance(first, BaseExceptionGroup)
        else str(first)
    )


def _stop_on_signals(stop: asyncio.Event, grace_s: float, notify: Callable[[str], None]) -> None:
    loop = asyncio.get_running_loop()

    def request_stop() -> None:
        notify("STOPPING=1")
        stop.set()

    asked = False

    def on_signal(_number: int, _frame: object) -> None:
        # Not a handler of the loop's: an async receiver that blocks the loop, or will not be cancelled, must not keep
        # the process alive. What it wrote is rolled back, and delivered again.
        nonlocal asked
        if asked:
            os._exit(0)
        asked = True
        signal.signal(signal.SIGALRM, _end_at_once)
        signal.setitimer(signal.ITIMER_REAL, grace_s + LAST_RESORT_S)
        loop.call_soon_threadsafe(request_stop)

    for signal_number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(signal_number, on_signal)


def _end_at_once(_number: int, _frame: object) -> None:
    os._exit(0)
