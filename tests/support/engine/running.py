"""Delivering to a receiver in the test's process, with the daemon's code."""

import asyncio
import contextlib
import inspect
import time
from collections import deque
from collections.abc import AsyncGenerator, Callable
from pathlib import Path
from typing import Any

from jobhooks.contract.change import Change
from jobhooks.contract.choices import ObjectChangeActionChoices
from jobhooks.contract.meta import read_meta
from jobhooks.contract.receiver import JobHookReceiver
from jobhooks.discovery.registry import FoundReceiver, ReceiverRegistry
from jobhooks.engine.delivery.backlog_row import failed_row
from jobhooks.engine.delivery.delivery import Delivery, deliveries_of
from jobhooks.engine.delivery.group import Group
from jobhooks.engine.delivery.outcome import Clock, Outcome
from jobhooks.engine.delivery.settle_batch import SettleBatch
from jobhooks.engine.engine import Engine, EngineConnections
from jobhooks.engine.running.attempts import Attempts
from jobhooks.engine.running.in_loop.pool import Connections
from jobhooks.engine.running.in_loop.runner import LoopRunner
from jobhooks.engine.running.runner import Runners
from jobhooks.errors import AlreadySettled, JobhooksError
from jobhooks.matching.hook_table import Hook
from jobhooks.store.connections import asyncpg_arguments, close_async, connect, connect_async
from jobhooks.store.snapshot import Snapshot
from jobhooks.testing.thread_runner import ThreadRunner
from support.daemon import LIMIT, pause
from support.engine.reading import open_reader

HOOK = Hook(
    "h",
    ["public.device"],
    "m.C",
    list(ObjectChangeActionChoices),
    id=1,
    job_id=1,
    content_type_ids=frozenset({1}),
    enabled_since=Snapshot.parse("1:1:"),
)


class Running:
    """The daemon's engine in the test's process, for single attempts; nothing is read or scheduled."""

    def __init__(self, connections: EngineConnections, runners: Runners) -> None:
        self._engine = Engine(connections, runners, ReceiverRegistry(()))

    async def attempt(self, receiver: type[JobHookReceiver[Any]], delivery: Delivery) -> Outcome:
        """Make one attempt, and settle it as the daemon does."""
        found = _found(receiver, delivery.hook.job)
        outcome = await self.attempts(receiver, found.class_path).make(found, delivery)
        await self._settle([(delivery, outcome)])
        return outcome

    async def work_off(self, attempts: Attempts, deliveries: deque[Delivery]) -> dict[int, Outcome | None]:
        """Attempt the available deliveries like a hook task, and settle them; return the outcomes by change."""
        source = ListedDeliveries(deliveries)
        await attempts.work_off(deliveries[0].hook, source)
        await self._settle([(delivery, outcome) for delivery, outcome in source.reported if outcome is not None])
        return {delivery.change.id: outcome for delivery, outcome in source.reported}

    def attempts(self, receiver: type[JobHookReceiver[Any]], class_path: str = HOOK.job) -> Attempts:
        """Make this the receiver of that class path, and return the engine's part that makes attempts."""
        self._engine.registry.receivers[class_path] = _found(receiver, class_path)
        return self._engine.attempts

    async def _settle(self, outcomes: list[tuple[Delivery, Outcome]]) -> None:
        unrecorded = [(delivery, outcome) for delivery, outcome in outcomes if not outcome.recorded]
        if not unrecorded:
            return
        settler = self._engine.settler
        listener = WaitsForBatch()
        settler.attach(listener)
        for delivery, outcome in unrecorded:
            if outcome.raised:
                settler.failed(delivery, outcome, failed_row(delivery, outcome, time.monotonic()))
            elif outcome.error is None:
                settler.succeeded(delivery, outcome)
            else:
                settler.given_up(delivery, outcome)
        settling = asyncio.create_task(settler.run())
        await listener.settled.wait()
        settling.cancel()


