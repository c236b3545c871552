"""Who changed which hook or job, when, and how."""

import datetime
from dataclasses import dataclass
from enum import Enum
from typing import Any

from jobhooks.errors import UnknownHook, UnknownJob
from jobhooks.store.connections import SyncConnection, call


class Kind(Enum):
    """What was changed, as the database has it."""

    HOOK = "hook"
    JOB = "job"


@dataclass(frozen=True)
class ConfigurationChange:
    """A change of a hook or a job. ``before`` is None on create, ``after`` on delete; else both have it all."""

    time: datetime.datetime
    user: str
    name: str
    action: str
    before: dict[str, Any] | None
    after: dict[str, Any] | None


def history(conn: SyncConnection, kind: Kind, name: str | None, limit: int) -> list[ConfigurationChange]:
    """The latest changes of all hooks or jobs, or of the one that has or had this name; the newest last.

    Raises:
        UnknownHook, UnknownJob: nothing was ever called so.
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
