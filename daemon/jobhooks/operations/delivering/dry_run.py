"""Runs a receiver for a change of the log, and rolls its writes back."""

import datetime
from dataclasses import dataclass, replace

import msgspec

from jobhooks.contract.change import Change
from jobhooks.contract.job_settings import JobLimits
from jobhooks.discovery.registry import FoundReceiver
from jobhooks.engine.delivery.delivery import Delivery, deliveries_of
from jobhooks.engine.running.dry_run import DryRunOutcome, run_dry
from jobhooks.errors import TransactionEnded, UnknownJob
from jobhooks.matching.hook_table import Hook
from jobhooks.operations.changes import listed_change
from jobhooks.operations.configuration import receivers
from jobhooks.operations.delivering.attempts import LogLine, ObjectChange, ResultDetails, levels_of
from jobhooks.operations.delivering.change_details import no_such_change
from jobhooks.operations.delivering.objects import delivery_to, object_change
from jobhooks.operations.delivering.replay import logged_change, replay_hook
from jobhooks.runtime.settings import Settings
from jobhooks.store.captured_changes import ListedChange, raw_json
from jobhooks.store.connections import SyncConnection, call
from jobhooks.store.snapshot import Snapshot

NO_HOOK = 0  # an id that no hook has, so that the mark and idempotency key belong to no delivery
FIRST_ATTEMPT = 1


@dataclass(frozen=True)
class Write:
    """A change that a receiver would have made in a watched table; the rows are JSON as in the log."""

    table: str
    action: str
    object_key: msgspec.Raw
    removed: msgspec.Raw
    added: msgspec.Raw


@dataclass(frozen=True)
class DryRun(ResultDetails):
    """A result that was not recorded, with the writes that were rolled back; ``hook`` is null.

    ``retry_after_s``: the delay that the receiver asked for, if it did. ``transaction_ended``: it ended its
    transaction, which receivers must not do, so its earlier writes are kept.
    """

    change: ListedChange
    retry_after_s: float | None
    transaction_ended: bool
    writes: list[Write]


def dry_run(conn: SyncConnection, settings: Settings, job: str, change_id: int) -> DryRun:
    """Run the receiver ``job`` for a change in a separate process, and roll its writes back.

    The job need not be enabled. Effects outside of the database, such as requests and files, do happen.

    Raises:
        Refused: the log has no change of that id.
        UnknownJob: there is no such receiver.
        DatabaseUnreachable: the connection was lost.
        InvalidReceiver: the receiver cannot be imported in its process.
    """
    change = logged_change(conn, change_id)
    registry = receivers.find(settings)
    found = registry.receivers.get(job)
    if found is None:
        raise UnknownJob(f"cannot run {job}: {registry.why_missing(job)}")
    memory_limit = settings.worker_memory_limit * 1_000_000 or None
    delivery = _delivery(conn, found, change)
    ran = run_dry(settings.database_url, found, delivery, memory_limit)
    listed = listed_change(conn, change.id)
    if listed is None:
        raise no_such_change(conn, change_id)  # retention has dropped it in between
    return _result(found, listed, delivery, ran)


def _delivery(conn: SyncConnection, found: FoundReceiver, change: Change) -> Delivery:
    """A delivery of the change to the receiver, with the limits that are in force for its job.

    It is that of the job's first hook for the change, with the hook's name and data: of a child's change, the update of
    its parent if the hook is for that. Without a hook for it, the receiver gets the change as it is.
    """
    rows = call(conn, "settings_of_job", class_path=found.class_path)
    limits = msgspec.json.decode(rows[0][0], type=JobLimits) if rows else found.meta
    names = [name for (name,) in call(conn, "hooks_for_change", class_path=found.class_path, change_id=change.id)]
    hooks = [replace(replay_hook(conn, name), id=NO_HOOK, job_id=0, limits=limits) for name in names]
    delivery = delivery_to(change, hooks)
    if delivery is not None:
        return delivery
    hook = Hook(
        "dry run",
        [change.content_type.name],
        found.class_path,
        [change.action],
        id=NO_HOOK,
        job_id=0,
        content_type_ids=frozenset({change.content_type.id}),
        enabled_since=Snapshot.parse("1:1:"),
        limits=limits,
    )
    return deliveries_of(change, [hook])[0]


def _result(found: FoundReceiver, change: ListedChange, delivery: Delivery, ran: DryRunOutcome) -> DryRun:
    outcome = ran.outcome
    own = ObjectChange(change.table, change.action, change.object_key)
    shown = own if delivery.change.related is None else object_change(delivery.change)
    error = outcome.error or ""
    log = [
        LogLine(entry.time, entry.level.value, entry.object, entry.message, entry.grouping, entry.source)
        for entry in outcome.log
    ]
    return DryRun(
        change_id=change.id,
        hook=None,
        hook_deleted=False,
        dead=False,
        next_attempt_at=None,
        version=found.shown_version,
        package=found.package,
        log_levels=levels_of(log),
        job=found.class_path,
        table=shown.table,
        action=shown.action,
        object_key=shown.object_key,
        child=None if shown is own else own,
        attempt=FIRST_ATTEMPT,
        status=outcome.status.value,
        started_at=_moment(outcome.started_at),
        finished_at=_moment(outcome.finished_at),
        duration_ms=round((outcome.finished_at - outcome.started_at) * 1000, 1),
        error=outcome.error,
        traceback=outcome.traceback,
        value=raw_json(outcome.value),
        log=log,
        change=change,
        retry_after_s=outcome.retry_after,
        transaction_ended=error.startswith(TransactionEnded.__name__),
        writes=[Write(made.table, made.action, made.object_key, made.removed, made.added) for made in ran.changes],
    )


def _moment(seconds: float) -> datetime.datetime:
    return datetime.datetime.fromtimestamp(seconds, datetime.UTC)
