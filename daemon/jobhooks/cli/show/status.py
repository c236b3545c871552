"""What ``jobhooks status`` shows to a person, line by line."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import ClassVar

from rich.cells import cell_len
from rich.table import Table
from rich.text import Text

from jobhooks.cli.doctor import STYLES
from jobhooks.cli.show.confirm import number
from jobhooks.cli.show.deliveries import duration
from jobhooks.cli.show.output import local, one_line, printable
from jobhooks.operations.doctor import Problem
from jobhooks.operations.status import COUNTED_RESULTS, DaemonSession, HookDebts, LastHour, Leader, Status

TOLD_HOOKS = 8
NAME_WIDTH = 32  # characters of a hook's name
UNITS = ((10**12, "TB"), (10**9, "GB"), (10**6, "MB"), (10**3, "kB"))


@dataclass(frozen=True)
class Problems:
    """What the doctor found: how many of each severity, and the first of them."""

    SEVERITIES: ClassVar[tuple[str, ...]] = ("error", "warning", "note")
    error: int
    warning: int
    note: int
    first: list[Problem]


def lines(version: str, status: Status, problems: Problems, retention_days: float) -> Iterator[tuple[str, Text]]:
    """Yield what there is to say, each with the label that stands before it, or none."""
    where = f"{status.database}, PostgreSQL {status.server_version} at {status.host}, as {status.role}"
    yield "jobhooks", Text.assemble((version, "bold"), one_line(f" in {where}; {local(status.time)}"))
    yield from _daemons(status.leader, status.standbys)
    yield "behind", _unread(status)
    yield from _backlog(status)
    yield from _last_hour(status.last_hour)
    yield from _log(status, retention_days)
    yield from _problems(problems)


def on_terminal(told: Sequence[tuple[str, Text]]) -> Table:
    """Return the lines as fit a terminal: what is too long goes on below, beside its label."""
    table = Table.grid(padding=(0, 1))
    table.add_column(no_wrap=True, style="dim")
    table.add_column(overflow="fold")
    for label, value in told:
        table.add_row(label, value)
    return table


def size(number_of_bytes: int) -> str:
    """Return a size as a person reads it: ``812 kB``, ``1.2 GB``."""
    for unit, name in UNITS:
        if number_of_bytes >= unit:
            count = number_of_bytes / unit
            return f"{count:.1f} {name}" if count < 10 else f"{count:.0f} {name}"
    return f"{number_of_bytes} bytes"


def _daemons(leader: Leader | None, standbys: list[DaemonSession]) -> Iterator[tuple[str, Text]]:
    if leader is None:
        yield "daemon", Text("none leads: nothing is delivered; see jobhooks run, or its service", "bold red")
    else:
        since = "" if leader.leads_since is None else f" since {local(leader.leads_since)}"
        state = "asleep: writers wake it" if leader.asleep else "awake"
        yield "daemon", Text.assemble(("leads", "green"), one_line(f"{since}, {state}; {_session(leader)}"))
    for standby in standbys:
        yield "", Text(one_line(f"stands by: {_session(standby)}"))


def _session(daemon: DaemonSession) -> str:
    name = f' "{daemon.application_name}"' if daemon.client is not None else ""
    client = "" if daemon.client is None else f" from {daemon.client}"
    return f"session {daemon.pid}{name} of {daemon.role or 'a role that is gone'}{client}"


def _unread(status: Status) -> Text:
    unread = status.unread
    if not unread.changes:
        return Text("0 changes unread")
    age = "" if unread.oldest_age_s is None else f", the oldest for {_age(unread.oldest_age_s)}"
    return Text(f"about {number(unread.changes, 'change', 'changes')} unread{age}", "yellow")


def _backlog(status: Status) -> Iterator[tuple[str, Text]]:
    if not status.debts:
        yield "owed", Text("nothing")
        return
    names = [_name(debt) for debt in status.debts[:TOLD_HOOKS]]
    width = max(map(cell_len, names))
    heading = f"{'':{width}} {'waiting':>9} {'blocked':>9} {'dead':>9}  oldest due"
    yield "owed", Text(heading, "dim")
    for name, debt in zip(names, status.debts, strict=False):
        counts = f" {debt.waiting:9} {debt.blocked:9} "
        dead = (f"{debt.dead:9}", "bold red" if debt.dead else "")
        padding = " " * (width - cell_len(name))
        yield "", Text.assemble(name, padding, counts, dead, f"  {_due(debt)}")
    if len(status.debts) > TOLD_HOOKS:
        more = number(len(status.debts) - TOLD_HOOKS, "more hook", "more hooks")
        yield "", Text(f"and to {more}", "dim")
    if not status.debts_are_all:
        yield "", Text("and more: not all were counted", "yellow")


def _name(debt: HookDebts) -> str:
    name = "(gone)" if debt.hook is None else one_line(debt.hook)
    return name if len(name) <= NAME_WIDTH else name[: NAME_WIDTH - 3] + "..."


def _due(debt: HookDebts) -> str:
    left_s = debt.oldest_due_in_s
    if left_s is None:
        return "-"
    if left_s < 0:
        return f"{_age(-left_s)} late"
    return f"in {duration(left_s)}" if left_s >= 1 else "now"


def _last_hour(hour: LastHour) -> Iterator[tuple[str, Text]]:
    if not hour.results:
        yield "last hour", Text("no results")
        return
    failed = (f"{hour.failure} failure", "red" if hour.failure else "")
    told = f"{number(hour.results, 'result', 'results')}: {hour.success} success, "
    yield "last hour", Text.assemble(told, failed, f", {hour.discarded} discarded")
    counted = f" since {local(hour.since)}, when the newest begin" if hour.results >= COUNTED_RESULTS else ""
    yield "", Text(f"{hour.per_second:g}/s{counted}; in the last minute {hour.per_second_in_the_last_minute:g}/s")
    if hour.median_delay_s is not None and hour.p95_delay_s is not None:
        median, p95 = _delay(hour.median_delay_s), _delay(hour.p95_delay_s)
        yield "", Text(f"from change to success: half within {median}, 95% within {p95}")


def _log(status: Status, retention_days: float) -> Iterator[tuple[str, Text]]:
    log = status.log
    since = "" if log.oldest_at is None else f" since {local(log.oldest_at)}"
    segments = number(log.segments, "segment", "segments")
    told = f"{size(log.log_bytes)} in {segments}: about {number(log.changes, 'change', 'changes')}{since}"
    yield "log", Text(f"{told}; results {size(log.results_bytes)}; kept for {retention_days:g} days")


def _problems(problems: Problems) -> Iterator[tuple[str, Text]]:
    counts = [(severity, getattr(problems, severity)) for severity in Problems.SEVERITIES]
    told = ", ".join(number(count, severity, f"{severity}s") for severity, count in counts if count)
    if not told:
        yield "problems", Text("none")
        return
    yield "problems", Text(f"{told}; jobhooks doctor tells all")
    for problem in problems.first:
        what = printable(f": {problem.subject}: {problem.problem}")
        yield "", Text.assemble((problem.severity, STYLES[problem.severity]), what)
        yield "", Text(printable(f"  Try: {problem.remedy}"))


def _age(seconds: float) -> str:
    return f"{max(seconds, 0):.1f}s" if seconds < 10 else duration(seconds)


def _delay(seconds: float) -> str:
    return f"{max(seconds, 0) * 1000:.0f} ms" if seconds < 1 else _age(seconds)
