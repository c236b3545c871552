"""Running ``def`` receivers in worker processes, so that one that hangs, leaks or crashes harms no other."""

import asyncio
import os
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from functools import partial
from typing import TypeVar

import msgspec

from jobhooks.contract.control import Cancelled, TimeLimitExceeded, WorkerDied
from jobhooks.contract.log import LogEntry, ReceiverLog
from jobhooks.contract.run import DeliveryIdentity
from jobhooks.discovery.registry import FoundReceiver, ReceiverRegistry
from jobhooks.discovery.sources import Installed, Source
from jobhooks.engine.delivery.delivery import Delivery
from jobhooks.engine.delivery.lasting_errors import rules_of
from jobhooks.engine.delivery.outcome import Clock, Outcome, failed
from jobhooks.engine.running.in_process import worker
from jobhooks.engine.running.in_process.fork_server import start_fork_server
from jobhooks.engine.running.in_process.line_file import HEADER
from jobhooks.engine.running.in_process.order import DeadRun, Order
from jobhooks.engine.running.in_process.pool import WorkerPool
from jobhooks.engine.running.in_process.worker_process import Worker
from jobhooks.engine.running.runner import Feed, TimeLimits
from jobhooks.engine.running.sharing_policy import SharingPolicy
from jobhooks.errors import AlreadySettled, DatabaseUnreachable
from jobhooks.matching.hook_table import Hook
from jobhooks.runtime.event_log import get_logger
from jobhooks.runtime.logging import LogSettings

log = get_logger()
A = TypeVar("A")
T = TypeVar("T")
# One version of a receiver's code. Each version has separate processes.
Version = tuple[str, Source | Installed]


ENDED = (TimeLimitExceeded, WorkerDied, Cancelled)  # the worker has gone, and the run with it


class WorkerCall:
    """A call in a worker: the ``Call`` of its deliveries. ``is_group``: they run one after the other.

    It may be asked after its end, while the result is written. The worker may have the next call by then, whose lines
    are not its own, and which it must not end.
    """

    worker_pid: int | None = None

    def __init__(self, deliveries: Sequence[Delivery], *, is_group: bool) -> None:
        self._deliveries = deliveries
        self._is_group = is_group
        self._worker: Worker | None = None
        self._runs_before = 0
        self._run = 0  # whose lines these are, up to this place in the file
        self._lines: list[LogEntry] = []
        self._read_to = HEADER

    def begin(self, taken: Worker) -> None:
        """This worker, which is idle, gets the call."""
        self._worker, self._runs_before = taken, taken.lines.runs
        self.worker_pid = taken.pid
        taken.lines_wanted = True
        for delivery in self._deliveries:
            delivery.call = self
            delivery.version = taken.version

    def finish(self) -> None:
        """The call has ended, and its lines are not wanted any more."""
        for delivery in self._deliveries:
            delivery.call = None
            if self._worker is None:
                delivery.version = None  # no code ran
        if self._worker is not None:
            self._worker.release_lines()
            self._worker = None

    def is_running(self, delivery: DeliveryIdentity) -> bool:
        """As ``Call`` says."""
        begun = self._begun
        if not begun:
            return False
        return not self._is_group or self._deliveries[begun - 1].identity == delivery

    @property
    def _begun(self) -> int:
        """How many runs of this call have begun."""
        return 0 if self._worker is None else self._worker.lines.runs - self._runs_before

    def lines(self, delivery: DeliveryIdentity) -> Sequence[LogEntry]:
        """As ``Call`` says; also after the worker has died."""
        begun = self._begun
        if self._worker is None or not begun:
            return ()
        if self._deliveries[begun - 1 if self._is_group else 0].identity != delivery:
            return ()
        run = self._runs_before + begun
        if self._run != run:
            self._run, self._lines, self._read_to = run, [], HEADER
        more, self._read_to = self._worker.lines.read(run, self._read_to)
        self._lines += more
        return self._lines

    def end(self, reason: Exception) -> None:
        """Kill the worker, unless it has answered."""
        if self._worker is not None:
            self._worker.fail(reason)


