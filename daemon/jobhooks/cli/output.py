"""What commands print: data on stdout, as a table or as JSON; words on stderr."""

import dataclasses
import sys
from collections.abc import Sequence
from typing import Any, ClassVar, Protocol

import msgspec
from rich.console import Console
from rich.table import Table
from rich.text import Text


class _Record(Protocol):
    __dataclass_fields__: ClassVar[dict[str, dataclasses.Field[Any]]]


def print_records(kind: type[_Record], records: Sequence[_Record], *, as_json: bool) -> None:
    """Print ``records`` with the fields of ``kind`` as columns; as JSON, an array of objects."""
    if as_json:
        print(msgspec.json.format(msgspec.json.encode(records)).decode())  # noqa: T201 - this is the data
        return
    fields = [field.name for field in dataclasses.fields(kind)]
    table = Table(*(name.replace("_", " ") for name in fields), box=None, pad_edge=False)
    for record in records:
        table.add_row(*(Text(_cell(getattr(record, name))) for name in fields))
    # A pipe has no width to fit into: let each row be a line.
    Console(width=None if sys.stdout.isatty() else 1000).print(table)


def say(message: str) -> None:
    """Print words for a person."""
    print(message, file=sys.stderr)  # noqa: T201 - words go to stderr


def _cell(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list):
        return ", ".join(map(str, value)) or "-"  # pyright: ignore[reportUnknownArgumentType, reportUnknownVariableType]
    return str(value)
