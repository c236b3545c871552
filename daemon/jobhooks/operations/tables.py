"""Watches and unwatches tables, and lists and shows them."""

import datetime
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from jobhooks.errors import JobhooksError, Refused, UnknownTable
from jobhooks.operations.lookup.names import ids_of_table
from jobhooks.operations.lookup.parent_names import parents_json
from jobhooks.operations.lookup.table_names import full_name, shell_quoted
from jobhooks.store.connections import SyncConnection, call
from jobhooks.store.locking import call_with_lock

COUNTED_CHANGES = 100_000  # of the whole log, the newest: no index leads to the changes of a table


@dataclass(frozen=True)
class WatchedTable:
    """A table that is or was watched. ``state``: watched, not watched, or gone; the rest: how it is watched.

    ``keep_lastval`` is null for a table that is watched without the option. ``parents``: tables that its changes also
    update, each as ``schema.table=column,column``.
    """

    table: str
    state: str
    key: list[str]
    always: bool
    keep_lastval: bool | None
    exclude: list[str]
    ignore: list[str]
    parents: list[str]


@dataclass(frozen=True)
class TriggerState:
    """A trigger of a watched table or its partition. ``state``: enabled, always, disabled, replica or missing."""

    table: str
    name: str
    state: str


@dataclass(frozen=True)
class TableHook:
    """A hook on a table. ``why_not``: why it does not run, or why it misses changes; None if neither."""

    name: str
    events: list[str]
    job: str
    runs: bool
    why_not: str | None


@dataclass(frozen=True)
class TableDetails(WatchedTable):
    """A table with its triggers and hooks. ``changes``: its number among the newest ``counted`` of the whole log."""

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
    allow_casts: bool = False,
    keep_lastval: bool | None = None,
    parents: Sequence[str] | None = (),
) -> WatchedTable:
    """Watch ``table``, or change how it is watched; jobhooks.watch explains the parameters.

    ``parents``: each ``schema.table=column``, with several columns separated by commas, or ``schema.table`` alone if
    one foreign key leads to its key; null: as they are.

    Raises:
        UnknownTable, UnwatchableTable, Forbidden, LockNotAvailable: nothing was changed.
    """
    name = full_name(conn, table, command="jobhooks table watch")
    ((content_type_id,),) = call_with_lock(
        conn,
        "watch",
        table=name,
        key_columns=None if key is None else list(key),
        keyless=keyless,
        always=always,
        exclude=list(exclude),
        ignore=list(ignore),
        allow_casts=allow_casts,
        keep_lastval=keep_lastval,
        parents=None if parents is None else parents_json(conn, parents),
    )
    return _watched_table(conn, content_type_id)


def watch_instead(conn: SyncConnection, table: str, former: str) -> WatchedTable:
    """Watch ``table`` instead of ``former``, with its options and hooks, after a table was replaced by renaming.

    Raises:
        UnknownTable, NotWatched, UnwatchableTable, Forbidden, LockNotAvailable: nothing was changed.
    """
    name = full_name(conn, table, command="jobhooks table watch")
    former_name = full_name(conn, former, command=f"jobhooks table watch {shell_quoted(name)} --instead-of")
    ((content_type_id,),) = call_with_lock(conn, "watch_instead", table=name, former=former_name)
    return _watched_table(conn, content_type_id)


def watch_as_before(conn: SyncConnection, table: str) -> bool:
    """Watch ``table`` unless it is watched; whether it was not. Options of an earlier time apply again.

    Raises:
        UnknownTable, UnwatchableTable, Forbidden, LockNotAvailable: nothing was changed.
    """
    name = full_name(conn, table, command="jobhooks install")
    return call_with_lock(conn, "watch_as_before", table=name)[0][0]


def secrets_in_log(conn: SyncConnection, table: str) -> list[tuple[str, str]]:
    """The columns of a watched table that look like secrets and are not excluded, and the command that excludes them.

    Empty without such columns.
    """
    return [(names, command) for names, command in call(conn, "secrets_in_log", table=table)]


def watch_outdated(conn: SyncConnection, failed: Callable[[str, JobhooksError], None] | None = None) -> int:
    """Watch tables again whose triggers differ from those of this version; the result is how many these were.

    ``failed``: called with each table that could not be watched again, and the error. It keeps its old triggers.

    Raises:
        JobhooksError: the first such error, without ``failed``; the tables before it are done.
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


def unwatch(conn: SyncConnection, table: str) -> str:
    """Stop watching ``table``; the result is its full name. Its captured changes stay, and are delivered.

    Raises:
        UnknownTable, NotWatched, Forbidden, LockNotAvailable: nothing was changed.
    """
    try:
        name = full_name(conn, table, command="jobhooks table unwatch")
    except UnknownTable:
        # A dropped table, by its name in table list: its triggers are gone with it.
        if not call(conn, "unwatch_gone", table=table):
            raise
        return table
    call_with_lock(conn, "unwatch", table=name)
    return name


def watched_tables(conn: SyncConnection) -> list[WatchedTable]:
    """All tables that are or were watched, by name."""
    return [WatchedTable(*row) for row in call(conn, "watched_tables")]


def table_details(conn: SyncConnection, name: str) -> TableDetails:
    """Look up a table that is or was watched, with its triggers, hooks and changes.

    Raises:
        NotWatched: the table is not watched and never was.
    """
    content_type_id = max(ids_of_table(conn, name))
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


def _watched_table(conn: SyncConnection, content_type_id: int) -> WatchedTable:
    return WatchedTable(*call(conn, "watched_table", content_type_id=content_type_id)[0])
