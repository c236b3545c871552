"""The outcome of an attempt at a delivery: data and pure decisions."""

import time
import traceback
from decimal import Decimal

import msgspec

from jobhooks.contract.choices import JobResultStatus
from jobhooks.contract.control import Cancelled, Discard, Retry
from jobhooks.contract.log import LONGEST_TEXT, LogEntry, ReceiverLog, clean_text
from jobhooks.contract.nautobot.exact_number import ExactNumber
from jobhooks.contract.redaction import redact
from jobhooks.engine.delivery.lasting_errors import RetryRules, is_lasting

LONGEST_TRACEBACK = 200_000  # characters
CHANGES_NOTHING = "merged with others, it changes nothing"  # the error of changes that cancel each other out
LARGEST_VALUE = 100_000  # bytes of a receiver's return value, as JSON


def _unencodable(value: object) -> object:
    """Encode a number of a snapshot; refuse other types."""
    if isinstance(value, ExactNumber):
        return Decimal(value)
    raise TypeError(f"Encoding objects of type {type(value).__name__} is unsupported")


_encoder = msgspec.json.Encoder(decimal_format="number", enc_hook=_unencodable)
_decoder = msgspec.json.Decoder(object, float_hook=Decimal)


class Outcome(msgspec.Struct, frozen=True):
    """The outcome of one attempt: its status, error and log lines. Times are in seconds since 1970.

    ``recorded``: the result committed with the receiver's writes. ``raised``: its writes were undone, and it is
    attempted again, after ``retry_after`` seconds if the receiver asked for that; it is dead if it was ``cancelled``. A
    failure that was only logged keeps its writes, so there is no other attempt. ``lasting``: time does not fix the
    error. ``unsure``: the run was ended from outside, possibly while it committed; then its own result stands.
    ``joined``: it used its connection, in a transaction that it may share. ``value``: the receiver's return value as
    JSON, null if there is no value to store. ``afterwards``: lines that it logged after its result was recorded.
    ``next_attempt_in``: the seconds until a failed delivery is attempted again, ``inf`` if it is dead; set when
    that is decided.
    """

    started_at: float
    finished_at: float
    status: JobResultStatus
    log: tuple[LogEntry, ...] = ()
    error: str | None = None
    traceback: str | None = None
    recorded: bool = False
    raised: bool = False
    cancelled: bool = False
    retry_after: float | None = None
    unsure: bool = False
    joined: bool = False
    value: str | None = None
    afterwards: tuple[LogEntry, ...] = ()
    lasting: bool = False
    next_attempt_in: float | None = None

    @property
    def may_call_on_dead(self) -> bool:
        """Whether it is a failure that no person knows of yet: the one who cancels a run does."""
        return self.raised and not self.cancelled

    @property
    def undone(self) -> bool:
        """Whether its writes must be undone."""
        return self.raised or self.status is JobResultStatus.DISCARDED


class Clock:
    """The database's clock, to date results wherever their receivers ran. ``offset``: seconds that it is ahead."""

    def __init__(self, offset: float = 0.0) -> None:
        self._offset = offset

    def now(self) -> float:
        """Seconds since 1970."""
        return time.time() + self._offset


def completed(
    started_at: float, clock: Clock, log: ReceiverLog, value: object = None, *, sensitive: bool = False
) -> Outcome:
    """The outcome of a receiver that returned ``value``: a failure if it logged one."""
    value_json = None if value is None or sensitive else _storable_value(value, log)
    if log.begun is not None:
        log.end_lines()
    if not log.entries:
        return Outcome(started_at, clock.now(), JobResultStatus.SUCCESS, value=value_json)
    error = log.failure_message()
    status = JobResultStatus.SUCCESS if error is None else JobResultStatus.FAILURE
    return Outcome(started_at, clock.now(), status, tuple(log.entries), error, value=value_json)


def _storable_value(value: object, log: ReceiverLog) -> str | None:
    """Encode ``value`` as JSON. If it cannot be stored, log a warning instead."""
    try:
        encoded = _encoder.encode(value)
        _decoder.decode(encoded)  # the encoder writes a NaN Decimal, or msgspec's Raw, as invalid JSON
    except (TypeError, ValueError, RecursionError, OverflowError, msgspec.MsgspecError) as exc:
        reason = f"it cannot be written as JSON: {exc}"
    else:
        if len(encoded) <= LARGEST_VALUE:
            return encoded.decode()
        reason = f"as JSON it has {len(encoded)} bytes, and at most {LARGEST_VALUE} are kept"
    log.warning("what was returned is not stored", reason)
    return None


def nothing_to_do(clock: Clock) -> Outcome:
    """The outcome of merged changes that cancel each other out."""
    now = clock.now()
    return Outcome(now, now, JobResultStatus.DISCARDED, error=CHANGES_NOTHING)


def failed(
    started_at: float,
    clock: Clock,
    log: ReceiverLog,
    exc: BaseException,
    *,
    sensitive: bool = False,
    rules: RetryRules | None = None,
    pause: float | None = None,
) -> Outcome:
    """The outcome of a receiver that raised ``exc``. ``sensitive``: keep only the type of the error.

    ``pause``: the seconds before the next attempt that the receiver has computed.
    """
    if log.begun is not None:
        log.end_lines()
    entries = tuple(log.entries)
    message = "" if sensitive and type(exc) is not Cancelled else redact(clean_text(exc))
    if isinstance(exc, Discard):
        reason = message or "discarded by the receiver"
        return Outcome(started_at, clock.now(), JobResultStatus.DISCARDED, entries, reason)
    error = f"{type(exc).__name__}: {message}" if message else type(exc).__name__
    lines = _traceback(exc, sensitive=sensitive)
    outcome = Outcome(
        started_at,
        clock.now(),
        JobResultStatus.FAILURE,
        entries,
        error,
        redact(clean_text(lines, LONGEST_TRACEBACK)),
        raised=True,
        retry_after=pause,
        lasting=is_lasting(exc, rules),
    )
    if isinstance(exc, Retry):
        return msgspec.structs.replace(outcome, traceback=None, retry_after=pause if exc.after is None else exc.after)
    if isinstance(exc, Cancelled):
        return msgspec.structs.replace(outcome, traceback=None, cancelled=True)
    return outcome


def _traceback(exc: BaseException, *, sensitive: bool) -> str:
    """The traceback, in which texts of errors are cut before they are joined."""
    if sensitive:
        return "".join(traceback.format_tb(exc.__traceback__))
    parts = traceback.TracebackException.from_exception(exc).format()
    return "".join(part if len(part) <= LONGEST_TEXT else f"{part[:LONGEST_TEXT]}...\n" for part in parts)


def failed_after(
    outcome: Outcome, clock: Clock, exc: BaseException, *, sensitive: bool = False, rules: RetryRules | None = None
) -> Outcome:
    """Turn an outcome into a failure with the same log lines: its result cannot be recorded, or cannot commit."""
    log = ReceiverLog()
    log.entries = list(outcome.log)
    return failed(outcome.started_at, clock, log, exc, sensitive=sensitive, rules=rules)
