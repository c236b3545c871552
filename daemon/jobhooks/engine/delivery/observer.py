"""Observers: objects that get the engine's events. The log is one; metrics and traces can be others.

An event that no observer overrides costs one comparison. An event that one observer overrides is one call.
"""

from collections.abc import Callable, Sequence
from typing import Any, Protocol

from jobhooks.contract.change import Change
from jobhooks.engine.delivery.delivery import Delivery
from jobhooks.engine.delivery.outcome import Outcome
from jobhooks.runtime.event_log import get_logger

log = get_logger()


class Observer(Protocol):
    """Gets the engine's events. Inherit from this class and override the events that you need.

    Events come in the engine's event loop, between two steps of a delivery: return within microseconds, and never wait.
    The events of one delivery come in this order:

    - ``delivery_started``, when a hook task takes the delivery from the queue
    - ``parked``, if the attempt runs for so long that the delivery gets a backlog entry; the attempt goes on
    - ``attempt_finished``, or ``delivery_returned`` if the delivery went back to the queue without an attempt
    - ``settled``, when the result has committed

    A delivery can also be parked without an attempt, when it waits behind one that failed or runs for long. Deliveries
    that are coalesced into another one have only the event ``settled``.
    """

    def leadership_gained(self, leader: int) -> None:
        """This daemon leads, as number ``leader``, and is about to deliver."""

    def leadership_lost(self) -> None:
        """This daemon no longer leads: it lost the database, another one took over, or it stops."""

    def reconnected(self) -> None:
        """The database is back after it was lost. The daemon may have to stand by before it leads again."""

    def changes_read(self, changes: Sequence[Change]) -> None:
        """A page of the log was read, with these changes, in order of id; at least one."""

    def delivery_started(self, delivery: Delivery) -> None:
        """An attempt at this delivery begins."""

    def delivery_returned(self, delivery: Delivery) -> None:
        """The delivery went back to the queue without an attempt. It starts again, or is parked."""

    def attempt_finished(self, delivery: Delivery, outcome: Outcome | None) -> None:
        """An attempt has ended; its result may not have committed yet. No outcome: the delivery had a result."""

    def settled(self, delivery: Delivery, outcome: Outcome | None) -> None:
        """The result of an attempt has committed. Without an outcome, the delivery had a result already.

        If ``outcome.raised``, the delivery has a backlog entry, and is attempted again or dead.
        """

    def parked(self, delivery: Delivery) -> None:
        """The delivery has a backlog entry, which has committed."""


class Observers:
    """The handler of each event, if an observer overrides the event; callers check that before they call.

    ``log`` is called directly. Each of the ``others`` is guarded: an
    exception that it raises is logged, and delivering goes on.
    """

    def __init__(self, log: Observer, *others: Observer) -> None:
        def handler(event: str) -> Callable[..., None] | None:
            return _composed([(log, False), *((other, True) for other in others)], event)

        self.leadership_gained: Callable[[int], None] | None = handler("leadership_gained")
        self.leadership_lost: Callable[[], None] | None = handler("leadership_lost")
        self.reconnected: Callable[[], None] | None = handler("reconnected")
        self.changes_read: Callable[[Sequence[Change]], None] | None = handler("changes_read")
        self.delivery_started: Callable[[Delivery], None] | None = handler("delivery_started")
        self.delivery_returned: Callable[[Delivery], None] | None = handler("delivery_returned")
        self.attempt_finished: Callable[[Delivery, Outcome | None], None] | None = handler("attempt_finished")
        self.settled: Callable[[Delivery, Outcome | None], None] | None = handler("settled")
        self.parked: Callable[[Delivery], None] | None = handler("parked")


def _composed(observers: Sequence[tuple[Observer, bool]], event: str) -> Callable[..., None] | None:
    """One callable for the observers that override an event, if there are any; the flag says which ones to guard."""
    handlers: list[Callable[..., None]] = []
    for observer, guard in observers:
        if getattr(type(observer), event) is not getattr(Observer, event):
            handlers.append(_guarded(observer, event) if guard else getattr(observer, event))
    if len(handlers) <= 1:
        return handlers[0] if handlers else None

    def call_each(*arguments: Any) -> None:
        for each in handlers:
            each(*arguments)

    return call_each


def _guarded(observer: Observer, event: str) -> Callable[..., None]:
    method = getattr(observer, event)

    def call(*arguments: Any) -> None:
        try:
            method(*arguments)
        except Exception:  # an observer must not stop deliveries
            log.exception("observer_failed", observer=type(observer).__name__, failed_in=event)

    return call
