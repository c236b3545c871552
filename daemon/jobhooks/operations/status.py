"""Reports the health of an installation: leader, unread changes, lagging hooks, backlog, the last hour, problems.

Every query is bounded, so a report every two seconds does not slow a busy database.
"""

import datetime
import time
from collections.abc import Iterator
from dataclasses import dataclass

from jobhooks.errors import DatabaseUnreachable
from jobhooks.operations.doctor import Problem, problems
from jobhooks.operations.opening import connection
from jobhooks.runtime.settings import Settings
from jobhooks.runtime.version import PROGRAM_VERSION
from jobhooks.store.connections import SyncConnection, call

COUNTED_UNREAD = 10_000  # changes looked at; the rest counts by ids
COUNTED_DELIVERIES = 100_000
COUNTED_RESULTS = 50_000  # the newest: at a high rate, less than an hour
TIMED_RESULTS = 10_000  # the newest, for delays
HOUR_S = 3600.0
PROBLEMS_AGE_S = 30.0  # after which ``watch`` looks for problems again, which takes longer than the rest
IGNORED_UNREAD_S = 30.0  # age of an unread change that a sleeping daemon must have been woken for


@dataclass(frozen=True)
class DaemonSession:
    """The session in which a daemon leads or stands by. A field that this role may not see is null."""

    pid: int
    role: str | None
    application_name: str | None
    client: str | None
    since: datetime.datetime | None


@dataclass(frozen=True)
class Leader(DaemonSession):
    """The daemon that leads. ``asleep``: writers wake it, otherwise it polls.

    ``silent_for_s``: seconds since its session last spoke, which it does every second; null if this role may not see
    that. ``responds``: false if it is stopped or cut off, so that nothing is delivered.
    """

    leads_since: datetime.datetime | None
    asleep: bool
    silent_for_s: float | None
    responds: bool


@dataclass(frozen=True)
class Unread:
    """Triggering changes that the daemon has yet to read: roughly how many, and the time and age of the oldest."""

    changes: int
    oldest_at: datetime.datetime | None
    oldest_age_s: float | None


@dataclass(frozen=True)
class LaggingHook:
    """A hook that is behind the others, because it could not keep up or stands still.

    ``changes``: about how many changes of its tables it has yet to read, and the time and age of the oldest.
    ``held_changes``, ``held_bytes``: the part of the log after its position, which retention keeps for it. ``next_at``:
    if it waits for its rate, when its next run may begin.
    """

    hook: str
    paused: bool
    changes: int
    oldest_at: datetime.datetime | None
    oldest_age_s: float | None
    held_changes: int
    held_bytes: int
    next_at: datetime.datetime | None = None


@dataclass(frozen=True)
class HookBacklog:
    """The pending deliveries of a hook, by state. ``hook`` is null once the hook is deleted.

    ``oldest_due_in_s``: negative if overdue. ``waits_for``: what the oldest waits for, as in ``PendingDelivery``: null
    if it is due; without an ``oldest_due_at`` it is not known until when.
    """

    hook: str | None
    running: int
    interrupted: int
    retrying: int
    waiting: int
    paused: int
    blocked: int
    dead: int
    oldest_due_at: datetime.datetime | None
    oldest_due_in_s: float | None
    waits_for: str | None


@dataclass(frozen=True)
class HeldUp:
    """The dead deliveries of a hook, and those that wait behind them, with the number of their objects (ordering keys).

    ``oldest_dead``: the change of the oldest dead one. ``hook`` is null once deleted.
    """

    hook: str | None
    dead: int
    held_up: int
    held_up_objects: int
    oldest_dead: int


