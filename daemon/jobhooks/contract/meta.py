"""Reads a receiver's ``class Meta``, and checks it when the receiver is loaded."""

import difflib
import inspect
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, cast

from jobhooks.contract.choices import FailurePolicy, Ordering
from jobhooks.contract.error_names import error_name, is_error_name
from jobhooks.contract.hook_data import data_type_of
from jobhooks.contract.job_settings import (
    BATCH_SIZE,
    DEFAULTS,
    FUNCTION,
    MAX_COUNT,
    MAX_SECONDS,
    RULES,
    JobSettings,
    Kind,
    Rule,
)
from jobhooks.contract.log import clean_text
from jobhooks.contract.nautobot.step_arguments import fits
from jobhooks.contract.receiver import JobHookReceiver
from jobhooks.errors import InvalidReceiver

ARGUMENTS = ("change", "action", "changed_object")
STEPS = ("before_start", "on_success", "on_failure", "after_return", "on_dead")
LAST_STEPS = frozenset({"on_failure", "after_return", "on_dead"})  # which run after the run has ended
# Attributes of Nautobot's jobs and job hook receivers that have no counterpart here.
NAUTOBOT_ATTRIBUTES = frozenset(
    {
        *("approval_required", "console_log_default", "dryrun_default", "enabled", "field_order", "installed"),
        *("is_job_button_receiver", "is_job_hook_receiver", "job_queues", "profile", "read_only", "soft"),
        *("supports_dryrun", "task_queues", "template_name"),
    }
)
BATCH_ATTRIBUTES = ("batch_size", "batch_wait")


@dataclass(frozen=True, slots=True, kw_only=True)
class ReceiverMeta(JobSettings):
    """The settings that a receiver states. ``warnings``: attributes of its ``Meta`` that have no effect."""

    warnings: tuple[str, ...] = ()


def read_meta(receiver: type[JobHookReceiver[Any]]) -> ReceiverMeta:
    """The settings in ``receiver.Meta``, with the defaults of the table of settings.

    Raises:
        InvalidReceiver: an attribute has the wrong type, or a step cannot be called; the message names class and
            attribute.
    """
    _check_steps(receiver)
    data_type_of(receiver)
    defaults: dict[str, Any] = {
        **DEFAULTS,
        "name": receiver.__name__,
        "grouping": _name_of_module(receiver),
        "description": inspect.cleandoc(receiver.__doc__ or "").partition("\n")[0],
    }
    if takes_batches(receiver):
        defaults["batch_size"] = BATCH_SIZE
    known = [name for name in RULES if takes_batches(receiver) or name not in BATCH_ATTRIBUTES]
    stated = {name: _value(receiver, name, defaults[name]) for name in known}
    if both := sorted(set(stated["retry_on"]) & set(stated["no_retry_on"])):
        raise InvalidReceiver(f"{receiver.__name__}.Meta has {', '.join(both)} both in retry_on and in no_retry_on")
    return ReceiverMeta(**{**defaults, **stated}, warnings=tuple(_warnings(receiver)))


def _name_of_module(receiver: type[JobHookReceiver[Any]]) -> str:
    """The ``name`` of a receiver's module, which groups its jobs as in Nautobot; empty without one."""
    name: object = getattr(sys.modules.get(receiver.__module__), "name", None)
    return name if isinstance(name, str) and clean_text(name) == name else ""


def warnings_of_call(receiver: type[JobHookReceiver[Any]]) -> Iterator[str]:
    """Say why each run of a receiver fails, if the way it is called shows that."""
    name = receiver.__name__
    method, given = ("receive_job_hook", ARGUMENTS)
    if takes_batches(receiver):
        method, given = ("receive_job_hook_batch", ("changes",))
    elif receiver.receive_job_hook is JobHookReceiver.receive_job_hook:
        if not receiver.__subclasses__():  # else it may be the base of others
            renamed = ": rename its run" if hasattr(receiver, "run") else ""
            yield f"{name} has no receive_job_hook, so each run fails{renamed}"
        return
    function: Callable[..., object] = getattr(receiver, method)
    for parameter in list(inspect.signature(function).parameters.values())[1:]:
        is_open = parameter.kind in (parameter.VAR_KEYWORD, parameter.VAR_POSITIONAL)
        by_position = parameter.kind is parameter.POSITIONAL_ONLY
        if is_open or (parameter.default is not parameter.empty) or (parameter.name in given and not by_position):
            continue
        near = difflib.get_close_matches(parameter.name, given, 1)
        hint = f'. Did you mean "{near[0]}"?' if near and not by_position else ""
        yield (
            f"{name}.{method} needs {parameter.name}, so each run fails: it is called by keyword with"
            f" {', '.join(given)}{hint}"
        )
    if takes_batches(receiver) and not _takes(function, "changes"):
        yield f"{name}.{method} has no argument changes, so each run fails"
    for step in sorted(steps_of(receiver)):
        if not fits(getattr(receiver, step), step):
            yield f"{name}.{step} cannot be called: see the arguments of steps in docs/reference/receiver.md"


