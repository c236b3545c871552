"""Coalescing: several changes of an object as one, from the row before the first to the row after the last."""

from dataclasses import replace

from jobhooks.contract.change import Change
from jobhooks.contract.choices import ObjectChangeActionChoices as Action
from jobhooks.engine.delivery.coalescing import can_be_merged, merged
from support.making import make_change

CREATE = make_change(1, after={"name": "a"})
UPDATE = make_change(2, before={"name": "a"}, after={"name": "b"})
BACK = make_change(3, before={"name": "b"}, after={"name": "a"})
DELETE = make_change(4, before={"name": "b"})


def test_a_row_that_is_created_and_updated_is_created_as_it_is_in_the_end() -> None:
    change = _merged(CREATE, UPDATE)
    assert change is not None
    assert (change.id, change.action) == (2, Action.ACTION_CREATE)
    assert (change.prechange, change.postchange) == (None, {"id": 1, "name": "b"})


def test_two_updates_are_one() -> None:
    change = _merged(UPDATE, make_change(5, before={"name": "b"}, after={"name": "c"}))
    assert change is not None
    assert (change.id, change.action) == (5, Action.ACTION_UPDATE)
    assert (change.prechange, change.postchange) == ({"id": 1, "name": "a"}, {"id": 1, "name": "c"})


def test_a_row_that_is_updated_and_deleted_is_deleted_as_it_was_at_first() -> None:
    change = _merged(UPDATE, DELETE)
    assert change is not None
    assert change.action is Action.ACTION_DELETE
    assert change.prechange == {"id": 1, "name": "a"}


def test_a_row_that_is_deleted_and_created_again_is_updated() -> None:
    change = _merged(DELETE, make_change(5, after={"name": "c"}))
    assert change is not None
    assert change.action is Action.ACTION_UPDATE


def test_nothing_is_left_of_changes_that_cancel_out() -> None:
    assert _merged(CREATE, DELETE) is None
    assert _merged(UPDATE, BACK) is None


def test_only_changes_with_rows_can_be_merged() -> None:
    assert can_be_merged(UPDATE)
    assert not can_be_merged(replace(UPDATE, snapshot_error="too large"))
    assert not can_be_merged(replace(UPDATE, action=Action.ACTION_TRUNCATE))


def test_a_change_of_a_child_counts_although_the_row_is_as_before() -> None:
    """Its id and user are those of the merged change; the rows are those of the object itself."""
    related = make_change(6, after={"tag": "x"})
    touch = replace(related, action=Action.ACTION_UPDATE, prechange_json=None, postchange_json=None, related=related)
    change = merged([UPDATE, BACK], touch, touched=True)
    assert change is not None
    assert (change.id, change.action, change.related) == (6, Action.ACTION_UPDATE, related)
    assert change.prechange == change.postchange == {"id": 1, "name": "a"}
    assert merged([], touch, touched=True) is touch
    assert merged([CREATE, DELETE], touch, touched=True) is None


def _merged(first: Change, last: Change) -> Change | None:
    return merged([first, last], last)
