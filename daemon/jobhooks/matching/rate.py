"""The rate of a hook: how many deliveries begin in a span of time. Pure."""

import re
from dataclasses import dataclass

UNITS = {"s": 1, "min": 60, "h": 3600, "day": 86_400}
RATE = re.compile(r"([1-9][0-9]{0,5})/(s|min|h|day)")
OBJECT = "object"  # in ``rate_per``: each object has the rate for itself
BURST_PART = 10  # of the number: that part of it may begin together


@dataclass(frozen=True, slots=True)
class Rate:
    """At most ``count`` in each span of ``period_s``: ``burst`` may begin together, the rest in intervals."""

    count: int
    period_s: float

    @property
    def burst(self) -> int:
        """How many may begin together after a pause: 30/min: 3; 5/s: 1; 1000/h: 100."""
        return max(1, self.count // BURST_PART)

    @property
    def interval_s(self) -> float:
        """The seconds until one more may begin: 30/min: 2.14; 5/s: 0.2; 1000/h: 4.

        After a burst, the delivery after the ``count``-th one begins ``count + 1 - burst`` intervals after the first.
        That is the period, so no span of it has more than ``count``.
        """
        return self.period_s / (self.count + 1 - self.burst)


def parse_rate(text: str) -> Rate | None:
    """The rate that a text such as ``30/min`` says; null if it is no rate."""
    match = RATE.fullmatch(text)
    return None if match is None else Rate(int(match[1]), UNITS[match[2]])
