"""Backlog that are due come back into memory, as their hooks have use for them."""

import asyncio
import contextlib
from collections.abc import Callable, Iterable

from jobhooks.engine.delivery.backlog_position import BacklogPosition
from jobhooks.engine.delivery.cursor import Cursor
from jobhooks.engine.delivery.delivery import Delivery
from jobhooks.engine.scheduling.hook_queue import AT_A_TIME, HookQueue, HookQueues
from jobhooks.engine.settling.ledger import Ledger
from jobhooks.engine.settling.settler import Settler

SEARCH_S = 60.0  # between two searches for due debts from the beginning, in case a clock was set back


class Backlog:
    """The debts in memory, taken up or parked while they run, and the search for those that are due.

    ``may_run`` tells whether a hook's deliveries run at present; ``add`` puts one into its lanes; ``room`` is set where
    more of the log could be read, for which debts may wait. What depends on the debts in the database is done under the
    settler's lock, so that none comes or goes meanwhile.
    """

    def __init__(
        self,
        queues: HookQueues,
        settler: Settler,
        ledger: Ledger,
        may_run: Callable[[HookQueue], bool],
        add: Callable[[HookQueue, Delivery], None],
        room: asyncio.Event,
    ) -> None:
        self._queues = queues
        self._settler = settler
        self._ledger = ledger
        self._may_run = may_run
        self._add = add
        self._room = room
        self._changed = asyncio.Event()
        self._held: dict[tuple[int, int], Delivery] = {}
        self._admitted: Cursor  # the position in the log up to which all is known here
        self.wait_for_the_log = False  # there are due debts beyond that

    def admitted(self, position: Cursor) -> None:
        """Take note that all up to this position in the log is known."""
        self._admitted = position
        if self.wait_for_the_log:
            self.wait_for_the_log = False
            self.search_anew()

    def hold(self, delivery: Delivery) -> None:
        """Take note that a debt is in memory."""
        self._held[delivery.change.id, delivery.hook.id] = delivery
        self._queues[delivery.hook.id].has_more(delivery)

    def let_go(self, delivery: Delivery) -> None:
        """Take note that it is not any more."""
        if self._held.pop((delivery.change.id, delivery.hook.id), None) is not None:
            self._queues[delivery.hook.id].has_less(delivery)
        self._changed.set()

    def have_changed(self) -> None:
        """Search for what is due, from where the last search ended."""
        self._changed.set()

    def look_at_all(self) -> None:
        """Search for due debts of all hooks: somebody else has changed them."""
        for queue in self._queues.values():
            queue.in_debt = True
        self.search_anew()

    def search_anew(self) -> None:
        """Search for due debts from the beginning."""
        for queue in self._queues.values():
            queue.position = BacklogPosition()
        self._changed.set()

    async def run(self) -> None:
        """Take up debts that are due, until cancelled."""
        loop = asyncio.get_running_loop()
        searched_at = loop.time()
        while True:
            self._changed.clear()
            if loop.time() - searched_at > SEARCH_S:
                searched_at = loop.time()
                for queue in self._queues.values():
                    queue.position = BacklogPosition()
            due_in = await self._take_up_what_is_due()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(max(0.01, SEARCH_S if due_in is None else min(due_in, SEARCH_S))):
                    await self._changed.wait()

    async def _take_up_what_is_due(self) -> float | None:
        """Take up debts for the hooks that have use for them; return in how many seconds the next of them is due."""
        hungry: list[HookQueue] = []
        for queue in list(self._queues.values()):
            if queue.in_debt and self._may_run(queue) and queue.could_use_debts:
                await self._take_up(queue)
                hungry.append(queue)
        if not hungry:
            return None
        async with self._settler.lock:
            return await self._ledger.next_due({queue.hook.id: queue.position for queue in hungry})

    async def _take_up(self, queue: HookQueue) -> None:
        admitted = self._admitted
        merges = queue.hook.coalesce_s is not None
        if merges:
            await self._settler.flush()  # so that what was admitted of a transaction is in the ledger, all of it
        async with self._settler.lock:
            room = max(1, AT_A_TIME - queue.taken_up)
            position = queue.position
            found = await self._ledger.due(queue.hook, position, room)
            if queue.abandoned or queue.position is not position:
                return  # what is in no lane and no debt yet may be older than what was found; or all is to be searched
            queue.position = found.position
            covers = admitted.covers_all if merges else self._admitted.covers
            reached = [delivery for delivery in found.deliveries if covers(delivery.change)]
            if len(reached) < len(found.deliveries):
                # A daemon before this one wrote the others down. What it had in memory only may be older, of the same
                # object, and has yet to be read again. Or they are to be merged with what has yet to be read.
                self.wait_for_the_log = True
                self._room.set()
            if merges:
                await self._ledger.merge(reached, admitted)
            self._take_in(queue, reached)
            for delivery in found.settled:
                if not self._holds(delivery):
                    self._settler.done(delivery)
            is_all = len(found.deliveries) + len(found.settled) < room
            if is_all and not queue.unwritten and not self.wait_for_the_log:
                queue.behind = False
                self._room.set()
                if not queue.taken_up and not found.settled:
                    owing = await self._ledger.owing([queue.hook.id], 1)
                    told_meanwhile = queue.unwritten or queue.position is not found.position
                    queue.in_debt = bool(owing or told_meanwhile)

    def _take_in(self, queue: HookQueue, deliveries: Iterable[Delivery]) -> None:
        """Put debts that were taken up into their lanes, but for those that run, or wait in memory."""
        for delivery in deliveries:
            if not self._holds(delivery):
                for each in (delivery, *delivery.merged):
                    self.hold(each)
                self._add(queue, delivery)

    def _holds(self, delivery: Delivery) -> bool:
        return (delivery.change.id, delivery.hook.id) in self._held
