"""A hook's queue: each step of its deliveries, and random lives of a hook with failures, crashes and other sessions."""

import random
import time
import tracemalloc
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import replace

import msgspec
import pytest
from hypothesis import given, strategies as st

from jobhooks.contract.choices import FailurePolicy, JobResultStatus
from jobhooks.engine.delivery.backlog_row import BacklogRow, row_of
from jobhooks.engine.delivery.delivery import Delivery, Page, deliveries_of
from jobhooks.engine.delivery.group import Group
from jobhooks.engine.delivery.state import State
from jobhooks.engine.scheduling.hook_queue import HookQueue
from jobhooks.matching.hook_settings import REQUEST_S
from jobhooks.matching.hook_table import Hook
from support.making import (
    make_change,
    make_cursor,
    make_delivery,
    make_hook,
    make_move,
    make_outcome,
    make_truncate,
    make_update_of_many,
)

HOOK = make_hook(backoff=0.0)
SKIPS = make_hook(backoff=0.0, on_failure=FailurePolicy.SKIP)
FAILURE = make_outcome(JobResultStatus.FAILURE, error="x", raised=True)
LATER = 1e9  # by the monotonic clock, everything is due but dead rows
IN_LANES = {State.WAITING, State.READY, State.RUNNING}


def queue_of(*deliveries: Delivery, hook: Hook = HOOK) -> HookQueue:
    queue = HookQueue(hook)
    for delivery in deliveries:
        queue.admit(delivery)
    return queue


def states(*deliveries: Delivery) -> list[State]:
    return [delivery.state for delivery in deliveries]


def take(queue: HookQueue, count: int = 1) -> list[Delivery]:
    """Take deliveries; at least so many are ready."""
    taken = [queue.take() for _ in range(count)]
    assert None not in taken
    return [delivery for delivery in taken if delivery is not None]


def take_group(queue: HookQueue, count: int) -> list[Delivery]:
    """Take the first delivery, and those that wait for it only, as one group."""
    (first,) = take(queue)
    group = Group(first)
    while len(group.deliveries) < count:
        delivery = group.next_behind()
        assert delivery is not None
        queue.begin(delivery)
        group.add(delivery)
    return group.deliveries


def write_rows(queue: HookQueue, *deliveries: Delivery) -> None:
    for delivery in deliveries:
        queue.row_written(delivery)


def loaded(queue: HookQueue, *keys: int) -> list[Delivery]:
    """Deliveries of keys that are in the backlog, as changes 1, 2, ..., and are loaded."""
    return load(queue, *(make_delivery(number, key, queue.hook) for number, key in enumerate(keys, 1)))


def load(queue: HookQueue, *deliveries: Delivery) -> list[Delivery]:
    """Put deliveries in the backlog, and load them."""
    rows = [row_of(delivery, due=0.0) for delivery in deliveries]
    queue.backlog.reconcile(rows, complete=True, unsent=lambda _id: False)
    taken = queue.backlog.take_runnable(LATER, 1000, lambda _row: True)
    assert [each.row.change_id for each in taken] == [delivery.change.id for delivery in deliveries]
    for delivery in deliveries:
        queue.load(delivery)
    return list(deliveries)


def runnable(queue: HookQueue) -> list[int]:
    return [each.row.change_id for each in queue.backlog.take_runnable(LATER, 1000, lambda _row: True)]


# From the log.


def test_deliveries_of_one_key_wait_for_each_other() -> None:
    one, two, other = make_delivery(1, 1), make_delivery(2, 1), make_delivery(3, 2)
    queue = queue_of(one, two, other)
    assert states(one, two, other) == [State.READY, State.WAITING, State.READY]
    assert list(queue.ready) == [one, other]
    assert set(queue.in_memory) == {1, 2, 3}


def test_a_delivery_with_a_blocked_key_becomes_a_row() -> None:
    queue = queue_of()
    loaded(queue, 1)
    behind, free = make_delivery(2, 1), make_delivery(3, 2)
    assert not queue.admit(behind)
    assert queue.admit(free)
    assert states(behind, free) == [State.PARKING, State.READY]
    row = queue.backlog.rows[2]
    assert (row.written, row.loaded, row.attempts) == (False, False, 0)
    write_rows(queue, behind)
    assert behind.state is State.PARKED
    assert set(queue.in_memory) == {1, 3}
    assert runnable(queue) == [2]  # its predecessor is in memory, and is before it in the lane


def test_an_older_delivery_that_is_read_again_has_its_place_before_rows_that_are_there() -> None:
    """The rows are of an earlier reading, before a crash."""
    queue = queue_of()
    younger, older = make_delivery(5, 1), make_delivery(3, 1)
    queue.backlog.reconcile([row_of(younger, due=0.0)], complete=True, unsent=lambda _id: False)
    assert not queue.admit(older)
    assert runnable(queue) == []
    write_rows(queue, older)
    assert runnable(queue) == [3, 5]


