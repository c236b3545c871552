"""Lists, shows, retries and discards pending deliveries: those that run, wait, are blocked or are dead.

A retry or discard has two steps. ``choose`` returns a plan, which can be shown for confirmation; ``retry`` or
``discard`` carries it out, on exactly the deliveries of the plan.
"""

import datetime
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import msgspec

from jobhooks.errors import Refused, WrongUsage
from jobhooks.operations.changes import listed_change
from jobhooks.operations.delivering.attempts import LogLine, ObjectChange, ResultDetails
from jobhooks.operations.delivering.objects import updates_by_table
from jobhooks.operations.delivering.results import results_of_delivery
from jobhooks.operations.lookup.names import ids_of_hooks, ids_of_tables
from jobhooks.operations.lookup.object_keys import key_of
from jobhooks.operations.progress import Progress, no_progress
from jobhooks.store.captured_changes import ListedChange, raw_json
from jobhooks.store.connections import SyncConnection, call
from jobhooks.store.json_rows import as_json
from jobhooks.store.undecodable_text import call_readable

T = TypeVar("T")

BATCH = 1_000  # deliveries that one statement changes: a daemon that settles waits for it
# A run that has just begun has no row, unless an earlier attempt failed, and is shown after 1 to 1.5 seconds.
SHOWN_AFTER_S = 2.5
LOOK_S = 0.1
STATUSES = ("waiting", "blocked", "dead")
STATES = ("running", "interrupted", "retrying", "waiting", "paused", "blocked", "dead")


@dataclass(frozen=True)
class DeliveryFilter:
    """Conditions that pending deliveries meet. A field left at its default accepts any delivery.

    Times are those of the changes. ``error``: a part of the last attempt's error, in any case. ``states``: one of them.
    """

    change_ids: Sequence[int] = ()
    hooks: Sequence[str] = ()
    tables: Sequence[str] = ()
    status: str | None = None
    since: datetime.datetime | None = None
    until: datetime.datetime | None = None
    error: str | None = None
    states: Sequence[str] = ()

    @property
    def is_empty(self) -> bool:
        """Whether it has no condition, so that every pending delivery matches."""
        named = (self.change_ids, self.hooks, self.tables, self.states)
        return not any(named) and (self.status, self.since, self.until, self.error) == (None,) * 4


@dataclass(frozen=True)
class DeliveryKey:
    """Identifies a pending delivery. The other fields are as of when it was looked up."""

    change_id: int
    hook_id: int
    status: str
    state: str
    behind: int | None
    attempts: int
    due_at: datetime.datetime | None
    waits_for: str | None


@dataclass(frozen=True)
class RunInProgress:
    """Since when a run lasts, and where. ``pid``: the daemon's process; ``worker_pid``: null for ``async def``.

    ``cancelled``: who has cancelled it, when and why. ``version``: of the receiver that runs.
    """

    started_at: datetime.datetime
    lasts_s: float
    host: str
    pid: int
    worker_pid: int | None
    cancelled: str | None
    version: str | None


@dataclass(frozen=True)
class PendingDelivery:
    """A pending delivery. ``hook`` is null once the hook is deleted, ``action`` and ``time`` once the change is.

    ``table``, ``action`` and ``object_key``: what the hook runs for. If that is an update of a parent, ``child`` is the
    change of the child; else it is null.
    ``state``: its current state, by ``jobhooks.delivery_states``; ``status``: waiting, blocked or dead, as the backlog
    has it. ``behind``: the change that a blocked one waits for. ``run``: null unless it runs, or was interrupted.
    ``waits_for``: hook, retry, debounce, coalesce or rate, by the same function; null: nothing, or an older delivery.
    ``due_at``: null unless it waits, and if it waits for a rate without a known end. ``due_in_s``: seconds from now,
    negative if overdue. ``error``: of the last attempt.
    """

    change_id: int
    hook: str | None
    table: str | None
    action: str | None
    time: datetime.datetime | None
    status: str
    attempts: int
    failures: int
    due_at: datetime.datetime | None
    due_in_s: float | None
    error: str | None
    parked_at: datetime.datetime
    state: str
    behind: int | None
    waits_for: str | None
    object_key: msgspec.Raw
    child: ObjectChange | None
    run: RunInProgress | None


@dataclass(frozen=True)
class Blocker:
    """The oldest delivery that a blocked one waits for. ``deliveries``: how many it waits for in all."""

    change_id: int
    status: str
    deliveries: int


@dataclass(frozen=True)
class PendingDeliveryDetails(PendingDelivery):
    """A pending delivery with its results, and the log of the current run so far.

    ``blocked_by`` is null unless it is blocked.
    """

    results: list[ResultDetails]
    blocked_by: Blocker | None
    run_log: list[LogLine]


@dataclass(frozen=True)
class DeliveriesOfChange:
    """A change with its pending deliveries. ``change`` is null once retention has dropped it."""

    change: ListedChange | None
    deliveries: list[PendingDeliveryDetails]


