"""A delivery in memory: one change owed to one hook, and what the engine must know of it until it is settled."""

from collections.abc import Iterable
from dataclasses import dataclass, field

import msgspec

from jobhooks.contract.change import Change
from jobhooks.contract.choices import Ordering
from jobhooks.contract.run import DeliveryIdentity
from jobhooks.engine.delivery.cursor import Cursor
from jobhooks.engine.delivery.lane import LaneKey, lane_keys, ordering_keys
from jobhooks.matching.hook_table import Hook

PAGE_BYTES = 16_000_000  # of snapshots: a page of huge rows is a short one
OBJECT = Ordering.OBJECT


class Delivery(msgspec.Struct, eq=False):
    """One change owed to one hook. ``attempts`` have a result already, ``failures`` of them count against its limit.

    ``parked``: it is written down as a debt. ``page``: what waits for it to be settled or parked. ``waits_for`` counts
    the deliveries before it in its lanes, ``followers`` are those behind it. ``began_at``: when
    it began to run, by the loop's clock. ``gone``: not in memory's hands any more.

    ``merged``: debts behind it, of the same object, that are delivered with it as one change, ``shown``; None: together
    they change nothing. ``alone``: it is to be run by itself, since the batch that it was in has failed.
    """

    change: Change
    hook: Hook
    lanes: tuple[LaneKey, ...]
    attempts: int = 0
    failures: int = 0
    page: "Page | None" = None
    parked: bool = False
    running: bool = False
    began_at: float = 0.0
    gone: bool = False
    alone: bool = False
    merged: tuple["Delivery", ...] = ()
    shown: Change | None = None
    waits_for: int = 0
    followers: list["Delivery"] = msgspec.field(default_factory=list["Delivery"])

    @property
    def attempt(self) -> int:
        """The number of the attempt that is next, or runs."""
        return self.attempts + 1

    @property
    def identity(self) -> DeliveryIdentity:
        """The three numbers that name this attempt."""
        return DeliveryIdentity(self.change.id, self.hook.id, self.attempts + 1)

    @property
    def may_share(self) -> bool:
        """Whether it may run in one transaction with others: one call settles it, and nothing else."""
        return not self.merged and not self.alone

    @property
    def comes_to_nothing(self) -> bool:
        """Whether it is merged with others, and together they change nothing."""
        return bool(self.merged) and self.shown is None

    @property
    def identities(self) -> tuple[DeliveryIdentity, ...]:
        """The names of this attempt and of those of what is merged into it."""
        return (self.identity, *(each.identity for each in self.merged))


@dataclass(slots=True, eq=False)
class Page:
    """What was read at once. ``opened_at``: by the loop's clock. ``open``: how many of its deliveries keep it open.

    ``bytes``: of the rows of what it owes, about.
    """

    after: Cursor
    opened_at: float
    deliveries: list[Delivery] = field(default_factory=list[Delivery])
    open: int = 0
    bytes: int = 0

    def add(self, delivery: Delivery) -> None:
        """Keep the page open until this delivery is let go."""
        delivery.page = self
        self.deliveries.append(delivery)
        self.open += 1


def deliveries_of(change: Change, hooks: Iterable[Hook]) -> list[Delivery]:
    """The deliveries that a change makes for these hooks."""
    keys = change.lane_keys()
    return [
        Delivery(
            change, hook, lane_keys(change, hook.id, keys if hook.order_by is OBJECT else ordering_keys(change, hook))
        )
        for hook in hooks
    ]
