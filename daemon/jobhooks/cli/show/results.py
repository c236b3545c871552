"""Renders results: as lines of a list, in full, or line by line of their logs."""

import shlex
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import msgspec
from rich.console import Console
from rich.text import Text

from jobhooks.cli.show.change_diff import ADDED, ASIDE, REMOVED, heading
from jobhooks.cli.show.output import indented, local, one_line, printable
from jobhooks.operations.delivering.attempts import FoundLine, LogLine, ObjectChange, Result, ResultWithWrites
from jobhooks.operations.delivering.deliveries import PendingDelivery
from jobhooks.operations.delivering.results import SHOWN_WRITES
from jobhooks.store.json_rows import columns

ERROR_WIDTH = 100  # characters of an error in a list
STATUS_STYLES = {"success": ADDED, "failure": REMOVED, "discarded": "yellow"}
LEVEL_STYLES = {
    "debug": ASIDE,
    "info": "",
    "success": ADDED,
    "warning": "yellow",
    "failure": REMOVED,
    "error": REMOVED,
    "critical": REMOVED,
}


@dataclass(frozen=True)
class Line:
    """A result as a line of a list."""

    change: int
    started: str
    hook: str
    object: str
    attempt: int
    status: str
    log: str
    ms: str
    next: str
    error: str


def line(result: Result) -> Line:
    """Render a result as a line of a list."""
    error = result.error or "-"
    return Line(
        result.change_id,
        local(result.started_at),
        _name(result),
        object_of(result),
        result.attempt,
        result.status,
        levels(result.log_levels) or "-",
        f"{result.duration_ms:.0f}",
        _next(result),
        error if len(error) <= ERROR_WIDTH else error[: ERROR_WIDTH - 3] + "...",
    )


def object_of(of: Result | PendingDelivery) -> str:
    """The object that a hook ran for, and the change of a child that updated it."""
    child = "" if of.child is None else f" by {of.child.action or 'change'} of {_row(of.child)}"
    return f"{_row(of)}{child}"


def _row(of: Result | PendingDelivery | ObjectChange) -> str:
    key = ", ".join(columns(bytes(of.object_key).decode()).values())
    return f"{of.table or '(gone)'} {key}".rstrip()


def print_result(out: Console, result: ResultWithWrites) -> None:
    """Print a result in full: when and how it ended, its value, writes, log and traceback."""
    status = (result.status, STATUS_STYLES[result.status])
    ran = one_line(f"{_hook(result)} ran {result.job or 'a deleted job'}, attempt {result.attempt}: ")
    out.print(Text.assemble((ran, "bold"), status, f" in {result.duration_ms:.0f} ms"))
    for label, value in _facts(result):
        out.print(Text.assemble((f"  {label:9} ", ASIDE), one_line(value)))
    for change in result.wrote:
        out.print(Text.assemble((f"  {'wrote':9} ", ASIDE), heading(change)))
    if len(result.wrote) == SHOWN_WRITES:
        out.print(Text(f"  {'':9} there may be more: these are the first {SHOWN_WRITES}", ASIDE))
    for entry in result.log:
        out.print(Text.assemble(f"  {entry.time.astimezone():%H:%M:%S.%f}"[:-3], " ", _logged(entry, 6)))
    for traced in (result.traceback or "").splitlines():
        out.print(Text(printable(f"    {traced}"), ASIDE))


def levels(counts: Mapping[str, int]) -> str:
    """Render numbers of log lines by level: ``1 warning, 12 info``; empty without lines."""
    return ", ".join(f"{count} {level}" for level, count in counts.items())


def print_followed(out: Console, result: Result) -> None:
    """Print a result on one line."""
    error = f": {result.error}" if result.error else ""
    ran = one_line(f"change {result.change_id}, {_hook(result)}, attempt {result.attempt}, {object_of(result)}: ")
    status = (result.status, STATUS_STYLES[result.status])
    took = one_line(f" in {result.duration_ms:.0f} ms{error}")
    out.print(Text.assemble((f"{local(result.finished_at)} ", ASIDE), ran, status, took))


def print_line(out: Console, logged: FoundLine) -> None:
    """Print a log line with the attempt that logged it."""
    about = f"change {logged.change_id}, {_hook(logged)}, attempt {logged.attempt}: "
    out.print(Text.assemble((f"{local(logged.time)} ", ASIDE), one_line(about), _logged(logged, 4)))


def _next(result: Result) -> str:
    if result.dead:
        return "dead"
    return "-" if result.next_attempt_at is None else local(result.next_attempt_at)


def _name(result: Result) -> str:
    return f"{result.hook or ''} (deleted)".lstrip() if result.hook_deleted else str(result.hook)


def _hook(of: Result | FoundLine) -> str:
    if of.hook is None:
        return "a deleted hook"
    return f'{"deleted hook" if of.hook_deleted else "hook"} "{of.hook}"'


def log_line(entry: LogLine) -> str:
    """Render an indented log line without its time: ``info: device 1: renamed``."""
    return f"    {_logged(entry, 6).plain}"


def _facts(result: ResultWithWrites) -> Iterator[tuple[str, str]]:
    yield "started", result.started_at.isoformat(" ", "milliseconds")
    yield "finished", result.finished_at.isoformat(" ", "milliseconds")
    if result.version is not None:
        yield "version", f"{result.version} of {result.package}" if result.package else result.version
    if result.error is not None:
        yield "error", result.error
    if result.dead:
        hook = shlex.quote(result.hook or "")
        yield "next", f"none: the delivery is dead. Try: jobhooks delivery retry {result.change_id} --hook {hook}"
    elif result.next_attempt_at is not None:
        yield "next", f"not before {result.next_attempt_at.isoformat(' ', 'milliseconds')}"
    if result.log_levels:
        yield "log", levels(result.log_levels)
    if result.value != msgspec.Raw(b"null"):
        yield "value", bytes(result.value).decode()


def _logged(entry: LogLine, indent: int) -> Text:
    about = "" if entry.object is None else f"{entry.object}: "
    origin = "".join(f" [{label}]" for label in (entry.source, entry.grouping) if label)
    about = one_line(f"{origin}: {about}")
    return Text.assemble((entry.level, LEVEL_STYLES[entry.level]), about, indented(entry.message, indent))
