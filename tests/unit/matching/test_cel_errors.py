"""The evaluator's messages, reworded: the place of the error, without data of a row."""

import pytest

from jobhooks.matching.cel_errors import evaluation_failure, pointed, where_and_why


def test_an_error_is_pointed_to() -> None:
    first, line, mark = pointed("a ==\n  bb", 2, 3, "why").split("\n")
    assert "line 2, column 3" in first and first.endswith("why")
    assert line.strip() == "bb" and mark.index("^") == line.index("bb")


def test_of_a_long_line_the_part_around_the_error_is_shown() -> None:
    _, line, mark = pointed("x" * 500 + "y" + "z" * 500, 1, 501, "why").split("\n")
    assert len(line) < 120 and line[mark.index("^")] == "y"


@pytest.mark.parametrize(
    ("error", "place"),
    [
        ("ERROR: <input>:1:3: Syntax error: mismatched input '<EOF>' expecting {'['}", "line 1, column 3"),
        ("INVALID_ARGUMENT: ERROR: <input>:2:1: undeclared reference to 'b' (in container '')", "line 2, column 1"),
        ("something else", "invalid conditions"),
    ],
)
def test_the_place_is_that_of_the_evaluators_error(error: str, place: str) -> None:
    assert place in where_and_why("a\nb", error)


@pytest.mark.parametrize(("hint", "text"), [("&&", "a and b"), ("==", "a = b"), ("null", "a is null")])
def test_a_habit_from_sql_is_answered_with_what_is_written_here(hint: str, text: str) -> None:
    error = "ERROR: <input>:1:3: Syntax error: token recognition error at: 'x'"
    assert hint in where_and_why(text, error).split("\n")[0]


@pytest.mark.parametrize(
    ("error", "public"),
    [
        ('NOT_FOUND: Key not found in map : "serial"', True),
        ('NOT_FOUND: Key not found in map : "the secret"', False),
        ("INVALID_ARGUMENT: cannot convert: 'the secret'", False),
    ],
)
def test_the_public_reason_holds_nothing_of_a_row(error: str, public: bool) -> None:
    reason, shown = evaluation_failure(error, 'new["serial"] == 1')
    assert "secret" not in shown and ("serial" in shown) == public
    assert reason == shown or "secret" in reason
