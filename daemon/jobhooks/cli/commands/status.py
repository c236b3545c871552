"""``jobhooks status``: shows health on one screen, once or again and again."""

import contextlib
import sys
from collections.abc import Callable, Generator
from typing import Annotated

import typer
from rich.console import RenderableType
from rich.live import Live
from rich.text import Text

from jobhooks.cli.options import ConfigFlag, DatabaseFlag, JsonFlag
from jobhooks.cli.show.output import console, print_json, print_json_line, wait_for_reader_to_leave
from jobhooks.cli.show.status import lines, on_terminal
from jobhooks.errors import DatabaseUnreachable
from jobhooks.operations.opening import connection
from jobhooks.operations.status import Status, status as current_status, watch as watch_status
from jobhooks.runtime.settings import Settings, load

Look = Status | DatabaseUnreachable


def add_to(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(status)


def status(
    watch: Annotated[bool, typer.Option("--watch", help="Refresh until Ctrl-C.")] = False,
    interval: Annotated[
        float, typer.Option(help="Seconds between two refreshes of --watch.", min=0.1, max=3600, metavar="SECONDS")
    ] = 2.0,
    as_json: JsonFlag = False,
    database_url: DatabaseFlag = None,
    config: ConfigFlag = None,
) -> None:
    """Show the daemon that leads, unread changes, pending deliveries, the last hour, the log and problems.

    The command only reads, and little: a member of jobhooks_viewer can run it at any time. It exits with 0 if a daemon
    leads and responds, otherwise with 1.

    Example: jobhooks status

    Example: jobhooks status --watch --interval 5

    Example: jobhooks status --json | jq .unread.oldest_age_s
    """
    settings = load(config, database_url=database_url)
    if watch:
        _watch(settings, interval, as_json=as_json)
    with connection(settings) as conn:
        look = current_status(conn, settings)
    if as_json:
        print_json(look)
    else:
        _print(look)
    if not look.is_delivering:
        raise typer.Exit(1)


def _watch(settings: Settings, interval_s: float, *, as_json: bool) -> None:
    with _printer(as_json=as_json) as show:
        for look in watch_status(settings):
            show(look)
            wait_for_reader_to_leave(interval_s)


def _lines(look: Look, width: int | None = None) -> list[tuple[str, Text]]:
    if isinstance(look, DatabaseUnreachable):
        return [("jobhooks", Text(f"{look}; trying again", "bold red"))]
    return list(lines(look, width))


def _print(look: Look) -> None:
    out = console()
    if sys.stdout.isatty():
        out.print(on_terminal(_lines(look, out.width)), soft_wrap=False)
        return
    for label, value in _lines(look):
        out.print(Text.assemble(f"{label:10} ", value))


def _print_json_line(look: Look) -> None:
    print_json_line({"error": str(look)} if isinstance(look, DatabaseUnreachable) else look)


@contextlib.contextmanager
def _printer(*, as_json: bool) -> Generator[Callable[[Look], None]]:
    """Yield a function that prints a status: over the one before on a terminal, otherwise below it."""
    if as_json:
        yield _print_json_line
    elif sys.stdout.isatty():
        out = console()
        with Live(console=out, auto_refresh=False) as live:

            def show(screen: RenderableType) -> None:
                live.update(screen, refresh=True)

            yield lambda look: show(on_terminal(_lines(look, out.width)))
    else:

        def add(look: Look) -> None:
            _print(look)
            print(flush=True)  # noqa: T201 - between two looks

        yield add
