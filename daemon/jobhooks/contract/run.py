"""One run of a receiver: which attempt it is, its log, and how it reaches the database."""

import re
from collections.abc import Callable, Iterator, Sequence
from contextvars import ContextVar
from dataclasses import dataclass, field
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Generic, NamedTuple, Protocol

from typing_extensions import TypeVar

from jobhooks.contract.content_type import ContentType
from jobhooks.contract.log import ReceiverLog
from jobhooks.contract.nautobot.identities import ChangeOrigin

if TYPE_CHECKING:
    import psycopg
    import psycopg.rows

# Characters with a meaning in SQL or for a driver, which may take %, : and ? for the place of a parameter.
SPECIAL = re.compile(r"[^\w .@+\-]", re.ASCII)
UNREADABLE = "\N{REPLACEMENT CHARACTER}"  # in place of bytes that are no text; not every server can store it

ConnectionT = TypeVar("ConnectionT", default="psycopg.Connection[psycopg.rows.TupleRow]")


class _HookIdentity(NamedTuple):
    id: int
    name: str


class HookIdentity(_HookIdentity):
    """The job hook that a run is for: its ``id``, ``name`` and ``data``. ``read`` makes an object of the data."""

    read: Callable[[], Any] = dict

    @property
    def data(self) -> Any:
        """The hook's data: a new object of the receiver's ``class Data``, or without one a dict.

        Raises:
            InvalidHookData: the class does not take them.
        """
        return self.read()


class DeliveryIdentity(NamedTuple):
    """Identifies one attempt at one delivery."""

    change_id: int
    hook_id: int
    attempt: int

    @property
    def mark(self) -> str:
        """The three numbers as a text, with which the mark of the run's writes begins: see ``mark_of``."""
        return f"{self.change_id}:{self.hook_id}:{self.attempt}"


def mark_of(delivery: DeliveryIdentity, changes: Sequence[ChangeOrigin]) -> str:
    """The text that marks the writes of a run for these changes; it has their depth in a chain if that exceeds 1."""
    depth = 0
    for change in changes:
        if change.depth > depth:
            depth = change.depth
    return f"{delivery.mark}:{depth + 1}" if depth else delivery.mark


def idempotency_key(change_id: int, hook_id: int, part: int = 0) -> str:
    """Build a key that is the same for every attempt at a delivery and different for every other delivery.

    ``part``: of a change that updates several parents, which of them, from 0 on.
    """
    return f"{change_id}:{hook_id}:{part + 1}" if part else f"{change_id}:{hook_id}"


class ChangeReader(Protocol):
    """Reads for a change, through the connection of a run. In an ``async def`` receiver each method is awaited."""

    def previous(self, change_id: int, content_type: ContentType, /) -> Any:
        """The change of the same object before one."""
        ...

    def next(self, change_id: int, content_type: ContentType, /) -> Any:
        """The change of the same object after one."""
        ...

    def related(self, change_id: int, content_type: ContentType, /) -> Any:
        """The other changes of the object of a change."""
        ...

    def changed_object(self, change: Any, /) -> Any:
        """The live row of a change."""
        ...


@dataclass(slots=True)
class Run(Generic[ConnectionT]):
    """The engine's side of one run of a receiver.

    ``connect`` opens the connection of the run's transaction. ``change_id``: the change that the receiver sees, if it
    differs from the delivery's: the last of several merged ones. ``reader`` reads for a change; in an ``async def``
    receiver its methods return awaitables. ``hook_data``: the hook's data, as JSON; empty: no data.
    ``change``: that change, the first one of a batch. ``ended``: the receiver has returned, and a task or a thread that
    it left belongs to no run. ``changes``: those that the receiver sees. ``part``: the parent that it is called for, if
    the change updates several.
    """

    delivery: DeliveryIdentity
    connect: Callable[[], ConnectionT]
    log: ReceiverLog = field(default_factory=ReceiverLog)
    change_id: int | None = None
    hook_name: str = ""
    reader: ChangeReader | None = None
    change: ChangeOrigin | None = None
    ended: bool = False
    changes: Sequence[ChangeOrigin] = ()
    hook_data: str = ""
    part: int = 0


# The current run of this task, thread or process. Runners set it before they call a receiver and clear it afterwards.
current_run: ContextVar[Run[Any] | None] = ContextVar("current_run", default=None)


def settings_of(changes: Sequence[ChangeOrigin]) -> Iterator[tuple[str, str]]:
    """Yield the settings of the run's session, each with its value as SQL.

    A value that the changes of a batch do not share is left out: no one of them stands for the others.
    """
    return _settings(*_cause(changes))


def set_statements(changes: Sequence[ChangeOrigin]) -> str:
    """The settings as statements, for a transaction."""
    return _set_statements(*_cause(changes))


def _cause(changes: Sequence[ChangeOrigin]) -> tuple[str | None, str | None]:
    """The user and the request of changes, as far as they share them."""
    if len(changes) == 1:
        return changes[0].user_name, changes[0].request_id
    users = {change.user_name for change in changes}
    requests = {change.request_id for change in changes}
    return users.pop() if len(users) == 1 else None, requests.pop() if len(requests) == 1 else None


def _settings(user_name: str | None, request_id: str | None) -> Iterator[tuple[str, str]]:
    for name, value in (("user_name", user_name), ("request_id", request_id)):
        if value:
            yield f"jobhooks.{name}", literal(value)


@lru_cache(maxsize=256)  # successive changes often have the same user, and those of a request both
def _set_statements(user_name: str | None, request_id: str | None) -> str:
    return "; ".join(f"set local {name} = {value}" for name, value in _settings(user_name, request_id))


def literal(text: str) -> str:
    """A text as SQL, in any session and through any driver."""
    return f"E'{SPECIAL.sub(_escaped, text)}'"


def _escaped(match: re.Match[str]) -> str:
    character = match[0]
    if character.isascii():
        return f"\\x{ord(character):02x}"
    return "?" if character == UNREADABLE else character
