"""Options that choose changes, deliveries and results, shared by several commands."""

import contextlib
import datetime
from collections.abc import Generator
from typing import Annotated

import typer

from jobhooks.cli import completion
from jobhooks.errors import WrongUsage
from jobhooks.operations.changes import server_time
from jobhooks.operations.lookup.moments import parse_moment
from jobhooks.store.connections import SyncConnection

TablesFlag = Annotated[
    list[str] | None,
    typer.Option(
        "--table",
        help="Only changes of this table, schema.table. Repeatable.",
        metavar="TABLE",
        autocompletion=completion.tables,
    ),
]
HooksFlag = Annotated[
    list[str] | None,
    typer.Option("--hook", help="Only of this hook. Repeatable.", metavar="NAME", autocompletion=completion.hooks),
]
HookFlag = Annotated[
    str | None, typer.Option("--hook", help="Only of this hook.", metavar="NAME", autocompletion=completion.hooks)
]
SinceFlag = Annotated[
    str | None,
    typer.Option(
        "--since", help="Only changes from then on: 90s, 15m, 2h, 7d ago, or a time.", metavar="DURATION|TIME"
    ),
]
UntilFlag = Annotated[str | None, typer.Option("--until", help="Only changes before then.", metavar="DURATION|TIME")]
FollowFlag = Annotated[
    bool,
    typer.Option("--follow", help="Go on with new ones as they come, one per line, until Ctrl-C; also with --json."),
]
YesFlag = Annotated[bool, typer.Option("--yes", help="Do not ask for confirmation.")]


def period(
    conn: SyncConnection, since: str | None, until: str | None
) -> tuple[datetime.datetime | None, datetime.datetime | None]:
    """The times that --since and --until give, by the clock of the database server.

    Raises:
        typer.BadParameter: one of them is neither a duration nor a time.
    """
    now = server_time(conn)
    return _moment(since, now, "--since"), _moment(until, now, "--until")


def refuse_an_end(until: str | None) -> None:
    """Check that what is followed has no end.

    Raises:
        typer.BadParameter: it has.
    """
    if until is not None:
        raise typer.BadParameter("--follow goes on until Ctrl-C, and takes no --until")


@contextlib.contextmanager
def wrong_usage(option: str | None = None) -> Generator[None]:
    """Turn an operation's WrongUsage into a usage error of the command line, about ``option``.

    Raises:
        typer.BadParameter: the operation raised WrongUsage.
    """
    try:
        yield
    except WrongUsage as exc:
        raise typer.BadParameter(str(exc), param_hint=option) from exc


def _moment(text: str | None, now: datetime.datetime, option: str) -> datetime.datetime | None:
    if text is None:
        return None
    with wrong_usage(option):
        return parse_moment(text, now)