class ListedDeliveries:
    """A source of these deliveries; a batch takes all that are left."""

    def __init__(self, deliveries: deque[Delivery]) -> None:
        self._deliveries = deliveries
        self.reported: list[tuple[Delivery, Outcome | None]] = []

    def take(self) -> Delivery | None:
        """The first one."""
        return self._deliveries.popleft() if self._deliveries else None

    async def gather(self, first: Delivery) -> list[Delivery]:
        """All that are left."""
        gathered = [first, *self._deliveries]
        self._deliveries.clear()
        return gathered

    def more_of(self, group: Group) -> Delivery | None:
        """The first of those that are left: none of them waits for another."""
        return self.take()

    def give_back(self, deliveries: list[Delivery]) -> None:
        """Put them in front of the others."""
        self._deliveries.extendleft(reversed(deliveries))

    def give_back_alone(self, deliveries: list[Delivery]) -> None:
        """The same, to run by themselves."""
        for delivery in deliveries:
            delivery.alone = True
        self.give_back(deliveries)

    def reload(self, delivery: Delivery) -> None:
        """Nothing is merged here."""
        raise AssertionError(f"change {delivery.change.id} has a result")

    def report(self, delivery: Delivery, outcome: Outcome | None) -> None:
        """Keep the outcome."""
        self.reported.append((delivery, outcome))


class WaitsForBatch:
    """Listens to a settler until a batch has committed."""

    def __init__(self) -> None:
        self.settled = asyncio.Event()

    def on_settled(self, batch: SettleBatch) -> None:
        """Remember that a batch has committed."""
        self.settled.set()

    def on_refused(self, hook_id: int, error: JobhooksError) -> None:
        """Fail the test."""
        raise AssertionError(f"hook {hook_id}: {error}")


def _found(receiver: type[JobHookReceiver[Any]], class_path: str) -> FoundReceiver:
    return FoundReceiver(class_path, receiver, read_meta(receiver), Path(inspect.getfile(receiver)))


@contextlib.asynccontextmanager
async def open_running(database: str) -> AsyncGenerator[Running]:
    """Open an engine, as the daemon that leads."""
    with contextlib.closing(connect(database)) as conn:
        arguments = asyncpg_arguments(conn)
        (leader,) = conn.execute("select leader from jobhooks.cursor").fetchone() or (0,)
    conn = await connect_async(arguments)
    runners = Runners(LoopRunner(Connections(arguments, 2), Clock()), ThreadRunner(database))
    try:
        yield Running(EngineConnections(conn, conn, conn, leader), runners)
    finally:
        await runners.close()
        await close_async(conn)


async def until(what: str, attempt: Callable[[], object]) -> None:
    """Repeat ``attempt`` until its value is true, without blocking the event loop."""
    try:
        async with asyncio.timeout(LIMIT):
            started_at = time.monotonic()
            while not attempt():  # noqa: ASYNC110 - what it asks is the database
                await asyncio.sleep(pause(time.monotonic() - started_at))
    except TimeoutError:
        raise AssertionError(f"waited {LIMIT} seconds in vain until {what}") from None


async def last_change(database: str) -> Change:
    """Return the newest change that would be delivered."""
    async with open_reader(database, 1000) as reader:
        return (await reader.next_page())[-1]


def pending(change: Change, hook: Hook = HOOK, attempts: int = 0) -> Delivery:
    """Return the delivery of a change to a hook; ``attempts`` have been made."""
    (delivery,) = deliveries_of(change, [hook])
    delivery.attempts = delivery.failures = attempts
    return delivery


def deliver(database: str, receiver: type[JobHookReceiver[Any]], attempt: int = 1) -> Outcome:
    """Deliver the newest change to ``receiver``, in the given attempt."""

    async def work() -> Outcome:
        delivery = pending(await last_change(database), attempts=attempt - 1)
        async with open_running(database) as running:
            return await running.attempt(receiver, delivery)

    return asyncio.run(work())


__all__ = ["HOOK", "AlreadySettled", "Running", "deliver", "last_change", "open_running", "pending", "until"]
