"""``jobhooks table``: watches tables, and lists and shows watched ones."""

from collections.abc import Iterator
from typing import Annotated, cast

import msgspec
import typer
from rich.text import Text

from jobhooks.cli import completion
from jobhooks.cli.options import ConfigFlag, DatabaseFlag, JsonFlag
from jobhooks.cli.show.output import console, print_json, print_message, print_records, printable
from jobhooks.cli.show.problems import print_problems
from jobhooks.cli.show.publications import warn_of_publications
from jobhooks.cli.show.secrets import warn_of_secrets
from jobhooks.cli.show.table_explanation import print_explanation
from jobhooks.operations import tables
from jobhooks.operations.doctor import problems
from jobhooks.operations.opening import connection
from jobhooks.operations.table_explain import explain_table
from jobhooks.runtime.settings import load

TableArgument = Annotated[
    str,
    typer.Argument(help="A table, as schema.table.", metavar="TABLE", autocompletion=completion.tables),
]
WatchableArgument = Annotated[
    str,
    typer.Argument(help="A table, as schema.table.", metavar="TABLE", autocompletion=completion.watchable_tables),
]

LASTVAL = {True: "stays as it was after each recorded row", False: "does not stay as it was after a recorded row"}


def add_to(app: typer.Typer) -> None:
    """Add the group."""
    group = typer.Typer(no_args_is_help=True, help="Watched tables.")
    group.command("watch")(watch)
    group.command("unwatch")(unwatch)
    group.command("list")(list_tables)
    group.command("show")(show)
    group.command("explain")(explain)
    app.add_typer(group, name="table")


def watch(
    table: WatchableArgument,
    key: Annotated[
        list[str] | None,
        typer.Option(help="A column that identifies a row; by default the primary key. Repeatable.", metavar="COLUMN"),
    ] = None,
    keyless: Annotated[
        bool, typer.Option("--keyless", help="Watch a table without columns that identify a row.")
    ] = False,
    always: Annotated[
        bool, typer.Option("--always", help="Also capture rows that logical replication applies.")
    ] = False,
    exclude: Annotated[
        list[str] | None,
        typer.Option(
            help="A column to leave out of the log: a secret, or a large document. Repeatable.", metavar="COLUMN"
        ),
    ] = None,
    ignore: Annotated[
        list[str] | None,
        typer.Option(
            help="A column whose change alone is not recorded, such as last_seen. Repeatable.", metavar="COLUMN"
        ),
    ] = None,
    allow_casts: Annotated[
        bool,
        typer.Option(
            "--allow-casts", help="Watch a table although code of the owner of a type makes the JSON of a column."
        ),
    ] = False,
    keep_lastval: Annotated[
        bool | None,
        typer.Option(
            "--keep-lastval/--no-keep-lastval",
            help="Leave lastval() as it was after every row, or after none; by default after an INSERT into a table"
            " that a sequence fills.",
            show_default=False,
        ),
    ] = None,
    instead_of: Annotated[
        str | None,
        typer.Option(
            help="A watched table that this one replaced: it takes over its options and hooks.", metavar="TABLE"
        ),
    ] = None,
    as_json: JsonFlag = False,
    database_url: DatabaseFlag = None,
    config: ConfigFlag = None,
) -> None:
    """Watch a table: record its changes from now on. Run it again to change how the table is watched.

    Example: jobhooks table watch public.device

    Example: jobhooks table watch public.user --exclude password --ignore last_seen --ignore login_count
    """
    given = key or keyless or always or exclude or ignore or allow_casts or keep_lastval is not None
    if instead_of is not None and given:
        raise typer.BadParameter("--instead-of takes the options of the former table; change them afterwards")
    with connection(load(config, database_url=database_url)) as conn:
        if instead_of is not None:
            watched = tables.watch_instead(conn, table, instead_of)
        else:
            watched = tables.watch(
                conn,
                table,
                key or None,
                keyless=keyless,
                always=always,
                exclude=exclude or (),
                ignore=ignore or (),
                allow_casts=allow_casts,
                keep_lastval=keep_lastval,
            )
        warn_of_secrets(conn, table)
        warn_of_publications(conn)
    if as_json:
        print_json(watched)
    else:
        print_message(f"watching {watched.table}")


def unwatch(
    table: TableArgument, as_json: JsonFlag = False, database_url: DatabaseFlag = None, config: ConfigFlag = None
) -> None:
    """Stop watching a table. Its recorded changes stay, and are delivered.

    Example: jobhooks table unwatch public.device
    """
    with connection(load(config, database_url=database_url)) as conn:
        name = tables.unwatch(conn, table)
    if as_json:
        print_json({"table": name})
    else:
        print_message(f"no longer watching {name}")


def show(
    table: TableArgument, as_json: JsonFlag = False, database_url: DatabaseFlag = None, config: ConfigFlag = None
) -> None:
    """Show a watched table: how it is watched, its triggers, hooks, changes and problems.

    Example: jobhooks table show public.device
    """
    chosen = load(config, database_url=database_url)
    with connection(chosen) as conn:
        details = tables.table_details(conn, table)
        found = [problem for problem in problems(conn, chosen.retention_days) if problem.subject == details.table]
    if as_json:
        print_json({**cast("dict[str, object]", msgspec.to_builtins(details)), "problems": found})
        return
    out = console()
    for name, value in _facts(details):
        out.print(Text.assemble((f"{name:9} ", "dim"), printable(value)))
    print_problems(found)


def explain(
    table: TableArgument, as_json: JsonFlag = False, database_url: DatabaseFlag = None, config: ConfigFlag = None
) -> None:
    """Explain what watching does to a table: triggers, functions and their rights, locks, how to switch it off.

    Example: jobhooks table explain public.device
    """
    with connection(load(config, database_url=database_url)) as conn:
        explained = explain_table(conn, table)
    if as_json:
        print_json(explained)
    else:
        print_explanation(explained)


def list_tables(as_json: JsonFlag = False, database_url: DatabaseFlag = None, config: ConfigFlag = None) -> None:
    """List the tables that are or were watched.

    Example: jobhooks table list
    """
    with connection(load(config, database_url=database_url)) as conn:
        print_records(tables.WatchedTable, tables.watched_tables(conn), as_json=as_json)


def _facts(details: tables.TableDetails) -> Iterator[tuple[str, str]]:
    yield "table", f"{details.table} ({details.state})"
    yield "key", ", ".join(details.key) or "none: its changes are delivered in order as a whole, without objects"
    if details.always:
        yield "always", "rows that logical replication applies are recorded"
    if details.keep_lastval is not None:
        yield "lastval()", LASTVAL[details.keep_lastval]
    if details.exclude:
        yield "exclude", ", ".join(details.exclude)
    if details.ignore:
        yield "ignore", ", ".join(details.ignore)
    for trigger in details.triggers:
        where = "" if trigger.table == details.table else f" on {trigger.table}"
        yield "trigger", f"{trigger.name}{where} ({trigger.state})"
    for hook in details.hooks:
        if hook.why_not is None:
            runs = "" if hook.runs else " (does not run)"
        else:
            runs = f" ({'' if hook.runs else 'does not run: '}{hook.why_not})"
        yield "hook", f'"{hook.name}" on {", ".join(hook.events)}: {hook.job}{runs}'
    among = f" among the newest {details.counted} of the log" if details.counted == tables.COUNTED_CHANGES else ""
    last = ""
    if details.last_change_at is not None:
        last = f"; the last is {details.last_change_id}, at {details.last_change_at.isoformat(' ', 'seconds')}"
    yield "changes", f"{details.changes}{among}{last}"
