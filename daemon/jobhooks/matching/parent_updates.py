"""A change of a child table as updates of its parents: adding a tag to a device updates the device. Pure."""

import json
from collections.abc import Iterable
from dataclasses import replace

from jobhooks.contract.change import Change
from jobhooks.contract.choices import ObjectChangeActionChoices as Action
from jobhooks.contract.content_type import ContentType, Parent
from jobhooks.matching.changed_columns import NULL, raw_columns

MOST_DELETED = 100_000  # keys of deleted parents in memory

# The updates of the rows of one parent table, at least one; each row once.
Updates = tuple[Change, ...]


def parent_updates(change: Change) -> list[Updates]:
    """The updates of parents that a change is, by table, in the order of the parents.

    The row that the child referred to before comes before the one that it refers to since. A null refers to no row.
    """
    by_table: dict[int, list[Parent]] = {}
    for parent in change.content_type.parents:
        if parent.is_active:
            by_table.setdefault(parent.content_type.id, []).append(parent)
    found = [_updates(change, parents) for parents in by_table.values()]
    return [updates for updates in found if updates]


def updates_of(change: Change, content_type: ContentType) -> Updates:
    """The updates of the rows of one table, also of a parent that is no longer active.

    If the change no longer identifies a row, because a column was renamed: one update, without a key.
    """
    parents = [parent for parent in change.content_type.parents if parent.content_type.id == content_type.id]
    active = [parent for parent in parents if parent.is_active]
    return _updates(change, active or parents) or (update_of(change, content_type, None),)


def _updates(change: Change, parents: Iterable[Parent]) -> Updates:
    keys: dict[str, ContentType] = {}
    if change.action is not Action.ACTION_TRUNCATE:
        rows = [row for row in (change.prechange_json, change.postchange_json) if row is not None]
        if not rows and change.object_key_json is not None:
            rows = [change.object_key_json]
        for row in rows:
            for parent in parents:
                key = _key(parent, row)
                if key is not None:
                    keys[key] = parent.content_type
    return tuple(update_of(change, content_type, key, part) for part, (key, content_type) in enumerate(keys.items()))


def update_of(change: Change, content_type: ContentType, key: str | None, part: int = 0) -> Change:
    """A change of a child as the update of the row of its parent that has this key, as JSON."""
    return replace(
        change,
        content_type=content_type,
        action=Action.ACTION_UPDATE,
        prechange_json=None,
        postchange_json=None,
        object_key_json=key,
        snapshot_error=None,
        partition=None,
        related=change,
        part=part,
    )


def _key(parent: Parent, row_json: str) -> str | None:
    """The key of a parent as JSON, with the texts that the row has; null: it has no key, or a null in it."""
    values = raw_columns(parent.columns, row_json)
    texts = [bytes(values[name]) for name in parent.columns if name in values]
    if len(texts) < len(parent.columns) or NULL in texts:
        return None
    pairs = zip(parent.content_type.key_columns, texts, strict=True)
    return "{" + ",".join(f"{json.dumps(name)}:{text.decode()}" for name, text in pairs) + "}"


class DeletedParents:
    """Rows of parents that a transaction has deleted. Its later changes of their children are no updates of them.

    PostgreSQL deletes the children of a row after the row itself, if the foreign key says ``on delete cascade``. The
    latest ``MOST_DELETED`` are remembered.
    """

    def __init__(self) -> None:
        self._keys: dict[tuple[int, int, bytes], None] = {}  # by transaction and table, the oldest first

    def note(self, change: Change) -> None:
        """Take account of a change of a table that is a parent."""
        if change.action is Action.ACTION_DELETE:
            for key in change.lane_keys() or ():
                self._keys[change.transaction_id, change.content_type.id, key] = None
            if len(self._keys) > MOST_DELETED:
                del self._keys[next(iter(self._keys))]
        elif self._keys and change.action is not Action.ACTION_TRUNCATE:
            for key in change.lane_keys() or ():
                self._keys.pop((change.transaction_id, change.content_type.id, key), None)

    def without(self, updates: Updates) -> Updates:
        """The updates of rows that are not deleted."""
        return tuple(update for update in updates if not self._includes(update)) if self._keys else updates

    def _includes(self, update: Change) -> bool:
        keys = update.lane_keys() or ()
        return any((update.transaction_id, update.content_type.id, key) in self._keys for key in keys)
