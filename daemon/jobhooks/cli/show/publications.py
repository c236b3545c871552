"""The warning about publications that have the tables of jobhooks, when it is installed or a table is watched."""

from jobhooks.cli.show.output import print_message
from jobhooks.errors import with_remedy
from jobhooks.operations.doctor import problems_of_publications
from jobhooks.store.connections import SyncConnection


def warn_of_publications(conn: SyncConnection) -> None:
    """Name the publications that have the tables of jobhooks, such as one for all tables."""
    for found in problems_of_publications(conn):
        if found.severity == "warning":
            print_message(with_remedy(f"warning: {found.subject}: {found.problem}", found.remedy))
