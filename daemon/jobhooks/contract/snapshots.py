"""A row as JSON: reading it without loss, writing it, and comparing two rows. Pure functions."""

import datetime
import json
import sys
from decimal import Decimal
from ipaddress import IPv4Address, IPv4Interface, IPv4Network, IPv6Address, IPv6Interface, IPv6Network
from math import isfinite
from typing import TypedDict, cast

import msgspec

from jobhooks.contract.nautobot.exact_number import ExactNumber

Row = dict[str, object]

IP_TYPES = (IPv4Address, IPv4Interface, IPv4Network, IPv6Address, IPv6Interface, IPv6Network)


class Differences(TypedDict):
    """The columns that differ, with their values before and after; null for a missing row."""

    removed: Row | None
    added: Row | None


class Snapshots(TypedDict):
    """The row before and after a change, and the differences; null for a missing row."""

    prechange: Row | None
    postchange: Row | None
    differences: Differences


def decode_row(text: str) -> Row:
    """Decode a row: columns in the table's order, numbers as int or Decimal, never a float.

    Raises:
        ValueError: the text is not a JSON object.
        RecursionError: a column holds JSON with thousands of levels.
    """
    row = decode_value(text)
    if not isinstance(row, dict):
        raise ValueError(f"a row must be a JSON object, not {type(row).__name__}")
    return cast("Row", row)


def decode_value(text: str | bytes) -> object:
    """Decode a JSON value by the same rules.

    Raises:
        ValueError: the text is not JSON.
        RecursionError: it has thousands of levels.
    """
    try:
        return _decoder.decode(text)
    except msgspec.DecodeError:
        # A json column may hold text that the faster reader refuses, such as half a surrogate pair.
        return json.loads(text, parse_float=Decimal, parse_int=_integer)


def encode_row(row: Row) -> str:
    """Encode ``row`` as JSON that PostgreSQL can convert back to each column's type.

    It accepts snapshot values, and Python's types for dates, times, UUIDs, addresses and bytes.

    Raises:
        TypeError: a value has no JSON form for a column.
    """
    return _encoder.encode(_json_value(row)).decode()


def differences(before: Row | None, after: Row | None, ignored: frozenset[str] = frozenset()) -> Differences:
    """Compare two rows: on update the same columns on both sides, otherwise the columns of the only row.

    ``ignored`` columns are left out.
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
    """Compare as JSON: unlike for Python's ``==``, ``true`` is not 1, and 1.0 is not 1.00."""
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
    """Encode values in PostgreSQL's notation where the encoder would use another one."""
    match value:
        case ExactNumber():
            return Decimal(value)
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
    """Make an int, or a Decimal past the 4,300 digits that Python's int accepts; numeric has up to 131,072."""
    return int(digits) if len(digits) <= sys.int_info.default_max_str_digits else Decimal(digits)


def _unencodable(value: object) -> object:
    """Encode an IP address or network; refuse other types."""
    if isinstance(value, IP_TYPES):
        return str(value)
    raise TypeError(f"a column cannot be set from a {type(value).__name__}")


_decoder = msgspec.json.Decoder(object, float_hook=Decimal)
_encoder = msgspec.json.Encoder(decimal_format="number", enc_hook=_unencodable)
