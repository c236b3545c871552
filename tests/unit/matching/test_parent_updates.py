"""A change of a child as updates of its parents: the rows, their keys, and their order."""

import datetime
import json

import pytest

from jobhooks.contract.change import Change
from jobhooks.contract.choices import ObjectChangeActionChoices as Action
from jobhooks.contract.content_type import ContentType, Parent
from jobhooks.matching import parent_updates as module
from jobhooks.matching.parent_updates import DeletedParents, parent_updates, updates_of

DEVICE = ContentType(1, "public.device", "public", "device", ("id",), ("integer",), is_parent=True)
TAG = ContentType(2, "public.tag", "public", "tag", ("site", "name"), ("integer", "text"), is_parent=True)
LINK = ContentType(
    3,
    "public.link",
    "public",
    "link",
    ("id",),
    ("integer",),
    parents=(
        Parent(TAG, ("site", "tag")),
        Parent(DEVICE, ("a",)),
        Parent(DEVICE, ("b",)),
        Parent(DEVICE, ("former",), is_active=False),
    ),
)
NOW = datetime.datetime.now(datetime.UTC)


def change(
    before: str | None, after: str | None, key: str | None = None, of: ContentType = LINK, tx: int = 1
) -> Change:
    action = Action.ACTION_CREATE if before is None else Action.ACTION_DELETE if after is None else Action.ACTION_UPDATE
    return Change(7, tx, NOW, of, action, "ada", "req", before, after, key)


def row(**columns: object) -> str:
    return json.dumps({"id": 1, "site": None, "tag": None, "a": None, "b": None, "former": 8, **columns})


def keys(of: Change) -> list[list[tuple[str, str | None, int]]]:
    return [[(each.content_type.name, each.object_key_json, each.part) for each in row] for row in parent_updates(of)]


def test_each_row_is_updated_once_the_former_one_first() -> None:
    assert keys(change(row(a=1, b=2), row(a=2, b=3))) == [
        [("public.device", '{"id":1}', 0), ("public.device", '{"id":2}', 1), ("public.device", '{"id":3}', 2)]
    ]


def test_parents_have_the_order_in_which_they_were_named() -> None:
    assert keys(change(None, row(a=1, site=4, tag="x"))) == [
        [("public.tag", '{"site":4,"name":"x"}', 0)],
        [("public.device", '{"id":1}', 0)],
    ]


def test_a_null_refers_to_no_row_nor_does_a_part_of_a_key() -> None:
    assert keys(change(None, row(site=4))) == []
    assert keys(change(row(), None)) == []


def test_a_truncate_updates_nothing() -> None:
    truncate = Change(7, 1, NOW, LINK, Action.ACTION_TRUNCATE, "ada", None, None, None)
    assert parent_updates(truncate) == []


def test_the_key_has_the_text_of_the_row_so_that_the_lane_is_that_of_the_parent() -> None:
    """Digits, escapes and half a surrogate pair stay as they are: they are compared as texts."""
    for text in ("12345678901234567890", '"\\ud800"', '"a\\u0000b"', '"é\\"/"'):
        (updates,) = parent_updates(change(None, f'{{"id":1,"a":{text},"b":null}}'))
        device = Change(8, 1, NOW, DEVICE, Action.ACTION_CREATE, "u", None, None, f'{{"id":{text},"name":"x"}}')
        assert updates[0].lane_keys() == device.lane_keys()


def test_an_update_says_who_made_it_and_has_the_change_of_the_child() -> None:
    made = change(None, row(a=1))
    ((update,),) = parent_updates(made)
    assert (update.id, update.user_name, update.request_id, update.related) == (7, "ada", "req", made)
    assert (update.action, update.object_key(), update.changed_object_id) == (Action.ACTION_UPDATE, {"id": 1}, 1)
    assert update.get_snapshots() == {
        "prechange": None,
        "postchange": None,
        "differences": {"removed": {}, "added": {}},
    }


def test_a_row_that_could_not_be_recorded_updates_the_parents_that_its_key_tells() -> None:
    of_key = ContentType(
        4, "public.dt", "public", "dt", ("device",), ("integer",), parents=(Parent(DEVICE, ("device",)),)
    )
    failed = change(None, None, '{"device":3}', of_key)
    assert keys(failed) == [[("public.device", '{"id":3}', 0)]]
    assert keys(change(None, None, '{"id":3}')) == []


def test_a_pending_delivery_finds_its_parent_although_it_is_inactive_or_unknown() -> None:
    former = ContentType(
        5, "p.old", "p", "old", ("id",), ("int",), parents=(Parent(DEVICE, ("former",), is_active=False),)
    )
    made = change(None, row(a=1), of=former)
    assert parent_updates(made) == []
    assert [each.object_key_json for each in updates_of(made, DEVICE)] == ['{"id":8}']
    (unknown,) = updates_of(made, TAG)
    assert (unknown.object_key_json, unknown.lane_keys(), unknown.related) == (None, None, made)
    assert [each.object_key_json for each in updates_of(change(None, row(a=1)), DEVICE)] == ['{"id":1}']


def device(number: int, action: Action, tx: int = 1) -> Change:
    text = json.dumps({"id": number})
    rows = (None, text) if action is Action.ACTION_CREATE else (text, None)
    return Change(6, tx, NOW, DEVICE, action, "u", None, *rows)


def test_what_a_deletion_does_to_children_is_no_update_in_its_transaction() -> None:
    deleted = DeletedParents()
    deleted.note(device(1, Action.ACTION_DELETE))
    (updates,) = parent_updates(change(row(a=1, b=2), None))
    assert [each.object_key_json for each in deleted.without(updates)] == ['{"id":2}']
    (later,) = parent_updates(change(row(a=1), None, tx=2))
    assert deleted.without(later) == later
    deleted.note(device(1, Action.ACTION_CREATE))
    assert deleted.without(updates) == updates


def test_the_memory_of_deletions_has_a_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST_DELETED", 2)
    deleted = DeletedParents()
    for number in range(1, 4):
        deleted.note(device(number, Action.ACTION_DELETE))
    remaining = [deleted.without(parent_updates(change(row(a=number), None))[0]) for number in range(1, 4)]
    assert [len(each) for each in remaining] == [1, 0, 0]