def test_each_change_of_a_hook_that_merges_becomes_a_row() -> None:
    """They are merged when they are due."""
    hook = replace(HOOK, coalesce_s=60.0)
    one, other = make_delivery(1, 1, hook), make_delivery(2, 2, hook)
    queue = HookQueue(hook)
    before = time.monotonic()
    assert not queue.admit(one)
    assert not queue.admit(other)
    assert states(one, other) == [State.PARKING, State.PARKING]
    assert all(row.due >= before + 60 for row in queue.backlog.rows.values())
    assert not queue.ready


def test_a_change_without_a_request_does_not_wait_for_more_of_it() -> None:
    """It is merged with those of its transaction, which has been read completely when the row can run."""
    hook = replace(HOOK, coalesce_s=REQUEST_S, debounce_s=60.0)
    requests = {1: "r-1", 2: None}
    queue = HookQueue(hook)
    before = time.monotonic()
    for number, request in requests.items():
        (delivery,) = deliveries_of(replace(make_change(number, number), request_id=request), [hook])
        assert not queue.admit(delivery)
    assert queue.backlog.rows[1].due >= before + 60
    assert queue.backlog.rows[2].due <= time.monotonic()


def test_a_merging_hook_waits_no_longer_if_the_servers_clock_was_set_back() -> None:
    """Its rows come back from the table as due in an hour."""
    hook = replace(HOOK, debounce_s=60.0)
    rows = [row_of(make_delivery(number, number, hook), due=time.monotonic() + 3600) for number in (1, 2)]
    rows[1].attempts = 1  # a backoff may be as long
    queue = HookQueue(hook)
    queue.reconcile(rows, complete=True, unsent=lambda _id: False)
    assert rows[0].due <= time.monotonic() + 60
    assert rows[1].due > time.monotonic() + 3000


def test_a_delivery_whose_turn_is_not_soon_is_a_row_if_keys_have_a_rate() -> None:
    """So that the changes behind it in the log are read. Those of another key run."""
    hook = replace(HOOK, rate="1/min", rate_per=["object"])
    first, second, other = make_delivery(1, 1, hook), make_delivery(2, 1, hook), make_delivery(3, 2, hook)
    queue = HookQueue(hook)
    assert [queue.admit(delivery) for delivery in (first, second, other)] == [True, False, True]
    assert queue.take() is first and queue.take() is other
    write_rows(queue, second)
    due_at = queue.backlog.due_at()
    assert due_at is not None and due_at > time.monotonic() + 30
    queue.set_hook(HOOK)  # without a rate
    assert runnable(queue) == [2]


def test_a_hook_whose_rate_all_share_has_no_rows() -> None:
    """Its deliveries wait in memory, and the rest in the log."""
    hook = replace(HOOK, rate="1/min")
    queue = HookQueue(hook)
    assert all(queue.admit(make_delivery(number, number, hook)) for number in range(1, 10))
    assert (queue.take() is None, queue.take()) == (False, None)
    assert not queue.backlog.rows
    queue.set_hook(HOOK)
    assert len(queue.ready) == 8


def test_what_keeps_a_page_open_when_it_is_read_again() -> None:
    """What is in memory only: everything else has a row, or a result."""
    page = Page(1, make_cursor(), make_cursor(), is_shared=True, opened_at=0.0)
    running, waiting, parked, foreign = make_delivery(1, 1), make_delivery(2, 1), make_delivery(3, 1), make_delivery(4)
    queue = queue_of(running, waiting)
    take(queue)
    assert queue.keeps_open(running)
    page.add(running)
    assert not queue.keeps_open(running)  # it keeps another one open already
    (parked,) = queue.park([waiting])
    assert queue.keeps_open(parked)  # its row is not written
    write_rows(queue, parked)
    assert not queue.keeps_open(parked)
    assert not queue.keeps_open(foreign)


def test_a_row_of_a_slow_run_closes_its_page() -> None:
    """It is in memory, but a restart finds the row."""
    running = make_delivery(1)
    queue = queue_of(running)
    take(queue)
    queue.run_long([running])
    assert queue.keeps_open(running)
    write_rows(queue, running)
    assert not queue.keeps_open(running)
    assert queue.in_memory == {1: running}


# Running.


def test_a_delivery_begins_with_the_hook_as_it_is_now() -> None:
    """The limits of its job may have changed since it was read."""
    delivery = make_delivery(1)
    queue = HookQueue(make_hook(time_limit=5.0))
    queue.admit(delivery)
    assert take(queue) == [delivery]
    assert delivery.hook is queue.hook
    assert delivery.state is State.RUNNING
    assert delivery.began_at > 0
    assert queue.running == {delivery}
    assert queue.take() is None


