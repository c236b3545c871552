"""Whether columns changed, read without decoding the rest of the rows, by the rule of differences."""

import datetime
import json

import pytest
from hypothesis import given, strategies as st

from jobhooks.contract.change import Change
from jobhooks.contract.choices import ObjectChangeActionChoices as Action
from jobhooks.contract.content_type import ContentType
from jobhooks.matching.changed_columns import MissingColumn, any_changed, raw_columns, reader_of
from support.random_texts import texts

DEVICE = ContentType(1, "public.device", "public", "device", ("id",), ("integer",))
NOW = datetime.datetime.now(datetime.UTC)


def change(before: str | None, after: str | None) -> Change:
    action = Action.ACTION_CREATE if before is None else Action.ACTION_DELETE if after is None else Action.ACTION_UPDATE
    return Change(1, 1, NOW, DEVICE, action, "u", None, before, after)


@pytest.mark.parametrize(
    ("before", "after", "changed"),
    [
        ('{"a": 1, "b": 2}', '{"a": 1, "b": 3}', False),
        ('{"a": 1, "b": 2}', '{"a": 2, "b": 2}', True),
        ('{"a": 1.0}', '{"a": 1.00}', True),
        ('{"a": [1,2]}', '{"a": [1, 2]}', False),
        ('{"a": {"x": 1, "y": 2}}', '{"a": {"y": 2, "x": 1}}', False),
        ('{"a": null}', None, False),
        (None, '{"a": 0}', True),
        (None, None, False),
        ('{"a": "\\ud83d"}', '{"a": "\\ud83e"}', True),
        ('{"a": ' + "[" * 2000 + "]" * 2000 + "}", '{"a": ' + "[" * 2000 + "]" * 2000 + "}", False),
    ],
)
def test_a_column_has_changed_if_its_value_has(before: str | None, after: str | None, changed: bool) -> None:
    assert any_changed(change(before, after), ("a",), strict=True) == changed


def test_a_missing_column_counts_as_null_unless_it_must_be_there() -> None:
    update = change('{"a": 1}', '{"a": 1}')
    assert not any_changed(update, ("gone",), strict=False)
    with pytest.raises(MissingColumn, match="gone"):
        any_changed(update, ("a", "gone"), strict=True)
    assert any_changed(change('{"a": 1}', '{"a": 2}'), ("gone", "a"), strict=True)


names = texts(5)


@given(st.dictionaries(names, st.none() | st.integers() | texts() | st.lists(st.booleans())), st.sets(names))
def test_raw_columns_are_those_of_the_row(row: dict[str, object], wanted: set[str]) -> None:
    """Also for names that the fast reader does not take: quotes, backslashes and control characters."""
    found = raw_columns(tuple(wanted), json.dumps(row))
    assert {name: json.loads(bytes(value)) for name, value in found.items()} == {
        name: value for name, value in row.items() if name in wanted
    }


def test_a_reader_reads_the_columns_that_a_row_has() -> None:
    read = reader_of(("a", "b"), int)
    assert read('{"b": 2, "c": [3]}') == {"b": 2}
