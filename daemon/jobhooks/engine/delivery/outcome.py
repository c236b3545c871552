"""What an attempt at a delivery did: data and pure decisions."""

import time
import traceback
from decimal import Decimal

import msgspec

from jobhooks.contract.choices import JobResultStatus
from jobhooks.contract.control import Discard, Retry
from jobhooks.contract.log import LogEntry, ReceiverLog, clean_text
from jobhooks.contract.redaction import redact

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


def failed_after(outcome: Outcome, clock: Clock, exc: BaseException, *, sensitive: bool = False) -> Outcome:
    """Turn an outcome into a failure with the same log lines: its result cannot be recorded, or cannot commit."""
    log = ReceiverLog()
    log.entries = list(outcome.log)
    return failed(outcome.started_at, clock, log, exc, sensitive=sensitive)
