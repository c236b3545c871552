"""The oracle of the delivery tests finds each kind of fault, and none in correct deliveries."""

import pytest

from support.chaos.oracle import LoggedChange, Observed, Promise, Record, faults, replayed

Row = tuple[int, int] | None


def log(*changes: tuple[Row, Row], transactions: tuple[int, ...] = ()) -> dict[int, LoggedChange]:
    """A log of these changes, with ids from 1; one transaction each, unless they are given."""
    made: dict[int, LoggedChange] = {}
    for id_, (before, after) in enumerate(changes, 1):
        match before, after:
            case None, None:
                action = "truncate"
            case None, _:
                action = "create"
            case _, None:
                action = "delete"
            case _:
                action = "update"
        transaction = transactions[id_ - 1] if transactions else id_
        made[id_] = LoggedChange(id_, 1, transaction, action, before, after)
    return made


# Object 1 is created, gets key 2, and is changed; then the table is truncated, and key 2 is used again.
MOVED = log((None, (1, 5)), ((1, 5), (2, 5)), ((2, 5), (2, 6)), (None, None), (None, (2, 1)))
VALUES = {1: (None, 5), 2: (5, 5), 3: (5, 6), 4: (None, None), 5: (None, 1)}
# Object 1 is changed three times, the last one undoes the one before; object 2 is created and deleted.
EDITED = log(
    ((1, 1), (1, 2)), ((1, 2), (1, 3)), ((1, 3), (1, 2)), (None, (2, 7)), ((2, 7), None), transactions=(1, 2, 2, 2, 2)
)


def observed(*ids: int, **settled: tuple[int, ...]) -> Observed:
    """The hook got these changes in this order, and has successes for them, unless others are given."""
    results = [(id_, how) for how, of in ({"success": ids} | settled).items() for id_ in of]
    return Observed([Record(id_, *VALUES[id_]) for id_ in ids], results)


def promise(**what: object) -> Promise:
    return Promise("h", frozenset({1}), **what)  # pyright: ignore[reportArgumentType] - one dict for all


@pytest.mark.parametrize(
    ("seen", "fault"),
    [
        (observed(1, 2, 3, 4, 5), None),
        (observed(1, 2, 4, 5), "lost: 3"),
        (observed(1, 2, 3, 3, 4, 5, success=(1, 2, 3, 4, 5)), "received twice: 3"),
        (observed(1, 2, 3, 4, 5, success=(1, 2, 3, 3, 4, 5)), "settled twice: 3"),
        (observed(1, 2, 3, 4, 5, success=(1, 2, 4, 5), discarded=(3,)), "received without a success: 3"),
        (observed(1, 2, 4, 5, success=(1, 2, 3, 4, 5)), "a success, and not received: 3"),
        (observed(1, 2, 4, 5, discarded=(3,)), None),
        (observed(2, 1, 3, 4, 5), "received in the wrong order: (2, 1)"),
        (observed(1, 3, 2, 4, 5), "received in the wrong order: (3, 2)"),
        (observed(1, 2, 4, 3, 5), "received in the wrong order: (4, 3)"),
        (observed(1, 2, 3, 5, 4), "received in the wrong order: (5, 4)"),
    ],
)
def test_each_fault_of_single_deliveries_is_found(seen: Observed, fault: str | None) -> None:
    assert faults(MOVED, promise(), seen)[:1] == ([] if fault is None else [f"h: {fault}"])


def test_a_hook_that_did_not_ask_for_a_change_must_not_get_it() -> None:
    found = faults(MOVED, promise(actions=frozenset({"update"})), observed(2, 3, 5))
    assert found == ["h: settled, and not of this hook: 5"]


def test_an_incomplete_hook_may_miss_changes_and_get_the_others_in_order() -> None:
    assert faults(MOVED, promise(is_complete=False), observed(1, 3, 5)) == []
    assert faults(MOVED, promise(is_complete=False), observed(3, 2)) == ["h: received in the wrong order: (3, 2)"]


def test_records_outside_the_database_may_come_again_after_the_first_time() -> None:
    assert faults(MOVED, promise(repeats=True), observed(1, 2, 1, 2, 3, 4, 5, success=(1, 2, 3, 4, 5))) == []
    found = faults(MOVED, promise(repeats=True), observed(2, 1, 2, 3, 4, 5, success=(1, 2, 3, 4, 5)))
    assert found == ["h: received in the wrong order: (2, 1)"]


