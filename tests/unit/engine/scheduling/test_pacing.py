"""The ready deliveries of a hook with a rate: how many may begin, their order, and when the next one may."""

import asyncio
from collections.abc import Iterator
from dataclasses import replace
from typing import cast
from unittest.mock import patch

import pytest
from hypothesis import given, strategies as st

from jobhooks.engine.delivery.delivery import Delivery, deliveries_of
from jobhooks.engine.delivery.group import Group
from jobhooks.engine.delivery.observer import Observer, Observers
from jobhooks.engine.delivery.protocols import DeliverySource
from jobhooks.engine.scheduling.hook_queue import HookQueue
from jobhooks.engine.scheduling.hook_tasks import HookTasks, TaskOwner
from jobhooks.engine.scheduling.pacing import KEYS_PER_CALL, MANY_KEYS, PacedDeliveries
from jobhooks.matching.hook_table import Hook
from jobhooks.matching.rate import Rate
from support.making import make_change, make_delivery, make_hook, make_truncate

TWO_A_MINUTE = Rate(2, 60)  # one each 30 seconds
THIRTY = Rate(30, 60)  # three together, then one each 60/28 seconds


class FakeClock:
    def __init__(self) -> None:
        self.now = 1000.0


@pytest.fixture
def clock() -> Iterator[FakeClock]:
    clock = FakeClock()
    with patch("time.monotonic", lambda: clock.now):
        yield clock


def paced(rate: Rate, *per: str, alarms: list[float] | None = None) -> PacedDeliveries:
    return PacedDeliveries(rate, per, (alarms if alarms is not None else []).append)


def of_tenant(number: int, tenant: int) -> Delivery:
    change = make_change(number, number, after={"tenant_id": tenant})
    return deliveries_of(change, [make_hook()])[0]


def taken(ready: PacedDeliveries) -> list[int]:
    ids: list[int] = []
    while ready:
        first = ready[0]
        assert ready.popleft() is first
        ids.append(first.change.id)
    return ids


def test_deliveries_begin_at_the_rate_of_the_hook(clock: FakeClock) -> None:
    alarms: list[float] = []
    ready = paced(TWO_A_MINUTE, alarms=alarms)
    ready.extend(make_delivery(number, number) for number in range(1, 5))
    assert taken(ready) == [1]
    assert alarms == [1030.0]
    clock.now = 1029.9
    assert not ready
    ready.look()
    assert alarms == [1030.0, 1030.0]  # the alarm went off too early
    clock.now = 1030.0
    assert taken(ready) == [2]
    clock.now = 1300.0
    assert taken(ready) == [3]  # a pause saves up no more than a burst
    assert [each.change.id for each in ready] == [4]


def test_a_part_of_the_number_may_begin_at_once(clock: FakeClock) -> None:
    ready = paced(THIRTY)
    ready.extend(make_delivery(number, number) for number in range(1, 50))
    assert taken(ready) == [1, 2, 3]
    clock.now += 60.0 / 28 + 0.001
    assert taken(ready) == [4]


def test_a_key_with_many_deliveries_delays_no_other(clock: FakeClock) -> None:
    ready = paced(TWO_A_MINUTE, "tenant_id")
    ready.extend(of_tenant(number, 1) for number in range(1, 1001))
    assert taken(ready) == [1]
    ready.append(of_tenant(1001, 2))
    assert taken(ready) == [1001]
    clock.now += 30.0
    ready.append(of_tenant(1002, 2))
    assert sorted(taken(ready)) == [2, 1002]


def test_keys_take_turns_in_a_burst(clock: FakeClock) -> None:
    """If runs are few at a time, the key that has begun less is first."""
    ready = paced(Rate(100, 60), "tenant_id")
    ready.extend(of_tenant(number, 1) for number in range(1, 6))
    ready.extend(of_tenant(number, 2) for number in range(6, 11))
    order = taken(ready)
    assert {order[0], order[1]} == {1, 6} and {order[2], order[3]} == {2, 7}


def test_each_object_has_the_rate_for_itself(clock: FakeClock) -> None:
    ready = paced(TWO_A_MINUTE, "object")
    ready.extend([make_delivery(1, 7), make_delivery(2, 7), make_delivery(3, 8)])
    assert sorted(taken(ready)) == [1, 3]


def test_changes_without_the_column_share_a_key(clock: FakeClock) -> None:
    """A truncate has no row; a table may have lost the column."""
    ready = paced(TWO_A_MINUTE, "tenant_id")
    ready.extend([make_truncate(1), make_delivery(2, 1)])
    assert taken(ready) == [1]


def test_a_follower_in_a_group_counts(clock: FakeClock) -> None:
    ready = paced(TWO_A_MINUTE)
    follower = make_delivery(1)
    assert ready.take_waiting(follower)
    assert not ready.take_waiting(make_delivery(2))
    ready.append(make_delivery(3))
    assert not ready
    clock.now += 30.0
    assert ready.take_waiting(make_delivery(4))
    assert not ready  # the turn of the ready one has moved
    clock.now += 30.0
    assert taken(ready) == [3]