def test_a_group_begins_deliveries_that_wait_for_its_members() -> None:
    deliveries = [make_delivery(number, 1) for number in (1, 2, 3)]
    queue = queue_of(*deliveries)
    assert take_group(queue, 3) == deliveries
    assert states(*deliveries) == [State.RUNNING] * 3
    for delivery in deliveries:
        queue.settle(delivery)
    assert states(*deliveries) == [State.SETTLED] * 3
    assert not queue.in_memory
    assert not queue.running


def test_a_group_that_is_given_back_comes_again_in_order() -> None:
    one, two, other, last = make_delivery(1, 1), make_delivery(2, 1), make_delivery(3, 2), make_delivery(4, 3)
    queue = queue_of(one, two, other, last)
    group = [*take_group(queue, 2), *take(queue)]
    queue.give_back(group)
    assert states(one, two, other) == [State.READY, State.WAITING, State.READY]
    assert list(queue.ready) == [one, other, last]
    assert not queue.running
    assert take(queue, 2) == [one, other]


def test_a_follower_is_ready_when_the_rest_of_its_group_is_settled_before_it_is_given_back() -> None:
    """The runs before it are kept, and it runs again."""
    one, two, other = make_delivery(1, 1), make_delivery(2, 1), make_delivery(3, 2)
    queue = queue_of(one, two, other)
    take_group(queue, 2)
    queue.settle(one)
    assert two.state is State.RUNNING
    queue.give_back([two])
    assert list(queue.ready) == [two, other]


def test_settling_frees_the_next_delivery_of_each_lane() -> None:
    moved, old, new, other = make_move(1, 1, 2), make_delivery(2, 1), make_delivery(3, 2), make_delivery(4, 2)
    queue = queue_of(moved, old, new, other)
    assert take(queue) == [moved]
    assert queue.take() is None
    queue.end(moved)
    assert queue.take() is None  # the result is not written yet
    queue.settle(moved)
    assert take(queue, 2) == [old, new]
    assert other.state is State.WAITING


# Slow runs.


def test_a_slow_run_and_all_behind_it_become_rows() -> None:
    """So their pages can close, and no delivery of its keys is scheduled before it ends."""
    slow, behind, moved, last, other = (
        make_delivery(1, 1),
        make_delivery(2, 1),
        make_move(3, 1, 2),
        make_delivery(4, 2),
        make_delivery(5, 3),
    )
    queue = queue_of(slow, behind, moved, last, other)
    take(queue)
    assert queue.run_long([slow]) == [slow, behind, moved, last]
    assert states(slow, behind, moved, last, other) == [State.RUNNING, *[State.PARKING] * 3, State.READY]
    assert slow.has_row
    assert queue.backlog.rows[1].loaded
    assert queue.run_long([slow]) == []
    late = make_delivery(6, 2)
    assert not queue.admit(late)
    write_rows(queue, slow, behind, moved, last, late)
    assert slow.state is State.RUNNING
    assert runnable(queue) == [2, 3, 4, 6]  # they are placed behind it in its lanes


def test_a_row_behind_a_slow_run_waits_in_memory() -> None:
    slow, behind = make_delivery(1, 1), make_delivery(2, 1)
    queue = queue_of(slow, behind)
    take(queue)
    queue.run_long([slow])
    write_rows(queue, slow, behind)
    assert runnable(queue) == [2]
    again = make_delivery(2, 1)
    queue.load(again)
    assert again.state is State.WAITING
    queue.end(slow)
    queue.settle(slow)
    assert again.state is State.READY
    assert 1 not in queue.backlog.rows


def test_a_slow_run_parks_what_came_behind_it_later() -> None:
    """Its row is there already, as it was loaded from the backlog."""
    queue = queue_of()
    (slow,) = loaded(queue, 1)
    take(queue)
    behind = make_delivery(2, 1)
    assert not queue.admit(behind)
    assert queue.run_long([slow]) == []


class Counted(deque[Delivery]):
    """Counts how often it is visited from end to end."""

    visits = 0

    def __iter__(self) -> Iterator[Delivery]:
        self.visits += 1
        return super().__iter__()


def test_a_thousand_slow_runs_visit_what_is_ready_once() -> None:
    """Each of them visited all: with tens of thousands ready, the event loop stood still for seconds."""
    slow = [make_delivery(number, number) for number in range(1, 1001)]
    behind = make_delivery(1001, 1)
    gone = make_delivery(1002, 1002)
    ready = [make_delivery(number, number) for number in range(1003, 1010)]
    queue = queue_of(*slow, behind, gone, *ready)
    take(queue, 1000)
    queue.ready = counted = Counted(queue.ready)
    assert queue.run_long(slow) == [*slow, behind]
    assert counted.visits == 0
    queue.settle(slow[1])
    queue.fail(slow[2], FAILURE)
    assert counted.visits == 0
    queue.park([gone])
    assert counted.visits == 1
    assert list(queue.ready) == ready


