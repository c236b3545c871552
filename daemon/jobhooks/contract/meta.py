"""What a receiver's ``class Meta`` says, checked when the receiver is loaded."""

import difflib
import inspect
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields
from typing import Any, cast

from jobhooks.contract.choices import FailurePolicy, Ordering
from jobhooks.contract.log import clean_text
from jobhooks.contract.receiver import JobHookReceiver
from jobhooks.errors import InvalidReceiver

ARGUMENTS = ("change", "action", "changed_object")
MOST = 100_000
BATCH_SIZE = 100
STEPS = ("before_start", "on_success", "on_failure", "after_return")
LAST_STEPS = frozenset({"on_failure", "after_return"})  # which come when the run has ended
# Of the Meta of Nautobot's jobs and job hook receivers, what has no counterpart here.
NAUTOBOT_ATTRIBUTES = frozenset(
    {
        *("approval_required", "console_log_default", "dryrun_default", "enabled", "field_order", "installed"),
        *("is_job_button_receiver", "is_job_hook_receiver", "job_queues", "profile", "read_only", "soft"),
        *("supports_dryrun", "task_queues", "template_name"),
    }
)
ORDERINGS = (Ordering.OBJECT, Ordering.TABLE, Ordering.NONE)
LONGEST = 10 * 365 * 86_400  # seconds; whoever wants no limit says nothing


@dataclass(frozen=True)
class ReceiverMeta:
    """What a receiver says about itself. Limits, ``backoff`` and ``batch_wait`` are in seconds; None: no limit.

    ``order_columns`` belong to the order by columns. ``batch_size``: None where it takes one change at a time.
    ``warnings``: of what has no effect.
    """

    name: str
    description: str
    soft_time_limit: float | None
    time_limit: float | None
    max_attempts: int = 15
    backoff: float = 1.0
    on_failure: FailurePolicy = FailurePolicy.BLOCK
    concurrency: int = 8
    hidden: bool = False
    grouping: str = ""
    has_sensitive_variables: bool = False
    queue: str = ""
    is_singleton: bool = False
    order_by: Ordering = Ordering.OBJECT
    order_columns: tuple[str, ...] = ()
    batch_size: int | None = None
    batch_wait: float = 0.0
    warnings: tuple[str, ...] = ()


ATTRIBUTES = {field.name for field in fields(ReceiverMeta)} - {"warnings", "order_columns"}


def read_meta(receiver: type[JobHookReceiver[Any]]) -> ReceiverMeta:
    """Return what ``receiver.Meta`` says; by default the class's name and its docstring's first line.

    Raises:
        InvalidReceiver: an attribute has the wrong type, or a step cannot be called; the message names class and
            attribute.
    """
    _check_steps(receiver)
    order_by, order_columns = _ordering(receiver)
    batches = takes_batches(receiver)
    return ReceiverMeta(
        name=_text(receiver, "name", receiver.__name__),
        description=_text(receiver, "description", inspect.cleandoc(receiver.__doc__ or "").partition("\n")[0]),
        soft_time_limit=_seconds(receiver, "soft_time_limit"),
        time_limit=_seconds(receiver, "time_limit"),
        max_attempts=_count(receiver, "max_attempts", ReceiverMeta.max_attempts),
        backoff=_seconds(receiver, "backoff") or ReceiverMeta.backoff,
        on_failure=_policy(receiver, "on_failure"),
        concurrency=_count(receiver, "concurrency", ReceiverMeta.concurrency),
        hidden=_flag(receiver, "hidden"),
        grouping=_text(receiver, "grouping", ""),
        has_sensitive_variables=_flag(receiver, "has_sensitive_variables"),
        queue=_text(receiver, "queue", ""),
        is_singleton=_flag(receiver, "is_singleton"),
        order_by=order_by,
        order_columns=order_columns,
        batch_size=_count(receiver, "batch_size", BATCH_SIZE) if batches else None,
        batch_wait=(_seconds(receiver, "batch_wait", at_least=0) or 0.0) if batches else 0.0,
        warnings=tuple(_warnings(receiver)),
    )


def _warnings(receiver: type[JobHookReceiver[Any]]) -> Iterator[str]:
    """Yield what in ``receiver.Meta`` has no effect, or not the one that it seems to have."""
    meta = receiver.Meta
    where = f"{receiver.__name__}.Meta"
    said = sorted({name for base in meta.__mro__[:-1] for name in vars(base) if not name.startswith("_")})
    for name in said:
        if name in NAUTOBOT_ATTRIBUTES:
            yield f"{where}.{name} has no effect: it is Nautobot's, and jobhooks has nothing like it"
        elif name not in ATTRIBUTES:
            meant = difflib.get_close_matches(name, ATTRIBUTES, 1)
            yield f"{where}.{name} has no effect" + (f": did you mean {meant[0]}?" if meant else "")
        elif name in ("batch_size", "batch_wait") and not takes_batches(receiver):
            yield f"{where}.{name} has no effect: the class has no receive_job_hook_batch"
    soft, hard = getattr(meta, "soft_time_limit", None), getattr(meta, "time_limit", None)
    if soft is not None and hard is not None and soft >= hard:
        yield f"{where}.soft_time_limit is not below time_limit, so that it has no effect"


