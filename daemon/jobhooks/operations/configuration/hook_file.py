"""Hooks in a file, as TOML or JSON: read, checked in form, and written so that they read back as the same hooks."""

import json
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any, Literal, cast, get_type_hints

import msgspec
from msgspec import Meta

from jobhooks.contract.choices import ObjectChangeActionChoices
from jobhooks.contract.hook_data import normalized
from jobhooks.errors import InvalidHookData, InvalidHookFile
from jobhooks.matching.hook_settings import (
    DEFAULTS,
    MAX_COALESCE_S,
    REQUEST,
    REQUEST_S,
    RULES,
    TRANSACTION,
    HookSettings,
    Kind,
    setting_named,
    shown_name,
)
from jobhooks.operations.configuration.config_file import (
    called,
    in_words,
    key_of_error,
    sections,
    toml_pairs,
    toml_value,
)

EVENTS = [action.value for action in ObjectChangeActionChoices]
Duration = Annotated[float, Meta(gt=0, le=MAX_COALESCE_S)] | None
Coalesce = Literal["transaction", "request"] | Duration
IN_WORDS: dict[float | None, str] = {0.0: TRANSACTION, REQUEST_S: REQUEST}
OF_WORDS = {word: seconds for seconds, word in IN_WORDS.items()}


def _entry_type() -> type[msgspec.Struct]:
    """A hook as it stands in a file: the settings by their shown names, ``coalesce`` in words.

    ``data`` is a table, or JSON in a text, since TOML has no null.
    """
    types: dict[str, Any] = {
        **get_type_hints(HookSettings),
        "coalesce_s": Coalesce,
        "debounce_s": Duration,
        "longest_wait_s": Duration,
        "data": dict[str, Any] | str,
    }
    required = [(shown_name(name), types[name]) for name in RULES if name not in DEFAULTS]
    optional = [
        (shown_name(name), types[name], msgspec.field(default_factory=lambda default=default: default))
        for name, default in DEFAULTS.items()
    ]
    return msgspec.defstruct("Entry", [*required, *optional], forbid_unknown_fields=True, kw_only=True)


Entry = _entry_type()


def read(path: Path) -> list[HookSettings] | None:
    """The hooks of a file, each with its lists in order; null for a file without any, which leaves hooks alone.

    Raises:
        InvalidHookFile: the message names the file and the hook.
    """
    entries = sections(path).hooks
    if entries is None:
        return None
    found: list[HookSettings] = []
    for number, entry in enumerate(entries, 1):
        hook = _settings(entry, f"{path}: {called(entry, 'hook', number)}")
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
    return {shown_name(name): shown_value(name, getattr(ordered, name)) for name in RULES}


def shown_value(setting: str, value: Any) -> Any:
    """The value of a setting as people see it: seconds as a float; a word for a transaction or a request."""
    if value is None or setting not in RULES or RULES[setting].kind not in (Kind.COALESCE, Kind.DURATION):
        return value
    return IN_WORDS.get(value, float(value)) if RULES[setting].kind is Kind.COALESCE else float(value)


def in_order(hook: HookSettings) -> HookSettings:
    """The hook with its lists sorted and without duplicates."""
    return replace(
        hook,
        content_types=sorted({*hook.content_types}),
        events=ordered_events(hook.events),
        columns=sorted({*hook.columns}),
        roles=sorted({*hook.roles}),
        rate_per=sorted({*hook.rate_per}),
    )


def ordered_events(events: Iterable[str]) -> list[str]:
    """Events in their order, without duplicates; unknown events come last."""
    return sorted({*events}, key=lambda event: (EVENTS.index(event) if event in EVENTS else len(EVENTS), event))


def _settings(given: object, where: str) -> HookSettings:
    try:
        known = msgspec.convert(given, Entry)
    except msgspec.ValidationError as exc:
        raise InvalidHookFile(f"{where}: {_in_words(str(exc))}") from exc
    settings = {setting_named(name): value for name, value in msgspec.structs.asdict(known).items()}
    settings["coalesce_s"] = OF_WORDS.get(settings["coalesce_s"], settings["coalesce_s"])
    try:
        settings["data"] = _data(settings["data"])
    except (InvalidHookData, msgspec.DecodeError) as exc:
        raise InvalidHookFile(f"{where}: data: {exc}") from exc
    return in_order(HookSettings(**settings))


def _data(given: dict[str, Any] | str) -> dict[str, Any]:
    return normalized(msgspec.json.decode(given, type=dict[str, Any]) if isinstance(given, str) else given)


def _in_words(error: str) -> str:
    key = key_of_error(error)
    problem = None
    if key == "coalesce":
        problem = (
            f'must be "{TRANSACTION}", "{REQUEST}" or a number of seconds, more than 0 and at most {MAX_COALESCE_S}'
        )
    if key in ("debounce", "longest_wait"):
        problem = f"must be a number of seconds, more than 0 and at most {MAX_COALESCE_S}"
    return in_words(error, problem)


def _lines(hook: HookSettings) -> Iterator[str]:
    yield "[[hook]]"
    for name, value in entry(hook).items():
        setting = setting_named(name)
        if setting != "data" and (setting not in DEFAULTS or DEFAULTS[setting] != getattr(hook, setting)):
            yield f"{name} = {toml_value(value)}"
    if _has_null(hook.data):
        yield f"data = {toml_value(json.dumps(hook.data, ensure_ascii=False))}"
    elif hook.data:
        yield "[hook.data]"
        yield from toml_pairs(hook.data)


def _has_null(value: object) -> bool:
    if isinstance(value, dict | list):
        items = cast("dict[str, object]", value).values() if isinstance(value, dict) else cast("list[object]", value)
        return any(map(_has_null, items))
    return value is None
