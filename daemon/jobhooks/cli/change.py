"""``jobhooks change``: the log, listed, shown and followed."""

import contextlib
import datetime
import re
import sys
from typing import Annotated

import typer

from jobhooks.cli import completion
from jobhooks.cli.options import ConfigFlag, DatabaseFlag, JsonFlag
from jobhooks.cli.show.change_diff import Line, line, print_change, print_line
from jobhooks.cli.show.output import console, print_json, print_json_line, print_records, wait_for_reader_to_leave
from jobhooks.contract.choices import ObjectChangeActionChoices
from jobhooks.operations import changes
from jobhooks.operations.opening import connection
from jobhooks.runtime.settings import load
from jobhooks.store.connections import SyncConnection

TAIL_INTERVAL = 0.5  # seconds
UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}
DURATION = re.compile(r"(\d+(?:\.\d+)?)([smhdw])")

TableFlag = Annotated[
    list[str] | None,
    typer.Option(
        "--table",
        help="Of this table only, schema.table. Repeatable.",
        metavar="TABLE",
        autocompletion=completion.tables,
    ),
]
ActionFlag = Annotated[
    list[ObjectChangeActionChoices] | None,
    typer.Option("--action", help="Of this action only. Repeatable.", metavar="create|update|delete|truncate"),
]
UserFlag = Annotated[
    str | None,
    typer.Option("--user", metavar="NAME", help="By this user only, as the application said it, or else this role."),
]
LimitOption = typer.Option("--limit", min=0, metavar="N", help="At most so many, the newest.", show_default=True)


def add_to(app: typer.Typer) -> None:
    """Add the group."""
    group = typer.Typer(no_args_is_help=True, help="Object changes: what was captured.")
    group.command("list")(list_changes)
    group.command("show")(show)
    group.command("tail")(tail)
    app.add_typer(group, name="change")


def list_changes(  # noqa: PLR0913, RUF100 - the ways in which changes are looked for
    table: TableFlag = None,
    action: ActionFlag = None,
    since: Annotated[
        str | None, typer.Option(help="From then on: 90s, 15m, 2h, 7d ago, or a time.", metavar="DURATION|TIME")
    ] = None,
    until: Annotated[str | None, typer.Option(help="Before then.", metavar="DURATION|TIME")] = None,
    user: UserFlag = None,
    limit: Annotated[int, LimitOption] = 50,
    as_json: JsonFlag = False,
    database_url: DatabaseFlag = None,
    config: ConfigFlag = None,
) -> None:
    """List changes, the newest last.

    Example: jobhooks change list --table public.device --action update --since 2h

    Example: jobhooks change list --since "2026-03-01 08:00" --until 2026-03-02 --limit 1000 --json
    """
    with connection(load(config, database_url=database_url)) as conn:
        now = changes.server_time(conn)
        wanted = changes.Wanted(
            changes.content_types_called(conn, table or []),
            _values(action),
            user,
            parse_moment(since, now, "--since"),
            parse_moment(until, now, "--until"),
        )
        found = changes.newest_changes(conn, wanted, limit)
    if as_json:
        print_json(found)
    else:
        print_records(Line, [line(change) for change in found], as_json=False)


def show(
    change: Annotated[int, typer.Argument(help="The number of a change.", metavar="ID", max=changes.LAST_ID)],
    as_json: JsonFlag = False,
    database_url: DatabaseFlag = None,
    config: ConfigFlag = None,
) -> None:
    """Show a change: what it changed, who and what made it, and what it led to.

    Example: jobhooks change show 42
    """
    with connection(load(config, database_url=database_url)) as conn:
        shown = changes.change_by_id(conn, change)
    if as_json:
        print_json(shown)
    else:
        print_change(console(), shown)


def tail(
    table: TableFlag = None,
    action: ActionFlag = None,
    user: UserFlag = None,
    limit: Annotated[
        int, typer.Option("--limit", min=0, metavar="N", help="Begin with the newest N that there are.")
    ] = 0,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON, a change on each line, for programs.")] = False,
    database_url: DatabaseFlag = None,
    config: ConfigFlag = None,
) -> None:
    """Follow the log: print each change once it commits, until Ctrl-C.

    Example: jobhooks change tail --table public.device

    Example: jobhooks change tail --json | jq .added
    """
    with connection(load(config, database_url=database_url)) as conn:
        wanted = changes.Wanted(changes.content_types_called(conn, table or []), _values(action), user)
        _follow(conn, wanted, limit, as_json=as_json)


def _follow(conn: SyncConnection, wanted: changes.Wanted, limit: int, *, as_json: bool) -> None:
    follower = changes.Follower(conn, wanted)
    out = console()

    def tell(change: changes.ListedChange) -> None:
        if as_json:
            print_json_line(change)
        else:
            print_line(out, change)

    for change in changes.newest_changes(conn, wanted, limit, follower.seen):
        tell(change)
    while True:
        for change in follower.new_changes():
            tell(change)
        sys.stdout.flush()
        wait_for_reader_to_leave(TAIL_INTERVAL)


def parse_moment(text: str | None, now: datetime.datetime, option: str) -> datetime.datetime | None:
    """Return the time that ``text`` means: a duration before ``now``, or a time, of here where it names no zone."""
    if text is None:
        return None
    if match := DURATION.fullmatch(text.strip()):
        with contextlib.suppress(OverflowError):
            return now - datetime.timedelta(seconds=float(match[1]) * UNITS[match[2]])
    with contextlib.suppress(ValueError, OverflowError):
        return datetime.datetime.fromisoformat(text.strip()).astimezone()
    raise typer.BadParameter(
        f"{text!r} is neither a duration, such as 90s, 15m, 2h or 7d, nor a time, such as 2026-03-01T08:00",
        param_hint=option,
    )


def _values(actions: list[ObjectChangeActionChoices] | None) -> list[str] | None:
    return [action.value for action in actions] if actions else None
