"""Patterns for the names of tables, with and without a schema, quotes and capitals."""

import pytest

from jobhooks.operations.lookup.table_patterns import is_pattern, table_pattern


@pytest.mark.parametrize(
    ("pattern", "schema", "table", "matches"),
    [
        ("public.dcim_*", "public", "dcim_device", True),
        ("public.dcim_*", "public", "ipam_prefix", False),
        ("public.dcim_*", "other", "dcim_device", False),
        ("dcim_*", "other", "dcim_device", True),
        ("*.device", "other", "device", True),
        ("public.?", "public", "ab", False),
        ("public.[ab]*", "public", "bar", True),
        ("public.User*", "public", "UserGroup", True),
        ("PUBLIC.Dcim_*", "public", "dcim_device", True),
        ("public.user*", "public", "UserGroup", False),
        ('public."User"*', "public", "UserGroup", True),
        ('public."User"*', "public", "usergroup", False),
        ('public."User"', "public", "user", False),
        ('"Public".*', "public", "user", False),
        ('public."Odd *"', "public", "Odd *", True),
        ('public."Odd *"', "public", "Odd one", False),
        ('"a.b".c*', "a.b", "cd", True),
        ('"say ""x"""*', "public", 'say "x"y', True),
        ("public.device", "public", "device", True),
        ("a.b.c*", "a", "b.cd", True),
    ],
)
def test_a_pattern_matches(pattern: str, schema: str, table: str, matches: bool) -> None:
    assert table_pattern(pattern).matches(schema, table) is matches


@pytest.mark.parametrize(
    ("name", "expected"),
    [("public.dcim_*", True), ("public.?", True), ("[ab]", True), ("public.device", False), ('public."Odd *"', False)],
)
def test_wildcards_in_quotes_are_part_of_the_name(name: str, expected: bool) -> None:
    assert is_pattern(name) is expected
