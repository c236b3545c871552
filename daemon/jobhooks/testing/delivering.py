"""Running all pending deliveries for a test's receivers, in its process, with the daemon's engine."""

import asyncio
import contextlib
import inspect
from collections.abc import Callable, Coroutine, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
from psycopg.pq import TransactionStatus

from jobhooks.contract.meta import read_meta
from jobhooks.contract.receiver import JobHookReceiver
from jobhooks.discovery.registry import FoundReceiver, ReceiverRegistry
from jobhooks.engine.delivery.outcome import Clock
from jobhooks.engine.engine import Engine, EngineConnections
from jobhooks.engine.leadership import LeaderSession
from jobhooks.engine.running.in_loop.pool import Connections
from jobhooks.engine.running.in_loop.runner import LoopRunner
from jobhooks.engine.running.runner import Runners
from jobhooks.errors import InvalidHookData, Refused
from jobhooks.matching.hook_settings import HookSettings
from jobhooks.operations import tables
from jobhooks.operations.configuration import hooks, jobs
from jobhooks.operations.configuration.receivers import found_jobs
from jobhooks.store.connections import SyncConnection, asyncpg_arguments, call, close_async, connect_async
from jobhooks.testing.databases import Database
from jobhooks.testing.thread_runner import ThreadRunner

LEADER_TIMEOUT_S = 10.0
EVENTS = ("create", "update", "delete", "truncate")


@dataclass(frozen=True)
class Result:
    """The outcome of an attempt. ``status``: success, failure or discarded; ``log``: level, object, message of each
    line.
    """

    hook: str
    change_id: int
    action: str
    attempt: int
    status: str
    error: str | None
    traceback: str | None
    value: Any
    log: list[str]


def run_hooks(database: Database, receivers: Sequence[type[JobHookReceiver[Any]]], timeout_s: float) -> list[Result]:
    """Run all pending deliveries; return the outcome of each attempt, by change. See the fixture of this name.

    Raises:
        Refused: the test's connection has an open transaction, which other sessions cannot see.
        TimeoutError: it did not end in time; the hanging run is rolled back.
    """
    registry = ReceiverRegistry((), {found.class_path: found for found in map(_found, receivers)})
    conn = database.connection
    if conn.info.transaction_status != TransactionStatus.IDLE:
        raise Refused(
            "the test has a transaction open: what it wrote there is nobody's business before it is committed"
        )
    _hook(conn, registry)
    before = {_identity(result) for result in _results(conn)}
    try:
        _run_to_the_end(lambda: _deliver(database, registry, timeout_s))
    except TimeoutError as exc:
        raise TimeoutError(f"not all deliveries ended within {timeout_s:g} seconds: does one hang?") from exc
    return [result for result in _results(conn) if _identity(result) not in before]


def _run_to_the_end(deliver: Callable[[], Coroutine[Any, Any, None]]) -> None:
    """Run it in a separate event loop, beside that of an ``async def`` test, which stands still for that time."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        asyncio.run(deliver())
        return
    with ThreadPoolExecutor(1, "jobhooks delivery") as pool:
        pool.submit(lambda: asyncio.run(deliver())).result()


def _found(receiver: type[JobHookReceiver[Any]]) -> FoundReceiver:
    # A module of a package is the package's last word here: a class path has no more of it than a receivers directory.
    class_path = f"{receiver.__module__.rpartition('.')[2]}.{receiver.__name__}"
    return FoundReceiver(class_path, receiver, read_meta(receiver), Path(inspect.getfile(receiver)))


def _hook(conn: SyncConnection, registry: ReceiverRegistry) -> None:
    """Add a hook for each receiver without one: on all tables, for all events."""
    jobs.register_jobs(conn, found_jobs(registry), complete=False)
    hooked = {hook.job for hook in hooks.hooks(conn)}
    watched = [table.table for table in tables.watched_tables(conn) if table.state == "watched"]
    for class_path, found in registry.receivers.items():
        jobs.enable_job(conn, class_path)
        if class_path not in hooked:
            hooks.add_hook(conn, HookSettings(found.receiver.__name__, watched, class_path, list(EVENTS)))
            # The test is about the rows it wrote before.
            call(conn, "hook_from_the_beginning", name=found.receiver.__name__)
    for hook in hooks.hooks(conn):
        if (found := registry.receivers.get(hook.job)) is not None:
            try:
                found.check_data(msgspec.json.encode(hook.data).decode())
            except InvalidHookData as exc:
                raise exc.about(f'hook "{hook.name}"') from exc


async def _deliver(database: Database, registry: ReceiverRegistry, timeout_s: float) -> None:
    arguments = asyncpg_arguments(database.connection)
    async with asyncio.timeout(timeout_s), contextlib.AsyncExitStack() as stack:
        leading, reading, alone, settling = [await connect_async(arguments) for _ in range(4)]
        for each in (leading, reading, alone, settling):
            stack.push_async_callback(close_async, each)
        leader = await LeaderSession(leading, LEADER_TIMEOUT_S).acquire(lambda: None)
        clock = Clock()
        runners = Runners(LoopRunner(Connections(arguments, 2), clock), ThreadRunner(database.url, clock))
        stack.push_async_callback(runners.close)
        engine = Engine(
            EngineConnections(reading, alone, settling, leader), runners, registry, clock=clock, keeps_rates=False
        )
        await engine.deliver_pending(lambda: _hasten(database.connection, registry))


def _hasten(conn: SyncConnection, registry: ReceiverRegistry) -> bool:
    """Make everything due that waits for seconds to pass, and has not failed; whether there was anything."""
    ((hastened,),) = call(conn, "hasten_backlog", class_paths=list(registry.receivers))
    return bool(hastened)


def _results(conn: SyncConnection) -> list[Result]:
    return [Result(*row) for row in call(conn, "results_of_attempts")]


def _identity(result: Result) -> tuple[str, int, int]:
    return result.hook, result.change_id, result.attempt
