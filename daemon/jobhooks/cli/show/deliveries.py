"""Renders pending deliveries: as lines of a list, or each with its attempts."""

from collections.abc import Mapping
from dataclasses import dataclass

from rich.console import Console
from rich.text import Text

from jobhooks.cli.show.change_diff import ADDED, ASIDE, REMOVED
from jobhooks.cli.show.confirm import number
from jobhooks.cli.show.output import one_line, printable
from jobhooks.cli.show.results import log_line
from jobhooks.operations.delivering.attempts import AttemptDetails
from jobhooks.operations.delivering.deliveries import DeliveriesChanged, PendingDelivery, PendingDeliveryDetails

ERROR_WIDTH = 100  # characters of an error in a list
UNITS = ((86_400, "d"), (3600, "h"), (60, "m"))


@dataclass(frozen=True)
class Line:
    """A pending delivery as a line of a list."""

    change: int
    hook: str
    table: str
    action: str
    status: str
    attempts: int
    due_in: str
    error: str


def line(delivery: PendingDelivery) -> Line:
    """Render a pending delivery as a line of a list."""
    error = delivery.error or "-"
    return Line(
        delivery.change_id,
        delivery.hook or "(gone)",
        delivery.table or "(gone)",
        delivery.action or "(gone)",
        delivery.status,
        delivery.attempts,
        "-" if delivery.due_in_s is None else duration(delivery.due_in_s),
        error if len(error) <= ERROR_WIDTH else error[: ERROR_WIDTH - 3] + "...",
    )


def duration(seconds: float) -> str:
    """Render the time until something is due: ``now``, ``12s``, ``3m 5s``, ``1h 0m``, ``2d 4h``."""
    left = int(seconds)
    if left <= 0:
        return "now"
    for position, (size, unit) in enumerate(UNITS):
        if left >= size:
            smaller, its_unit = (*UNITS, (1, "s"))[position + 1]
            return f"{left // size}{unit} {left % size // smaller}{its_unit}"
    return f"{left}s"


def in_words(by_status: Mapping[str, int]) -> str:
    """Render counts by status: ``2 waiting, 1 dead``."""
    return ", ".join(f"{count} {status}" for status, count in by_status.items())


def changed(done: str, outcome: DeliveriesChanged) -> str:
    """Render the outcome of a retry or discard; ``done``: "retried" or "discarded"."""
    settled = "" if not outcome.already_settled else f"; {outcome.already_settled} had been settled in between"
    return f"{done} {number(outcome.changed, 'delivery', 'deliveries')}{settled}"


def print_delivery(out: Console, delivery: PendingDeliveryDetails) -> None:
    """Print a pending delivery with its attempts."""
    name = "a deleted hook" if delivery.hook is None else f'hook "{delivery.hook}"'
    out.print(
        Text.assemble((one_line(f"{name}: "), "bold"), (delivery.status, "yellow"), one_line(f", {_next(delivery)}"))
    )
    for result in delivery.results:
        print_attempt(out, result)
    if not delivery.results:
        out.print(Text("  not attempted yet", ASIDE))


def _next(delivery: PendingDeliveryDetails) -> str:
    if delivery.due_at is not None and delivery.due_in_s is not None:
        moment, left = delivery.due_at.isoformat(" ", "seconds"), duration(delivery.due_in_s)
        return f"due since {moment}" if left == "now" else f"due in {left}, at {moment}"
    if delivery.blocked_by is not None:
        blocker = delivery.blocked_by
        more = "" if blocker.deliveries == 1 else f", and {number(blocker.deliveries - 1, 'other', 'others')}"
        return f"behind change {blocker.change_id}, which is {blocker.status}{more}"
    if delivery.status == "dead":
        return f"after {number(delivery.attempts, 'attempt', 'attempts')}: kept until you retry or discard it"
    return "and goes on now"


def print_attempt(out: Console, attempt: AttemptDetails) -> None:
    """Print an attempt with its log and traceback."""
    started_at = attempt.started_at.isoformat(" ", "seconds")
    error = f": {attempt.error}" if attempt.error else ""
    out.print(
        Text.assemble(
            f"  attempt {attempt.attempt}, {started_at}: ",
            (attempt.status, ADDED if attempt.status == "success" else REMOVED),
            one_line(f" in {attempt.duration_ms:.0f} ms{error}"),
        )
    )
    print_log_and_traceback(out, attempt)


def print_log_and_traceback(out: Console, attempt: AttemptDetails) -> None:
    """Print the lines that a receiver logged, and the traceback of its failure."""
    for entry in attempt.log:
        out.print(Text(f"    {log_line(entry)}", ASIDE))
    for traced in (attempt.traceback or "").splitlines():
        out.print(Text(printable(f"    {traced}"), ASIDE))
