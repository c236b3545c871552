"""The rate at which changes come, and for how long it pays to gather them before the next read. Pure."""

from collections.abc import Callable

# Above this rate, changes are gathered between two reads, for GATHER_S seconds per change per second of the excess:
# 5 ms at 4,000 changes a second, which makes pages of 20; 20 ms, the longest, from 10,000 on, which makes pages of 200.
GATHERED = 2000.0
GATHER_S = 0.000_002_5
LONGEST_GATHER_S = 0.02
MEASURED_S = 0.25  # the period of a measurement


class Rate:
    """Changes per second, over the last period. ``clock``: seconds, monotonic."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._since = clock()
        self._count = 0
        self._rate = 0.0

    def add(self, count: int) -> None:
        """Count changes."""
        self._count += count

    def now(self) -> float:
        """The rate of the last whole period, or of the current one if that is already higher."""
        elapsed_s = self._clock() - self._since
        if elapsed_s >= MEASURED_S:
            self._rate = self._count / elapsed_s
            self._since += elapsed_s
            self._count = 0
        return max(self._rate, self._count / MEASURED_S)


def gather_s(rate: float) -> float:
    """For how many seconds to gather changes that come at this rate."""
    return min(max(rate - GATHERED, 0.0) * GATHER_S, LONGEST_GATHER_S)
