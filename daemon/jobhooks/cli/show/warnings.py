"""The warnings when jobhooks is installed or a table is watched."""

from jobhooks.cli.show.output import print_message
from jobhooks.errors import with_remedy
from jobhooks.operations import tables
from jobhooks.operations.doctor import problems_of_publications
from jobhooks.store.connections import SyncConnection


def warn_of_secrets(conn: SyncConnection, table: str) -> None:
    """Name the columns that look like secrets and that the log of ``table`` now records."""
    for names, command in tables.secrets_in_log(conn, table):
        print_message(
            with_remedy(f"warning: the log records columns of {table} that look like secrets: {names}", command)
        )


def warn_of_publications(conn: SyncConnection) -> None:
    """Name the publications that have the tables of jobhooks, such as one for all tables."""
    for found in problems_of_publications(conn):
        if found.severity == "warning":
            print_message(with_remedy(f"warning: {found.subject}: {found.problem}", found.remedy))
