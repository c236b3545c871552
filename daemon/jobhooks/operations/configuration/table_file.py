"""Tables in the file of hooks: read, checked in form, and written so that they read back as the same."""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import msgspec

from jobhooks.errors import InvalidHookFile
from jobhooks.operations.configuration.config_file import called, in_words, sections, toml_value


class TableEntry(msgspec.Struct, forbid_unknown_fields=True, kw_only=True, frozen=True):
    """How a table is watched. ``key``: null for the primary key, empty for a table without a key.

    ``parents``: tables that its changes also update, each as ``schema.table=column,column``.
    """

    name: str
    key: list[str] | None = None
    always: bool = False
    exclude: list[str] = []
    ignore: list[str] = []
    keep_lastval: bool | None = None
    parents: list[str] = []


def read(path: Path) -> list[TableEntry] | None:
    """The tables of a file; null if it has no tables, and leaves them alone.

    Raises:
        InvalidHookFile: the message names the file and the table.
    """
    entries = sections(path).tables
    if entries is None:
        return None
    found: list[TableEntry] = []
    for number, entry in enumerate(entries, 1):
        try:
            table = msgspec.convert(entry, TableEntry)
        except msgspec.ValidationError as exc:
            raise InvalidHookFile(f"{path}: {called(entry, 'table', number)}: {in_words(str(exc))}") from exc
        found.append(table)
    return found


def written(tables: Iterable[TableEntry]) -> str:
    """Tables as TOML; options that have their default are left out."""
    return "\n".join("".join(f"{line}\n" for line in _lines(table)) for table in tables)


def entry(table: TableEntry) -> dict[str, Any]:
    """The options of a table that differ from the defaults, by the names and with the values that a file has."""
    default = TableEntry(name="")
    options = msgspec.structs.asdict(table)
    return {name: value for name, value in options.items() if name == "name" or value != getattr(default, name)}


def _lines(table: TableEntry) -> Iterator[str]:
    yield "[[table]]"
    for name, value in entry(table).items():
        yield f"{name} = {toml_value(value)}"
