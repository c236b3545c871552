"""Lanes: which deliveries of a hook wait for which others, so that an object's changes come in order. No I/O."""

from collections.abc import Iterable
from typing import TypeVar

from jobhooks.engine.delivery.delivery import Delivery
from jobhooks.engine.delivery.lane import LaneKey

Key = TypeVar("Key")


class Lanes:
    """The deliveries of one hook in memory, each behind the earlier ones in its lanes.

    A delivery for a whole table waits for all earlier ones of its table, and later ones wait for it. Each lane keeps
    all its deliveries in order. So if some are withdrawn that have not run, the next delivery is placed behind those
    that remain.
    """

    def __init__(self) -> None:
        self._lanes: dict[LaneKey, list[Delivery]] = {}
        self._tables: dict[int, list[Delivery]] = {}  # deliveries for a whole table

    def add(self, delivery: Delivery) -> bool:
        """Add a delivery behind the earlier ones; whether it can run now."""
        lanes = delivery.lanes
        if lanes[0][1] is None:
            self._add_for_table(delivery)
            return not delivery.waits_for
        for lane in lanes:
            there = self._lanes.get(lane)
            if there is None:
                self._lanes[lane] = [delivery]
            else:
                _wait(delivery, there[-1])
                there.append(delivery)
        if self._tables:
            there = self._tables.get(lanes[0][0])
            if there is not None:
                _wait(delivery, there[-1])
        return not delivery.waits_for

    def _add_for_table(self, delivery: Delivery) -> None:
        table = delivery.lanes[0][0]
        there = self._tables.setdefault(table, [])
        before = {id(other[-1]): other[-1] for lane, other in self._lanes.items() if lane[0] == table}
        for other in [*before.values(), *there[-1:]]:
            _wait(delivery, other)
        there.append(delivery)

    def finish(self, delivery: Delivery) -> list[Delivery]:
        """Remove a delivery; the deliveries that no longer wait for any other."""
        followers = delivery.followers
        if not followers and len(delivery.lanes) == 1 and self._lanes.get(delivery.lanes[0]) == [delivery]:
            del self._lanes[delivery.lanes[0]]  # most often: nothing before it, nothing behind it
            return followers
        self._remove(delivery)
        freed: list[Delivery] = []
        for follower in followers:
            follower.waits_for -= 1
            if not follower.waits_for:
                freed.append(follower)
        return freed

    def withdraw(self, deliveries: Iterable[Delivery]) -> list[Delivery]:
        """Remove deliveries with everything that waits for them; all of them, oldest first."""
        withdrawn: dict[int, Delivery] = {}
        waiting = list(deliveries)
        while waiting:
            delivery = waiting.pop()
            if id(delivery) in withdrawn:
                continue
            withdrawn[id(delivery)] = delivery
            waiting += delivery.followers
        for delivery in withdrawn.values():
            self._remove(delivery)
        for delivery in withdrawn.values():
            delivery.followers.clear()
        return sorted(withdrawn.values(), key=lambda delivery: delivery.change.id)

    def _remove(self, delivery: Delivery) -> None:
        table, key = delivery.lanes[0]
        if key is None:
            _take_out(self._tables, table, delivery)
            return
        for lane in delivery.lanes:
            _take_out(self._lanes, lane, delivery)


def _wait(delivery: Delivery, before: Delivery) -> None:
    before.followers.append(delivery)
    delivery.waits_for += 1


def _take_out(lanes: dict[Key, list[Delivery]], key: Key, delivery: Delivery) -> None:
    """Remove a delivery from one lane if it is there. A failed delivery was withdrawn before it is settled."""
    there = lanes.get(key)
    if there is None:
        return
    if len(there) == 1:
        if there[0] is delivery:
            del lanes[key]
    elif there[0] is delivery:
        del there[0]
    elif delivery in there:
        there.remove(delivery)
