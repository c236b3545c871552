"""Rates of hooks: how they are written, and how many deliveries they allow."""

import pytest
from hypothesis import given, strategies as st

from jobhooks.matching.rate import UNITS, Rate, parse_rate


@pytest.mark.parametrize(
    ("text", "rate"),
    [("30/min", Rate(30, 60)), ("1/s", Rate(1, 1)), ("999999/day", Rate(999_999, 86_400)), ("5/h", Rate(5, 3600))],
)
def test_a_rate_is_a_number_in_a_unit_of_time(text: str, rate: Rate) -> None:
    assert parse_rate(text) == rate


@pytest.mark.parametrize("text", ["", "0/s", "30", "30/m", "1.5/s", "-1/s", "1000000/s", "30/min ", "30 / min"])
def test_other_texts_are_no_rates(text: str) -> None:
    assert parse_rate(text) is None


@given(count=st.integers(1, 999_999), unit=st.sampled_from(sorted(UNITS)))
def test_a_period_has_no_more_than_the_number(count: int, unit: str) -> None:
    """The first ones begin together; the one after the last allowed begins a period after the first."""
    rate = Rate(count, UNITS[unit])
    assert 1 <= rate.burst <= count
    assert (count + 1 - rate.burst) * rate.interval_s == pytest.approx(rate.period_s)
