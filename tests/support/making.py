"""Changes, hooks and deliveries for tests of decisions that need no database."""

import datetime
import json
from collections.abc import Iterable
from typing import Any

from jobhooks.contract.change import Change
from jobhooks.contract.choices import JobResultStatus, ObjectChangeActionChoices as Action
from jobhooks.contract.content_type import ContentType
from jobhooks.contract.job_settings import JobLimits
from jobhooks.engine.delivery.backlog_row import BacklogRow
from jobhooks.engine.delivery.cursor import Cursor
from jobhooks.engine.delivery.delivery import Delivery, deliveries_of, delivery_to_parents
from jobhooks.engine.delivery.outcome import Outcome
from jobhooks.matching.hook_table import Hook
from jobhooks.matching.parent_updates import update_of
from jobhooks.store.snapshot import Snapshot

DEVICE = ContentType(1, "public.device", "public", "device", ("id",), ("integer",))
Row = dict[str, Any]


def make_hook(number: int = 1, *, job_id: int | None = None, queue_limit: int = 1, **limits: Any) -> Hook:
    """A hook on the table device, for all events; ``limits``: of its job."""
    return Hook(
        *(f"h{number}", ["public.device"], "m.C", [action.value for action in Action]),
        id=number,
        job_id=10 + number if job_id is None else job_id,
        content_type_ids=frozenset({1}),
        enabled_since=Snapshot.parse("1:1:"),
        limits=JobLimits(**limits),
        queue_limit=queue_limit,
    )


def make_change(
    number: int, key: int = 1, *, before: Row | None = None, after: Row | None = None, transaction_id: int = 1
) -> Change:
    """A change of the device with this key: by default one that creates it."""
    if before is None and after is None:
        after = {}
    action = Action.ACTION_CREATE if before is None else Action.ACTION_DELETE if after is None else Action.ACTION_UPDATE
    rows = [None if row is None else json.dumps({"id": key, **row}) for row in (before, after)]
    now = datetime.datetime.now(datetime.UTC)
    return Change(number, transaction_id, now, DEVICE, action, "u", None, rows[0], rows[1])


def make_delivery(number: int, key: int = 1, hook: Hook | None = None, **state: Any) -> Delivery:
    """The delivery of such a change to a hook."""
    (delivery,) = deliveries_of(make_change(number, key), [hook or make_hook()])
    for name, value in state.items():
        setattr(delivery, name, value)
    return delivery


def make_cursor(last_id: int = 0, seen: str = "1:1:", horizon: str = "1:1:", first_id: int = 0) -> Cursor:
    """A position in the log."""
    return Cursor(seen, 0, horizon, 0, last_id, first_id)


def make_outcome(status: JobResultStatus = JobResultStatus.SUCCESS, **details: Any) -> Outcome:
    """The outcome of an attempt."""
    return Outcome(100.0, 101.0, status, **details)


def make_move(number: int, old: int, new: int, hook: Hook | None = None) -> Delivery:
    """The delivery of a change that gives a device another key."""
    (delivery,) = deliveries_of(make_change(number, before={"id": old}, after={"id": new}), [hook or make_hook()])
    return delivery


def make_update_of_many(number: int, keys: Iterable[int], hook: Hook | None = None) -> Delivery:
    """The delivery of a change of a child that updates the devices with these keys."""
    change = make_change(number)
    updates = tuple(update_of(change, DEVICE, json.dumps({"id": key}), part) for part, key in enumerate(keys))
    return delivery_to_parents(hook or make_hook(), updates)


def make_truncate(number: int, hook: Hook | None = None) -> Delivery:
    """The delivery of a truncate: it is for the whole table."""
    now = datetime.datetime.now(datetime.UTC)
    change = Change(number, 1, now, DEVICE, Action.ACTION_TRUNCATE, "u", None, None, None)
    (delivery,) = deliveries_of(change, [hook or make_hook()])
    return delivery


def make_row(
    number: int, lane: int | None = 7, other_lane: int | None = None, *, table: int = 1, **state: Any
) -> BacklogRow:
    """A backlog row that the table has, and that is due: of the change with this number, and a table's lane."""
    row = BacklogRow(number, 1, table, lane, other_lane, 1, written=True)
    for name, value in state.items():
        setattr(row, name, value)
    return row
