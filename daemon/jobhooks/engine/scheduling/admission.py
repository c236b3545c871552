"""Admitting pages of the log: their changes become deliveries of the hooks that read them."""

import asyncio
from collections.abc import Callable

from jobhooks.engine.delivery.delivery import Delivery, Page, deliveries_of, delivery_to_parents
from jobhooks.engine.reading.reader import Reading
from jobhooks.engine.scheduling.hook_queue import HookQueue, HookQueues
from jobhooks.engine.scheduling.stream import Stream
from jobhooks.engine.scheduling.streams import Streams
from jobhooks.engine.settling.ledger import Ledger
from jobhooks.engine.settling.settler import Settler
from jobhooks.matching.hook_table import HookTable
from jobhooks.matching.parent_updates import DeletedParents


class Admission:
    """Schedules the deliveries of pages.

    ``start``: starts tasks for a hook. ``position_moved``: called when hooks have read on, so that rows may run.
    """

    def __init__(
        self,
        queues: HookQueues,
        streams: Streams,
        settler: Settler,
        ledger: Ledger,
        start: Callable[[HookQueue], None],
        position_moved: Callable[[], None],
    ) -> None:
        self._queues = queues
        self._streams = streams
        self._settler = settler
        self._ledger = ledger
        self._start_tasks = start
        self._position_moved = position_moved
        self._pages = 0

    async def admit(self, reading: Reading) -> None:
        """Schedule a page of the shared stream. The hooks must be of the page's configuration, or newer."""
        streams = self._streams
        if reading.has_parents:
            await self._recall(streams.shared, reading)
        table = streams.table
        full = {queue.hook.id for queue in streams.members if not streams.has_room(queue)}
        page = self._page(streams.shared, reading, is_shared=True)
        deliveries = self._deliveries(table, reading, page, streams.shared.deleted)
        if full:
            for hook_id in full & {delivery.hook.id for delivery in deliveries}:
                streams.leave(self._queues[hook_id], "it is slower than others")
            table = streams.table
            deliveries = [delivery for delivery in deliveries if delivery.hook.id in table.by_id]
        await self._schedule(streams.shared, page, deliveries, None)
        if streams.shared.settled_to is page.after:
            self._settler.move_cursor(page.after)

    async def admit_alone(self, queue: HookQueue, reading: Reading) -> None:
        """Schedule a page of a hook that reads alone."""
        stream = queue.stream
        assert stream is not None
        if reading.has_parents:
            await self._recall(stream, reading)
            if queue.stream is not stream:
                return  # the hook reads from an earlier position now
        page = self._page(stream, reading, is_shared=False)
        deliveries = self._deliveries(self._streams.table_of(queue), reading, page, stream.deleted)
        await self._schedule(stream, page, deliveries, queue)
        if queue.stream is stream and stream.settled_to is page.after:
            self._streams.moved(queue)

    async def _recall(self, stream: Stream, reading: Reading) -> None:
        """Look up the parents that transactions of this page have deleted before the stream began."""
        for transaction_id in stream.to_recall(reading.changes):
            async with self._settler.lock:
                async for change in self._ledger.changes_of_parents(transaction_id, stream.begun.last_id):
                    stream.deleted.note(change)

    def _page(self, stream: Stream, reading: Reading, *, is_shared: bool) -> Page:
        self._pages += 1
        return Page(self._pages, stream.position, reading.after, is_shared, asyncio.get_running_loop().time())

    def _deliveries(self, table: HookTable, reading: Reading, page: Page, deleted: DeletedParents) -> list[Delivery]:
        if reading.has_parents:
            return _with_parents(table, reading, page, deleted)
        deliveries: list[Delivery] = []
        matching = table.matching
        for change in reading.changes:
            if hooks := matching(change):
                deliveries += deliveries_of(change, hooks)
                page.bytes += change.size
        return deliveries

    async def _schedule(self, stream: Stream, page: Page, deliveries: list[Delivery], alone: HookQueue | None) -> None:
        """Schedule the deliveries of a page, and go on behind it. ``alone``: the hook that the stream is of."""
        if deliveries and deliveries[0].change.id <= stream.read_again_to:
            deliveries = await self._not_seen_before(page, deliveries, stream)
        if alone is not None and alone.stream is not stream:
            return  # the hook reads from an earlier position now
        queues = self._queues
        touched: dict[int, HookQueue] = {}
        for delivery in deliveries:
            hook_id = delivery.hook.id
            touched[hook_id] = queue = queues[hook_id]
            page.add(delivery)
            queue.open += 1
            if not queue.admit(delivery):
                self._settler.park(delivery, queue.backlog.rows[delivery.change.id])
        stream.append(page)
        if deliveries:
            self._streams.admitted(deliveries[-1].change.id)
        for queue in touched.values():
            self._start_tasks(queue)
        if any(queue.backlog.rows for queue in queues.values()):
            self._position_moved()

    async def _not_seen_before(self, page: Page, deliveries: list[Delivery], stream: Stream) -> list[Delivery]:
        """Leave out what has a result or a backlog row, and what is in memory.

        What is in memory is looked up before the database: a run that ends in between has its result there by then. In
        the other order, it could be missed in both.
        """
        known = {
            (delivery.change.id, delivery.hook.id): in_memory
            for delivery in deliveries
            if (in_memory := self._queues[delivery.hook.id].in_memory.get(delivery.change.id)) is not None
        }
        async with self._settler.lock:
            settled = await self._ledger.settled(deliveries)
        new: list[Delivery] = []
        for delivery in deliveries:
            queue = self._queues.get(delivery.hook.id)
            if (
                queue is None
                or (page.is_shared and not queue.is_member)
                or (not page.is_shared and queue.stream is not stream)
            ):
                continue  # it reads elsewhere now
            key = (delivery.change.id, delivery.hook.id)
            if key in settled:
                continue
            if key not in known:
                new.append(delivery)
            elif queue.keeps_open(known[key]):
                page.add(known[key])
                queue.open += 1
        return new


def _with_parents(table: HookTable, reading: Reading, page: Page, deleted: DeletedParents) -> list[Delivery]:
    """The deliveries of a page with tables that have parents."""
    deliveries: list[Delivery] = []
    for change in reading.changes:
        hooks = table.matching(change)
        before = len(deliveries)
        deliveries += deliveries_of(change, hooks)
        if change.content_type.is_parent:
            deleted.note(change)
        if change.content_type.parents:
            found = table.matching_parents(change, hooks, deleted)
            deliveries += [delivery_to_parents(hook, updates) for hook, updates in found]
        if len(deliveries) > before:
            page.bytes += change.size
    return deliveries
