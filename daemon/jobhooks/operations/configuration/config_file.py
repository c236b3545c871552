"""A file with hooks and tables, as TOML or JSON: its sections, and values as TOML."""

import json
import re
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import msgspec

from jobhooks.errors import InvalidHookFile

# The form errors of msgspec, and the words that a person reads instead.
WORDS = {
    "Object missing required field": "it has no",
    "Object contains unknown field": "it cannot have",
    "Expected": "expected",
}
# Characters that TOML does not take as they are, or that would steer a terminal.
CONTROLS = {code: f"\\u{code:04x}" for code in range(0x7F, 0xA0)}

BARE = re.compile("[A-Za-z0-9_-]+")  # a key of TOML without quotes


@dataclass(frozen=True)
class Sections:
    """The entries of a file, unchecked; null for a kind that the file does not have, which stays as it is."""

    hooks: list[object] | None
    tables: list[object] | None


def sections(path: Path) -> Sections:
    """The sections of a file: TOML with ``[[hook]]`` and ``[[table]]``, or the output of ``hook export --json``.

    Raises:
        InvalidHookFile: the message names the file.
    """
    found = _decoded(path)
    if isinstance(found, list):  # of hooks, as earlier versions exported them
        return Sections(cast("list[object]", found), None)
    if not isinstance(found, dict):
        raise InvalidHookFile(f"{path}: expected hooks and tables, as jobhooks hook export --json prints them")
    entries = cast("dict[str, object]", found)
    hooks, tables = entries.pop("hook", None), entries.pop("table", None)
    wrong = [name for name, found in (("hook", hooks), ("table", tables)) if not isinstance(found, list | None)]
    if entries or wrong:
        what = ", ".join(entries) or wrong[0]
        raise InvalidHookFile(
            f"{path}: cannot use {what}: each hook begins with a line [[hook]], each table with a line [[table]]"
        )
    return Sections(cast("list[object] | None", hooks), cast("list[object] | None", tables))


def called(entry: object, kind: str, number: int) -> str:
    """An entry in a message: ``hook "Check serials"``, or ``hook number 3`` if it has no name."""
    name: object = cast("dict[str, object]", entry).get("name") if isinstance(entry, dict) else None
    return f'{kind} "{name}"' if isinstance(name, str) else f"{kind} number {number}"


def key_of_error(error: str) -> str:
    """The key that msgspec complains of: "Expected `bool`, got `str` - at `$.enabled`"; empty for the entry."""
    return error.partition(" - at `$")[2].rstrip("`").removeprefix(".")


def in_words(error: str, problem: str | None = None) -> str:
    """The message of msgspec in the words of a file; ``problem`` replaces msgspec's own text."""
    key = key_of_error(error)
    said = problem or error.partition(" - at `$")[0]
    for theirs, ours in WORDS.items():
        said = said.replace(theirs, ours)
    return f"{key}: {said}" if key else said


def toml_value(value: Any) -> str:
    """A value as TOML."""
    match value:
        case bool():
            return "true" if value else "false"
        case str():
            # A JSON string is a TOML string, but for these characters.
            return json.dumps(value, ensure_ascii=False).translate(CONTROLS)
        case list():
            return f"[{', '.join(map(toml_value, value))}]"  # pyright: ignore[reportUnknownArgumentType] - of anything
        case dict():
            return f"{{{', '.join(toml_pairs(cast('dict[str, Any]', value)))}}}"
        case _:
            return repr(value)


def toml_pairs(values: dict[str, Any]) -> Iterator[str]:
    """Keys and values, as the lines of a table of TOML."""
    for key, value in values.items():
        yield f"{key if BARE.fullmatch(key) else toml_value(key)} = {toml_value(value)}"


def _decoded(path: Path) -> object:
    try:
        text = path.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as exc:
        raise InvalidHookFile(f"cannot read {path}: {exc}") from exc
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as why_not_toml:
        try:
            return msgspec.json.decode(text)
        except (msgspec.DecodeError, RecursionError) as exc:
            if path.suffix == ".json":
                raise InvalidHookFile(f"{path} is not JSON: {exc}") from exc
            raise InvalidHookFile(f"{path} is not TOML: {why_not_toml}") from why_not_toml
