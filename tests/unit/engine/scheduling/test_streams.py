"""Streams: which hooks read together, which one leaves, from where it reads again, and which positions are saved."""

import random
import time
from collections import deque
from dataclasses import dataclass, field
from typing import cast

import pytest
from hypothesis import given, strategies as st

from jobhooks.contract.choices import JobResultStatus
from jobhooks.engine.delivery.cursor import Cursor
from jobhooks.engine.delivery.delivery import Delivery, Page
from jobhooks.engine.delivery.state import State
from jobhooks.engine.scheduling.hook_queue import HookQueue
from jobhooks.engine.scheduling.streams import MOST_BYTES, OVERDUE_S, Streams, is_late
from jobhooks.engine.settling.settler import Settler
from jobhooks.matching.hook_table import HookTable
from support.making import make_cursor, make_delivery, make_hook, make_outcome

FAILURE = make_outcome(JobResultStatus.FAILURE, error="x", raised=True)
MOST = 3


@dataclass
class SavedPositions:
    """Keeps what the settler would save, all of it at the same time."""

    shared: Cursor = field(default_factory=make_cursor)
    hooks: dict[int, Cursor] = field(default_factory=dict[int, Cursor])

    def move_cursor(self, cursor: Cursor) -> None:
        self.shared = cursor

    def move_hook(self, hook_id: int, position: Cursor | None) -> None:
        if position is None:
            self.hooks.pop(hook_id, None)
        else:
            self.hooks[hook_id] = position


class Reading:
    """Hooks that read a log whose change number n makes the page number n."""

    def __init__(self, hooks: int = 2) -> None:
        self.queues = {number: HookQueue(make_hook(number, backoff=0.0)) for number in range(1, hooks + 1)}
        self.saved = SavedPositions()
        self.standing_still: set[int] = set()
        self.streams = Streams(self.queues, cast("Settler", self.saved), MOST, self._may_run)
        self.streams.start(make_cursor(), 0)
        self.streams.set_hooks(HookTable("1", [queue.hook for queue in self.queues.values()]))
        self._pages = 0

    def _may_run(self, queue: HookQueue) -> bool:
        return queue.hook.id not in self.standing_still

    @property
    def members(self) -> list[int]:
        return [queue.hook.id for queue in self.streams.members]

    def read(
        self,
        *hook_ids: int,
        key: int | None = None,
        opened_at: float = 0.0,
        alone: HookQueue | None = None,
        size: int = 100,
    ) -> list[Delivery]:
        """Read the next change, which is for these hooks, in the shared stream, or in that of one hook."""
        stream = self.streams.shared if alone is None else alone.stream
        assert stream is not None
        number = stream.position.last_id + 1
        self._pages += 1
        page = Page(self._pages, stream.position, make_cursor(number), alone is None, opened_at, bytes=size)
        deliveries: list[Delivery] = []
        for hook_id in hook_ids:
            queue = self.queues[hook_id]
            known = queue.in_memory.get(number)
            delivery = known or make_delivery(number, number if key is None else key, queue.hook)
            if known is None or queue.keeps_open(known):
                page.add(delivery)
                queue.open += 1
            if known is None:
                queue.admit(delivery)
            deliveries.append(delivery)
        stream.append(page)
        self.streams.admitted(number)
        if alone is None and stream.settled_to is page.after:
            self.saved.move_cursor(page.after)
        elif alone is not None and stream.settled_to is page.after:
            self.streams.moved(alone)
        return deliveries

    def settle(self, delivery: Delivery) -> None:
        queue = self.queues[delivery.hook.id]
        if delivery.state is State.READY:
            assert isinstance(queue.ready, deque)
            queue.ready.remove(delivery)
            queue.begin(delivery)
        queue.settle(delivery)
        self.streams.release(queue, delivery)


@pytest.fixture
def reading() -> Reading:
    return Reading()


# Reading together.


