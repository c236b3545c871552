"""The loaded part of the backlog: entries that are due come into memory as their hooks have room for them."""

import asyncio
import contextlib
from collections.abc import Callable, Iterable

from jobhooks.engine.delivery.backlog_position import BacklogPosition
from jobhooks.engine.delivery.cursor import Cursor
from jobhooks.engine.delivery.delivery import Delivery
from jobhooks.engine.scheduling.hook_queue import MOST_LOADED, HookQueue, HookQueues
from jobhooks.engine.settling.ledger import Ledger
from jobhooks.engine.settling.settler import Settler

SEARCH_S = 60.0  # between two searches for due entries from the beginning, in case a clock was set back


class Backlog:
    """The backlog entries in memory, loaded or parked while they run, and the search for due ones.

    ``may_run``: whether a hook's deliveries run at present. ``add``: puts a delivery into its lanes. ``room``: set when
    more of the log could be read, since backlog may wait for that. Everything that depends on the entries in the
    database happens under the settler's lock, so that no entry appears or disappears at the same time.
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
        self._admitted: Cursor  # the position in the log up to which everything is known here
        self.waits_for_log = False  # there are due entries beyond that position

    def log_admitted(self, position: Cursor) -> None:
        """Everything up to this position in the log is known now."""
        self._admitted = position
        if self.waits_for_log:
            self.waits_for_log = False
            self.search_from_beginning()

    def hold(self, delivery: Delivery) -> None:
        """Add a delivery that has an entry to memory."""
        self._held[delivery.change.id, delivery.hook.id] = delivery
        self._queues[delivery.hook.id].count_loaded(delivery)

    def release(self, delivery: Delivery) -> None:
        """Remove a delivery that has an entry from memory."""
        if self._held.pop((delivery.change.id, delivery.hook.id), None) is not None:
            self._queues[delivery.hook.id].count_released(delivery)
        self._changed.set()

    def search(self) -> None:
        """Search for due entries, from where the last search ended."""
        self._changed.set()

    def search_all_hooks(self) -> None:
        """Search for due entries of all hooks: another session has changed them."""
        for queue in self._queues.values():
            queue.has_backlog = True
        self.search_from_beginning()

    def search_from_beginning(self) -> None:
        """Search for due entries from the beginning."""
        for queue in self._queues.values():
            queue.backlog_position = BacklogPosition()
        self._changed.set()

    async def run(self) -> None:
        """Load entries that are due, until cancelled."""
        loop = asyncio.get_running_loop()
        searched_at = loop.time()
        while True:
            self._changed.clear()
            if loop.time() - searched_at > SEARCH_S:
                searched_at = loop.time()
                for queue in self._queues.values():
                    queue.backlog_position = BacklogPosition()
            due_in = await self._load_due()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(max(0.01, SEARCH_S if due_in is None else min(due_in, SEARCH_S))):
                    await self._changed.wait()

    async def _load_due(self) -> float | None:
        """Load entries for the hooks that have room; in how many seconds the next of them is due."""
        searched: list[HookQueue] = []
        for queue in list(self._queues.values()):
            if queue.has_backlog and self._may_run(queue) and queue.wants_backlog:
                await self._load(queue)
                searched.append(queue)
        if not searched:
            return None
        async with self._settler.lock:
            return await self._ledger.next_due({queue.hook.id: queue.backlog_position for queue in searched})

    async def _load(self, queue: HookQueue) -> None:
        admitted = self._admitted
        merges = queue.hook.coalesce_s is not None
        if merges:
            # Every admitted change of a transaction is in the backlog table then.
            await self._settler.flush()
        async with self._settler.lock:
            room = max(1, MOST_LOADED - queue.loaded)
            position = queue.backlog_position
            found = await self._ledger.due_entries(queue.hook, position, room)
            if queue.in_transit or queue.backlog_position is not position:
                # A delivery that has left its lanes and has no entry yet may be older than those found. Or the whole
                # backlog must be searched.
                return
            queue.backlog_position = found.position
            covers = admitted.covers_all if merges else self._admitted.covers
            reached = [delivery for delivery in found.deliveries if covers(delivery.change)]
            if len(reached) < len(found.deliveries):
                # An earlier daemon wrote the others. Deliveries that it had in memory only may be older, of the same
                # object, and must be read from the log again first. Or the entries must be merged with changes that
                # have not been read yet.
                self.waits_for_log = True
                self._room.set()
            if merges:
                await self._ledger.merge(reached, admitted)
            self._add_loaded(queue, reached)
            for delivery in found.settled:
                if not self._holds(delivery):
                    self._settler.done(delivery)
            is_all = len(found.deliveries) + len(found.settled) < room
            if is_all and not queue.unwritten and not self.waits_for_log:
                queue.behind = False
                self._room.set()
                if not queue.loaded and not found.settled:
                    left = await self._ledger.hooks_with_backlog([queue.hook.id], 1)
                    # An entry may have been written, or a search begun, while that query ran.
                    changed = queue.unwritten or queue.backlog_position is not found.position
                    queue.has_backlog = bool(left or changed)

    def _add_loaded(self, queue: HookQueue, deliveries: Iterable[Delivery]) -> None:
        """Put loaded entries into their lanes, except for those that run or wait in memory already."""
        for delivery in deliveries:
            if not self._holds(delivery):
                for each in (delivery, *delivery.merged):
                    self.hold(each)
                self._add(queue, delivery)

    def _holds(self, delivery: Delivery) -> bool:
        return (delivery.change.id, delivery.hook.id) in self._held
