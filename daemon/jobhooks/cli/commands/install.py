"""``jobhooks install``, ``uninstall`` and ``adopt``: run once for a database."""

import dataclasses
import sys
from enum import StrEnum
from typing import Annotated

import typer

from jobhooks.cli import completion
from jobhooks.cli.filters import YesFlag
from jobhooks.cli.options import ConfigFlag, DatabaseFlag, JsonFlag
from jobhooks.cli.show.adoption import if_copied, if_moved, print_owed
from jobhooks.cli.show.confirm import confirm
from jobhooks.cli.show.output import if_interrupted, print_json, print_message, print_text
from jobhooks.cli.show.problems import warn_of_publications, warn_of_secrets
from jobhooks.errors import Forbidden, JobhooksError, Refused, WrongUsage, with_remedy
from jobhooks.operations import adopting, tables
from jobhooks.operations.lookup.table_names import full_name
from jobhooks.operations.opening import connection
from jobhooks.runtime.settings import load
from jobhooks.runtime.version import PROGRAM_VERSION
from jobhooks.schema import uninstall as uninstalling
from jobhooks.schema.install import capture_is_confined, check_may_mark, check_roles, install as install_sql
from jobhooks.schema.script import installation_script
from jobhooks.store.connections import SyncConnection
from jobhooks.store.place import configured_place


class Choice(StrEnum):
    """What happened to the database."""

    MOVED = "moved"
    COPY = "copy"


def add_to(app: typer.Typer) -> None:
    """Add the commands."""
    app.command()(install)
    app.command()(uninstall)
    app.command()(adopt)


def install(
    watch: Annotated[
        list[str] | None,
        typer.Argument(
            help="Tables to watch, as schema.table.", metavar="TABLE", autocompletion=completion.watchable_tables
        ),
    ] = None,
    as_script: Annotated[
        bool, typer.Option("--print", help="Print the same as an SQL script for psql, and change nothing.")
    ] = False,
    trust_owner: Annotated[
        str | None,
        typer.Option(
            metavar="ROLE",
            help="As a superuser, run the code of this role, which owns the schema, and give the schema to"
            " jobhooks_owner.",
        ),
    ] = None,
    as_json: JsonFlag = False,
    database_url: DatabaseFlag = None,
    config: ConfigFlag = None,
) -> None:
    """Install the schema jobhooks in a database, or bring it up to date; can be run again at any time.

    Tables that are watched stay as they are; `jobhooks table watch` changes how a table is watched.

    Example: jobhooks install public.device public.site --database-url postgresql:///inventory

    Example: jobhooks install --print | psql -v ON_ERROR_STOP=1 inventory
    """
    if as_script:
        if watch:
            raise typer.BadParameter("the script only installs; to watch a table: select jobhooks.watch('TABLE')")
        print_text(installation_script())
        return
    chosen = load(config, database_url=database_url)
    with connection(chosen, installed=False, trusted_owner=trust_owner) as conn:
        check_roles(conn)
        # Before anything changes.
        names = [full_name(conn, table, command="jobhooks install") for table in watch or []]
        migrations = install_sql(conn)
        print_message(
            f"jobhooks {PROGRAM_VERSION} is installed in {conn.info.dbname}: {len(migrations)} migrations applied"
        )
        _warn_of_missing_rights(conn)
        warn_of_publications(conn)
        if count := tables.watch_outdated(conn, _warn_of_outdated_table):
            print_message(
                f"watching {count} {'table' if count == 1 else 'tables'} again, with the triggers of this version"
            )
        for table in names:
            is_new = tables.watch_as_before(conn, table)
            print_message(f"watching {table}" if is_new else f"{table} is watched already, and stays as it is")
            warn_of_secrets(conn, table)
        if as_json:
            print_json({"version": PROGRAM_VERSION, "database": conn.info.dbname, "migrations": migrations})


def uninstall(
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    as_json: JsonFlag = False,
    database_url: DatabaseFlag = None,
    config: ConfigFlag = None,
) -> None:
    """Remove jobhooks from a database: the triggers, the log, the hooks, and the roles that no other database uses.

    Example: jobhooks uninstall --database-url postgresql:///inventory
    """
    with connection(load(config, database_url=database_url), installed=False) as conn:
        installed = uninstalling.what_is_installed(conn)
        if not yes:
            _confirm(conn.info.dbname, installed)
        with if_interrupted("triggers that are dropped stay so, the rest is there; the same command again continues"):
            removed = uninstalling.uninstall(conn)
        print_message(f"jobhooks is removed from {conn.info.dbname}")
        if removed.dropped_roles:
            print_message(f"dropped the roles {', '.join(removed.dropped_roles)}")
        if removed.kept_roles:
            print_message(
                f"kept the roles {', '.join(removed.kept_roles)}: {with_remedy(removed.why_kept, removed.remedy)}"
            )
        if as_json:
            print_json({"database": conn.info.dbname, **dataclasses.asdict(removed)})


