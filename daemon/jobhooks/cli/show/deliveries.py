"""Renders pending deliveries: as lines of a list, or each with its attempts."""

from collections.abc import Mapping
from dataclasses import dataclass

from rich.console import Console
from rich.text import Text

from jobhooks.cli.show.change_diff import ADDED, ASIDE, REMOVED
from jobhooks.cli.show.confirm import number
from jobhooks.cli.show.output import one_line, printable
from jobhooks.cli.show.results import log_line, object_of
from jobhooks.cli.show.waits import REASONS, because, duration, until
from jobhooks.operations.delivering.attempts import AttemptDetails
from jobhooks.operations.delivering.cancelling import DeliveriesCancelled
from jobhooks.operations.delivering.deliveries import (
    DeliveriesChanged,
    PendingDelivery,
    PendingDeliveryDetails,
    RunInProgress,
)

ERROR_WIDTH = 100  # characters of an error in a list


@dataclass(frozen=True)
class Line:
    """A pending delivery as a line of a list."""

    change: int
    hook: str
    object: str
    action: str
    state: str
    when: str
    attempts: int
    error: str


def line(delivery: PendingDelivery) -> Line:
    """Render a pending delivery as a line of a list."""
    error = delivery.error or "-"
    return Line(
        delivery.change_id,
        delivery.hook or "(gone)",
        object_of(delivery),
        delivery.action or "(gone)",
        delivery.state,
        _when(delivery),
        delivery.attempts,
        error if len(error) <= ERROR_WIDTH else error[: ERROR_WIDTH - 3] + "...",
    )


def _when(delivery: PendingDelivery) -> str:
    """When it is attempted, or since when and where it runs, or the change that it is behind."""
    if delivery.run is not None:
        return f"{duration(delivery.run.lasts_s, 'just now')}, pid {delivery.run.worker_pid or delivery.run.pid}"
    if delivery.state == "blocked" and delivery.behind is not None:
        return f"behind {delivery.behind}"
    return until(delivery.due_in_s, delivery.waits_for) if delivery.state != "paused" else "-"


def in_words(by_state: Mapping[str, int]) -> str:
    """Render counts by state: ``2 waiting, 1 dead``."""
    return ", ".join(f"{count} {state}" for state, count in by_state.items())


def changed(done: str, outcome: DeliveriesChanged) -> str:
    """Render the outcome of a retry or discard; ``done``: "retried" or "discarded"."""
    settled = "" if not outcome.already_settled else f"; {outcome.already_settled} had been settled in between"
    return f"{done} {number(outcome.changed, 'delivery', 'deliveries')}{settled}"


def cancelled(outcome: DeliveriesCancelled) -> str:
    """Render the outcome of a cancel."""
    before = f"; {outcome.ended_before} had ended before that" if outcome.ended_before else ""
    running = f"; {outcome.still_running} still being ended: jobhooks delivery list" if outcome.still_running else ""
    return f"cancelled {number(outcome.cancelled, 'run', 'runs')}{before}{running}"


def print_delivery(out: Console, delivery: PendingDeliveryDetails) -> None:
    """Print a pending delivery with its attempts."""
    name = "a deleted hook" if delivery.hook is None else f'hook "{delivery.hook}"'
    out.print(
        Text.assemble((one_line(f"{name}: "), "bold"), (delivery.state, "yellow"), one_line(f", {_next(delivery)}"))
    )
    traced: str | None = None
    for result in delivery.results:
        print_attempt(out, result, traced)
        traced = result.traceback
    if delivery.run is not None:
        _print_run(out, delivery, delivery.run)
    elif not delivery.results:
        out.print(Text("  not attempted yet", ASIDE))


def _print_run(out: Console, delivery: PendingDeliveryDetails, run: RunInProgress) -> None:
    """Print the attempt that runs, or that was interrupted, with its log so far."""
    started_at = run.started_at.isoformat(" ", "seconds")
    out.print(
        Text.assemble(
            f"  attempt {delivery.attempts + 1}, {started_at}: ",
            (delivery.state, "yellow"),
            one_line(f" {_where(run)}"),
        )
    )
    if run.version is not None:
        out.print(Text(f"    version {run.version}", ASIDE))
    if run.cancelled is not None:
        out.print(Text(one_line(f"    being cancelled: {run.cancelled}"), "yellow"))
    for entry in delivery.run_log:
        out.print(Text(log_line(entry), ASIDE))


def _where(run: RunInProgress) -> str:
    daemon = f"the daemon's process {run.pid} on {run.host}"
    return f"in {daemon}" if run.worker_pid is None else f"in process {run.worker_pid}, of {daemon}"


def _next(delivery: PendingDeliveryDetails) -> str:
    if delivery.run is not None:
        since = f"{duration(delivery.run.lasts_s, 'just now')}"
        if delivery.state == "interrupted":
            return "its daemon is gone: the next one begins the attempt again"
        return "since just now" if since == "just now" else f"for {since}"
    if delivery.state == "paused":
        return "as its hook is"
    if delivery.waits_for == "hook":
        return REASONS["hook"]
    if delivery.due_at is not None and delivery.due_in_s is not None:
        moment, left = delivery.due_at.isoformat(" ", "seconds"), duration(delivery.due_in_s)
        return f"due since {moment}" if left == "now" else f"due in {left}, at {moment}{because(delivery)}"
    if delivery.waits_for is not None:
        return REASONS[delivery.waits_for]
    if delivery.blocked_by is not None:
        blocker = delivery.blocked_by
        more = "" if blocker.deliveries == 1 else f", and {number(blocker.deliveries - 1, 'other', 'others')}"
        return f"behind change {blocker.change_id}, which is {blocker.status}{more}"
    if delivery.status == "dead":
        return f"after {number(delivery.attempts, 'attempt', 'attempts')}: kept until you retry or discard it"
    return "and goes on now"


def print_attempt(out: Console, attempt: AttemptDetails, former_traceback: str | None = None) -> None:
    """Print an attempt with its log, and its traceback unless the attempt before had the same."""
    started_at = attempt.started_at.isoformat(" ", "seconds")
    error = f": {attempt.error}" if attempt.error else ""
    out.print(
        Text.assemble(
            f"  attempt {attempt.attempt}, {started_at}: ",
            (attempt.status, ADDED if attempt.status == "success" else REMOVED),
            one_line(f" in {attempt.duration_ms:.0f} ms{error}"),
        )
    )
    print_log_and_traceback(out, attempt, former_traceback)


def print_log_and_traceback(out: Console, attempt: AttemptDetails, former_traceback: str | None = None) -> None:
    """Print the lines that a receiver logged, and the traceback of its failure, once."""
    for entry in attempt.log:
        out.print(Text(log_line(entry), ASIDE))
    if attempt.traceback is not None and attempt.traceback == former_traceback:
        out.print(Text("    the same traceback as above", ASIDE))
        return
    for traced in (attempt.traceback or "").splitlines():
        out.print(Text(printable(f"    {traced}"), ASIDE))
