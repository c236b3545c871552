"""The daemon of the machine: the real classes from dispatcher to settler, without connections, and its runner."""

import asyncio
from collections.abc import AsyncGenerator, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from jobhooks.contract.change import Change
from jobhooks.contract.choices import JobResultStatus as Status
from jobhooks.contract.meta import read_meta
from jobhooks.contract.receiver import JobHookReceiver
from jobhooks.discovery.registry import FoundReceiver, ReceiverRegistry
from jobhooks.engine.delivery.backlog_row import BacklogRow
from jobhooks.engine.delivery.cursor import Cursor
from jobhooks.engine.delivery.delivery import Delivery
from jobhooks.engine.delivery.observer import Observer, Observers
from jobhooks.engine.delivery.outcome import Clock, Outcome
from jobhooks.engine.delivery.settle_batch import SettleBatch
from jobhooks.engine.reading.reader import Reading
from jobhooks.engine.running.attempts import Attempts
from jobhooks.engine.running.runner import Feed, Runners, TimeLimits
from jobhooks.engine.running.suspects import Suspects
from jobhooks.engine.scheduling.dispatcher import Dispatcher
from jobhooks.engine.scheduling.follower import Follower
from jobhooks.engine.scheduling.hook_queue import HookQueue, HookQueues
from jobhooks.engine.settling.ledger import NO_ROWS, Ledger, needed_to_merge
from jobhooks.engine.settling.settler import Settler
from jobhooks.errors import DatabaseUnreachable, JobhooksError, LeadsNoMore
from jobhooks.matching.hook_table import Hook, HookTable
from jobhooks.matching.rate import parse_rate
from jobhooks.store.connections import AsyncConnection
from machine.database import Database
from machine.marks import MemoryMarkers

PAGE_SIZE = 2
MOST_OPEN = 4  # deliveries of a hook, before it reads no more
STEPS = 12  # of the loop, until everything waits
IN_DOUBT_S = 5.0  # that a former daemon has to show that it lives


class Single(JobHookReceiver[Any]):
    """Its runs end as the machine says."""

    async def receive_job_hook(self) -> None:
        """Nothing calls this."""


class Together(JobHookReceiver[Any]):
    """Takes batches."""

    async def receive_job_hook_batch(self) -> None:
        """Nothing calls this."""


RECEIVERS = {
    path: FoundReceiver(path, receiver, read_meta(receiver), Path(__file__))
    for path, receiver in (("m.C", Single), ("m.B", Together))
}


class _Started(Observer):
    """Tells the machine which deliveries begin."""

    def __init__(self, started: Callable[[Delivery], None]) -> None:
        self._started = started

    def delivery_started(self, delivery: Delivery) -> None:
        self._started(delivery)


class _NoConnection:
    def get_settings(self) -> Any:
        return self

    server_encoding = "UTF8"


class MemorySettler(Settler):
    """The real settler, with the database in memory behind it."""

    def __init__(self, database: Database) -> None:
        super().__init__(cast(AsyncConnection, _NoConnection()), database.leader)
        self._database = database

    async def _send(self, batch: SettleBatch) -> None:
        batch.is_refused_in_part = await self._database.send(
            "settle", lambda: self._database.settle(batch, self._leader)
        )

    async def _save(self) -> None:
        cursor, self._cursor = self._cursor, None
        positions, self._positions = self._positions, {}
        self._saved_at = asyncio.get_running_loop().time()
        await self._database.send("save", lambda: self._database.save(cursor, positions, self._leader))

    async def refuse_stale(self) -> None:
        """As the settler's."""
        await self._database.send("check", lambda: self._database.check_leader(self._leader))

    async def _save_rates(self) -> None:
        rates, self._rates = self._rates, {}
        await self._database.send("save rates", lambda: self._database.save_rates(rates, self._leader))

    @property
    def is_clean(self) -> bool:
        """Whether nothing waits to be written."""
        return not self._batch and not self._refused and not self.lock.locked()


