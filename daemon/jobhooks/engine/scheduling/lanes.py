"""Lanes: which deliveries must wait for which others, so that each hook sees an object's changes in order. No I/O."""

from collections.abc import Iterable
from typing import TypeVar

from jobhooks.engine.delivery.delivery import Delivery
from jobhooks.engine.delivery.lane import LaneKey

Key = TypeVar("Key")


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
