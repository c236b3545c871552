"""The log as a person reads it: the newest changes, one with all that is known of it, and those to come."""

import datetime
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import msgspec

from jobhooks.errors import NotWatched, Refused
from jobhooks.store.captured_changes import ListedChange, changes_with_ids, listed_fields, raw_json
from jobhooks.store.connections import SyncConnection, call
from jobhooks.store.undecodable_text import call_readable

CLOCK_SLACK = datetime.timedelta(minutes=1)  # by which times may fall although ids rise
BATCH = 500  # changes whose rows are read at once
WINDOW = 100_000  # ids that are read at once
LAST_ID = 2**63 - 1


@dataclass(frozen=True)
class ChangeResult:
    """What an attempt at a delivery did; ``hook`` and ``job`` are None once they are gone."""

    hook: str | None
    job: str | None
    attempt: int
    status: str
    started_at: datetime.datetime
    duration_ms: float
    error: str | None
    log: list[str]


@dataclass(frozen=True)
class Debt:
    """A parked delivery: waiting until ``due_at``, or dead."""

    hook: str | None
    status: str
    attempts: int
    due_at: datetime.datetime | None


@dataclass(frozen=True)
class ShownChange(ListedChange):
    """A change with all that is known of it. ``caused_by``: the change, hook and attempt of the run that made it."""

    transaction_id: int
    session_role: str
    prechange: msgspec.Raw
    postchange: msgspec.Raw
    caused_by: msgspec.Raw
    refused_mark: str | None
    snapshot_error: str | None
    partition: str | None
    results: list[ChangeResult]
    deliveries: list[Debt]


@dataclass(frozen=True)
class Wanted:
    """Which changes are asked for; None: all. Tables are given by the ids of their content types."""

    content_type_ids: list[int] | None = None
    actions: list[str] | None = None
    user: str | None = None
    since: datetime.datetime | None = None
    until: datetime.datetime | None = None


def content_types_called(conn: SyncConnection, names: Sequence[str]) -> list[int] | None:
    """Return the content types of tables, by their names now or when they were watched; None for no names.

    Raises:
        NotWatched: there is none of a name, and there never was.
    """
    found: list[int] = []
    for name in names:
        rows = call(conn, "content_types_called", name)
        if not rows:
            raise NotWatched(f"{name} is not watched, and never was")
        found += [content_type_id for (content_type_id,) in rows]
    return found or None


def server_time(conn: SyncConnection) -> datetime.datetime:
    """Return what time it is for the database, whose clock the log goes by."""
    ((now,),) = call(conn, "server_time")
    return now


def newest_changes(conn: SyncConnection, wanted: Wanted, limit: int, snapshot: str | None = None) -> list[ListedChange]:
    """Return the newest changes that are wanted, oldest first; only what ``snapshot`` sees, if there is one."""
    first, last = ids_between(conn, wanted.since, wanted.until)
    rows = call(
        conn,
        "newest_change_ids",
        *(first, last, wanted.content_type_ids, wanted.actions, wanted.user, wanted.since, wanted.until),
        *(snapshot, limit),
    )
    ids = sorted(id_ for (id_,) in rows)
    return [change for batch in _batches(ids) for change in changes_with_ids(conn, batch)]


def ids_between(
    conn: SyncConnection, since: datetime.datetime | None, until: datetime.datetime | None
) -> tuple[int, int]:
    """Return a first and a last id that the changes of that time lie between, with others perhaps."""
    first = 0 if since is None else _first_id_from(conn, since - CLOCK_SLACK)
    last = LAST_ID if until is None else _first_id_from(conn, until + CLOCK_SLACK)
    return first, last


def listed_change(conn: SyncConnection, id_: int) -> ListedChange | None:
    """Return one change; None: it is not in the log any more."""
    return next(iter(changes_with_ids(conn, [id_])), None)


def change_by_id(conn: SyncConnection, id_: int) -> ShownChange:
    """Return one change.

    Raises:
        Refused: the log has none of that id.
    """
    rows, details = call_readable(conn, "changes_by_id", [id_]), call_readable(conn, "change_details", id_)
    if not rows or not details:
        first, last = call(conn, "log_ends")[0]
        extent = "it is empty" if first is None else f"it goes from {first} to {last}, and numbers can be missing"
        raise Refused(f"there is no change {id_} in the log: {extent}")
    transaction_id, session_role, cause, refused_mark, snapshot_error, partition = details[0]
    return ShownChange(
        *listed_fields(rows[0]),
        transaction_id=transaction_id,
        session_role=session_role,
        prechange=raw_json(rows[0][-2]),
        postchange=raw_json(rows[0][-1]),
        caused_by=raw_json(cause),
        refused_mark=refused_mark,
        snapshot_error=snapshot_error,
        partition=partition,
        results=[ChangeResult(*row) for row in call(conn, "results_of_change", id_)],
        deliveries=[Debt(*row) for row in call(conn, "deliveries_of_change", id_)],
    )


class Follower:
    """Finds the changes that commit from its making on, each once, however late its transaction commits.

    Ids do not commit in order, so it keeps a snapshot: what it does not see and the next one does is new. That is what
    was written by transactions that were in progress in it by name, or are at or above its xmax: both are found by
    the transaction's id. No transaction stays open in between.
    """

    def __init__(self, conn: SyncConnection, wanted: Wanted) -> None:
        self._conn = conn
        self._wanted = wanted
        call(conn, "prefer_indexes")
        self.seen = self._snapshot()

    def new_changes(self) -> Iterator[ListedChange]:
        """Yield what committed since the last time, in order of id."""
        horizon = self._snapshot()
        if horizon == self.seen:
            return
        last_id = 0
        while ids := self._new_ids(horizon, last_id):
            for batch in _batches(ids):
                yield from changes_with_ids(self._conn, batch)
            last_id = ids[-1]
            if len(ids) < WINDOW:
                break
        self.seen = horizon

    def _new_ids(self, horizon: str, last_id: int) -> list[int]:
        wanted = self._wanted
        rows = call(
            self._conn,
            "new_change_ids",
            *(self.seen, horizon, last_id, WINDOW, wanted.content_type_ids, wanted.actions, wanted.user),
        )
        return [id_ for (id_,) in rows]

    def _snapshot(self) -> str:
        ((snapshot,),) = call(self._conn, "current_snapshot")
        return snapshot


def _first_id_from(conn: SyncConnection, moment: datetime.datetime) -> int:
    """Return an id such that the changes below it are older: by halving, since times rise with the ids.

    The log has no index on the time, which every writer would pay for.
    """
    ((lowest, highest),) = call(conn, "log_ends")
    if lowest is None:
        return 0
    highest += 1
    while lowest < highest:
        middle = (lowest + highest) // 2
        rows = call(conn, "first_change_from", middle)
        if not rows or rows[0][1] >= moment:
            highest = middle
        else:
            lowest = rows[0][0] + 1
    return lowest


def _batches(ids: list[int]) -> Iterator[list[int]]:
    return (ids[start : start + BATCH] for start in range(0, len(ids), BATCH))
