"""Where each hook reads the log: in the shared stream, or alone, if it cannot keep up with the others. No I/O.

The invariant of the saved positions: everything before a hook's position has a result or a backlog row for that hook. A
hook that leaves continues from before its oldest open page. That is not before the saved position of the shared stream,
which has not moved past that page; and the settler saves both positions at the same time.
"""

import time
from collections.abc import Callable

from jobhooks.engine.delivery.cursor import Cursor
from jobhooks.engine.delivery.delivery import PAGE_BYTES, Delivery
from jobhooks.engine.delivery.state import State
from jobhooks.engine.scheduling.hook_queue import NOT_BEGUN, HookQueue, HookQueues
from jobhooks.engine.scheduling.stream import Stream
from jobhooks.engine.settling.settler import Settler
from jobhooks.matching.hook_table import HookTable
from jobhooks.runtime.event_log import get_logger

MOST_BYTES = (
    4 * PAGE_BYTES
)  # of rows that the shared stream keeps in memory, and as many those of single hooks together
FEWEST = 8  # a hook asks for a page when it has a part of what it may have: an eighth, or more if hooks are few
OVERDUE_S = 1.0  # a hook leaves the shared stream if it keeps a page open for so long, and others are past it
REJOIN_S = OVERDUE_S / 2  # it joins again if its oldest open page is younger

log = get_logger()


