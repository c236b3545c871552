"""From changes to runs: deliveries are put into lanes and run as their hooks allow; what takes long is parked."""

import asyncio
from collections import defaultdict
from collections.abc import Callable, Iterable

import msgspec

from jobhooks.contract.choices import JobResultStatus
from jobhooks.engine.delivery.delivery import Delivery
from jobhooks.engine.reading.reader import PAGE_BYTES, Cursor, Reading
from jobhooks.engine.running.result_statements import Outcome
from jobhooks.engine.scheduling.backlog import Debts
from jobhooks.engine.scheduling.delivery_log import Journal
from jobhooks.engine.scheduling.hook_queue import AT_A_TIME, HookWork, Works
from jobhooks.engine.scheduling.hook_tasks import Runners, WorkOff
from jobhooks.engine.scheduling.lanes import Lanes, deliveries_of
from jobhooks.engine.scheduling.open_pages import Page, Pages
from jobhooks.engine.settling.ledger import Books, Position
from jobhooks.engine.settling.settler import Batch, Settler
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
        books: Books,
        most: int,
        is_there: Callable[[str], bool],
    ) -> None:
        self._is_there = is_there
        self._settler = settler
        self._books = books
        self._most = most
        self._pages = Pages()
        self._lanes = Lanes()
        self._works: Works = {}
        self._hooks = HookTable("", [])
        self._kept_open = 0  # deliveries that keep pages open
        self._room = asyncio.Event()
        self._runners = Runners(self._works, work_off, self._told, self._is_full, self._park_if_missing)
        self._debts = Debts(self._works, settler, books, self._may_run, self._add, self._room)
        self._settled_up_to = 0
        self._journal = Journal()
        settler.tell(self.before_writing, self.on_settled)

    @property
    def hooks_version(self) -> str:
        """The version of the configuration that the hooks are of."""
        return self._hooks.version

    async def start(self, position: Cursor) -> None:
        """Find out up to where a daemon before this one may have settled what the cursor has not passed.

        ``position``: from which on the log is read.
        """
        self._debts.admitted(position)
        async with self._settler.lock:
            self._settled_up_to = await self._books.last_settled()

    async def reload_hooks(self) -> None:
        """Take the hooks as they are now: what has not begun for one that is gone is parked."""
        async with self._settler.lock:
            hooks = await self._books.hooks()
            new = hooks.by_id.keys() - self._works.keys()
            owing = await self._books.owing(new, AT_A_TIME) if new else {}
            for hook_id, hook in hooks.by_id.items():
                if hook_id in self._works:
                    self._works[hook_id].hook = hook
                else:
                    in_debt = hook_id in owing
                    self._works[hook_id] = HookWork(hook, in_debt=in_debt, behind=owing.get(hook_id, False))
            for hook_id in self._works.keys() - hooks.by_id.keys():
                self._park_ready(self._works[hook_id])
            self._hooks = hooks
        self._debts.have_changed()
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
            work = self._works[delivery.hook.id]
            if work.in_debt or self._only_parks(work):
                in_debt[delivery.hook.id].append(delivery)
            else:
                self._add(work, delivery)
        self._kept_open += len(owed)
        self._pages.append(page)
        for hook_id, deliveries in in_debt.items():
            await self._admit_to_indebted(self._works[hook_id], deliveries)
        self._close_pages()
        self._debts.admitted(reading.after)

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
            group.create_task(self._debts.run())
            group.create_task(self._runners.raise_failure())

    def receivers_have_changed(self) -> None:
        """Park what has not begun for a receiver that is not there any more, and take it up when it is back."""
        for work in self._works.values():
            self._park_if_missing(work)
        self.look_at_debts()

    def _only_parks(self, work: HookWork) -> bool:
        """Return whether all that comes for a hook is parked: to be merged, or until its receiver is there."""
        return work.hook.coalesce_s is not None or not self._is_there(work.hook.class_path)

    def _may_run(self, work: HookWork) -> bool:
        """Return whether a hook's deliveries run at present."""
        return work.hook.id in self._hooks.by_id and self._is_there(work.hook.class_path)

    def look_at_debts(self) -> None:
        """Search for due debts of all hooks: somebody else has changed them."""
        self._debts.look_at_all()

    async def stop(self) -> None:
        """Begin nothing more, and wait for what runs; what has not begun is not settled, and stays so."""
        await self._runners.stop()
        self._journal.tell_more()

    async def cancel(self) -> None:
        """End what runs."""
        await self._runners.cancel()

    @property
    def is_idle(self) -> bool:
        """Whether nothing runs, or waits to run, and nothing keeps a page open."""
        unwritten = any(work.unwritten for work in self._works.values())
        return self._runners.are_idle and not self._kept_open and not unwritten

    # Running.

    def _add(self, work: HookWork, delivery: Delivery) -> None:
        """Put a delivery into its lanes; it runs when no other is before it there."""
        if self._lanes.add(delivery):
            self._runners.make_ready(work, delivery)
        elif work.gathering is not None:
            work.gathering.set()

    def _park_if_missing(self, work: HookWork) -> None:
        """Park what has not begun for a receiver that is not there any more."""
        if not self._is_there(work.hook.class_path):
            self._park_ready(work)

    def _told(self, work: HookWork, delivery: Delivery, outcome: Outcome | None) -> None:
        delivery.running = False
        self._ended(work, delivery, outcome)
        for merged in delivery.merged:
            if outcome is None or outcome.raised:
                self._let_go(merged)  # it stays a debt behind the first
            else:
                self._ended(work, merged, msgspec.structs.replace(outcome, log=()))

    def _ended(self, work: HookWork, delivery: Delivery, outcome: Outcome | None) -> None:
        """Have the settler write down what is not written yet; the lane goes on when that has committed, not before.

        Else a delivery could commit whose predecessor, after a crash, runs again.
        """
        if outcome is None or outcome.recorded:
            self._journal.settled(delivery, outcome)
            if delivery.parked:
                self._settler.paid(delivery)
            else:
                self._finish(delivery)
        elif outcome.status is JobResultStatus.SUCCESS:
            self._settler.succeeded(delivery, outcome)
        else:
            work.in_debt = True
            work.unwritten += 1
            self._settler.failed(delivery, outcome)

    # What the settler has written.

    def before_writing(self, batch: Batch) -> None:
        """Add to a batch what must be parked with its failures: all that is behind them. Called under the lock.

        In one transaction with them: else what is behind, and known to the database, could be taken up in between.
        """
        for delivery in batch.parked:
            self._works[delivery.hook.id].abandoned = 0
        failed: set[Delivery] = set()
        for delivery, outcome in batch.failures:
            failed.add(delivery)
            if outcome.raised and self._works[delivery.hook.id].hook.blocks:
                for behind in self._lanes.abandon([delivery]):
                    if behind is not delivery:
                        self._write_as_debt(behind, batch)
        # One that ran for long, was to be parked for that, and has failed meanwhile.
        twice = [delivery for delivery in batch.parked if delivery in failed]
        for delivery in twice:
            self._works[delivery.hook.id].unwritten -= 1
        batch.parked = [delivery for delivery in batch.parked if delivery not in failed]

    def on_settled(self, batch: Batch) -> None:
        """Take note of what has committed. Called under the lock."""
        for delivery, outcome in batch.successes:
            self._journal.settled(delivery, outcome)
            self._finish(delivery)
        for delivery in batch.paid:
            self._finish(delivery)
        for delivery, outcome in batch.failures:
            work = self._works[delivery.hook.id]
            work.unwritten -= 1
            if outcome.unsure and delivery.parked:
                # If it had committed after all, which is known by now, its debt is there still, as one that is settled.
                work.in_debt, work.position = True, Position()
            self._journal.settled(delivery, outcome)
            if delivery.gone:
                self._let_go(delivery)
            else:
                self._finish(delivery)
        for delivery in batch.parked:
            self._works[delivery.hook.id].unwritten -= 1
            self._let_go_of_page(delivery)
        if batch.failures or batch.parked or batch.paid:
            self._debts.have_changed()
        self._close_pages()

    def _finish(self, delivery: Delivery) -> None:
        self._let_go(delivery)
        for follower in self._lanes.finish(delivery):
            work = self._works[follower.hook.id]
            if follower not in work.begun:  # else it was in one batch with this
                self._runners.make_ready(work, follower)

    def _let_go(self, delivery: Delivery) -> None:
        self._works[delivery.hook.id].begun.discard(delivery)
        if delivery.parked:
            self._debts.let_go(delivery)
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

    # Debts.

    async def _unsettled(self, owed: list[Delivery]) -> list[Delivery]:
        async with self._settler.lock:
            settled = await self._books.settled(owed) if owed else set[tuple[int, int]]()
        return [delivery for delivery in owed if (delivery.change.id, delivery.hook.id) not in settled]

    async def _admit_to_indebted(self, work: HookWork, deliveries: list[Delivery]) -> None:
        """Put into their lanes what no debt is in the way of, and park the rest.

        Parking is always right, only slow: so it is done, too, while other debts of the hook are not written yet.
        """
        blocked: set[int] | None = None
        if not work.behind and not work.unwritten and not self._only_parks(work):
            async with self._settler.lock:
                if not work.unwritten:
                    blocked = await self._books.blocked(work.hook.id, deliveries)
                if work.unwritten or work.behind or self._only_parks(work):
                    blocked = None
                self._admit_unblocked(work, deliveries, blocked)
        else:
            self._admit_unblocked(work, deliveries, None)

    def _admit_unblocked(self, work: HookWork, deliveries: list[Delivery], blocked: set[int] | None) -> None:
        for delivery in deliveries:
            if blocked is None or delivery.change.id in blocked:
                delivery.gone = True
                if delivery.change.id <= self._settled_up_to:
                    work.abandoned += 1  # read again, and so perhaps older than what is a debt already
                self._write_as_debt(delivery)
            else:
                self._add(work, delivery)

    def _park(self, deliveries: Iterable[Delivery]) -> None:
        """Park what has not begun, with all that is behind it."""
        for delivery in self._lanes.abandon(list(deliveries)):
            self._works[delivery.hook.id].abandoned += 1
            self._write_as_debt(delivery)

    def _park_ready(self, work: HookWork) -> None:
        """Park all that has not begun of a hook."""
        self._park([*work.ready, *(follower for begun in work.begun for follower in begun.followers)])

    def _write_as_debt(self, delivery: Delivery, batch: Batch | None = None) -> None:
        """Have a delivery parked, with this batch or else the next."""
        work = self._works[delivery.hook.id]
        work.in_debt = True
        work.unwritten += 1
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
            self._journal.tell_more()
            long_ago = loop.time() - OVERDUE_S
            for work in self._works.values():
                for delivery in [begun for begun in work.begun if begun.running and begun.began_at < long_ago]:
                    self._park_running(delivery)
            if len(self._works) > 1:
                for delivery in self._pages.overdue(long_ago):
                    if (
                        not delivery.gone
                        and not delivery.running
                        and delivery not in self._works[delivery.hook.id].begun
                    ):
                        self._works[delivery.hook.id].behind = True
                        self._park([delivery])

    def _park_running(self, delivery: Delivery) -> None:
        if not delivery.parked:
            self._debts.hold(delivery)
            self._write_as_debt(delivery)
        self._park(delivery.followers)

    def _worth_reading(self) -> bool:
        """Return whether any hook could use what comes: not all that have anything to do are behind.

        Or whether debts wait for what comes. A hook whose receiver is missing does not hold up the log.
        """
        active = [work for work in self._works.values() if work.hook.id in self._hooks.by_id]
        could_use = (not work.behind or not self._is_there(work.hook.class_path) for work in active)
        return not active or self._debts.wait_for_the_log or any(could_use)
