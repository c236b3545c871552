"""From changes to runs: deliveries are put into lanes and run as their hooks allow; what takes long is parked."""

import asyncio
import contextlib
import time
from collections import defaultdict, deque
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, field
from functools import partial
from math import inf

import msgspec
import structlog

from jobhooks.contract.choices import JobResultStatus
from jobhooks.engine.attempts import Gather, GiveBack, Take
from jobhooks.engine.batches import Gathering
from jobhooks.engine.books import Books, Position
from jobhooks.engine.delivery import Delivery
from jobhooks.engine.groups import Tell
from jobhooks.engine.journal import Journal
from jobhooks.engine.lanes import Lanes, deliveries_of
from jobhooks.engine.matching import Hook, HookTable
from jobhooks.engine.outcome import Outcome
from jobhooks.engine.pages import Page, Pages
from jobhooks.engine.reader import PAGE_BYTES, Cursor, Reading
from jobhooks.engine.settle import Batch, Settler

OVERDUE_S = 1.0  # after which what keeps a page open is parked
LOOK_S = 0.25  # between two looks at what is overdue
SEARCH_S = 60.0  # between two searches for due debts from the beginning, in case a clock was set back
CANCEL_S = 5.0  # that receivers have to end once they are cancelled
AT_A_TIME = 200  # deliveries of one hook that are in memory as debts
MOST_BYTES = 4 * PAGE_BYTES  # of rows that are read ahead; of a hook's debts in memory a page's

log = structlog.stdlib.get_logger()


@dataclass(slots=True, eq=False)
class HookWork:
    """What a hook has to do. ``runners`` are tasks that take from ``ready``, at most as many as the hook may have.

    ``in_debt``: it may have debts, so that what comes must be compared with them. ``behind``: it has more of them than
    fit in memory: what comes is parked at once, and its work comes from its debts alone, in order. ``unwritten``: so
    many of its deliveries are to become debts, or other debts, with the next batch. ``begun``: those that run, or have
    run and are not settled. ``taken_up``: debts of it in memory, with ``taken_bytes`` of rows. ``gathering``: set for
    whoever waits for more of its deliveries, to put them into a batch.
    """

    hook: Hook
    ready: deque[Delivery] = field(default_factory=deque[Delivery])
    runners: int = 0
    begun: set[Delivery] = field(default_factory=set[Delivery])
    in_debt: bool = False
    behind: bool = False
    unwritten: int = 0
    abandoned: int = 0
    taken_up: int = 0
    taken_bytes: int = 0
    gathering: asyncio.Event | None = None
    position: Position = field(default_factory=Position)

    def has_more(self, debt: Delivery) -> None:
        """Count a debt that is in memory now."""
        self.taken_up += 1
        self.taken_bytes += debt.change.size

    def has_less(self, debt: Delivery) -> None:
        """Count one that is not any more."""
        self.taken_up -= 1
        self.taken_bytes -= debt.change.size

    @property
    def could_use_debts(self) -> bool:
        """Whether it has few debts in memory."""
        return self.taken_up <= AT_A_TIME // 2 and self.taken_bytes <= PAGE_BYTES