class MemoryLedger(Ledger):
    """The queries of the ledger, of the database in memory."""

    def __init__(self, database: Database, registry: ReceiverRegistry) -> None:
        super().__init__(cast(AsyncConnection, _NoConnection()), registry)
        self._database = database

    async def hooks(self) -> HookTable:
        return await self._database.send("hooks", self._database.hook_table)

    async def has_result(self, delivery: Delivery) -> bool:
        return await self._database.send("has_result", lambda: self._database.has_attempt(delivery))

    async def last_settled(self) -> int:
        return self._database.last_settled()

    async def settled(self, deliveries: list[Delivery]) -> set[tuple[int, int]]:
        return await self._database.send("look up", lambda: self._database.settled(deliveries))

    async def positions(self) -> dict[int, Cursor]:
        return dict(self._database.positions)

    async def backlog_rows(
        self, hook_id: int, most: int, known: Mapping[int, BacklogRow] = NO_ROWS
    ) -> list[BacklogRow]:
        return await self._database.send("rows", lambda: self._database.backlog_rows(hook_id, most))

    async def rate_buckets(self, hook_id: int) -> list[tuple[int, float]]:
        return self._database.rate_buckets(hook_id)

    async def load(self, hook: Hook, rows: Sequence[BacklogRow]) -> tuple[list[Delivery], list[Delivery]]:
        return await self._database.send("load", lambda: self._database.load(hook, list(rows)))

    async def changes_of_parents(self, transaction_id: int, last_id: int) -> AsyncGenerator[Change]:
        for change in await self._database.send("parents", list[Change]):
            yield change

    async def changes_to_merge(self, chains: Iterable[tuple[BacklogRow, Sequence[BacklogRow]]]) -> dict[int, Change]:
        ids = [id_ for row, behind in chains for id_ in needed_to_merge(behind, is_of_child=row.is_of_child)]
        return await self._database.send("to merge", lambda: self._database.changes_to_merge(ids)) if ids else {}


@dataclass(eq=False)
class Run:
    """A run that has begun; its future gets its end, and whether another one may follow in its group."""

    deliveries: list[Delivery]
    end: "asyncio.Future[tuple[str, bool]]"

    @property
    def hook_id(self) -> int:
        return self.deliveries[0].hook.id


@dataclass
class Ended:
    delivery: Delivery
    how: str  # commit, report, fail, give up
    kept: bool