@dataclass(frozen=True)
class DeliveryPlan:
    """The deliveries that a retry or discard would change.

    ``passed_over``: changes that the filter names but that have no such pending delivery.
    """

    deliveries: list[DeliveryKey]
    passed_over: list[int]

    @property
    def by_state(self) -> dict[str, int]:
        """How many there are of each state."""
        counts = Counter(delivery.state for delivery in self.deliveries)
        return {state: counts[state] for state in STATES if counts[state]}


@dataclass(frozen=True)
class DeliveriesChanged:
    """The outcome of a retry or discard. ``already_settled``: deliveries that were no longer pending."""

    changed: int
    already_settled: int
    passed_over: list[int]


def pending_deliveries(conn: SyncConnection, chosen: DeliveryFilter, limit: int) -> list[PendingDelivery]:
    """The pending deliveries of the newest changes, oldest first.

    Raises:
        UnknownHook, NotWatched: the filter names a hook or table that does not exist.
    """
    return _by_key(conn, delivery_keys(conn, chosen, limit))


def deliveries_of_change(conn: SyncConnection, change_id: int) -> list[PendingDelivery]:
    """The pending deliveries of one change, by hook."""
    return _by_key(conn, delivery_keys(conn, DeliveryFilter([change_id])))


def pending_delivery(conn: SyncConnection, change_id: int, hook: str) -> PendingDelivery | None:
    """Look up the pending delivery of a change to a hook, if there is one.

    Raises:
        UnknownHook: there is no such hook.
    """
    return next(iter(_by_key(conn, delivery_keys(conn, DeliveryFilter([change_id], [hook])))), None)


def delivery_details(conn: SyncConnection, change_id: int, hook: str | None = None) -> DeliveriesOfChange:
    """The pending deliveries of a change, all or the one to ``hook``, with their results.

    Raises:
        UnknownHook: there is no such hook.
        Refused: there is no such pending delivery.
    """
    keys = delivery_keys(conn, DeliveryFilter([change_id], [] if hook is None else [hook]))
    if not keys:
        to_hook = "" if hook is None else f' to the hook "{hook}"'
        raise Refused(
            f"change {change_id} has no pending delivery{to_hook}",
            f"jobhooks delivery list, or jobhooks change show {change_id} for its results",
        )
    found: list[PendingDeliveryDetails] = []
    for key in sorted(keys, key=lambda key: key.hook_id):
        for delivery in _by_key(conn, [key]):
            blockers = call(conn, "blocker_of_delivery", change_id=change_id, hook_id=key.hook_id)
            blocker = Blocker(*blockers[0]) if blockers else None
            results = results_of_delivery(conn, change_id, key.hook_id)
            run_log = [] if delivery.run is None else lines_of_run(conn, key)
            details = PendingDeliveryDetails(**vars(delivery), results=results, blocked_by=blocker, run_log=run_log)
            found.append(details)
    return DeliveriesOfChange(listed_change(conn, change_id), found)


def lines_of_run(conn: SyncConnection, key: DeliveryKey, first: int = 1) -> list[LogLine]:
    """The lines that the current run has logged so far, from the ``first`` on."""
    rows = call_readable(conn, "lines_of_run", change_id=key.change_id, hook_id=key.hook_id, first=first)
    return [LogLine(*row) for row in rows]


def choose(
    conn: SyncConnection, chosen: DeliveryFilter, *, everything: bool = False, wait_s: float = 0.0
) -> DeliveryPlan:
    """Plan a retry or discard. Deliveries that become pending later are not part of it.

    ``everything``: the empty filter means all pending deliveries, which it must not mean by accident. ``wait_s``: how
    long to look again for changes without a delivery, as ``awaited_keys`` does.

    Raises:
        WrongUsage: the filter is empty without ``everything``, or is not with it.
        UnknownHook, NotWatched: the filter names a hook or table that does not exist.
        Refused: no pending delivery matches.
    """
    if everything != chosen.is_empty:
        raise WrongUsage("choose deliveries by at least one condition, or all of them without any condition")
    keys = awaited_keys(conn, chosen, wait_s)
    if not keys:
        raise Refused("no pending delivery matches", "jobhooks delivery list")
    return plan_of(keys, chosen)


def awaited_keys(conn: SyncConnection, chosen: DeliveryFilter, wait_s: float) -> list[DeliveryKey]:
    """The deliveries that match, youngest change first.

    If the filter names changes, and one of them is missing, look again while a daemon leads, for at most ``wait_s``:
    its run may have begun less than a second ago.
    """
    deadline = time.monotonic() + wait_s
    while True:
        keys = delivery_keys(conn, chosen)
        missing = {*chosen.change_ids} - {key.change_id for key in keys}
        if not missing or time.monotonic() > deadline or not call(conn, "leader_at_work"):
            return keys
        time.sleep(LOOK_S)


