"""``jobhooks table``: which tables are watched."""

from typing import Annotated

import typer

from jobhooks.cli.options import ConfigFlag, DatabaseFlag, JsonFlag, connection
from jobhooks.cli.output import print_records, say
from jobhooks.service.settings import load
from jobhooks.store import catalogue

TableArgument = Annotated[str, typer.Argument(help="schema.table", metavar="TABLE")]


def add_to(app: typer.Typer) -> None:
    """Add the group."""
    group = typer.Typer(no_args_is_help=True, help="Watched tables.")
    group.command("watch")(watch)
    group.command("unwatch")(unwatch)
    group.command("list")(list_tables)
    app.add_typer(group, name="table")


def watch(
    table: TableArgument,
    key: Annotated[
        list[str] | None, typer.Option(help="A column that identifies a row; by default the primary key. Repeatable.")
    ] = None,
    keyless: Annotated[bool, typer.Option("--keyless", help="Watch a table whose rows nothing identifies.")] = False,
    always: Annotated[
        bool, typer.Option("--always", help="Capture rows that logical replication applies, too.")
    ] = False,
    database_url: DatabaseFlag = None,
    config: ConfigFlag = None,
) -> None:
    """Watch a table: its changes are recorded from now on.

    Example: jobhooks table watch public.device
    """
    with connection(load(config, database_url=database_url)) as conn:
        catalogue.watch(conn, table, key or None, keyless=keyless, always=always)
        say(f"watching {table}")


def unwatch(table: TableArgument, database_url: DatabaseFlag = None, config: ConfigFlag = None) -> None:
    """Stop watching a table; what was recorded stays, and is still delivered.

    Example: jobhooks table unwatch public.device
    """
    with connection(load(config, database_url=database_url)) as conn:
        catalogue.unwatch(conn, table)
        say(f"not watching {table} any more")


def list_tables(as_json: JsonFlag = False, database_url: DatabaseFlag = None, config: ConfigFlag = None) -> None:
    """List the watched tables, and those that were."""
    with connection(load(config, database_url=database_url)) as conn:
        print_records(catalogue.WatchedTable, catalogue.watched_tables(conn), as_json=as_json)
