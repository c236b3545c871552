"""Finds hooks that trigger each other through writes without a mark: one writes the table of the next, up to the first.

Evidence, first: of each hook in the cycle, changes in a row were written during runs of the one before it. Second: the
first hook of the cycle is held, as one that seems to trigger itself; see ``loop_watch``. If it is in a loop, the others
write its table for one more round, and then no more.
"""

import time
from collections import deque
from math import inf

from jobhooks.engine.scheduling.hook_queue import HookQueues

# Comparisons of a change with the runs of a hook, at a time: each takes a few microseconds. With many busy hooks, the
# samples are smaller, and the hooks take turns.
MOST_COMPARED = 500


class LoopCycles:
    """Compares samples of changes with the runs of other hooks, and has the first hook of a cycle tried."""

    def __init__(self) -> None:
        self._last = 0  # hook that was looked at

    def look(self, queues: HookQueues, now: float) -> None:
        """Look at the changes since the last time. ``now``: by the clock of the database."""
        hook_ids = [hook_id for hook_id, queue in queues.items() if queue.loops.sample]
        if not hook_ids:
            return
        _note_runs_in_progress(queues, now)
        compared = 0
        for hook_id in sorted(hook_ids, key=lambda id_: (id_ <= self._last, id_)):
            compared += _compare(queues, hook_id)
            _try(queues, hook_id)
            self._last = hook_id
            if compared >= MOST_COMPARED:
                break


def _note_runs_in_progress(queues: HookQueues, now: float) -> None:
    present = time.monotonic()
    for queue in queues.values():
        queue.loops.runs.begun = [now - (present - each.began_at) for each in queue.running if each.began_at < inf]


def _compare(queues: HookQueues, hook_id: int) -> int:
    """Compare the sample of a hook with the runs of the others; how many comparisons that took.

    A hook for the table of the change is left out: it would trigger itself.
    """
    watch = queues[hook_id].loops
    watch.forget_others(queues)
    sample = watch.take_sample(max(MOST_COMPARED // len(queues), 1))
    for change in sample:
        for cause, queue in queues.items():
            if change.table.id not in queue.hook.content_type_ids:
                watch.compare(change, cause, queue.loops)
    watch.compared()
    return len(sample) * len(queues)


def _try(queues: HookQueues, hook_id: int) -> None:
    """Have a hook tried if it is the first one of a cycle."""
    watch = queues[hook_id].loops
    for cause in watch.suspects():
        if others := _path(queues, hook_id, cause):
            watch.try_with(cause, tuple(queues[id_].hook.name for id_ in others))
            return


def _path(queues: HookQueues, first: int, cause: int) -> list[int]:
    """The other hooks of a shortest cycle, in order, up to ``cause``; none if ``first`` is not the least id of them."""
    ways: dict[int, list[int]] = {cause: [cause]} if cause > first else {}
    waiting = deque(ways)
    while waiting:
        hook_id = waiting.popleft()
        for before in queues[hook_id].loops.suspects():
            if before == first:
                return ways[hook_id]
            if before > first and before in queues and before not in ways:
                ways[before] = [before, *ways[hook_id]]
                waiting.append(before)
    return []
