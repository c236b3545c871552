"""Runs a job now for a change of the log, through the daemon, by each of its hooks that fits the change.

Two steps: ``queue_job`` makes the deliveries pending, ``await_results`` waits until the daemon has attempted them.
"""

import time
from dataclasses import dataclass

from jobhooks.engine.delivery.delivery import delivery_of
from jobhooks.errors import JobhooksError, Refused
from jobhooks.matching.hook_table import Hook
from jobhooks.operations.changes import listed_change
from jobhooks.operations.delivering.attempts import ResultDetails
from jobhooks.operations.delivering.change_details import change_details, no_such_change
from jobhooks.operations.delivering.deliveries import pending_delivery
from jobhooks.operations.delivering.replay import ReplayFilter, logged_change, queue, replay_hook, replayable
from jobhooks.operations.delivering.results import results_of_delivery
from jobhooks.operations.lookup.names import unknown_job
from jobhooks.operations.progress import Advance, Progress, no_progress
from jobhooks.store.captured_changes import ListedChange
from jobhooks.store.connections import SyncConnection, call

POLL_S = 0.1


@dataclass(frozen=True)
class PassedOver:
    """A hook that cannot run the job for the change now, and why."""

    hook: str
    reason: str


@dataclass(frozen=True)
class QueuedDelivery:
    """A delivery that is pending again. ``attempts``: the number of its last attempt, 0 before the first."""

    hook: Hook
    attempts: int


@dataclass(frozen=True)
class QueuedJob:
    """The deliveries that run a job for a change, and the hooks that cannot run it."""

    change: ListedChange
    deliveries: list[QueuedDelivery]
    passed_over: list[PassedOver]


def queue_job(conn: SyncConnection, job: str, change_id: int) -> QueuedJob:
    """Deliver a change again to each hook of ``job`` that is for its table and event.

    The columns and conditions of the hooks do not count: a person has chosen the change.

    Raises:
        UnknownJob: there is no such job.
        Refused: the log has no such change, or no hook of the job can run it now.
    """
    if not call(conn, "settings_of_job", class_path=job):
        raise unknown_job(conn, job)
    change = listed_change(conn, change_id)
    if change is None:
        raise no_such_change(conn, change_id)
    names = [name for (name,) in call(conn, "hooks_for_change", class_path=job, change_id=change_id)]
    logged = logged_change(conn, change_id)
    hooks = [hook for hook in (replay_hook(conn, name) for name in names) if delivery_of(logged, hook) is not None]
    if not hooks:
        raise Refused(
            f"no hook delivers the {change.action} of {change.table} to {job}",
            f"jobhooks hook add, or without a hook jobhooks replay --dry-run --change {change_id} --job {job}",
        )
    obstacles = {hook.name: _obstacle_to_queueing(conn, hook, change) for hook in hooks}
    passed_over = [PassedOver(name, reason) for name, reason in obstacles.items() if reason is not None]
    if len(passed_over) == len(hooks):
        reasons = "; ".join(f'the hook "{each.hook}": {each.reason}' for each in passed_over)
        raise Refused(f"cannot run {job} for change {change_id} now: {reasons}", f"jobhooks change show {change_id}")
    queued = [_queued(conn, hook, change_id) for hook in hooks if obstacles[hook.name] is None]
    return QueuedJob(change, queued, passed_over)


def await_results(
    conn: SyncConnection, queued: QueuedJob, timeout_s: float, progress: Progress = no_progress
) -> list[ResultDetails]:
    """Wait for the next attempt of each delivery, and look up its result.

    Raises:
        JobhooksError: one was not attempted in time; it stays queued.
    """
    deadline = time.monotonic() + timeout_s
    with progress("waiting for the daemon", len(queued.deliveries)) as advance:
        return [_await_one(conn, queued.change, delivery, deadline, advance) for delivery in queued.deliveries]


def _obstacle_to_queueing(conn: SyncConnection, hook: Hook, change: ListedChange) -> str | None:
    if not hook.runs:
        return (
            "it does not run, because the hook or its job is disabled, the hook is paused, or the job is not installed"
        )
    if replayable(conn, hook, ReplayFilter(hook.name, change_ids=[change.id])):
        return None
    if not change.triggering:
        depth = change_details(conn, change.id).depth
        if depth is None or not hook.chain_depth:
            return "a receiver made the change, or a role whose changes trigger nothing"
        if depth > hook.chain_depth:
            return f"receivers made the change, {depth} deep in a chain; its chain_depth is {hook.chain_depth}"
    if pending_delivery(conn, change.id, hook.name) is not None:
        return f"the change is pending for it already; jobhooks delivery retry {change.id} runs it now"
    return "the daemon has yet to read the change, and will deliver it then"


def _queued(conn: SyncConnection, hook: Hook, change_id: int) -> QueuedDelivery:
    results = results_of_delivery(conn, change_id, hook.id)
    queue(conn, hook, [change_id])
    return QueuedDelivery(hook, results[-1].attempt if results else 0)


def _await_one(
    conn: SyncConnection, change: ListedChange, queued: QueuedDelivery, deadline: float, advance: Advance
) -> ResultDetails:
    while True:
        for result in results_of_delivery(conn, change.id, queued.hook.id):
            if result.attempt > queued.attempts:
                advance(1)
                return result
        if time.monotonic() > deadline:
            raise JobhooksError(
                f'the hook "{queued.hook.name}" has not run in time: {_obstacle_to_running(conn, change, queued)}; its'
                " delivery stays queued",
                f"jobhooks delivery show {change.id}",
            )
        time.sleep(POLL_S)


def _obstacle_to_running(conn: SyncConnection, change: ListedChange, queued: QueuedDelivery) -> str:
    delivery = pending_delivery(conn, change.id, queued.hook.name)
    if delivery is not None and delivery.status == "blocked":
        return "it waits for an older change of the same object, which is pending as well"
    return "no daemon runs, or it is busy"