def _takes(function: Callable[..., object], name: str) -> bool:
    parameters = inspect.signature(function).parameters
    return name in parameters or any(each.kind is each.VAR_KEYWORD for each in parameters.values())


def _warnings(receiver: type[JobHookReceiver[Any]]) -> Iterator[str]:
    """Describe each attribute of ``receiver.Meta`` that has no effect."""
    meta = receiver.Meta
    where = f"{receiver.__name__}.Meta"
    stated = sorted({name for base in meta.__mro__[:-1] for name in vars(base) if not name.startswith("_")})
    for name in stated:
        if name in NAUTOBOT_ATTRIBUTES:
            yield f"{where}.{name} has no effect: it is Nautobot's, and has no counterpart in jobhooks"
        elif name not in RULES:
            near = difflib.get_close_matches(name, RULES, 1)
            yield f"{where}.{name} has no effect" + (f'. Did you mean "{near[0]}"?' if near else "")
        elif name in BATCH_ATTRIBUTES and not takes_batches(receiver):
            yield f"{where}.{name} has no effect: the class has no receive_job_hook_batch"
    soft, hard = getattr(meta, "soft_time_limit", None), getattr(meta, "time_limit", None)
    if soft is not None and hard is not None and soft >= hard:
        yield f"{where}.soft_time_limit has no effect: it is not below time_limit"


def wanted_arguments(receiver: type[JobHookReceiver[Any]]) -> frozenset[str]:
    """The arguments that ``receive_job_hook`` takes, of ``ARGUMENTS``."""
    parameters = inspect.signature(receiver.receive_job_hook).parameters.values()
    if any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters):
        return frozenset(ARGUMENTS)
    return frozenset(parameter.name for parameter in parameters) & frozenset(ARGUMENTS)


def takes_batches(receiver: type[JobHookReceiver[Any]]) -> bool:
    """Whether the receiver takes many changes in one call."""
    return hasattr(receiver, "receive_job_hook_batch")


def is_async(receiver: type[JobHookReceiver[Any]]) -> bool:
    """Whether the receiver is an ``async def`` one."""
    called: object = getattr(receiver, "receive_job_hook_batch", receiver.receive_job_hook)
    return inspect.iscoroutinefunction(called)


def steps_of(receiver: type[JobHookReceiver[Any]]) -> frozenset[str]:
    """The steps that a receiver has beside ``receive_job_hook``."""
    return frozenset(step for step in STEPS if getattr(receiver, step) is not getattr(JobHookReceiver, step))


def _check_steps(receiver: type[JobHookReceiver[Any]]) -> None:
    """Refuse a ``def`` receiver with an ``async def`` step: nothing would await it."""
    if is_async(receiver):
        return
    for step in STEPS:
        if inspect.iscoroutinefunction(getattr(receiver, step)):
            raise InvalidReceiver(f"{receiver.__name__}.{step} must be def, not async def: the receiver is a def one")


