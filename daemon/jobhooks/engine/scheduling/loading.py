"""Loading backlog rows into memory when they can run, and following what other sessions do to the backlog."""

import asyncio
import contextlib
import time
from collections.abc import Callable
from math import inf

from jobhooks.engine.delivery.backlog_row import BacklogRow
from jobhooks.engine.delivery.cursor import Cursor
from jobhooks.engine.delivery.delivery import PAGE_BYTES, Delivery
from jobhooks.engine.scheduling.backlog import MOST_ROWS, Mergeable, Runnable, Scope
from jobhooks.engine.scheduling.hook_queue import HookQueue, HookQueues
from jobhooks.engine.scheduling.streams import Streams
from jobhooks.engine.settling.ledger import Ledger, merge
from jobhooks.engine.settling.settler import Settler

MOST_LOADED = 750  # deliveries of one hook's backlog in memory; their rows have about as many bytes as a page at most
# Loaded at a time, at most, and also the least: so that a chain of short runs is loaded in few steps, and one step is
# loaded while the one before it runs.
STEP = 250


class BacklogLoader:
    """Loads the rows of each hook that can run.

    Everything that compares memory with the table happens under the settler's lock, so that no row appears or
    disappears in the table at the same time. ``may_run``: whether a hook's deliveries run at present; ``start``: starts
    tasks for a hook.
    """

    def __init__(
        self,
        queues: HookQueues,
        streams: Streams,
        settler: Settler,
        ledger: Ledger,
        may_run: Callable[[HookQueue], bool],
        start: Callable[[HookQueue], None],
    ) -> None:
        self._queues = queues
        self._streams = streams
        self._settler = settler
        self._ledger = ledger
        self._may_run = may_run
        self._start = start
        self._changed = asyncio.Event()
        self._table_changed = False

    def wake(self) -> None:
        """Rows may have become able to run."""
        self._changed.set()

    def row_left(self, queue: HookQueue) -> None:
        """A loaded delivery has left memory. Only if that leaves room, rows can be loaded instead."""
        if _has_room(queue):
            self._changed.set()

    def position_moved(self) -> None:
        """Hooks have read more of the log."""
        for queue in self._queues.values():
            queue.backlog.position_moved()
        self._changed.set()

    def table_changed(self) -> None:
        """Another session has changed the backlog."""
        self._table_changed = True
        self._changed.set()

    @property
    def has_due(self) -> bool:
        """Whether rows can be loaded now, or other sessions' changes are not known yet."""
        now = time.monotonic()
        dues = [queue.backlog.due_at() for queue in self._queues.values() if self._may_run(queue)]
        return self._table_changed or any(due is not None and due <= now for due in dues)

    async def run(self) -> None:
        """Load rows until cancelled."""
        while True:
            self._changed.clear()
            if self._table_changed:
                self._table_changed = False
                for queue in list(self._queues.values()):
                    await self.reconcile(queue)
            due = inf
            for queue in list(self._queues.values()):
                if self._may_run(queue):
                    due = min(due, await self._load(queue))
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(None if due == inf else max(0.0, due - time.monotonic())):
                    await self._changed.wait()

    async def reconcile(self, queue: HookQueue) -> None:
        """Compare a hook's rows with the table, and take over what other sessions have changed."""
        async with self._settler.lock:
            rows = await self._ledger.backlog_rows(queue.hook.id, queue.rows_in_memory, queue.backlog.rows)
            unsent = self._settler.unsent()
            hook_id = queue.hook.id
            gone = queue.reconcile(
                rows, complete=len(rows) < queue.rows_in_memory, unsent=lambda id_: (id_, hook_id) in unsent
            )
            for change_id in gone:
                for delivery in queue.withdraw_gone(change_id):
                    self._settler.park(delivery, queue.backlog.rows[delivery.change.id])
        self._start(queue)

    async def _load(self, queue: HookQueue) -> float:
        """Load what can run, as far as there is room; when to call this again, if nothing changes before."""
        backlog = queue.backlog
        if not backlog.rows and backlog.is_complete:
            return inf
        while _has_room(queue):
            if not self._may_run(queue):
                return inf  # it was disabled or paused between two loads
            due = backlog.due_at()
            if due is None:
                return await self._load_more_rows(queue)
            if due > time.monotonic():
                return due
            await self._load_runnable(queue)
        return inf  # until one of those that are loaded leaves memory

    async def _load_more_rows(self, queue: HookQueue) -> float:
        """If the rows in memory are not all, and none of them can run, look at more of them until one can."""
        backlog = queue.backlog
        due = None
        while due is None and not backlog.is_complete and not backlog.loaded:
            if len(backlog) >= queue.rows_in_memory // 2:
                queue.rows_in_memory += MOST_ROWS
            await self.reconcile(queue)
            due = backlog.due_at()
        return inf if due is None else due

    async def _load_runnable(self, queue: HookQueue) -> None:
        position = self._streams.position_of(queue)
        readings = queue.readings
        if queue.merges_after_s is not None:
            await self._settler.flush()  # then all changes of the transactions that were read completely have rows
        async with self._settler.lock:
            runnable = _take_runnable(queue, position)
            if self._streams.position_of(queue) != position:
                queue.backlog.position_moved()  # while this waited for the lock: rows that seem beyond it may not be
            left = {each.row.change_id: each for each in runnable}
            try:
                await self._load_changes(queue, left, readings)
            finally:
                for each in reversed(left.values()):
                    _unload(queue, [each.row, *each.merged])
        self._start(queue)

    async def _load_changes(self, queue: HookQueue, left: dict[int, Runnable], readings: int) -> None:
        """Load the changes of these rows, and schedule their deliveries; those that are scheduled leave ``left``."""
        if not left:
            return
        deliveries, settled = await self._ledger.load(queue.hook, [each.row for each in left.values()])
        changes = await self._ledger.changes_to_merge((each.row, each.merged) for each in left.values())
        if queue.readings != readings:
            return  # the hook reads from an earlier position now
        _forget_changeless(queue, left, deliveries + settled)
        for delivery in settled:
            each = left.pop(delivery.change.id)
            _unload(queue, each.merged)  # they are pending
            # Its result has committed. If it stayed until its row is deleted, it would count as loaded, and the row
            # behind it could pass one before it that has failed meanwhile.
            queue.backlog.remove(delivery.change.id)
            self._settler.done(delivery)
        for delivery in deliveries:
            each = left[delivery.change.id]
            if not queue.backlog.is_loadable(each.row) or not queue.has_turn(each.row, delivery):
                # The delivery before it has failed since then, or it is not its turn by the hook's rate. Those behind
                # this one are not loadable now.
                _unload(queue, [each.row, *each.merged])
                continue
            del left[delivery.change.id]
            if each.merged and not merge(delivery, each.merged, changes):
                _unload(queue, each.merged)
            queue.load(delivery)


