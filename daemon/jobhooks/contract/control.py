"""Exceptions that control a delivery: raised by a receiver, or raised in it at a time limit."""

from math import isfinite

LONGEST_RETRY = 366 * 86_400.0  # seconds


class Retry(Exception):
    """Raised by a receiver: roll back its writes, and retry in ``after`` seconds, at most a year.

    It counts as an attempt. Without ``after``, the usual backoff applies.

    Raises:
        ValueError: ``after`` is not a number of seconds from 0 to a year.
    """

    def __init__(self, after: float | None = None, reason: str = "the receiver asked to be run again") -> None:
        if after is not None and not (isfinite(after) and 0 <= after <= LONGEST_RETRY):
            raise ValueError(f"Retry(after={after!r}): after is in seconds, from 0 to {LONGEST_RETRY:.0f}")
        super().__init__(reason)
        self.after = after


class Discard(Exception):
    """Raised by a receiver: roll back its writes, and do not retry; ``reason`` is stored."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)


class LoggedFailure(Exception):
    """Passed to ``on_failure`` if a receiver logged a failure and raised nothing; its text is the message."""


class SoftTimeLimitExceeded(Exception):
    """Raised in a receiver at its ``soft_time_limit``, so that it can clean up before its ``time_limit``."""

    def __init__(self, seconds: float) -> None:
        super().__init__(f"the receiver ran for its soft time limit of {seconds:g} seconds")


class Cancelled(Exception):
    """The error of a run that a person has ended, with ``jobhooks delivery cancel``. It is not attempted again.

    Its text says who, when and why.
    """


class TimeLimitExceeded(Exception):
    """The error of a run that was ended at its ``time_limit``."""

    def __init__(self, seconds: float) -> None:
        super().__init__(f"the receiver was ended at its time limit of {seconds:g} seconds")
        self.seconds = seconds


class WorkerDied(Exception):
    """The worker process ended while it ran the receiver. ``code``: its exit code, if it had begun to import it."""

    code: int | None = None
