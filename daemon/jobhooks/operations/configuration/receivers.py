"""Receivers: finding those that the settings name, and recording a job for each."""

import contextlib
import sys
from pathlib import Path

from jobhooks.discovery import trial
from jobhooks.discovery.loading import find_receivers
from jobhooks.discovery.registry import ReceiverRegistry
from jobhooks.errors import Forbidden, UnknownJob
from jobhooks.operations.configuration.jobs import FoundJob, Job, add_jobs, enable_job, jobs, register_jobs
from jobhooks.operations.lookup.nearest_names import suggestion
from jobhooks.runtime.settings import Settings
from jobhooks.store.connections import SyncConnection

# The receivers that come with jobhooks: a symbolic link in a checkout, a folder in an installed wheel.
BUILT_IN = Path(__file__).parents[2] / "receivers"


def find(chosen: Settings) -> ReceiverRegistry:
    """Import the receivers of all directories. The output of modules goes to stderr: stdout has data."""
    expected = chosen.receivers_path if "receivers_path" in chosen.model_fields_set else ()
    with contextlib.redirect_stdout(sys.stderr):
        return find_receivers([*chosen.receivers_path, BUILT_IN], trial=trial.in_copy, expected=expected)


def register(conn: SyncConnection, registry: ReceiverRegistry, *, complete: bool) -> None:
    """Record a job for each receiver; ``complete``: every other job is no longer installed.

    Only the daemon passes ``complete``: another command may look in other directories.
    """
    register_jobs(conn, found_jobs(registry), complete=complete)


def register_new(conn: SyncConnection, registry: ReceiverRegistry) -> None:
    """Record a job for each new receiver, if this role may do so; otherwise the daemon does it."""
    with contextlib.suppress(Forbidden):
        add_jobs(conn, found_jobs(registry))


def enable(conn: SyncConnection, registry: ReceiverRegistry, class_path: str) -> None:
    """Enable the job of a receiver that this registry or the daemon finds. New receivers are registered first.

    Raises:
        UnknownJob: there is no such receiver; the message says where it was looked for.
    """
    register_new(conn, registry)
    # A receiver that only the daemon can see also counts.
    installed = {known.job for known in jobs(conn) if known.installed}
    if class_path not in registry.receivers and class_path not in installed:
        near = suggestion(class_path, installed | registry.receivers.keys())
        reason = f"{registry.why_missing(class_path)}{near}"
        raise UnknownJob(f"cannot enable job {class_path}: {reason}", "jobhooks receiver list")
    enable_job(conn, class_path)


def listed_jobs(conn: SyncConnection, *, hidden: bool = False) -> list[Job]:
    """The jobs, as the daemon has loaded them. ``hidden``: include hidden jobs."""
    return [job for job in jobs(conn) if hidden or not job.hidden]


def without_job(conn: SyncConnection, registry: ReceiverRegistry) -> list[str]:
    """The receivers of a registry that have no job: no daemon has loaded them, and no command has enabled them."""
    return sorted(registry.receivers.keys() - {job.job for job in jobs(conn)})


def problems_of_receivers(registry: ReceiverRegistry) -> list[str]:
    """Missing directories, broken modules, and attributes of ``class Meta`` without effect, in a line each."""
    missing = [f"warning: there is no directory {path}, which receivers_path names" for path in registry.missing]
    broken = [f"broken receiver module: {module}" for module in registry.broken]
    notes = [f"warning: {note}" for note in registry.notes.values()]
    return (
        missing
        + broken
        + notes
        + [
            f"warning: {receiver.path}: {warning}"
            for receiver in registry.receivers.values()
            for warning in receiver.meta.warnings
        ]
    )


def found_jobs(registry: ReceiverRegistry) -> list[FoundJob]:
    """The jobs to record for the receivers of a registry."""
    return [
        FoundJob(found.class_path, found.meta, None if found.data_type is None else found.data_type.schema)
        for found in registry.receivers.values()
    ]