class Dispatcher:
    """Decides what runs when. In memory is what fits, ``most`` deliveries; the rest is parked, or not read yet.

    ``is_there`` tells whether there is a receiver of a class path: deliveries to one that is missing wait as debts.

    All of it happens in one loop, and between looking at memory and changing it nothing is awaited. What also depends
    on the debts in the database is done under the settler's lock, so that none comes or goes meanwhile.
    """

    def __init__(
        self,
        work_off: Callable[[Hook, Take, Gather, GiveBack, Tell], Awaitable[None]],
        settler: Settler,
        books: Books,
        most: int,
        is_there: Callable[[str], bool],
    ) -> None:
        self._work_off = work_off
        self._is_there = is_there
        self._settler = settler
        self._books = books
        self._most = most
        self._pages = Pages()
        self._lanes = Lanes()
        self._work: dict[int, HookWork] = {}
        self._hooks = HookTable("", [])
        self._tasks: set[asyncio.Task[None]] = set()
        self._kept_open = 0  # deliveries that keep pages open
        self._room = asyncio.Event()
        self._owed: dict[tuple[int, int], Delivery] = {}  # debts in memory: taken up, or parked while they run
        self._settled_up_to = 0
        self._admitted: Cursor  # the position in the log up to which all is known here
        self._too_early = False  # whether there are due debts beyond it
        self._debts_changed = asyncio.Event()
        self._failure: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._stopping = False
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
        self._admitted = position
        async with self._settler.lock:
            self._settled_up_to = await self._books.last_settled()

    async def reload_hooks(self) -> None:
        """Take the hooks as they are now: what has not begun for one that is gone is parked."""
        async with self._settler.lock:
            hooks = await self._books.hooks()
            new = hooks.by_id.keys() - self._work.keys()
            owing = await self._books.owing(new, AT_A_TIME) if new else {}
            for hook_id, hook in hooks.by_id.items():
                if hook_id in self._work:
                    self._work[hook_id].hook = hook
                else:
                    in_debt = hook_id in owing
                    self._work[hook_id] = HookWork(hook, in_debt=in_debt, behind=owing.get(hook_id, False))
            for hook_id in self._work.keys() - hooks.by_id.keys():
                self._park_ready(self._work[hook_id])
            self._hooks = hooks
        self._debts_changed.set()
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
            work = self._work[delivery.hook.id]
            if work.in_debt or self._only_parks(work):
                in_debt[delivery.hook.id].append(delivery)
            else:
                self._add(work, delivery)
        self._kept_open += len(owed)
        self._pages.append(page)
        for hook_id, deliveries in in_debt.items():
            await self._admit_to_indebted(self._work[hook_id], deliveries)
        self._close_pages()
        self._admitted = reading.after
        if self._too_early:
            self._too_early = False
            self._search_anew()

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
            group.create_task(self._take_up_debts())
            group.create_task(self._raise_failure())

    def receivers_have_changed(self) -> None:
        """Park what has not begun for a receiver that is not there any more, and take it up when it is back."""
        for work in self._work.values():
            if not self._is_there(work.hook.class_path):
                self._park_ready(work)
        self.look_at_debts()

    def _only_parks(self, work: HookWork) -> bool:
        """Return whether all that comes for a hook is parked: to be merged, or until its receiver is there."""
        return work.hook.coalesce_s is not None or not self._is_there(work.hook.class_path)

    def look_at_debts(self) -> None:
        """Search for due debts of all hooks: somebody else has changed them."""
        for work in self._work.values():
            work.in_debt = True
        self._search_anew()

    def _search_anew(self) -> None:
        """Search for due debts from the beginning."""
        for work in self._work.values():
            work.position = Position()
        self._debts_changed.set()

    async def stop(self) -> None:
        """Begin nothing more, and wait for what runs; what has not begun is not settled, and stays so."""
        self._stopping = True
        for work in self._work.values():
            if work.gathering is not None:
                work.gathering.set()
        while self._tasks:
            await asyncio.wait(self._tasks)
        self._journal.tell_more()

    @property
    def is_idle(self) -> bool:
        """Whether nothing runs, or waits to run, and nothing keeps a page open."""
        return not self._tasks and not self._kept_open and not any(work.unwritten for work in self._work.values())

    async def cancel(self) -> None:
        """End what runs. A receiver that will not be cancelled is left to itself: it has no connection any more."""
        self._stopping = True
        self._failure.cancel()
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            _, stubborn = await asyncio.wait(self._tasks, timeout=CANCEL_S)
            if stubborn:
                log.warning("receivers_will_not_be_cancelled", count=len(stubborn))

    # Running.

    def _add(self, work: HookWork, delivery: Delivery) -> None:
        """Put a delivery into its lanes; it runs when no other is before it there."""
        if self._lanes.add(delivery):
            self._make_ready(work, delivery)
        elif work.gathering is not None:
            work.gathering.set()

    def _make_ready(self, work: HookWork, delivery: Delivery) -> None:
        work.ready.append(delivery)
        self._run_more(work)

    def _run_more(self, work: HookWork) -> None:
        """Have what is ready gathered, or another task take from it, if the hook may have one more."""
        if work.gathering is not None:
            work.gathering.set()
        elif work.runners < work.hook.concurrency and not self._stopping:
            work.runners += 1
            task = asyncio.create_task(self._run_ready(work))
            self._tasks.add(task)
            task.add_done_callback(self._runner_ended)

    async def _run_ready(self, work: HookWork) -> None:
        """Run what is ready, one after the other; as many of these run beside each other as the hook may have."""
        try:
            await self._work_off(
                work.hook,
                partial(self._take, work),
                partial(self._gather, work),
                partial(self._take_back, work),
                partial(self._told, work),
            )
        finally:
            work.runners -= 1

    def _take(self, work: HookWork) -> Delivery | None:
        """Return the next delivery to run, which is one that runs from now on."""
        while work.ready and not self._stopping and work.runners <= work.hook.concurrency:
            delivery = work.ready.popleft()
            if not delivery.gone:
                _begin(work, delivery)
                return delivery
        return None

    async def _gather(self, work: HookWork, first: Delivery) -> list[Delivery]:
        """Return the deliveries that go into a batch with this one, which is the first of them.

        Those that are ready, and those that wait for none but these, in order. What comes while the hook waits for more
        goes into the batch, and no other task begins with it.
        """
        gathering = Gathering(first)
        most = work.hook.batch_size or 1
        until = asyncio.get_running_loop().time() + work.hook.batch_wait_s
        work.gathering = more = asyncio.Event()
        first.began_at = inf  # what waits like this is not parked, so that what comes behind it finds it
        try:
            while len(gathering.deliveries) < most:
                more.clear()
                if (delivery := self._next_of_batch(work, gathering)) is not None:
                    gathering.add(delivery)
                    delivery.began_at = inf
                elif self._stopping or self._is_full() or not await _happens(more, until):
                    break
        finally:
            work.gathering = None
            for delivery in gathering.deliveries:
                delivery.began_at = time.monotonic()
            if work.ready:
                self._run_more(work)
        return gathering.deliveries

    def _next_of_batch(self, work: HookWork, gathering: Gathering) -> Delivery | None:
        delivery = gathering.next_behind()
        if delivery is not None:
            _begin(work, delivery)
            return delivery
        if work.ready and work.ready[0].alone:
            return None
        return self._take(work)

    def _take_back(self, work: HookWork, deliveries: list[Delivery]) -> None:
        """Put what was taken and has not begun back to where it was, before the rest."""
        for delivery in reversed(deliveries):
            delivery.running = False
            work.begun.discard(delivery)
            if not delivery.waits_for:
                work.ready.appendleft(delivery)
                self._run_more(work)
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

    def _runner_ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and task.exception() is not None and not self._failure.done():
            error = task.exception()
            assert error is not None
            self._failure.set_exception(error)

    async def _raise_failure(self) -> None:
        await self._failure

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
            self._work[delivery.hook.id].abandoned = 0
        failed: set[Delivery] = set()
        for delivery, outcome in batch.failures:
            failed.add(delivery)
            if outcome.raised and self._work[delivery.hook.id].hook.blocks:
                for behind in self._lanes.abandon([delivery]):
                    if behind is not delivery:
                        self._write_as_debt(behind, batch)
        # One that ran for long, was to be parked for that, and has failed meanwhile.
        twice = [delivery for delivery in batch.parked if delivery in failed]
        for delivery in twice:
            self._work[delivery.hook.id].unwritten -= 1
        batch.parked = [delivery for delivery in batch.parked if delivery not in failed]

    def on_settled(self, batch: Batch) -> None:
        """Take note of what has committed. Called under the lock."""
        for delivery, outcome in batch.successes:
            self._journal.settled(delivery, outcome)
            self._finish(delivery)
        for delivery in batch.paid:
            self._finish(delivery)
        for delivery, outcome in batch.failures:
            work = self._work[delivery.hook.id]
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
            self._work[delivery.hook.id].unwritten -= 1
            self._let_go_of_page(delivery)
        if batch.failures or batch.parked or batch.paid:
            self._debts_changed.set()
        self._close_pages()

    def _finish(self, delivery: Delivery) -> None:
        self._let_go(delivery)
        for follower in self._lanes.finish(delivery):
            work = self._work[follower.hook.id]
            if follower not in work.begun:  # else it was in one batch with this
                self._make_ready(work, follower)

    def _let_go(self, delivery: Delivery) -> None:
        self._work[delivery.hook.id].begun.discard(delivery)
        if delivery.parked:
            if self._owed.pop((delivery.change.id, delivery.hook.id), None) is not None:
                self._work[delivery.hook.id].has_less(delivery)
            self._debts_changed.set()
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
            self._work[delivery.hook.id].abandoned += 1
            self._write_as_debt(delivery)

    def _park_ready(self, work: HookWork) -> None:
        """Park all that has not begun of a hook."""
        self._park([*work.ready, *(follower for begun in work.begun for follower in begun.followers)])

    def _write_as_debt(self, delivery: Delivery, batch: Batch | None = None) -> None:
        """Have a delivery parked, with this batch or else the next."""
        work = self._work[delivery.hook.id]
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
            for work in self._work.values():
                for delivery in [begun for begun in work.begun if begun.running and begun.began_at < long_ago]:
                    self._park_running(work, delivery)
            if len(self._work) > 1:
                for delivery in self._pages.overdue(long_ago):
                    if (
                        not delivery.gone
                        and not delivery.running
                        and delivery not in self._work[delivery.hook.id].begun
                    ):
                        self._work[delivery.hook.id].behind = True
                        self._park([delivery])

    def _park_running(self, work: HookWork, delivery: Delivery) -> None:
        if not delivery.parked:
            self._owed[delivery.change.id, delivery.hook.id] = delivery
            work.has_more(delivery)
            self._write_as_debt(delivery)
        self._park(delivery.followers)

    async def _take_up_debts(self) -> None:
        """Bring debts that are due into memory, as their hooks have use for them."""
        loop = asyncio.get_running_loop()
        searched_at = loop.time()
        while True:
            self._debts_changed.clear()
            if loop.time() - searched_at > SEARCH_S:
                searched_at = loop.time()
                for work in self._work.values():
                    work.position = Position()
            due_in = await self._take_up_what_is_due()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(max(0.01, SEARCH_S if due_in is None else min(due_in, SEARCH_S))):
                    await self._debts_changed.wait()

    async def _take_up_what_is_due(self) -> float | None:
        """Take up debts for the hooks that have use for them; return in how many seconds the next of them is due."""
        hungry: list[HookWork] = []
        for work in list(self._work.values()):
            is_on = work.hook.id in self._hooks.by_id and self._is_there(work.hook.class_path)
            if work.in_debt and is_on and work.could_use_debts:
                await self._take_up(work)
                hungry.append(work)
        if not hungry:
            return None
        async with self._settler.lock:
            return await self._books.next_due({work.hook.id: work.position for work in hungry})

    async def _take_up(self, work: HookWork) -> None:
        admitted = self._admitted
        merges = work.hook.coalesce_s is not None
        if merges:
            await self._settler.flush()  # so that what was admitted of a transaction is in the books, all of it
        async with self._settler.lock:
            room = max(1, AT_A_TIME - work.taken_up)
            position = work.position
            found = await self._books.due(work.hook, position, room)
            if work.abandoned or work.position is not position:
                return  # what is in no lane and no debt yet may be older than what was found; or all is to be searched
            work.position = found.position
            covers = admitted.covers_all if merges else self._admitted.covers
            reached = [delivery for delivery in found.deliveries if covers(delivery.change)]
            if len(reached) < len(found.deliveries):
                # A daemon before this one wrote the others down. What it had in memory only may be older, of the same
                # object, and has yet to be read again. Or they are to be merged with what has yet to be read.
                self._too_early = True
                self._room.set()
            if merges:
                await self._books.merge(reached, admitted)
            self._take_in(work, reached)
            for delivery in found.settled:
                if (delivery.change.id, delivery.hook.id) not in self._owed:
                    self._settler.paid(delivery)
            if len(found.deliveries) + len(found.settled) < room and not work.unwritten and not self._too_early:
                work.behind = False
                self._room.set()
                if not work.taken_up and not found.settled:
                    owing = await self._books.owing([work.hook.id], 1)
                    told_meanwhile = work.unwritten or work.position is not found.position
                    work.in_debt = bool(owing or told_meanwhile)

    def _take_in(self, work: HookWork, deliveries: Iterable[Delivery]) -> None:
        """Put debts that were taken up into their lanes, but for those that run, or wait in memory."""
        for delivery in deliveries:
            if (delivery.change.id, delivery.hook.id) not in self._owed:
                for each in (delivery, *delivery.merged):
                    self._owed[each.change.id, each.hook.id] = each
                    work.has_more(each)
                self._add(work, delivery)

    def _worth_reading(self) -> bool:
        """Return whether any hook could use what comes: not all that have anything to do are behind.

        Or whether debts wait for what comes. A hook whose receiver is missing does not hold up the log.
        """
        active = [work for work in self._work.values() if work.hook.id in self._hooks.by_id]
        could_use = (not work.behind or not self._is_there(work.hook.class_path) for work in active)
        return not active or self._too_early or any(could_use)


def _begin(work: HookWork, delivery: Delivery) -> None:
    delivery.hook = work.hook  # with the limits that its job has by now
    delivery.running = True
    delivery.began_at = time.monotonic()
    work.begun.add(delivery)


async def _happens(event: asyncio.Event, until: float) -> bool:
    """Wait for an event; return whether it has happened before that moment of the loop's clock."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout_at(until):
            return await event.wait()
    return False
