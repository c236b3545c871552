"""Receivers: finding those that the settings name, and recording a job for each."""

from pathlib import Path

from jobhooks.discovery.loading import ReceiverRegistry, find_receivers
from jobhooks.errors import UnknownJob
from jobhooks.operations.configuration.jobs import FoundJob, enable_job, jobs, register_jobs
from jobhooks.operations.lookup.nearest_names import suggestion
from jobhooks.runtime.settings import Settings
from jobhooks.store.connections import SyncConnection

# The receivers that come with jobhooks: a symbolic link in a checkout, a folder in an installed wheel.
BUILT_IN = Path(__file__).parents[2] / "receivers"


def find(chosen: Settings) -> ReceiverRegistry:
    """Import the receivers of all directories."""
    return find_receivers([*chosen.receivers_path, BUILT_IN])


def register(conn: SyncConnection, registry: ReceiverRegistry, *, complete: bool) -> None:
    """Record a job for each receiver; ``complete``: every other job is no longer installed.

    Only the daemon passes ``complete``: another command may look in other directories.
    """
    register_jobs(conn, found_jobs(registry), complete=complete)


def enable(conn: SyncConnection, registry: ReceiverRegistry, class_path: str) -> None:
    """Enable the job of a receiver that this registry or the daemon finds.

    Raises:
        UnknownJob: there is no such receiver; the message says where it was looked for.
    """
    # A receiver that only the daemon can see also counts.
    installed = {known.job for known in jobs(conn) if known.installed}
    if class_path not in registry.receivers and class_path not in installed:
        near = suggestion(class_path, installed | registry.receivers.keys())
        raise UnknownJob(f"cannot enable job {class_path}: {registry.why_missing(class_path)}{near}")
    enable_job(conn, class_path)


def found_jobs(registry: ReceiverRegistry) -> list[FoundJob]:
    """The jobs to record for the receivers of a registry."""
    return [FoundJob(found.class_path, found.meta) for found in registry.receivers.values()]
