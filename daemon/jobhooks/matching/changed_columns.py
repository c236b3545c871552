"""Single columns of a change: whether they changed, and their values, without decoding the rest of the rows."""

from collections.abc import Callable
from functools import lru_cache
from typing import Any

import msgspec
from msgspec.structs import astuple

from jobhooks.contract.change import Change, raw_values
from jobhooks.contract.snapshots import decode_value, identical

KEPT = 1_000  # readers, one per requested set of columns
NULL = b"null"
ReadColumns = Callable[[str], dict[str, Any]]


class MissingColumn(ValueError):
    """A row has no such column: it was dropped or renamed, or the table is watched without it."""


def any_changed(change: Change, names: tuple[str, ...], *, strict: bool) -> bool:
    """Check whether one of the columns has a new value, by the rule of ``differences``.

    For a created or deleted row: whether one is not null. A column that the content type ignores never changed. A
    missing column counts as null, unless ``strict``.

    Raises:
        MissingColumn: none changed, and a requested column is missing.
    """
    ignored = change.content_type.ignored_columns
    if ignored:
        names = tuple(name for name in names if name not in ignored)
    rows = [raw_columns(names, row) for row in (change.prechange_json, change.postchange_json) if row is not None]
    missing = None
    for name in names:
        values = [row[name] for row in rows if name in row]
        if len(values) == 2:
            if _differ(*values):
                return True
        elif values:
            if _differ(values[0], NULL):
                return True
        elif rows:
            missing = name
    if missing is not None and strict:
        raise MissingColumn(f'there is no column "{missing}"')
    return False


def raw_columns(names: tuple[str, ...], row_json: str) -> dict[str, bytes | msgspec.Raw]:
    """The columns that the row has, as their JSON text."""
    try:
        return _raw_reader(names)(row_json)
    except (msgspec.DecodeError, RecursionError):
        # The faster reader refuses half a surrogate pair, and some hundred levels of nesting.
        values = raw_values(row_json)
        return {name: values[name] for name in names if name in values}


def reader_of(names: tuple[str, ...], value: object) -> ReadColumns:
    """Make a function that reads these columns of a row, if the row has them, each as a ``value``.

    It raises DecodeError or RecursionError for rows that it cannot read; use the slower reader for those.
    """
    fields = {f"column_{number}": name for number, name in enumerate(names)}
    try:
        row_type = msgspec.defstruct("Columns", [(field, value, msgspec.UNSET) for field in fields], rename=fields)
    except ValueError:
        return _refuse  # it takes no names with quotes, backslashes or control characters
    decode = msgspec.json.Decoder(row_type).decode

    def read(row_json: str) -> dict[str, Any]:
        row = zip(names, astuple(decode(row_json)), strict=True)
        return {name: value for name, value in row if value is not msgspec.UNSET}

    return read


def _refuse(_row_json: str) -> dict[str, Any]:
    raise msgspec.DecodeError


@lru_cache(KEPT)
def _raw_reader(names: tuple[str, ...]) -> ReadColumns:
    return reader_of(names, msgspec.Raw)


def _differ(one: bytes | msgspec.Raw, other: bytes | msgspec.Raw) -> bool:
    """Compare two columns' JSON. Values written differently can still be equal, as in ``differences``."""
    one, other = bytes(one), bytes(other)
    if one == other:
        return False
    try:
        return not identical(decode_value(one), decode_value(other))
    except RecursionError:
        return True  # too deep to look closer