def adopt(
    moved: Annotated[
        bool, typer.Option("--moved", help="It is the same database: go on here, and drop nothing.")
    ] = False,
    copy: Annotated[
        bool,
        typer.Option(
            "--copy", help="It is a copy, whose original goes on: drop unread and pending changes, start afresh."
        ),
    ] = False,
    yes: YesFlag = False,
    as_json: JsonFlag = False,
    database_url: DatabaseFlag = None,
    config: ConfigFlag = None,
) -> None:
    """Go on in a database that was moved, upgraded or restored, or start afresh in a copy.

    Shows the undelivered changes of each hook, and asks. Until then, daemons deliver nothing there.

    Example: jobhooks adopt --moved --database-url postgresql:///inventory

    Example: jobhooks adopt --copy --yes --database-url postgresql:///staging
    """
    if moved and copy:
        raise typer.BadParameter("--moved and --copy exclude each other")
    chosen = load(config, database_url=database_url)
    with connection(chosen) as conn:
        database = conn.info.dbname
        place = configured_place(conn, chosen.database_url, chosen.environment)
        plan = adopting.plan_adoption(conn, place)
        if not as_json:
            print_owed(plan)
        if plan.recorded is not None:
            print_message(f"The log is that of {plan.recorded}. This is {plan.here}.")
        if not moved and not copy:
            print_message(f"--moved: it {if_moved(plan)}\n--copy: it {if_copied(plan)}")
            raise WrongUsage(
                f"nothing says whether {database} was moved here or is a copy",
                "jobhooks adopt --moved, if the original is gone; jobhooks adopt --copy, if it goes on",
            )
        choice = Choice.MOVED if moved else Choice.COPY
        print_message(f"{database} {if_moved(plan) if moved else if_copied(plan)}")
        confirm(f"go on in {database}" if moved else f"start afresh in {database}", yes=yes)
        _adopt(conn, choice, place)
        if as_json:
            print_json({"database": database, "adopted_as": choice, **vars(plan)})


def _adopt(conn: SyncConnection, choice: Choice, place: str) -> None:
    if choice is Choice.MOVED:
        adopting.adopt_moved(conn, place)
        print_message(f"{conn.info.dbname} goes on here: start the daemon")
    else:
        adopting.adopt(conn, place)
        print_message(f"{conn.info.dbname} starts afresh: changes from now on are delivered here")


def _warn_of_missing_rights(conn: SyncConnection) -> None:
    if not capture_is_confined(conn):
        print_message(
            f"warning: the role {conn.info.user} may not create the role jobhooks_capture, so code of the owners of"
            f" watched tables can get the rights of {conn.info.user}. Try: see SECURITY.md"
        )
    try:
        check_may_mark(conn)
    except Forbidden as exc:
        print_message(f"warning: as the daemon, {exc}")


def _warn_of_outdated_table(table: str, error: JobhooksError) -> None:
    reason = f"{table} keeps the triggers of an earlier version, which still capture: {error.message}"
    print_message(f"warning: {with_remedy(reason, 'jobhooks install')}")


def _confirm(database: str, installed: uninstalling.Installed) -> None:
    losses = f"{_number(installed.tables, 'table')} watched, and {_number(installed.changes, 'change')} in the log"
    if not sys.stdin.isatty():
        raise Refused(f"will not remove jobhooks from {database} without confirmation: {losses}", "--yes")
    print_message(f"This removes jobhooks from the database {database}: {losses}. It cannot be undone.")
    if installed.sessions:
        print_message(f"Stop the daemon first: {_number(installed.sessions, 'session')} of jobhooks connected.")
    typer.confirm("Remove it?", abort=True, err=True)


def _number(count: int, noun: str) -> str:
    if count > uninstalling.COUNT_LIMIT:
        return f"more than {uninstalling.COUNT_LIMIT} {noun}s are"
    return f"1 {noun} is" if count == 1 else f"{count} {noun}s are"