def test_all_hooks_begin_in_the_shared_stream(reading: Reading) -> None:
    assert reading.members == [1, 2]
    assert set(reading.streams.table.by_id) == {1, 2}
    assert reading.streams.alone() == []
    assert reading.streams.wants_page()


def test_a_page_is_read_as_long_as_one_hook_has_use_for_it(reading: Reading) -> None:
    """It has use for one when it has less than its share of what one hook may have in memory."""
    for _ in range(MOST):
        reading.read(1)
    assert not reading.streams.has_room(reading.queues[1])
    assert reading.streams.wants_page()
    for _ in range(MOST):
        reading.read(2)
    assert not reading.streams.wants_page()
    while reading.queues[2].open >= MOST // 2:
        assert not reading.streams.wants_page()
        reading.settle(reading.queues[2].ready[0])
    assert reading.streams.wants_page()


def test_the_log_is_read_on_without_a_hook() -> None:
    """Otherwise a hook that is added later would read all of it."""
    assert Reading(hooks=0).streams.wants_page()


def test_the_position_moves_when_the_oldest_page_closes(reading: Reading) -> None:
    one, two = reading.read(1), reading.read(1, 2)
    for delivery in two:
        reading.settle(delivery)
    assert reading.saved.shared == make_cursor()
    reading.settle(one[0])
    assert reading.saved.shared == make_cursor(2)
    assert [queue.open for queue in reading.queues.values()] == [0, 0]


# Leaving.


def test_a_hook_that_leaves_reads_from_before_its_oldest_open_page(reading: Reading) -> None:
    (first,) = reading.read(2)
    (second,), (third,) = reading.read(1), reading.read(1)
    queue = reading.queues[1]
    reading.streams.leave(queue, "")
    assert queue.stream is not None
    assert queue.stream.position == queue.stream.settled_to == make_cursor(1)
    assert queue.stream.read_again_to == 3
    assert reading.saved.hooks == {1: make_cursor(1)}
    assert (second.state, third.state, queue.open) == (State.DROPPED, State.DROPPED, 0)
    assert not queue.in_memory
    assert reading.members == [2]
    assert set(reading.streams.table.by_id) == {2}
    reading.settle(first)
    assert reading.saved.shared == make_cursor(3)  # nothing keeps the others back


def test_a_hook_without_open_pages_leaves_from_where_it_is(reading: Reading) -> None:
    reading.read(2)
    reading.streams.leave(reading.queues[1], "")
    assert reading.saved.hooks == {1: make_cursor(1)}


def test_what_runs_when_a_hook_leaves_keeps_the_page_open_that_it_is_read_with_again(reading: Reading) -> None:
    """It is not run twice, and a restart before it ends finds it."""
    queue = reading.queues[1]
    reading.read(1, key=1)
    reading.read(1, key=1)
    running = queue.take()
    assert running is not None
    reading.streams.leave(queue, "")
    assert queue.in_memory == {1: running}
    assert running.page is None
    assert queue.open == 0
    assert reading.read(1, key=1, alone=queue) == [running]
    (again,) = reading.read(1, key=1, alone=queue)
    assert again.state is State.WAITING
    assert queue.open == 2
    assert reading.saved.hooks == {1: make_cursor()}
    reading.settle(running)
    assert reading.saved.hooks == {1: make_cursor(1)}
    assert again.state is State.READY
    reading.settle(again)
    assert reading.saved.hooks == {1: make_cursor(2)}


def test_what_is_being_written_when_a_hook_leaves_is_read_again_with_it(reading: Reading) -> None:
    """Its row may not commit."""
    queue = reading.queues[1]
    reading.read(1, key=1)
    delivery = queue.take()
    assert delivery is not None
    row, _ = queue.fail(delivery, FAILURE)
    reading.streams.leave(queue, "")
    assert reading.saved.hooks == {1: make_cursor()}
    assert reading.read(1, alone=queue) == [delivery]
    assert delivery.page is not None
    queue.settle_failure(delivery)
    assert row.written
    reading.streams.release(queue, delivery)
    assert reading.saved.hooks == {1: make_cursor(1)}


