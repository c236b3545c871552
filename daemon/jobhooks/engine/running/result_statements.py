"""What an attempt at a delivery did, and how it is written down."""

import json
import time
import traceback
from collections.abc import Iterable, Sequence
from dataclasses import replace
from decimal import Decimal

import msgspec

from jobhooks.contract.choices import JobResultStatus
from jobhooks.contract.control import Discard, Retry
from jobhooks.contract.log import LogEntry, ReceiverLog, clean_text
from jobhooks.contract.redaction import redact
from jobhooks.contract.run import DeliveryIdentity
from jobhooks.store.queries import filled, query

LARGEST_VALUE = 100_000  # bytes of what a receiver returned, as JSON

_encoder = msgspec.json.Encoder(decimal_format="number")
_decoder = msgspec.json.Decoder(object, float_hook=Decimal)


class Outcome(msgspec.Struct, frozen=True):
    """What an attempt did: whether it succeeded, why not, and what it logged; times are in seconds since 1970.

    ``recorded``: its result committed with what the receiver wrote. ``raised``: nothing that it wrote was kept, so that
    it is attempted again, after ``retry_after`` seconds if the receiver asked for that. A failure that was only logged
    is not attempted again, since what was written is kept. ``unsure``: the run was ended from outside, perhaps while it
    committed; then its own result stands. ``joined``: what it wrote, or read, is in a transaction that it shares.
    ``value``: what the receiver returned, as JSON; None where that was None, or is not to be stored.
    ``afterwards``: what it logged when its result was recorded already.
    """

    started_at: float
    finished_at: float
    status: JobResultStatus
    log: tuple[LogEntry, ...] = ()
    error: str | None = None
    traceback: str | None = None
    recorded: bool = False
    raised: bool = False
    retry_after: float | None = None
    unsure: bool = False
    joined: bool = False
    value: str | None = None
    afterwards: tuple[LogEntry, ...] = ()

    @property
    def undone(self) -> bool:
        """Whether nothing that it wrote may be kept."""
        return self.raised or self.status is JobResultStatus.DISCARDED


class Clock:
    """The database's clock, as far as is known here: by it results are dated, wherever their receivers ran."""

    def __init__(self, offset: float = 0.0) -> None:
        self._offset = offset

    def now(self) -> float:
        """Return seconds since 1970."""
        return time.time() + self._offset


def completed(
    started_at: float, clock: Clock, log: ReceiverLog, value: object = None, *, sensitive: bool = False
) -> Outcome:
    """Return the outcome of a receiver that returned ``value``: a failure where it logged one."""
    value_json = None if value is None or sensitive else _storable_value(value, log)
    if not log.entries:
        return Outcome(started_at, clock.now(), JobResultStatus.SUCCESS, value=value_json)
    error = log.failure_message()
    status = JobResultStatus.SUCCESS if error is None else JobResultStatus.FAILURE
    return Outcome(started_at, clock.now(), status, tuple(log.entries), error, value=value_json)


def _storable_value(value: object, log: ReceiverLog) -> str | None:
    """Return ``value`` as JSON; if that cannot be stored, say so in the log."""
    try:
        encoded = _encoder.encode(value)
        _decoder.decode(encoded)  # a Decimal that is NaN, or msgspec's Raw, is written as what is no JSON
    except (TypeError, ValueError, RecursionError, OverflowError, msgspec.MsgspecError) as exc:
        reason = f"it cannot be written as JSON: {exc}"
    else:
        if len(encoded) <= LARGEST_VALUE:
            return encoded.decode()
        reason = f"as JSON it has {len(encoded)} bytes, and at most {LARGEST_VALUE} are kept"
    log.warning("what was returned is not stored", reason)
    return None


def nothing_to_do(clock: Clock) -> Outcome:
    """Return the outcome of changes that were merged, and come to nothing."""
    now = clock.now()
    return Outcome(now, now, JobResultStatus.DISCARDED, error="merged with others, it changes nothing")


