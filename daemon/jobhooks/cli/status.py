"""``jobhooks status``: how things stand, on one screen, once or again and again."""

import contextlib
import sys
import time
from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass
from typing import Annotated

import msgspec
import typer
from rich.console import RenderableType
from rich.live import Live
from rich.text import Text

from jobhooks.cli.options import ConfigFlag, DatabaseFlag, JsonFlag
from jobhooks.cli.show.output import console, print_json, print_json_line, wait_for_reader_to_leave
from jobhooks.cli.show.status import Problems, lines, on_terminal
from jobhooks.errors import DatabaseUnreachable
from jobhooks.operations.doctor import problems
from jobhooks.operations.opening import connection
from jobhooks.operations.status import Status, status as current_status
from jobhooks.runtime.settings import Settings, load
from jobhooks.runtime.version import PROGRAM_VERSION
from jobhooks.store.connections import SyncConnection

TOLD_PROBLEMS = 5
PROBLEMS_AGE_S = 30.0  # for which what the doctor found is good enough while we watch: it looks far


@dataclass(frozen=True)
class _Report:
    """What is told: how things stand, what is wrong, and the settings that say what should be."""

    version: str
    status: Status
    problems: Problems
    retention_days: float


def add_to(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(status)


def status(
    watch: Annotated[bool, typer.Option("--watch", help="Look again and again, until Ctrl-C.")] = False,
    interval: Annotated[
        float, typer.Option(help="Seconds between two looks of --watch.", min=0.1, max=3600, metavar="SECONDS")
    ] = 2.0,
    as_json: JsonFlag = False,
    database_url: DatabaseFlag = None,
    config: ConfigFlag = None,
) -> None:
    """Tell how things stand: who leads, how far behind it is, what is owed, the last hour, the log, what is wrong.

    It reads only, and little: a member of jobhooks_viewer can run it beside anything. Exits with 0 if a daemon leads,
    else with 1.

    Example: jobhooks status

    Example: jobhooks status --watch --interval 5

    Example: jobhooks status --json | jq .unread.oldest_age_s
    """
    chosen = load(config, database_url=database_url)
    if watch:
        _watch(chosen, interval, as_json=as_json)
    with connection(chosen) as conn:
        report = _report(conn, chosen, _problems(conn, chosen))
    if as_json:
        print_json(_as_json(report))
    else:
        _print(report)
    if report.status.leader is None:
        raise typer.Exit(1)


def _watch(chosen: Settings, interval_s: float, *, as_json: bool) -> None:
    with _teller(as_json=as_json) as tell:
        for look in _looks(chosen):
            tell(look)
            wait_for_reader_to_leave(interval_s)


def _looks(chosen: Settings) -> Iterator[_Report | str]:
    """Yield how things stand now, or why nobody can tell: once it was reached, a database that goes away is awaited."""
    reached = False
    while True:
        try:
            with connection(chosen) as conn:
                found, found_at = _problems(conn, chosen), time.monotonic()
                while True:
                    if time.monotonic() - found_at > PROBLEMS_AGE_S:
                        found, found_at = _problems(conn, chosen), time.monotonic()
                    yield _report(conn, chosen, found)
                    reached = True
        except DatabaseUnreachable as exc:
            if not reached:
                raise
            yield str(exc)


def _problems(conn: SyncConnection, chosen: Settings) -> Problems:
    found = problems(conn, chosen.retention_days)
    counts = {severity: sum(problem.severity == severity for problem in found) for severity in Problems.SEVERITIES}
    return Problems(**counts, first=found[:TOLD_PROBLEMS])


def _report(conn: SyncConnection, chosen: Settings, found: Problems) -> _Report:
    return _Report(PROGRAM_VERSION, current_status(conn), found, chosen.retention_days)


def _as_json(report: _Report) -> dict[str, object]:
    told = {"version": report.version, **msgspec.to_builtins(report.status), "problems": report.problems}
    return {**told, "retention_days": report.retention_days}


def _lines(look: _Report | str) -> list[tuple[str, Text]]:
    if isinstance(look, str):
        return [("jobhooks", Text(f"{look}; trying again", "bold red"))]
    return list(lines(look.version, look.status, look.problems, look.retention_days))


def _print(look: _Report | str) -> None:
    out = console()
    if sys.stdout.isatty():
        out.print(on_terminal(_lines(look)), soft_wrap=False)
        return
    for label, value in _lines(look):
        out.print(Text.assemble(f"{label:10} ", value))


@contextlib.contextmanager
def _teller(*, as_json: bool) -> Generator[Callable[[_Report | str], None]]:
    """Yield what tells of a look: in the place of the one before on a terminal, else below it."""
    if as_json:
        yield lambda look: print_json_line({"error": look} if isinstance(look, str) else _as_json(look))
    elif sys.stdout.isatty():
        with Live(console=console(), auto_refresh=False) as live:

            def show(screen: RenderableType) -> None:
                live.update(screen, refresh=True)

            yield lambda look: show(on_terminal(_lines(look)))
    else:

        def add(look: _Report | str) -> None:
            _print(look)
            print(flush=True)  # noqa: T201 - between two looks

        yield add
