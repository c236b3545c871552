"""``jobhooks install`` and ``jobhooks adopt``: what is done to a database once."""

from typing import Annotated

import typer

from jobhooks.cli.options import ConfigFlag, DatabaseFlag, connection
from jobhooks.cli.output import say
from jobhooks.errors import Forbidden
from jobhooks.service.settings import load
from jobhooks.store import catalogue
from jobhooks.store.install import PROGRAM_VERSION, capture_is_confined, check_may_mark, install as install_sql


def add_to(app: typer.Typer) -> None:
    """Add the commands."""
    app.command()(install)
    app.command()(adopt)


def install(
    watch: Annotated[list[str] | None, typer.Argument(help="Tables to watch, too.", metavar="[TABLE]...")] = None,
    database_url: DatabaseFlag = None,
    config: ConfigFlag = None,
) -> None:
    """Install the schema jobhooks in a database, or bring it up to date; can be run again at any time.

    Example: jobhooks install public.device public.site --database-url postgresql:///inventory
    """
    chosen = load(config, database_url=database_url)
    with connection(chosen, installed=False) as conn:
        applied = install_sql(conn)
        say(f"jobhooks {PROGRAM_VERSION} is installed in {conn.info.dbname}: {len(applied)} migrations applied")
        if not capture_is_confined(conn):
            say(
                f"warning: the role {conn.info.user} may not create the role jobhooks_capture, so code of the owners of"
                f" watched tables can get the rights of {conn.info.user}; see SECURITY.md"
            )
        try:
            check_may_mark(conn)
        except Forbidden as exc:
            say(f"warning: as the daemon, {exc}")
        for table in watch or []:
            catalogue.watch(conn, table, None, keyless=False, always=False)
            say(f"watching {table}")


def adopt(database_url: DatabaseFlag = None, config: ConfigFlag = None) -> None:
    """Start afresh in a copy of a database: the changes in its log belong to the original, and count as seen.

    Example: jobhooks adopt --database-url postgresql:///staging
    """
    with connection(load(config, database_url=database_url)) as conn:
        catalogue.adopt(conn)
        say(f"{conn.info.dbname} starts afresh: changes from now on are delivered here")
