"""The part of a hook's work that is in memory: ready deliveries, running ones, and loaded backlog."""

import asyncio
import time
from collections import deque
from dataclasses import dataclass, field

from jobhooks.engine.delivery.backlog_position import BacklogPosition
from jobhooks.engine.delivery.delivery import PAGE_BYTES, Delivery
from jobhooks.matching.hook_table import Hook

MOST_LOADED = 200  # backlog entries of one hook in memory; their rows have about as many bytes as a page at most


@dataclass(slots=True, eq=False)
class HookQueue:
    """The work of one hook that is in memory.

    ``tasks``: how many tasks take from ``ready``, at most the hook's concurrency. ``begun``: deliveries that run, or
    have run and are not settled. ``gathering``: set while a task completes a batch; wakes it for each new delivery.

    Its backlog, the entries in the database:

    - ``has_backlog``: it may have entries, so each new delivery is compared with them.
    - ``behind``: it has more entries than fit in memory. New deliveries are parked, and its work comes from the backlog
      alone, in order.
    - ``unwritten``: how many of its deliveries get a new or changed entry with the next settle batch.
    - ``in_transit``: how many deliveries have left their lanes and have no entry yet.
    - ``loaded``: how many entries are in memory, with ``loaded_bytes`` of rows; ``backlog_position``: the point up to
      which the backlog has been searched.
    """

    hook: Hook
    ready: deque[Delivery] = field(default_factory=deque[Delivery])
    tasks: int = 0
    begun: set[Delivery] = field(default_factory=set[Delivery])
    has_backlog: bool = False
    behind: bool = False
    unwritten: int = 0
    in_transit: int = 0
    loaded: int = 0
    loaded_bytes: int = 0
    gathering: asyncio.Event | None = None
    backlog_position: BacklogPosition = field(default_factory=BacklogPosition)

    def begin(self, delivery: Delivery) -> None:
        """Mark a delivery as running."""
        delivery.hook = self.hook  # with the current limits of its job
        delivery.running = True
        delivery.began_at = time.monotonic()
        self.begun.add(delivery)

    def count_loaded(self, entry: Delivery) -> None:
        """Count a backlog entry that has been loaded."""
        self.loaded += 1
        self.loaded_bytes += entry.change.size

    def count_released(self, entry: Delivery) -> None:
        """Count a backlog entry that has left memory."""
        self.loaded -= 1
        self.loaded_bytes -= entry.change.size

    @property
    def wants_backlog(self) -> bool:
        """Whether little of its backlog is loaded."""
        return self.loaded <= MOST_LOADED // 2 and self.loaded_bytes <= PAGE_BYTES


HookQueues = dict[int, HookQueue]  # by the hook's id
