"""The flags of ``hook add`` and ``hook edit``, derived from the table of settings."""

import inspect
import re
from collections.abc import Callable, Mapping
from typing import Annotated, Any, TypeVar

import msgspec
import typer

from jobhooks.cli import completion
from jobhooks.cli.pairs import pairs
from jobhooks.matching.hook_settings import MAX_COALESCE_S, REQUEST, REQUEST_S, RULES, TRANSACTION, Kind, Rule
from jobhooks.operations.configuration.hook_file import ordered_events

REPEATED = frozenset({Kind.TABLES, Kind.COLUMNS})  # with a flag in the singular
OPTIONAL = frozenset({Kind.COALESCE, Kind.DURATION})
REQUIRED = frozenset({Kind.TABLES, Kind.EVENTS, Kind.JOB})
COMPLETIONS = {Kind.TABLES: completion.tables, Kind.JOB: completion.jobs}
TYPES: dict[Kind, Any] = {Kind.TABLES: list[str], Kind.COLUMNS: list[str], Kind.NUMBER: int, Kind.FLAG: bool}
TYPES[Kind.DATA], TYPES[Kind.DEPTH] = list[str], int
DATA_JSON = Annotated[
    str | None, typer.Option(help="All data as a JSON object, such as {}; --data adds to it.", metavar="OBJECT")
]
ENABLED = "enabled"  # has --disabled in hook add
SWITCHES = ("enabled", "paused")  # have commands instead of a flag

UNITS = {"ms": 0.001, "s": 1, "m": 60, "min": 60, "h": 3600, "d": 86_400}
DURATION = re.compile(r"(\d+(?:\.\d+)?)\s*(ms|s|m|min|h|d)?")

Command = TypeVar("Command", bound=Callable[..., None])


def with_flags_to_add(command: Command) -> Command:
    """Add a flag for each setting to a command that takes them as ``**given``."""
    flags = [_flag(setting, rule) for setting, rule in RULES.items() if setting not in ("name", *SWITCHES)]
    disabled = Annotated[bool, typer.Option("--disabled", help="Add it without enabling it.")]
    more = [_parameter("data_json", DATA_JSON, default=None), _parameter("disabled", disabled, default=False)]
    return _with_flags(command, [*flags, *more])


def with_flags_to_edit(command: Command) -> Command:
    """Add an optional flag for each setting to a command that takes them as ``**given``."""
    flags = [_flag(setting, rule, editing=True) for setting, rule in RULES.items() if setting not in SWITCHES]
    return _with_flags(command, [*flags, _parameter("data_json", DATA_JSON, default=None)])


def given_settings(given: Mapping[str, Any]) -> dict[str, Any]:
    """The settings that the flags give, by the fields of ``HookSettings``; a flag that is not given is left out.

    ``data`` are those of ``--data-json``; see ``given_data``.
    """
    settings = {
        setting: _parsed(setting, given[_parameter_name(setting)])
        for setting, rule in RULES.items()
        if rule.kind is not Kind.DATA and given.get(_parameter_name(setting)) is not None
    }
    if given.get("data_json") is not None:
        settings["data"] = _data_object(given["data_json"])
    return {**settings, ENABLED: False} if given.get("disabled") else settings


def given_data(given: Mapping[str, Any]) -> dict[str, Any]:
    """The values of ``--data``, by their keys."""
    given_texts = pairs(given.get("data") or (), "KEY=VALUE", "--data")
    return {key: _data_value(text) for key, text in given_texts.items()}


def _data_value(text: str) -> Any:
    """JSON, or else a text."""
    try:
        return msgspec.json.decode(text)
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        return text


def _data_object(text: str) -> dict[str, Any]:
    try:
        return msgspec.json.decode(text, type=dict[str, Any])
    except (msgspec.DecodeError, UnicodeError, RecursionError) as exc:
        raise typer.BadParameter(f"{text} is no JSON object: {exc}", param_hint="--data-json") from exc


def _with_flags(command: Command, flags: list[inspect.Parameter]) -> Command:
    own = [item for item in inspect.signature(command).parameters.values() if item.kind is not item.VAR_KEYWORD]
    arguments = [item for item in own if item.default is item.empty]
    others = [item.replace(kind=item.KEYWORD_ONLY) for item in own if item.default is not item.empty]
    command.__dict__["__signature__"] = inspect.Signature([*arguments, *flags, *others], return_annotation=None)
    return command


def _flag(setting: str, rule: Rule, *, editing: bool = False) -> inspect.Parameter:
    kind = TYPES.get(rule.kind, str)
    option = typer.Option(
        *([f"--{_flag_name(setting)}"] if setting == "name" else []),
        help=f"{rule.about} {rule.cleared}".strip() if editing else rule.about,
        metavar=f"{rule.metavar}|none" if editing and rule.kind in OPTIONAL else rule.metavar,
        autocompletion=COMPLETIONS.get(rule.kind),
    )
    if not editing and rule.kind in REQUIRED:
        return _parameter(_parameter_name(setting), Annotated[kind, option])
    return _parameter(_parameter_name(setting), Annotated[kind | None, option], default=None)


def _parameter(name: str, annotation: Any, default: Any = inspect.Parameter.empty) -> inspect.Parameter:
    return inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=annotation)


def _flag_name(setting: str) -> str:
    """The flag of a setting, with underscores: one value of a list, and no unit."""
    name = setting.removesuffix("_s")
    return name.removesuffix("s") if RULES[setting].kind in REPEATED else name


def _parameter_name(setting: str) -> str:
    return "new_name" if setting == "name" else _flag_name(setting)


def _parsed(setting: str, value: Any) -> Any:
    match RULES[setting].kind:
        case Kind.EVENTS:
            return ordered_events(event.strip() for event in value.split(",") if event.strip())
        case Kind.COLUMNS:
            return [column for column in value if column]
        case Kind.ROLES:
            return sorted(_names(value))
        case Kind.RATE_KEY:
            return sorted(_names(value))
        case Kind.COALESCE:
            return _coalesce(value)
        case Kind.DURATION:
            return _duration(value, setting)
        case _:
            return value


def _names(text: str) -> set[str]:
    """Names that commas separate; one with a comma, a quote or a space at its end is in quotes, as in SQL."""
    found = re.finditer(r'\s*(?:"((?:[^"]|"")+)"|([^,]*?))\s*(?:,|$)', text)
    return {name[1].replace('""', '"') if name[1] else name[2] for name in found} - {""}


def _coalesce(text: str) -> float | None:
    if text == "none":
        return None
    if text == TRANSACTION:
        return 0.0
    if text == REQUEST:
        return REQUEST_S
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0.0
    if not 0 < seconds <= MAX_COALESCE_S:
        raise typer.BadParameter(
            f"{text} is neither transaction, request nor a number of seconds, more than 0 and at most {MAX_COALESCE_S}",
            param_hint="--coalesce",
        )
    return seconds


def _duration(text: str, setting: str) -> float | None:
    """Seconds of ``5s``, ``500ms``, ``1min`` and the like, or of a plain number; null for ``none``."""
    if text == "none":
        return None
    match = DURATION.fullmatch(text.strip())
    seconds = float(match[1]) * UNITS[match[2] or "s"] if match else 0.0
    if not 0 < seconds <= MAX_COALESCE_S:
        flag = f"--{_flag_name(setting).replace('_', '-')}"
        raise typer.BadParameter(
            f"{text} is no duration such as 500ms, 5s, 1min or 2h, more than 0 and at most 24h", param_hint=flag
        )
    return seconds
