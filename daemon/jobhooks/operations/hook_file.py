"""Hooks in a file: read, checked in form, and written so that they are read as the same again."""

import json
import tomllib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from jobhooks.contract.choices import ObjectChangeActionChoices
from jobhooks.errors import InvalidHookFile
from jobhooks.operations.hooks import HookSettings

TRANSACTION = "transaction"
LONGEST_WAIT = 86_400  # seconds
Coalesce = Literal["transaction"] | Annotated[float, Meta(gt=0, le=LONGEST_WAIT)] | None
EVENTS = [action.value for action in ObjectChangeActionChoices]
# What msgspec says of the form of a hook, and what a person is told.
WORDS = {
    "Object missing required field": "it has no",
    "Object contains unknown field": "it cannot have",
    "Expected": "expected",
}
# What TOML does not take as it is, or a terminal would not.
CONTROLS = {code: f"\\u{code:04x}" for code in range(0x7F, 0xA0)}


class _Entry(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """A hook as it stands in a file."""

    name: str
    content_types: list[str]
    job: str
    events: list[str]
    enabled: bool = True
    priority: int = 0
    description: str = ""
    columns: list[str] = []
    conditions: str = ""
    coalesce: Coalesce = None


def read(path: Path) -> list[HookSettings]:
    """Return the hooks of a file, each with its lists in order.

    Raises:
        InvalidHookFile: the message names the file and the hook.
    """
    try:
        tables = tomllib.loads(path.read_text("utf-8"))
    except (OSError, UnicodeDecodeError) as exc:
        raise InvalidHookFile(f"cannot read {path}: {exc}") from exc
    except tomllib.TOMLDecodeError as exc:
        raise InvalidHookFile(f"{path} is not TOML: {exc}") from exc
    entries: list[object] = tables.pop("hook", [])
    if tables or not isinstance(entries, list):  # pyright: ignore[reportUnnecessaryIsInstance] - a file says anything
        what = ", ".join(tables) or "hook"
        raise InvalidHookFile(f"{path}: there is nothing to be done with {what}: each hook begins with a line [[hook]]")
    found: list[HookSettings] = []
    for number, entry in enumerate(entries, 1):
        hook = _settings(entry, f"{path}: {_called(entry, number)}")
        if any(hook.name == other.name for other in found):
            raise InvalidHookFile(f'{path}: there are two hooks "{hook.name}"')
        found.append(hook)
    return found


def written(hooks: Iterable[HookSettings]) -> str:
    """Return hooks as a file says them; what is as it is by default is left out."""
    return "\n".join("".join(f"{line}\n" for line in _lines(hook)) for hook in hooks)


def in_order(events: Iterable[str]) -> list[str]:
    """Return events in their order, without doubles; those that there are not come last."""
    return sorted({*events}, key=lambda event: (EVENTS.index(event) if event in EVENTS else len(EVENTS), event))


def coalesce_s(value: str | float | None) -> float | None:
    """Return how a hook coalesces as the database has it."""
    return 0.0 if isinstance(value, str) else value


def coalesce(value: float | None) -> str | float | None:
    """Return how a hook coalesces as people say it."""
    return TRANSACTION if value == 0 else value


def _settings(entry: object, where: str) -> HookSettings:
    try:
        known = msgspec.convert(entry, _Entry)
    except msgspec.ValidationError as exc:
        raise InvalidHookFile(f"{where}: {_in_words(str(exc))}") from exc
    return HookSettings(
        known.name,
        sorted({*known.content_types}),
        known.job,
        in_order(known.events),
        known.enabled,
        known.priority,
        known.description,
        sorted({*known.columns}),
        known.conditions,
        coalesce_s(known.coalesce),
    )


def _called(entry: object, number: int) -> str:
    name: object = entry.get("name") if isinstance(entry, dict) else None  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType] - whatever stands there
    return f'hook "{name}"' if isinstance(name, str) else f"hook number {number}"


def _in_words(error: str) -> str:
    """Return msgspec's message with the words of a file: "Expected `bool`, got `str` - at `$.enabled`"."""
    problem, _, where = error.partition(" - at `$")
    key = where.rstrip("`").removeprefix(".")
    if key == "coalesce":
        problem = f'must be "{TRANSACTION}" or a number of seconds, more than 0 and at most {LONGEST_WAIT}'
    for theirs, ours in WORDS.items():
        problem = problem.replace(theirs, ours)
    return f"{key}: {problem}" if key else problem


def _lines(hook: HookSettings) -> Iterator[str]:
    yield "[[hook]]"
    yield f"name = {_text(hook.name)}"
    yield f"content_types = {_list(hook.content_types)}"
    yield f"job = {_text(hook.job)}"
    yield f"events = {_list(hook.events)}"
    if not hook.enabled:
        yield "enabled = false"
    if hook.priority:
        yield f"priority = {hook.priority}"
    if hook.description:
        yield f"description = {_text(hook.description)}"
    if hook.columns:
        yield f"columns = {_list(hook.columns)}"
    if hook.conditions:
        yield f"conditions = {_text(hook.conditions)}"
    if hook.coalesce_s is not None:
        yield f"coalesce = {_text(TRANSACTION) if hook.coalesce_s == 0 else repr(hook.coalesce_s)}"


def _list(items: Iterable[str]) -> str:
    return f"[{', '.join(map(_text, items))}]"


def _text(text: str) -> str:
    # A string of JSON is one of TOML, but for these.
    return json.dumps(text, ensure_ascii=False).translate(CONTROLS)
