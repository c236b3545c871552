"""The daemon's life: one session after another, whenever the database is there, until a signal ends it."""

import asyncio
import contextlib
import gc
import os
import signal
import traceback
from collections.abc import Callable, Sequence
from functools import partial
from typing import NoReturn

from jobhooks.discovery.registry import ReceiverRegistry
from jobhooks.engine.blame import blame
from jobhooks.engine.delivery.observer import Observer, Observers
from jobhooks.engine.delivery.retry import Backoff
from jobhooks.engine.delivery_log import DeliveryLog
from jobhooks.engine.receiver_reload import ReceiverReload
from jobhooks.engine.running.in_loop.limits import StuckLoop
from jobhooks.engine.running.in_process.fork_server import stop_helpers
from jobhooks.engine.running.in_process.runner import ProcessRunner
from jobhooks.engine.running.output import RecordHandler
from jobhooks.engine.running.runner import Runner
from jobhooks.engine.session import EngineSettings, Session, Stopped
from jobhooks.errors import (
    CopiedDatabase,
    DatabaseUnreachable,
    LeadsNoMore,
    LoginRefused,
    StatementInterrupted,
    first_error,
)
from jobhooks.runtime import systemd
from jobhooks.runtime.event_log import get_logger
from jobhooks.runtime.standard_streams import PutBack, StandardStreams
from jobhooks.runtime.stop_signals import StopSignals

STUCK_CODE = 1  # the exit code if the event loop stands still
KEEP_LOGGING = (
    "an async def receiver, or a library that it uses, must leave the handlers and the level of the root logger alone,"
    " and not call logging.disable: all receivers share them"
)
KEEP_STREAMS = "an async def receiver, or a library that it uses, must leave stdout and stderr open"
NOTHING = PutBack([], [])

log = get_logger()


async def run(
    settings: EngineSettings,
    registry: ReceiverRegistry,
    service: systemd.Service,
    observers: Sequence[Observer] = (),
    restart: Callable[[], NoReturn] | None = None,
    streams: StandardStreams | None = None,
    handler: RecordHandler | None = None,
) -> None:
    """Deliver until SIGTERM or SIGINT. If the database goes away, wait for it.

    ``service`` hears when the daemon listens and reads, or stands by, when it has lost the database, and, for systemd's
    watchdog, that the event loop goes on. If it stands still, ``restart`` is called in another thread. ``streams`` and
    the ``handler`` of the root logger are put back if a receiver has replaced them. Receivers are reloaded when their
    files change and on SIGHUP. ``observers`` get the engine's events beside the log.

    On the signal, runs have ``shutdown_grace_s`` to end. The next daemon reads everything again that is not settled by
    then, or has not begun. A second signal ends the process immediately.
    """
    _collect_less_garbage()
    stop = asyncio.Event()
    def_runner = ProcessRunner(
        settings.database_url, registry, settings.workers, settings.worker_memory_limit, settings.log_settings
    )
    signals = StopSignals(stop, settings.shutdown_grace_s, partial(systemd.notify, "STOPPING=1"))
    requested = asyncio.Event()
    if not os.isatty(0):  # on a terminal SIGHUP says that the terminal is gone, and ends the daemon
        asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, requested.set)
    composed = Observers(DeliveryLog(), *observers)

    def on_stuck(stuck: StuckLoop) -> None:
        log.critical("loop_stuck", receiver=stuck.receiver, seconds=round(stuck.seconds, 1))
        blame(settings.database_url, stuck)
        start_again()

    def keep_output() -> None:
        if _put_back(streams, handler):
            start_again()

    def start_again() -> None:
        def_runner.kill()
        if signals.requested.is_set() or restart is None:
            os._exit(0 if signals.requested.is_set() else STUCK_CODE)
        restart()

    helpers = [
        asyncio.create_task(ReceiverReload(registry, def_runner).run(requested)),
        asyncio.create_task(def_runner.warm_up()),
        asyncio.create_task(signals.keep(keep_output)),
    ]
    if (watchdog_s := systemd.watchdog_s()) is not None:
        helpers.append(asyncio.create_task(_feed_watchdog(watchdog_s, systemd.notify)))

    try:
        await run_sessions(settings, registry, def_runner, composed, stop, service.ready, on_stuck, service.waits)
    finally:
        for helper in helpers:
            helper.cancel()
        await asyncio.wait(helpers)
        await def_runner.close()
        await asyncio.to_thread(stop_helpers)
    log.info("stopped")
    signals.end_soon()