def test_a_hook_that_leaves_a_second_time_starts_over(reading: Reading) -> None:
    queue = reading.queues[1]
    reading.read(1)
    reading.streams.leave(queue, "")
    former = queue.stream
    (delivery,) = reading.read(1, alone=queue)
    reading.streams.leave(queue, "")
    assert queue.stream is not former
    assert reading.saved.hooks == {1: make_cursor()}
    assert (delivery.state, delivery.page, queue.open) == (State.DROPPED, None, 0)
    assert queue.readings == 2


def test_a_hook_that_leaves_while_its_former_pages_are_open_reads_from_before_these(reading: Reading) -> None:
    queue = reading.queues[1]
    now = time.monotonic()
    reading.read(1)
    reading.streams.leave(queue, "")
    reading.read(1, alone=queue, opened_at=now)
    reading.streams.join(queue)
    reading.read(1)
    reading.streams.leave(queue, "")
    assert queue.stream is not None
    assert queue.stream.position == make_cursor()
    assert reading.saved.hooks == {1: make_cursor()}


# Hooks that are too slow.


def test_a_hook_leaves_if_others_are_past_its_oldest_page() -> None:
    reading = Reading(hooks=3)
    reading.read(1, opened_at=1.0)
    reading.read(2, opened_at=5.0)
    reading.streams.leave_overdue(1.0)
    assert reading.members == [1, 2, 3]
    reading.streams.leave_overdue(2.0)
    assert reading.members == [2, 3]


def test_hooks_that_are_equally_slow_stay_together(reading: Reading) -> None:
    """None of them is past the page, so they would only read it again, one by one."""
    reading.read(1, 2, opened_at=1.0)
    reading.streams.leave_overdue(2.0)
    assert reading.members == [1, 2]


def test_a_single_hook_stays() -> None:
    reading = Reading(hooks=1)
    reading.read(1, opened_at=1.0)
    reading.streams.leave_overdue(2.0)
    assert reading.members == [1]


def test_a_hook_does_not_leave_because_of_one_slow_run(reading: Reading) -> None:
    """The run gets a row, and that closes its page."""
    queue = reading.queues[1]
    reading.read(1, opened_at=1.0)
    queue.take()
    reading.streams.leave_overdue(2.0)
    assert reading.members == [1, 2]


def test_a_run_is_late_after_a_while() -> None:
    delivery = make_delivery(1, state=State.RUNNING, began_at=5.0)
    assert is_late(delivery, 6.0)
    assert not is_late(delivery, 5.0)
    delivery.state = State.SETTLING
    assert not is_late(delivery, 6.0)


def test_a_hook_leaves_if_its_huge_rows_fill_the_memory_while_another_has_nothing_to_do(reading: Reading) -> None:
    reading.read(1, size=MOST_BYTES)
    assert reading.streams.wants_page()
    assert reading.members == [2]
    assert reading.streams.shared.bytes == 0


def test_no_page_is_read_while_the_memory_is_full_and_all_hooks_are_busy(reading: Reading) -> None:
    reading.read(1, 2, size=MOST_BYTES)
    assert not reading.streams.wants_page()
    assert reading.members == [1, 2]


# Reading alone, and joining again.


def test_a_hook_that_reads_alone_is_read_for_while_it_has_room(reading: Reading) -> None:
    for _ in range(MOST + 1):
        reading.read(1)
    queue = reading.queues[1]
    reading.streams.leave(queue, "")
    assert reading.streams.alone() == [queue]
    assert set(reading.streams.table_of(queue).by_id) == {1}
    for number in range(MOST):
        assert reading.streams.wanting_to_read() == [queue]
        reading.read(1, alone=queue)
        assert reading.streams.position_of(queue) == make_cursor(number + 1)
    assert reading.streams.wanting_to_read() == []
    assert reading.streams.position_of(reading.queues[2]) == make_cursor(MOST + 1)


