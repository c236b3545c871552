"""Renders a status, line by line."""

from collections.abc import Iterator, Sequence

from rich.cells import cell_len
from rich.table import Table
from rich.text import Text

from jobhooks.cli.show.confirm import number
from jobhooks.cli.show.output import local, one_line, printable
from jobhooks.cli.show.problems import STYLES, counted
from jobhooks.cli.show.waits import duration, until
from jobhooks.operations.doctor import Problem
from jobhooks.operations.status import (
    COUNTED_RESULTS,
    DaemonSession,
    HeldUp,
    HookBacklog,
    LaggingHook,
    LastHour,
    Leader,
    Status,
    Unread,
)

SHOWN_HOOKS = 8
SHOWN_PROBLEMS = 5
RARE_STATES = ("running", "interrupted", "retrying", "paused")  # columns that are left out if nothing is in them
STATES = ("waiting", "blocked", "dead")
LABEL_WIDTH = 11  # of on_terminal
NAME_WIDTH = 32  # characters of a hook's name
UNITS = ((10**12, "TB"), (10**9, "GB"), (10**6, "MB"), (10**3, "kB"))


def lines(status: Status, width: int | None = None) -> Iterator[tuple[str, Text]]:
    """Yield each line with the label that precedes it, which may be empty; for a terminal of ``width`` characters."""
    where = f"{status.database}, PostgreSQL {status.server_version} at {status.host}, as {status.role}"
    yield "jobhooks", Text.assemble((status.version, "bold"), one_line(f" in {where}; {local(status.time)}"))
    yield from _daemons(status)
    yield "behind", _unread(status.unread)
    yield from _lagging(status.lagging_hooks)
    yield from _backlog(status, width)
    for held in status.held_up[:SHOWN_HOOKS]:
        yield "", Text(held_up_line(held), "bold red")
    yield from _last_hour(status.last_hour)
    yield from _log(status)
    yield from _problems(status.problems)


def on_terminal(labelled: Sequence[tuple[str, Text]]) -> Table:
    """Lay lines out for a terminal: a long one continues below, beside its label."""
    table = Table.grid(padding=(0, 1))
    table.add_column(no_wrap=True, style="dim")
    table.add_column(overflow="fold")
    for label, value in labelled:
        table.add_row(label, value)
    return table


def size(number_of_bytes: int) -> str:
    """Render a size: ``812 kB``, ``1.2 GB``."""
    for unit, name in UNITS:
        if number_of_bytes >= unit:
            count = number_of_bytes / unit
            return f"{count:.1f} {name}" if count < 10 else f"{count:.0f} {name}"
    return f"{number_of_bytes} bytes"


def _daemons(status: Status) -> Iterator[tuple[str, Text]]:
    if (leader := status.leader) is not None:
        since = "" if leader.leads_since is None else f" since {local(leader.leads_since)}"
        if leader.responds:
            state = "asleep: writers wake it" if leader.asleep else "awake"
            yield "daemon", Text.assemble(("leads", "green"), one_line(f"{since}, {state}; {_session(leader)}"))
        else:
            yield "daemon", Text(one_line(f"does not respond{_silence(leader)}: nothing is delivered"), "bold red")
            yield "", Text(one_line(f"it leads{since}; {_session(leader)}"))
    else:
        yield "daemon", Text("no daemon leads: nothing is delivered", "bold red")
        yield "", Text("Try: jobhooks run, or start its service")
    for standby in status.standbys:
        yield "", Text(one_line(f"stands by: {_session(standby)}"))


def _silence(leader: Leader) -> str:
    return "" if leader.silent_for_s is None else f", silent for {_age(leader.silent_for_s)}"


def _session(daemon: DaemonSession) -> str:
    name = f' "{daemon.application_name}"' if daemon.client is not None else ""
    client = "" if daemon.client is None else f" from {daemon.client}"
    return f"session {daemon.pid}{name} of {daemon.role or 'a dropped role'}{client}"


def _unread(unread: Unread) -> Text:
    if not unread.changes:
        return Text("0 changes unread")
    age = "" if unread.oldest_age_s is None else f", the oldest for {_age(unread.oldest_age_s)}"
    return Text(f"about {number(unread.changes, 'change', 'changes')} unread{age}", "yellow")


def _lagging(hooks: list[LaggingHook]) -> Iterator[tuple[str, Text]]:
    for hook in hooks[:SHOWN_HOOKS]:
        age = "" if hook.oldest_age_s is None else f", the oldest for {_age(hook.oldest_age_s)}"
        behind = f"about {number(hook.changes, 'change', 'changes')} of its tables unread{age}"
        held = f"; holds {size(hook.held_bytes)} of the log" if hook.held_changes else ""
        name = one_line(f'hook "{_shortened(hook.hook)}"{_state(hook)}: ')
        yield "", Text.assemble(name, (behind if hook.changes else "0 changes unread", "yellow"), held)
    if len(hooks) > SHOWN_HOOKS:
        yield "", Text(f"and {number(len(hooks) - SHOWN_HOOKS, 'more hook', 'more hooks')} read alone", "dim")


def _state(hook: LaggingHook) -> str:
    if hook.paused:
        return ", paused"
    return "" if hook.next_at is None else f", at its rate until {hook.next_at.astimezone():%H:%M:%S}"


