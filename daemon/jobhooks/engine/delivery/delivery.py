"""A delivery in memory, one change for one hook, and the page of the log that it was read with."""

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
    """One change for one hook. ``attempts`` have a result, and ``failures`` of them count against the hook's limit.

    - ``parked``: it has a backlog entry, or gets one with the next settle batch
    - ``page``: the page that it keeps open until it is settled or parked
    - ``waits_for``: how many deliveries are before it in its lanes; ``followers`` are those directly behind it
    - ``running``: a hook task has it, since ``began_at`` by the loop's clock
    - ``withdrawn``: it was taken out of its lanes without being settled
    - ``merged``: backlog entries behind it, of the same object, that are delivered with it as one change, ``shown``. If
      ``shown`` is None, they change nothing together.
    - ``alone``: it runs by itself, because a batch with it failed
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
    withdrawn: bool = False
    alone: bool = False
    merged: tuple["Delivery", ...] = ()
    shown: Change | None = None
    waits_for: int = 0
    followers: list["Delivery"] = msgspec.field(default_factory=list["Delivery"])

    @property
    def attempt(self) -> int:
        """The number of the current or next attempt."""
        return self.attempts + 1

    @property
    def identity(self) -> DeliveryIdentity:
        """The three numbers that identify this attempt."""
        return DeliveryIdentity(self.change.id, self.hook.id, self.attempts + 1)

    @property
    def may_share(self) -> bool:
        """Whether it may share a transaction with others. One call settles it and nothing else."""
        return not self.merged and not self.alone

    @property
    def comes_to_nothing(self) -> bool:
        """Whether it is coalesced with others, and together they change nothing."""
        return bool(self.merged) and self.shown is None

    @property
    def identities(self) -> tuple[DeliveryIdentity, ...]:
        """The identities of this attempt and of those that are coalesced into it."""
        return (self.identity, *(each.identity for each in self.merged))


@dataclass(slots=True, eq=False)
class Page:
    """A page of the log, and the position after it.

    ``opened_at``: by the loop's clock. ``open``: how many deliveries keep it open. ``bytes``: about how many bytes the
    rows of its deliveries have.
    """

    after: Cursor
    opened_at: float
    deliveries: list[Delivery] = field(default_factory=list[Delivery])
    open: int = 0
    bytes: int = 0

    def add(self, delivery: Delivery) -> None:
        """Keep the page open until this delivery is settled or parked."""
        delivery.page = self
        self.deliveries.append(delivery)
        self.open += 1


def deliveries_of(change: Change, hooks: Iterable[Hook]) -> list[Delivery]:
    """The deliveries that a change makes for these hooks."""
    keys = change.lane_keys()
    return [
        Delivery(
            change,
            hook,
            lane_keys(change, hook.id, keys if hook.limits.order_by is OBJECT else ordering_keys(change, hook)),
        )
        for hook in hooks
    ]
