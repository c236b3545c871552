"""Texts in conditions: what a function never takes is refused, and what it takes is not."""

import pytest

from jobhooks.matching.written_texts import ACTIONS, CALLS, why_no_action, why_not_taken

TAKEN = [
    ("matches", "^a+(b|c)$"),
    ("matches", ""),
    ("timestamp", "2027-01-01T00:00:00Z"),
    ("timestamp", "2027-01-01T00:00:00+02:00"),
    ("duration", "1h30m"),
    ("int", "-5"),
    ("uint", "5"),
    ("double", "NaN"),
    ("bool", "true"),
    ("startsWith", "["),
    ("size", ""),
]


@pytest.mark.parametrize(("function", "text"), TAKEN)
def test_a_text_that_a_function_takes_is_no_error(function: str, text: str) -> None:
    assert why_not_taken(function, text) is None


@pytest.mark.parametrize("function", CALLS)
def test_a_text_that_a_function_never_takes_is_one(function: str) -> None:
    assert why_not_taken(function, "[") is not None


def test_actions_are_those_of_changes() -> None:
    assert [why_no_action(name) for name in ACTIONS] == [None] * len(ACTIONS)
    assert why_no_action("deleted") == "there is no action deleted. Did you mean delete?"
