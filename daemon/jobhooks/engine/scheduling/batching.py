"""Gathering the deliveries of one batch, for a receiver that takes batches. No I/O."""

from collections import defaultdict

from jobhooks.engine.delivery.delivery import Delivery


class Gathering:
    """Deliveries of one hook, each after everything that it waits for."""

    def __init__(self, first: Delivery) -> None:
        self.deliveries = [first]
        self._counted = [0]  # followers of each delivery that have been counted
        self._before: dict[int, int] = defaultdict(int)  # by id(follower): how many of these deliveries it waits for

    def add(self, delivery: Delivery) -> None:
        """Add a delivery that waits for nothing but these."""
        self.deliveries.append(delivery)
        self._counted.append(0)

    def next_behind(self) -> Delivery | None:
        """The next delivery that waits for these only, and is not one of them; the caller adds it if it wants more."""
        for number, delivery in enumerate(self.deliveries):
            while self._counted[number] < len(delivery.followers):
                follower = delivery.followers[self._counted[number]]
                self._counted[number] += 1
                self._before[id(follower)] += 1
                if self._before[id(follower)] == follower.waits_for and not follower.withdrawn:
                    return follower
        return None
