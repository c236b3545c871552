"""A group of deliveries that a hook task attempts together: for one call, or in one transaction. No I/O."""

from collections import defaultdict

from jobhooks.engine.delivery.delivery import Delivery
from jobhooks.engine.delivery.state import State


class Group:
    """Deliveries of one hook, in the order taken: each after everything that it waits for.

    No member may be settled while the group can grow: ``waits_for`` of its followers would count it no more.
    """

    __slots__ = ("_at", "_before", "_counted", "deliveries")

    def __init__(self, first: Delivery) -> None:
        self.deliveries = [first]
        self._at = 0  # the followers of the deliveries before this one have been counted
        self._counted: dict[int, int] = {}  # by place: followers of this delivery that have been counted
        self._before: dict[int, int] = defaultdict(int)  # by id(follower): how many of these deliveries it waits for

    def add(self, delivery: Delivery) -> None:
        """Add a delivery that waits for nothing but these."""
        self.deliveries.append(delivery)

    def next_behind(self) -> Delivery | None:
        """The next delivery that waits for these only, and is not one of them; the caller adds it if it wants more."""
        while self._at < len(self.deliveries):
            followers = self.deliveries[self._at].followers
            if followers:
                counted = self._counted.get(self._at, 0)
                while counted < len(followers):
                    follower = followers[counted]
                    counted += 1
                    self._before[id(follower)] += 1
                    if self._before[id(follower)] == follower.waits_for and follower.state is State.WAITING:
                        self._counted[self._at] = counted
                        return follower
                self._counted[self._at] = counted
            self._at += 1
        return None

    def look_again(self) -> None:
        """Look for followers that have come since ``next_behind`` found the last one."""
        self._at = 0
