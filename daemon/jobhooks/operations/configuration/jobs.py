"""Jobs: the records of receivers, their switches, and the settings that an operator overrides."""

import datetime
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from jobhooks.contract.job_settings import RULES, JobSettings
from jobhooks.operations.lookup.names import unknown_job
from jobhooks.store.connections import SyncConnection, call

SHOWN_VERSIONS = 10
Value = str | int | float | bool | Sequence[str | float] | None


@dataclass(frozen=True)
class FoundJob:
    """A receiver that was found, the settings that it states, and the JSON Schema of its class Data."""

    class_path: str
    settings: JobSettings
    data_schema: dict[str, Any] | None = None


@dataclass(frozen=True)
class Job:
    """A job in a list, with the settings in force. ``job``: its class path; ``name``: its name for people.

    ``installed``: the daemon that led last has loaded its receiver. ``loaded``: the one that leads now has; null if no
    daemon leads. ``version``: the beginning of the hash of the source that it has loaded; ``package``: with its
    version.
    """

    job: str
    name: str
    grouping: str
    installed: bool
    enabled: bool
    hidden: bool
    description: str
    loaded: bool | None
    loaded_from: str | None
    version: str | None
    package: str | None


@dataclass(frozen=True)
class HookOfJob:
    """A hook that leads to a job; see ``hooks.JobHook``."""

    name: str
    content_types: list[str]
    events: list[str]
    enabled: bool
    runs: bool
    why_not: str | None


@dataclass(frozen=True)
class JobVersion:
    """A version of a receiver that a daemon has loaded. ``last_loaded_at``: or when it was replaced by another one."""

    version: str
    source_hash: str
    package: str | None
    first_loaded_at: datetime.datetime
    last_loaded_at: datetime.datetime


@dataclass(frozen=True)
class JobDetails:
    """A job. ``settings`` are in force; ``receiver`` has the receiver's values of the ``overridden`` ones.

    ``data_schema``: the JSON Schema of its hooks' data, null if its receiver has no class Data. ``versions``: the last
    ``SHOWN_VERSIONS`` of its receiver, the newest first.
    """

    job: str
    installed: bool
    enabled: bool
    loaded: bool | None
    loaded_from: str | None
    version: str | None
    package: str | None
    settings: dict[str, Value]
    overridden: list[str]
    receiver: dict[str, Value]
    hooks: list[HookOfJob]
    versions: list[JobVersion]
    data_schema: dict[str, Any] | None = None


def register_jobs(conn: SyncConnection, found: Iterable[FoundJob], *, complete: bool) -> None:
    """Record a job for each receiver; ``complete``: every other job is no longer installed."""
    call(conn, "register_jobs", found=msgspec.json.encode(_records(found)).decode(), complete=complete)


def add_jobs(conn: SyncConnection, found: Iterable[FoundJob]) -> None:
    """Record jobs that are not there yet. They are not installed until a daemon has loaded their receivers."""
    call(conn, "add_jobs", found=msgspec.json.encode(_records(found)).decode())


def jobs(conn: SyncConnection) -> list[Job]:
    """All jobs, by grouping and class path."""
    return [Job(*row) for row in call(conn, "jobs")]


def job_details(conn: SyncConnection, class_path: str) -> JobDetails:
    """Everything about one job.

    Raises:
        UnknownJob: there is no job of that class path.
    """
    rows = call(conn, "job_shown", class_path=class_path)
    if not rows:
        raise unknown_job(conn, class_path)
    installed, enabled, loaded, loaded_from, version, package, in_force, own, overridden, data_schema = rows[0]
    return JobDetails(
        class_path,
        installed,
        enabled,
        loaded,
        loaded_from,
        version,
        package,
        _decoded(in_force),
        [name for name in RULES if name in overridden],
        {name: value for name, value in _decoded(own).items() if name in overridden},
        [HookOfJob(*row) for row in call(conn, "hooks_of_job", class_path=class_path)],
        [JobVersion(*row) for row in call(conn, "versions_of_job", class_path=class_path, limit=SHOWN_VERSIONS)],
        None if data_schema is None else msgspec.json.decode(data_schema),
    )


def enable_job(conn: SyncConnection, class_path: str, *, enabled: bool = True) -> None:
    """Enable or disable a job.

    Raises:
        UnknownJob: there is no job of that class path.
    """
    call(conn, "enable_job", class_path=class_path, enabled=enabled)


def disable_job(conn: SyncConnection, class_path: str) -> list[str]:
    """Disable a job; the result is its enabled hooks, which run nothing from now on.

    Raises:
        UnknownJob: there is no job of that class path.
    """
    enable_job(conn, class_path, enabled=False)
    return [hook.name for hook in job_details(conn, class_path).hooks if hook.enabled]


def delete_job(conn: SyncConnection, class_path: str) -> None:
    """Delete a job that is not installed, with its overrides. Its results and its history stay.

    Raises:
        UnknownJob: there is no job of that class path.
        JobInUse: it is installed, or hooks use it; nothing was changed.
    """
    call(conn, "delete_job", class_path=class_path)


def set_job(conn: SyncConnection, class_path: str, settings: Mapping[str, Value]) -> None:
    """Override settings of a job, by their names in class Meta.

    Raises:
        UnknownJob, InvalidSetting: as the message says; nothing was changed.
    """
    call(conn, "set_job", class_path=class_path, settings=msgspec.json.encode(settings).decode())


def reset_job(conn: SyncConnection, class_path: str, names: Sequence[str] | None) -> list[str]:
    """Remove overrides of a job, all or those named; the settings that were overridden.

    Raises:
        UnknownJob, InvalidSetting: as the message says; nothing was changed.
    """
    ((was_set,),) = call(conn, "reset_job", class_path=class_path, names=None if names is None else list(names))
    return was_set


def _records(found: Iterable[FoundJob]) -> list[dict[str, Any]]:
    return [
        {"class_path": job.class_path, "settings": _stated(job.settings), "data_schema": job.data_schema}
        for job in found
    ]


def _stated(settings: JobSettings) -> dict[str, Any]:
    return {name: getattr(settings, name) for name in RULES}


def _decoded(settings_json: str) -> dict[str, Value]:
    """The settings of a job in the order of lists, with the types of ``JobSettings``."""
    return msgspec.json.decode(msgspec.json.encode(_stated(msgspec.json.decode(settings_json, type=JobSettings))))