def merged(*records: tuple[int, int | None, int | None], **settled: tuple[int, ...]) -> Observed:
    return Observed([Record(*record) for record in records], [(id_, how) for how, of in settled.items() for id_ in of])


@pytest.mark.parametrize(
    ("seen", "fault"),
    [
        (merged((3, 1, 2), success=(1, 2, 3), nothing=(4, 5)), None),
        (merged((1, 1, 2), success=(1,), nothing=(2, 3, 4, 5)), None),
        (merged((2, 1, 3), (3, 3, 2), success=(1, 2, 3), nothing=(4, 5)), None),
        (merged((3, 2, 2), success=(1, 2, 3), nothing=(4, 5)), "do not add up: Record(change=3, before=2, after=2)"),
        (merged((1, 1, 2), (3, 2, 2), success=(1, 3), discarded=(2,), nothing=(4, 5)), "do not add up"),
        (merged((1, 1, 2), (3, 3, 2), success=(1, 3), discarded=(2,), nothing=(4, 5)), None),
        (merged((2, 1, 3), success=(1, 2, 3), nothing=(4, 5)), "a success, and not received: 3"),
        (merged((1, 1, 2), success=(1,), nothing=(2, 4, 5), discarded=(3,)), None),  # it was discarded at the same time
        (merged((1, 1, 2), (3, 3, 2), success=(1, 3), nothing=(2, 4, 5)), "discarded, although"),
        (merged((1, 1, 2), success=(1,), nothing=(2, 3, 4)), "lost: 5"),
        (merged((3, 1, 2), (1, 1, 2), success=(1, 2, 3), nothing=(4, 5)), "do not add up"),
    ],
)
def test_each_fault_of_merged_deliveries_is_found(seen: Observed, fault: str | None) -> None:
    found = faults(EDITED, promise(merges="time"), seen)
    assert found == [] if fault is None else found[0].startswith(f"h: {fault}")


def test_a_hook_that_merges_a_transactions_changes_merges_no_others() -> None:
    across = merged((3, 1, 2), success=(1, 2, 3), nothing=(4, 5))
    assert faults(EDITED, promise(merges="transaction"), across)[0].startswith("h: do not add up")
    within = merged((1, 1, 2), success=(1,), nothing=(2, 3, 4, 5))
    assert faults(EDITED, promise(merges="transaction"), within) == []


def test_a_hook_that_merges_a_requests_changes_merges_no_others() -> None:
    """Over transactions. A change without a request is merged with those of its transaction."""
    seen = merged((3, 1, 2), success=(1, 2, 3), nothing=(4, 5))
    for requests, is_right in ((("a", "a", "a"), True), (("a", "b", "b"), False), ((None, None, None), False)):
        named = zip(EDITED.items(), (*requests, None, None), strict=True)
        edited = {id_: change._replace(request=request) for (id_, change), request in named}
        assert (faults(edited, promise(merges="request"), seen) == []) is is_right


def test_a_change_of_a_key_and_a_truncate_are_merged_with_nothing() -> None:
    moved = merged((2, None, 5), (3, 5, 6), (4, None, None), (5, None, 1), success=(1, 2, 3, 4, 5))
    assert faults(MOVED, promise(merges="time"), moved)[0].startswith("h: do not add up: Record(change=2")
    alone = merged(*((id_, before, after) for id_, (before, after) in VALUES.items()), success=(1, 2, 3, 4, 5))
    assert faults(MOVED, promise(merges="time"), alone) == []


def test_the_changes_of_a_table_lead_to_its_rows() -> None:
    assert replayed(MOVED, 1) == ({2: 1}, [])
    assert replayed(MOVED, 2) == ({}, [])


def test_a_change_that_does_not_begin_where_another_ended_is_found() -> None:
    """Something is missing between, or the order is wrong."""
    assert replayed(log((None, (1, 5)), ((1, 6), (1, 7)), (None, (1, 8)), ((2, 1), None)), 1) == ({1: 8}, [2, 3, 4])
