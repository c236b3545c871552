"""Counts and logs changes that were too deep in a chain for a hook, until the counts are written to the database."""

import time
from dataclasses import dataclass

from jobhooks.contract.change import Change
from jobhooks.matching.hook_settings import HookSettings
from jobhooks.runtime.event_log import get_logger

LOG_INTERVAL_S = 60.0  # for each hook: a limit that is reached is reached often

log = get_logger()


@dataclass(slots=True)
class ChainEnd:
    """The unwritten changes that were too deep for a hook: how many, for which ``chain_depth``, and the last one."""

    chain_depth: int
    changes: int
    change_id: int


class ChainEnds:
    """The counts to write to the database, by hook."""

    def __init__(self) -> None:
        self._counts: dict[int, ChainEnd] = {}
        self._logged_at: dict[int, float] = {}

    def __bool__(self) -> bool:
        return bool(self._counts)

    def note(self, hook_id: int, hook: HookSettings, change: Change) -> None:
        """Count a change; log it, unless one was logged for the hook recently."""
        count = self._counts.get(hook_id)
        if count is None or count.chain_depth != hook.chain_depth:
            self._counts[hook_id] = ChainEnd(hook.chain_depth, 1, change.id)
        elif count.change_id != change.id:  # else it is the update of a further parent
            count.changes += 1
            count.change_id = change.id
        now = time.monotonic()
        if now - self._logged_at.get(hook_id, -LOG_INTERVAL_S) >= LOG_INTERVAL_S:
            self._logged_at[hook_id] = now
            log.warning(
                "chain_ended", hook=hook.name, change=change.id, depth=change.depth, chain_depth=hook.chain_depth
            )

    def take(self) -> dict[int, ChainEnd]:
        """Remove and return the counts to write."""
        counts, self._counts = self._counts, {}
        return counts

    def put_back(self, counts: dict[int, ChainEnd]) -> None:
        """Add back counts that could not be written."""
        for hook_id, count in counts.items():
            later = self._counts.setdefault(hook_id, count)
            if later is not count and later.chain_depth == count.chain_depth:
                later.changes += count.changes
