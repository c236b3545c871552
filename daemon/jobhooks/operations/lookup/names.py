"""Finds hooks, jobs and watched tables by their names. An unknown name gives an error that suggests near ones."""

from collections.abc import Iterable, Sequence

from jobhooks.errors import NotWatched, UnknownHook, UnknownJob
from jobhooks.operations.lookup.nearest_names import suggestion, unknown_name
from jobhooks.operations.lookup.table_names import name_or_full_name
from jobhooks.store.connections import SyncConnection, call


def ids_of_tables(conn: SyncConnection, tables: Sequence[str]) -> list[int] | None:
    """The content types of tables, by their names now or when they were watched; null for no names.

    Raises:
        NotWatched: one of them is not watched and never was.
    """
    found: list[int] = []
    for name in tables:
        found += ids_of_table(conn, name)
    return found or None


def ids_of_table(conn: SyncConnection, name: str) -> list[int]:
    """The content types of a table, by its name now or when it was watched; several if the name had several tables.

    Raises:
        NotWatched: it is not watched and never was.
    """
    rows = call(conn, "content_types_called", names=[name, name_or_full_name(conn, name)])
    if not rows:
        raise not_watched(conn, name)
    return [content_type_id for (content_type_id,) in rows]


def id_of_hook(conn: SyncConnection, name: str) -> int:
    """The id of a hook.

    Raises:
        UnknownHook: there is no hook of that name.
    """
    rows = call(conn, "hook_called", name=name)
    if not rows:
        raise unknown_hook(conn, name)
    return rows[0][0]


def ids_of_hooks(conn: SyncConnection, names: Iterable[str]) -> list[int] | None:
    """The ids of hooks; null for no names.

    Raises:
        UnknownHook: there is no hook of one of the names.
    """
    return [id_of_hook(conn, name) for name in names] or None


def ids_of_hooks_ever(conn: SyncConnection, names: Iterable[str]) -> list[int] | None:
    """The ids of hooks, and of deleted ones that had these names; null for no names.

    Raises:
        UnknownHook: there is and was no hook of one of the names.
    """
    found: list[int] = []
    for name in names:
        rows = call(conn, "hooks_ever_called", name=name)
        if not rows:
            raise unknown_hook(conn, name)
        found += [hook_id for (hook_id,) in rows]
    return found or None


def ids_of_jobs_ever(conn: SyncConnection, class_paths: Iterable[str]) -> list[int] | None:
    """The ids of jobs, and of deleted ones that had these class paths; null for no class paths.

    Raises:
        UnknownJob: there is and was no job of one of the class paths.
    """
    found: list[int] = []
    for class_path in class_paths:
        rows = call(conn, "jobs_ever_called", class_path=class_path)
        if not rows:
            raise unknown_job(conn, class_path)
        found += [job_id for (job_id,) in rows]
    return found or None


def unknown_hook(conn: SyncConnection, name: str) -> UnknownHook:
    """The error for a hook that does not exist."""
    return UnknownHook(unknown_name("hook", name, _known(conn, "hooks_beginning")))


def unknown_job(conn: SyncConnection, class_path: str) -> UnknownJob:
    """The error for a job that does not exist."""
    return UnknownJob(f"there is no job {class_path}{suggestion(class_path, _known(conn, 'jobs_beginning'))}")


def not_watched(conn: SyncConnection, table: str) -> NotWatched:
    """The error for a table that is not watched and never was."""
    near = suggestion(table, _known(conn, "watched_tables_beginning"))
    return NotWatched(f"{table} is not watched, and never was{near}")


def _known(conn: SyncConnection, query: str) -> list[str]:
    return [name for (name,) in call(conn, query, prefix="")]
