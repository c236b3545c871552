"""Names of exception classes."""

import json

import pytest

from jobhooks.contract.error_names import closest, error_name, is_error_name


class Mine(Exception):
    """An error of a receiver."""


def test_a_class_has_the_same_name_in_each_version_of_its_module() -> None:
    """A daemon and its workers load a module under different package names."""
    for number in (1, 27):
        loaded = type("Gone", (Exception,), {"__module__": f"jobhooks_receivers_{number}.sites._lib"})
        assert error_name(loaded) == "sites._lib.Gone"
    assert error_name(ValueError) == "ValueError"
    assert error_name(json.JSONDecodeError) == "json.decoder.JSONDecodeError"
    assert error_name(Mine) == f"{__name__}.Mine"


@pytest.mark.parametrize("value", [ValueError, "ValueError", "a.b.C", "Größe"])
def test_classes_and_names_name_errors(value: object) -> None:
    assert is_error_name(value)


@pytest.mark.parametrize("value", [int, "", "a.", "a b", "1x", 7, None, ValueError()])
def test_other_values_do_not(value: object) -> None:
    assert not is_error_name(value)


def test_the_list_with_the_nearest_class_is_found() -> None:
    assert closest(UnicodeError, ["Exception"], ["ValueError"]) == 1
    assert closest(UnicodeError, ["UnicodeError"], ["ValueError"]) == 0
    assert closest(KeyError, ["OSError"], ["ValueError"]) is None
    assert closest(KeyError, [], []) is None
