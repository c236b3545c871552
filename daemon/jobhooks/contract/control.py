"""What a receiver raises to say what should become of its delivery, and what is raised in it when its time is up."""

from math import isfinite

LONGEST_RETRY = 366 * 86_400.0  # seconds


class Retry(Exception):
    """Raised by a receiver: undo what was written, and attempt this again in ``after`` seconds, at most a year.

    It counts as an attempt. Without ``after``, as long as after any failure.

    Raises:
        ValueError: ``after`` is no number of seconds from now on, or more than a year.
    """

    def __init__(self, after: float | None = None, reason: str = "the receiver asked to be run again") -> None:
        if after is not None and not (isfinite(after) and 0 <= after <= LONGEST_RETRY):
            raise ValueError(f"Retry(after={after!r}): after is in seconds, from 0 to {LONGEST_RETRY:.0f}")
        super().__init__(reason)
        self.after = after


class Discard(Exception):
    """Raised by a receiver: undo what was written, and do not attempt this again; ``reason`` is kept."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)


class LoggedFailure(Exception):
    """What ``on_failure`` is told where a receiver logged a failure and raised nothing; its text is the message."""


class SoftTimeLimitExceeded(Exception):
    """Raised in a receiver that has run for its ``soft_time_limit``: the moment to clean up before ``time_limit``."""

    def __init__(self, seconds: float) -> None:
        super().__init__(f"the receiver ran for its soft time limit of {seconds:g} seconds")


class TimeLimitExceeded(Exception):
    """What a run fails with that has been ended at its ``time_limit``."""

    def __init__(self, seconds: float) -> None:
        super().__init__(f"the receiver was ended at its time limit of {seconds:g} seconds")
