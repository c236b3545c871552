"""What a hook has to do, as far as it is in memory."""

import asyncio
import time
from collections import deque
from dataclasses import dataclass, field

from jobhooks.engine.delivery.backlog_position import BacklogPosition
from jobhooks.engine.delivery.delivery import PAGE_BYTES, Delivery
from jobhooks.matching.hook_table import Hook

AT_A_TIME = 200  # deliveries of one hook that are in memory as debts; of their rows, as many bytes as a page has


@dataclass(slots=True, eq=False)
class HookQueue:
    """What a hook has to do. ``runners`` are tasks that take from ``ready``, at most as many as the hook may have.

    ``in_debt``: it may have debts, so that what comes must be compared with them. ``behind``: it has more of them than
    fit in memory: what comes is parked at once, and its queue comes from its debts alone, in order. ``unwritten``: so
    many of its deliveries are to become debts, or other debts, with the next batch. ``abandoned``: so many are in no
    lane any more, and no debts yet. ``begun``: those that run, or have run and are not settled. ``taken_up``: debts of
    it in memory, with ``taken_bytes`` of rows; ``position``: up to which they were searched. ``gathering``: set for
    whoever waits for more of its deliveries, to put them into a batch.
    """

    hook: Hook
    ready: deque[Delivery] = field(default_factory=deque[Delivery])
    runners: int = 0
    begun: set[Delivery] = field(default_factory=set[Delivery])
    in_debt: bool = False
    behind: bool = False
    unwritten: int = 0
    abandoned: int = 0
    taken_up: int = 0
    taken_bytes: int = 0
    gathering: asyncio.Event | None = None
    position: BacklogPosition = field(default_factory=BacklogPosition)

    def begin(self, delivery: Delivery) -> None:
        """Take note that a delivery runs from now on."""
        delivery.hook = self.hook  # with the limits that its job has by now
        delivery.running = True
        delivery.began_at = time.monotonic()
        self.begun.add(delivery)

    def has_more(self, debt: Delivery) -> None:
        """Count a debt that is in memory now."""
        self.taken_up += 1
        self.taken_bytes += debt.change.size

    def has_less(self, debt: Delivery) -> None:
        """Count one that is not any more."""
        self.taken_up -= 1
        self.taken_bytes -= debt.change.size

    @property
    def could_use_debts(self) -> bool:
        """Whether it has few debts in memory."""
        return self.taken_up <= AT_A_TIME // 2 and self.taken_bytes <= PAGE_BYTES


HookQueues = dict[int, HookQueue]  # by the hook's id
