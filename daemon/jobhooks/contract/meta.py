"""What a receiver's ``class Meta`` says, checked when the receiver is loaded."""

import inspect
from dataclasses import dataclass
from typing import Any

from jobhooks.contract.log import clean_text
from jobhooks.contract.receiver import JobHookReceiver
from jobhooks.errors import InvalidReceiver

LONGEST = 10 * 365 * 86_400  # seconds; whoever wants no limit says nothing


@dataclass(frozen=True)
class ReceiverMeta:
    """What a receiver says about itself. Limits are in seconds; None: no limit."""

    name: str
    description: str
    soft_time_limit: float | None
    time_limit: float | None


def read_meta(receiver: type[JobHookReceiver[Any]]) -> ReceiverMeta:
    """Return what ``receiver.Meta`` says; by default the class's name and its docstring's first line.

    Raises:
        InvalidReceiver: an attribute has the wrong type; the message names class and attribute.
    """
    return ReceiverMeta(
        name=_text(receiver, "name", receiver.__name__),
        description=_text(receiver, "description", inspect.cleandoc(receiver.__doc__ or "").partition("\n")[0]),
        soft_time_limit=_seconds(receiver, "soft_time_limit"),
        time_limit=_seconds(receiver, "time_limit"),
    )


def is_async(receiver: type[JobHookReceiver[Any]]) -> bool:
    """Return whether the receiver is an ``async def`` one."""
    return inspect.iscoroutinefunction(receiver.receive_job_hook)


def _text(receiver: type[JobHookReceiver[Any]], attribute: str, default: str) -> str:
    value: object = getattr(receiver.Meta, attribute, default)
    if not isinstance(value, str) or (attribute == "name" and not value) or clean_text(value) != value:
        raise InvalidReceiver(f"{receiver.__name__}.Meta.{attribute} must be a text, not {value!r}")
    return value


def _seconds(receiver: type[JobHookReceiver[Any]], attribute: str) -> float | None:
    value: object = getattr(receiver.Meta, attribute, None)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value <= LONGEST:
        raise InvalidReceiver(f"{receiver.__name__}.Meta.{attribute} must be a number of seconds, not {value!r}")
    return float(value)
