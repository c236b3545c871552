"""As long as the connections to the database hold: wait to lead, then read and deliver."""

import asyncio
import contextlib
import time
from collections.abc import AsyncGenerator, Callable
from dataclasses import dataclass, field
from typing import Any

import structlog

from jobhooks.discovery.loading import ReceiverRegistry
from jobhooks.engine.delivery.outcome import Clock
from jobhooks.engine.leadership import LeaderSession
from jobhooks.engine.maintenance import maintain
from jobhooks.engine.reading.listener import Listener
from jobhooks.engine.reading.reader import Reader
from jobhooks.engine.reading.wakeup import Wakeup
from jobhooks.engine.running.attempts import Attempts
from jobhooks.engine.running.in_loop.limits import Watchdog
from jobhooks.engine.running.in_loop.pool import Connections
from jobhooks.engine.running.in_loop.runner import LoopRunner
from jobhooks.engine.running.runner import Runner, Runners
from jobhooks.engine.scheduling.dispatcher import Dispatcher
from jobhooks.engine.settling.ledger import Ledger
from jobhooks.engine.settling.settler import Settler
from jobhooks.errors import DatabaseUnreachable
from jobhooks.runtime.wakeup_mode import WakeupMode
from jobhooks.store.connections import AsyncConnection, call_async, close_async, connect_async

COUNT_INTERVAL_S = 1.0  # between two countings of conditions that could not be evaluated
STATEMENT_TIMEOUT_S = 60.0  # for the engine's own statements, none of which takes long: its connection is dead then

log = structlog.stdlib.get_logger()


@dataclass(frozen=True)
class EngineSettings:
    """What the engine is told: where the database is (for each driver), and its limits; times are in seconds."""

    database_url: str
    asyncpg_arguments: dict[str, Any] = field(repr=False)
    page_size: int
    poll_interval_s: float
    wakeup: WakeupMode
    shutdown_grace_s: float
    leader_timeout_s: float
    retention_days: float
    connections: int
    workers: int
    worker_memory_limit: int | None  # bytes


class Stopped(Exception):
    """The engine was told to stop, and has."""


class Session:
    """Reads and delivers, as long as its connections hold and nobody else leads."""

    def __init__(
        self,
        settings: EngineSettings,
        registry: ReceiverRegistry,
        def_runner: Runner,
        stop: asyncio.Event,
        ready: Callable[[], None],
    ) -> None:
        self._settings = settings
        self._registry = registry
        self._def_runner = def_runner
        self._stop = stop
        self._ready = ready

    async def run(self) -> None:
        """Wait to lead and then deliver, until told to stop.

        Raises (all in groups):
            Stopped: told to stop; what ran has ended and is settled, or was given up at the end of the grace.
            DatabaseUnreachable: a connection was lost; nothing that committed is.
            LeadsNoMore: another daemon leads.
        """
        arguments = _own_arguments(self._settings.asyncpg_arguments)
        async with _connection(arguments) as leading:
            ((replica,),) = await call_async(leading, "is_replica")
            if replica:
                raise DatabaseUnreachable("the database is a replica, which nothing can be written to")
            leader_session = LeaderSession(leading, self._settings.leader_timeout_s)
            leader = await self._lead(leader_session)
            async with (
                _connection(arguments) as listening,
                _connection(arguments) as reading,
                _connection(arguments) as settling,
            ):
                await self._deliver(leader_session, leader, listening, reading, settling)

    async def _lead(self, leader_session: LeaderSession) -> int:
        """Wait until we lead; to be told to stop meanwhile is enough to end."""
        waiting = asyncio.create_task(leader_session.lead(self._ready))
        stopping = asyncio.create_task(self._stop.wait())
        try:
            await asyncio.wait([waiting, stopping], return_when=asyncio.FIRST_COMPLETED)
            if not waiting.done():
                raise Stopped
            return waiting.result()
        finally:
            for task in (waiting, stopping):
                task.cancel()
            await asyncio.wait([waiting, stopping])

    async def _deliver(
        self,
        leader_session: LeaderSession,
        leader: int,
        listening: AsyncConnection,
        reading: AsyncConnection,
        settling: AsyncConnection,
    ) -> None:
        settings = self._settings
        listener = Listener(listening)
        await listener.listen()
        wakeup = Wakeup(listener, leader_session, settings.wakeup, settings.poll_interval_s)
        reader = Reader(reading, settings.page_size)
        position = await reader.load()
        clock = await _database_clock(settling)
        settler = Settler(settling, leader)
        ledger = Ledger(settling)
        connections = Connections(settings.asyncpg_arguments, settings.connections)
        runners = Runners(LoopRunner(connections, clock), self._def_runner)
        runners.use_clock(clock)
        attempts = Attempts(runners, self._registry, settler, ledger, clock)
        dispatcher = Dispatcher(attempts.work_off, settler, ledger, 4 * settings.page_size, self._registry.has)
        await dispatcher.start(position)
        await dispatcher.reload_hooks()
        log.info("started", receivers=sorted(self._registry.receivers))
        self._ready()
        self._registry.listeners.append(dispatcher.receivers_have_changed)
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(leader_session.keep_speaking())
                group.create_task(listener.keep_hearing())
                group.create_task(settler.run())
                group.create_task(dispatcher.run())
                group.create_task(_reload_when_told(listener, dispatcher))
                group.create_task(_count_condition_failures(settler, ledger))
                group.create_task(Watchdog().run())
                group.create_task(maintain(settings.asyncpg_arguments, settings.retention_days))
                read = group.create_task(_read(reader, wakeup, listener, dispatcher))
                await self._stop.wait()
                read.cancel()
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(settings.shutdown_grace_s):
                        await dispatcher.stop()
                        await settler.drain()
                        async with settler.lock:
                            await ledger.write_condition_failures()
                        raise Stopped
                log.warning("shutdown_grace_exceeded", shutdown_grace_s=settings.shutdown_grace_s)
                raise Stopped
        finally:
            self._registry.listeners.clear()
            await wakeup.close()
            runners.end_runs()
            await dispatcher.cancel()


