"""``jobhooks table watch`` and ``unwatch``: one table, or all that match patterns."""

from dataclasses import dataclass
from typing import Annotated

import typer

from jobhooks.cli import completion
from jobhooks.cli.commands.tables.watch_many import Request, watch_many
from jobhooks.cli.filters import YesFlag
from jobhooks.cli.option_groups import with_option_groups
from jobhooks.cli.options import ConfigFlag, DatabaseFlag, JsonFlag
from jobhooks.cli.show.output import print_json, print_message
from jobhooks.cli.show.problems import warn_of_publications, warn_of_secrets
from jobhooks.operations import tables
from jobhooks.operations.lookup.table_patterns import is_pattern
from jobhooks.operations.opening import connection
from jobhooks.operations.watching import WatchOptions
from jobhooks.runtime.settings import load
from jobhooks.store.connections import SyncConnection

TableArgument = Annotated[
    str,
    typer.Argument(help="A table, as schema.table.", metavar="TABLE", autocompletion=completion.tables),
]


@dataclass(frozen=True)
class WatchFlags:
    """The options that say how a table is watched."""

    key: Annotated[
        list[str] | None,
        typer.Option(help="A column that identifies a row; by default the primary key. Repeatable.", metavar="COLUMN"),
    ] = None
    keyless: Annotated[
        bool,
        typer.Option(
            "--keyless", help="Watch a table without columns that identify a row; of many, those without a primary key."
        ),
    ] = False
    always: Annotated[bool, typer.Option("--always", help="Also capture rows that logical replication applies.")] = (
        False
    )
    exclude: Annotated[
        list[str] | None,
        typer.Option(
            help="A column to leave out of the log: a secret, or a large document. Repeatable.", metavar="COLUMN"
        ),
    ] = None
    ignore: Annotated[
        list[str] | None,
        typer.Option(
            help="A column whose change alone is not recorded, such as last_seen. Repeatable.", metavar="COLUMN"
        ),
    ] = None
    allow_casts: Annotated[
        bool,
        typer.Option(
            "--allow-casts", help="Watch a table although code of the owner of a type makes the JSON of a column."
        ),
    ] = False
    keep_lastval: Annotated[
        bool | None,
        typer.Option(
            "--keep-lastval/--no-keep-lastval",
            help="Leave lastval() as it was after every row, or after none; by default after an INSERT into a table"
            " that a sequence fills.",
            show_default=False,
        ),
    ] = None
    parent: Annotated[
        list[str] | None,
        typer.Option(
            help="A table that each change of this one also updates, and the columns that refer to it, such as"
            " public.device=device_id. Repeatable.",
            metavar="TABLE=COLUMN[,COLUMN...]",
        ),
    ] = None

    @property
    def are_given(self) -> bool:
        """Whether one of them is."""
        return self != WatchFlags()

    def for_many(self) -> WatchOptions:
        """Those that apply to several tables."""
        return WatchOptions(
            self.keyless, self.always, self.exclude or (), self.ignore or (), self.allow_casts, self.keep_lastval
        )

    def watch(self, conn: SyncConnection, table: str) -> tables.WatchedTable:
        """Watch one table with exactly these."""
        return tables.watch(conn, table, self.key or None, parents=self.parent or (), **vars(self.for_many()))


def add_to(group: typer.Typer) -> None:
    """Add the commands to those of tables."""
    group.command("watch")(watch)
    group.command("unwatch")(unwatch)


@with_option_groups
def watch(
    table: Annotated[
        list[str],
        typer.Argument(
            help="Tables, as schema.table, or patterns in quotes, such as 'public.dcim_*'.",
            metavar="TABLE",
            autocompletion=completion.watchable_tables,
        ),
    ],
    chosen: WatchFlags,
    excepted: Annotated[
        list[str] | None,
        typer.Option(
            "--except",
            help="A table or a pattern to leave out of those that a pattern matches. Repeatable.",
            metavar="TABLE",
        ),
    ] = None,
    instead_of: Annotated[
        str | None,
        typer.Option(
            help="A watched table that this one replaced: it takes over its options and hooks.", metavar="TABLE"
        ),
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only print which tables would be watched.")] = False,
    yes: YesFlag = False,
    as_json: JsonFlag = False,
    database_url: DatabaseFlag = None,
    config: ConfigFlag = None,
) -> None:
    """Watch tables: record their changes from now on. Run it again to change how a table is watched.

    One table gets exactly these options. Several tables, or those of a pattern, get them in addition to those that
    they have; a column applies to the tables that have it. For these it prints a plan, and on a terminal it asks before
    it watches more than ten. It watches all that it can, names the others, and then exits with 5.

    Example: jobhooks table watch public.device

    Example: jobhooks table watch public.user --exclude password --ignore last_seen --ignore login_count

    Example: jobhooks table watch public.device_tag --parent public.device=device_id

    Example: jobhooks table watch 'public.*' --except 'public.django_*' --ignore last_updated
    """
    if instead_of is not None and chosen.are_given:
        raise typer.BadParameter("--instead-of takes the options of the former table; change them afterwards")
    is_one = len(table) == 1 and not is_pattern(table[0]) and not excepted and not dry_run
    if not is_one and (instead_of is not None or chosen.key or chosen.parent):
        raise typer.BadParameter(
            "--key, --parent and --instead-of are for one table, without a pattern, --except and --dry-run"
        )
    with connection(load(config, database_url=database_url)) as conn:
        if not is_one:
            request = Request(table, excepted or [], chosen.for_many())
            watch_many(conn, request, dry_run=dry_run, yes=yes, as_json=as_json)
            return
        if instead_of is not None:
            watched = tables.watch_instead(conn, table[0], instead_of)
        else:
            watched = chosen.watch(conn, table[0])
        _warn(conn, watched.table)
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


def _warn(conn: SyncConnection, table: str) -> None:
    warn_of_secrets(conn, table)
    warn_of_publications(conn)
