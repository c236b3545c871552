"""Captured changes for people: with differences, and the rows as the JSON in the log."""

import datetime
from dataclasses import dataclass
from typing import Any

import msgspec

from jobhooks.store.connections import AsyncConnection, SyncConnection
from jobhooks.store.json_rows import as_json, columns, difference
from jobhooks.store.undecodable_text import call_readable, call_readable_async


@dataclass(frozen=True)
class ListedChange:
    """A change with its differences. The rows are JSON as in the log; ``object_key`` is null without a key."""

    id: int
    time: datetime.datetime
    table: str
    action: str
    user: str
    request_id: str | None
    message: str | None
    triggering: bool
    object_key: msgspec.Raw
    removed: msgspec.Raw
    added: msgspec.Raw


async def changes_with_ids_async(conn: AsyncConnection, ids: list[int]) -> list[ListedChange]:
    """Like ``changes_with_ids``, on a connection of the loop."""
    return [
        ListedChange(*listed_fields(tuple(row))) for row in await call_readable_async(conn, "changes_by_id", ids=ids)
    ]


def changes_with_ids(conn: SyncConnection, ids: list[int]) -> list[ListedChange]:
    """Return those of the changes that are in the log, in order."""
    return [ListedChange(*listed_fields(row)) for row in call_readable(conn, "changes_by_id", ids=ids)]


def listed_fields(row: tuple[Any, ...]) -> tuple[Any, ...]:
    """Make the fields of a ListedChange: the row's, and the differences of its two snapshots."""
    *facts, key_columns, ignored, written_key, prechange, postchange = row
    before, after = columns(prechange), columns(postchange)
    key = columns(written_key) or {name: (after or before)[name] for name in key_columns if name in (after or before)}
    removed, added = before or None, after or None
    if before and after:
        removed, added = difference(before, after, ignored)
    return (*facts, *(raw_json(as_json(part)) for part in (key or None, removed, added)))


def raw_json(text: str | None) -> msgspec.Raw:
    """Wrap JSON text that is already encoded; a missing one becomes null."""
    return msgspec.Raw(b"null" if text is None else text.encode())
