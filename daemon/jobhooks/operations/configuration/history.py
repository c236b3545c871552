"""The history of hooks and jobs: who changed them, when, and how."""

import datetime
from dataclasses import dataclass
from enum import Enum
from typing import Any

from jobhooks.errors import UnknownHook, UnknownJob
from jobhooks.store.connections import SyncConnection, call


class Kind(Enum):
    """The kind of thing that changed, as the database spells it."""

    HOOK = "hook"
    JOB = "job"


@dataclass(frozen=True)
class ConfigurationChange:
    """A change of a hook or a job. ``before`` (null on create) and ``after`` (null on delete) have all settings."""

    time: datetime.datetime
    user: str
    name: str
    action: str
    before: dict[str, Any] | None
    after: dict[str, Any] | None


def history(conn: SyncConnection, kind: Kind, name: str | None, limit: int) -> list[ConfigurationChange]:
    """The latest changes of all hooks or jobs, or of the one with this name, now or formerly; the newest last.

    Raises:
        UnknownHook, UnknownJob: no hook or job ever had this name.
    """
    rows = call(conn, "configuration_changes", kind=kind.value, name=name, limit=limit)
    if not rows and name is not None and limit > 0:
        error = (
            UnknownHook(f'there never was a hook "{name}"')
            if kind is Kind.HOOK
            else UnknownJob(f"there never was a job {name}")
        )
        raise error
    return [ConfigurationChange(*row) for row in reversed(rows)]
