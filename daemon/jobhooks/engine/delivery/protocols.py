"""How scheduling and running work together: one has deliveries to attempt, the other reports their outcomes."""

from collections.abc import Callable
from typing import Protocol

from jobhooks.engine.delivery.delivery import Delivery
from jobhooks.engine.delivery.group import Group
from jobhooks.engine.delivery.outcome import Outcome


class DeliverySource(Protocol):
    """Where one hook task gets its deliveries, and where it reports outcomes: ``scheduling.hook_tasks.HookSource``."""

    def take(self) -> Delivery | None:
        """The next delivery to attempt, which counts as running from then on, if one is ready."""
        ...

    def more_of(self, group: Group) -> Delivery | None:
        """Take another delivery and add it to the group. It waits for nothing, or only for members of the group.

        Those behind members come first, so that the changes of one object stay together. None is taken once a member
        has been reported or given back.
        """
        ...

    async def gather(self, first: Delivery) -> list[Delivery]:
        """The deliveries of one batch, starting with this one. Waits until the batch is full or its wait is over."""
        ...

    def give_back(self, deliveries: list[Delivery]) -> None:
        """Put deliveries that were taken but not attempted back to the front of the queue, in order."""
        ...

    def give_back_alone(self, deliveries: list[Delivery]) -> None:
        """The same for deliveries that were undone without a verdict, or may have been: each runs by itself next."""
        ...

    def reload(self, delivery: Delivery) -> None:
        """Drop a delivery with merged changes, of which at least one has a result, and everything behind it.

        The backlog is compared with the table, and what is still pending is loaded again.
        """
        ...

    def report(self, delivery: Delivery, outcome: Outcome | None) -> None:
        """Report the outcome of an attempt. Without one, an earlier run of this delivery had committed."""
        ...


# The methods of a source, for code that needs only some of them.
Take = Callable[[], Delivery | None]
GiveBack = Callable[[list[Delivery]], None]
OnOutcome = Callable[[Delivery, Outcome | None], None]
