"""Hooks in a file, as TOML or JSON: read, checked in form, and written so that they read back as the same hooks."""

import json
import tomllib
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any, Literal, get_type_hints

import msgspec
from msgspec import Meta

from jobhooks.contract.choices import ObjectChangeActionChoices
from jobhooks.errors import InvalidHookFile
from jobhooks.matching.hook_settings import (
    DEFAULTS,
    MAX_COALESCE_S,
    RULES,
    TRANSACTION,
    HookSettings,
    setting_named,
    shown_name,
)

EVENTS = [action.value for action in ObjectChangeActionChoices]
# The form errors of msgspec, and the words that a person reads instead.
WORDS = {
    "Object missing required field": "it has no",
    "Object contains unknown field": "it cannot have",
    "Expected": "expected",
}
# Characters that TOML does not take as they are, or that would steer a terminal.
CONTROLS = {code: f"\\u{code:04x}" for code in range(0x7F, 0xA0)}
Duration = Annotated[float, Meta(gt=0, le=MAX_COALESCE_S)] | None
Coalesce = Literal["transaction"] | Duration


def _entry_type() -> type[msgspec.Struct]:
    """A hook as it stands in a file: the settings by their shown names, ``coalesce`` in words."""
    types: dict[str, Any] = {
        **get_type_hints(HookSettings),
        "coalesce_s": Coalesce,
        "debounce_s": Duration,
        "longest_wait_s": Duration,
    }
    required = [(shown_name(name), types[name]) for name in RULES if name not in DEFAULTS]
    optional = [
        (shown_name(name), types[name], msgspec.field(default_factory=lambda default=default: default))
        for name, default in DEFAULTS.items()
    ]
    return msgspec.defstruct("Entry", [*required, *optional], forbid_unknown_fields=True, kw_only=True)


Entry = _entry_type()


def read(path: Path) -> list[HookSettings]:
    """The hooks of a file, each with its lists in order.

    Raises:
        InvalidHookFile: the message names the file and the hook.
    """
    found: list[HookSettings] = []
    for number, entry in enumerate(_entries(path), 1):
        hook = _settings(entry, f"{path}: {_called(entry, number)}")
        if any(hook.name == other.name for other in found):
            raise InvalidHookFile(f'{path}: there are two hooks "{hook.name}"')
        found.append(hook)
    return found


def written(hooks: Iterable[HookSettings]) -> str:
    """Hooks as TOML; settings that have their default are left out."""
    return "\n".join("".join(f"{line}\n" for line in _lines(hook)) for hook in hooks)


def entry(hook: HookSettings) -> dict[str, Any]:
    """All settings of a hook by the names and with the values that a file has, lists in order."""
    ordered = in_order(hook)
    settings = {shown_name(name): getattr(ordered, name) for name in RULES}
    return {**settings, "coalesce": TRANSACTION if hook.coalesce_s == 0 else hook.coalesce_s}


def in_order(hook: HookSettings) -> HookSettings:
    """The hook with its lists sorted and without duplicates."""
    return replace(
        hook,
        content_types=sorted({*hook.content_types}),
        events=ordered_events(hook.events),
        columns=sorted({*hook.columns}),
        roles=sorted({*hook.roles}),
    )


def ordered_events(events: Iterable[str]) -> list[str]:
    """Events in their order, without duplicates; unknown events come last."""
    return sorted({*events}, key=lambda event: (EVENTS.index(event) if event in EVENTS else len(EVENTS), event))


def _entries(path: Path) -> list[object]:
    try:
        text = path.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as exc:
        raise InvalidHookFile(f"cannot read {path}: {exc}") from exc
    try:
        tables = tomllib.loads(text)
    except tomllib.TOMLDecodeError as exc:
        return _json_entries(path, text, exc)
    entries: list[object] = tables.pop("hook", [])
    if tables or not isinstance(entries, list):  # pyright: ignore[reportUnnecessaryIsInstance] - a file says anything
        what = ", ".join(tables) or "hook"
        raise InvalidHookFile(f"{path}: there is nothing to be done with {what}: each hook begins with a line [[hook]]")
    return entries


def _json_entries(path: Path, text: str, why_not_toml: ValueError) -> list[object]:
    """The hooks of a file that is not TOML, if it is what ``hook export --json`` prints."""
    try:
        entries: object = msgspec.json.decode(text)
    except (msgspec.DecodeError, RecursionError) as exc:
        if path.suffix == ".json":
            raise InvalidHookFile(f"{path} is not JSON: {exc}") from exc
        raise InvalidHookFile(f"{path} is not TOML: {why_not_toml}") from why_not_toml
    if not isinstance(entries, list):
        raise InvalidHookFile(f"{path}: expected a list of hooks, as jobhooks hook export --json prints it")
    return entries  # pyright: ignore[reportUnknownVariableType] - of anything


def _settings(given: object, where: str) -> HookSettings:
    try:
        known = msgspec.convert(given, Entry)
    except msgspec.ValidationError as exc:
        raise InvalidHookFile(f"{where}: {_in_words(str(exc))}") from exc
    settings = {setting_named(name): value for name, value in msgspec.structs.asdict(known).items()}
    if settings["coalesce_s"] == TRANSACTION:
        settings["coalesce_s"] = 0.0
    return in_order(HookSettings(**settings))


def _called(entry: object, number: int) -> str:
    name: object = entry.get("name") if isinstance(entry, dict) else None  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType] - a file has anything
    return f'hook "{name}"' if isinstance(name, str) else f"hook number {number}"


def _in_words(error: str) -> str:
    """The message of msgspec in the words of a file: "Expected `bool`, got `str` - at `$.enabled`"."""
    problem, _, where = error.partition(" - at `$")
    key = where.rstrip("`").removeprefix(".")
    if key == "coalesce":
        problem = f'must be "{TRANSACTION}" or a number of seconds, more than 0 and at most {MAX_COALESCE_S}'
    if key in ("debounce", "longest_wait"):
        problem = f"must be a number of seconds, more than 0 and at most {MAX_COALESCE_S}"
    for theirs, ours in WORDS.items():
        problem = problem.replace(theirs, ours)
    return f"{key}: {problem}" if key else problem


def _lines(hook: HookSettings) -> Iterator[str]:
    yield "[[hook]]"
    for name, value in entry(hook).items():
        setting = setting_named(name)
        if setting not in DEFAULTS or DEFAULTS[setting] != getattr(hook, setting):
            yield f"{name} = {_toml(value)}"


def _toml(value: Any) -> str:
    match value:
        case bool():
            return "true" if value else "false"
        case str():
            # A JSON string is a TOML string, but for these characters.
            return json.dumps(value, ensure_ascii=False).translate(CONTROLS)
        case list():
            return f"[{', '.join(map(_toml, value))}]"  # pyright: ignore[reportUnknownArgumentType] - of texts
        case _:
            return repr(value)
