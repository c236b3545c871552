"""A group: only deliveries that wait for nothing but the group, each after everything that it waits for."""

import random

from hypothesis import given, strategies as st

from jobhooks.engine.delivery.delivery import Delivery, deliveries_of
from jobhooks.engine.delivery.group import Group
from jobhooks.engine.delivery.state import State
from jobhooks.engine.scheduling.lanes import Lanes
from support.making import make_change, make_hook

HOOK = make_hook()


def added(lanes: Lanes, number: int, *keys: int) -> Delivery:
    """A delivery in its lanes; with two keys it moves an object from the one to the other."""
    change = make_change(number, keys[-1])
    if len(keys) > 1:
        change = make_change(number, before={"id": keys[0]}, after={"id": keys[1]})
    (delivery,) = deliveries_of(change, [HOOK])
    lanes.add(delivery)
    return delivery


def gather(first: Delivery, *others: Delivery) -> list[int]:
    """The ids of all that go into a batch with these, which wait for nothing."""
    group = Group(first)
    for other in others:
        group.add(other)
    while (delivery := group.next_behind()) is not None:
        group.add(delivery)
    return [delivery.change.id for delivery in group.deliveries]


def test_a_batch_takes_everything_behind_its_first_delivery() -> None:
    lanes = Lanes()
    first, *_ = [added(lanes, number, 1) for number in (1, 2, 3)]
    added(lanes, 4, 2)
    assert gather(first) == [1, 2, 3]


def test_a_delivery_that_waits_for_two_needs_both_in_the_batch() -> None:
    """It moved an object to the key of another one."""
    lanes = Lanes()
    one, other = added(lanes, 1, 1), added(lanes, 2, 2)
    added(lanes, 3, 1, 2)
    assert gather(one) == [1]
    assert gather(one, other) == [1, 2, 3]


def test_a_delivery_that_waits_no_longer_is_left_out() -> None:
    """It was parked, or dropped; it is still among the followers."""
    lanes = Lanes()
    first, second = added(lanes, 1, 1), added(lanes, 2, 1)
    lanes.withdraw([second])
    second.state = State.PARKING
    third = added(lanes, 3, 1)
    assert gather(first) == [1, 3]
    assert third.waits_for == 1


def test_a_follower_that_comes_later_is_found() -> None:
    lanes = Lanes()
    group = Group(added(lanes, 1, 1))
    assert group.next_behind() is None
    second = added(lanes, 2, 1)
    group.look_again()
    assert group.next_behind() is second
    assert group.next_behind() is None  # it is not added: the caller wanted no more


@given(st.integers(0, 2**32))
def test_random_batches_keep_the_order(seed: int) -> None:
    """Each delivery of a batch comes after all that it waits for, and nothing outside of the batch is before it."""
    rng = random.Random(seed)
    lanes = Lanes()
    deliveries = [added(lanes, number, *rng.sample(range(4), rng.randint(1, 2))) for number in range(1, 20)]
    before: dict[int, set[int]] = {delivery.change.id: set() for delivery in deliveries}
    for delivery in deliveries:
        for follower in delivery.followers:
            before[follower.change.id].add(delivery.change.id)
    batch = gather(*rng.sample([delivery for delivery in deliveries if not delivery.waits_for], 1))
    for position, number in enumerate(batch):
        assert before[number] <= set(batch[:position])
    left = set(before) - set(batch)
    assert all(before[number] - set(batch) for number in left if before[number])