def _value(receiver: type[JobHookReceiver[Any]], name: str, default: Any) -> Any:
    """The value of the attribute ``name`` of ``receiver.Meta``, checked by its kind."""
    rule = RULES[name]
    value: object = getattr(receiver.Meta, name, default)
    if value is None and rule.kind in (Kind.SECONDS, Kind.BACKOFF, Kind.ERRORS):
        return default
    must_be = _refusal(rule, value)
    if must_be is not None:
        raise InvalidReceiver(
            f"{receiver.__name__}.Meta.{name} must be {must_be}, not {value!r}{_suggestion(rule, value)}"
        )
    match rule.kind:
        case Kind.SECONDS:
            return float(cast("float", value))
        case Kind.POLICY:
            return FailurePolicy(str(value))
        case Kind.ORDER:
            return Ordering(value) if value in tuple(Ordering) else _columns(value)
        case Kind.ERRORS:
            return tuple(dict.fromkeys(map(error_name, _listed(value))))
        case Kind.BACKOFF:
            return FUNCTION if callable(value) else _pauses(value)
        case Kind.NAME | Kind.TEXT | Kind.FLAG | Kind.COUNT:
            return value


def _refusal(rule: Rule, value: object) -> str | None:  # noqa: C901, RUF100 - one case per kind
    """Describe the requirement for the attribute if ``value`` violates it."""
    match rule.kind:
        case Kind.NAME | Kind.TEXT:
            is_text = isinstance(value, str) and clean_text(value) == value and (value or rule.kind is Kind.TEXT)
            return None if is_text else "a text"
        case Kind.FLAG:
            return None if isinstance(value, bool) else "True or False"
        case Kind.SECONDS:
            return None if _is_duration(value, zero=rule.zero) else "a number of seconds"
        case Kind.BACKOFF:
            return _refusal_of_backoff(value)
        case Kind.ERRORS:
            fits = all(map(is_error_name, _listed(value)))
            return None if fits else "exception classes or their names"
        case Kind.COUNT:
            fits = isinstance(value, int) and not isinstance(value, bool) and 0 < value <= MAX_COUNT
            return None if fits else f"a number from 1 to {MAX_COUNT}"
        case Kind.POLICY:
            return None if value in tuple(FailurePolicy) else " or ".join(f'"{policy}"' for policy in FailurePolicy)
        case Kind.ORDER:
            return None if value in tuple(Ordering) else _refusal_of_order(value)


def _is_duration(value: object, *, zero: bool = False) -> bool:
    if not isinstance(value, int | float) or isinstance(value, bool):
        return False
    return 0 < value <= MAX_SECONDS or (zero and value == 0)


def _refusal_of_backoff(value: object) -> str | None:
    if callable(value):
        return _refusal_of_function(value)
    fits = all(map(_is_duration, _listed(value))) and bool(_listed(value))
    return None if fits else "a number of seconds, a list of them, or a function of the number of failures"


def _refusal_of_function(value: Any) -> str | None:
    if inspect.iscoroutinefunction(value):
        return "a def function, not an async def one"
    try:
        inspect.signature(value).bind(1)
    except TypeError:
        return "a function that takes one argument, the number of failures"
    except ValueError:  # of a builtin, whose arguments are unknown
        return None
    return None


def _listed(value: object) -> tuple[object, ...]:
    """The items of a list or another collection, or the only one."""
    if isinstance(value, list | tuple | set | frozenset):
        return tuple(cast("Sequence[object]", value))
    return (value,)


def _pauses(value: object) -> float | tuple[float, ...]:
    if isinstance(value, list | tuple):
        return tuple(float(pause) for pause in cast("Sequence[float]", value))
    return float(cast("float", value))


def _refusal_of_order(value: object) -> str | None:
    # A single word that resembles "object", "table" or "none" is a misspelling, not a column; a list names columns.
    if _columns(value) and not _nearest_ordering(value):
        return None
    return '"object", "table", "none", a column or a list of columns'


def _nearest_ordering(value: object) -> list[str]:
    return difflib.get_close_matches(value.lower(), list(Ordering), 1, 0.75) if isinstance(value, str) else []


def _suggestion(rule: Rule, value: object) -> str:
    near = _nearest_ordering(value) if rule.kind is Kind.ORDER else []
    return f'. Did you mean "{near[0]}"?' if near else ""


def _columns(value: object) -> tuple[str, ...]:
    """The columns that an ``order_by`` names; empty without a name, or if one of them is not a column."""
    listed: object = [value] if isinstance(value, str) else value
    columns = tuple(cast("Sequence[object]", listed)) if isinstance(listed, list | tuple) else ()
    names = [name for name in columns if isinstance(name, str) and name and clean_text(name) == name]
    return tuple(dict.fromkeys(names)) if len(names) == len(columns) else ()
