"""The tables that are watched: listing, watching and unwatching them."""

import datetime
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from jobhooks.errors import JobhooksError, NotWatched, Refused, UnknownTable
from jobhooks.operations.table_names import unknown_table
from jobhooks.store.connections import SyncConnection, call
from jobhooks.store.locking import call_with_lock

COUNTED_CHANGES = 100_000  # of the log's newest, in which those of a table are counted: no index leads to them


@dataclass(frozen=True)
class WatchedTable:
    """A content type as a person sees it. ``state``: watched, not watched, or gone; the rest: how it is watched."""

    name: str
    state: str
    key: list[str]
    always: bool
    exclude: list[str]
    ignore: list[str]


@dataclass(frozen=True)
class TriggerState:
    """A trigger of a watched table, or of its partition; ``state``: enabled, always, disabled, replica or missing."""

    table: str
    name: str
    state: str


@dataclass(frozen=True)
class TableHook:
    """A hook on a table; see ``hooks.JobHook``."""

    name: str
    events: list[str]
    job: str
    runs: bool


@dataclass(frozen=True)
class TableDetails(WatchedTable):
    """A content type with what is on it. ``changes`` are counted among the newest ``counted`` of the whole log."""

    triggers: list[TriggerState]
    hooks: list[TableHook]
    changes: int
    counted: int
    last_change_id: int | None
    last_change_at: datetime.datetime | None


def watch(  # noqa: PLR0913, RUF100 - these are the ways in which a table can be watched
    conn: SyncConnection,
    table: str,
    key: Sequence[str] | None = None,
    *,
    keyless: bool = False,
    always: bool = False,
    exclude: Sequence[str] = (),
    ignore: Sequence[str] = (),
) -> None:
    """Watch ``table``, or change how it is watched; see jobhooks.watch for what can be chosen.

    Raises:
        UnknownTable, UnwatchableTable, Forbidden, LockNotAvailable: as the message says; nothing was changed.
    """
    columns = None if key is None else list(key)
    try:
        call_with_lock(
            conn,
            "watch",
            table=table,
            key_columns=columns,
            keyless=keyless,
            always=always,
            exclude=list(exclude),
            ignore=list(ignore),
        )
    except UnknownTable as exc:
        raise unknown_table(conn, table, exc) from exc


def watch_outdated(conn: SyncConnection, failed: Callable[[str, JobhooksError], None] | None = None) -> int:
    """Watch those tables again whose triggers are not those that they would get today; return how many they were.

    ``failed`` is called with the name of each that could not be, and why; what it captured before goes on.

    Raises:
        JobhooksError: of the first that could not be, if there is no ``failed``; those before it are done.
    """
    done = 0
    for relation, name in call(conn, "outdated_tables"):
        try:
            call_with_lock(conn, "watch_again", relation=relation)
            done += 1
        except Refused as exc:
            if failed is None:
                raise
            failed(name, exc)
    return done


def unwatch(conn: SyncConnection, table: str) -> None:
    """Stop watching ``table``; what was captured stays, and is still delivered.

    Raises:
        UnknownTable, NotWatched, Forbidden, LockNotAvailable: as the message says; nothing was changed.
    """
    try:
        call_with_lock(conn, "unwatch", table=table)
    except UnknownTable as exc:
        # The name of one that is gone, as table list shows it: its triggers went with it.
        if not call(conn, "unwatch_gone", table=table):
            raise unknown_table(conn, table, exc) from exc


def watched_tables(conn: SyncConnection) -> list[WatchedTable]:
    """Return all content types, by name."""
    return [WatchedTable(*row) for row in call(conn, "watched_tables")]


def table_details(conn: SyncConnection, name: str) -> TableDetails:
    """Return what there is to know about a table that is watched, or was.

    Raises:
        NotWatched: it is not, and never was.
    """
    rows = call(conn, "content_types_called", name=name)
    if not rows:
        raise NotWatched(f"{name} is not watched, and never was")
    content_type_id = max(id_ for (id_,) in rows)
    ((number, counted, last_id, last_at),) = call(
        conn, "count_changes", content_type_id=content_type_id, limit=COUNTED_CHANGES
    )
    return TableDetails(
        *call(conn, "watched_table", content_type_id=content_type_id)[0],
        triggers=[TriggerState(*row) for row in call(conn, "triggers_of_table", content_type_id=content_type_id)],
        hooks=[TableHook(*row) for row in call(conn, "hooks_of_table", content_type_id=content_type_id)],
        changes=number,
        counted=counted,
        last_change_id=last_id,
        last_change_at=last_at,
    )


def adopt(conn: SyncConnection) -> None:
    """Start afresh with a copied database: what its log holds counts as seen.

    Raises:
        NothingToAdopt: the database is no copy.
        LockNotAvailable: somebody has written and does not end.
    """
    call_with_lock(conn, "adopt")
