"""Finding the receivers that settings name, and bringing the database's jobs in line with them."""

from pathlib import Path

from jobhooks.discovery.loading import ReceiverRegistry, find_receivers
from jobhooks.operations.tables import JobRecord, register_jobs
from jobhooks.runtime.settings import Settings
from jobhooks.store.connections import SyncConnection

# The receivers that come with jobhooks: a symbolic link in a checkout, a folder in an installed wheel.
BUILT_IN = Path(__file__).parent.parent / "receivers"


def find(chosen: Settings) -> ReceiverRegistry:
    """Import the receivers of all directories."""
    return find_receivers([*chosen.receivers_path, BUILT_IN])


def register(conn: SyncConnection, registry: ReceiverRegistry, *, complete: bool) -> None:
    """Make jobs of the receivers; ``complete``: jobs whose receivers are not among them are not installed any more.

    Only the daemon knows that: another command may look into other directories than it does.
    """
    register_jobs(conn, records(registry), complete=complete)


def records(registry: ReceiverRegistry) -> list[JobRecord]:
    """Return what is recorded of the receivers."""
    return [
        JobRecord(
            class_path=found.class_path,
            name=found.meta.name,
            description=found.meta.description,
            soft_time_limit_s=found.meta.soft_time_limit,
            time_limit_s=found.meta.time_limit,
            max_attempts=found.meta.max_attempts,
            backoff_s=found.meta.backoff,
            on_failure=found.meta.on_failure.value,
            concurrency=found.meta.concurrency,
            hidden=found.meta.hidden,
            grouping=found.meta.grouping,
            has_sensitive_variables=found.meta.has_sensitive_variables,
            queue=found.meta.queue,
            is_singleton=found.meta.is_singleton,
            order_by=found.meta.order_by.value,
            order_columns=found.meta.order_columns,
            batch_size=found.meta.batch_size,
            batch_wait_s=found.meta.batch_wait,
        )
        for found in registry.receivers.values()
    ]
