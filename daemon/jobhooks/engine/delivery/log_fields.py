"""The fields of a log line about a delivery. Pure."""

from jobhooks.engine.delivery.delivery import Delivery


def log_fields(delivery: Delivery) -> dict[str, object]:
    """The fields that identify an attempt."""
    change = delivery.change
    return {
        "change": change.id,
        "table": change.content_type.name,
        "action": change.action.value,
        "hook": delivery.hook.name,
        "receiver": delivery.hook.job,
        "attempt": delivery.attempt,
    }
