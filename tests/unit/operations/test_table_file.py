"""Tables in the file of hooks: reading, refusing, and that a written file reads back as the same tables."""

from pathlib import Path

import pytest
from hypothesis import given, strategies as st

from jobhooks.errors import InvalidHookFile
from jobhooks.operations.configuration import config_file, hook_file, table_file
from jobhooks.operations.configuration.table_file import TableEntry

TEXTS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=20)
TABLES = st.builds(
    TableEntry,
    name=TEXTS,
    key=st.none() | st.lists(TEXTS),
    always=st.booleans(),
    exclude=st.lists(TEXTS),
    ignore=st.lists(TEXTS),
    keep_lastval=st.none() | st.booleans(),
    parents=st.lists(TEXTS),
)


@given(tables=st.lists(TABLES, min_size=1))
def test_what_is_written_is_read_as_the_same(
    tmp_path_factory: pytest.TempPathFactory, tables: list[TableEntry]
) -> None:
    file = tmp_path_factory.mktemp("written") / "hooks.toml"
    file.write_bytes(table_file.written(tables).encode())
    assert table_file.read(file) == tables
    assert hook_file.read(file) is None


def test_a_file_without_tables_leaves_them_alone(tmp_path: Path) -> None:
    """No table and an empty list of tables differ: the second can unwatch all of them."""
    file = tmp_path / "hooks.toml"
    file.write_text("")
    assert table_file.read(file) is None
    file.write_text("table = []")
    assert table_file.read(file) == []
    file.write_text("[]")  # as earlier versions exported no hooks
    assert table_file.read(file) is None


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[[table]]\nkeys = ['id']\nname = 'a'\n", 'table "a": it cannot have `keys`'),
        ("[[table]]\nalways = true\n", "table number 1: it has no `name`"),
        ("[[table]]\nname = 'a'\nexclude = 'b'\n", "exclude: expected `array`"),
        ("table = 1\n", " table: each hook begins"),
        ("[[tables]]\nname = 'a'\n", " tables: each hook begins"),
    ],
)
def test_a_file_with_a_mistake_is_refused(tmp_path: Path, text: str, words: str) -> None:
    file = tmp_path / "hooks.toml"
    file.write_text(text)
    with pytest.raises(InvalidHookFile) as caught:
        table_file.read(file)
    assert str(file) in str(caught.value) and words in str(caught.value)


def test_options_that_are_so_by_default_are_left_out() -> None:
    assert table_file.entry(TableEntry(name="a", key=[], ignore=["b"])) == {"name": "a", "key": [], "ignore": ["b"]}
    assert table_file.written([TableEntry(name="a", keep_lastval=False)]) == (
        '[[table]]\nname = "a"\nkeep_lastval = false\n'
    )


def test_values_are_written_as_toml() -> None:
    assert config_file.toml_value([True, 'a"b\x7f', 1.5]) == '[true, "a\\"b\\u007f", 1.5]'