def test_what_waits_for_a_slow_run_in_two_lanes_is_looked_at_once() -> None:
    """Moves between two keys are behind each other twice: looking at each way to them would take all memory."""
    queue = queue_of(*(make_move(number, 1 + number % 2, 2 - number % 2) for number in range(1, 19)))
    (slow,) = take(queue)
    tracemalloc.start()
    try:
        assert [delivery.change.id for delivery in queue.run_long([slow])] == list(range(1, 19))
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 200_000  # bytes; there are 2**18 ways


# Parking and dropping.


def test_parking_takes_all_that_waits_along() -> None:
    one, behind, other = make_delivery(1, 1), make_move(2, 1, 2), make_delivery(3, 2)
    free = make_delivery(4, 3)
    queue = queue_of(one, behind, other, free)
    assert queue.park([one]) == [one, behind, other]
    assert list(queue.ready) == [free]
    assert {change_id for change_id, row in queue.backlog.rows.items() if row.blocks} == {1, 2, 3}


def test_a_delivery_that_waits_for_two_is_parked_or_dropped_once() -> None:
    """A slow run parks it; the other one that it waits for fails, or its hook leaves, while its row is written."""
    for leaves in (False, True):
        slow, other, between, last = make_delivery(1, 1), make_delivery(2, 2), make_delivery(3, 2), make_move(4, 1, 2)
        queue = queue_of(slow, other, between, last)
        take(queue, 2)
        assert queue.run_long([slow]) == [slow, last]
        if leaves:
            queue.drop()
            assert states(between, last) == [State.DROPPED, State.PARKING]
        else:
            _, parked = queue.fail(other, FAILURE)
            assert parked == [between]
        write_rows(queue, slow, last)
        assert last.state is State.PARKED


def test_a_running_delivery_is_not_parked() -> None:
    running, behind = make_delivery(1, 1), make_delivery(2, 1)
    queue = queue_of(running, behind)
    take(queue)
    assert queue.park([running]) == []
    assert states(running, behind) == [State.RUNNING, State.WAITING]


def test_what_has_a_row_goes_back_to_it() -> None:
    """Nothing is written for it."""
    queue = queue_of()
    first, second, other = loaded(queue, 1, 1, 2)
    assert queue.park([first]) == []
    assert states(first, second, other) == [State.DROPPED, State.DROPPED, State.READY]
    assert queue.backlog.loaded == 1
    assert queue.in_memory == {3: other}
    assert runnable(queue) == [1, 2]


def test_dropping_leaves_what_has_begun() -> None:
    """The rest is read again, or loaded again."""
    queue = queue_of()
    from_backlog, behind_it = loaded(queue, 1, 1)
    running, waiting, ready = make_delivery(3, 2), make_delivery(4, 2), make_delivery(5, 3)
    for delivery in (running, waiting, ready):
        queue.admit(delivery)
    assert take(queue, 2) == [from_backlog, running]
    queue.drop()
    assert states(from_backlog, behind_it, running, waiting, ready) == [
        State.RUNNING,
        State.DROPPED,
        State.RUNNING,
        State.DROPPED,
        State.DROPPED,
    ]
    assert queue.in_memory == {1: from_backlog, 3: running}
    assert not queue.ready
    assert runnable(queue) == [2]
    again = make_delivery(4, 2)
    assert queue.admit(again)
    assert again.state is State.WAITING  # behind the one that runs
    queue.settle(running)
    assert list(queue.ready) == [again]


# Failures.


def test_a_failure_blocks_its_keys_and_parks_all_behind_it_in_one_step() -> None:
    one, behind, moved, last, free = (
        make_delivery(1, 1),
        make_delivery(2, 1),
        make_move(3, 1, 2),
        make_delivery(4, 2),
        make_delivery(5, 3),
    )
    queue = queue_of(one, behind, moved, last, free)
    take(queue)
    row, parked = queue.fail(one, FAILURE)
    assert parked == [behind, moved, last]
    assert (row.change_id, row.attempts, row.failures, row.written, row.loaded) == (1, 1, 1, False, False)
    assert queue.backlog.rows[1] is row
    assert states(one, *parked) == [State.SETTLING, *[State.PARKING] * 3]
    assert not queue.admit(make_delivery(6, 2))
    assert runnable(queue) == []
    queue.settle_failure(one)
    write_rows(queue, *parked)
    assert states(one, *parked) == [State.PARKED] * 4
    assert set(queue.in_memory) == {5, 6}
    assert runnable(queue) == [1, 2, 3, 4]


def test_a_failure_of_a_row_sends_those_behind_it_back() -> None:
    queue = queue_of()
    first, second, other = loaded(queue, 1, 1, 2)
    take(queue)
    row, parked = queue.fail(first, FAILURE)
    assert parked == []
    assert states(first, second, other) == [State.SETTLING, State.DROPPED, State.READY]
    assert queue.backlog.rows[1] is row
    assert runnable(queue) == []
    queue.settle_failure(first)
    assert runnable(queue) == [1, 2]


