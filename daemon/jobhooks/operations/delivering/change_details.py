"""One change with everything known about it: its rows, its cause, its results and its pending deliveries."""

from dataclasses import dataclass

import msgspec

from jobhooks.errors import Refused
from jobhooks.operations.delivering.attempts import ResultDetails
from jobhooks.operations.delivering.deliveries import PendingDelivery, deliveries_of_change
from jobhooks.operations.delivering.results import results_of_delivery
from jobhooks.store.captured_changes import ListedChange, listed_fields, raw_json
from jobhooks.store.connections import SyncConnection, call
from jobhooks.store.undecodable_text import call_readable


@dataclass(frozen=True)
class ChangeDetails(ListedChange):
    """A change in full. ``caused_by``: the change, hook and attempt of the run that made it, as JSON, or null.

    ``depth``: how deep in a chain it is, 0 if an application made it; null: no hook runs for it.
    """

    transaction_id: int
    session_role: str
    prechange: msgspec.Raw
    postchange: msgspec.Raw
    caused_by: msgspec.Raw
    refused_mark: str | None
    snapshot_error: str | None
    partition: str | None
    depth: int | None
    results: list[ResultDetails]
    deliveries: list[PendingDelivery]


def change_details(conn: SyncConnection, id_: int) -> ChangeDetails:
    """Look up one change.

    Raises:
        Refused: the log has no change of that id.
    """
    rows = call_readable(conn, "changes_by_id", ids=[id_])
    details = call_readable(conn, "change_details", id=id_)
    if not rows or not details:
        raise no_such_change(conn, id_)
    transaction_id, session_role, cause, refused_mark, snapshot_error, partition, depth = details[0]
    return ChangeDetails(
        *listed_fields(rows[0]),
        transaction_id=transaction_id,
        session_role=session_role,
        prechange=raw_json(rows[0][-2]),
        postchange=raw_json(rows[0][-1]),
        caused_by=raw_json(cause),
        refused_mark=refused_mark,
        snapshot_error=snapshot_error,
        partition=partition,
        depth=depth,
        results=results_of_delivery(conn, id_),
        deliveries=deliveries_of_change(conn, id_),
    )


def no_such_change(conn: SyncConnection, id_: int) -> Refused:
    """The error for a change that is not in the log, which names the ids that are."""
    first, last = call(conn, "log_ends")[0]
    extent = "it is empty" if first is None else f"it goes from {first} to {last}, and numbers can be missing"
    has_results = bool(call(conn, "result_ids_of_change", change_id=id_, hook_ids=None, attempt=None))
    remedy = f"jobhooks result show {id_}: its results are kept" if has_results else "jobhooks change list"
    return Refused(f"there is no change {id_} in the log: {extent}", remedy)
