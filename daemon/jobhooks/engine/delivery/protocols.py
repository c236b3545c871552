"""How scheduling and running work together: the functions that one passes to the other."""

from collections.abc import Awaitable, Callable

from jobhooks.engine.delivery.delivery import Delivery
from jobhooks.engine.delivery.outcome import Outcome

# The next delivery to attempt, which counts as running from then on; None if nothing is ready.
Take = Callable[[], Delivery | None]

# The deliveries of one batch, starting with this one. Waits until the batch is full or its wait is over.
Gather = Callable[[Delivery], Awaitable[list[Delivery]]]

# Puts deliveries that were taken but not attempted back to the front of the queue, in order.
GiveBack = Callable[[list[Delivery]], None]

# Reports the outcome of an attempt. None: an earlier run of this delivery had committed, so there is nothing to record.
OnOutcome = Callable[[Delivery, Outcome | None], None]
