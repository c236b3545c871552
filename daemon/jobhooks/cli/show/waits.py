"""Says what a pending delivery waits for, and until when."""

from jobhooks.operations.delivering.deliveries import PendingDelivery

UNITS = ((86_400, "d"), (3600, "h"), (60, "m"))
REASONS = {  # by the values of waits_for
    "hook": "its hook or job is off, or its receiver is not there",
    "retry": "after a failure",
    "debounce": "it waits for its object to be quiet",
    "coalesce": "it waits for changes to be merged with it",
    "rate": "it waits for the rate of its hook",
}


def duration(seconds: float, none: str = "now") -> str:
    """Render the time until something is due: ``now``, ``12s``, ``3m 5s``, ``1h 0m``, ``2d 4h``."""
    left = int(seconds)
    if left <= 0:
        return none
    for position, (size, unit) in enumerate(UNITS):
        if left >= size:
            smaller, its_unit = (*UNITS, (1, "s"))[position + 1]
            return f"{left // size}{unit} {left % size // smaller}{its_unit}"
    return f"{left}s"


def until(due_in_s: float | None, waits_for: str | None) -> str:
    """When a delivery is due, for a list: ``now``, ``in 12s``, ``in 12s, rate``; ``rate``: until when is unknown."""
    if waits_for == "hook":
        return "hook is off"
    if due_in_s is None:
        return waits_for or "-"
    if due_in_s < 1:
        return "now"
    return f"in {duration(due_in_s)}{'' if waits_for in (None, 'retry') else f', {waits_for}'}"


def state_in_words(delivery: PendingDelivery) -> str:
    """The state of a delivery on one line: ``blocked behind change 2, not attempted yet``."""
    attempts = "not attempted yet"
    if delivery.attempts:
        attempts = f"after {delivery.attempts} {'attempt' if delivery.attempts == 1 else 'attempts'}"
    return f"{delivery.state}{_circumstance(delivery)}, {attempts}"


def _circumstance(delivery: PendingDelivery) -> str:
    if delivery.run is not None:
        return f" since {delivery.run.started_at.isoformat(' ', 'seconds')}"
    if delivery.behind is not None:
        return f" behind change {delivery.behind}"
    if delivery.state in ("paused", "dead"):
        return ""
    if delivery.waits_for == "hook" or delivery.due_at is None:
        return "" if delivery.waits_for is None else f": {REASONS[delivery.waits_for]}"
    moment = delivery.due_at.isoformat(" ", "seconds")
    if (delivery.due_in_s or 0) < 1:
        return f", due since {moment}"
    return f" until {moment}{because(delivery)}"


def because(delivery: PendingDelivery) -> str:
    """Why a delivery is not due yet, if its state does not say so."""
    return "" if delivery.waits_for in (None, "hook", "retry") else f": {REASONS[delivery.waits_for]}"
