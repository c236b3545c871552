"""Lanes: which deliveries wait for which others, so that each hook sees an object's changes in order. No I/O."""

from collections.abc import Iterable
from typing import TypeVar

from jobhooks.engine.delivery.delivery import Delivery
from jobhooks.engine.delivery.lane import LaneKey

Key = TypeVar("Key")


class Lanes:
    """The deliveries in memory, each behind the earlier ones in its lanes.

    A delivery for a whole table waits for all earlier ones of its hook and table, and later ones wait for it. Each lane
    keeps all its deliveries in order. So if some are withdrawn that have not run, the next delivery is placed behind
    those that remain.
    """

    def __init__(self) -> None:
        self._lanes: dict[LaneKey, list[Delivery]] = {}
        self._tables: dict[tuple[int, int], list[Delivery]] = {}  # deliveries for a whole table

    def add(self, delivery: Delivery) -> bool:
        """Add a delivery behind the earlier ones; whether it can run now."""
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
        """Remove a delivery; the deliveries that can run now."""
        self._remove(delivery)
        ready: list[Delivery] = []
        for follower in delivery.followers:
            follower.waits_for -= 1
            if not follower.waits_for and not follower.withdrawn:
                ready.append(follower)
        return ready

    def withdraw(self, deliveries: Iterable[Delivery]) -> list[Delivery]:
        """Remove deliveries that are not settled, with everything that waits for them; all of them, oldest first."""
        withdrawn: dict[int, Delivery] = {}
        waiting = list(deliveries)
        while waiting:
            delivery = waiting.pop()
            if delivery.withdrawn or id(delivery) in withdrawn:
                continue
            withdrawn[id(delivery)] = delivery
            waiting += delivery.followers
        for delivery in withdrawn.values():
            delivery.withdrawn = True
            self._remove(delivery)
        return sorted(withdrawn.values(), key=lambda delivery: delivery.change.id)

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
    """Remove a delivery from one lane if it is there. A running delivery that was withdrawn no longer is."""
    there = lanes.get(key)
    if there is None or delivery not in there:
        return
    if len(there) == 1:
        del lanes[key]
    else:
        there.remove(delivery)
