"""``jobhooks table``: lists, shows and explains watched tables; its other commands are beside it."""

from collections.abc import Iterator
from typing import cast

import msgspec
import typer
from rich.text import Text

from jobhooks.cli.commands.tables import watch
from jobhooks.cli.commands.tables.watch import TableArgument
from jobhooks.cli.options import ConfigFlag, DatabaseFlag, JsonFlag
from jobhooks.cli.show.output import console, print_json, print_records, printable
from jobhooks.cli.show.problems import print_problems
from jobhooks.cli.show.table_explanation import print_explanation
from jobhooks.operations import tables
from jobhooks.operations.doctor import problems
from jobhooks.operations.opening import connection
from jobhooks.operations.table_explain import explain_table
from jobhooks.runtime.settings import load

LASTVAL = {True: "stays as it was after each recorded row", False: "does not stay as it was after a recorded row"}


def add_to(app: typer.Typer) -> None:
    """Add the group."""
    group = typer.Typer(no_args_is_help=True, help="Watched tables.")
    watch.add_to(group)
    group.command("list")(list_tables)
    group.command("show")(show)
    group.command("explain")(explain)
    app.add_typer(group, name="table")


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
    for parent in details.parents:
        yield "parent", f"{parent}: its hooks get the changes of this table as updates"
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
