"""What the daemon says of the deliveries that it has settled."""

import time

import structlog

from jobhooks.engine.delivery.delivery import Delivery
from jobhooks.engine.delivery.outcome import Outcome

TOLD_PER_S = 20  # deliveries that are told one by one; a line each would be slower than the delivery itself

log = structlog.stdlib.get_logger()


class DeliveryLog:
    """Logs what was settled: one by one while that is little, else each second how many more there were."""

    def __init__(self) -> None:
        self._second = 0
        self._told = 0
        self._more = 0

    def settled(self, delivery: Delivery, outcome: Outcome | None) -> None:
        """Say what became of an attempt; None: that somebody else had settled the delivery."""
        if outcome is None:
            log.warning("delivery_already_settled", **facts(delivery))
        elif outcome.error is not None:
            log.warning("delivery_failed", **facts(delivery), status=outcome.status.value, error=outcome.error)
        else:
            self._delivered(delivery)
        for line in () if outcome is None else outcome.afterwards:
            log.warning(
                "logged_after_result",
                **facts(delivery),
                level=line.level.value,
                about=line.object,
                message=line.message,
            )

    def _delivered(self, delivery: Delivery) -> None:
        second = int(time.monotonic())
        if second != self._second:
            self.tell_more()
            self._second = second
            self._told = 0
        if self._told < TOLD_PER_S:
            self._told += 1
            log.info("delivered", **facts(delivery))
        else:
            self._more += 1

    def tell_more(self) -> None:
        """Say how many were not told one by one."""
        if self._more:
            log.info("delivered_more", count=self._more)
            self._more = 0


def facts(delivery: Delivery) -> dict[str, object]:
    """Return what tells an attempt from all others."""
    change = delivery.change
    return {
        "change": change.id,
        "table": change.content_type.name,
        "action": change.action.value,
        "hook": delivery.hook.name,
        "receiver": delivery.hook.class_path,
        "attempt": delivery.attempt,
    }
