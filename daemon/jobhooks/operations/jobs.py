"""What is said of a job: by its receiver, and by an operator instead."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import msgspec

from jobhooks.errors import UnknownJob
from jobhooks.store.connections import SyncConnection, call

Setting = str | int | float | bool | list[str] | None


@dataclass(frozen=True)
class JobSetting:
    """A setting of jobs that can be said otherwise. ``kind``: what it can be, as jobhooks.settings_of_jobs has it."""

    name: str
    column: str
    kind: str


@dataclass(frozen=True)
class HookOfJob:
    """A hook that leads to a job; see ``JobHook``."""

    name: str
    content_types: list[str]
    events: list[str]
    enabled: bool


@dataclass(frozen=True)
class JobDetails:
    """A job. ``settings`` are in force, by their names in class Meta; ``receiver`` says the ``overridden``."""

    class_path: str
    installed: bool
    enabled: bool
    settings: dict[str, Setting]
    overridden: list[str]
    receiver: dict[str, Setting]
    hooks: list[HookOfJob]


def settings_of_jobs(conn: SyncConnection) -> list[JobSetting]:
    """Return what can be set of a job."""
    return [JobSetting(*row) for row in call(conn, "settings_of_jobs")]


def job_details(conn: SyncConnection, class_path: str) -> JobDetails:
    """Return what there is to know about a job.

    Raises:
        UnknownJob: there is none of that class path.
    """
    rows = call(conn, "job_shown", class_path=class_path)
    if not rows:
        raise UnknownJob(f"there is no job {class_path}", "jobhooks job list --all")
    installed, enabled, in_force, own = rows[0]
    known = settings_of_jobs(conn)
    overridden = [setting.name for setting in known if setting.column in in_force["overrides"]]
    return JobDetails(
        class_path,
        installed,
        enabled,
        {setting.name: _value(setting, in_force) for setting in known},
        overridden,
        {setting.name: _value(setting, own) for setting in known if setting.name in overridden},
        [HookOfJob(*row) for row in call(conn, "hooks_of_job", class_path=class_path)],
    )


def set_job(conn: SyncConnection, class_path: str, settings: Mapping[str, Setting]) -> None:
    """Say something of a job instead of its receiver, by names as in class Meta.

    Raises:
        UnknownJob, InvalidSetting: as the message says; nothing was changed.
    """
    call(conn, "set_job", class_path=class_path, settings=msgspec.json.encode(settings).decode())


def reset_job(conn: SyncConnection, class_path: str, names: Sequence[str] | None) -> list[str]:
    """Let a job be what its receiver says, in all or in what is named; return what was said otherwise.

    Raises:
        UnknownJob, InvalidSetting: as the message says; nothing was changed.
    """
    ((was_set,),) = call(conn, "reset_job", class_path=class_path, names=None if names is None else list(names))
    return was_set


def _value(setting: JobSetting, row: Mapping[str, Setting]) -> Setting:
    value = row[setting.column]
    if setting.kind == "seconds" and isinstance(value, int):  # as JSON has a whole number
        return float(value)
    return row["order_columns"] if setting.column == "order_by" and value == "columns" else value
