"""Renders changes: their differences on one line, or line by line in colours."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

import msgspec
from rich.console import Console
from rich.text import Text

from jobhooks.cli.show.output import indented, local, one_line
from jobhooks.cli.show.waits import state_in_words
from jobhooks.operations.delivering.attempts import ResultDetails
from jobhooks.operations.delivering.change_details import ChangeDetails
from jobhooks.store.captured_changes import ListedChange
from jobhooks.store.json_rows import Columns, columns

VALUE_WIDTH = 40  # characters of a value on a line with others
SUMMARY_WIDTH = 160  # characters of all of them
ACTION_STYLES = {"create": "green", "update": "yellow", "delete": "red", "truncate": "bold red"}
REMOVED, ADDED, ASIDE = "red", "green", "dim"


class RowChange(Protocol):
    """A change of one row, whether in the log or rolled back; the rows are JSON."""

    @property
    def object_key(self) -> msgspec.Raw: ...
    @property
    def removed(self) -> msgspec.Raw: ...
    @property
    def added(self) -> msgspec.Raw: ...


@dataclass(frozen=True)
class Line:
    """A change as a line of a list."""

    id: int
    time: str
    table: str
    action: str
    object: str
    user: str
    changes: str


def line(change: ListedChange) -> Line:
    """Render a change as a line of a list."""
    values = ", ".join(_columns(change.object_key).values())
    return Line(change.id, local(change.time), change.table, change.action, values or "-", change.user, summary(change))


def summary(change: ListedChange) -> str:
    """Render the difference in short: ``name: "a" -> "b"``, or the values of a created or deleted row."""
    removed, added = _columns(change.removed), _columns(change.added)
    if change.action == "update":
        parts = [f"{name}: {_short(removed.get(name))} -> {_short(added.get(name))}" for name in {**removed, **added}]
    else:
        parts = [f"{name}: {_short(value)}" for name, value in (added or removed).items()]
    text = ", ".join(parts)
    return text if len(text) <= SUMMARY_WIDTH else text[: SUMMARY_WIDTH - 3] + "..."


def print_line(out: Console, change: ListedChange) -> None:
    """Print a change as a line of a stream."""
    shown = line(change)
    out.print(
        Text.assemble(
            (f"{shown.time} ", ASIDE),
            f"{shown.id} ",
            (f"{shown.action:8} ", ACTION_STYLES[shown.action]),
            one_line(f"{shown.table} {shown.object} by {shown.user}"),
            (one_line(f"  {shown.changes}".rstrip()), ASIDE),
        )
    )


def print_heading(out: Console, change: ListedChange) -> None:
    """Print the id, action, table and key of a change."""
    out.print(heading(change))


def print_who(out: Console, change: ListedChange) -> None:
    """Print the user and the request of a change."""
    out.print(Text.assemble((f"  {'user':9} ", ASIDE), one_line(change.user)))
    if change.request_id is not None:
        out.print(Text.assemble((f"  {'request':9} ", ASIDE), one_line(change.request_id)))


def heading(change: ListedChange) -> Text:
    """Render the id, action, table and key of a change: ``change 42: update public.device id = 1``."""
    return Text.assemble(
        (f"change {change.id}", "bold"),
        ": ",
        (change.action, ACTION_STYLES[change.action]),
        one_line(f" {change.table} {key(change)}".rstrip()),
    )


def key(change: RowChange) -> str:
    """Render the key of a row: ``id = 1``; empty for a row without a key."""
    return ", ".join(f"{name} = {value}" for name, value in _columns(change.object_key).items())


def print_change(out: Console, shown: ChangeDetails) -> None:
    """Print a change in full: its circumstances, difference, results and pending deliveries."""
    print_heading(out, shown)
    for name, value in _circumstances(shown):
        out.print(Text.assemble((f"  {name:12} ", ASIDE), one_line(value)))
    print_difference(out, shown)
    unchanged = len(_columns(shown.postchange).keys() - _columns(shown.added).keys())
    if shown.action == "update" and unchanged:
        out.print(Text(f"  {unchanged} {'column' if unchanged == 1 else 'columns'} as before", ASIDE))
    for result in shown.results:
        _print_result(out, result)
    for delivery in shown.deliveries:
        out.print(Text(one_line(f'  pending for the hook "{delivery.hook}": {state_in_words(delivery)}'), "yellow"))
    if not shown.results and not shown.deliveries:
        out.print(Text("  no receiver has run for this change", ASIDE))
    out.print(Text(f"  why each hook ran, or did not: jobhooks explain --change {shown.id}", ASIDE))


def _circumstances(shown: ChangeDetails) -> Iterator[tuple[str, str]]:
    yield "time", shown.time.isoformat(" ", "milliseconds")
    yield "user", shown.user if shown.user == shown.session_role else f"{shown.user} (role {shown.session_role})"
    if shown.request_id:
        yield "request", shown.request_id
    if shown.message:
        yield "message", shown.message
    yield "transaction", str(shown.transaction_id)
    cause = _columns(shown.caused_by)
    if cause:
        yield (
            "caused by",
            f"hook {cause['hook']}, attempt {cause['attempt']} for change {cause['change']}: {_effect(shown.depth)}",
        )
    elif not shown.triggering:
        yield "triggers", "no hook: changes by this role trigger nothing"
    if shown.refused_mark is not None:
        yield "refused mark", f"{shown.refused_mark} (the role may not mark its changes, so this one triggers hooks)"
    if shown.partition is not None:
        yield "partition", f"only {shown.partition}"
    if shown.snapshot_error is not None:
        yield "no snapshot", shown.snapshot_error


def _effect(depth: int | None) -> str:
    if depth is None:
        return "it triggers no hook"
    return f"it triggers only hooks with a chain_depth of {depth} or more"


def print_difference(out: Console, change: RowChange) -> None:
    """Print the columns that differ, line by line."""
    removed, added = _columns(change.removed), _columns(change.added)
    for name in {**removed, **added}:
        for sign, style, row in (("-", REMOVED, removed), ("+", ADDED, added)):
            if name in row:
                out.print(Text(one_line(f"  {sign} {name}: {row[name]}"), style))


def _print_result(out: Console, result: ResultDetails) -> None:
    style = "green" if result.status == "success" else "red"
    error = f": {result.error}" if result.error else ""
    out.print(
        Text.assemble(
            one_line(f'  hook "{result.hook}" ran {result.job}, attempt {result.attempt}: '),
            (result.status, style),
            one_line(f" in {result.duration_ms:.0f} ms{error}"),
        )
    )
    for entry in result.log:
        about = "" if entry.object is None else f"{entry.object}: "
        out.print(Text(one_line(f"    {entry.level}: {about}") + indented(entry.message, 6), ASIDE))


def _short(value: str | None) -> str:
    text = value or "null"
    return text if len(text) <= VALUE_WIDTH else text[: VALUE_WIDTH - 3] + "..."


def _columns(row: msgspec.Raw) -> Columns:
    return columns(bytes(row).decode())
