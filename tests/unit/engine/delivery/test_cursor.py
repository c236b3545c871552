"""The cursor: changes before a position, by transaction and not by id alone."""

import random
from dataclasses import replace

import pytest
from hypothesis import given, strategies as st

from jobhooks.engine.delivery.cursor import NO_LIMIT, Cursor
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
    assert cursor.reach().covers(change_id, transaction) is covered


def test_the_rest_of_a_transaction_may_still_come() -> None:
    """Coalescing needs all changes of a transaction, not those up to a place in the window."""
    reach = make_cursor(40, SEEN, HORIZON).reach()
    assert reach.covers(40, 12)
    assert not reach.covers_all(12)
    assert reach.covers_all(5)


def test_changes_of_the_database_that_was_copied_are_covered() -> None:
    """Their transaction ids mean nothing here."""
    reach = make_cursor(0, SEEN, HORIZON, first_id=50).reach()
    assert reach.covers(50, 1000)
    assert not reach.covers(51, 1000)


def test_a_page_moves_the_place_in_the_window() -> None:
    after = make_cursor(3, SEEN, HORIZON).after([make_change(4), make_change(9)], complete=False)
    assert after == make_cursor(9, SEEN, HORIZON)


def test_the_last_page_closes_the_window() -> None:
    cursor = make_cursor(3, SEEN, HORIZON)
    assert cursor.after([make_change(4)], complete=True) == make_cursor(0, HORIZON, HORIZON)
    assert cursor.after([], complete=True) == make_cursor(0, HORIZON, HORIZON)


def test_the_last_page_up_to_an_id_leaves_the_window_open() -> None:
    """A reader that follows another one ends where that one is, within a window."""
    cursor = make_cursor(3, SEEN, HORIZON)
    assert cursor.after([make_change(4)], complete=True, up_to=9) == make_cursor(9, SEEN, HORIZON)
    assert cursor.after([], complete=True, up_to=2) == make_cursor(3, SEEN, HORIZON)
    assert cursor.after([make_change(4)], complete=False, up_to=9) == make_cursor(4, SEEN, HORIZON)


# The way of a reader that follows another one. Windows of the other: A to B, B to C, C to D.

A, B, C, D = "1:2:", "3:4:", "5:6:", "7:8:"


@pytest.mark.parametrize(
    ("position", "other", "horizon", "up_to"),
    [
        (make_cursor(5, A, B), make_cursor(0, D, D), B, NO_LIMIT),  # its window ends first, at a snapshot of the past
        (make_cursor(0, B, B), make_cursor(0, D, D), D, NO_LIMIT),  # then all that the other has read
        (make_cursor(0, B, B), make_cursor(9, C, D), C, NO_LIMIT),  # up to the window that is open there
        (make_cursor(0, C, C), make_cursor(9, C, D), D, 9),  # and of that window the part that is read
        (make_cursor(4, C, D), make_cursor(9, C, D), D, 9),
        (make_cursor(4, C, D), make_cursor(0, D, D), D, NO_LIMIT),  # the other has read it to its end
    ],
)
def test_a_reader_follows_another_one(position: Cursor, other: Cursor, horizon: str, up_to: int) -> None:
    window, last_id = position.towards(other)
    assert window == replace(position, horizon=horizon)
    assert last_id == up_to


def test_a_reader_that_follows_another_one_takes_over_its_low_water_ids() -> None:
    """They belong to the snapshots."""
    other = Cursor(C, 30, D, 40, 45, 0)
    assert Cursor(B, 20, B, 20, 0, 0).towards(other)[0] == Cursor(B, 20, C, 30, 0, 0)
    assert Cursor(C, 30, C, 30, 0, 0).towards(other)[0] == Cursor(C, 30, D, 40, 0, 0)


@given(st.integers(0, 2**32))
def test_a_reader_that_follows_another_one_arrives_and_misses_nothing(seed: int) -> None:
    """Changes have a window and an id; the other reads pages of them, and this one follows from an earlier position.

    Every change is read exactly once, and the two end at the same position.
    """
    rng = random.Random(seed)
    snapshots = [f"{number}:{number}:" for number in range(1, 8)]
    changes = {number: rng.randrange(len(snapshots) - 1) for number in range(1, 40)}  # the window of each id

    def read(window: Cursor, up_to: int, limit: int) -> tuple[list[int], Cursor]:
        first, last = snapshots.index(window.seen), snapshots.index(window.horizon)
        found = [
            number for number, place in changes.items() if first <= place < last and window.last_id < number <= up_to
        ]
        page = [make_change(number) for number in found[:limit]]
        return found[:limit], window.after(page, complete=len(found) < limit, up_to=up_to)

    positions = [make_cursor(0, snapshots[0], snapshots[0])]
    while positions[-1].seen != snapshots[-1]:
        position = positions[-1]
        if position.is_between_windows:
            if rng.random() < 0.1:
                break
            position = replace(position, horizon=snapshots[snapshots.index(position.seen) + 1])
        elif rng.random() < 0.1:
            break
        positions.append(read(position, NO_LIMIT, rng.randint(1, 9))[1])
    for place, position in enumerate(positions):
        assert [position.is_ahead_of(each) for each in positions] == [place > other for other in range(len(positions))]
    other, start = positions[-1], rng.choice(positions)
    position, found = start, list[int]()
    for _ in range(200):
        if position == other:
            break
        window, up_to = position.towards(other)
        ids, position = read(window, up_to, rng.randint(1, 9))
        found += ids
    assert position == other
    read_before, read_by_other = (
        {number for number, place in changes.items() if _is_before(number, place, each, snapshots)}
        for each in (start, other)
    )
    assert sorted(found) == sorted(read_by_other - read_before)


def test_a_window_that_the_others_do_not_have_is_ahead() -> None:
    """A daemon that died opened it; the next one takes another snapshot from the same place."""
    others = make_cursor(40, SEEN, HORIZON)
    assert make_cursor(30, SEEN, "15:21:").is_ahead_of(others)
    assert not make_cursor(30, SEEN, HORIZON).is_ahead_of(others)
    assert make_cursor(0, "7:10:", "7:10:").is_ahead_of(make_cursor(0, SEEN, SEEN)), "7 has ended since then"


def _is_before(number: int, place: int, position: Cursor, snapshots: list[str]) -> bool:
    if place < snapshots.index(position.seen):
        return True
    return place < snapshots.index(position.horizon) and number <= position.last_id