class Daemon:
    """One session of the daemon, with a loop for itself. It is driven step by step; ``stop`` is a crash.

    ``is_over``: it has found that it no longer leads.
    """

    def __init__(self, database: Database, has_receivers: bool) -> None:
        self.database = database
        database.leader += 1
        self.leader = database.leader
        self.loop = asyncio.new_event_loop()
        self.runs: list[Run] = []
        self.is_over = False
        self.taken: dict[tuple[int, Any], list[float]] = {}  # when deliveries were taken, by queue and key
        self.may_read = asyncio.Event()
        self.hooks_changed = asyncio.Event()
        self._reading = asyncio.Lock()
        self.tasks: list[asyncio.Task[Any]] = []
        self.registry = ReceiverRegistry(())
        self.registry.receivers |= RECEIVERS if has_receivers else {}
        self.loop.run_until_complete(self._start())
        self.step()

    async def _start(self) -> None:
        database = self.database
        self.settler = MemorySettler(database)
        self.ledger = MemoryLedger(database, self.registry)
        runner = MachineRunner(self)
        suspects = Suspects(MemoryMarkers(database, self.settler.lock))
        attempts = Attempts(Runners(runner, runner), self.registry, self.settler, self.ledger, runner.clock, suspects)
        self.dispatcher = Dispatcher(
            attempts.work_off,
            self.settler,
            self.ledger,
            MOST_OPEN,
            self.registry.can_run,
            Observers(_Started(self._check_rate)),
            runner.clock,
        )
        self.settler.attach(self.dispatcher)
        self._follower = Follower(self.dispatcher, self._read_alone, self._reading)
        database.at_once = True
        await suspects.load(in_doubt_s=IN_DOUBT_S if database.dead or database.doubted else None)
        await self.dispatcher.start(database.shared)
        await self.dispatcher.reload_hooks()
        database.at_once = False
        parts = (
            *(self.settler.run(), self.dispatcher.run(), suspects.run()),
            *(self._read(), self._follower.run(), self._reload()),
        )
        self.tasks += [asyncio.create_task(part) for part in parts]

    @property
    def queues(self) -> HookQueues:
        return self.dispatcher._queues  # pyright: ignore[reportPrivateUsage]

    def set_receivers(self, there: bool) -> None:
        """Let receivers be there, or be missing."""
        self.registry.receivers.clear()
        self.registry.receivers |= RECEIVERS if there else {}
        self.dispatcher.on_receivers_changed()
        self.step()

    def step(self) -> None:
        """Let everything run until it waits."""
        self.loop.run_until_complete(self._step())

    async def _step(self) -> None:
        for _ in range(STEPS):
            await asyncio.sleep(0)
        for task in self.tasks:
            if task.done():
                error = task.exception()
                assert error is not None, "a part of the daemon has ended"
                if not (self.is_stale and _leads_no_more(error)):
                    raise error
                self.is_over = True

    def stop(self) -> None:
        """Crash: nothing more is sent; a statement that was executed stays executed."""
        self.loop.run_until_complete(self._stop())
        self.loop.close()

    async def _stop(self) -> None:
        for task in self.tasks:
            task.cancel()
        await asyncio.gather(*self.tasks, return_exceptions=True)
        others = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)
        self.runs.clear()

    # Reading, as in the engine.

    async def _read(self) -> None:
        while True:
            await self.dispatcher.room()
            if self.dispatcher.streams.shared.position.is_between_windows:
                await self.may_read.wait()
            async with self._reading:
                cursor = self.dispatcher.streams.shared.position
                is_new = cursor.is_between_windows
                if is_new:
                    self.may_read.clear()
                reading = await self.database.send(
                    "read",
                    lambda: self.database.read(cursor, PAGE_SIZE, new_horizon=is_new),  # noqa: B023
                )
                await self._follow_configuration(reading)
                await self.dispatcher.admit(reading)

    async def _read_alone(self, _queue: HookQueue, window: Cursor, up_to: int) -> Reading:
        reading = await self.database.send("read alone", lambda: self.database.read(window, PAGE_SIZE, up_to=up_to))
        await self._follow_configuration(reading)
        return reading

    async def _follow_configuration(self, reading: Reading) -> None:
        if reading.changes and reading.configuration != self.dispatcher.hooks_version:
            await self.dispatcher.reload_hooks()

    async def _reload(self) -> None:
        while True:
            await self.hooks_changed.wait()
            self.hooks_changed.clear()
            await self.dispatcher.reload_hooks()

    # Running.

    async def run(self, deliveries: list[Delivery], group: list[Delivery]) -> tuple[str, bool]:
        """Run a receiver until the machine ends it."""
        self._check_begin(deliveries, group)
        run = Run(deliveries, self.loop.create_future())
        self.runs.append(run)
        try:
            return await run.end
        finally:
            if run in self.runs:
                self.runs.remove(run)

    def _check_begin(self, deliveries: list[Delivery], group: list[Delivery]) -> None:
        database = self.database
        together = {each.change.id for delivery in [*group, *deliveries] for each in (delivery, *delivery.merged)}
        for delivery in deliveries:
            hook = delivery.hook
            for each in (delivery, *delivery.merged):
                key = each.change.id, hook.id
                assert not database.has_success(*key) or key in database.late or self.is_stale, f"{key} runs again"
            if not self.is_stale:
                database.check_order(hook, database.changes[delivery.change.id], together)
            if delivery.merged:
                self._check_merged(delivery)

    def _check_rate(self, delivery: Delivery) -> None:
        """Deliveries that tasks take keep to the rate of their hook: of each object, if it says so.

        Their runs may begin later, after the attempt before them was looked up.
        """
        hook, queue = delivery.hook, self.queues.get(delivery.hook.id)
        if (rate := parse_rate(hook.rate)) is None or queue is None or self.is_stale:
            return
        keys = delivery.change.lane_keys() if hook.rate_per else ()
        taken = self.taken.setdefault((id(queue), keys and keys[-1]), [])
        taken.append(self.database.now())
        recent = [at for at in taken if at > self.database.now() - rate.period_s]
        assert len(recent) <= rate.count, f"{len(recent)} deliveries of hook {hook.id} begin in {rate.period_s} s"

    @property
    def is_stale(self) -> bool:
        """Whether another daemon leads."""
        return self.leader < self.database.leader

    def _check_merged(self, delivery: Delivery) -> None:
        """A merged delivery shows its object before its first change and after its last, with all in between."""
        database, hook = self.database, delivery.hook
        ids = [delivery.change.id, *(each.change.id for each in delivery.merged)]
        first, last = database.changes[ids[0]], database.changes[ids[-1]]
        shown = delivery.shown
        assert shown is not None and shown.id == last.id
        assert (shown.prechange_json, shown.postchange_json) == (first.prechange_json, last.postchange_json)
        if hook.coalesce_s == 0:
            assert len({database.changes[id_].transaction_id for id_ in ids}) == 1
        if hook.merges_requests:
            merged = [database.changes[id_] for id_ in ids]
            assert len({change.request_id or change.transaction_id for change in merged}) == 1
        for other in database.conflicts(hook, first):
            if ids[0] < other.id < ids[-1] and other.id not in ids and database.expects(hook, other):
                assert database.is_settled(other.id, hook.id), f"{ids} are merged without {other.id}"

    async def commit(self, deliveries: list[Delivery]) -> None:
        """Commit runs together, with their results."""
        await self.database.send("commit runs", lambda: self.database.record(deliveries, self.leader))


