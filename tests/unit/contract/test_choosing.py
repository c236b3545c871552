"""The foreign key that a name means, and the message for an unknown name."""

import pytest

from jobhooks.contract.content_type import ContentType, ForeignKey
from jobhooks.contract.relations.choosing import foreign_key_of, referring_key, table_called, unknown_column


def table(name: str) -> ContentType:
    return ContentType(0, f"public.{name}", "public", name, ("id",), ("bigint",))


def key(name: str, source: str, target: str, *columns: str) -> ForeignKey:
    types = ("bigint",) * len(columns)
    return ForeignKey(name, table(source), columns, types, table(target), columns, types)


def test_a_reference_is_the_foreign_key_of_its_column() -> None:
    """Of two that have it, the one with fewer columns."""
    wide, narrow = key("a", "device", "rack", "tenant_id", "site_id"), key("b", "device", "site", "site_id")
    assert foreign_key_of("site", [wide, narrow]) is narrow
    assert foreign_key_of("tenant", [wide, narrow]) is wide
    assert foreign_key_of("rack", [wide, narrow]) is None


def test_of_several_foreign_keys_a_column_chooses() -> None:
    keys = [
        key("a", "cable", "device", "a_id"),
        key("b", "cable", "device", "b_id"),
        key("c", "cable", "site", "site_id"),
    ]
    assert referring_key(table("device"), "public.cable", "b_id", keys) is keys[1]
    assert referring_key(table("site"), "public.cable", None, keys) is keys[2]
    with pytest.raises(LookupError, match=r"has 2 foreign keys to public.device: name a column .* a_id; b_id"):
        referring_key(table("device"), "public.cable", None, keys)
    with pytest.raises(LookupError, match=r"with the column x; its columns: a_id; b_id"):
        referring_key(table("device"), "public.cable", "x", keys)
    with pytest.raises(LookupError, match=r"public.cable has no foreign key to public.rack"):
        referring_key(table("rack"), "public.cable", None, keys)


def test_a_bare_name_is_of_the_same_schema() -> None:
    assert table_called("interface", table("device")) == ("public", "interface")
    assert table_called("dcim.interface", table("device")) == ("dcim", "interface")


@pytest.mark.parametrize(
    ("name", "begin"),
    [
        ("location", "did you mean location_id? public.device has no column location and no foreign key in it; it has"),
        ("serail", "did you mean serial? public.device has no column serail; it has id, serial, location_id"),
        ("xyz", "public.device has no column xyz; it has id, serial, location_id"),
        ("cf", "public.device has no column cf: custom fields are Nautobot's; it has"),
    ],
)
def test_an_unknown_name_gets_the_nearest_column(name: str, begin: str) -> None:
    assert unknown_column("public.device", name, ["id", "serial", "location_id"]).startswith(begin)
