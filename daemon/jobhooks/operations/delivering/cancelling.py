"""Cancels runs: the daemon ends them, and their deliveries are dead until a person retries or discards them.

Like a discard, it has two steps: ``choose_running`` returns a plan, and ``cancel`` carries it out.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace

from jobhooks.errors import Refused, WrongUsage
from jobhooks.operations.delivering.deliveries import (
    SHOWN_AFTER_S,
    DeliveryFilter,
    DeliveryKey,
    DeliveryPlan,
    awaited_keys,
    batches,
    columns_of,
    plan_of,
)
from jobhooks.operations.progress import Progress, no_progress
from jobhooks.store.connections import SyncConnection, call

RUNNING = ("running", "interrupted")
WAIT_S = 15.0  # an async def receiver has five seconds to clean up
POLL_S = 0.1


@dataclass(frozen=True)
class DeliveriesCancelled:
    """The outcome of a cancel. ``cancelled``: runs that were ended, also those of deliveries merged into another one.

    ``ended_before``: runs that ended by themselves before that. ``still_running``: those that the daemon has not ended
    in time; it goes on to do so.
    """

    cancelled: int
    ended_before: int
    still_running: int
    passed_over: list[int]


def choose_running(
    conn: SyncConnection, chosen: DeliveryFilter, *, everything: bool = False, wait_s: float = SHOWN_AFTER_S
) -> DeliveryPlan:
    """Plan a cancel: the deliveries that run, or whose run was interrupted. ``wait_s``: as in ``awaited_keys``.

    Raises:
        WrongUsage: the filter is empty without ``everything``, or is not with it.
        UnknownHook, NotWatched: the filter names a hook or table that does not exist.
        Refused: no running delivery matches.
    """
    if everything != chosen.is_empty:
        raise WrongUsage("choose deliveries by at least one condition, or all of them without any condition")
    states = [state for state in RUNNING if state in (chosen.states or RUNNING)]
    keys = awaited_keys(conn, replace(chosen, states=states), wait_s) if states else []
    if not keys:
        raise Refused(
            "no running delivery matches; one in its first second is found if you name its change",
            "jobhooks delivery list --state running, or jobhooks delivery discard for one that does not run",
        )
    return plan_of(keys, chosen)


def cancel(
    conn: SyncConnection,
    plan: DeliveryPlan,
    reason: str | None = None,
    wait_s: float = WAIT_S,
    progress: Progress = no_progress,
) -> DeliveriesCancelled:
    """End runs, and wait until they have ended. ``reason``: for the result, beside who cancelled it and when.

    Raises:
        Forbidden, LockNotAvailable: batches before the one that failed are done.
    """
    keys = plan.deliveries
    with progress("cancelling", len(keys)) as advance:
        for batch in batches(keys):
            call(conn, "cancel_deliveries", **columns_of(batch), reason=reason or None)
            advance(len(batch))
    still_running, ended_before = _await_ends(conn, keys, wait_s)
    return DeliveriesCancelled(len(keys) - still_running - ended_before, ended_before, still_running, plan.passed_over)


def _await_ends(conn: SyncConnection, keys: Sequence[DeliveryKey], wait_s: float) -> tuple[int, int]:
    """How many still run at the end of the time, and how many have ended by themselves."""
    deadline = time.monotonic() + wait_s
    attempts = [key.attempts + 1 for key in keys]
    while True:
        ((running, ended),) = call(conn, "ends_of_runs", **columns_of(keys), attempts=attempts)
        if not running or time.monotonic() > deadline:
            return running, ended
        time.sleep(POLL_S)
