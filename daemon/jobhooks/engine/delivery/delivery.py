"""A delivery in memory: one change owed to one hook, and what the engine must know of it until it is settled."""

from typing import TYPE_CHECKING

import msgspec

from jobhooks.contract.change import Change
from jobhooks.contract.run import DeliveryIdentity
from jobhooks.matching.hook_table import Hook

if TYPE_CHECKING:
    from jobhooks.engine.scheduling.open_pages import Page

# A lane: of which hook and table, and the key of the object, as JSON; None: the whole table.
LaneKey = tuple[int, int, bytes | None]


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