async def _read(reader: Reader, wakeup: Wakeup, listener: Listener, dispatcher: Dispatcher) -> None:
    """Read the log, page after page, as far as there is room, and wait where there is nothing new."""
    while True:
        called = listener.woken.is_set()
        wakeup.clear()
        if not called and not await reader.has_news():
            await wakeup.wait()
            continue
        reading = await reader.read(soon=called)
        if reading.changes and reading.configuration != dispatcher.hooks_version:
            # After the page, never before: a hook that committed before a change must be there when it is matched.
            await dispatcher.reload_hooks()
        await dispatcher.admit(reading)
        wakeup.found(len(reading.changes))
        if not reading.changes:
            await wakeup.wait()  # what had news was not for us: our receivers' own transactions, say
        elif not reading.full:
            await wakeup.gather()
        await dispatcher.room()


async def _reload_when_told(listener: Listener, dispatcher: Dispatcher) -> None:
    """Take changes of hooks and debts at once, even while nothing is read."""
    while True:
        waiting = [asyncio.create_task(event.wait()) for event in (listener.configured, listener.indebted)]
        try:
            await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in waiting:
                task.cancel()
        if listener.configured.is_set():
            listener.configured.clear()
            await dispatcher.reload_hooks()
        if listener.indebted.is_set():
            listener.indebted.clear()
            dispatcher.look_at_debts()


async def _count_condition_failures(settler: Settler, ledger: Ledger) -> None:
    """Write down, now and then, for how many changes conditions could not be evaluated."""
    while True:
        await asyncio.sleep(COUNT_INTERVAL_S)
        if ledger.condition_failures:
            async with settler.lock:
                await ledger.write_condition_failures()


def _own_arguments(arguments: dict[str, Any]) -> dict[str, Any]:
    """Return what the engine's own sessions are opened with.

    Their statements are few, are run all the time, and are written so that one plan suits all parameters.
    """
    settings = {**arguments.get("server_settings", {}), "plan_cache_mode": "force_generic_plan", "jit": "off"}
    return {**arguments, "server_settings": settings, "command_timeout": STATEMENT_TIMEOUT_S}


async def _database_clock(conn: AsyncConnection) -> Clock:
    sent_at = time.time()
    ((database_time,),) = await call_async(conn, "database_time")
    return Clock(database_time - (sent_at + time.time()) / 2)


@contextlib.asynccontextmanager
async def _connection(arguments: dict[str, Any]) -> AsyncGenerator[AsyncConnection]:
    conn = await connect_async(arguments)
    try:
        yield conn
    except* DatabaseUnreachable:
        conn.terminate()  # the others are perhaps as dead, and would not answer a farewell
        raise
    finally:
        await close_async(conn)
