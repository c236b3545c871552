"""Showing who changed hooks and jobs."""

from collections.abc import Sequence
from typing import Annotated

import typer
from rich.console import Console
from rich.text import Text

from jobhooks.cli.show.change_diff import ACTION_STYLES
from jobhooks.cli.show.output import console, print_json, printable
from jobhooks.cli.show.settings import in_words
from jobhooks.matching.hook_settings import shown_name
from jobhooks.operations.configuration.history import ConfigurationChange, Kind, history
from jobhooks.operations.configuration.hook_file import shown_value
from jobhooks.operations.opening import connection
from jobhooks.runtime.settings import Settings

LimitFlag = Annotated[int, typer.Option("--limit", min=0, metavar="N", help="At most this number, of the newest.")]


def print_history(chosen: Settings, kind: Kind, name: str | None, limit: int, *, as_json: bool) -> None:
    """Print the changes of all hooks or jobs, or of one; the newest last.

    Raises:
        UnknownHook, UnknownJob: there never was one of that name.
    """
    with connection(chosen) as conn:
        found = history(conn, kind, name, limit)
    if as_json:
        print_json(found)
    else:
        _print_changes(console(), kind, found)


def _print_changes(out: Console, kind: Kind, changes: Sequence[ConfigurationChange]) -> None:
    for change in changes:
        moment = change.time.isoformat(" ", "seconds")
        called = f'hook "{change.name}"' if kind is Kind.HOOK else f"job {change.name}"
        action = (change.action, ACTION_STYLES[change.action])
        out.print(Text.assemble(f"{moment} {printable(change.user)}: ", action, printable(f" {called}")))
        if change.before is not None and change.after is not None:
            for setting, value in change.after.items():
                if (former := change.before.get(setting)) != value:
                    out.print(Text(f"    {_difference(kind, setting, former, value)}"))


def _difference(kind: Kind, setting: str, former: object, value: object) -> str:
    """A changed setting, as a plan and the command that changed it show it."""
    if kind is Kind.HOOK:
        former, value, setting = shown_value(setting, former), shown_value(setting, value), shown_name(setting)
    return f"{setting}: {in_words(former)} -> {in_words(value)}"
