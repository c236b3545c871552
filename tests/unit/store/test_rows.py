"""Taking rows apart without parsing values, so that the command line can show rows with any content."""

import json

from hypothesis import given, strategies as st

from jobhooks.store.json_rows import as_json, columns, difference
from support.random_texts import texts

values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | texts(),
    lambda inner: st.lists(inner) | st.dictionaries(texts(), inner),
    max_leaves=8,
)
rows = st.dictionaries(texts(), values)


@given(rows, st.sampled_from([None, 1]), st.booleans())
def test_each_column_is_what_a_reader_would_find(row: dict[str, object], indent: int | None, ascii_only: bool) -> None:
    text = json.dumps(row, indent=indent, ensure_ascii=ascii_only)
    found = columns(text)
    assert {name: json.loads(value) for name, value in found.items()} == row
    assert list(found) == list(row)
    assert columns(as_json(found)) == found


@given(rows, rows, st.sets(texts()))
def test_what_was_removed_and_added_makes_one_row_of_the_other(
    before: dict[str, object], after: dict[str, object], ignored: set[str]
) -> None:
    one, other = columns(json.dumps(before)), columns(json.dumps(after))
    removed, added = difference(one, other, ignored)
    assert removed.keys() == added.keys()
    for name in {**one, **other}:
        old, new = one.get(name, "null"), other.get(name, "null")
        assert (removed.get(name), added.get(name)) == (
            (old, new) if old != new and name not in ignored else (None, None)
        )


def test_values_stay_as_they_are_written() -> None:
    """A float would be a lie, and a reader would fail."""
    deep = "[" * 5000 + "]" * 5000
    text = f'{{"a": 1.10000000000000000000000000001, "b" :"\\ud800\\"," , "c":{deep}, "d":{{"e": [1, {{}}]}}}}'
    assert columns(text) == {
        "a": "1.10000000000000000000000000001",
        "b": '"\\ud800\\","',
        "c": deep,
        "d": '{"e": [1, {}]}',
    }
    assert columns(None) == columns("null") == columns("{}") == {}
