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
    """What an adoption is about. ``ids_survived``: the server goes on with the transaction ids of the former place."""

    ids_survived: bool
    hooks: list[Owed]


def plan_adoption(conn: SyncConnection) -> Adoption:
    """Look up what is owed, and how reading would go on.

    Raises:
        NothingToAdopt: the database was neither moved nor copied.
    """
    if is_original(conn):
        raise NothingToAdopt("there is nothing to adopt: this database was neither moved nor copied")
    ((survived,),) = call(conn, "transaction_ids_survived")
    return Adoption(survived, [Owed(*row) for row in call(conn, "owed_deliveries")])


def adopt(conn: SyncConnection) -> None:
    """Start afresh in a copied database: the changes in its log count as read, and the backlog is dropped.

    Raises:
        NothingToAdopt: the database was neither moved nor copied.
        LockNotAvailable: a transaction that has written stays open.
    """
    call_with_lock(conn, "adopt")


def adopt_moved(conn: SyncConnection) -> bool:
    """Go on in a database that was moved; whether the server goes on with its transaction ids.

    Raises:
        NothingToAdopt: the database was neither moved nor copied.
        LockNotAvailable: a transaction that has written stays open.
    """
    try:
        return _adopt_moved(conn)
    except TooFewTransactionIds:
        ((needed,),) = call(conn, "count_moved_transactions")
        for _ in range(needed // USED_UP + 1):
            call(conn, "use_up_transaction_ids")
        return _adopt_moved(conn)


def _adopt_moved(conn: SyncConnection) -> bool:
    ((survived,),) = call_with_lock(conn, "adopt_moved")
    return survived
