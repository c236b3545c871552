"""Changes of the log as receivers get them, and hooks as the engine has them."""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, cast

from jobhooks.contract.change import Change
from jobhooks.matching.hook_table import Hook, hook_of
from jobhooks.store.change_rows import ContentTypes, change_of, content_types_of
from jobhooks.store.connections import SyncConnection, call
from jobhooks.store.undecodable_text import call_readable

if TYPE_CHECKING:
    import asyncpg

ROWS = 100  # changes whose rows are in memory at a time


def hook_called(conn: SyncConnection, name: str) -> Hook | None:
    """Look up a hook by its name."""
    return next((hook_of(*row) for row in call(conn, "hook_called", name=name)), None)


def read_changes(conn: SyncConnection, ids: Sequence[int], content_types: ContentTypes) -> Iterator[Change]:
    """Yield those of the changes that are in the log, in order of id, with few in memory at a time."""
    for start in range(0, len(ids), ROWS):
        for row in call_readable(conn, "logged_changes", ids=list(ids[start : start + ROWS])):
            yield _change(row, content_types)


def logged_changes(conn: SyncConnection, ids: Sequence[int]) -> list[Change]:
    """Those of the changes that are in the log, in order of id."""
    return list(read_changes(conn, ids, read_content_types(conn))) if ids else []


def earlier_changes(conn: SyncConnection, change: Change, content_type_ids: Sequence[int], limit: int) -> list[Change]:
    """The changes of these tables in the change's transaction, up to the change, in order."""
    content_types = read_content_types(conn)
    rows = call_readable(
        conn,
        "changes_of_tables",
        transaction_id=change.transaction_id,
        after_id=0,
        last_id=change.id,
        content_type_ids=list(content_type_ids),
        limit=limit,
    )
    return [_change(row, content_types) for row in rows]


def read_content_types(conn: SyncConnection) -> ContentTypes:
    """All tables that are or were watched."""
    return content_types_of(call_readable(conn, "content_types"))


def _change(row: tuple[Any, ...], content_types: ContentTypes) -> Change:
    return change_of(cast("asyncpg.Record", row), content_types)
