"""The daemon's log of deliveries: an observer that logs each settled attempt, or a count where there are many."""

import asyncio
import time
from math import inf

from jobhooks.engine.delivery.delivery import Delivery
from jobhooks.engine.delivery.log_fields import log_fields
from jobhooks.engine.delivery.observer import Observer
from jobhooks.engine.delivery.outcome import Outcome
from jobhooks.runtime.event_log import get_logger

LINES_PER_S = 20  # for successes; a line for each would take longer than the delivery itself
COUNT_S = 1.0  # until the successes without a line are logged as a count

log = get_logger()


class DeliveryLog(Observer):
    """Logs settled deliveries: failures always, successes one by one up to a limit, then how many more there were."""

    def __init__(self) -> None:
        self._second = 0
        self._lines = 0
        self._more = 0
        self._timer: asyncio.TimerHandle | None = None

    def settled(self, delivery: Delivery, outcome: Outcome | None) -> None:
        """Log an attempt."""
        if outcome is None:
            log.warning("delivery_already_settled", **log_fields(delivery))
            return
        if outcome.error is not None:
            self._failed(delivery, outcome)
        else:
            self._delivered(delivery)
        for line in outcome.afterwards:
            log.warning(
                "logged_after_result",
                **log_fields(delivery),
                level=line.level.value,
                about=line.object,
                message=line.message,
            )

    def _failed(self, delivery: Delivery, outcome: Outcome) -> None:
        """Log a failure, and the delivery's next attempt or death."""
        pause_s = outcome.next_attempt_in  # null if it is settled: discarded, or a failure that was only logged
        when = {} if pause_s is None or pause_s == inf else {"next_attempt_s": round(max(pause_s, 0.0), 1)}
        fields = log_fields(delivery)
        log.warning("delivery_failed", **fields, status=outcome.status.value, error=outcome.error, **when)
        if pause_s == inf:
            hook = delivery.hook.name.replace("'", "'\\''")
            log.error(
                "delivery_dead",
                **fields,
                reason="time does not fix this error" if outcome.lasting and delivery.lasting else "max_attempts",
                later_changes="wait" if delivery.hook.blocks else "pass",
                remedy=f"jobhooks delivery retry {delivery.change.id} --hook '{hook}', or discard",
            )

    def leadership_lost(self) -> None:
        """Log the count that is left."""
        self._log_count()

    def _delivered(self, delivery: Delivery) -> None:
        second = int(time.monotonic())
        if second != self._second:
            self._log_count()
            self._second = second
            self._lines = 0
        if self._lines < LINES_PER_S:
            self._lines += 1
            log.info("delivered", **log_fields(delivery))
            return
        self._more += 1
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(COUNT_S, self._log_count)

    def _log_count(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._more:
            log.info("delivered_more", count=self._more)
            self._more = 0
