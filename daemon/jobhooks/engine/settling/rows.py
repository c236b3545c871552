"""The parameters of ``settle``: the rows that a settle batch writes. Pure."""

from collections.abc import Sequence

from jobhooks.engine.delivery.delivery import Delivery
from jobhooks.engine.delivery.lane import lane_numbers
from jobhooks.engine.delivery.outcome import Outcome
from jobhooks.engine.delivery.retry import next_step
from jobhooks.engine.delivery.settle_batch import SettleBatch
from jobhooks.store.storable_text import storable, storable_json, storable_log

Row = dict[str, object]
COLUMNS = ("change_ids", "hook_ids", "job_ids", "attempts", "started_at", "finished_at")
NO_SUCCESSES: dict[str, Sequence[float]] = dict.fromkeys(COLUMNS, ())
# Until an entry is due again that was behind a younger one in memory and waits for nothing else.
REQUEUED_S = 1.0


def success_columns(batch: SettleBatch) -> dict[str, Sequence[float]]:
    """The successes that consist of numbers alone, as the six arrays that ``settle`` takes."""
    numbers = [
        (
            delivery.change.id,
            delivery.hook.id,
            delivery.hook.job_id,
            delivery.attempts + 1,
            outcome.started_at,
            outcome.finished_at,
        )
        for delivery, outcome in batch.successes
        if outcome.value is None
    ]
    return dict(zip(COLUMNS, zip(*numbers, strict=True), strict=True)) if numbers else NO_SUCCESSES


def other_rows(batch: SettleBatch, server_encoding: str | None) -> dict[str, list[Row]]:
    """Everything else, as the object that ``settle`` takes: results, log lines, and changes of the backlog.

    A kind without rows is left out.
    """
    results = [
        _result(delivery, outcome, server_encoding) for delivery, outcome in batch.failures if not outcome.recorded
    ]
    results += [
        _result(delivery, outcome, server_encoding)
        for delivery, outcome in batch.successes
        if outcome.value is not None
    ]
    parked = [parked_row(delivery) for delivery in batch.parked]
    parked += [failed_row(delivery, outcome) for delivery, outcome in batch.failures if outcome.raised]
    done = [delivery for delivery in batch.done if delivery.parked]
    done += [delivery for delivery, outcome in batch.failures if delivery.parked and not outcome.raised]
    done += [delivery for delivery, _ in batch.successes if delivery.parked]
    rows = {
        "results": results,
        "log": _log_rows(batch, server_encoding),
        "parked": parked,
        "paid": [{**_identity(delivery), "attempt": delivery.attempt} for delivery in done],
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
    }


def parked_row(delivery: Delivery) -> Row:
    """The backlog entry of a delivery that is parked without an attempt now.

    A running delivery is ``waiting``, and due: its entry must not wait for itself. An entry that does not block others
    waits for no others. It goes back to the backlog only because a younger one has been running for long, so it is due
    again after a pause: otherwise it would be loaded and parked over and over.
    """
    blocks = delivery.hook.blocks or not delivery.failures
    return {
        **_backlog_key(delivery),
        "attempts": delivery.attempts,
        "failures": delivery.failures,
        "attempted": False,
        "blocks": blocks,
        "status": "waiting" if delivery.running or not blocks else "blocked",
        "due_in": 0 if delivery.running or blocks else REQUEUED_S,
    }


def failed_row(delivery: Delivery, outcome: Outcome) -> Row:
    """The backlog entry that a failure leaves: due after its backoff, or dead."""
    hook = delivery.hook
    step = next_step(delivery.failures + 1, hook.limits.max_attempts, hook.limits.backoff, outcome.retry_after)
    return {
        **_backlog_key(delivery),
        "attempts": delivery.attempt,
        "failures": delivery.failures + 1,
        "attempted": True,
        "blocks": hook.blocks,
        "status": "dead" if step.due_in is None else "waiting",
        "due_in": step.due_in,
    }


def _identity(delivery: Delivery) -> Row:
    return {"change_id": delivery.change.id, "hook_id": delivery.hook.id}


def _backlog_key(delivery: Delivery) -> Row:
    lane, other_lane = lane_numbers(delivery.lanes)
    return {
        **_identity(delivery),
        "content_type_id": delivery.change.content_type.id,
        "lane": lane,
        "other_lane": other_lane,
    }
