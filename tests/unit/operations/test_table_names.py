"""How the name of a table is written."""

import pytest

from jobhooks.operations.lookup.table_names import quoted


@pytest.mark.parametrize(
    ("name", "written"),
    [
        ("public.device", "public.device"),
        ("public.Upper Case", 'public."Upper Case"'),
        ('public."Upper Case', 'public."Upper Case"'),
        ("Device", '"Device"'),
        ("a-b.c", '"a-b".c'),
        ("a.b.c", 'a."b.c"'),
    ],
)
def test_parts_are_quoted_where_sql_needs_it(name: str, written: str) -> None:
    assert quoted(name) == written
