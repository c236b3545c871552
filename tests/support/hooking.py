"""Receivers in a directory, their jobs enabled, and hooks on them, without a process for each step."""

import contextlib
from collections.abc import Sequence
from pathlib import Path

from jobhooks.engine.loading import Findings, find_receivers
from jobhooks.store import catalogue
from jobhooks.store.catalogue import JobRecord
from jobhooks.store.connections import connect

EVENTS = ("create", "update", "delete", "truncate")


def write_receivers(directory: Path, text: str, module: str = "r") -> Path:
    """Put a module of receivers into a directory."""
    directory.mkdir(exist_ok=True)
    (directory / f"{module}.py").write_text(text)
    return directory


def add_hook(
    database: str, directory: Path, job: str, events: Sequence[str] = EVENTS, table: str = "public.device"
) -> None:
    """Register the receivers of a directory, enable ``job`` and hook it."""
    with contextlib.closing(connect(database)) as conn:
        catalogue.register_jobs(conn, records(find_receivers([directory])), complete=True)
        catalogue.enable_job(conn, job, enabled=True)
        catalogue.add_hook(conn, f"hook of {job}", [table], list(events), job, "")


def records(findings: Findings) -> list[JobRecord]:
    """Return what the command line would record of receivers."""
    assert not findings.broken, findings.broken
    return [
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