def wanted_arguments(receiver: type[JobHookReceiver[Any]]) -> frozenset[str]:
    """Return which arguments ``receive_job_hook`` takes, of those that it can be called with."""
    parameters = inspect.signature(receiver.receive_job_hook).parameters.values()
    if any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters):
        return frozenset(ARGUMENTS)
    return frozenset(parameter.name for parameter in parameters) & frozenset(ARGUMENTS)


def takes_batches(receiver: type[JobHookReceiver[Any]]) -> bool:
    """Return whether the receiver takes many changes in one call."""
    return hasattr(receiver, "receive_job_hook_batch")


def is_async(receiver: type[JobHookReceiver[Any]]) -> bool:
    """Return whether the receiver is an ``async def`` one."""
    called: object = getattr(receiver, "receive_job_hook_batch", receiver.receive_job_hook)
    return inspect.iscoroutinefunction(called)


def steps_of(receiver: type[JobHookReceiver[Any]]) -> frozenset[str]:
    """Return which steps beside its work a receiver has."""
    return frozenset(step for step in STEPS if getattr(receiver, step) is not getattr(JobHookReceiver, step))


def _text(receiver: type[JobHookReceiver[Any]], attribute: str, default: str) -> str:
    value: object = getattr(receiver.Meta, attribute, default)
    if not isinstance(value, str) or (attribute == "name" and not value) or clean_text(value) != value:
        raise InvalidReceiver(f"{receiver.__name__}.Meta.{attribute} must be a text, not {value!r}")
    return value


def _flag(receiver: type[JobHookReceiver[Any]], attribute: str) -> bool:
    value: object = getattr(receiver.Meta, attribute, False)
    if not isinstance(value, bool):
        raise InvalidReceiver(f"{receiver.__name__}.Meta.{attribute} must be True or False, not {value!r}")
    return value


def _ordering(receiver: type[JobHookReceiver[Any]]) -> tuple[Ordering, tuple[str, ...]]:
    value: object = getattr(receiver.Meta, "order_by", Ordering.OBJECT)
    if isinstance(value, str) and value in ORDERINGS:
        return Ordering(value), ()
    # A word that is nearly one of these is hardly a column, and whoever has such a column lists it.
    meant = difflib.get_close_matches(value.lower(), list(ORDERINGS), 1, 0.75) if isinstance(value, str) else []
    listed: object = [value] if isinstance(value, str) else value
    columns = tuple(cast("Sequence[object]", listed)) if isinstance(listed, list | tuple) else ()
    names = [name for name in columns if isinstance(name, str) and name and clean_text(name) == name]
    if not columns or meant or len(names) < len(columns):
        raise InvalidReceiver(
            f'{receiver.__name__}.Meta.order_by must be "object", "table", "none", a column or a list of columns,'
            f" not {value!r}" + (f': did you mean "{meant[0]}"?' if meant else "")
        )
    return Ordering.COLUMNS, tuple(dict.fromkeys(names))


def _check_steps(receiver: type[JobHookReceiver[Any]]) -> None:
    """Refuse a ``def`` receiver with a step that would have to be awaited."""
    if is_async(receiver):
        return
    for step in STEPS:
        if inspect.iscoroutinefunction(getattr(receiver, step)):
            raise InvalidReceiver(f"{receiver.__name__}.{step} must be def, not async def: the receiver is a def one")


def _seconds(receiver: type[JobHookReceiver[Any]], attribute: str, *, at_least: float | None = None) -> float | None:
    value: object = getattr(receiver.Meta, attribute, None)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not (0 < value <= LONGEST or value == at_least):
        raise InvalidReceiver(f"{receiver.__name__}.Meta.{attribute} must be a number of seconds, not {value!r}")
    return float(value)


def _count(receiver: type[JobHookReceiver[Any]], attribute: str, default: int) -> int:
    value: object = getattr(receiver.Meta, attribute, default)
    if isinstance(value, bool) or not isinstance(value, int) or not 0 < value <= MOST:
        raise InvalidReceiver(f"{receiver.__name__}.Meta.{attribute} must be a number from 1 to {MOST}, not {value!r}")
    return value


def _policy(receiver: type[JobHookReceiver[Any]], attribute: str) -> FailurePolicy:
    value: object = getattr(receiver.Meta, attribute, FailurePolicy.BLOCK)
    if value not in tuple(FailurePolicy):
        words = " or ".join(f'"{policy}"' for policy in FailurePolicy)
        raise InvalidReceiver(f"{receiver.__name__}.Meta.{attribute} must be {words}, not {value!r}")
    return FailurePolicy(str(value))
