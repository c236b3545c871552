"""Which changes are for which hooks."""

import datetime
import json
from dataclasses import replace

import pytest
from hypothesis import given, strategies as st

from jobhooks.contract.change import Change, ContentType
from jobhooks.contract.choices import ObjectChangeActionChoices as Action
from jobhooks.engine.matching import Hook, HookTable
from jobhooks.engine.snapshot import Snapshot

DEVICE = ContentType(1, "public.device", "public", "device", ("id",), ("integer",))
CHANGE = Change(
    id=7,
    transaction_id=100,
    time=datetime.datetime.now(datetime.UTC),
    content_type=DEVICE,
    action=Action.ACTION_UPDATE,
    user_name="alice",
    request_id=None,
    prechange_json='{"id":1,"serial":"A"}',
    postchange_json='{"id":2,"serial":"A"}',
)
HOOK = Hook(1, "h", 1, "m.C", frozenset({1}), frozenset({Action.ACTION_UPDATE}), Snapshot.parse("90:90:"))


def matching(change: Change, *hooks: Hook) -> list[int]:
    return [hook.id for hook in HookTable("1", hooks).matching(change)]


def test_a_hook_gets_what_its_tables_and_events_say() -> None:
    assert matching(CHANGE, HOOK) == [1]
    assert matching(replace(CHANGE, action=Action.ACTION_CREATE), HOOK) == []
    assert matching(replace(CHANGE, content_type=replace(DEVICE, id=2)), HOOK) == []


def test_a_hook_does_not_get_what_committed_before_it_was_enabled() -> None:
    """And gets what was in progress then, whatever its transaction id."""
    assert matching(CHANGE, replace(HOOK, enabled_since=Snapshot.parse("101:101:"))) == []
    assert matching(CHANGE, replace(HOOK, enabled_since=Snapshot.parse("100:105:100,102"))) == [1]


def test_a_change_is_for_every_hook_that_wants_it() -> None:
    other = replace(HOOK, id=2, events=frozenset({Action.ACTION_UPDATE, Action.ACTION_DELETE}))
    assert matching(CHANGE, HOOK, other) == [1, 2]
    assert matching(replace(CHANGE, action=Action.ACTION_DELETE), HOOK, other) == [2]


@pytest.mark.parametrize("name", ['a"b', "a\\b", "a\tb", "\u00e4", "a b"])
def test_a_key_column_may_have_any_name(name: str) -> None:
    """PostgreSQL takes them all, and a change without lanes would stop every hook."""
    content_type = replace(DEVICE, key_columns=(name,))
    for ensure_ascii in (False, True):
        row = json.dumps({name: 1}, ensure_ascii=ensure_ascii)
        change = replace(CHANGE, content_type=content_type, prechange_json=row, postchange_json=row)
        assert change.lane_keys() == (b"1",)


@given(st.integers(1, 50), st.integers(0, 50), st.sets(st.integers(0, 120)), st.integers(0, 120))
def test_a_snapshot_sees_what_had_ended(xmin: int, width: int, running: set[int], transaction_id: int) -> None:
    """The definition of pg_snapshot: below xmin all had ended, from xmax on none had begun."""
    xmax = xmin + width
    in_progress = {xid for xid in running if xmin <= xid < xmax}
    snapshot = Snapshot.parse(f"{xmin}:{xmax}:{','.join(map(str, sorted(in_progress)))}")
    assert snapshot.sees(transaction_id) == (transaction_id < xmax and transaction_id not in in_progress)


def test_the_object_key_is_the_new_one_after_an_update() -> None:
    """The live row is found by the key that it has now."""
    assert CHANGE.object_key() == {"id": 2}
    deleted = replace(CHANGE, action=Action.ACTION_DELETE, postchange_json=None)
    assert deleted.object_key() == {"id": 1}


def test_there_is_no_object_key_where_nothing_identifies_the_row() -> None:
    assert replace(CHANGE, content_type=replace(DEVICE, key_columns=(), key_types=())).object_key() is None
    assert replace(CHANGE, content_type=replace(DEVICE, key_columns=("renamed",))).object_key() is None


def test_the_object_key_stands_in_where_the_row_could_not_be_written_down() -> None:
    unbuilt = replace(CHANGE, prechange_json=None, postchange_json=None, object_key_json='{"id":5}')
    assert unbuilt.object_key() == {"id": 5}
