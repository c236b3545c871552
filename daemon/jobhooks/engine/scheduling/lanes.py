"""Lanes: which deliveries must wait for which others, so that each hook sees an object's changes in order. No I/O."""

import struct
from collections.abc import Iterable
from hashlib import blake2b
from typing import TypeVar, assert_never

from jobhooks.contract.change import Change
from jobhooks.contract.choices import Ordering
from jobhooks.engine.delivery.delivery import Delivery, LaneKey
from jobhooks.matching.hook_table import Hook

Key = TypeVar("Key")
OBJECT = Ordering.OBJECT


def lane_keys(change: Change, hook_id: int, keys: tuple[bytes, ...] | None) -> tuple[LaneKey, ...]:
    """Return a hook's lanes for a change whose object has these ``keys``: the old one, and the new one if it differs.

    A truncate is in the lane of the whole table, and so is a change whose row has no key any more (None). All changes
    of a table without key columns are in one lane.
    """
    content_type_id = change.content_type.id
    if keys is None:
        return ((hook_id, content_type_id, None),)
    if len(keys) == 1:
        return ((hook_id, content_type_id, keys[0]),)
    return tuple((hook_id, content_type_id, key) for key in keys)


def deliveries_of(change: Change, hooks: Iterable[Hook]) -> list[Delivery]:
    """Return what a change owes to the hooks that it is for."""
    keys = change.lane_keys()
    return [
        Delivery(change, hook, lane_keys(change, hook.id, keys if hook.order_by is OBJECT else _ordered(change, hook)))
        for hook in hooks
    ]


def _ordered(change: Change, hook: Hook) -> tuple[bytes, ...] | None:
    """Return the keys by which a hook has its changes in order where that is not by object.

    Without any order each change has a key of its own, which no row can have: it is no JSON.
    """
    match hook.order_by:
        case Ordering.NONE:
            return (b"#%d" % change.id,)
        case Ordering.TABLE:
            return change.lane_keys(())
        case Ordering.COLUMNS:
            return change.lane_keys(hook.order_columns)
        case Ordering.OBJECT:
            return change.lane_keys()
        case _:
            assert_never(hook.order_by)


def lane_numbers(delivery: Delivery) -> tuple[int | None, int | None]:
    """Return the lanes as debts have them: numbers of 64 bits. Two objects that share one wait for each other."""
    numbers = [_number(lane) for lane in delivery.lanes]
    return numbers[0], numbers[1] if len(numbers) > 1 else None


def _number(lane: LaneKey) -> int | None:
    _, content_type_id, key = lane
    if key is None:
        return None
    (number,) = struct.unpack("q", blake2b(key, digest_size=8, salt=struct.pack("q", content_type_id)).digest())
    return number


class Lanes:
    """The deliveries in memory, each behind those of its lanes that came before it.

    A delivery for a whole table waits for all of its hook and table that came before, and those that come after wait
    for it. In each lane all that are there are known, in order: so that when some are taken out that have not run,
    what comes next is behind those that are left.
    """

    def __init__(self) -> None:
        self._lanes: dict[LaneKey, list[Delivery]] = {}
        self._tables: dict[tuple[int, int], list[Delivery]] = {}  # those for a whole table

    def add(self, delivery: Delivery) -> bool:
        """Add a delivery behind those before it; return whether it may run at once."""
        if delivery.lanes[0][2] is None:
            self._add_for_table(delivery)
            return not delivery.waits_for
        for lane in delivery.lanes:
            there = self._lanes.get(lane)
            if there is None:
                self._lanes[lane] = [delivery]
            else:
                _wait(delivery, there[-1])
                there.append(delivery)
        if self._tables:
            there = self._tables.get(delivery.lanes[0][:2])
            if there is not None:
                _wait(delivery, there[-1])
        return not delivery.waits_for

    def _add_for_table(self, delivery: Delivery) -> None:
        table = delivery.lanes[0][:2]
        there = self._tables.setdefault(table, [])
        before = {id(other[-1]): other[-1] for lane, other in self._lanes.items() if lane[:2] == table}
        for other in [*before.values(), *there[-1:]]:
            _wait(delivery, other)
        there.append(delivery)

    def finish(self, delivery: Delivery) -> list[Delivery]:
        """Take a delivery out; return those that may run now."""
        self._remove(delivery)
        ready: list[Delivery] = []
        for follower in delivery.followers:
            follower.waits_for -= 1
            if not follower.waits_for and not follower.gone:
                ready.append(follower)
        return ready

    def abandon(self, deliveries: Iterable[Delivery]) -> list[Delivery]:
        """Take out deliveries that are not settled, and all that wait for them; return them all, oldest first."""
        abandoned: dict[int, Delivery] = {}
        waiting = list(deliveries)
        while waiting:
            delivery = waiting.pop()
            if delivery.gone or id(delivery) in abandoned:
                continue
            abandoned[id(delivery)] = delivery
            waiting += delivery.followers
        for delivery in abandoned.values():
            delivery.gone = True
            self._remove(delivery)
        return sorted(abandoned.values(), key=lambda delivery: delivery.change.id)

    def _remove(self, delivery: Delivery) -> None:
        if delivery.lanes[0][2] is None:
            _take_out(self._tables, delivery.lanes[0][:2], delivery)
            return
        for lane in delivery.lanes:
            _take_out(self._lanes, lane, delivery)


def _wait(delivery: Delivery, before: Delivery) -> None:
    before.followers.append(delivery)
    delivery.waits_for += 1


def _take_out(lanes: dict[Key, list[Delivery]], key: Key, delivery: Delivery) -> None:
    """Take a delivery out of one lane, if it is there: what was abandoned and has run to its end is not."""
    there = lanes.get(key)
    if there is None or delivery not in there:
        return
    if len(there) == 1:
        del lanes[key]
    else:
        there.remove(delivery)