def test_hooks_that_read_alone_share_a_limit_of_bytes_and_each_has_a_page() -> None:
    """A hook with rows in memory waits until some of them, or of another such hook, have left it."""
    reading = Reading(3)
    one, other = reading.queues[1], reading.queues[2]
    for _ in range(MOST):
        reading.read(1, 2)
    for queue in (one, other):
        reading.streams.leave(queue, "")
    (delivery,) = reading.read(1, alone=one, size=MOST_BYTES)
    assert reading.streams.fills_memory(one)
    assert not reading.streams.fills_memory(other)
    assert reading.streams.wanting_to_read() == [other]
    reading.read(2, alone=other)
    assert reading.streams.wanting_to_read() == []
    reading.settle(delivery)
    assert reading.streams.wanting_to_read() == [one, other]


def test_a_hook_joins_when_it_has_read_as_far_and_keeps_up(reading: Reading) -> None:
    queue = reading.queues[1]
    reading.read(1)
    reading.streams.leave(queue, "")
    (delivery,) = reading.read(1, alone=queue, opened_at=time.monotonic() - OVERDUE_S)
    assert not reading.streams.keeps_up(queue)
    assert reading.streams.wanting_to_read() == []
    reading.settle(delivery)
    assert reading.streams.keeps_up(queue)
    assert reading.streams.wanting_to_read() == [queue]
    reading.streams.join(queue)
    assert reading.members == [1, 2]
    assert queue.stream is None
    assert reading.saved.hooks == {}


def test_a_hook_that_has_joined_keeps_its_position_until_its_former_pages_close(reading: Reading) -> None:
    """A restart reads these again, for this hook alone."""
    queue = reading.queues[1]
    reading.read(1)
    reading.streams.leave(queue, "")
    (former,) = reading.read(1, alone=queue, opened_at=time.monotonic())
    reading.streams.join(queue)
    assert reading.members == [1, 2]
    (new,) = reading.read(1)
    assert new.page is not None
    assert new.page.is_shared
    assert reading.saved.hooks == {1: make_cursor()}
    reading.settle(former)
    assert reading.saved.hooks == {}
    assert queue.stream is None
    reading.settle(new)
    assert reading.saved.shared == make_cursor(2)
    assert queue.open == 0


def test_a_hook_that_stands_still_is_not_read_for(reading: Reading) -> None:
    queue = reading.queues[1]
    reading.standing_still.add(1)
    reading.streams.leave(queue, "")
    assert reading.streams.alone() == []
    reading.standing_still.clear()
    assert reading.streams.alone() == [queue]


def test_a_hook_begins_alone_at_a_saved_position(reading: Reading) -> None:
    reading.read(2)
    queue = reading.queues[1]
    reading.streams.begin_at(queue, make_cursor())
    reading.streams.set_hooks(HookTable("2", [queue.hook for queue in reading.queues.values()]))
    assert reading.members == [2]
    assert set(reading.streams.table.by_id) == {2}
    assert reading.streams.position_of(queue) == make_cursor()


def test_a_hook_that_is_disabled_gives_its_position_up(reading: Reading) -> None:
    queue = reading.queues[1]
    (delivery,) = reading.read(1)
    reading.streams.leave(queue, "")
    (again,) = reading.read(1, alone=queue)
    reading.streams.give_up(queue)
    assert (delivery.state, again.state) == (State.DROPPED, State.DROPPED)
    assert (queue.stream, queue.open) == (None, 0)
    assert reading.saved.hooks == {}
    assert reading.streams.alone() == []


def test_a_hook_that_is_disabled_keeps_no_page_of_the_others_open(reading: Reading) -> None:
    reading.read(1)
    reading.streams.give_up(reading.queues[1])
    assert reading.saved.shared == make_cursor(1)
    assert reading.members == [2]