def _backlog(status: Status, width: int | None) -> Iterator[tuple[str, Text]]:
    backlogs = status.deliveries
    if not backlogs:
        yield "pending", Text("nothing")
        return
    states = [each for each in RARE_STATES if any(getattr(backlog, each) for backlog in backlogs)]
    table = list(_table(backlogs[:SHOWN_HOOKS], [*states, *STATES]))
    if width is not None and max(line.cell_len for line in table) > width - LABEL_WIDTH:
        table = [_sentence(backlog) for backlog in backlogs[:SHOWN_HOOKS]]
    yield from zip(["pending", *[""] * len(table)], table, strict=False)
    if len(backlogs) > SHOWN_HOOKS:
        more = number(len(backlogs) - SHOWN_HOOKS, "more hook", "more hooks")
        yield "", Text(f"and for {more}", "dim")
    if not status.deliveries_complete:
        yield "", Text("and more: not all were counted", "yellow")


def _table(backlogs: Sequence[HookBacklog], states: Sequence[str]) -> Iterator[Text]:
    names = [_name(backlog) for backlog in backlogs]
    width = max(map(cell_len, names))
    headings = "".join(f"{state:>{_width(state)}}" for state in states)
    yield Text(f"{'':{width}} {headings}  oldest due", "dim")
    for name, backlog in zip(names, backlogs, strict=True):
        counts = [_count(backlog, state) for state in states]
        padding = " " * (width - cell_len(name) + 1)
        yield Text.assemble(name, padding, *counts, f"  {_due(backlog)}")


def _sentence(backlog: HookBacklog) -> Text:
    """The same for a terminal that is too narrow for a table, without the states that no delivery is in."""
    counts = [(state, getattr(backlog, state)) for state in (*RARE_STATES, *STATES)]
    parts = [(f"{count} {state}", "bold red" if state == "dead" else "") for state, count in counts if count]
    text = Text(f"{_name(backlog)}: ").append(Text(", ").join(Text(*part) for part in parts))
    return text if (due := _due(backlog)) == "-" else text.append(f"; oldest due: {due}")


def _width(state: str) -> int:
    return max(len(state), 5) + 2


def _count(backlog: HookBacklog, state: str) -> tuple[str, str]:
    count = getattr(backlog, state)
    return f"{count:{_width(state)}}", "bold red" if count and state == "dead" else ""


def held_up_line(held: HeldUp) -> str:
    """Print the deliveries that wait behind a hook's dead ones, and the remedy."""
    dead = number(held.dead, "dead delivery", "dead deliveries")
    them = "it" if held.dead == 1 else "them"
    behind = f"nothing waits behind {them}"
    if held.held_up:
        objects = number(held.held_up_objects, "object", "objects")
        behind = f"{number(held.held_up, 'delivery', 'deliveries')} of {objects} blocked behind {them}"
    name = "a deleted hook" if held.hook is None else f'hook "{held.hook}"'
    option = "" if held.hook is None else " --hook '" + held.hook.replace("'", "'\\''") + "'"
    return one_line(f"{name}: {dead}, {behind}. Try: jobhooks delivery list --state dead{option}")


def _name(backlog: HookBacklog) -> str:
    return "(gone)" if backlog.hook is None else _shortened(one_line(backlog.hook))


def _shortened(name: str) -> str:
    return name if len(name) <= NAME_WIDTH else name[: NAME_WIDTH - 3] + "..."


def _due(backlog: HookBacklog) -> str:
    left_s = backlog.oldest_due_in_s
    if left_s is not None and left_s < 0:
        return f"{_age(-left_s)} late"
    return until(left_s, backlog.waits_for)


def _last_hour(hour: LastHour) -> Iterator[tuple[str, Text]]:
    if not hour.results:
        yield "last hour", Text("no results")
        return
    failed = (f"{hour.failure} failure", "red" if hour.failure else "")
    succeeded = f"{number(hour.results, 'result', 'results')}: {hour.success} success, "
    yield "last hour", Text.assemble(succeeded, failed, f", {hour.discarded} discarded")
    counted = f" since {local(hour.since)}, the first of those counted" if hour.results >= COUNTED_RESULTS else ""
    yield "", Text(f"{hour.per_second:g}/s{counted}; in the last minute {hour.per_second_in_the_last_minute:g}/s")
    if hour.median_delay_s is not None and hour.p95_delay_s is not None:
        median, p95 = _delay(hour.median_delay_s), _delay(hour.p95_delay_s)
        yield "", Text(f"from change to success: half within {median}, 95% within {p95}")


def _log(status: Status) -> Iterator[tuple[str, Text]]:
    log = status.log
    since = "" if log.oldest_at is None else f" since {local(log.oldest_at)}"
    segments = number(log.segments, "segment", "segments")
    sizes = f"{size(log.log_bytes)} in {segments}: about {number(log.changes, 'change', 'changes')}{since}"
    yield "log", Text(f"{sizes}; results {size(log.results_bytes)}; kept for {status.retention_days:g} days")


def _problems(problems: list[Problem]) -> Iterator[tuple[str, Text]]:
    if not problems:
        yield "problems", Text("none")
        return
    yield "problems", Text(f"{counted(problems)}. Try: jobhooks doctor")
    for problem in problems[:SHOWN_PROBLEMS]:
        what = printable(f": {problem.subject}: {problem.problem}")
        yield "", Text.assemble((problem.severity, STYLES[problem.severity]), what)
        yield "", Text(printable(f"Try: {problem.remedy}"))


def _age(seconds: float) -> str:
    return f"{max(seconds, 0):.1f}s" if seconds < 10 else duration(seconds)


def _delay(seconds: float) -> str:
    return f"{max(seconds, 0) * 1000:.0f} ms" if seconds < 1 else _age(seconds)
