"""The rate at which changes come, and for how long it pays to gather them before the next read."""

import asyncio

# Above this rate changes are gathered between two looks at the log, for so many seconds for each change per second that
# it is exceeded by: 5 ms at 4,000 a second, for 20 changes a page; 20 ms, the longest, from 10,000 on, for 200.
GATHERED = 2000.0
GATHER_S = 0.000_002_5
LONGEST_GATHER_S = 0.02
MEASURED_S = 0.25  # over which the rate is taken


class Rate:
    """Changes per second, of late."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._since = self._loop.time()
        self._count = 0
        self._rate = 0.0

    def add(self, count: int) -> None:
        """Take note of so many changes."""
        self._count += count

    def now(self) -> float:
        """Return the rate."""
        elapsed_s = self._loop.time() - self._since
        if elapsed_s >= MEASURED_S:
            self._rate = self._count / elapsed_s
            self._since += elapsed_s
            self._count = 0
        return max(self._rate, self._count / MEASURED_S)


def gather_s(rate: float) -> float:
    """Return for how many seconds changes are gathered that come at this rate."""
    return min(max(rate - GATHERED, 0.0) * GATHER_S, LONGEST_GATHER_S)
