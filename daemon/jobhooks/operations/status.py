"""How an installation does right now: who leads, how far behind it is, what is owed, the last hour, its size.

Every question is bounded, so that it can be asked every other second of a database that is busy.
"""

import datetime
from dataclasses import dataclass

from jobhooks.store.connections import SyncConnection, call

COUNTED_DEBTS = 1_000_000
COUNTED_RESULTS = 50_000  # the newest: at a high rate, those of less than an hour
TIMED_RESULTS = 10_000  # the newest, for how long they took
HOUR_S = 3600.0


@dataclass(frozen=True)
class DaemonSession:
    """The session in which a daemon leads or waits to; what this role may not see of it is None."""

    pid: int
    role: str | None
    application_name: str | None
    client: str | None
    since: datetime.datetime | None


@dataclass(frozen=True)
class Leader(DaemonSession):
    """The daemon that leads; ``asleep``: writers wake it, else it looks by itself."""

    leads_since: datetime.datetime | None
    asleep: bool


@dataclass(frozen=True)
class Unread:
    """Changes that the daemon has yet to read: about how many, and since when the oldest waits."""

    changes: int
    oldest_at: datetime.datetime | None
    oldest_age_s: float | None


@dataclass(frozen=True)
class HookDebts:
    """What is owed to a hook, which is None once it is gone. ``oldest_due_in_s``: negative if it is late."""

    hook: str | None
    waiting: int
    blocked: int
    dead: int
    oldest_due_at: datetime.datetime | None
    oldest_due_in_s: float | None


@dataclass(frozen=True)
class LastHour:
    """The results of the last hour; ``since``: or since later, where there are too many to count.

    Delays are from a change to its success, in seconds; None where there was none.
    """

    since: datetime.datetime
    results: int
    success: int
    failure: int
    discarded: int
    per_second: float
    per_second_in_the_last_minute: float
    median_delay_s: float | None
    p95_delay_s: float | None


@dataclass(frozen=True)
class Extent:
    """How large the log and the results are; ``changes`` is about right."""

    segments: int
    log_bytes: int
    changes: int
    oldest_change_id: int | None
    oldest_at: datetime.datetime | None
    newest_change_id: int | None
    results_bytes: int


@dataclass(frozen=True)
class Status:
    """All of it. ``debts_are_all``: false where there are so many that not all were counted."""

    time: datetime.datetime
    database: str
    host: str
    server_version: str
    role: str
    leader: Leader | None
    standbys: list[DaemonSession]
    unread: Unread
    debts: list[HookDebts]
    debts_are_all: bool
    last_hour: LastHour
    log: Extent


def status(conn: SyncConnection) -> Status:
    """Return how things stand.

    Raises:
        Forbidden: the role may not read what there is.
    """
    leader, standbys = _daemons(conn)
    ((unread, oldest_at, now),) = call(conn, "unread_changes")
    debts, debts_are_all = _backlog(conn)
    return Status(
        time=now,
        database=conn.info.dbname,
        host=conn.info.host,
        server_version=(conn.info.parameter_status("server_version") or "").partition(" ")[0],
        role=conn.info.user,
        leader=leader,
        standbys=standbys,
        unread=Unread(unread, oldest_at, None if oldest_at is None else (now - oldest_at).total_seconds()),
        debts=debts,
        debts_are_all=debts_are_all,
        last_hour=_last_hour(conn),
        log=_extent(conn),
    )


def _daemons(conn: SyncConnection) -> tuple[Leader | None, list[DaemonSession]]:
    ((leads_since,),) = call(conn, "leadership")
    leader: Leader | None = None
    standbys: list[DaemonSession] = []
    for leads, pid, role, application_name, client, since, asleep in call(conn, "sessions_of_daemons"):
        if leads:
            leader = Leader(pid, role, application_name, client, since, leads_since, asleep)
        else:
            standbys.append(DaemonSession(pid, role, application_name, client, since))
    return leader, standbys


def _backlog(conn: SyncConnection) -> tuple[list[HookDebts], bool]:
    rows = call(conn, "debts_by_hook", limit=COUNTED_DEBTS)
    return [HookDebts(*row[:-1]) for row in rows], not rows or rows[0][-1] < COUNTED_DEBTS


def _last_hour(conn: SyncConnection) -> LastHour:
    ((since, seconds, results, success, failure, discarded, last_minute, median_s, p95_s),) = call(
        conn, "recent_results", limit=COUNTED_RESULTS, seconds=HOUR_S, timed_limit=TIMED_RESULTS
    )
    rates = _rate(results, seconds), _rate(last_minute, min(seconds, 60.0))
    return LastHour(since, results, success, failure, discarded, *rates, median_s, p95_s)


def _rate(count: int, seconds: float) -> float:
    """Return how many that is per second; the results of one moment count as those of one second."""
    return round(count / max(seconds, 1.0), 3)


def _extent(conn: SyncConnection) -> Extent:
    ((segments, log_bytes, oldest_id, oldest_at, newest_id, results_bytes),) = call(conn, "extent_of_log")
    changes = 0 if oldest_id is None else newest_id - oldest_id + 1
    return Extent(segments, log_bytes, changes, oldest_id, oldest_at, newest_id, results_bytes)
