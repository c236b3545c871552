"""One run of a receiver: which attempt it is, its log, and how it reaches the database."""

from collections.abc import Callable
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Generic, NamedTuple

from typing_extensions import TypeVar

from jobhooks.contract.content_type import ContentType
from jobhooks.contract.log import ReceiverLog
from jobhooks.contract.nautobot.identities import ChangeOrigin

if TYPE_CHECKING:
    import psycopg
    import psycopg.rows

ConnectionT = TypeVar("ConnectionT", default="psycopg.Connection[psycopg.rows.TupleRow]")


class HookIdentity(NamedTuple):
    """The job hook that a run is for."""

    id: int
    name: str


class DeliveryIdentity(NamedTuple):
    """Identifies one attempt at one delivery."""

    change_id: int
    hook_id: int
    attempt: int

    @property
    def mark(self) -> str:
        """The text that marks the run's writes, as ``jobhooks.delivery`` holds it."""
        return f"{self.change_id}:{self.hook_id}:{self.attempt}"


def idempotency_key(change_id: int, hook_id: int) -> str:
    """Build a key that is the same for every attempt at a delivery and different for every other delivery."""
    return f"{change_id}:{hook_id}"


@dataclass(slots=True)
class Run(Generic[ConnectionT]):
    """The engine's side of one run of a receiver.

    ``connect`` opens the connection of the run's transaction. ``change_id``: the change that the receiver sees, if it
    differs from the delivery's: the last of several merged ones. ``previous`` takes the id and the content type of a
    change and finds the previous change of the same object; in an ``async def`` receiver it returns an awaitable.
    ``change``: that change, the first one of a batch. ``ended``: the receiver has returned, and a task or a thread that
    it left belongs to no run.
    """

    delivery: DeliveryIdentity
    connect: Callable[[], ConnectionT]
    log: ReceiverLog = field(default_factory=ReceiverLog)
    change_id: int | None = None
    hook_name: str = ""
    previous: Callable[[int, ContentType], Any] | None = None
    change: ChangeOrigin | None = None
    ended: bool = False


# The current run of this task, thread or process. Runners set it before they call a receiver and clear it afterwards.
current_run: ContextVar[Run[Any] | None] = ContextVar("current_run", default=None)