class Streams:
    """The shared stream, and the streams of single hooks, which their queues hold.

    ``most``: how many open deliveries a hook may have before it leaves the others, or reads no more. ``may_run``:
    whether a hook's deliveries run at present.
    """

    def __init__(self, queues: HookQueues, settler: Settler, most: int, may_run: Callable[[HookQueue], bool]) -> None:
        self._queues = queues
        self._settler = settler
        self._most = most
        self._may_run = may_run
        self._hooks = HookTable("", ())
        self.shared: Stream
        self.table = self._hooks  # the hooks of the shared stream, ``members``
        self.members: list[HookQueue] = []
        # A page is read when a hook has fewer open deliveries than this. So hooks in step do not fill memory.
        self._few = most
        self._read_to = 0  # the highest id of a change that was ever scheduled

    def start(self, position: Cursor, read_again_to: int) -> None:
        """Begin the shared stream at this position."""
        self.shared = Stream(position, read_again_to)
        self._read_to = read_again_to

    def set_hooks(self, hooks: HookTable) -> None:
        """Use these hooks. The queues are up to date."""
        self._hooks = hooks
        self._choose_members()

    def _choose_members(self) -> None:
        self.members = [queue for queue in self._queues.values() if queue.is_member]
        self.table = self._hooks.only({queue.hook.id for queue in self.members})
        self._few = max(self._most // FEWEST, self._most // max(1, len(self.members)))

    def table_of(self, queue: HookQueue) -> HookTable:
        """The table of one hook."""
        return self._hooks.only({queue.hook.id})

    def position_of(self, queue: HookQueue) -> Cursor:
        """How far a hook has read."""
        return self.shared.position if queue.is_member or queue.stream is None else queue.stream.position

    def has_room(self, queue: HookQueue) -> bool:
        """Whether a hook has use for another page."""
        return queue.open < self._most and not queue.backlog.is_full(queue.covers_at(self.position_of(queue)))

    def fills_memory(self, queue: HookQueue) -> bool:
        """Whether no page is read for a hook until rows have left memory.

        A hook that reads alone and has no row there gets a page in any case: else it would wait for the others.
        """
        if queue.stream is None or queue.is_member:
            return self.shared.bytes >= MOST_BYTES
        return queue.stream.bytes > 0 and self._bytes_alone() >= MOST_BYTES

    def _bytes_alone(self) -> int:
        return sum(queue.stream.bytes for queue in self._queues.values() if queue.stream is not None)

    def wants_page(self) -> bool:
        """Whether a page of the shared stream is to be read: any of its hooks has use for it, or it has none."""
        if self.shared.bytes >= MOST_BYTES:
            self._relieve()
        members = self.members
        if self.shared.bytes >= MOST_BYTES:
            return False
        few = self._few
        return not members or any(queue.open < few and self.has_room(queue) for queue in members)

    def _relieve(self) -> None:
        """If huge rows fill the memory and a hook has nothing to do, let those leave that keep the oldest page open."""
        oldest = self.shared.oldest
        if oldest is None or all(queue.open for queue in self.members):
            return
        for hook_id in {delivery.hook.id for delivery in oldest.deliveries if delivery.page is oldest}:
            self.leave(self._queues[hook_id], "its rows fill the memory")

    def leave_overdue(self, before: float) -> None:
        """Let hooks leave that keep pages open which were read before this moment, while another hook is past them."""
        members = self.members
        pages = self.shared.open_since(before)
        if len(members) < 2 or not pages:
            return
        late = {
            delivery.hook.id
            for page in pages
            for delivery in page.deliveries
            if delivery.page is page and delivery.state in NOT_BEGUN
        }
        if any(queue.hook.id not in late for queue in members):
            for hook_id in late:
                self.leave(self._queues[hook_id], "it is slower than others")

    def leave(self, queue: HookQueue, reason: str) -> None:
        """Make a hook read alone, from before its oldest open page; drop what it has not begun.

        Deliveries that run, and results that are being written, are recognised when they are read again, and keep the
        new page open instead.
        """
        start = self._oldest_position(queue)
        if queue.is_member:
            log.debug("hook_reads_alone", hook=queue.hook.name, reason=reason)
        queue.stream = Stream(start, self._read_to)
        queue.readings += 1
        self._settler.move_hook(queue.hook.id, start)
        self._detach(queue)
        queue.drop()
        if queue.is_member:
            queue.is_member = False
            self._choose_members()

    def give_up(self, queue: HookQueue) -> None:
        """Drop what a hook has not begun, and its position: it is no longer enabled."""
        queue.readings += 1
        self._detach(queue)
        queue.drop()
        queue.stream = None
        queue.is_member = False
        self._choose_members()
        self._settler.move_hook(queue.hook.id, None)

    def _oldest_position(self, queue: HookQueue) -> Cursor:
        pages = [delivery.page for delivery in queue.in_memory.values() if delivery.page is not None]
        if pages:
            return min(pages, key=lambda page: page.number).before
        return self.position_of(queue)

    def _detach(self, queue: HookQueue) -> None:
        for delivery in queue.in_memory.values():
            page = delivery.page
            if page is None:
                continue
            queue.open -= 1
            if page.is_shared:
                self._release_shared(delivery)
            else:
                delivery.page = None  # of a stream that is over

    def begin_at(self, queue: HookQueue, position: Cursor) -> None:
        """Make a new hook read alone, from a saved position.

        If that is ahead of the shared stream, which another hook held up, the hook begins there: it reads some changes
        again, and leaves out what has a result. From ahead it could not arrive at the same position.
        """
        if position.is_ahead_of(self.shared.position):
            self._settler.move_hook(queue.hook.id, None)
            return
        queue.stream = Stream(position, self._read_to)
        queue.is_member = False

    def wanting_to_read(self) -> list[HookQueue]:
        """The hooks that read alone and have use for a page, or can join the others."""
        alone = self.alone()
        is_full = bool(alone) and self._bytes_alone() >= MOST_BYTES
        return [queue for queue in alone if self._wants_to_read(queue, is_full=is_full)]

    def _wants_to_read(self, queue: HookQueue, *, is_full: bool) -> bool:
        assert queue.stream is not None
        if queue.stream.position == self.shared.position:
            return self.keeps_up(queue)
        return self.has_room(queue) and not (is_full and queue.stream.bytes)

    def keeps_up(self, queue: HookQueue) -> bool:
        """Whether a hook that reads alone may join the others: it does not keep pages open for long."""
        assert queue.stream is not None
        oldest = queue.stream.oldest
        return oldest is None or oldest.opened_at > time.monotonic() - REJOIN_S

    def join(self, queue: HookQueue) -> None:
        """Make a hook read in the shared stream again: it has read exactly as far.

        Its position stays saved until its pages of before are closed.
        """
        stream = queue.stream
        assert stream is not None
        assert stream.position == self.shared.position
        queue.is_member = True
        self._choose_members()
        self._drain(queue)

    def admitted(self, changes_to: int) -> None:
        """Changes up to this id were scheduled."""
        self._read_to = max(self._read_to, changes_to)

    def release(self, queue: HookQueue, delivery: Delivery) -> None:
        """Stop a delivery from keeping its page open."""
        page = delivery.page
        if page is None:
            return
        queue.open -= 1
        if page.is_shared:
            if self.shared.release(delivery):
                self._settler.move_cursor(self.shared.settled_to)
        elif queue.stream is not None and queue.stream.release(delivery):
            self.moved(queue)

    def _release_shared(self, delivery: Delivery) -> None:
        if self.shared.release(delivery):
            self._settler.move_cursor(self.shared.settled_to)

    def moved(self, queue: HookQueue) -> None:
        """A hook's stream is settled further than before."""
        assert queue.stream is not None
        self._settler.move_hook(queue.hook.id, queue.stream.settled_to)
        self._drain(queue)

    def _drain(self, queue: HookQueue) -> None:
        if queue.is_member and queue.stream is not None and queue.stream.is_settled:
            queue.stream = None
            self._settler.move_hook(queue.hook.id, None)

    def alone(self) -> list[HookQueue]:
        """The hooks that read alone and may run."""
        return [
            queue
            for queue in self._queues.values()
            if queue.stream is not None and not queue.is_member and self._may_run(queue)
        ]


def is_late(delivery: Delivery, before: float) -> bool:
    """Whether a delivery has been running since before this moment."""
    return delivery.state is State.RUNNING and delivery.began_at < before
