"""The daemon of the machine: the real dispatcher, streams, queues, backlog and settler, without connections."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, cast

from jobhooks.contract.change import Change
from jobhooks.contract.choices import JobResultStatus as Status
from jobhooks.engine.delivery.backlog_row import BacklogRow
from jobhooks.engine.delivery.cursor import Cursor
from jobhooks.engine.delivery.delivery import Delivery
from jobhooks.engine.delivery.group import Group
from jobhooks.engine.delivery.observer import Observer, Observers
from jobhooks.engine.delivery.outcome import Outcome
from jobhooks.engine.delivery.protocols import DeliverySource
from jobhooks.engine.delivery.settle_batch import SettleBatch
from jobhooks.engine.reading.reader import Reading
from jobhooks.engine.scheduling.dispatcher import Dispatcher
from jobhooks.engine.scheduling.follower import Follower
from jobhooks.engine.scheduling.hook_queue import HookQueue, HookQueues
from jobhooks.engine.settling.ledger import Ledger
from jobhooks.engine.settling.settler import Settler
from jobhooks.errors import AlreadySettled, JobhooksError
from jobhooks.matching.hook_table import Hook, HookTable
from jobhooks.store.connections import AsyncConnection
from machine.database import VERSION, Database

PAGE_SIZE = 2
MOST_OPEN = 4  # deliveries of a hook, before it reads no more
STEPS = 12  # of the loop, until everything waits


class _Silent(Observer):
    pass


class _NoConnection:
    def get_settings(self) -> Any:
        return self

    server_encoding = "UTF8"


class MemorySettler(Settler):
    """The real settler, with the database in memory behind it."""

    def __init__(self, database: Database) -> None:
        super().__init__(cast(AsyncConnection, _NoConnection()), 1)
        self._database = database

    async def _send(self, batch: SettleBatch) -> None:
        batch.is_refused_in_part = await self._database.send("settle", lambda: self._database.settle(batch))

    async def _save(self) -> None:
        cursor, self._cursor = self._cursor, None
        positions, self._positions = self._positions, {}
        self._saved_at = asyncio.get_running_loop().time()
        await self._database.send("save", lambda: self._database.save(cursor, positions))

    async def refuse_stale(self) -> None:
        """This daemon leads."""

    @property
    def is_clean(self) -> bool:
        """Whether nothing waits to be written."""
        return not self._batch and not self._refused and not self.lock.locked()


class MemoryLedger(Ledger):
    """The queries of the ledger, of the database in memory."""

    def __init__(self, database: Database) -> None:
        super().__init__(cast(AsyncConnection, _NoConnection()))
        self._database = database

    async def hooks(self) -> HookTable:
        return HookTable(VERSION, self._database.hooks)

    async def has_result(self, delivery: Delivery) -> bool:
        return await self._database.send("has_result", lambda: self._database.has_attempt(delivery))

    async def last_settled(self) -> int:
        return self._database.last_settled()

    async def settled(self, deliveries: list[Delivery]) -> set[tuple[int, int]]:
        return await self._database.send("look up", lambda: self._database.settled(deliveries))

    async def positions(self) -> dict[int, Cursor]:
        return dict(self._database.positions)

    async def backlog_rows(self, hook_id: int, most: int) -> list[BacklogRow]:
        return await self._database.send("rows", lambda: self._database.backlog_rows(hook_id, most))

    async def load(self, hook: Hook, rows: Sequence[BacklogRow]) -> tuple[list[Delivery], list[Delivery]]:
        return await self._database.send("load", lambda: self._database.load(hook, list(rows)))

    async def last_changes(self, chains: Any) -> dict[int, Change]:
        return {}


@dataclass(eq=False)
class Run:
    """A run that has begun; its future gets its end, and whether another one may follow in its group."""

    delivery: Delivery
    end: "asyncio.Future[tuple[str, bool]]"


@dataclass
class Ended:
    delivery: Delivery
    how: str  # commit, report, fail, give up
    kept: bool


class Daemon:
    """One session of the daemon. It is driven step by step; ``stop`` is a crash."""

    def __init__(self, database: Database, loop: asyncio.AbstractEventLoop, has_receiver: Callable[[], bool]) -> None:
        self.database = database
        self.loop = loop
        self.runs: list[Run] = []
        self.may_read = asyncio.Event()
        self._reading = asyncio.Lock()
        self.tasks: list[asyncio.Task[Any]] = []
        self._has_receiver = has_receiver
        self.notified = False
        loop.run_until_complete(self._start())
        self.step()

    async def _start(self) -> None:
        self.settler = MemorySettler(self.database)
        self.ledger = MemoryLedger(self.database)
        self.dispatcher = Dispatcher(
            self._work_off,
            self.settler,
            self.ledger,
            MOST_OPEN,
            lambda _job: self._has_receiver(),
            Observers(_Silent()),
        )
        self.settler.attach(self.dispatcher)
        self._follower = Follower(self.dispatcher, self._read_alone, self._reading)
        self.database.at_once = True
        self.cursor = self.database.shared
        await self.dispatcher.start(self.cursor)
        await self.dispatcher.reload_hooks()
        self.database.at_once = False
        for part in (self.settler.run(), self.dispatcher.run(), self._read(), self._follower.run()):
            self.tasks.append(asyncio.create_task(part))

    @property
    def queues(self) -> HookQueues:
        return self.dispatcher._queues  # pyright: ignore[reportPrivateUsage]

    def step(self) -> None:
        """Let everything run until it waits."""
        self.loop.run_until_complete(self._step())

    async def _step(self) -> None:
        for _ in range(STEPS):
            await asyncio.sleep(0)
        for task in self.tasks:
            if task.done():
                task.result()
                raise AssertionError("a part of the daemon has ended")

    def stop(self) -> None:
        """Crash: nothing more is sent; a statement that was executed stays executed."""
        self.loop.run_until_complete(self._stop())

    async def _stop(self) -> None:
        for task in self.tasks:
            task.cancel()
        await asyncio.gather(*self.tasks, return_exceptions=True)
        others = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)
        self.database.statements.clear()
        self.runs.clear()

    # Reading, as in the engine.

    async def _read(self) -> None:
        while True:
            await self.dispatcher.room()
            if self.dispatcher.streams.shared.position.is_between_windows:
                await self.may_read.wait()
            async with self._reading:
                self.cursor = self.dispatcher.streams.shared.position
                is_new = self.cursor.is_between_windows
                if is_new:
                    self.may_read.clear()
                reading = await self.database.send(
                    "read",
                    lambda: self.database.read(self.cursor, PAGE_SIZE, new_horizon=is_new),  # noqa: B023
                )
                await self.dispatcher.admit(reading)

    async def _read_alone(self, _queue: HookQueue, window: Cursor, up_to: int) -> Reading:
        return await self.database.send("read alone", lambda: self.database.read(window, PAGE_SIZE, up_to=up_to))

    # Running.

    async def _work_off(self, hook: Hook, source: DeliverySource) -> None:
        while (delivery := source.take()) is not None:
            if not self._has_receiver():
                source.give_back([delivery])
            elif delivery.alone:
                await self._run_again(delivery, source)
            else:
                await _GroupRun(self, delivery, source).run()

    async def _run_again(self, delivery: Delivery, source: DeliverySource) -> None:
        async with self.settler.lock:
            has_result = await self.ledger.has_result(delivery)
        if has_result:
            source.report(delivery, None)
        else:
            await self._run_single(delivery, source)

    async def _run_single(self, delivery: Delivery, source: DeliverySource) -> None:
        how, _ = await self.run(delivery, [])
        if how == "give back":
            source.give_back([delivery])
        elif how == "commit":
            try:
                await self.commit([delivery])
            except AlreadySettled:
                source.report(delivery, None)
            else:
                source.report(delivery, outcome_of("commit", recorded=True))
        else:
            source.report(delivery, outcome_of("report" if how == "lose" else how))

    async def run(self, delivery: Delivery, group: list[Delivery]) -> tuple[str, bool]:
        """Run a receiver until the machine ends it."""
        self._check_begin(delivery, group)
        run = Run(delivery, self.loop.create_future())
        self.runs.append(run)
        try:
            return await run.end
        finally:
            if run in self.runs:
                self.runs.remove(run)

    def _check_begin(self, delivery: Delivery, group: list[Delivery]) -> None:
        change, hook, database = delivery.change, delivery.hook, self.database
        if (change.id, hook.id) in database.replayed:
            return
        assert not any(
            key[:2] == (change.id, hook.id) and status is Status.SUCCESS for key, status in database.results.items()
        ), f"change {change.id} runs again for hook {hook.id}"
        grouped = {each.change.id for each in group}
        for other in database.conflicts(hook, change):
            if other.id < change.id and other.id not in grouped and (other.id, hook.id) not in database.replayed:
                assert database.is_settled(other.id, hook.id), (
                    f"change {change.id} runs before {other.id} is settled, hook {hook.id}"
                )

    async def commit(self, deliveries: list[Delivery]) -> None:
        """Commit runs together, with their results."""
        await self.database.send("commit runs", lambda: self.database.record(deliveries))


class _GroupRun:
    """Runs one delivery after the other in one transaction, as the runners do."""

    def __init__(self, daemon: Daemon, first: Delivery, source: DeliverySource) -> None:
        self._daemon = daemon
        self._first = first
        self._source = source
        self._group = Group(first)
        self._ended: list[Ended] = []
        self._undone: list[Delivery] = []
        self._returned: list[Delivery] = []
        self._has_failed = False

    async def run(self) -> None:
        delivery: Delivery | None = self._first
        while delivery is not None:
            how, more = await self._daemon.run(delivery, [each.delivery for each in self._ended])
            self._end(delivery, how)
            delivery = self._next() if more and not self._undone and not self._returned else None
        await self._finish()

    def _end(self, delivery: Delivery, how: str) -> None:
        if how == "lose":
            self._undone.append(delivery)
        elif how == "give back":
            self._returned.append(delivery)
        else:
            self._has_failed |= how in ("fail", "give up")
            self._ended.append(Ended(delivery, how, kept=how == "commit"))

    def _next(self) -> Delivery | None:
        delivery = self._source.more_of(self._group)
        if delivery is None:
            return None
        accepted = delivery.hook is self._first.hook and delivery.may_share
        if accepted and not (delivery.waits_for and self._has_failed):
            return delivery
        self._returned.append(delivery)
        return None

    async def _finish(self) -> None:
        recorded: list[Ended] = []
        if any(each.kept for each in self._ended):
            behind = any(each.delivery.waits_for for each in self._ended)
            recorded = [each for each in self._ended if each.kept or (behind and each.how == "report")]
            try:
                await self._daemon.commit([each.delivery for each in recorded])
            except JobhooksError:
                lost = [each for each in self._ended if each.kept or each.delivery.waits_for]
                self._undone = [each.delivery for each in lost] + self._undone
                self._ended = [each for each in self._ended if each not in lost]
                recorded = []
        if self._returned:
            self._source.give_back(self._returned)
        if self._undone:
            self._source.give_back_alone(self._undone)
        for each in self._ended:
            self._source.report(each.delivery, outcome_of(each.how, recorded=each in recorded))


def outcome_of(how: str, *, recorded: bool = False) -> Outcome:
    """The outcome of a run that ended so."""
    status = {"fail": Status.FAILURE, "give up": Status.DISCARDED}.get(how, Status.SUCCESS)
    return Outcome(0.0, 0.0, status, recorded=recorded, raised=how == "fail")
