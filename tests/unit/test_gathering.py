"""For how long changes are gathered before the log is looked at again."""

import pytest

from jobhooks.engine.reading.rate import gather_s


@pytest.mark.parametrize(("rate", "seconds"), [(0, 0), (2_000, 0), (4_000, 0.005), (10_000, 0.02), (1_000_000, 0.02)])
def test_the_more_comes_the_longer_it_is_gathered_up_to_a_limit(rate: float, seconds: float) -> None:
    """A quiet database is read immediately; a busy one waits no longer than a person would notice."""
    assert gather_s(rate) == pytest.approx(seconds)
