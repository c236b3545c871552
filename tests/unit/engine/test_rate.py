"""The rate of changes, and for how long they are gathered before the next read."""

import pytest

from jobhooks.engine.reading.rate import MEASURED_S, Rate, gather_s


class Clock:
    def __init__(self) -> None:
        self.time = 100.0

    def __call__(self) -> float:
        return self.time


def test_the_rate_is_that_of_the_last_period() -> None:
    clock = Clock()
    rate = Rate(clock)
    assert rate.now() == 0
    rate.add(100)
    clock.time += 2 * MEASURED_S
    assert rate.now() == pytest.approx(100 / (2 * MEASURED_S))
    clock.time += MEASURED_S
    assert rate.now() == 0


def test_a_burst_counts_before_its_period_has_ended() -> None:
    """The daemon must stay awake from the first page of a burst on."""
    clock = Clock()
    rate = Rate(clock)
    rate.add(1000)
    assert rate.now() == 1000 / MEASURED_S


def test_a_lull_within_a_period_does_not_count() -> None:
    clock = Clock()
    rate = Rate(clock)
    rate.add(100)
    clock.time += MEASURED_S
    before = rate.now()
    clock.time += MEASURED_S / 2
    assert rate.now() == before == 100 / MEASURED_S


@pytest.mark.parametrize(("rate", "seconds"), [(0, 0), (2_000, 0), (4_000, 0.005), (10_000, 0.02), (1_000_000, 0.02)])
def test_more_changes_are_gathered_for_longer_up_to_a_limit(rate: float, seconds: float) -> None:
    """A few changes are read without delay; many wait no longer than a person notices."""
    assert gather_s(rate) == pytest.approx(seconds)