# Random lives.


class Life:
    """Random events of three hooks. Every change is for every hook; a delivery ends settled, or as a row."""

    def __init__(self, seed: int) -> None:
        self.rng = random.Random(seed)
        self.reading = Reading(hooks=3)
        self.over: dict[int, set[int]] = {hook_id: set() for hook_id in self.reading.queues}

    def some_queue(self) -> HookQueue:
        return self.rng.choice(list(self.reading.queues.values()))

    def read(self) -> None:
        members = self.reading.members
        self.reading.read(*members, key=self.rng.randint(1, 3), opened_at=time.monotonic())

    def read_alone(self) -> None:
        """Read what is new; what has a result or a row is left out, as after a look into the database."""
        queue = self.some_queue()
        if queue.is_member or queue.stream is None or queue.stream.position == self.reading.streams.shared.position:
            return
        number = queue.stream.position.last_id + 1
        hook_id = queue.hook.id
        hooks = [] if number in self.over[hook_id] else [hook_id]
        self.reading.read(*hooks, key=self.rng.randint(1, 3), alone=queue, opened_at=time.monotonic())

    def join(self) -> None:
        queue = self.some_queue()
        position = self.reading.streams.shared.position
        if not queue.is_member and queue.stream is not None and queue.stream.position == position:
            self.reading.streams.join(queue)

    def leave(self) -> None:
        self.reading.streams.leave(self.some_queue(), "")

    def begin(self) -> None:
        self.some_queue().take()

    def end(self) -> None:
        queue = self.some_queue()
        if queue.running:
            delivery = self.rng.choice(sorted(queue.running, key=lambda each: each.change.id))
            self.over[queue.hook.id].add(delivery.change.id)
            self.reading.settle(delivery)

    def park(self) -> None:
        """Make rows of something that waits, and of all behind it."""
        queue = self.some_queue()
        if queue.ready:
            for delivery in queue.park([self.rng.choice(queue.ready)]):
                queue.row_written(delivery)
                self.over[queue.hook.id].add(delivery.change.id)
                queue.backlog.remove(delivery.change.id)  # and done, so that keys do not stay blocked
                self.reading.streams.release(queue, delivery)

    def check(self) -> None:
        saved = self.reading.saved
        for hook_id, queue in self.reading.queues.items():
            position = saved.hooks.get(hook_id, saved.shared)
            assert set(range(1, position.last_id + 1)) <= self.over[hook_id], f"hook {hook_id} would lose a change"
            in_memory = [delivery for delivery in queue.in_memory.values() if delivery.page is not None]
            assert queue.open == len(in_memory)
            assert queue.is_member or queue.stream is not None
            assert queue.is_member == (hook_id in self.reading.streams.table.by_id)


@given(st.integers(0, 2**32))
def test_nothing_before_a_saved_position_is_open(seed: int) -> None:
    """Otherwise a restart would lose it."""
    life = Life(seed)
    steps = [life.read, life.read_alone, life.join, life.leave, life.begin, life.end, life.park]
    for step in life.rng.choices(steps, [4, 6, 3, 1, 6, 6, 1], k=150):
        step()
        life.check()
    reading = life.reading
    for queue in reading.queues.values():
        while not queue.is_member or queue.in_memory:
            if not queue.is_member:
                assert queue.stream is not None
                if queue.stream.position == reading.streams.shared.position:
                    reading.streams.join(queue)
                else:
                    number = queue.stream.position.last_id + 1
                    hooks = [] if number in life.over[queue.hook.id] else [queue.hook.id]
                    reading.read(*hooks, alone=queue)
            queue.take()
            for delivery in sorted(queue.running, key=lambda each: each.change.id):
                life.over[queue.hook.id].add(delivery.change.id)
                reading.settle(delivery)
            life.check()
    assert reading.saved.hooks == {}
    assert reading.saved.shared == reading.streams.shared.position
