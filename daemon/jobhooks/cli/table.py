"""``jobhooks table``: which tables are watched."""

from collections.abc import Iterator
from typing import Annotated, cast

import msgspec
import typer
from rich.text import Text

from jobhooks.cli import completion
from jobhooks.cli.options import ConfigFlag, DatabaseFlag, JsonFlag
from jobhooks.cli.show.output import console, print_json, print_records, printable, say
from jobhooks.cli.show.problems import print_problems
from jobhooks.operations import tables
from jobhooks.operations.doctor import problems
from jobhooks.operations.opening import connection
from jobhooks.runtime.settings import load

TableArgument = Annotated[
    str,
    typer.Argument(help="A table, as schema.table.", metavar="TABLE", autocompletion=completion.tables),
]
WatchableArgument = Annotated[
    str,
    typer.Argument(help="A table, as schema.table.", metavar="TABLE", autocompletion=completion.watchable_tables),
]


def add_to(app: typer.Typer) -> None:
    """Add the group."""
    group = typer.Typer(no_args_is_help=True, help="Watched tables.")
    group.command("watch")(watch)
    group.command("unwatch")(unwatch)
    group.command("list")(list_tables)
    group.command("show")(show)
    app.add_typer(group, name="table")


def watch(
    table: WatchableArgument,
    key: Annotated[
        list[str] | None,
        typer.Option(help="A column that identifies a row; by default the primary key. Repeatable.", metavar="COLUMN"),
    ] = None,
    keyless: Annotated[bool, typer.Option("--keyless", help="Watch a table whose rows nothing identifies.")] = False,
    always: Annotated[
        bool, typer.Option("--always", help="Capture rows that logical replication applies, too.")
    ] = False,
    exclude: Annotated[
        list[str] | None,
        typer.Option(
            help="A column that is not recorded: a secret, or a large document. Repeatable.", metavar="COLUMN"
        ),
    ] = None,
    ignore: Annotated[
        list[str] | None,
        typer.Option(
            help="A column whose change alone is not recorded, such as last_seen. Repeatable.", metavar="COLUMN"
        ),
    ] = None,
    database_url: DatabaseFlag = None,
    config: ConfigFlag = None,
) -> None:
    """Watch a table: its changes are recorded from now on. Run again, it changes how it is watched.

    Example: jobhooks table watch public.device

    Example: jobhooks table watch public.user --exclude password --ignore last_seen --ignore login_count
    """
    with connection(load(config, database_url=database_url)) as conn:
        tables.watch(
            conn, table, key or None, keyless=keyless, always=always, exclude=exclude or (), ignore=ignore or ()
        )
        say(f"watching {table}")


def unwatch(table: TableArgument, database_url: DatabaseFlag = None, config: ConfigFlag = None) -> None:
    """Stop watching a table; what was recorded stays, and is still delivered.

    Example: jobhooks table unwatch public.device
    """
    with connection(load(config, database_url=database_url)) as conn:
        tables.unwatch(conn, table)
        say(f"not watching {table} any more")


def show(
    table: TableArgument, as_json: JsonFlag = False, database_url: DatabaseFlag = None, config: ConfigFlag = None
) -> None:
    """Show a watched table: how it is watched, its triggers, the hooks on it, its changes, and what is wrong with it.

    Example: jobhooks table show public.device
    """
    chosen = load(config, database_url=database_url)
    with connection(chosen) as conn:
        details = tables.table_details(conn, table)
        found = [problem for problem in problems(conn, chosen.retention_days) if problem.subject == details.name]
    if as_json:
        print_json({**cast("dict[str, object]", msgspec.to_builtins(details)), "problems": found})
        return
    out = console()
    for name, value in _facts(details):
        out.print(Text.assemble((f"{name:9} ", "dim"), printable(value)))
    print_problems(found)


def list_tables(as_json: JsonFlag = False, database_url: DatabaseFlag = None, config: ConfigFlag = None) -> None:
    """List the watched tables, and those that were.

    Example: jobhooks table list
    """
    with connection(load(config, database_url=database_url)) as conn:
        print_records(tables.WatchedTable, tables.watched_tables(conn), as_json=as_json)


def _facts(details: tables.TableDetails) -> Iterator[tuple[str, str]]:
    yield "table", f"{details.name} ({details.state})"
    yield "key", ", ".join(details.key) or "none: its changes are in order as a whole, and lead to no object"
    if details.always:
        yield "always", "what logical replication applies is recorded, too"
    if details.exclude:
        yield "exclude", ", ".join(details.exclude)
    if details.ignore:
        yield "ignore", ", ".join(details.ignore)
    for trigger in details.triggers:
        where = "" if trigger.table == details.name else f" on {trigger.table}"
        yield "trigger", f"{trigger.name}{where} ({trigger.state})"
    for hook in details.hooks:
        runs = "" if hook.runs else ", which does not run now"
        yield "hook", f'"{hook.name}" on {", ".join(hook.events)}: {hook.job}{runs}'
    among = f" among the newest {details.counted} of the log" if details.counted == tables.COUNTED_CHANGES else ""
    last = ""
    if details.last_change_at is not None:
        last = f"; the last is {details.last_change_id}, at {details.last_change_at.isoformat(' ', 'seconds')}"
    yield "changes", f"{details.changes}{among}{last}"