def test_what_is_given_back_stays_used(clock: FakeClock) -> None:
    ready = paced(TWO_A_MINUTE)
    ready.extend([make_delivery(1, 1), make_delivery(2, 2)])
    first = ready.popleft()
    ready.appendleft(first)
    assert not ready
    clock.now += 30.0
    assert ready.popleft() is first


def test_a_turn_is_given_once(clock: FakeClock) -> None:
    """Each delivery that waits gets the next one; deliveries that begin before it move them."""
    ready = paced(TWO_A_MINUTE, "tenant_id")
    turns = [ready.reserve(of_tenant(number, 1)) - 1000.0 for number in range(1, 4)]
    assert turns == [0.0, 30.0, 60.0]
    assert ready.reserve(of_tenant(4, 2)) == 1000.0
    ready.clear()  # the hook reads from another position: all of them come again
    assert ready.reserve(of_tenant(1, 1)) == 1000.0


def test_a_daemon_that_takes_over_keeps_to_what_was_used(clock: FakeClock) -> None:
    former = paced(TWO_A_MINUTE)
    former.extend(make_delivery(number, number) for number in (1, 2))
    assert taken(former) == [1]
    (used,) = former.used()
    assert former.used() == []  # nothing has begun since
    clock.now += 10.0
    ready = paced(TWO_A_MINUTE)
    ready.load([(used[0], used[1] - 10.0)])
    ready.append(make_delivery(2, 2))
    assert not ready
    clock.now += 20.0
    assert taken(ready) == [2]


def test_a_clock_that_was_set_back_delays_nothing_for_long(clock: FakeClock) -> None:
    ready = paced(TWO_A_MINUTE)
    ready.load([(0, 100_000.0)])
    ready.append(make_delivery(1))
    clock.now += 30.0
    assert taken(ready) == [1]


def test_keys_that_use_nothing_are_forgotten(clock: FakeClock) -> None:
    ready = paced(TWO_A_MINUTE, "object")
    for number in range(2 * MANY_KEYS):
        ready.append(make_delivery(number, number))
    assert len(taken(ready)) == 2 * MANY_KEYS
    assert len(ready.used()) == 2 * MANY_KEYS
    clock.now += 61.0
    ready.append(make_delivery(1, 1))
    assert taken(ready) == [1]
    ready.used()
    assert len(ready._keys) == 1  # pyright: ignore[reportPrivateUsage]


async def _in_one_task(rate: str) -> list[int]:
    """The deliveries that a task of a hook can take into one group: two changes of an object, and one of another."""
    hook = replace(make_hook(), rate=rate)
    queue = HookQueue(hook)
    for number, key in ((1, 1), (2, 1), (3, 2)):
        queue.admit(make_delivery(number, key, hook))
    found: list[Delivery] = []

    async def work_off(_hook: Hook, source: DeliverySource) -> None:
        if (first := source.take()) is not None:
            group = Group(first)
            while source.more_of(group) is not None:
                pass
            found.extend(group.deliveries)

    tasks = HookTasks({1: queue}, work_off, cast(TaskOwner, Nobody()), Observers(Silent()))
    tasks.start(queue)
    await asyncio.sleep(0)  # the task takes all that it can
    await tasks.stop()
    return [delivery.change.id for delivery in found]


class Silent(Observer):
    """Observes nothing."""


class Nobody:
    """Owns tasks that report nothing."""

    on_outcome = None


class Counts(PacedDeliveries):
    """Counts how often it goes through all keys."""

    looks = 0

    def _forget_keys(self, now: float) -> None:
        self.looks += 1
        super()._forget_keys(now)


@pytest.mark.usefixtures("clock")
def test_many_keys_that_stay_are_not_looked_at_each_second() -> None:
    """It takes the event loop from all hooks: 0.3 seconds for a million keys."""
    ready = Counts(TWO_A_MINUTE, ["tenant_id"], lambda _: None)
    ready.load((number, 60.0) for number in range(5 * KEYS_PER_CALL))
    for _ in range(100):
        ready.used()
    assert 2 <= ready.looks <= 21


def test_a_group_grows_no_further_than_the_rate(clock: FakeClock) -> None:
    assert asyncio.run(_in_one_task("")) == [1, 2, 3]
    assert asyncio.run(_in_one_task("1/min")) == [1]
    assert asyncio.run(_in_one_task("20/min")) == [1, 2]  # a tenth together


@given(
    count=st.integers(1, 40),
    steps=st.lists(st.tuples(st.floats(0, 20), st.integers(1, 3), st.integers(0, 5)), max_size=60),
)
def test_no_period_has_more_than_the_rate(count: int, steps: list[tuple[float, int, int]]) -> None:
    clock, began = FakeClock(), dict[int, list[float]]()
    with patch("time.monotonic", lambda: clock.now):
        ready, number = paced(Rate(count, 60), "tenant_id"), 0
        for seconds, tenant, more in steps:
            clock.now += seconds
            for _ in range(more):
                number += 1
                ready.append(of_tenant(number, tenant))
            while ready:
                row = ready.popleft().change.postchange
                assert row is not None
                began.setdefault(int(str(row["tenant_id"])), []).append(clock.now)
    for times in began.values():
        for start in times:
            assert sum(start <= at < start + 59.999 for at in times) <= count