class MachineRunner:
    """A runner whose runs end as the machine says."""

    capacity = None
    time_limits = TimeLimits.NONE

    def __init__(self, daemon: Daemon) -> None:
        self.clock = Clock()
        self._daemon = daemon

    async def run(self, found: FoundReceiver, deliveries: list[Delivery]) -> Outcome:
        """One run for all deliveries. If it is lost, it may have committed."""
        how, _ = await self._daemon.run(deliveries, [])
        if how in ("commit", "lose"):
            await self._daemon.commit(deliveries)
        if how in ("lose", "give back"):
            raise DatabaseUnreachable("the machine says so")
        return outcome_of(how, recorded=how == "commit")

    async def run_each(self, found: FoundReceiver, first: Delivery, feed: Feed) -> None:
        """Run a group."""
        await _GroupRun(self._daemon, first, feed).run()

    def end_runs(self) -> None:
        """A crash ends them."""

    def retire(self) -> None:
        """There is nothing to release."""

    async def close(self) -> None:
        """There is nothing to close."""


class _GroupRun:
    """Runs one delivery after the other in one transaction, as the runners do."""

    def __init__(self, daemon: Daemon, first: Delivery, feed: Feed) -> None:
        self._daemon = daemon
        self._first = first
        self._feed = feed
        self._ended: list[Ended] = []
        self._undone: list[Delivery] = []
        self._returned: list[Delivery] = []
        self._has_failed = False

    async def run(self) -> None:
        delivery: Delivery | None = self._first
        while delivery is not None:
            how, more = await self._daemon.run([delivery], [each.delivery for each in self._ended])
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
        delivery = self._feed.take()
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
            self._feed.give_back(self._returned)
        if self._undone:
            self._feed.give_back_alone(self._undone)
        for each in self._ended:
            self._feed.report(each.delivery, outcome_of(each.how, recorded=each in recorded))


def outcome_of(how: str, *, recorded: bool = False) -> Outcome:
    """The outcome of a run that ended so."""
    status = {"fail": Status.FAILURE, "give up": Status.DISCARDED}.get(how, Status.SUCCESS)
    return Outcome(0.0, 0.0, status, recorded=recorded, raised=how == "fail")


def _leads_no_more(error: BaseException) -> bool:
    if isinstance(error, BaseExceptionGroup):
        group = cast("BaseExceptionGroup[BaseException]", error)
        return all(map(_leads_no_more, group.exceptions))
    return isinstance(error, LeadsNoMore)
