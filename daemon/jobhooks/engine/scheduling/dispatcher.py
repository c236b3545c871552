"""Schedules deliveries: order per key, concurrency per hook, and spilling slow work to the backlog table."""

import asyncio
from collections import defaultdict
from collections.abc import Callable, Iterable

import msgspec

from jobhooks.contract.choices import JobResultStatus
from jobhooks.engine.delivery.backlog_position import BacklogPosition
from jobhooks.engine.delivery.cursor import Cursor
from jobhooks.engine.delivery.delivery import PAGE_BYTES, Delivery, Page, deliveries_of
from jobhooks.engine.delivery.observer import Observers
from jobhooks.engine.delivery.outcome import Outcome
from jobhooks.engine.delivery.settle_batch import SettleBatch
from jobhooks.engine.reading.reader import Reading
from jobhooks.engine.scheduling.backlog import Backlog
from jobhooks.engine.scheduling.hook_queue import MOST_LOADED, HookQueue, HookQueues
from jobhooks.engine.scheduling.hook_tasks import HookTasks, WorkOff
from jobhooks.engine.scheduling.lanes import Lanes
from jobhooks.engine.scheduling.open_pages import OpenPages
from jobhooks.engine.settling.ledger import Ledger
from jobhooks.engine.settling.settler import Settler
from jobhooks.matching.hook_table import HookTable

OVERDUE_S = 1.0  # after this a delivery that keeps its page open is parked
LOOK_S = 0.25  # between two searches for overdue deliveries
MOST_BYTES = 4 * PAGE_BYTES  # of rows that are read ahead


