"""Showing debts to a person: on one line of a list, or with each attempt."""

from dataclasses import dataclass

from rich.console import Console
from rich.text import Text

from jobhooks.cli.show.change_diff import ADDED, ASIDE, REMOVED
from jobhooks.cli.show.confirm import number
from jobhooks.cli.show.output import one_line, printable
from jobhooks.operations.deliveries import Attempt, ListedDelivery, ShownDelivery

ERROR_WIDTH = 100  # characters of an error on a line with others
UNITS = ((86_400, "d"), (3600, "h"), (60, "m"))


@dataclass(frozen=True)
class Line:
    """A debt on one line of a list."""

    change: int
    hook: str
    table: str
    action: str
    status: str
    attempts: int
    due_in: str
    error: str


def line(delivery: ListedDelivery) -> Line:
    """Return a debt as one line."""
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
    """Return in how long something is due: ``now``, ``12s``, ``3m 5s``, ``1h 0m``, ``2d 4h``."""
    left = int(seconds)
    if left <= 0:
        return "now"
    for position, (size, unit) in enumerate(UNITS):
        if left >= size:
            smaller, its_unit = (*UNITS, (1, "s"))[position + 1]
            return f"{left // size}{unit} {left % size // smaller}{its_unit}"
    return f"{left}s"


def print_delivery(out: Console, delivery: ShownDelivery) -> None:
    """Print a debt: its attempts, and what becomes of it."""
    name = "a hook that is gone" if delivery.hook is None else f'hook "{delivery.hook}"'
    out.print(
        Text.assemble((one_line(f"{name}: "), "bold"), (delivery.status, "yellow"), one_line(f", {_next(delivery)}"))
    )
    for attempt in delivery.results:
        print_attempt(out, attempt)
    if not delivery.results:
        out.print(Text("  not attempted yet", ASIDE))


def _next(delivery: ShownDelivery) -> str:
    if delivery.due_at is not None and delivery.due_in_s is not None:
        moment, left = delivery.due_at.isoformat(" ", "seconds"), duration(delivery.due_in_s)
        return f"due since {moment}" if left == "now" else f"due in {left}, at {moment}"
    if delivery.blocked_by is not None:
        blocker = delivery.blocked_by
        more = "" if blocker.debts == 1 else f", and {number(blocker.debts - 1, 'other', 'others')}"
        return f"behind change {blocker.change_id}, which is {blocker.status}{more}"
    if delivery.status == "dead":
        tries = number(delivery.attempts, "attempt", "attempts")
        return f"after {tries}: it stays until it is retried or discarded"
    return "and goes on at once"


def print_attempt(out: Console, attempt: Attempt) -> None:
    """Print what an attempt did, with its log and its traceback."""
    started_at = attempt.started_at.isoformat(" ", "seconds")
    error = f": {attempt.error}" if attempt.error else ""
    out.print(
        Text.assemble(
            f"  attempt {attempt.attempt}, {started_at}: ",
            (attempt.status, ADDED if attempt.status == "success" else REMOVED),
            one_line(f" in {attempt.duration_ms:.0f} ms{error}"),
        )
    )
    for entry in attempt.log:
        out.print(Text(one_line(f"    {entry}"), ASIDE))
    for traced in (attempt.traceback or "").splitlines():
        out.print(Text(printable(f"    {traced}"), ASIDE))
