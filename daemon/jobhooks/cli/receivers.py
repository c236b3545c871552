"""Finding the receivers that settings name, and bringing the database's jobs in line with them."""

from pathlib import Path

from jobhooks.engine.loading import Findings, find_receivers
from jobhooks.service.settings import Settings
from jobhooks.store.catalogue import JobRecord, register_jobs
from jobhooks.store.connections import SyncConnection

# The receivers that come with jobhooks: a symbolic link in a checkout, a folder in an installed wheel.
BUILT_IN = Path(__file__).parent.parent / "receivers"


def find(chosen: Settings) -> Findings:
    """Import the receivers of all directories."""
    return find_receivers([*chosen.receivers_path, BUILT_IN])


def register(conn: SyncConnection, findings: Findings, *, complete: bool) -> None:
    """Make jobs of the receivers; ``complete``: jobs whose receivers are not among them are not installed any more.

    Only the daemon knows that: another command may look into other directories than it does.
    """
    records = [
        JobRecord(
            found.class_path,
            found.meta.name,
            found.meta.description,
            found.meta.soft_time_limit,
            found.meta.time_limit,
            found.meta.max_attempts,
            found.meta.backoff,
            found.meta.on_failure.value,
            found.meta.concurrency,
        )
        for found in findings.receivers.values()
    ]
    register_jobs(conn, records, complete=complete)
