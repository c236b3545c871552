"""Reads the log: the newest changes, one change, and the changes that commit from now on."""

import datetime
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from jobhooks.operations.lookup.names import ids_of_tables
from jobhooks.store.captured_changes import ListedChange, changes_with_ids
from jobhooks.store.connections import SyncConnection, call

CLOCK_SLACK = datetime.timedelta(minutes=1)  # a change may be older than one with a lower id, by this much at most
BATCH = 500  # changes whose rows one statement reads
WINDOW = 100_000  # ids that one statement reads
LAST_ID = 2**63 - 1


@dataclass(frozen=True)
class ChangeFilter:
    """Conditions that changes meet. A field left at its default accepts any change."""

    tables: Sequence[str] = ()
    actions: Sequence[str] = ()
    user: str | None = None
    request: str | None = None
    transaction: int | None = None
    since: datetime.datetime | None = None
    until: datetime.datetime | None = None


def server_time(conn: SyncConnection) -> datetime.datetime:
    """The time of the database server's clock, which the log uses."""
    ((now,),) = call(conn, "server_time")
    return now


def newest_changes(
    conn: SyncConnection, chosen: ChangeFilter, limit: int, snapshot: str | None = None
) -> list[ListedChange]:
    """The newest changes, oldest first; with ``snapshot``, only those that it sees.

    Raises:
        NotWatched: the filter names a table that is not watched and never was.
    """
    tables = ids_of_tables(conn, chosen.tables)
    first, last = ids_between(conn, chosen.since, chosen.until)
    rows = call(
        conn,
        "newest_change_ids",
        first_id=first,
        last_id=last,
        content_type_ids=tables,
        actions=list(chosen.actions) or None,
        user=chosen.user,
        request=chosen.request,
        transaction_id=chosen.transaction,
        since=chosen.since,
        until=chosen.until,
        snapshot=snapshot,
        limit=limit,
    )
    ids = sorted(id_ for (id_,) in rows)
    return [change for batch in _batches(ids) for change in changes_with_ids(conn, batch)]


def ids_between(
    conn: SyncConnection, since: datetime.datetime | None, until: datetime.datetime | None
) -> tuple[int, int]:
    """A first and a last id. The changes of that time lie between them, and so may some others."""
    first = 0 if since is None else _first_id_from(conn, since - CLOCK_SLACK)
    last = LAST_ID if until is None else _first_id_from(conn, until + CLOCK_SLACK)
    return first, last


def listed_change(conn: SyncConnection, id_: int) -> ListedChange | None:
    """Look up one change; the log may no longer have it."""
    return next(iter(changes_with_ids(conn, [id_])), None)


class Follower:
    """Finds the changes that commit after its creation, each once, however late its transaction commits.

    Ids do not commit in order, so the follower keeps a snapshot. New are the changes that this snapshot does not see
    and the next one sees: the transactions in progress in it, and those at or above its xmax. Both are found by
    transaction id. No transaction stays open between two calls.
    """

    def __init__(self, conn: SyncConnection, chosen: ChangeFilter) -> None:
        """Start to follow.

        Raises:
            NotWatched: the filter names a table that is not watched and never was.
        """
        self._conn = conn
        self._filter = chosen
        self._content_type_ids = ids_of_tables(conn, chosen.tables)
        call(conn, "prefer_indexes")
        self.seen = self._snapshot()

    def new_changes(self) -> Iterator[ListedChange]:
        """Yield the changes that committed since the last call, in order of id."""
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
        rows = call(
            self._conn,
            "new_change_ids",
            seen=self.seen,
            horizon=horizon,
            after_id=last_id,
            limit=WINDOW,
            content_type_ids=self._content_type_ids,
            actions=list(self._filter.actions) or None,
            user=self._filter.user,
            request=self._filter.request,
        )
        return [id_ for (id_,) in rows]

    def _snapshot(self) -> str:
        ((snapshot,),) = call(self._conn, "current_snapshot")
        return snapshot


def _first_id_from(conn: SyncConnection, moment: datetime.datetime) -> int:
    """An id below which all changes are older than ``moment``.

    Found by bisection, since times rise with ids. The log has no index on the time: every writer would pay for it.
    """
    ((lowest, highest),) = call(conn, "log_ends")
    if lowest is None:
        return 0
    highest += 1
    while lowest < highest:
        middle = (lowest + highest) // 2
        rows = call(conn, "first_change_from", id=middle)
        if not rows or rows[0][1] >= moment:
            highest = middle
        else:
            lowest = rows[0][0] + 1
    return lowest


def _batches(ids: list[int]) -> Iterator[list[int]]:
    return (ids[start : start + BATCH] for start in range(0, len(ids), BATCH))
