"""How scheduling and running work together: one has deliveries to attempt, the other reports their outcomes."""

from collections.abc import Awaitable, Callable
from typing import Protocol

from jobhooks.engine.delivery.delivery import Delivery
from jobhooks.engine.delivery.outcome import Outcome


class DeliverySource(Protocol):
    """Where one hook task gets its deliveries, and where it reports outcomes: ``scheduling.hook_tasks.HookSource``."""

    def take(self) -> Delivery | None:
        """The next delivery to attempt, which counts as running from then on, if one is ready."""
        ...

    async def gather(self, first: Delivery) -> list[Delivery]:
        """The deliveries of one batch, starting with this one. Waits until the batch is full or its wait is over."""
        ...

    def give_back(self, deliveries: list[Delivery]) -> None:
        """Put deliveries that were taken but not attempted back to the front of the queue, in order."""
        ...

    def report(self, delivery: Delivery, outcome: Outcome | None) -> None:
        """Report the outcome of an attempt. Without one, an earlier run of this delivery had committed."""
        ...


# The methods of a source, for code that needs only some of them.
Take = Callable[[], Delivery | None]
Gather = Callable[[Delivery], Awaitable[list[Delivery]]]
GiveBack = Callable[[list[Delivery]], None]
OnOutcome = Callable[[Delivery, Outcome | None], None]
