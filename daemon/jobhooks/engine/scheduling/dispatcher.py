"""From changes to runs: deliveries are put into lanes and run as their hooks allow; what takes long is parked."""

import asyncio
from collections import defaultdict
from collections.abc import Callable, Iterable

import msgspec

from jobhooks.contract.choices import JobResultStatus
from jobhooks.engine.delivery.backlog_position import BacklogPosition
from jobhooks.engine.delivery.cursor import Cursor
from jobhooks.engine.delivery.delivery import PAGE_BYTES, Delivery, Page, deliveries_of
from jobhooks.engine.delivery.outcome import Outcome
from jobhooks.engine.delivery.settle_batch import SettleBatch
from jobhooks.engine.reading.reader import Reading
from jobhooks.engine.scheduling.backlog import Backlog
from jobhooks.engine.scheduling.delivery_log import DeliveryLog
from jobhooks.engine.scheduling.hook_queue import AT_A_TIME, HookQueue, HookQueues
from jobhooks.engine.scheduling.hook_tasks import HookTasks, WorkOff
from jobhooks.engine.scheduling.lanes import Lanes
from jobhooks.engine.scheduling.open_pages import Pages
from jobhooks.engine.settling.ledger import Ledger
from jobhooks.engine.settling.settler import Settler
from jobhooks.matching.hook_table import HookTable

OVERDUE_S = 1.0  # after which what keeps a page open is parked
LOOK_S = 0.25  # between two looks at what is overdue
MOST_BYTES = 4 * PAGE_BYTES  # of rows that are read ahead