def _put_back(streams: StandardStreams | None, handler: RecordHandler | None) -> bool:
    """Put back what an ``async def`` receiver has replaced; returns whether a connection has got a descriptor of ours.

    Its messages may be anywhere then.
    """
    if handler is not None and handler.put_back():
        log.warning("logging_put_back", hint=KEEP_LOGGING)
    put_back = NOTHING if streams is None else streams.put_back()
    if put_back.numbers:
        log.error("descriptors_closed", descriptors=put_back.numbers, hint=KEEP_STREAMS)
    return bool(put_back.taken)


async def run_sessions(
    settings: EngineSettings,
    registry: ReceiverRegistry,
    def_runner: Runner,
    observers: Observers,
    stop: asyncio.Event,
    ready: Callable[[], None],
    on_stuck: Callable[[StuckLoop], None] | None = None,
    waits: Callable[[str], None] = lambda _: None,
) -> None:
    """Run one session after another until ``stop`` is set.

    ``ready`` is called when one delivers or stands by; ``waits``, with the reason, when one has failed.
    """
    backoff = Backoff()

    def is_ready() -> None:
        backoff.reset()
        ready()

    lost = False
    failures = Failures()
    while not stop.is_set():
        session = Session(settings, registry, def_runner, observers, stop, is_ready, reconnects=lost, on_stuck=on_stuck)
        lost = await _run_session(session, backoff, stop, waits, failures)


def _collect_less_garbage() -> None:
    """Make Python search for reference cycles less often, and never among the objects that are loaded already.

    The objects of a delivery form no cycles and are freed without it. The search took a sixth of a delivery's time.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(10_000, 10, 10)


async def _run_session(
    session: Session, backoff: Backoff, stop: asyncio.Event, waits: Callable[[str], None], failures: "Failures"
) -> bool:
    """Run a session to its end; if it failed, wait before the next one. Whether it lost the database."""
    lost = False
    try:
        await session.run()
    except* Stopped:
        stop.set()
    except* (DatabaseUnreachable, LeadsNoMore) as failed:
        wait_s = backoff.next(refused=isinstance(first_error(failed), LoginRefused))
        waits(str(first_error(failed)))
        interrupted = isinstance(first_error(failed), StatementInterrupted)
        event = "statement_interrupted" if interrupted else "database_lost"
        log.warning(event, error=str(first_error(failed)), next_attempt_s=round(wait_s, 1))
        await _wait(wait_s, stop)
        lost = failed.subgroup(DatabaseUnreachable) is not None
    except* CopiedDatabase as failed:  # until an operator says whether it was moved or copied
        wait_s = backoff.next(refused=True)
        waits(str(first_error(failed)))
        log.error("not_this_database", error=str(first_error(failed)), next_attempt_s=round(wait_s, 1))
        await _wait(wait_s, stop)
    except* Exception as failed:  # noqa: BLE001 - it is logged: an error of the database, or a fault in jobhooks: begin again
        wait_s = backoff.next()
        waits(str(first_error(failed)))
        failures.log(failed, wait_s)
        await _wait(wait_s, stop)
    return lost


class Failures:
    """Logs sessions that failed. The same failure again has no traceback: it would fill the log while it lasts."""

    def __init__(self) -> None:
        self._last = ""

    def log(self, failed: BaseExceptionGroup[BaseException], wait_s: float) -> None:
        """Log a failure."""
        error = first_error(failed)
        place = traceback.extract_tb(error.__traceback__)[-1:]
        text = f"{type(error).__name__}: {error} {place}"
        again, self._last = text == self._last, text
        log.error(
            "session_failed",
            error=str(error),
            next_attempt_s=round(wait_s, 1),
            exc_info=None if again else failed,
            **({"again": True} if again else {}),
        )


async def _wait(seconds: float, stop: asyncio.Event) -> None:
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await stop.wait()


async def _feed_watchdog(watchdog_s: float, notify: Callable[[str], None]) -> None:
    """Say that the loop goes on, several times as often as systemd asks for."""
    while True:
        notify("WATCHDOG=1")
        await asyncio.sleep(watchdog_s / 4)
