"""Receivers in a directory, their jobs enabled, and hooks on them, without a process for each step."""

import contextlib
from collections.abc import Sequence
from pathlib import Path

from jobhooks.discovery.loading import find_receivers
from jobhooks.matching.hook_settings import HookSettings
from jobhooks.operations.configuration import hooks, jobs, receivers
from jobhooks.store.connections import connect

EVENTS = ("create", "update", "delete", "truncate")


def write_receivers(directory: Path, text: str, module: str = "r") -> Path:
    """Put a module of receivers into a directory."""
    directory.mkdir(exist_ok=True)
    (directory / f"{module}.py").write_text(text)
    return directory


def add_hook(
    database: str, directory: Path, job: str, events: Sequence[str] = EVENTS, table: str = "public.device", *more: str
) -> None:
    """Register the receivers of a directory, enable ``job`` and hook it."""
    with contextlib.closing(connect(database)) as conn:
        registry = find_receivers([directory])
        assert not registry.broken, registry.broken
        receivers.register(conn, registry, complete=True)
        jobs.enable_job(conn, job, enabled=True)
        hooks.add_hook(conn, HookSettings(f"hook of {job}", [table, *more], job, list(events)))
