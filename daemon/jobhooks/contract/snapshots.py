"""A row as JSON: reading it without loss, writing it, and telling two of them apart. Pure functions."""

import datetime
import json
import sys
from decimal import Decimal
from ipaddress import IPv4Address, IPv4Interface, IPv4Network, IPv6Address, IPv6Interface, IPv6Network
from math import isfinite
from typing import TypedDict, cast

import msgspec

Row = dict[str, object]

IP_TYPES = (IPv4Address, IPv4Interface, IPv4Network, IPv6Address, IPv6Interface, IPv6Network)


class Differences(TypedDict):
    """The columns that differ, with their values before and after; None where there was no row."""

    removed: Row | None
    added: Row | None


class Snapshots(TypedDict):
    """The row before and after a change, and what differs; None where there was no row."""

    prechange: Row | None
    postchange: Row | None
    differences: Differences


def decode_row(text: str) -> Row:
    """Return the row that ``text`` holds: columns in the table's order, numbers as int or Decimal, never a float.

    Raises:
        ValueError: the text is not a JSON object.
        RecursionError: a column holds JSON that is nested thousands deep.
    """
    row = decode_value(text)
    if not isinstance(row, dict):
        raise ValueError(f"a row must be a JSON object, not {type(row).__name__}")
    return cast("Row", row)


def decode_value(text: str | bytes) -> object:
    """Return the value that JSON is, by the same rules.

    Raises:
        ValueError: the text is not JSON.
        RecursionError: it is nested thousands deep.
    """
    try:
        return _decoder.decode(text)
    except msgspec.DecodeError:
        # A json column may hold what the faster reader refuses, such as half of a surrogate pair.
        return json.loads(text, parse_float=Decimal, parse_int=_integer)


def encode_row(row: Row) -> str:
    """Return ``row`` as JSON from which PostgreSQL makes each column's type again.

    Python's own types for dates, times, UUIDs, addresses and bytes are taken as well as what a snapshot holds for them.

    Raises:
        TypeError: a value has no JSON form that a column could be made from.
    """
    return _encoder.encode(_json_value(row)).decode()


def differences(before: Row | None, after: Row | None, ignored: frozenset[str] = frozenset()) -> Differences:
    """Return what differs between two rows: on update the same columns on both sides, else the one row there is.

    ``ignored`` columns are in neither.
    """
    if before is None or after is None:
        return {"removed": _without(before, ignored), "added": _without(after, ignored)}
    columns = [name for name in {**before, **after} if name not in ignored]
    changed = [name for name in columns if not identical(before.get(name), after.get(name))]
    return {
        "removed": {name: before.get(name) for name in changed},
        "added": {name: after.get(name) for name in changed},
    }


def _without(row: Row | None, ignored: frozenset[str]) -> Row | None:
    return {name: value for name, value in row.items() if name not in ignored} if row and ignored else row


def identical(one: object, other: object) -> bool:
    """Compare as JSON: ``true`` is not 1, and 1.0 is not 1.00, which Python's ``==`` holds for equal."""
    if type(one) is not type(other):
        return False
    if isinstance(one, Decimal):
        return str(one) == str(other)
    if isinstance(one, dict) and isinstance(other, dict):
        mine, theirs = cast("Row", one), cast("Row", other)
        return mine.keys() == theirs.keys() and all(identical(mine[name], theirs[name]) for name in mine)
    if isinstance(one, list) and isinstance(other, list):
        left, right = cast("list[object]", one), cast("list[object]", other)
        return len(left) == len(right) and all(map(identical, left, right))
    return one == other


def _json_value(value: object) -> object:
    """Return what the encoder writes in PostgreSQL's own notation where it would write something else."""
    match value:
        case float() | Decimal() if not isfinite(value):
            return str(Decimal(value))
        case datetime.timedelta():
            return f"{value.days} days {value.seconds} seconds {value.microseconds} microseconds"
        case bytes() | bytearray() | memoryview():
            return "\\x" + value.hex()
        case dict():
            return {str(name): _json_value(item) for name, item in cast("dict[object, object]", value).items()}
        case list() | tuple():
            return [_json_value(item) for item in cast("list[object]", value)]
        case _:
            return value


def _integer(digits: str) -> int | Decimal:
    """Return an int, or a Decimal past the 4,300 digits that Python's int will read; numeric has up to 131,072."""
    return int(digits) if len(digits) <= sys.int_info.default_max_str_digits else Decimal(digits)


def _unencodable(value: object) -> object:
    """Return the text of an IP address or network; refuse the rest."""
    if isinstance(value, IP_TYPES):
        return str(value)
    raise TypeError(f"a column cannot be set from a {type(value).__name__}")


_decoder = msgspec.json.Decoder(object, float_hook=Decimal)
_encoder = msgspec.json.Encoder(decimal_format="number", enc_hook=_unencodable)
