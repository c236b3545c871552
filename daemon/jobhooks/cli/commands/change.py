"""``jobhooks change``: lists, shows and follows the log."""

from functools import partial
from typing import Annotated, NoReturn

import typer

from jobhooks.cli.filters import FollowFlag, SinceFlag, TablesFlag, UntilFlag, period, refuse_an_end
from jobhooks.cli.options import ConfigFlag, DatabaseFlag, JsonFlag
from jobhooks.cli.show.change_diff import Line, line, print_change, print_line
from jobhooks.cli.show.output import console, follow, print_json, print_json_line, print_records
from jobhooks.contract.choices import ObjectChangeActionChoices
from jobhooks.operations import changes
from jobhooks.operations.delivering.change_details import change_details
from jobhooks.operations.opening import connection
from jobhooks.runtime.settings import load
from jobhooks.store.connections import SyncConnection

ActionsFlag = Annotated[
    list[ObjectChangeActionChoices] | None,
    typer.Option("--action", help="Only changes of this action. Repeatable.", metavar="create|update|delete|truncate"),
]
UserFlag = Annotated[
    str | None,
    typer.Option("--user", metavar="NAME", help="Only changes by this user, as the application said, or this role."),
]
RequestFlag = Annotated[
    str | None,
    typer.Option("--request", metavar="ID", help="Only changes of this request, as the application said."),
]
TransactionFlag = Annotated[
    int | None,
    typer.Option(
        min=0, max=changes.LAST_ID, metavar="ID", help="Only changes of this transaction, as change show has it."
    ),
]


def add_to(app: typer.Typer) -> None:
    """Add the group."""
    group = typer.Typer(no_args_is_help=True, help="Object changes: the captured changes of rows.")
    group.command("list")(list_changes)
    group.command("show")(show)
    group.command("tail")(tail)
    app.add_typer(group, name="change")


def list_changes(  # noqa: PLR0913, RUF100 - one parameter for each filter
    table: TablesFlag = None,
    action: ActionsFlag = None,
    since: SinceFlag = None,
    until: UntilFlag = None,
    user: UserFlag = None,
    request: RequestFlag = None,
    transaction: TransactionFlag = None,
    limit: Annotated[int, typer.Option(min=0, metavar="N", help="At most this many, the newest.")] = 50,
    follow_: FollowFlag = False,
    as_json: JsonFlag = False,
    database_url: DatabaseFlag = None,
    config: ConfigFlag = None,
) -> None:
    """List changes, newest last. With --follow each goes on one line, and new ones come when they commit.

    Example: jobhooks change list --table public.device --action update --since 2h

    Example: jobhooks change list --since "2026-03-01 08:00" --until 2026-03-02 --limit 1000 --json
    """
    with connection(load(config, database_url=database_url)) as conn:
        times = period(conn, since, until)
        chosen = changes.ChangeFilter(table or (), _values(action), user, request, transaction, *times)
        if follow_:
            refuse_an_end(until)
            _follow(conn, chosen, limit, as_json=as_json)
        found = changes.newest_changes(conn, chosen, limit)
    if as_json:
        print_json(found)
    else:
        print_records(Line, [line(change) for change in found], as_json=False)


def show(
    change: Annotated[int, typer.Argument(help="The id of a change.", metavar="ID", max=changes.LAST_ID)],
    as_json: JsonFlag = False,
    database_url: DatabaseFlag = None,
    config: ConfigFlag = None,
) -> None:
    """Show a change: its columns, its user and origin, its results and its pending deliveries.

    Example: jobhooks change show 42
    """
    with connection(load(config, database_url=database_url)) as conn:
        details = change_details(conn, change)
    if as_json:
        print_json(details)
    else:
        print_change(console(), details)


def tail(
    table: TablesFlag = None,
    action: ActionsFlag = None,
    user: UserFlag = None,
    request: RequestFlag = None,
    limit: Annotated[
        int, typer.Option("--limit", min=0, metavar="N", help="Start with the newest N existing changes.")
    ] = 0,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON, one change per line, for programs.")] = False,
    database_url: DatabaseFlag = None,
    config: ConfigFlag = None,
) -> None:
    """Follow the log: print each change when it commits, until Ctrl-C.

    Example: jobhooks change tail --table public.device

    Example: jobhooks change tail --json | jq .added
    """
    with connection(load(config, database_url=database_url)) as conn:
        _follow(conn, changes.ChangeFilter(table or (), _values(action), user, request), limit, as_json=as_json)


def _follow(conn: SyncConnection, chosen: changes.ChangeFilter, limit: int, *, as_json: bool) -> NoReturn:
    follower = changes.Follower(conn, changes.ChangeFilter(chosen.tables, chosen.actions, chosen.user))
    first = changes.newest_changes(conn, chosen, limit, follower.seen)
    follow(first, follower.new_changes, print_json_line if as_json else partial(print_line, console()))


def _values(actions: list[ObjectChangeActionChoices] | None) -> list[str]:
    return [action.value for action in actions or ()]
