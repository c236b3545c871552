"""The cursor: changes before a position, by transaction and not by id alone."""

import pytest

from support.making import make_change, make_cursor

# 5 is done; 10 and up begin later; 7 was in progress.
SEEN = "7:10:7"
HORIZON = "15:20:15"


@pytest.mark.parametrize(
    ("transaction", "change_id", "covered"),
    [
        (5, 100, True),  # done, for any id
        (7, 1, True),  # committed late: read in this window, at its low id
        (7, 41, False),
        (12, 40, True),  # in the window, up to last_id
        (12, 41, False),  # in the window, not reached yet
        (15, 1, False),  # in progress at the horizon
        (20, 1, False),  # begins after the horizon
    ],
)
def test_a_change_is_covered_by_its_transaction_and_its_place(
    transaction: int, change_id: int, *, covered: bool
) -> None:
    cursor = make_cursor(40, SEEN, HORIZON)
    assert cursor.covers(make_change(change_id, transaction_id=transaction)) is covered


def test_the_rest_of_a_transaction_may_still_come() -> None:
    """Coalescing needs all changes of a transaction, not those up to a place in the window."""
    cursor = make_cursor(40, SEEN, HORIZON)
    assert cursor.covers(make_change(40, transaction_id=12))
    assert not cursor.covers_all(make_change(40, transaction_id=12))
    assert cursor.covers_all(make_change(40, transaction_id=5))


def test_changes_of_the_database_that_was_copied_are_covered() -> None:
    """Their transaction ids mean nothing here."""
    cursor = make_cursor(0, SEEN, HORIZON, first_id=50)
    assert cursor.covers(make_change(50, transaction_id=1000))
    assert cursor.covers_all(make_change(50, transaction_id=1000))
    assert not cursor.covers(make_change(51, transaction_id=1000))


def test_a_page_moves_the_place_in_the_window() -> None:
    after = make_cursor(3, SEEN, HORIZON).after([make_change(4), make_change(9)], complete=False)
    assert after == make_cursor(9, SEEN, HORIZON)


def test_the_last_page_closes_the_window() -> None:
    cursor = make_cursor(3, SEEN, HORIZON)
    assert cursor.after([make_change(4)], complete=True) == make_cursor(0, HORIZON, HORIZON)
    assert cursor.after([], complete=True) == make_cursor(0, HORIZON, HORIZON)
