"""Suggestions for a name that does not exist: they help only if the right one comes first."""

import pytest

from jobhooks.operations.lookup.nearest_names import nearest_names

TABLES = ["public.device", "public.dcim_device", "public.site", "inventory.rack"]


@pytest.mark.parametrize(
    ("name", "known", "first"),
    [
        ("device", TABLES, "public.device"),
        ("public.devise", TABLES, "public.device"),
        ("dcim.device", TABLES, "public.dcim_device"),
        ("public.rack", TABLES, "inventory.rack"),
        ("shout.shout", ["shout.Shout", "other.Job"], "shout.Shout"),
        ("shout", ["shout.Shout", "other.Job"], "shout.Shout"),
        ("Check serial", ["check serials", "audit"], "check serials"),
    ],
)
def test_the_nearest_name_comes_first(name: str, known: list[str], first: str) -> None:
    assert nearest_names(name, known)[0] == first


@pytest.mark.parametrize("name", ["", "zzz", "jobhooks"])
def test_unlike_names_are_not_suggested(name: str) -> None:
    assert nearest_names(name, TABLES) == []


def test_there_are_at_most_two_suggestions() -> None:
    assert len(nearest_names("job", ["job1", "job2", "job3", "job4"])) == 2