class Dispatcher:
    """Decides which delivery runs when.

    Up to about ``most`` deliveries are in memory; the rest is parked, or not read yet. ``has_receiver``: whether there
    is a receiver of a class path. A delivery to a missing receiver waits in the backlog.

    Everything happens in one event loop, with no await between looking at memory and changing it. Decisions that also
    depend on the backlog table are made under the settler's lock, so that no entry appears or disappears at the same
    time. The dispatcher is the settler's ``SettleListener`` and the hook tasks' ``TaskOwner``.
    """

    def __init__(
        self,
        work_off: WorkOff,
        settler: Settler,
        ledger: Ledger,
        most: int,
        has_receiver: Callable[[str], bool],
        observers: Observers,
    ) -> None:
        self._has_receiver = has_receiver
        self._settler = settler
        self._ledger = ledger
        self._most = most
        self._pages = OpenPages()
        self._lanes = Lanes()
        self._queues: HookQueues = {}
        self._hooks = HookTable("", [])
        self._kept_open = 0  # deliveries that keep pages open
        self._room = asyncio.Event()
        self._hook_tasks = HookTasks(self._queues, work_off, self, observers)
        self._backlog = Backlog(self._queues, settler, ledger, self._may_run, self._add, self._room)
        self._settled_up_to = 0
        self._on_finished = observers.attempt_finished
        self._on_settled = observers.settled
        self._on_parked = observers.parked

    @property
    def hooks_version(self) -> str:
        """The version of the configuration that the hooks are of."""
        return self._hooks.version

    async def start(self, position: Cursor) -> None:
        """Start at ``position`` in the log; look up how far an earlier daemon may have settled changes beyond it."""
        self._backlog.log_admitted(position)
        async with self._settler.lock:
            self._settled_up_to = await self._ledger.last_settled()

    async def reload_hooks(self) -> None:
        """Load the active hooks; park everything that has not begun for a hook that is no longer active."""
        async with self._settler.lock:
            hooks = await self._ledger.hooks()
            new = hooks.by_id.keys() - self._queues.keys()
            with_backlog = await self._ledger.hooks_with_backlog(new, MOST_LOADED) if new else {}
            for hook_id, hook in hooks.by_id.items():
                if hook_id in self._queues:
                    self._queues[hook_id].hook = hook
                else:
                    has_backlog = hook_id in with_backlog
                    behind = with_backlog.get(hook_id, False)
                    self._queues[hook_id] = HookQueue(hook, has_backlog=has_backlog, behind=behind)
            for hook_id in self._queues.keys() - hooks.by_id.keys():
                self._park_ready(self._queues[hook_id])
            self._hooks = hooks
        self._backlog.search()
        self._room.set()  # a hook that is new may have use for the next page

    async def admit(self, reading: Reading) -> None:
        """Schedule the deliveries of a page. The hooks must be of the page's configuration, or newer."""
        page = Page(reading.after, asyncio.get_running_loop().time())
        deliveries: list[Delivery] = []
        for change in reading.changes:
            if hooks := self._hooks.matching(change):
                deliveries += deliveries_of(change, hooks)
                page.bytes += change.size
        if reading.changes and reading.changes[0].id <= self._settled_up_to:
            deliveries = await self._unsettled(deliveries)
        beside_backlog: dict[int, list[Delivery]] = defaultdict(list)
        for delivery in deliveries:
            page.add(delivery)
            queue = self._queues[delivery.hook.id]
            if queue.has_backlog or self._parks_all(queue):
                beside_backlog[delivery.hook.id].append(delivery)
            else:
                self._add(queue, delivery)
        self._kept_open += len(deliveries)
        self._pages.append(page)
        for hook_id, of_hook in beside_backlog.items():
            await self._admit_beside_backlog(self._queues[hook_id], of_hook)
        self._move_cursor()
        self._backlog.log_admitted(reading.after)

    async def room(self) -> None:
        """Wait until there is room in memory for another page."""
        while self.is_full() or not self._worth_reading():
            self._room.clear()
            await self._room.wait()

    def is_full(self) -> bool:
        """Whether memory holds as much as it may."""
        return self._kept_open >= self._most or self._pages.bytes >= MOST_BYTES

    async def run(self) -> None:
        """Park overdue deliveries and load due backlog, until cancelled.

        Raises:
            DatabaseUnreachable: the database was lost in a run, or here.
        """
        async with asyncio.TaskGroup() as group:
            group.create_task(self._park_overdue())
            group.create_task(self._backlog.run())
            group.create_task(self._hook_tasks.raise_failure())

    def on_receivers_changed(self) -> None:
        """Park everything that has not begun for a missing receiver; load the backlog of one that has come back."""
        for queue in self._queues.values():
            self._park_if_missing(queue)
        self.search_backlog()

    def _parks_all(self, queue: HookQueue) -> bool:
        """Whether a hook's new deliveries are all parked: to be coalesced, or until its receiver exists."""
        return queue.hook.coalesce_s is not None or not self._has_receiver(queue.hook.job)

    def _may_run(self, queue: HookQueue) -> bool:
        """Whether a hook's deliveries run at present."""
        return queue.hook.id in self._hooks.by_id and self._has_receiver(queue.hook.job)

    def search_backlog(self) -> None:
        """Search for due entries of all hooks: another session has changed them."""
        self._backlog.search_all_hooks()

    async def stop(self) -> None:
        """Begin nothing more, and wait for running deliveries. Those that have not begun stay unsettled."""
        await self._hook_tasks.stop()

    async def cancel(self) -> None:
        """End everything that runs."""
        await self._hook_tasks.cancel()

    @property
    def is_idle(self) -> bool:
        """Whether nothing runs or waits to run, and nothing keeps a page open."""
        unwritten = any(queue.unwritten for queue in self._queues.values())
        return self._hook_tasks.are_idle and not self._kept_open and not unwritten

    # Running.

    def _add(self, queue: HookQueue, delivery: Delivery) -> None:
        """Put a delivery into its lanes; it runs when no earlier one is left in them."""
        if self._lanes.add(delivery):
            self._hook_tasks.make_ready(queue, delivery)
        elif queue.gathering is not None:
            queue.gathering.set()

    def _park_if_missing(self, queue: HookQueue) -> None:
        """Park everything that has not begun if the hook's receiver is missing."""
        if not self._has_receiver(queue.hook.job):
            self._park_ready(queue)

    def on_given_back(self, queue: HookQueue) -> None:
        """Park deliveries that were given back because the receiver is missing."""
        self._park_if_missing(queue)

    def on_outcome(self, queue: HookQueue, delivery: Delivery, outcome: Outcome | None) -> None:
        """Settle an attempt, with everything that was coalesced into it."""
        delivery.running = False
        if self._on_finished is not None:
            self._on_finished(delivery, outcome)
        self._settle(queue, delivery, outcome)
        for merged in delivery.merged:
            if outcome is None or outcome.raised:
                self._release(merged)  # its entry stays, behind the first one
            else:
                self._settle(queue, merged, msgspec.structs.replace(outcome, log=()))

    def _settle(self, queue: HookQueue, delivery: Delivery, outcome: Outcome | None) -> None:
        """Have the settler write everything that is not written yet. The lane goes on after the commit, not before.

        Otherwise a delivery could commit although its predecessor, after a crash, runs again.
        """
        if outcome is None or outcome.recorded:
            if self._on_settled is not None:
                self._on_settled(delivery, outcome)
            if delivery.parked:
                self._settler.done(delivery)
            else:
                self._finish(delivery)
        elif outcome.status is JobResultStatus.SUCCESS:
            self._settler.succeeded(delivery, outcome)
        else:
            queue.has_backlog = True
            queue.unwritten += 1
            self._settler.failed(delivery, outcome)

    # The settler's side.

    def before_writing(self, batch: SettleBatch) -> None:
        """Add everything queued behind the batch's failures to its parked deliveries. Called under the lock.

        In one transaction with the failures: if the entries behind a failure were in the database before it, they could
        be loaded, and run, in between.
        """
        for delivery in batch.parked:
            self._queues[delivery.hook.id].in_transit = 0
        failed: set[Delivery] = set()
        for delivery, outcome in batch.failures:
            failed.add(delivery)
            if outcome.raised and self._queues[delivery.hook.id].hook.blocks:
                for behind in self._lanes.withdraw([delivery]):
                    if behind is not delivery:
                        self._write_to_backlog(behind, batch)
        # A slow run that was about to be parked, and has failed before the batch was written.
        twice = [delivery for delivery in batch.parked if delivery in failed]
        for delivery in twice:
            self._queues[delivery.hook.id].unwritten -= 1
        batch.parked = [delivery for delivery in batch.parked if delivery not in failed]

    def on_settled(self, batch: SettleBatch) -> None:
        """Let lanes go on, and pages close, after a batch has committed. Called under the lock."""
        on_settled = self._on_settled
        for delivery, outcome in batch.successes:
            if on_settled is not None:
                on_settled(delivery, outcome)
            self._finish(delivery)
        for delivery in batch.done:
            self._finish(delivery)
        for delivery, outcome in batch.failures:
            self._failure_settled(delivery, outcome)
        for delivery in batch.parked:
            self._queues[delivery.hook.id].unwritten -= 1
            self._release_page(delivery)
            if self._on_parked is not None:
                self._on_parked(delivery)
        if batch.failures or batch.parked or batch.done:
            self._backlog.search()
        self._move_cursor()

    def _failure_settled(self, delivery: Delivery, outcome: Outcome) -> None:
        queue = self._queues[delivery.hook.id]
        queue.unwritten -= 1
        if outcome.unsure and delivery.parked:
            # If the run had committed after all, the batch kept that result, and the entry is still there, as one that
            # is settled.
            queue.has_backlog, queue.backlog_position = True, BacklogPosition()
        if self._on_settled is not None:
            self._on_settled(delivery, outcome)
        if delivery.withdrawn:
            self._release(delivery)
        else:
            self._finish(delivery)

    def _finish(self, delivery: Delivery) -> None:
        self._release(delivery)
        for follower in self._lanes.finish(delivery):
            queue = self._queues[follower.hook.id]
            if follower not in queue.begun:  # else it was in the same batch
                self._hook_tasks.make_ready(queue, follower)

    def _release(self, delivery: Delivery) -> None:
        self._queues[delivery.hook.id].begun.discard(delivery)
        if delivery.parked:
            self._backlog.release(delivery)
        self._release_page(delivery)

    def _release_page(self, delivery: Delivery) -> None:
        if delivery.page is not None:
            self._kept_open -= 1
            self._room.set()
            if self._pages.release(delivery):
                self._move_cursor()

    def _move_cursor(self) -> None:
        position = self._pages.take_closed()
        if position is not None:
            self._settler.move_cursor(position)

    # Backlog.

    async def _unsettled(self, deliveries: list[Delivery]) -> list[Delivery]:
        async with self._settler.lock:
            settled = await self._ledger.settled(deliveries) if deliveries else set[tuple[int, int]]()
        return [delivery for delivery in deliveries if (delivery.change.id, delivery.hook.id) not in settled]

    async def _admit_beside_backlog(self, queue: HookQueue, deliveries: list[Delivery]) -> None:
        """Put deliveries that no entry blocks into their lanes, and park the rest.

        Parking is always correct, only slow. So everything is parked while other entries of the hook are not written
        yet.
        """
        blocked: set[int] | None = None
        if not queue.behind and not queue.unwritten and not self._parks_all(queue):
            async with self._settler.lock:
                if not queue.unwritten:
                    blocked = await self._ledger.blocked(queue.hook.id, deliveries)
                if queue.unwritten or queue.behind or self._parks_all(queue):
                    blocked = None
                self._admit_unblocked(queue, deliveries, blocked)
        else:
            self._admit_unblocked(queue, deliveries, None)

    def _admit_unblocked(self, queue: HookQueue, deliveries: list[Delivery], blocked: set[int] | None) -> None:
        for delivery in deliveries:
            if blocked is None or delivery.change.id in blocked:
                delivery.withdrawn = True
                if delivery.change.id <= self._settled_up_to:
                    queue.in_transit += 1  # read for the second time, so it may be older than existing entries
                self._write_to_backlog(delivery)
            else:
                self._add(queue, delivery)

    def _park(self, deliveries: Iterable[Delivery]) -> None:
        """Park deliveries, except those that run, with everything queued behind them."""
        for delivery in self._lanes.withdraw([delivery for delivery in deliveries if not delivery.running]):
            self._queues[delivery.hook.id].in_transit += 1
            self._write_to_backlog(delivery)

    def _park_ready(self, queue: HookQueue) -> None:
        """Park everything of a hook that has not begun."""
        self._park([*queue.ready, *(follower for begun in queue.begun for follower in begun.followers)])

    def _write_to_backlog(self, delivery: Delivery, batch: SettleBatch | None = None) -> None:
        """Park a delivery with this settle batch, or else with the next one."""
        queue = self._queues[delivery.hook.id]
        queue.has_backlog = True
        queue.unwritten += 1
        if delivery.parked and not delivery.running:
            for each in (delivery, *delivery.merged):
                self._release(each)  # a loaded entry, which goes back
        delivery.parked = True
        if batch is None:
            self._settler.park(delivery)
        else:
            batch.parked.append(delivery)

    async def _park_overdue(self) -> None:
        """Park deliveries that keep a page open for too long, so that the cursor moves and no hook delays another.

        A slow run is parked with everything queued behind it, and runs on. A delivery that is merely next in line stays
        in memory if there is only one hook: parking would not make it run sooner.
        """
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(LOOK_S)
            long_ago = loop.time() - OVERDUE_S
            for queue in self._queues.values():
                for delivery in [begun for begun in queue.begun if begun.running and begun.began_at < long_ago]:
                    self._park_running(delivery)
            if len(self._queues) > 1:
                for delivery in self._pages.overdue(long_ago):
                    if (
                        not delivery.withdrawn
                        and not delivery.running
                        and delivery not in self._queues[delivery.hook.id].begun
                    ):
                        self._queues[delivery.hook.id].behind = True
                        self._park([delivery])

    def _park_running(self, delivery: Delivery) -> None:
        if not delivery.parked:
            self._backlog.hold(delivery)
            self._write_to_backlog(delivery)
        self._park(delivery.followers)

    def _worth_reading(self) -> bool:
        """Whether any hook has use for the next page: not every hook is behind, or backlog waits for the log.

        A hook whose receiver is missing does not hold up the log.
        """
        active = [queue for queue in self._queues.values() if queue.hook.id in self._hooks.by_id]
        could_use = (not queue.behind or not self._has_receiver(queue.hook.job) for queue in active)
        return not active or self._backlog.waits_for_log or any(could_use)
