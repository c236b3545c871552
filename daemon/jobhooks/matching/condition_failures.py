"""Counts and logs failures of conditions, until the counts are written to the database."""

import time
from dataclasses import dataclass

from jobhooks.matching.hook_table import Failure
from jobhooks.runtime.event_log import get_logger

LOG_INTERVAL_S = 60.0  # for each hook: a condition that fails fails often

log = get_logger()


@dataclass(slots=True)
class Count:
    """The unwritten failures of a hook's conditions, and the last one."""

    last: Failure
    changes: int = 0


class ConditionFailures:
    """The counts to write to the database, by hook: the size does not depend on the number of failing changes."""

    def __init__(self) -> None:
        self._counts: dict[int, Count] = {}
        self._logged_at: dict[int, float] = {}
        self._suppressed: dict[int, int] = {}

    def __bool__(self) -> bool:
        return bool(self._counts)

    def note(self, failure: Failure) -> None:
        """Count a failure, and log it unless one of the hook was logged recently."""
        self.count(failure)
        self._log(failure)

    def count(self, failure: Failure) -> None:
        """Count a failure."""
        hook_id = failure.hook.id
        count = self._counts.get(hook_id)
        if count is None or count.last.hook.conditions != failure.hook.conditions:
            count = self._counts[hook_id] = Count(failure)
        count.last = failure
        count.changes += failure.change is not None

    def take(self) -> dict[int, Count]:
        """Remove and return the counts to write."""
        counts, self._counts = self._counts, {}
        return counts

    def put_back(self, counts: dict[int, Count]) -> None:
        """Add back counts that could not be written."""
        for hook_id, count in counts.items():
            later = self._counts.setdefault(hook_id, Count(count.last))
            if later.last.hook.conditions == count.last.hook.conditions:
                later.changes += count.changes

    def _log(self, failure: Failure) -> None:
        hook = failure.hook
        now = time.monotonic()
        if now - self._logged_at.get(hook.id, -LOG_INTERVAL_S) < LOG_INTERVAL_S:
            self._suppressed[hook.id] = self._suppressed.get(hook.id, 0) + 1
            return
        self._logged_at[hook.id] = now
        if failure.change is None:
            log.warning("condition_invalid", hook=hook.name, error=failure.public)
        else:
            more = self._suppressed.pop(hook.id, 0)
            change = {"change": failure.change.id, "action": failure.change.action.value}
            log.warning("condition_failed", hook=hook.name, **change, error=failure.public, more=more)