class Dispatcher:
    """Decides what runs when. In memory is what fits, ``most`` deliveries; the rest is parked, or not read yet.

    ``is_there`` tells whether there is a receiver of a class path: deliveries to one that is missing wait as debts.

    All of it happens in one loop, and between looking at memory and changing it nothing is awaited. What also depends
    on the debts in the database is done under the settler's lock, so that none comes or goes meanwhile.
    """

    def __init__(
        self,
        work_off: WorkOff,
        settler: Settler,
        ledger: Ledger,
        most: int,
        is_there: Callable[[str], bool],
    ) -> None:
        self._is_there = is_there
        self._settler = settler
        self._ledger = ledger
        self._most = most
        self._pages = Pages()
        self._lanes = Lanes()
        self._queues: HookQueues = {}
        self._hooks = HookTable("", [])
        self._kept_open = 0  # deliveries that keep pages open
        self._room = asyncio.Event()
        self._hook_tasks = HookTasks(self._queues, work_off, self._told, self._is_full, self._park_if_missing)
        self._backlog = Backlog(self._queues, settler, ledger, self._may_run, self._add, self._room)
        self._settled_up_to = 0
        self._delivery_log = DeliveryLog()
        settler.tell(self.before_writing, self.on_settled)

    @property
    def hooks_version(self) -> str:
        """The version of the configuration that the hooks are of."""
        return self._hooks.version

    async def start(self, position: Cursor) -> None:
        """Find out up to where a daemon before this one may have settled what the cursor has not passed.

        ``position``: from which on the log is read.
        """
        self._backlog.admitted(position)
        async with self._settler.lock:
            self._settled_up_to = await self._ledger.last_settled()

    async def reload_hooks(self) -> None:
        """Take the hooks as they are now: what has not begun for one that is gone is parked."""
        async with self._settler.lock:
            hooks = await self._ledger.hooks()
            new = hooks.by_id.keys() - self._queues.keys()
            owing = await self._ledger.owing(new, AT_A_TIME) if new else {}
            for hook_id, hook in hooks.by_id.items():
                if hook_id in self._queues:
                    self._queues[hook_id].hook = hook
                else:
                    in_debt = hook_id in owing
                    self._queues[hook_id] = HookQueue(hook, in_debt=in_debt, behind=owing.get(hook_id, False))
            for hook_id in self._queues.keys() - hooks.by_id.keys():
                self._park_ready(self._queues[hook_id])
            self._hooks = hooks
        self._backlog.have_changed()
        self._room.set()  # perhaps there is a hook now that could use what comes

    async def admit(self, reading: Reading) -> None:
        """Take on what a page owes. The hooks must be of the reading's configuration, or newer."""
        page = Page(reading.after, asyncio.get_running_loop().time())
        owed: list[Delivery] = []
        for change in reading.changes:
            if hooks := self._hooks.matching(change):
                owed += deliveries_of(change, hooks)
                page.bytes += change.size
        if reading.changes and reading.changes[0].id <= self._settled_up_to:
            owed = await self._unsettled(owed)
        in_debt: dict[int, list[Delivery]] = defaultdict(list)
        for delivery in owed:
            page.add(delivery)
            queue = self._queues[delivery.hook.id]
            if queue.in_debt or self._only_parks(queue):
                in_debt[delivery.hook.id].append(delivery)
            else:
                self._add(queue, delivery)
        self._kept_open += len(owed)
        self._pages.append(page)
        for hook_id, deliveries in in_debt.items():
            await self._admit_to_indebted(self._queues[hook_id], deliveries)
        self._close_pages()
        self._backlog.admitted(reading.after)

    async def room(self) -> None:
        """Wait until there is room in memory for another page."""
        while self._is_full() or not self._worth_reading():
            self._room.clear()
            await self._room.wait()

    def _is_full(self) -> bool:
        return self._kept_open >= self._most or self._pages.bytes >= MOST_BYTES

    async def run(self) -> None:
        """Park what takes long and take up debts that are due, until cancelled.

        Raises:
            DatabaseUnreachable: the database was lost in a run, or here.
        """
        async with asyncio.TaskGroup() as group:
            group.create_task(self._park_overdue())
            group.create_task(self._backlog.run())
            group.create_task(self._hook_tasks.raise_failure())

    def receivers_have_changed(self) -> None:
        """Park what has not begun for a receiver that is not there any more, and take it up when it is back."""
        for queue in self._queues.values():
            self._park_if_missing(queue)
        self.look_at_debts()

    def _only_parks(self, queue: HookQueue) -> bool:
        """Return whether all that comes for a hook is parked: to be merged, or until its receiver is there."""
        return queue.hook.coalesce_s is not None or not self._is_there(queue.hook.class_path)

    def _may_run(self, queue: HookQueue) -> bool:
        """Return whether a hook's deliveries run at present."""
        return queue.hook.id in self._hooks.by_id and self._is_there(queue.hook.class_path)

    def look_at_debts(self) -> None:
        """Search for due debts of all hooks: somebody else has changed them."""
        self._backlog.look_at_all()

    async def stop(self) -> None:
        """Begin nothing more, and wait for what runs; what has not begun is not settled, and stays so."""
        await self._hook_tasks.stop()
        self._delivery_log.tell_more()

    async def cancel(self) -> None:
        """End what runs."""
        await self._hook_tasks.cancel()

    @property
    def is_idle(self) -> bool:
        """Whether nothing runs, or waits to run, and nothing keeps a page open."""
        unwritten = any(queue.unwritten for queue in self._queues.values())
        return self._hook_tasks.are_idle and not self._kept_open and not unwritten

    # Running.

    def _add(self, queue: HookQueue, delivery: Delivery) -> None:
        """Put a delivery into its lanes; it runs when no other is before it there."""
        if self._lanes.add(delivery):
            self._hook_tasks.make_ready(queue, delivery)
        elif queue.gathering is not None:
            queue.gathering.set()

    def _park_if_missing(self, queue: HookQueue) -> None:
        """Park what has not begun for a receiver that is not there any more."""
        if not self._is_there(queue.hook.class_path):
            self._park_ready(queue)

    def _told(self, queue: HookQueue, delivery: Delivery, outcome: Outcome | None) -> None:
        delivery.running = False
        self._ended(queue, delivery, outcome)
        for merged in delivery.merged:
            if outcome is None or outcome.raised:
                self._let_go(merged)  # it stays a debt behind the first
            else:
                self._ended(queue, merged, msgspec.structs.replace(outcome, log=()))

    def _ended(self, queue: HookQueue, delivery: Delivery, outcome: Outcome | None) -> None:
        """Have the settler write down what is not written yet; the lane goes on when that has committed, not before.

        Else a delivery could commit whose predecessor, after a crash, runs again.
        """
        if outcome is None or outcome.recorded:
            self._delivery_log.settled(delivery, outcome)
            if delivery.parked:
                self._settler.done(delivery)
            else:
                self._finish(delivery)
        elif outcome.status is JobResultStatus.SUCCESS:
            self._settler.succeeded(delivery, outcome)
        else:
            queue.in_debt = True
            queue.unwritten += 1
            self._settler.failed(delivery, outcome)

    # What the settler has written.

    def before_writing(self, batch: SettleBatch) -> None:
        """Add to a batch what must be parked with its failures: all that is behind them. Called under the lock.

        In one transaction with them: else what is behind, and known to the database, could be taken up in between.
        """
        for delivery in batch.parked:
            self._queues[delivery.hook.id].abandoned = 0
        failed: set[Delivery] = set()
        for delivery, outcome in batch.failures:
            failed.add(delivery)
            if outcome.raised and self._queues[delivery.hook.id].hook.blocks:
                for behind in self._lanes.abandon([delivery]):
                    if behind is not delivery:
                        self._write_as_debt(behind, batch)
        # One that ran for long, was to be parked for that, and has failed meanwhile.
        twice = [delivery for delivery in batch.parked if delivery in failed]
        for delivery in twice:
            self._queues[delivery.hook.id].unwritten -= 1
        batch.parked = [delivery for delivery in batch.parked if delivery not in failed]

    def on_settled(self, batch: SettleBatch) -> None:
        """Take note of what has committed. Called under the lock."""
        for delivery, outcome in batch.successes:
            self._delivery_log.settled(delivery, outcome)
            self._finish(delivery)
        for delivery in batch.done:
            self._finish(delivery)
        for delivery, outcome in batch.failures:
            queue = self._queues[delivery.hook.id]
            queue.unwritten -= 1
            if outcome.unsure and delivery.parked:
                # If it had committed after all, which is known by now, its debt is there still, as one that is settled.
                queue.in_debt, queue.position = True, BacklogPosition()
            self._delivery_log.settled(delivery, outcome)
            if delivery.gone:
                self._let_go(delivery)
            else:
                self._finish(delivery)
        for delivery in batch.parked:
            self._queues[delivery.hook.id].unwritten -= 1
            self._let_go_of_page(delivery)
        if batch.failures or batch.parked or batch.done:
            self._backlog.have_changed()
        self._close_pages()

    def _finish(self, delivery: Delivery) -> None:
        self._let_go(delivery)
        for follower in self._lanes.finish(delivery):
            queue = self._queues[follower.hook.id]
            if follower not in queue.begun:  # else it was in one batch with this
                self._hook_tasks.make_ready(queue, follower)

    def _let_go(self, delivery: Delivery) -> None:
        self._queues[delivery.hook.id].begun.discard(delivery)
        if delivery.parked:
            self._backlog.let_go(delivery)
        self._let_go_of_page(delivery)

    def _let_go_of_page(self, delivery: Delivery) -> None:
        if delivery.page is not None:
            self._kept_open -= 1
            self._room.set()
            if self._pages.let_go(delivery):
                self._close_pages()

    def _close_pages(self) -> None:
        position = self._pages.close()
        if position is not None:
            self._settler.move_cursor(position)

    # Backlog.

    async def _unsettled(self, owed: list[Delivery]) -> list[Delivery]:
        async with self._settler.lock:
            settled = await self._ledger.settled(owed) if owed else set[tuple[int, int]]()
        return [delivery for delivery in owed if (delivery.change.id, delivery.hook.id) not in settled]

    async def _admit_to_indebted(self, queue: HookQueue, deliveries: list[Delivery]) -> None:
        """Put into their lanes what no debt is in the way of, and park the rest.

        Parking is always right, only slow: so it is done, too, while other debts of the hook are not written yet.
        """
        blocked: set[int] | None = None
        if not queue.behind and not queue.unwritten and not self._only_parks(queue):
            async with self._settler.lock:
                if not queue.unwritten:
                    blocked = await self._ledger.blocked(queue.hook.id, deliveries)
                if queue.unwritten or queue.behind or self._only_parks(queue):
                    blocked = None
                self._admit_unblocked(queue, deliveries, blocked)
        else:
            self._admit_unblocked(queue, deliveries, None)

    def _admit_unblocked(self, queue: HookQueue, deliveries: list[Delivery], blocked: set[int] | None) -> None:
        for delivery in deliveries:
            if blocked is None or delivery.change.id in blocked:
                delivery.gone = True
                if delivery.change.id <= self._settled_up_to:
                    queue.abandoned += 1  # read again, and so perhaps older than what is a debt already
                self._write_as_debt(delivery)
            else:
                self._add(queue, delivery)

    def _park(self, deliveries: Iterable[Delivery]) -> None:
        """Park what has not begun, with all that is behind it."""
        for delivery in self._lanes.abandon(list(deliveries)):
            self._queues[delivery.hook.id].abandoned += 1
            self._write_as_debt(delivery)

    def _park_ready(self, queue: HookQueue) -> None:
        """Park all that has not begun of a hook."""
        self._park([*queue.ready, *(follower for begun in queue.begun for follower in begun.followers)])

    def _write_as_debt(self, delivery: Delivery, batch: SettleBatch | None = None) -> None:
        """Have a delivery parked, with this batch or else the next."""
        queue = self._queues[delivery.hook.id]
        queue.in_debt = True
        queue.unwritten += 1
        if delivery.parked and not delivery.running:
            for each in (delivery, *delivery.merged):
                self._let_go(each)  # a debt that was taken up, and goes back
        delivery.parked = True
        if batch is None:
            self._settler.park(delivery)
        else:
            batch.parked.append(delivery)

    async def _park_overdue(self) -> None:
        """Park what keeps a page open for too long, so that the cursor moves on and one hook does not delay another.

        What has run for long, with all that is behind it; it runs on. What is merely next in line stays where there is
        one hook only: to write it down would not have it run sooner.
        """
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(LOOK_S)
            self._delivery_log.tell_more()
            long_ago = loop.time() - OVERDUE_S
            for queue in self._queues.values():
                for delivery in [begun for begun in queue.begun if begun.running and begun.began_at < long_ago]:
                    self._park_running(delivery)
            if len(self._queues) > 1:
                for delivery in self._pages.overdue(long_ago):
                    if (
                        not delivery.gone
                        and not delivery.running
                        and delivery not in self._queues[delivery.hook.id].begun
                    ):
                        self._queues[delivery.hook.id].behind = True
                        self._park([delivery])

    def _park_running(self, delivery: Delivery) -> None:
        if not delivery.parked:
            self._backlog.hold(delivery)
            self._write_as_debt(delivery)
        self._park(delivery.followers)

    def _worth_reading(self) -> bool:
        """Return whether any hook could use what comes: not all that have anything to do are behind.

        Or whether debts wait for what comes. A hook whose receiver is missing does not hold up the log.
        """
        active = [queue for queue in self._queues.values() if queue.hook.id in self._hooks.by_id]
        could_use = (not queue.behind or not self._is_there(queue.hook.class_path) for queue in active)
        return not active or self._backlog.wait_for_the_log or any(could_use)
