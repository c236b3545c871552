"""Gathering what a receiver that takes batches gets in one call. No I/O."""

from collections import defaultdict

from jobhooks.engine.delivery.delivery import Delivery


class Gathering:
    """Deliveries of one hook, each after all that it had to wait for."""

    def __init__(self, first: Delivery) -> None:
        self.deliveries = [first]
        self._looked_at = [0]  # of the followers of each: how many have been counted
        self._before: dict[int, int] = defaultdict(int)  # by id(follower): how many of these it waits for

    def add(self, delivery: Delivery) -> None:
        """Add a delivery that waits for none, or for none but these."""
        self.deliveries.append(delivery)
        self._looked_at.append(0)

    def next_behind(self) -> Delivery | None:
        """Return a delivery that waits for these only, and is not among them yet, if there is one.

        The caller adds it, unless it wants no more.
        """
        for number, delivery in enumerate(self.deliveries):
            while self._looked_at[number] < len(delivery.followers):
                follower = delivery.followers[self._looked_at[number]]
                self._looked_at[number] += 1
                self._before[id(follower)] += 1
                if self._before[id(follower)] == follower.waits_for and not follower.gone:
                    return follower
        return None
