"""The warning about columns that look like secrets, when a table is watched."""

from jobhooks.cli.show.output import print_message
from jobhooks.errors import with_remedy
from jobhooks.operations import tables
from jobhooks.store.connections import SyncConnection


def warn_of_secrets(conn: SyncConnection, table: str) -> None:
    """Name the columns that look like secrets and that the log of ``table`` now records."""
    for names, command in tables.secrets_in_log(conn, table):
        print_message(
            with_remedy(f"warning: the log records columns of {table} that look like secrets: {names}", command)
        )