def test_a_failure_that_skips_lets_its_lane_go_on_after_the_commit() -> None:
    one, behind = make_delivery(1, 1, SKIPS), make_delivery(2, 1, SKIPS)
    queue = queue_of(one, behind, hook=SKIPS)
    take(queue)
    row, parked = queue.fail(one, FAILURE)
    assert parked == []
    assert not row.blocks
    assert queue.take() is None
    last = make_delivery(3, 1, SKIPS)
    assert queue.admit(last)
    queue.settle_failure(one)
    assert take(queue) == [behind]
    assert last.state is State.WAITING
    assert runnable(queue) == [1]


def test_a_failure_that_skips_no_longer_blocks_by_the_row_of_its_slow_run() -> None:
    slow, behind = make_delivery(1, 1, SKIPS), make_delivery(2, 1, SKIPS)
    queue = queue_of(slow, behind, hook=SKIPS)
    take(queue)
    assert queue.run_long([slow]) == [slow, behind]
    write_rows(queue, slow, behind)
    queue.fail(slow, FAILURE)
    queue.settle_failure(slow)
    assert runnable(queue) == [1, 2]


def test_the_last_failure_is_dead_and_blocks() -> None:
    hook = make_hook(max_attempts=1)
    one, behind = make_delivery(1, 1, hook), make_delivery(2, 1, hook)
    queue = queue_of(one, behind, hook=hook)
    take(queue)
    row, parked = queue.fail(one, FAILURE)
    queue.settle_failure(one)
    write_rows(queue, *parked)
    assert row.is_dead
    assert runnable(queue) == []
    queue.backlog.remove(1)  # someone has discarded it
    assert runnable(queue) == [2]


def test_merged_deliveries_are_settled_and_fail_with_the_first() -> None:
    for fails in (False, True):
        queue = queue_of()
        rows = [row_of(make_delivery(number, 1), due=0.0) for number in (1, 2, 3)]
        queue.backlog.reconcile(rows, complete=True, unsent=lambda _id: False)
        assert runnable(queue) == [1, 2, 3]
        merged = tuple(make_delivery(number, 1, has_row=True) for number in (2, 3))
        first = make_delivery(1, 1, merged=merged)
        queue.load(first)
        take(queue)
        if fails:
            queue.fail(first, FAILURE)
            queue.settle_failure(first)
            assert runnable(queue) == [1, 2, 3]
        else:
            queue.end(first)
            queue.settle(first)
            assert not queue.backlog.rows


# Other sessions.


def gone(queue: HookQueue, *change_ids: int) -> None:
    """Another session discards these rows."""
    rows = [
        msgspec.structs.replace(row, loaded=False)
        for row in queue.backlog.rows.values()
        if row.change_id not in change_ids
    ]
    for change_id in queue.backlog.reconcile(rows, complete=True, unsent=lambda _id: False):
        queue.withdraw_gone(change_id)


def test_a_row_that_is_gone_does_not_run() -> None:
    queue = queue_of()
    first, *_ = loaded(queue, 1, 1, 2)
    gone(queue, 1)
    assert first.state is State.DROPPED
    for change_id in runnable(queue):  # those that went back to their rows with it
        queue.load(make_delivery(change_id, 1))
    assert {delivery.change.id for delivery in take(queue, 2)} == {2, 3}
    assert queue.take() is None


def test_a_row_that_runs_runs_on_when_it_is_gone() -> None:
    """It cannot commit, because the other session has written its result."""
    queue = queue_of()
    first, second = loaded(queue, 1, 1)
    take(queue)
    gone(queue, 1)
    assert states(first, second) == [State.RUNNING, State.WAITING]
    queue.end(first)
    queue.settle(first)
    assert second.state is State.READY


def test_no_delivery_overtakes_one_that_runs_when_the_one_between_them_is_gone() -> None:
    """The first one may fail, and the last one must not have run by then."""
    queue = queue_of()
    first, second, third = loaded(queue, 1, 1, 1)
    take(queue)
    gone(queue, 2)
    assert states(first, second) == [State.RUNNING, State.DROPPED]
    assert queue.take() is None
    _, parked = queue.fail(first, FAILURE)
    assert third.state is not State.READY
    queue.settle_failure(first)
    write_rows(queue, *parked)
    assert runnable(queue) == [1, 3]