def plan_of(keys: list[DeliveryKey], chosen: DeliveryFilter) -> DeliveryPlan:
    """The plan for these deliveries."""
    return DeliveryPlan(keys, sorted({*chosen.change_ids} - {key.change_id for key in keys}))


def retry(conn: SyncConnection, plan: DeliveryPlan, progress: Progress = no_progress) -> DeliveriesChanged:
    """Make deliveries due now, and forget their failures so far.

    Raises:
        Forbidden, LockNotAvailable: batches before the one that failed are done.
    """
    # Oldest first: otherwise one could become due before an older one that it must wait for.
    return _change(conn, "retry_deliveries", "retrying", plan, sorted(plan.deliveries, key=_identity), progress)


def discard(
    conn: SyncConnection, plan: DeliveryPlan, reason: str | None = None, progress: Progress = no_progress
) -> DeliveriesChanged:
    """Give deliveries up for good, which unblocks those behind them. ``reason``: by default "discarded by ROLE".

    Raises:
        Forbidden, LockNotAvailable: batches before the one that failed are done.
    """
    # Youngest first: otherwise one batch would unblock deliveries that the next batch discards, and they could run.
    youngest_first = sorted(plan.deliveries, key=_identity, reverse=True)
    return _change(conn, "discard_deliveries", "discarding", plan, youngest_first, progress, reason=reason or None)


def batches(items: Sequence[T], size: int = BATCH) -> Iterator[Sequence[T]]:
    """Split a sequence into parts of at most ``size``."""
    return (items[start : start + size] for start in range(0, len(items), size))


def delivery_keys(conn: SyncConnection, chosen: DeliveryFilter, limit: int | None = None) -> list[DeliveryKey]:
    """The deliveries that match, youngest change first."""
    rows = call(
        conn,
        "pending_delivery_keys",
        change_ids=list(chosen.change_ids) or None,
        hook_ids=ids_of_hooks(conn, chosen.hooks),
        content_type_ids=ids_of_tables(conn, chosen.tables),
        status=chosen.status,
        states=list(chosen.states) or None,
        since=chosen.since,
        until=chosen.until,
        error=chosen.error,
        limit=limit,
    )
    return [DeliveryKey(*row) for row in rows]


def _change(
    conn: SyncConnection,
    query: str,
    task: str,
    plan: DeliveryPlan,
    ordered: Sequence[DeliveryKey],
    progress: Progress,
    **parameters: object,
) -> DeliveriesChanged:
    changed = 0
    with progress(task, len(ordered)) as advance:
        for batch in batches(ordered):
            ((count,),) = call(conn, query, **columns_of(batch), **parameters)
            changed += count
            advance(len(batch))
    return DeliveriesChanged(changed, len(ordered) - changed, plan.passed_over)


def _by_key(conn: SyncConnection, keys: Sequence[DeliveryKey]) -> list[PendingDelivery]:
    """Pending deliveries in order of change and hook; those settled since their keys were read are missing."""
    rows = call_readable(
        conn,
        "deliveries_by_identity",
        **columns_of(keys),
        statuses=[key.status for key in keys],
        states=[key.state for key in keys],
        behind=[key.behind for key in keys],
        due_at=[key.due_at for key in keys],
        waits_for=[key.waits_for for key in keys],
    )
    updates = updates_by_table(conn, [(row[0], row[-1]) for row in rows if row[-2] is not None])
    return [_pending(row, updates) for row in rows]


def _pending(row: tuple[Any, ...], updates: Mapping[tuple[int, int], ObjectChange]) -> PendingDelivery:
    """A pending delivery of a row of ``deliveries_by_identity``; ``updates``: of parents, by change and table."""
    change_id, hook, table, action, *facts, key_columns, written_key, image, child_table, content_type_id = row
    *facts, started_at, lasts_s, host, pid, worker_pid, cancelled, version = facts
    key = raw_json(as_json(key_of(key_columns or (), written_key, image) or None))
    own = ObjectChange(child_table or table, action, key)
    shown = own
    if child_table is not None:  # the rows of the parent are unknown once the change is gone
        shown = updates.get((change_id, content_type_id), ObjectChange(table, "update", raw_json(None)))
    return PendingDelivery(
        change_id,
        hook,
        shown.table,
        shown.action,
        *facts,
        object_key=shown.object_key,
        child=None if shown is own else own,
        run=None
        if started_at is None
        else RunInProgress(started_at, lasts_s, host, pid, worker_pid, cancelled, version),
    )


def columns_of(keys: Sequence[DeliveryKey]) -> dict[str, object]:
    """The keys as two arrays of parameters."""
    return {"change_ids": [key.change_id for key in keys], "hook_ids": [key.hook_id for key in keys]}


def _identity(key: DeliveryKey) -> tuple[int, int]:
    return key.change_id, key.hook_id
