"""How a table fits a terminal: columns become narrower, and below that each row becomes a record. No word is broken."""

import pytest

from jobhooks.cli.show.table_layout import fitted, unbounded

HEADINGS = ["id", "when", "job", "description"]
WHEN = "2026-03-01 12:00:00"
CLASS = "validate_serial.ValidateSerialNumber"
TEXT = "checks the serial number of a device against the list of its vendor"
ROWS = [["1", WHEN, CLASS, TEXT], ["2", WHEN, "a.B", "-"]]


def lines(width: int) -> list[str]:
    return [line.plain for line in fitted(HEADINGS, ROWS, width)]


def test_a_pipe_gets_one_line_per_row() -> None:
    assert len(list(unbounded(HEADINGS, ROWS))) == 3


@pytest.mark.parametrize("width", range(40, 200, 5))
def test_lines_fit_and_words_stay_whole(width: int) -> None:
    shown = lines(width)
    assert max(map(len, shown)) <= width
    words = {word for line in shown for word in line.split()}
    assert words >= {*TEXT.split(), *WHEN.split(), CLASS, "a.B"}


@pytest.mark.parametrize("width", [60, 80, 100, 200])
def test_a_time_stays_on_one_line(width: int) -> None:
    assert sum(WHEN in line for line in lines(width)) == 2


def test_the_last_column_goes_below_where_it_has_no_room() -> None:
    shown = lines(70)
    assert shown[0].split() == ["id", "when", "job"]
    assert shown[2].startswith("    checks the serial")


@pytest.mark.parametrize("width", [40, 50, 59])
def test_a_narrow_terminal_gets_a_record_per_row(width: int) -> None:
    shown = lines(width)
    assert shown[:2] == ["id           1", f"when         {WHEN}"]
    assert shown[-4:] == ["", "id           2", f"when         {WHEN}", "job          a.B"]


def test_words_longer_than_a_record_are_folded() -> None:
    assert [line.plain for line in fitted(["id"], [["x" * 30]], 20)] == ["id", "    " + "x" * 16, "    " + "x" * 14]


def test_no_row_leaves_the_headings() -> None:
    assert [line.plain for line in fitted(HEADINGS, [], 40)] == ["id  when  job  description"]
