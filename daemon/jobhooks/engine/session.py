"""One session of the daemon: wait to lead, then read and deliver, for as long as the connections hold."""

import asyncio
import contextlib
import time
from collections.abc import AsyncGenerator, Callable, Coroutine, Generator
from dataclasses import dataclass, field
from typing import Any, TypeVar

from jobhooks.discovery.registry import ReceiverRegistry
from jobhooks.engine.delivery.observer import Observers
from jobhooks.engine.delivery.outcome import Clock
from jobhooks.engine.engine import Engine, EngineConnections
from jobhooks.engine.leadership import LeaderSession
from jobhooks.engine.loaded_receivers import LoadedReceivers
from jobhooks.engine.maintenance import maintain
from jobhooks.engine.reading.listener import Listener
from jobhooks.engine.reading.wakeup import Wakeup
from jobhooks.engine.running.in_loop.limits import StuckLoop, Watchdog
from jobhooks.engine.running.in_loop.pool import Connections
from jobhooks.engine.running.in_loop.runner import LoopRunner
from jobhooks.engine.running.runner import Runner, Runners
from jobhooks.errors import CopiedDatabase, DatabaseUnreachable, IsReplica, OtherPlace
from jobhooks.runtime.event_log import get_logger
from jobhooks.runtime.logging import LogSettings
from jobhooks.runtime.wakeup_mode import WakeupMode
from jobhooks.store.connections import (
    AsyncConnection,
    AsyncpgArguments,
    asyncpg_arguments,
    call_async,
    close_async,
    connect,
    connect_async,
)
from jobhooks.store.place import configured_place
from jobhooks.store.session_settings import ENGINE

T = TypeVar("T")

STUCK = 0.7  # of leader_timeout_s, after which an event loop that stands still ends the process
LEAST_STUCK_S = 3.0  # however short that is: a busy machine can keep a daemon from running for a while
LEAST_DOUBT_S = 5.0  # twice the longest wait of a process that lost its session, before it connects again
STATEMENT_TIMEOUT_S = 60.0  # for the engine's own statements. They are short: a connection that takes longer is dead

log = get_logger()


@dataclass(frozen=True)
class EngineSettings:
    """Where the database is, and the limits of the engine; times are in seconds."""

    database_url: str = field(repr=False)
    page_size: int
    poll_interval_s: float
    wakeup: WakeupMode
    shutdown_grace_s: float
    leader_timeout_s: float
    retention_days: float
    connections: int
    workers: int
    worker_memory_limit: int | None  # bytes
    loop_limit: int
    environment: str = ""  # the name of the database's place, instead of its address
    log_settings: LogSettings | None = None  # of the daemon's log, for worker processes


class Stopped(Exception):
    """The engine has stopped, as requested."""


