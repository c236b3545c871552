"""The tables that are watched, the jobs and the hooks: what the command line lists and changes."""

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import msgspec

from jobhooks.errors import JobhooksError, LockNotAvailable, Refused
from jobhooks.store.connections import SyncConnection, call

LOCK_ATTEMPTS = 4
LOCK_PAUSE = 0.5  # seconds between them, in which the writers that queued behind us go on


@dataclass(frozen=True)
class WatchedTable:
    """A content type as a person sees it. ``state``: watched, not watched, or gone."""

    name: str
    state: str
    key: list[str]


@dataclass(frozen=True)
class Job:
    """The record of a receiver."""

    class_path: str
    name: str
    installed: bool
    enabled: bool
    description: str


@dataclass(frozen=True)
class JobHook:
    """A rule. ``runs`` tells whether changes lead to runs now: hook enabled, and job installed and enabled."""

    name: str
    content_types: list[str]
    events: list[str]
    job: str
    enabled: bool
    runs: bool


@dataclass(frozen=True)
class JobRecord:
    """What is recorded of a receiver that was found. Limits are in seconds."""

    class_path: str
    name: str
    description: str
    soft_time_limit_s: float | None
    time_limit_s: float | None


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
    call_with_lock(conn, "watch", table, columns, keyless, always, list(exclude), list(ignore))


def watch_outdated(conn: SyncConnection, failed: Callable[[str, JobhooksError], None] | None = None) -> int:
    """Watch those tables again whose triggers are not those that they would get today; return how many they were.

    ``failed`` is called with the name of each that could not be, and why; what it captured before goes on.

    Raises:
        JobhooksError: of the first that could not be, if there is no ``failed``; those before it are done.
    """
    done = 0
    for relation, name in call(conn, "outdated_tables"):
        try:
            call_with_lock(conn, "watch_again", relation)
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
    call_with_lock(conn, "unwatch", table)


def watched_tables(conn: SyncConnection) -> list[WatchedTable]:
    """Return all content types, by name."""
    return [WatchedTable(*row) for row in call(conn, "watched_tables")]


def register_jobs(conn: SyncConnection, found: Iterable[JobRecord], *, complete: bool) -> None:
    """Make jobs of the receivers that were found; ``complete``: those not among them are not installed any more."""
    call(conn, "register_jobs", msgspec.json.encode(list(found)).decode(), complete)


def jobs(conn: SyncConnection) -> list[Job]:
    """Return all jobs, by class path."""
    return [Job(*row) for row in call(conn, "jobs")]


def enable_job(conn: SyncConnection, class_path: str, *, enabled: bool = True) -> None:
    """Enable or disable a job.

    Raises:
        UnknownJob: there is none of that class path.
    """
    call(conn, "enable_job", class_path, enabled)


def add_hook(
    conn: SyncConnection, name: str, content_types: Sequence[str], events: Sequence[str], job: str, description: str
) -> None:
    """Add a job hook, enabled.

    Raises:
        UnknownJob, UnknownEvent, NotWatched, HookExists: as the message says; nothing was changed.
    """
    call(conn, "add_hook", name, list(content_types), list(events), job, description)


def hooks(conn: SyncConnection) -> list[JobHook]:
    """Return all job hooks, by name."""
    return [JobHook(*row) for row in call(conn, "hooks")]


def adopt(conn: SyncConnection) -> None:
    """Start afresh with a copied database: what its log holds counts as seen.

    Raises:
        NothingToAdopt: the database is no copy.
        LockNotAvailable: somebody has written and does not end.
    """
    call_with_lock(conn, "adopt")


def call_with_lock(conn: SyncConnection, name: str, *parameters: object) -> None:
    """Run what locks an application's table: waiting briefly, since its writers queue behind us, and a few times."""
    for attempt in range(1, LOCK_ATTEMPTS + 1):
        try:
            with conn.transaction():
                call(conn, "set_lock_timeout")
                call(conn, name, *parameters)
                return
        except LockNotAvailable:
            if attempt == LOCK_ATTEMPTS:
                raise
            time.sleep(LOCK_PAUSE)
