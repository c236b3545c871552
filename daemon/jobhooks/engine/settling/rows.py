"""The parameters of ``settle``: the rows that a settle batch writes. Pure."""

from collections.abc import Sequence
from math import inf

from jobhooks.engine.delivery.backlog_row import BacklogRow
from jobhooks.engine.delivery.delivery import Delivery
from jobhooks.engine.delivery.outcome import Outcome
from jobhooks.engine.delivery.settle_batch import SettleBatch
from jobhooks.store.storable_text import storable, storable_json, storable_log

Row = dict[str, object]
COLUMNS = ("change_ids", "hook_ids", "job_ids", "attempts", "started_at", "finished_at", "versions")
NO_SUCCESSES: dict[str, Sequence[float | None]] = dict.fromkeys(COLUMNS, ())


def success_columns(batch: SettleBatch) -> dict[str, Sequence[float | None]]:
    """The successes that consist of numbers alone, as the seven arrays that ``settle`` takes.

    The last one has a single version if it is that of all, as it mostly is: that is cheaper to send and to read.
    """
    numbers = [
        (
            delivery.change.id,
            delivery.hook.id,
            delivery.hook.job_id,
            delivery.attempts + 1,
            outcome.started_at,
            outcome.finished_at,
            delivery.version,
        )
        for delivery, outcome in batch.successes
        if outcome.value is None
    ]
    if not numbers:
        return NO_SUCCESSES
    *columns, versions = zip(*numbers, strict=True)
    if versions.count(versions[0]) == len(versions):
        versions = versions[:1]
    return dict(zip(COLUMNS, (*columns, versions), strict=True))


def other_rows(batch: SettleBatch, server_encoding: str | None, now: float) -> dict[str, list[Row]]:
    """Everything else, as the object that ``settle`` takes: results, log lines, and changes of the backlog.

    A kind without rows is left out. ``now``: by the monotonic clock, in seconds.
    """
    results = [
        _result(delivery, outcome, server_encoding) for delivery, outcome in batch.failures if not outcome.recorded
    ]
    results += [
        _result(delivery, outcome, server_encoding)
        for delivery, outcome in batch.successes
        if outcome.value is not None
    ]
    attempted = {(delivery.change.id, delivery.hook.id) for delivery, outcome in batch.failures if outcome.raised}
    rows = {
        "results": results,
        "log": _log_rows(batch, server_encoding),
        "parked": [backlog_row(row, key in attempted, now) for key, row in batch.rows.items()],
        "done": [{**_identity(delivery), "attempt": delivery.attempt} for delivery in batch.done],
    }
    return {name: rows for name, rows in rows.items() if rows}


def _log_rows(batch: SettleBatch, server_encoding: str | None) -> list[Row]:
    logged = [
        (delivery, outcome)
        for delivery, outcome in [*batch.successes, *batch.failures]
        if outcome.log and not outcome.recorded
    ]
    return [
        {
            **_identity(delivery),
            "attempt": delivery.attempt,
            "line": number,
            "level": entry.level,
            "time": entry.time,
            "object": entry.object,
            "message": entry.message,
            "grouping": entry.grouping,
            "source": entry.source,
        }
        for delivery, outcome in logged
        for number, entry in enumerate(storable_log(outcome.log, server_encoding), 1)
    ]


def _result(delivery: Delivery, outcome: Outcome, server_encoding: str | None) -> Row:
    return {
        **_identity(delivery),
        "job_id": delivery.hook.job_id,
        "attempt": delivery.attempt,
        "status": outcome.status,
        "started_at": outcome.started_at,
        "finished_at": outcome.finished_at,
        "error": storable(outcome.error, server_encoding),
        "traceback": storable(outcome.traceback, server_encoding),
        "value": storable_json(outcome.value, server_encoding),
        "version": delivery.version,
    }


def backlog_row(row: BacklogRow, attempted: bool, now: float) -> Row:
    """A row of the backlog table. ``attempted``: it is written only if the result of its last attempt is, in the batch.

    Its time is stored as seconds from now, because the database has another clock.
    """
    return {
        "change_id": row.change_id,
        "hook_id": row.hook_id,
        "content_type_id": row.content_type_id,
        "lane": row.lane,
        "other_lane": row.other_lane,
        "attempts": row.attempts,
        "failures": row.failures,
        "lasting": row.lasting,
        "attempted": attempted,
        "blocks": row.blocks,
        "status": "dead" if row.is_dead else "waiting",
        "due_in": None if row.due == inf else max(0.0, row.due - now),
    }


def _identity(delivery: Delivery) -> Row:
    return {"change_id": delivery.change.id, "hook_id": delivery.hook.id}