class Session:
    """Reads and delivers, as long as its connections hold and this daemon leads.

    ``ready`` is called when the session stands by, and when it begins to deliver. ``reconnects``: an earlier session
    lost the database. ``on_stuck`` is called in another thread if the event loop stands still, shortly before a standby
    takes this daemon for dead.
    """

    def __init__(
        self,
        settings: EngineSettings,
        registry: ReceiverRegistry,
        def_runner: Runner,
        observers: Observers,
        stop: asyncio.Event,
        ready: Callable[[], None],
        *,
        reconnects: bool = False,
        on_stuck: Callable[[StuckLoop], None] | None = None,
    ) -> None:
        self._settings = settings
        self._registry = registry
        self._def_runner = def_runner
        self._observers = observers
        self._stop = stop
        self._ready = ready
        self._reconnects = reconnects
        self._on_stuck = on_stuck
        self._database = ""  # and where it is, for the log

    async def run(self) -> None:
        """Wait to lead and then deliver, until ``stop`` is set.

        Raises (all in groups):
            Stopped: ``stop`` was set. Runs have ended and are settled, or were given up at the end of the grace period.
            DatabaseUnreachable: a connection was lost; nothing that has committed is.
            LeadsNoMore: another daemon leads.
            CopiedDatabase: the log is that of another server, database or place.
        """
        self._arguments, place = await self._find_database()
        arguments = self._arguments.having(ENGINE, command_timeout=STATEMENT_TIMEOUT_S)
        async with _connection(arguments) as leading:
            ((replica,),) = await call_async(leading, "is_replica")
            if replica:
                raise IsReplica("the database is a replica, which nothing can be written to")
            if self._reconnects and self._observers.reconnected is not None:
                self._observers.reconnected()
            await _check_place(leading, place)
            leader_session = LeaderSession(leading, self._settings.leader_timeout_s)
            leader = await self._lead(leader_session)
            await call_async(leading, "record_place", leader=leader, configured=place)
            may_have_died = await leader_session.begin(leader)
            in_doubt_s = max(LEAST_DOUBT_S, self._settings.leader_timeout_s) if may_have_died else None
            with self._observed_leadership(leader):
                async with (
                    _connection(arguments) as listening,
                    _connection(arguments) as reading,
                    _connection(arguments) as reading_alone,
                    _connection(arguments) as settling,
                ):
                    engine_connections = EngineConnections(reading, reading_alone, settling, leader)
                    try:
                        await self._deliver(leader_session, listening, engine_connections, in_doubt_s=in_doubt_s)
                    except* Stopped:
                        await leader_session.end(leader)
                        raise

    async def _find_database(self) -> tuple[AsyncpgArguments, str]:
        """Have libpq choose the host: after a failover it is another one. Returns the configured place as well."""

        def find() -> tuple[AsyncpgArguments, str]:
            with contextlib.closing(connect(self._settings.database_url)) as conn:
                self._database = f"{conn.info.dbname} at {conn.info.host}:{conn.info.port}"
                place = configured_place(conn, self._settings.database_url, self._settings.environment)
                return asyncpg_arguments(conn), place

        return await self._unless_stopped(asyncio.to_thread(find))

    async def _lead(self, leader_session: LeaderSession) -> int:
        """Wait until this daemon leads, or until ``stop`` is set."""
        return await self._unless_stopped(leader_session.acquire(self._ready))

    async def _unless_stopped(self, work: Coroutine[Any, Any, T]) -> T:
        waiting = asyncio.create_task(work)
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

    @contextlib.contextmanager
    def _observed_leadership(self, leader: int) -> Generator[None]:
        if self._observers.leadership_gained is not None:
            self._observers.leadership_gained(leader)
        try:
            yield
        finally:
            if self._observers.leadership_lost is not None:
                self._observers.leadership_lost()

    async def _deliver(
        self,
        leader_session: LeaderSession,
        listening: AsyncConnection,
        connections: EngineConnections,
        *,
        in_doubt_s: float | None,
    ) -> None:
        settings, arguments = self._settings, self._arguments
        # LISTEN first, then read: a change that commits in between is read, or announced by a NOTIFY.
        listener = Listener(listening)
        await listener.listen()
        wakeup = Wakeup(listener, leader_session, settings.wakeup, settings.poll_interval_s)
        clock = await _database_clock(connections.settling)
        loop_runner = LoopRunner(Connections(arguments, settings.connections), clock)
        runners = Runners(loop_runner, self._def_runner)
        engine = Engine(
            connections,
            runners,
            self._registry,
            page_size=settings.page_size,
            clock=clock,
            observers=self._observers,
            loop_limit=settings.loop_limit,
            read_soon=wakeup.read_soon,
        )
        loaded = LoadedReceivers(arguments, connections.leader, self._registry)
        await loaded.record()
        await engine.start(in_doubt_s=in_doubt_s)
        stuck_s = max(LEAST_STUCK_S, STUCK * settings.leader_timeout_s)
        log.info("started", database=self._database, receivers=sorted(self._registry.receivers))
        self._ready()
        self._registry.listeners.append(engine.dispatcher.on_receivers_changed)
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(leader_session.keep_alive())
                group.create_task(listener.keep_hearing(engine.reader.is_news))
                group.create_task(engine.run())
                group.create_task(loaded.run())
                group.create_task(_reload_when_notified(listener, engine))
                group.create_task(Watchdog(stuck_s, self._on_stuck).run())
                group.create_task(maintain(arguments, settings.retention_days))
                read = group.create_task(_read(engine, wakeup, listener))
                await self._stop.wait()
                read.cancel()
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(settings.shutdown_grace_s):
                        await engine.stop()
                        raise Stopped
                log.warning("shutdown_grace_exceeded", shutdown_grace_s=settings.shutdown_grace_s)
                raise Stopped
        finally:
            self._registry.listeners.clear()
            self._registry.recorders.clear()
            await wakeup.close()
            runners.end_runs()
            await engine.cancel()


async def _read(engine: Engine, wakeup: Wakeup, listener: Listener) -> None:
    """Read the log page after page, as far as there is room, and wait when there is nothing new."""
    while True:
        called = listener.woken.is_set()
        wakeup.clear()
        if not called and not await engine.reader.has_news():
            await wakeup.wait()
            continue
        reading = await engine.read(soon=called)
        wakeup.found(len(reading.changes))
        if not reading.changes:
            await wakeup.wait()  # the news was not for any hook: receivers' own transactions, for example
        elif not reading.full:
            await wakeup.gather()
        await engine.dispatcher.room()


async def _reload_when_notified(listener: Listener, engine: Engine) -> None:
    """Load changed hooks and backlog entries without delay, even while nothing is read."""
    while True:
        waiting = [
            asyncio.create_task(event.wait()) for event in (listener.configuration_changed, listener.backlog_changed)
        ]
        try:
            await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in waiting:
                task.cancel()
        if listener.configuration_changed.is_set():
            listener.configuration_changed.clear()
            await engine.dispatcher.reload_hooks()
        if listener.backlog_changed.is_set():
            listener.backlog_changed.clear()
            engine.backlog_changed()


async def _check_place(conn: AsyncConnection, configured: str) -> None:
    """Check that the log is that of this database and place: a host name may lead to another server now."""
    ((is_original, reason),) = await call_async(conn, "check_place", configured=configured)
    if not is_original:
        raise CopiedDatabase
    if reason is not None:
        raise OtherPlace(reason)


async def _database_clock(conn: AsyncConnection) -> Clock:
    sent_at = time.time()
    ((database_time,),) = await call_async(conn, "database_time")
    return Clock(database_time - (sent_at + time.time()) / 2)


@contextlib.asynccontextmanager
async def _connection(arguments: AsyncpgArguments) -> AsyncGenerator[AsyncConnection]:
    conn = await connect_async(arguments)
    try:
        yield conn
    except* DatabaseUnreachable:
        conn.terminate()  # the other connections may be just as dead, and would not answer a regular close
        raise
    finally:
        await close_async(conn)
