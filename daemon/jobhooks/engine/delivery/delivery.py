"""A delivery in memory, one change for one hook, and the page of the log that it was read with."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

import msgspec

from jobhooks.contract.change import Change
from jobhooks.contract.choices import ObjectChangeActionChoices, Ordering
from jobhooks.contract.content_type import ContentType
from jobhooks.contract.run import DeliveryIdentity
from jobhooks.engine.delivery.call import Call
from jobhooks.engine.delivery.cursor import Cursor
from jobhooks.engine.delivery.lane import LaneKey, lane_keys, ordering_keys
from jobhooks.engine.delivery.state import State
from jobhooks.matching.hook_table import Hook
from jobhooks.matching.parent_updates import Updates, parent_updates, updates_of

PAGE_BYTES = 16_000_000  # of snapshots: a page of huge rows is a short one
OBJECT = Ordering.OBJECT
UPDATE = ObjectChangeActionChoices.ACTION_UPDATE
Wants = Callable[[Change], bool]


class Delivery(msgspec.Struct, eq=False):
    """One change for one hook. ``attempts`` have a result, and ``failures`` of them count against the hook's limit.

    - ``state``: changed by ``HookQueue`` only
    - ``has_row``: it has a backlog row, or gets one with the next settle batch, although it is in memory: it was loaded
      from the backlog (``is_loaded``), or has run for long
    - ``page``: the page that it keeps open until it is settled or parked
    - ``waits_for``: how many deliveries are before it in its lanes; ``followers`` are those directly behind it
    - ``began_at``: when a hook task took it, by the monotonic clock
    - ``merged``: backlog rows behind it, of the same object, that are delivered with it as one change, ``shown``. If
      ``shown`` is None, they change nothing together.
    - ``further``: updates of further parents that the same change of a child is: the receiver is called for each
    - ``alone``: it runs by itself, because a batch or a group with it failed
    - ``lasting``: its last attempt failed with an error that time does not fix
    - ``call``: set by the runner while it calls the receiver
    - ``version``: of the receiver, set by the runner when it begins the last attempt; null if unknown
    """

    change: Change
    hook: Hook
    lanes: tuple[LaneKey, ...]
    attempts: int = 0
    failures: int = 0
    state: State = State.WAITING
    has_row: bool = False
    is_loaded: bool = False
    page: "Page | None" = None
    began_at: float = 0.0
    alone: bool = False
    lasting: bool = False
    call: Call | None = None
    merged: tuple["Delivery", ...] = ()
    shown: Change | None = None
    further: tuple[Change, ...] = ()
    version: int | None = None
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
    def changes(self) -> tuple[Change, ...]:
        """The subjects of the receiver's calls: one change, or the updates of several parents."""
        return (self.shown or self.change, *self.further)

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
    """A page of the log, and the positions before and after it.

    ``number``: pages are numbered in the order in which they were read. ``is_shared``: it belongs to the shared stream,
    not to that of one hook. ``opened_at``: by the loop's clock. ``open``: how many deliveries keep it open. ``bytes``:
    about how many bytes the rows of its deliveries have.
    """

    number: int
    before: Cursor
    after: Cursor
    is_shared: bool
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
    by_object = None
    deliveries: list[Delivery] = []
    for hook in hooks:
        if hook.limits.order_by is OBJECT:
            lanes = by_object = by_object or lane_keys(change, change.lane_keys())
        else:
            lanes = lane_keys(change, ordering_keys(change, hook))
        deliveries.append(Delivery(change, hook, lanes))
    return deliveries


def delivery_to_parents(hook: Hook, updates: Updates) -> Delivery:
    """The delivery of a change of a child to a hook of its parent, in the lanes of all rows that it updates."""
    lanes = dict.fromkeys(lane for update in updates for lane in lane_keys(update, ordering_keys(update, hook)))
    whole_table = next((lane for lane in lanes if lane[1] is None), None)
    return Delivery(updates[0], hook, tuple(lanes) if whole_table is None else (whole_table,), further=updates[1:])


def any_change(_change: Change) -> bool:
    """Want every change."""
    return True


def delivery_of(change: Change, hook: Hook, wants: Wants = any_change) -> Delivery | None:
    """The delivery that a change makes for one hook, no matter since when that is enabled; null without a match."""
    if change.content_type.id in hook.content_type_ids and change.action in hook.events and wants(change):
        return deliveries_of(change, [hook])[0]
    for updates in parent_updates(change) if UPDATE in hook.events else ():
        if updates[0].content_type.id in hook.content_type_ids and wants(updates[0]):
            return delivery_to_parents(hook, updates)
    return None


def delivery_of_row(change: Change, hook: Hook, content_type: ContentType) -> Delivery:
    """The delivery of a backlog row, which names the table of the object: the change's, or a parent of that."""
    if content_type.id == change.content_type.id:
        return deliveries_of(change, [hook])[0]
    return delivery_to_parents(hook, updates_of(change, content_type))