def test_no_row_overtakes_one_of_many_keys_behind_another_of_many_keys() -> None:
    """As rows, both are of the whole table. In memory they have no key in common, so one can stay without the other."""
    queue = queue_of()
    first, many, others, last = load(
        queue,
        make_delivery(1, 1),
        make_update_of_many(2, [1, 2, 3]),
        make_update_of_many(3, [4, 5, 6]),
        make_delivery(4, 2),
    )
    assert take(queue, 2) == [first, others]
    queue.fail(first, FAILURE)
    assert states(many, others, last) == [State.DROPPED, State.RUNNING, State.DROPPED]
    queue.settle_failure(first)
    queue.backlog.rows[1].due = 2 * LATER
    assert runnable(queue) == []
    queue.backlog.remove(1)
    assert runnable(queue) == [2, 4]


def test_no_row_overtakes_one_of_its_object_when_the_hook_has_another_order() -> None:
    """The rows keep the lane of their site. In memory each object has its own since then."""
    queue = queue_of()
    by_site = make_hook(order_by=("site",))
    made = [make_change(number, key, after={"site": 1}) for number, key in [(1, 1), (2, 2), (3, 1)]]
    rows = [row_of(delivery, due=0.0) for change in made for delivery in deliveries_of(change, [by_site])]
    queue.backlog.reconcile(rows, complete=True, unsent=lambda _id: False)
    assert runnable(queue) == [1, 2, 3]
    deliveries = [delivery for change in made for delivery in deliveries_of(change, [HOOK])]
    for delivery in deliveries:
        queue.load(delivery)
    (first, other) = take(queue, 2)
    queue.fail(first, FAILURE)
    assert states(*deliveries) == [State.SETTLING, State.RUNNING, State.DROPPED]
    assert other is deliveries[1]
    assert runnable(queue) == []
    queue.settle_failure(first)
    assert runnable(queue) == [1, 3]


def test_a_delivery_stays_until_the_row_of_its_long_run_is_written() -> None:
    """It keeps its page open: a hook that reads again begins before it, and a crash does not lose it."""
    first, second = make_delivery(1), make_delivery(2)
    queue = queue_of(first, second)
    late = queue.run_long(take_group(queue, 2))
    queue.give_back([second])
    queue.fail(first, FAILURE)
    assert states(first, second) == [State.SETTLING, State.PARKING]
    assert set(queue.in_memory) == {1, 2}
    queue.settle_failure(first)
    write_rows(queue, *late)
    assert states(first, second) == [State.PARKED, State.PARKED]
    assert queue.in_memory == {}
    assert runnable(queue) == [1, 2]


@pytest.mark.parametrize("state", [State.SETTLING, State.PARKING])
def test_a_wrong_transition_is_refused(state: State) -> None:
    """A fault in scheduling ends the session, and does not deliver twice."""
    delivery = make_delivery(1, state=state)
    with pytest.raises(AssertionError, match=rf"\b{state.name}\b.*\bRUNNING\b"):
        HookQueue(HOOK).begin(delivery)


# Random lives.