class ProcessRunner:
    """Runs ``def`` receivers: a ``Runner``. Each has up to ``count`` processes, as many as it needs at the time.

    Receivers share no process: so a slow one delays no other, and state that one leaves in its process or connection
    does not reach another. ``memory_limit``: bytes of data that a process may have; more raises MemoryError in it.
    ``log_settings``: of the log for lines that belong to no run; without them they are dropped. When ``registry`` gets
    another version of a receiver, the processes of the old version end after their current run.
    """

    time_limits = TimeLimits.SOFT | TimeLimits.HARD

    def __init__(
        self,
        database_url: str,
        registry: ReceiverRegistry,
        count: int,
        memory_limit: int | None,
        log_settings: LogSettings | None = None,
    ) -> None:
        self._initializer = (os.getpid(), database_url, memory_limit, log_settings)
        self._registry = registry
        self._count = count
        self._pools: dict[Version, WorkerPool] = {}
        self._in_use: Counter[Version] = Counter()
        self._slots: dict[str, asyncio.Semaphore] = {}
        self._policies: dict[int, SharingPolicy] = defaultdict(SharingPolicy)  # by hook
        self.clock = Clock()

    @property
    def capacity(self) -> int:
        """The number of processes of each receiver."""
        return self._count

    def _slot(self, class_path: str) -> asyncio.Semaphore:
        """Held while a receiver runs in a worker, so that no more runs begin than there are processes."""
        return self._slots.setdefault(class_path, asyncio.Semaphore(self._count))

    async def run(self, found: FoundReceiver, deliveries: list[Delivery]) -> Outcome:
        """Call a receiver once, in a worker; see ``Runner``. Cancelling this kills the worker."""
        async with self._slot(found.class_path):
            started_at = self.clock.now()
            hook, orders = deliveries[0].hook, orders_of(found, deliveries, self.clock)
            call = WorkerCall(deliveries, is_group=False)
            try:
                return await self._schedule(found, hook, worker.call_once, orders, call)
            except ENDED as exc:
                outcome = self._ended(started_at, exc, orders[0], call)
                is_dead = found.has_on_dead and len(orders) == 1 and orders[0].makes_dead(outcome)
                if isinstance(exc, Cancelled) or not is_dead:
                    return outcome
                return await self._call_on_dead(found, hook, DeadRun(orders[0], exc), outcome)
            finally:
                call.finish()

    async def run_each(self, found: FoundReceiver, first: Delivery, feed: Feed) -> None:
        """Call a receiver for ``first`` and for as many more as a worker finishes in a moment; see ``Runner``."""
        policy = self._policies[first.hook.id]
        begun, following = [first], list[Delivery]()
        async with self._slot(found.class_path):
            count = policy.batch_size if policy.next_may_share() else 1
            while len(begun) < count and not following and (delivery := feed.take()) is not None:
                shares = delivery.hook is first.hook and delivery.may_share
                (begun if shares else following).append(delivery)
            try:
                outcomes = await self._run_orders(found, begun)
            except (AlreadySettled, DatabaseUnreachable):
                outcomes = [None]
        if left := begun[len(outcomes) :] + following:
            feed.give_back(left)
        ended = list(zip(begun, outcomes, strict=False))
        if again := [delivery for delivery, outcome in ended if outcome is None]:
            policy.undone()
            feed.give_back_alone(again)
        known = [(delivery, outcome) for delivery, outcome in ended if outcome is not None]
        if known and not again:
            policy.committed(len(known))
            policy.took(len(known), sum(outcome.finished_at - outcome.started_at for _, outcome in known))
        for delivery, outcome in known:
            feed.report(delivery, outcome)

    async def _run_orders(self, found: FoundReceiver, deliveries: list[Delivery]) -> list[Outcome | None]:
        """The outcomes of those that began. None: undone, or the worker was ended, so each must run by itself."""
        started_at = self.clock.now()
        orders = orders_of(found, deliveries, self.clock)
        call = WorkerCall(deliveries, is_group=True)
        try:
            return await self._schedule(found, deliveries[0].hook, worker.run, orders, call)
        except ENDED as exc:
            if len(deliveries) > 1:
                return [None] * len(deliveries)  # by itself, each shows whether it was the one
            return [self._ended(started_at, exc, orders[0], call)]
        finally:
            call.finish()

    def _ended(self, started_at: float, exc: Exception, order: Order, call: WorkerCall) -> Outcome:
        """The outcome of a run whose worker was ended, or has died: with the lines that it had logged."""
        receiver_log = ReceiverLog()
        receiver_log.entries = list(call.lines(order.delivery))
        outcome = failed(started_at, self.clock, receiver_log, exc, rules=order.rules)
        return msgspec.structs.replace(outcome, unsure=True)

    async def _call_on_dead(self, found: FoundReceiver, hook: Hook, dead: DeadRun, outcome: Outcome) -> Outcome:
        """Call ``on_dead`` in another process, because that of the run is gone."""
        try:
            lines = await self._schedule(found, hook, worker.call_on_dead, dead)
        except (TimeLimitExceeded, WorkerDied) as exc:
            log_lines = ReceiverLog()
            log_lines.warning("on_dead", str(exc))
            lines = tuple(log_lines.entries)
        return msgspec.structs.replace(outcome, log=outcome.log + lines)

    async def _schedule(
        self, found: FoundReceiver, hook: Hook, work: Callable[[A], T], argument: A, call: WorkerCall | None = None
    ) -> T:
        assert found.origin is not None
        version = (found.class_path, found.origin)
        limit_s = hook.limits.time_limit
        self._in_use[version] += 1
        try:
            on_begin = None if call is None else call.begin
            return await self._pool(version).call(work, argument, limit_s, on_begin)
        except TimeoutError:
            assert limit_s is not None
            raise TimeLimitExceeded(limit_s) from None
        except RuntimeError as exc:
            raise WorkerDied(f"the worker process failed: {exc}") from None
        finally:
            self._in_use[version] -= 1
            self._retire(version)

    def retire(self) -> None:
        """End the processes of replaced code, each after its current run."""
        for version in list(self._pools):
            self._retire(version)

    def _retire(self, version: Version) -> None:
        class_path, origin = version
        found = self._registry.receivers.get(class_path)
        if self._in_use[version] or (found is not None and found.origin == origin):
            return
        del self._in_use[version]
        pool = self._pools.pop(version, None)
        if pool is not None:
            pool.retire()

    def end_runs(self) -> None:
        """Kill the workers that run a receiver."""
        for pool in self._pools.values():
            pool.cancel_calls()

    def kill(self) -> None:
        """Kill all workers. Any thread may call this, if the event loop runs no more."""
        for pool in list(self._pools.values()):
            pool.kill()

    async def close(self) -> None:
        """End all workers."""
        pools, self._pools = list(self._pools.values()), {}
        await asyncio.gather(*(pool.close() for pool in pools))

    async def warm_up(self) -> None:
        """Start the process that workers come from, if there is a receiver that needs it."""
        if any(not found.is_async for found in self._registry.receivers.values()):
            await start_fork_server()

    def _pool(self, version: Version) -> WorkerPool:
        pool = self._pools.get(version)
        if pool is None:
            pool = self._pools[version] = WorkerPool(
                (*self._initializer, *version), partial(_report_leftovers, version[0])
            )
        return pool


def _report_leftovers(class_path: str, reason: str) -> None:
    remedy = "wait for threads before receive_job_hook returns, and do not keep self.connection"
    log.warning("worker_process_ended", receiver=class_path, reason=reason, remedy=remedy)


def orders_of(found: FoundReceiver, deliveries: list[Delivery], clock: Clock) -> list[Order]:
    """The data of deliveries that a worker needs."""
    return [
        Order(
            each.hook.job,
            each.identity,
            each.hook.job_id,
            each.shown or each.change,
            each.hook.limits.soft_time_limit,
            clock,
            each.hook.name,
            each.hook.limits.has_sensitive_variables,
            tuple(merged.identity for merged in each.merged),
            each.further,
            each.waits_for > 0,
            rules_of(each, calls_on_dead=found.has_on_dead),
            each.hook.data_json,
        )
        for each in deliveries
    ]