@dataclass(frozen=True)
class LastHour:
    """The results of the last hour. ``since``: later if there are too many to count.

    Delays are seconds from a change to its success; null without a success.
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
    """The sizes of the log and the results; ``changes`` is an estimate."""

    segments: int
    log_bytes: int
    changes: int
    oldest_change_id: int | None
    oldest_at: datetime.datetime | None
    newest_change_id: int | None
    results_bytes: int


@dataclass(frozen=True)
class Status:
    """The state of an installation.

    ``deliveries_complete``: false if there are too many pending deliveries to count.
    """

    version: str
    time: datetime.datetime
    database: str
    host: str
    server_version: str
    role: str
    leader: Leader | None
    standbys: list[DaemonSession]
    unread: Unread
    lagging_hooks: list[LaggingHook]
    deliveries: list[HookBacklog]
    deliveries_complete: bool
    held_up: list[HeldUp]
    last_hour: LastHour
    log: Extent
    retention_days: float
    problems: list[Problem]

    @property
    def is_delivering(self) -> bool:
        """Whether a daemon leads and responds."""
        return self.leader is not None and self.leader.responds


def status(conn: SyncConnection, settings: Settings, known_problems: list[Problem] | None = None) -> Status:
    """Report the state of an installation.

    ``settings``: of the daemon, for its retention and leader timeout. ``known_problems``: found before, and not looked
    for again.

    Raises:
        Forbidden: the role may not read the tables of jobhooks.
    """
    ((changes, oldest_at, now),) = call(conn, "unread_changes", limit=COUNTED_UNREAD)
    unread = Unread(changes, oldest_at, None if oldest_at is None else (now - oldest_at).total_seconds())
    leader, standbys = _daemons(conn, unread, settings.leader_timeout)
    deliveries, deliveries_complete = _backlog(conn)
    return Status(
        version=PROGRAM_VERSION,
        time=now,
        database=conn.info.dbname,
        host=conn.info.host,
        server_version=(conn.info.parameter_status("server_version") or "").partition(" ")[0],
        role=conn.info.user,
        leader=leader,
        standbys=standbys,
        unread=unread,
        lagging_hooks=[LaggingHook(*row) for row in call(conn, "lagging_hooks", looked_at=COUNTED_UNREAD)],
        deliveries=deliveries,
        deliveries_complete=deliveries_complete,
        held_up=held_up(conn),
        last_hour=_last_hour(conn),
        log=_extent(conn),
        retention_days=settings.retention_days,
        problems=problems(conn, settings.retention_days) if known_problems is None else known_problems,
    )


def watch(settings: Settings) -> Iterator[Status | DatabaseUnreachable]:
    """Yield the state on each request, or the error while the database is unreachable.

    Raises:
        DatabaseUnreachable: the first connection failed; later ones are retried.
    """
    reached = False
    while True:
        try:
            with connection(settings) as conn:
                found, found_at = problems(conn, settings.retention_days), time.monotonic()
                while True:
                    if time.monotonic() - found_at > PROBLEMS_AGE_S:
                        found, found_at = problems(conn, settings.retention_days), time.monotonic()
                    yield status(conn, settings, found)
                    reached = True
        except DatabaseUnreachable as exc:
            if not reached:
                raise
            yield exc


def held_up(conn: SyncConnection) -> list[HeldUp]:
    """The hooks with dead deliveries, and the deliveries behind those: the hooks that hold up most first."""
    return [HeldUp(*row) for row in call(conn, "held_up_deliveries", limit=COUNTED_DELIVERIES)]


def _daemons(
    conn: SyncConnection, unread: Unread, leader_timeout_s: float
) -> tuple[Leader | None, list[DaemonSession]]:
    ((leads_since,),) = call(conn, "leadership")
    leader: Leader | None = None
    standbys: list[DaemonSession] = []
    for leads, asleep, silent_for_s, *facts in call(conn, "sessions_of_daemons"):
        session = DaemonSession(*facts)
        if leads:
            responds = _responds(unread, leader_timeout_s, silent_for_s, asleep=asleep)
            leader = Leader(
                **vars(session), leads_since=leads_since, asleep=asleep, silent_for_s=silent_for_s, responds=responds
            )
        else:
            standbys.append(session)
    return leader, standbys


def _responds(unread: Unread, leader_timeout_s: float, silent_for_s: float | None, *, asleep: bool) -> bool:
    if silent_for_s is not None:
        return silent_for_s <= leader_timeout_s
    return not (asleep and (unread.oldest_age_s or 0) > IGNORED_UNREAD_S)


def _backlog(conn: SyncConnection) -> tuple[list[HookBacklog], bool]:
    rows = call(conn, "pending_deliveries_by_hook", limit=COUNTED_DELIVERIES)
    return [HookBacklog(*row[:-1]) for row in rows], not rows or rows[0][-1] < COUNTED_DELIVERIES


def _last_hour(conn: SyncConnection) -> LastHour:
    ((since, seconds, results, success, failure, discarded, last_minute, median_s, p95_s),) = call(
        conn, "recent_results", limit=COUNTED_RESULTS, seconds=HOUR_S, timed_limit=TIMED_RESULTS
    )
    rates = _rate(results, seconds), _rate(last_minute, min(seconds, 60.0))
    return LastHour(since, results, success, failure, discarded, *rates, median_s, p95_s)


def _rate(count: int, seconds: float) -> float:
    """Results per second. Less than a second counts as one."""
    return round(count / max(seconds, 1.0), 3)


def _extent(conn: SyncConnection) -> Extent:
    ((segments, log_bytes, oldest_id, oldest_at, newest_id, results_bytes),) = call(conn, "extent_of_log")
    changes = 0 if oldest_id is None else newest_id - oldest_id + 1
    return Extent(segments, log_bytes, changes, oldest_id, oldest_at, newest_id, results_bytes)
