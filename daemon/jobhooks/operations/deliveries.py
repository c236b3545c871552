"""Backlog as a person sees and decides about them, and settled changes that are delivered again."""

import datetime
from array import array
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import msgspec

from jobhooks.errors import Refused, UnknownHook
from jobhooks.operations.changes import ids_between
from jobhooks.store.connections import SyncConnection, call
from jobhooks.store.undecodable_text import call_readable

T = TypeVar("T")

BATCH = 1_000  # deliveries that are changed at once: a daemon that settles waits meanwhile
WINDOW = 100_000  # ids that are read at once
ROWS = 100  # changes whose rows are in memory at once


@dataclass(frozen=True)
class NamedHook:
    """A hook that was asked for by its name. ``enabled_since`` is a snapshot; ``runs``: hook and job are both on.

    ``columns`` and ``conditions``: what it asks of a change, where there are any.
    """

    id: int
    name: str
    job_id: int
    job: str
    events: list[str]
    enabled_since: str
    content_type_ids: list[int]
    runs: bool
    order_by: str
    order_columns: list[str]
    columns: list[str]
    conditions: str


@dataclass(frozen=True)
class Wanted:
    """Which debts are asked for; None: all. Tables are given by the ids of their content types."""

    change_ids: list[int] | None = None
    hook: NamedHook | None = None
    content_type_ids: list[int] | None = None
    status: str | None = None
    since: datetime.datetime | None = None
    until: datetime.datetime | None = None
    error: str | None = None


@dataclass(frozen=True)
class Owed:
    """A debt, by what tells it from others."""

    change_id: int
    hook_id: int
    status: str


@dataclass(frozen=True)
class ListedDelivery:
    """A debt. ``hook`` is None once it is gone, and so are ``action`` and ``time`` with the change.

    ``due_in_s``: seconds from now, negative if it is late; None unless it is waiting. ``error``: of the last attempt.
    """

    change_id: int
    hook: str | None
    table: str | None
    action: str | None
    time: datetime.datetime | None
    status: str
    attempts: int
    failures: int
    due_at: datetime.datetime | None
    due_in_s: float | None
    error: str | None
    parked_at: datetime.datetime


@dataclass(frozen=True)
class Attempt:
    """What an attempt did, with the lines that the receiver logged."""

    attempt: int
    status: str
    started_at: datetime.datetime
    duration_ms: float
    error: str | None
    traceback: str | None
    log: list[str]


@dataclass(frozen=True)
class Blocker:
    """The oldest debt that another one waits for, and how many it waits for in all."""

    change_id: int
    status: str
    debts: int


@dataclass(frozen=True)
class ShownDelivery(ListedDelivery):
    """A debt with all that is known of it. ``blocked_by`` is None unless it is blocked."""

    results: list[Attempt]
    blocked_by: Blocker | None


@dataclass(frozen=True)
class WantedReplay:
    """Which changes are to be delivered again, to which hook; None: all that can be."""

    hook: NamedHook
    content_type_ids: list[int] | None = None
    change_ids: list[int] | None = None
    since: datetime.datetime | None = None
    until: datetime.datetime | None = None


def hook_called(conn: SyncConnection, name: str) -> NamedHook:
    """Return a hook by its name.

    Raises:
        UnknownHook: there is none of that name.
    """
    rows = call(conn, "hook_called", name)
    if not rows:
        raise UnknownHook(f'there is no hook "{name}"')
    return NamedHook(*rows[0])


def owed(conn: SyncConnection, wanted: Wanted, limit: int | None = None) -> list[Owed]:
    """Return the debts that are wanted, by change, the youngest first; at most ``limit``."""
    hook_id = None if wanted.hook is None else wanted.hook.id
    rows = call(
        conn,
        "owed_deliveries",
        *(wanted.change_ids, hook_id, wanted.content_type_ids, wanted.status, wanted.since, wanted.until),
        *(wanted.error, limit),
    )
    return [Owed(*row) for row in rows]


def listed(conn: SyncConnection, wanted: Wanted, limit: int) -> list[ListedDelivery]:
    """Return the debts of the youngest changes that are wanted, oldest first."""
    chosen = owed(conn, wanted, limit)
    return [ListedDelivery(*row) for row in _by_identity(conn, chosen)]


