"""Rows as JSON: values survive the round trip, and differences are those that PostgreSQL sees."""

import datetime
import json
import math
from decimal import Decimal
from ipaddress import ip_network
from typing import cast
from uuid import UUID

import pytest
from hypothesis import given, strategies as st

from jobhooks.contract.snapshots import Row, decode_row, differences, encode_row
from support.random_texts import texts

numbers = st.one_of(
    st.integers(min_value=-(10**40), max_value=10**40),
    # A row has a Decimal only for a number that is not written as an integer.
    st.decimals(allow_nan=False, allow_infinity=False).filter(lambda number: not str(number).lstrip("-").isdigit()),
)
values = st.recursive(
    st.one_of(st.none(), st.booleans(), numbers, texts()),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(texts(3), inner, max_size=3)),
    max_leaves=6,
)
rows = st.dictionaries(st.sampled_from(["id", "name", "serial", "meta"]), values, max_size=4)


def canonical(value: object) -> str:
    """The oracle: JSON with sorted keys, numbers as they are written."""
    if isinstance(value, Decimal):
        return str(value)
    if isinstance(value, dict):
        members = cast("dict[str, object]", value)
        return "{" + ",".join(f"{json.dumps(name)}:{canonical(members[name])}" for name in sorted(members)) + "}"
    if isinstance(value, list):
        return "[" + ",".join(map(canonical, cast("list[object]", value))) + "]"
    return json.dumps(value)


@given(rows, rows)
def test_update_names_exactly_the_columns_whose_json_differs(before: Row, after: Row) -> None:
    """A receiver decides by the differences: one too few is a change missed, one too many a change imagined."""
    names = {*before, *after}
    found = differences(before, after)
    assert found["removed"] is not None and found["added"] is not None
    assert found["removed"].keys() == found["added"].keys()
    assert set(found["removed"]) == {
        name for name in names if canonical(before.get(name)) != canonical(after.get(name))
    }
    assert all(found["removed"][name] == before.get(name) for name in found["removed"])
    assert all(found["added"][name] == after.get(name) for name in found["added"])


@pytest.mark.parametrize(
    ("one", "other"),
    [(True, 1), (0, False), (Decimal("1.0"), Decimal("1.00")), ({"a": 1}, {"a": True}), ([1, 2], [2, 1])],
)
def test_values_that_python_takes_for_equal_differ_as_json_does(one: object, other: object) -> None:
    """Python holds True for 1 and 1.0 for 1.00; PostgreSQL does not."""
    assert differences({"a": one}, {"a": other})["added"] == {"a": other}


def test_create_has_only_added_and_delete_only_removed() -> None:
    """The contract of a receiver: None stands for a missing row."""
    assert differences(None, {"id": 1}) == {"removed": None, "added": {"id": 1}}
    assert differences({"id": 1}, None) == {"removed": {"id": 1}, "added": None}
    assert differences(None, None) == {"removed": None, "added": None}


@pytest.mark.parametrize(
    ("text", "row"),
    [
        ('{"a":1.10}', {"a": Decimal("1.10")}),
        (
            '{"a":1234567890123456789012345678901234567890.5}',
            {"a": Decimal("1234567890123456789012345678901234567890.5")},
        ),
        ('{"a":18446744073709551617}', {"a": 18446744073709551617}),
        ('{"a":"\\u0000"}', {"a": "\0"}),
        ('{"a":"\\ud800"}', {"a": "\ud800"}),
        ('{"a":' + "7" * 5000 + "}", {"a": Decimal("7" * 5000)}),
    ],
)
def test_decoding_keeps_what_a_float_or_a_strict_reader_would_lose(text: str, row: Row) -> None:
    """A numeric has up to 131,072 digits, and a json column may hold half of a surrogate pair."""
    assert decode_row(text) == row


@given(rows)
def test_what_is_encoded_decodes_to_the_same(row: Row) -> None:
    """Assigning a snapshot's value back must restore the row."""
    assert canonical(decode_row(encode_row(row))) == canonical(row)


@pytest.mark.parametrize(
    ("value", "written"),
    [
        (math.nan, "NaN"),
        (Decimal("Infinity"), "Infinity"),
        (b"\x00\xff", "\\x00ff"),
        (datetime.date(2026, 1, 2), "2026-01-02"),
        (datetime.timedelta(days=-1, seconds=3), "-1 days 3 seconds 0 microseconds"),
        (UUID(int=1), "00000000-0000-0000-0000-000000000001"),
        (ip_network("10.0.0.0/8"), "10.0.0.0/8"),
    ],
)
def test_python_types_are_written_as_postgresql_reads_them(value: object, written: str) -> None:
    """An author assigns a date to a date column and expects it to arrive."""
    assert decode_row(encode_row({"a": value, "b": [value]})) == {"a": written, "b": [written]}


def test_a_value_without_json_form_is_refused_by_name() -> None:
    with pytest.raises(TypeError, match="object"):
        encode_row({"a": object()})