class Life:
    """A hook with a log, a table of rows and results: random events, as the dispatcher and the settler make them.

    ``finished``: changes with a final result, in the database; ``failed``: those with a failure, for which a hook that
    skips failures does not wait. ``batch``: what the settler has yet to write, in order.
    """

    def __init__(self, seed: int, hook: Hook) -> None:
        self.rng = random.Random(seed)
        self.hook = hook
        self.queue = HookQueue(hook)
        self.log: dict[int, tuple[int, ...]] = {}  # keys by change id; none: the whole table
        self.position = 0
        self.rows: dict[int, BacklogRow] = {}
        self.finished: dict[int, str] = {}
        self.failed: set[int] = set()
        self.groups: list[list[Delivery]] = []
        self.batch: list[tuple[str, Delivery]] = []
        self.unsent_rows: dict[int, BacklogRow] = {}
        self.keys, self.weights = self.rng.choice([(4, [10, 3, 1, 1]), (11, [3, 1, 3, 0])])  # of 1, 2, 3, all

    def delivery(self, change_id: int) -> Delivery:
        match self.log[change_id]:
            case ():
                return make_truncate(change_id, self.hook)
            case (key,):
                return make_delivery(change_id, key, self.hook)
            case (old, new):
                return make_move(change_id, old, new, self.hook)
            case keys:
                return make_update_of_many(change_id, keys, self.hook)

    def older(self, change_id: int) -> list[int]:
        """The older changes that this one must not overtake."""
        keys = set(self.log[change_id])
        return [
            other
            for other, others in self.log.items()
            if other < change_id and (not keys or not others or keys & set(others))
        ]

    def is_over(self, change_id: int) -> bool:
        return change_id in self.finished or (not self.hook.blocks and change_id in self.failed)

    # The log.

    def write(self) -> None:
        keys = self.rng.sample(range(self.keys), self.rng.choices([1, 2, 3, 0], self.weights)[0])
        self.log[len(self.log) + 1] = tuple(keys)

    def read(self) -> None:
        for _ in range(self.rng.randint(1, 4)):
            if self.position < len(self.log):
                self.position += 1
                self._admit(self.position)
        self.queue.backlog.position_moved()

    def _admit(self, change_id: int) -> None:
        if change_id in self.finished or change_id in self.rows or change_id in self.queue.in_memory:
            return
        delivery = self.delivery(change_id)
        if not self.queue.admit(delivery):
            self._park([delivery])

    def leave(self) -> None:
        """Read alone, from before the oldest delivery that is in memory only."""
        in_memory = [change_id for change_id in self.queue.in_memory if change_id not in self.rows]
        self.position = min([self.position, *(change_id - 1 for change_id in in_memory)])
        self.queue.drop()

    def crash(self) -> None:
        """Another daemon goes on, from a position before which everything is settled or a row."""
        self.queue = HookQueue(self.hook)
        self.batch, self.unsent_rows, self.groups = [], {}, []
        self._reconcile()
        safe = 0
        while safe + 1 in self.finished or safe + 1 in self.rows:
            safe += 1
        self.position = self.rng.randint(0, safe)

    # Running.

    def begin(self) -> None:
        first = self.queue.take()
        if first is None:
            return
        group = Group(first)
        self._check_begun(first, group)
        while not first.alone and self.rng.random() < 0.6:
            delivery = group.next_behind()
            if delivery is not None:
                self.queue.begin(delivery)
            elif self.queue.ready and not self.queue.ready[0].alone:
                (delivery,) = take(self.queue)
            else:
                break
            group.add(delivery)
            self._check_begun(delivery, group)
        self.groups.append(list(group.deliveries))

    def _check_begun(self, delivery: Delivery, group: Group) -> None:
        together = {each.change.id for each in group.deliveries}
        for other in self.older(delivery.change.id):
            assert self.is_over(other) or other in together, f"{delivery.change.id} has overtaken {other}"

    def end(self) -> None:
        """A group ends: given back, committed, or committed up to the first failure."""
        if not self.groups:
            return
        group = self.groups.pop(self.rng.randrange(len(self.groups)))
        if len(group) == 1:
            self._end_alone(group[0])
            return
        choice = self.rng.random()
        if choice < 0.2:
            self.queue.give_back(group)
            return
        kept = self.rng.randrange(len(group)) if choice < 0.6 else len(group)
        self.queue.give_back(group[kept + 1 :])
        if any(each.change.id in self.finished for each in group[: kept + 1]):
            for each in group[: kept + 1]:
                each.alone = True
            self.queue.give_back(group[: kept + 1])
            return
        for each in group[:kept]:
            self._finish(each, "success")
        for each in group[:kept]:
            self._on_recorded(each)
        for each in group[kept : kept + 1]:
            self._on_failure(each)

    def _end_alone(self, delivery: Delivery) -> None:
        choice = self.rng.random()
        if delivery.change.id in self.finished:
            self._on_recorded(delivery)  # another session has discarded it
        elif choice < 0.1:
            self.queue.give_back([delivery])
        elif choice < 0.4:
            self._on_failure(delivery)
        elif choice < 0.7:
            self._finish(delivery, "success")
            self._on_recorded(delivery)
        else:
            self.queue.end(delivery)
            self.batch.append(("success", delivery))
            if delivery.has_row:
                self._done(delivery)

    def _on_recorded(self, delivery: Delivery) -> None:
        if delivery.has_row:
            self.queue.end(delivery)
            self._done(delivery)
        else:
            self.queue.settle(delivery)

    def _on_failure(self, delivery: Delivery) -> None:
        row, behind = self.queue.fail(delivery, FAILURE)
        self.batch.append(("failure", delivery))
        self.unsent_rows[row.change_id] = row
        self._park(behind)

    def _done(self, delivery: Delivery) -> None:
        self.unsent_rows.pop(delivery.change.id, None)
        self.batch.append(("done", delivery))

    def _park(self, deliveries: list[Delivery]) -> None:
        for delivery in deliveries:
            self.batch.append(("parked", delivery))
            self.unsent_rows[delivery.change.id] = self.queue.backlog.rows[delivery.change.id]

    def _finish(self, delivery: Delivery, how: str) -> None:
        change_id = delivery.change.id
        assert change_id not in self.finished, "twice"
        for other in self.older(change_id):
            assert self.is_over(other), f"{change_id} is finished before {other}"
        self.finished[change_id] = how

    def run_long(self) -> None:
        running = [delivery for group in self.groups for delivery in group]
        if running:
            self._park(self.queue.run_long(self.rng.sample(running, self.rng.randint(1, len(running)))))

    # The settler.

    def commit(self) -> None:
        batch, self.batch = self.batch, []
        rows, self.unsent_rows = self.unsent_rows, {}
        refused = sum(not self._write_result(what, delivery) for what, delivery in batch)
        discarded = {delivery.change.id for what, delivery in batch if what == "failure"} & self.finished.keys()
        for change_id, row in rows.items():
            if change_id not in discarded:
                self.rows[change_id] = msgspec.structs.replace(row)
        for what, delivery in batch:
            if what == "done":
                self.rows.pop(delivery.change.id, None)
        for what, delivery in sorted(batch, key=lambda each: ["success", "failure", "parked", "done"].index(each[0])):
            self._on_committed(what, delivery)
        if refused:
            self._reconcile()

    def _write_result(self, what: str, delivery: Delivery) -> bool:
        """False: another session has written a result."""
        change_id = delivery.change.id
        if what == "failure":
            self.failed.add(change_id)
        if what in ("success", "failure") and change_id in self.finished:
            return False
        if what == "success":
            self._finish(delivery, "success")
        return True

    def _on_committed(self, what: str, delivery: Delivery) -> None:
        if what == "parked":
            self.queue.row_written(delivery)
        elif what == "failure":
            self.queue.settle_failure(delivery)
        elif delivery.state is State.SETTLING:
            self.queue.settle(delivery)
        elif delivery.state is State.WAITING:
            self.queue.backlog.remove(delivery.change.id)

    # The backlog.

    def load(self) -> None:
        most = self.rng.choice([1, 3, 1000])
        for each in self.queue.backlog.take_runnable(LATER, most, lambda row: row.change_id <= self.position):
            row = each.row
            delivery = self.delivery(row.change_id)
            delivery.attempts, delivery.failures = row.attempts, row.failures
            if row.change_id in self.finished:
                self._done(delivery)
            else:
                self.queue.load(delivery)

    def decide(self) -> None:
        """Another session retries rows and discards others; the daemon compares its rows with the table."""
        for change_id, row in list(self.rows.items()):
            choice = self.rng.random()
            if choice < 0.3:
                row.due, row.failures, row.blocks = 0.0, 0, True
            elif choice < 0.5 and change_id not in self.finished:
                self.finished[change_id] = "discarded"
                del self.rows[change_id]
        self._reconcile()

    def _reconcile(self) -> None:
        rows = [msgspec.structs.replace(row, loaded=False, written=True) for row in self.rows.values()]
        unsent = {delivery.change.id for what, delivery in self.batch if what == "done"} | self.unsent_rows.keys()
        for change_id in self.queue.backlog.reconcile(rows, complete=True, unsent=lambda id_: id_ in unsent):
            self._park(self.queue.withdraw_gone(change_id) or [])

    # What must hold after each event.

    def check(self) -> None:
        queue = self.queue
        here = set(queue.in_memory) | set(queue.backlog.rows)
        assert here | set(self.finished) >= set(range(1, self.position + 1)), "lost"
        assert queue.backlog.loaded == sum(row.loaded for row in queue.backlog.rows.values())
        assert all(delivery.state is State.READY for delivery in queue.ready)
        assert queue.running == {delivery for group in self.groups for delivery in group}
        if self.hook.blocks:
            self._check_lanes()

    def _check_lanes(self) -> None:
        for delivery in self.queue.in_memory.values():
            if delivery.state in IN_LANES:
                for other in self.older(delivery.change.id):
                    row = self.queue.backlog.rows.get(other)
                    assert row is None or row.loaded, f"{delivery.change.id} is scheduled, and {other} is not in memory"

    def finish(self) -> None:
        """Let everything end well."""
        self.end = self._end_well  # type: ignore[method-assign]
        for _ in range(10 * len(self.log) + 10):
            if len(self.finished) == len(self.log):
                return
            for row in self.rows.values():
                row.due, row.failures = 0.0, 0
            self._reconcile()
            for step in (self.read, self.load, self.begin, self.end, self.commit):
                step()
                self.check()
        raise AssertionError(f"never delivered: {set(self.log) - set(self.finished)}")

    def _end_well(self) -> None:
        for group in self.groups:
            for delivery in group:
                if delivery.change.id not in self.finished:
                    self._finish(delivery, "success")
            for delivery in group:
                self._on_recorded(delivery)
        self.groups.clear()


@pytest.mark.parametrize("on_failure", [FailurePolicy.BLOCK, FailurePolicy.SKIP])
@given(seed=st.integers(0, 2**32))
def test_no_delivery_is_lost_or_runs_too_early(seed: int, on_failure: FailurePolicy) -> None:
    """Failures, slow runs, groups, crashes, hooks that read alone, retries and discards, in any order."""
    life = Life(seed, make_hook(backoff=0.0, max_attempts=3, on_failure=on_failure))
    steps: dict[Callable[[], None], int] = {
        life.write: 8,
        life.read: 6,
        life.begin: 6,
        life.end: 6,
        life.commit: 4,
        life.load: 3,
        life.run_long: 1,
        life.leave: 1,
        life.decide: 1,
        life.crash: 1,
    }
    for step in life.rng.choices(list(steps), list(steps.values()), k=120):
        step()
        life.check()
    life.finish()
