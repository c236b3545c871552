"""When to attempt a failed delivery again. Pure decisions."""

import random
from dataclasses import dataclass

from jobhooks.contract.job_settings import JobLimits

LONGEST = 3600.0  # seconds between two attempts
USUAL = 1.0  # seconds before the second attempt, without a setting
# Seconds before an attempt to reach a database.
FIRST_WAIT = 0.1
LONGEST_WAIT = 2.0  # so that deliveries go on soon after a restart or a failover
LONGEST_REFUSED_WAIT = 30.0  # every attempt is a line in the server's log
JITTER = 0.2  # so that deliveries that failed together do not come back together


@dataclass(frozen=True)
class NextStep:
    """The fate of a failed delivery: attempted again in ``due_in`` seconds, or dead if there is no ``due_in``."""

    due_in: float | None


def next_step(failures: int, limits: JobLimits, retry_after: float | None = None, *, lasts: bool = False) -> NextStep:
    """Decide after the ``failures``-th failure in a row. ``retry_after``: seconds, set by the receiver.

    ``lasts``: this error and the one before are of kinds that time does not fix, so the delivery is dead.

    Without ``retry_after``, the delay is ``backoff * 2 ** (failures - 1)``, at most an hour, less or more by up to a
    fifth. With the default backoff of 1 that is 1, 2, 4, 8, 16, 32 seconds; 1, 2, 4, 9, 17, 34 minutes; then an hour:
    15 attempts take three hours. A list of delays is used one by one.
    """
    if lasts or failures >= limits.max_attempts:
        return NextStep(None)
    if retry_after is not None:
        return NextStep(retry_after)
    return NextStep(_delay(failures, limits) * random.uniform(1 - JITTER, 1 + JITTER))  # noqa: S311 - not a secret


def _delay(failures: int, limits: JobLimits) -> float:
    backoff = limits.backoff
    if isinstance(backoff, tuple):
        return backoff[min(failures, len(backoff)) - 1]
    # The receiver's function gave no delay: the run was ended from outside, or it failed itself.
    first = USUAL if isinstance(backoff, str) else backoff
    return min(first * 2 ** min(failures - 1, 60), LONGEST)


class Backoff:
    """The delays between attempts to reach a lost database: 0.2, 0.4, 0.8, 1.6, then 2 seconds each time.

    A server that refuses the role or the database is asked less and less often: up to every 30 seconds.
    """

    def __init__(self) -> None:
        self._delay = FIRST_WAIT

    def next(self, *, refused: bool = False) -> float:
        """The next delay, in seconds."""
        self._delay = min(2 * self._delay, LONGEST_REFUSED_WAIT if refused else LONGEST_WAIT)
        return self._delay * random.uniform(1 - JITTER, 1)  # noqa: S311 - not a secret

    def reset(self) -> None:
        """Start over with the shortest delay: the database is back."""
        self._delay = FIRST_WAIT
