"""One attempt at a delivery, as commands list, show and export it. Data only; ``results`` reads it.

Every shape of a result is made of these: a listed result, one with its details, the outcome of a job run and of a dry
run.
"""

import datetime
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import msgspec

from jobhooks.contract.choices import LogLevel
from jobhooks.store.captured_changes import ListedChange

LEVELS = tuple(level.value for level in LogLevel)  # the least important first


@dataclass(frozen=True)
class LogLine:
    """A line that a receiver logged. ``object``: the object it is about, if the receiver named one.

    ``grouping``: the label that it gave the line; ``source``: the logger or stream that the line came from, if not the
    receiver's own log.
    """

    time: datetime.datetime
    level: str
    object: str | None
    message: str
    grouping: str | None
    source: str | None


@dataclass(frozen=True)
class Attempt:
    """When and how an attempt ended. ``status``: success, failure or discarded."""

    attempt: int
    status: str
    started_at: datetime.datetime
    finished_at: datetime.datetime
    duration_ms: float
    error: str | None


@dataclass(frozen=True)
class AttemptDetails(Attempt):
    """With everything stored about it. ``value``: the JSON that the receiver returned."""

    traceback: str | None
    value: msgspec.Raw
    log: list[LogLine]


@dataclass(frozen=True)
class ObjectChange:
    """A table, what happened to one of its rows, and the key of that row as JSON, or null."""

    table: str | None
    action: str | None
    object_key: msgspec.Raw


@dataclass(frozen=True)
class _Subject:
    """The delivery that an attempt was for.

    ``table``, ``action`` and ``object_key``: what the hook ran for. If that was an update of a parent, ``child`` is the
    change of the child; else it is null.
    """

    change_id: int
    hook: str | None
    job: str | None
    table: str | None
    action: str | None
    object_key: msgspec.Raw
    child: ObjectChange | None


@dataclass(frozen=True)
class Result(Attempt, _Subject):
    """An attempt with its delivery.

    ``hook`` keeps its name when it is deleted; it is null if no history has the name. ``table``, ``action`` and
    ``object_key`` are null once retention has dropped the change. Of the last attempt at a delivery that is pending:
    ``dead`` if there is no other until someone retries it, or else ``next_attempt_at``, the earliest time of the next.
    ``version``: of the receiver that ran, as in ``jobs.Job``; null if none ran, or if it is unknown.
    ``log_levels``: how many lines of each level it has logged, the most important level first.
    """

    hook_deleted: bool
    dead: bool
    next_attempt_at: datetime.datetime | None
    version: str | None
    package: str | None
    log_levels: dict[str, int]


@dataclass(frozen=True)
class ResultDetails(AttemptDetails, Result):
    """A result with everything stored about it."""


@dataclass(frozen=True)
class ResultWithWrites(ResultDetails):
    """A result with the changes that the receiver made, at most ``results.SHOWN_WRITES``."""

    wrote: list[ListedChange]


@dataclass(frozen=True)
class FoundLine(LogLine):
    """A log line with the attempt that logged it."""

    change_id: int
    hook: str | None
    hook_deleted: bool
    job: str | None
    attempt: int


def by_importance(counts: Mapping[str, int]) -> dict[str, int]:
    """The numbers of log lines by level, the most important level first."""
    return {level: counts[level] for level in reversed(LEVELS) if level in counts}


def levels_of(log: Sequence[LogLine]) -> dict[str, int]:
    """The numbers of these lines by level, the most important level first."""
    return by_importance(Counter(line.level for line in log))
