"""The objects that hooks run for, where these are not those of the changes: a change of a child updates a parent."""

from collections.abc import Collection, Iterable

from jobhooks.contract.change import Change
from jobhooks.engine.delivery.delivery import Delivery, delivery_of
from jobhooks.matching.hook_table import Hook, Rule, ignore_failure
from jobhooks.matching.parent_updates import updates_of
from jobhooks.operations.delivering.attempts import ObjectChange
from jobhooks.operations.delivering.logged import hook_called, logged_changes
from jobhooks.store.captured_changes import raw_json
from jobhooks.store.connections import SyncConnection


def object_change(change: Change) -> ObjectChange:
    """The update of a parent for people; of several rows, that of the first."""
    return ObjectChange(change.content_type.name, change.action.value, raw_json(change.object_key_json))


def delivery_to(change: Change, hooks: Collection[Hook]) -> Delivery | None:
    """The delivery that a change makes for the first hook that it is for, or else the one that it would make.

    Roles, columns and conditions decide between hooks, and whether a hook gets the change of a child as it is or as the
    update of a parent. If they hold for none, the first hook for the table and the event counts.
    """
    wanted = (delivery_of(change, hook, Rule(hook, ignore_failure).wants) for hook in hooks)
    possible = (delivery_of(change, hook) for hook in hooks)
    return next((found for each in (wanted, possible) for found in each if found is not None), None)


def updates_by_table(conn: SyncConnection, wanted: Iterable[tuple[int, int]]) -> dict[tuple[int, int], ObjectChange]:
    """By changes of children and tables of their parents: the updates that these changes are."""
    pairs = list(wanted)
    changes = {change.id: change for change in logged_changes(conn, sorted({change_id for change_id, _ in pairs}))}
    found: dict[tuple[int, int], ObjectChange] = {}
    for change_id, content_type_id in pairs:
        if (change := changes.get(change_id)) is None:
            continue
        for parent in change.content_type.parents:
            if parent.content_type.id == content_type_id:
                found[change_id, content_type_id] = object_change(updates_of(change, parent.content_type)[0])
    return found


def updates_by_hook(conn: SyncConnection, wanted: Iterable[tuple[int, str]]) -> dict[tuple[int, str], ObjectChange]:
    """By changes of children and names of hooks: the updates of parents that they get, by their settings of now."""
    pairs = list(wanted)
    changes = {change.id: change for change in logged_changes(conn, sorted({change_id for change_id, _ in pairs}))}
    hooks = {name: hook_called(conn, name) for name in {name for _, name in pairs}}
    found: dict[tuple[int, str], ObjectChange] = {}
    for change_id, name in pairs:
        change, hook = changes.get(change_id), hooks[name]
        delivery = None if change is None or hook is None else delivery_to(change, [hook])
        if delivery is not None and delivery.change.related is not None:
            found[change_id, name] = object_change(delivery.change)
    return found