def failed(
    started_at: float, clock: Clock, log: ReceiverLog, exc: BaseException, *, sensitive: bool = False
) -> Outcome:
    """Return the outcome of a receiver that raised ``exc``. ``sensitive``: of that no more than its type is told."""
    entries = tuple(log.entries)
    message = "" if sensitive else redact(clean_text(exc))
    if isinstance(exc, Discard):
        reason = message or "discarded by the receiver"
        return Outcome(started_at, clock.now(), JobResultStatus.DISCARDED, entries, reason)
    error = f"{type(exc).__name__}: {message}" if message else type(exc).__name__
    lines = "".join(traceback.format_tb(exc.__traceback__) if sensitive else traceback.format_exception(exc))
    outcome = Outcome(
        started_at, clock.now(), JobResultStatus.FAILURE, entries, error, redact(clean_text(lines)), raised=True
    )
    if isinstance(exc, Retry):
        return msgspec.structs.replace(outcome, traceback=None, retry_after=exc.after)
    return outcome


def storable(text: str | None, server_encoding: str | None) -> str | None:
    """Return ``text`` in characters that the server's encoding has."""
    if text is None or server_encoding == "UTF8":
        return text
    return text.encode("ascii", "backslashreplace").decode()


def storable_json(text: str | None, server_encoding: str | None) -> str | None:
    """Return JSON in characters that the server's encoding has."""
    if text is None or server_encoding == "UTF8" or text.isascii():
        return text
    return json.dumps(json.loads(text))


def storable_log(log: tuple[LogEntry, ...], server_encoding: str | None) -> list[LogEntry]:
    """Return the lines in characters that the server's encoding has."""
    if server_encoding == "UTF8":
        return list(log)
    return [
        replace(
            entry,
            object=storable(entry.object, server_encoding),
            message=storable(entry.message, server_encoding) or "",
        )
        for entry in log
    ]


def says_only_success(outcome: Outcome) -> bool:
    """Return whether the outcome consists of numbers: then its result can be sent with the commit, as text."""
    return outcome.error is None and not outcome.log and outcome.value is None


def join_run(delivery: DeliveryIdentity, *, after: int) -> str:
    """Return the statements that let a run into a transaction in which ``after`` others have been."""
    statements = filled("next_run", f"'{delivery.mark}'")
    return statements if after == 1 else f"{query('keep_run')};\n{statements}"


def end_run(delivery: DeliveryIdentity, job_id: int, outcome: Outcome) -> str:
    """Return the statements that record such an outcome and commit."""
    numbers = (delivery.change_id, delivery.hook_id, job_id, delivery.attempt, outcome.started_at, outcome.finished_at)
    return filled("end_run", *map(repr, numbers))


def end_results(deliveries: Sequence[DeliveryIdentity], job_id: int, outcome: Outcome) -> str:
    """Return the statements that record such an outcome of one call for deliveries of one hook, and commit."""
    if len(deliveries) == 1:
        return end_run(deliveries[0], job_id, outcome)
    return end_runs([(delivery, job_id, outcome) for delivery in deliveries])


def end_runs(runs: list[tuple[DeliveryIdentity, int, Outcome]]) -> str:
    """Return the statements that record such outcomes of one hook, each with its job's id, and commit."""
    deliveries, job_ids, outcomes = zip(*runs, strict=True)
    return filled(
        "end_runs",
        _array(delivery.change_id for delivery in deliveries),
        repr(deliveries[0].hook_id),
        repr(job_ids[0]),
        _array(delivery.attempt for delivery in deliveries),
        _array(outcome.started_at for outcome in outcomes),
        _array(outcome.finished_at for outcome in outcomes),
    )


def _array(numbers: Iterable[float]) -> str:
    return f"'{{{','.join(map(repr, numbers))}}}'"


def results_parameters(
    deliveries: Sequence[DeliveryIdentity], job_id: int, outcome: Outcome, server_encoding: str | None
) -> tuple[object, ...]:
    """Return the parameters of the query ``record_results``: of one call, for many deliveries of a hook."""
    log = storable_log(outcome.log, server_encoding)
    return (
        [delivery.change_id for delivery in deliveries],
        deliveries[0].hook_id,
        job_id,
        [delivery.attempt for delivery in deliveries],
        outcome.status.value,
        outcome.started_at,
        outcome.finished_at,
        storable(outcome.error, server_encoding),
        msgspec.json.encode(log).decode() if log else None,
        storable_json(outcome.value, server_encoding),
    )
