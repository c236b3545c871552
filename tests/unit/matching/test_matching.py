"""Matching changes with hooks."""

import datetime
import json
from dataclasses import replace

import pytest
from hypothesis import given, strategies as st

from jobhooks.contract.change import Change
from jobhooks.contract.choices import ObjectChangeActionChoices as Action
from jobhooks.contract.content_type import ContentType
from jobhooks.matching.hook_table import Failure, Hook, HookTable, Requirement, Rule, has_rule, ignore_failure
from jobhooks.store.snapshot import Snapshot

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
HOOK = Hook(
    "h",
    ["public.device"],
    "m.C",
    ["update"],
    id=1,
    job_id=1,
    content_type_ids=frozenset({1}),
    enabled_since=Snapshot.parse("90:90:"),
)


def matching(change: Change, *hooks: Hook) -> list[int]:
    return [hook.id for hook in HookTable("1", hooks).matching(change)]


def test_a_hook_gets_what_its_tables_and_events_say() -> None:
    assert matching(CHANGE, HOOK) == [1]
    assert matching(replace(CHANGE, action=Action.ACTION_CREATE), HOOK) == []
    assert matching(replace(CHANGE, content_type=replace(DEVICE, id=2)), HOOK) == []


def test_a_hook_does_not_get_what_committed_before_it_was_enabled() -> None:
    """It gets the changes of transactions in progress at that time, regardless of their ids."""
    assert matching(CHANGE, replace(HOOK, enabled_since=Snapshot.parse("101:101:"))) == []
    assert matching(CHANGE, replace(HOOK, enabled_since=Snapshot.parse("100:105:100,102"))) == [1]


@given(
    st.sampled_from([[], ["app"], ["other"]]),
    st.sampled_from([[], ["serial"], ["id"]]),
    st.sampled_from(["", "true", "new.serial == 'B'", "int(new.serial) > 1", "no such thing"]),
    st.booleans(),
)
def test_what_is_said_of_each_requirement_is_what_decides(
    roles: list[str], columns: list[str], conditions: str, of_child: bool
) -> None:
    change = replace(CHANGE, session_role="app", related=CHANGE if of_child else None)
    hook = replace(HOOK, roles=roles, columns=columns, conditions=conditions)
    rule = Rule(hook, ignore_failure)
    met = rule.met(change)
    assert all(met.values()) == rule.wants(change)
    assert bool(met) == has_rule(hook)
    required = {Requirement.ROLES: roles, Requirement.COLUMNS: columns, Requirement.CONDITIONS: conditions}
    assert met.keys() == {requirement for requirement, value in required.items() if value}


def test_only_a_hook_with_chains_gets_what_a_receiver_wrote_down_to_its_limit() -> None:
    """The other requirements count as well. The first change that only the limit keeps from it is reported."""
    chained = replace(HOOK, id=2, chain_depth=2, columns=["id"])
    cut: list[tuple[int, int]] = []
    table = HookTable("1", [HOOK, chained], on_chain_end=lambda id_, _hook, change: cut.append((id_, change.depth)))
    assert [[hook.id for hook in table.matching(replace(CHANGE, depth=depth))] for depth in range(4)] == [
        [1, 2],
        [2],
        [2],
        [],
    ]
    assert table.matching(replace(CHANGE, depth=3, postchange_json=CHANGE.prechange_json)) == []
    assert cut == [(2, 3)]
    assert Rule(chained, ignore_failure).met(replace(CHANGE, depth=3))[Requirement.CHAIN_DEPTH] is False
    assert HookTable("1", [HOOK]).matching(replace(CHANGE, depth=1)) == [], "nobody has chains any more"


def test_a_change_is_for_every_hook_that_wants_it() -> None:
    other = replace(HOOK, id=2, events=["update", "delete"])
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
        assert matching(change, replace(HOOK, columns=frozenset({name}))) == []


def test_an_update_is_for_a_hook_if_one_of_its_columns_changed() -> None:
    """Other events have no columns that changed."""
    wanting = replace(HOOK, id=2, columns=frozenset({"id", "name"}), events=frozenset(Action))
    others = replace(HOOK, id=3, columns=frozenset({"serial", "nothing"}), events=frozenset(Action))
    assert matching(CHANGE, HOOK, wanting, others) == [1, 2]
    assert matching(replace(CHANGE, action=Action.ACTION_DELETE, postchange_json=None), wanting, others) == [2, 3]
    truncate = replace(CHANGE, action=Action.ACTION_TRUNCATE, prechange_json=None, postchange_json=None)
    assert matching(truncate, wanting, others) == [2, 3]
    ignoring = replace(DEVICE, ignored_columns=frozenset({"id"}))
    assert matching(replace(CHANGE, content_type=ignoring), wanting) == []


def test_an_update_whose_rows_could_not_be_written_down_may_have_changed_any_column() -> None:
    """No change is lost: rather one run too many."""
    unbuilt = replace(CHANGE, prechange_json=None, postchange_json=None, snapshot_error="too large")
    assert matching(unbuilt, replace(HOOK, columns=frozenset({"serial"}))) == [1]


def test_a_hook_gets_what_satisfies_its_conditions_and_its_columns() -> None:
    moved = replace(HOOK, id=2, conditions="old.id != new.id", columns=frozenset({"id"}))
    other = replace(HOOK, id=3, conditions='user == "bob"', columns=frozenset({"id"}))
    assert matching(CHANGE, HOOK, moved, other) == [1, 2]


def test_conditions_that_cannot_be_evaluated_are_told_and_keep_the_change_from_their_hook_alone() -> None:
    told: list[Failure] = []
    failing = replace(HOOK, id=2, conditions="new.name == 1")
    invalid = replace(HOOK, id=3, conditions="new.name ==")
    table = HookTable("1", [HOOK, failing, invalid], told.append)
    assert [(failure.hook.id, failure.change, failure.invalid) for failure in told] == [(3, None, True)]
    assert table.matching(CHANGE) == [HOOK]
    assert [(failure.hook.id, failure.change, failure.invalid) for failure in told[1:]] == [
        (2, CHANGE, False),
        (3, CHANGE, True),
    ]
    assert '"name"' in told[1].error and "line 1, column 12" in told[2].error


def test_conditions_are_not_evaluated_for_what_committed_before_the_hook_was_enabled() -> None:
    """Otherwise it would count failures of changes that are not for the hook."""
    told: list[Failure] = []
    late = replace(HOOK, enabled_since=Snapshot.parse("101:101:"), conditions="new.name == 1")
    assert HookTable("1", [late], told.append).matching(CHANGE) == []
    assert told == []


@given(st.integers(1, 50), st.integers(0, 50), st.sets(st.integers(0, 120)), st.integers(0, 120))
def test_a_snapshot_sees_what_had_ended(xmin: int, width: int, running: set[int], transaction_id: int) -> None:
    """The definition of pg_snapshot: all transactions below xmin had ended, those from xmax on had not begun."""
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


def test_a_change_is_for_a_hook_of_the_role_that_the_session_logged_in_as() -> None:
    """Exactly, and for every event. The application's own claims do not count."""
    hook = replace(HOOK, roles=["app", "etl"], events=list(Action))
    for role, expected in [("app", [1]), ("etl", [1]), ("App", []), ("ap", []), ("", [])]:
        for action in Action:
            change = replace(CHANGE, action=action, session_role=role, user_name="app")
            assert matching(change, hook) == expected
    assert matching(replace(CHANGE, session_role="x"), HOOK) == [1]
