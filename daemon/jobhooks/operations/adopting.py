"""Adopts a database that was moved or copied: it goes on here, or starts afresh."""

from dataclasses import dataclass

from jobhooks.errors import NothingToAdopt, TooFewTransactionIds
from jobhooks.schema.install import is_original
from jobhooks.store.connections import SyncConnection, call
from jobhooks.store.locking import call_with_lock

USED_UP = 1000  # transaction ids by one statement


@dataclass(frozen=True)
class Owed:
    """What a hook has not delivered: unread changes, and rows of the backlog. ``complete``: all were counted."""

    hook: str
    unread: int
    complete: bool
    waiting: int
    dead: int


@dataclass(frozen=True)
class Adoption:
    """What an adoption is about.

    ``recorded``, ``here``: the place that the log is of, and this one, if they differ. ``ids_survived``: this server
    goes on with the transaction ids of the former one.
    """

    recorded: str | None
    here: str | None
    ids_survived: bool
    hooks: list[Owed]


def plan_adoption(conn: SyncConnection, place: str | None = None) -> Adoption:
    """Look up what is owed, and how reading would go on. ``place``: see configured_place.

    Raises:
        NothingToAdopt: the database was neither moved nor copied.
    """
    ((recorded, here, is_same),) = call(conn, "places", configured=place)
    if is_same and is_original(conn):
        raise NothingToAdopt("there is nothing to adopt: this database was neither moved nor copied")
    ((survived,),) = call(conn, "transaction_ids_survived")
    owed = [Owed(*row) for row in call(conn, "owed_deliveries")]
    return Adoption(*((None, None) if is_same else (recorded, here)), survived, owed)


def adopt(conn: SyncConnection, place: str | None = None) -> None:
    """Start afresh in a copied database: the changes in its log count as read, and the backlog is dropped.

    ``place``: see configured_place.

    Raises:
        NothingToAdopt: the database was neither moved nor copied.
        LockNotAvailable: a transaction that has written stays open.
    """
    _note_place(conn, place)
    call_with_lock(conn, "adopt")


def adopt_moved(conn: SyncConnection, place: str | None = None) -> bool:
    """Go on in a database that was moved; whether the server goes on with its transaction ids.

    ``place``: see configured_place.

    Raises:
        NothingToAdopt: the database was neither moved nor copied.
        LockNotAvailable: a transaction that has written stays open.
    """
    _note_place(conn, place)
    try:
        return _adopt_moved(conn)
    except TooFewTransactionIds:
        ((needed,),) = call(conn, "count_moved_transactions")
        for _ in range(needed // USED_UP + 1):
            call(conn, "use_up_transaction_ids")
        return _adopt_moved(conn)


def _note_place(conn: SyncConnection, place: str | None) -> None:
    """Note that this place is another one than that of the log, if no daemon has done so."""
    call(conn, "other_place", configured=place)


def _adopt_moved(conn: SyncConnection) -> bool:
    ((survived,),) = call_with_lock(conn, "adopt_moved")
    return survived