def _has_room(queue: HookQueue) -> bool:
    """Whether more of a hook's backlog is to be loaded."""
    return queue.backlog.loaded <= MOST_LOADED - STEP and queue.loaded_bytes < PAGE_BYTES


def _take_runnable(queue: HookQueue, position: Cursor) -> list[Runnable]:
    """The rows that can run now, for a hook that has read up to this position.

    Changes are merged if the whole transaction of each was read.
    """
    mergeable = None
    if (wait_s := queue.merges_after_s) is not None:
        hook = queue.hook
        scope = Scope.REQUEST if hook.merges_requests else Scope.OBJECT if wait_s > 0 else Scope.TRANSACTION
        mergeable = Mergeable(scope, position.reach().covers_all, wait_s, hook.waits_at_most_s)
    return queue.backlog.take_runnable(time.monotonic(), STEP, queue.covers_at(position), mergeable)


def _forget_changeless(queue: HookQueue, left: dict[int, Runnable], found: list[Delivery]) -> None:
    """Leave rows alone whose changes are gone from the log; others were only too large to be loaded together.

    Their rows leave memory before those behind them are judged, which wait for them as for dead ones.
    """
    ids = {delivery.change.id for delivery in found}
    last = max(ids, default=inf)
    for each in left.values():
        if each.row.change_id < last and each.row.change_id not in ids:
            each.row.due = inf
            _unload(queue, [each.row, *each.merged])


def _unload(queue: HookQueue, rows: list[BacklogRow]) -> None:
    for row in reversed(rows):
        queue.backlog.unload(row.change_id)