def shown(conn: SyncConnection, change_id: int, hook: NamedHook | None) -> list[ShownDelivery]:
    """Return the debts of a change, or its debt to one hook.

    Raises:
        Refused: there are none.
    """
    chosen = sorted(owed(conn, Wanted([change_id], hook)), key=lambda debt: debt.hook_id)
    if not chosen:
        whom = "no hook" if hook is None else f'the hook "{hook.name}" no more, or never was'
        raise Refused(
            f"change {change_id} is owed to {whom}: jobhooks delivery list shows what is, and"
            f" jobhooks change show {change_id} what came of it"
        )
    found: list[ShownDelivery] = []
    for debt in chosen:
        for row in _by_identity(conn, [debt]):
            results = attempts(conn, change_id, debt.hook_id)
            blockers = call(conn, "blocker_of_delivery", change_id, debt.hook_id)
            blocker = Blocker(*blockers[0]) if blockers else None
            found.append(ShownDelivery(*row, results=results, blocked_by=blocker))
    return found


def attempts(conn: SyncConnection, change_id: int, hook_id: int) -> list[Attempt]:
    """Return what the attempts at a delivery did, the first one first."""
    return [Attempt(*row) for row in call(conn, "attempts_of_delivery", change_id, hook_id)]


def retry(conn: SyncConnection, debts: Sequence[Owed], done: Callable[[int], None]) -> int:
    """Have debts attempted at once; return how many of them still were debts. ``done`` is told of each batch.

    Raises:
        Forbidden, LockNotAvailable: the batches before are done.
    """
    # The oldest first, so that none is due before one that it must wait for.
    return sum(_changed(conn, "retry_deliveries", batch, done) for batch in batches(sorted(debts, key=_identity)))


def discard(conn: SyncConnection, debts: Sequence[Owed], reason: str | None, done: Callable[[int], None]) -> int:
    """Give debts up; return how many of them still were debts. ``done`` is told of each batch.

    Raises:
        Forbidden, LockNotAvailable: the batches before are done.
    """
    # The youngest first: the other way round, a batch would let one go on that the next one is to discard.
    youngest_first = sorted(debts, key=_identity, reverse=True)
    return sum(_changed(conn, "discard_deliveries", batch, done, reason) for batch in batches(youngest_first))


def replayable(conn: SyncConnection, wanted: WantedReplay) -> "array[int]":
    """Return the ids of the changes that are wanted and can be delivered to the hook again, in order."""
    ids = array("q")
    first, last = ids_between(conn, wanted.since, wanted.until)
    while True:
        rows = call(
            conn,
            "replayable_changes",
            *(wanted.hook.id, first, last, wanted.content_type_ids, wanted.change_ids, wanted.since, wanted.until),
            WINDOW,
        )
        ids.extend(id_ for (id_,) in rows)
        if len(rows) < WINDOW:
            return ids
        first = ids[-1] + 1


def logged_changes(conn: SyncConnection, ids: Sequence[int]) -> Iterator[tuple[Any, ...]]:
    """Yield changes with the columns that the daemon reads, in order of id; few are in memory at once."""
    for some in batches(ids, ROWS):
        yield from call_readable(conn, "logged_changes", list(some))


def content_types(conn: SyncConnection) -> list[tuple[Any, ...]]:
    """Return the watched tables with the columns that the daemon reads."""
    return call_readable(conn, "content_types")


def park_again(conn: SyncConnection, debts: Sequence[Mapping[str, object]]) -> int:
    """Owe deliveries again, which have the columns of jobhooks.park_again; return how many were not owed already.

    Raises:
        Forbidden, LockNotAvailable: none of them is.
    """
    ((parked,),) = call(conn, "park_again", msgspec.json.encode(debts).decode())
    return parked


def batches(items: Sequence[T], size: int = BATCH) -> Iterator[Sequence[T]]:
    """Return the items in parts of that size."""
    return (items[start : start + size] for start in range(0, len(items), size))


def _changed(
    conn: SyncConnection, name: str, debts: Sequence[Owed], done: Callable[[int], None], *parameters: object
) -> int:
    change_ids, hook_ids = [debt.change_id for debt in debts], [debt.hook_id for debt in debts]
    ((changed,),) = call(conn, name, change_ids, hook_ids, *parameters)
    done(len(debts))
    return changed


def _by_identity(conn: SyncConnection, debts: Sequence[Owed]) -> list[tuple[Any, ...]]:
    change_ids, hook_ids = [debt.change_id for debt in debts], [debt.hook_id for debt in debts]
    return call(conn, "deliveries_by_identity", change_ids, hook_ids)


def _identity(debt: Owed) -> tuple[int, int]:
    return debt.change_id, debt.hook_id
