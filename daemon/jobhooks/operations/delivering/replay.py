"""Delivers changes to a hook again: changes that are settled, or older than the hook.

Two steps: ``plan_replay`` returns the changes that would be delivered, ``replay`` queues them. The daemon delivers them
in order with everything else that the hook has pending for the same objects.
"""

import datetime
from array import array
from collections.abc import Sequence
from dataclasses import dataclass, replace

import msgspec

from jobhooks.contract.change import Change
from jobhooks.engine.delivery.delivery import Delivery, Wants, any_change, delivery_of
from jobhooks.engine.delivery.lane import lane_numbers
from jobhooks.errors import Refused
from jobhooks.matching.condition_failures import ConditionFailures
from jobhooks.matching.conditions import check_conditions
from jobhooks.matching.hook_table import Hook, Rule, has_rule, ignore_failure
from jobhooks.operations.changes import ids_between
from jobhooks.operations.delivering.change_details import no_such_change
from jobhooks.operations.delivering.deliveries import batches
from jobhooks.operations.delivering.logged import hook_called, logged_changes, read_changes, read_content_types
from jobhooks.operations.lookup.names import ids_of_tables, unknown_hook
from jobhooks.operations.progress import Progress, no_progress
from jobhooks.store.connections import SyncConnection, call

WINDOW = 100_000  # ids that one statement reads


@dataclass(frozen=True)
class ReplayFilter:
    """The hook, and conditions that the changes meet. A field left at its default accepts any change."""

    hook: str
    tables: Sequence[str] = ()
    change_ids: Sequence[int] = ()
    since: datetime.datetime | None = None
    until: datetime.datetime | None = None


@dataclass(frozen=True)
class FailedConditions:
    """The changes for which the hook's conditions could not be evaluated, and the last error."""

    changes: int
    error: str


@dataclass(frozen=True)
class ReplayPlan:
    """The changes that a replay would deliver, in order.

    ``passed_over``: changes that the filter names but that cannot be replayed. ``failed_conditions``: null if all
    conditions could be evaluated.
    """

    hook: Hook
    change_ids: "array[int]"
    passed_over: list[int]
    failed_conditions: FailedConditions | None


def replay_hook(conn: SyncConnection, name: str) -> Hook:
    """Look up a hook by its name.

    Raises:
        UnknownHook: there is no hook of that name.
    """
    hook = hook_called(conn, name)
    if hook is None:
        raise unknown_hook(conn, name)
    return hook


def plan_replay(conn: SyncConnection, chosen: ReplayFilter, progress: Progress = no_progress) -> ReplayPlan:
    """Find the changes that match the filter, the hook's tables, events, roles, columns and conditions as they are now.

    Pending deliveries and changes that the daemon has yet to read are left out.

    Raises:
        UnknownHook, NotWatched: the filter names a hook or table that does not exist.
        InvalidConditions: the hook's conditions are invalid.
        Refused: no change matches.
    """
    hook = replay_hook(conn, chosen.hook)
    ids = replayable(conn, hook, chosen)
    if not ids:
        raise Refused(
            f'nothing to replay: no change matches that is settled, or older than the hook "{hook.name}", and has no'
            " pending delivery to it",
            "jobhooks delivery list",
        )
    plan = _matching(conn, ReplayPlan(hook, ids, [], None), progress)
    return replace(plan, passed_over=sorted({*chosen.change_ids} - {*plan.change_ids}))


def replay(conn: SyncConnection, plan: ReplayPlan, progress: Progress = no_progress) -> int:
    """Queue the changes of a plan; the result is how many of them were not pending already.

    Raises:
        Forbidden, LockNotAvailable: batches before the one that failed are done.
    """
    return queue(conn, plan.hook, plan.change_ids, progress, Rule(plan.hook, ignore_failure).wants)


def replayable(conn: SyncConnection, hook: Hook, chosen: ReplayFilter) -> "array[int]":
    """The ids of the changes that match the filter and can be delivered to the hook again, in order."""
    tables = ids_of_tables(conn, chosen.tables)
    ids = array("q")
    first, last = ids_between(conn, chosen.since, chosen.until)
    while True:
        rows = call(
            conn,
            "replayable_changes",
            hook_id=hook.id,
            first_id=first,
            last_id=last,
            content_type_ids=tables,
            change_ids=list(chosen.change_ids) or None,
            since=chosen.since,
            until=chosen.until,
            limit=WINDOW,
        )
        ids.extend(id_ for (id_,) in rows)
        if len(rows) < WINDOW:
            return ids
        first = ids[-1] + 1


def queue(
    conn: SyncConnection,
    hook: Hook,
    ids: Sequence[int],
    progress: Progress = no_progress,
    wants: Wants = any_change,
) -> int:
    """Make pending deliveries of changes; the result is how many of them were not pending already.

    ``wants``: decides between a change of a child as it is and as an update of its parent.
    """
    content_types = read_content_types(conn)
    queued = 0
    # Oldest first: otherwise one could become due before an older one that it must wait for.
    with progress("queueing", len(ids)) as advance:
        for batch in batches(ids):
            found = (delivery_of(change, hook, wants) for change in read_changes(conn, batch, content_types))
            rows = [_pending_row(delivery) for delivery in found if delivery is not None]
            ((parked,),) = call(conn, "requeue", deliveries=msgspec.json.encode(rows).decode())
            queued += parked
            advance(len(batch))
    return queued


def logged_change(conn: SyncConnection, id_: int) -> Change:
    """A change of the log as a receiver gets it.

    Raises:
        Refused: the log has no change of that id.
    """
    changes = logged_changes(conn, [id_])
    if not changes:
        raise no_such_change(conn, id_)
    return changes[0]


def _matching(conn: SyncConnection, plan: ReplayPlan, progress: Progress) -> ReplayPlan:
    """The plan with only the changes that match the hook's roles, columns and conditions."""
    hook, content_types = plan.hook, read_content_types(conn)
    if not has_rule(hook) and not hook.child_ids:
        return plan
    if hook.conditions:
        check_conditions(hook.conditions)
    failures = ConditionFailures()
    rule = Rule(hook, failures.count)
    matching = array("q")
    with progress("matching", len(plan.change_ids)) as advance:
        for batch in batches(plan.change_ids):
            changes = read_changes(conn, batch, content_types)
            matching.extend(change.id for change in changes if delivery_of(change, hook, rule.wants) is not None)
            advance(len(batch))
    failed = next((FailedConditions(each.changes, each.last.error) for each in failures.take().values()), None)
    if not matching:
        changes = "1 change" if len(plan.change_ids) == 1 else f"{len(plan.change_ids)} changes"
        reason = "" if failed is None else f"; for {failed.changes} its conditions failed: {failed.error}"
        raise Refused(
            f'nothing to replay: the hook "{hook.name}" matches none of {changes}{reason}',
            f"jobhooks hook show '{hook.name}'",
        )
    return replace(plan, change_ids=matching, failed_conditions=failed)


def _pending_row(delivery: Delivery) -> dict[str, object]:
    """A pending delivery as jobhooks.requeue takes it, with the lanes that the daemon would use."""
    lane, other_lane = lane_numbers(delivery.lanes)
    return {
        "change_id": delivery.change.id,
        "hook_id": delivery.hook.id,
        "content_type_id": delivery.change.content_type.id,
        "lane": lane,
        "other_lane": other_lane,
    }
