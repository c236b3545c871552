"""Times as people write them, for filters of list, retry and discard."""

import datetime

import pytest

from jobhooks.errors import InvalidMoment
from jobhooks.operations.lookup.moments import parse_moment

NOW = datetime.datetime(2026, 3, 1, 12, tzinfo=datetime.UTC)


@pytest.mark.parametrize(
    ("text", "ago"),
    [
        ("90s", datetime.timedelta(seconds=90)),
        ("1.5m", datetime.timedelta(seconds=90)),
        (" 2h ", datetime.timedelta(hours=2)),
        ("7d", datetime.timedelta(days=7)),
        ("1w", datetime.timedelta(days=7)),
        ("0s", datetime.timedelta()),
    ],
)
def test_a_duration_lies_before_now(text: str, ago: datetime.timedelta) -> None:
    assert parse_moment(text, NOW) == NOW - ago


def test_a_time_keeps_its_zone() -> None:
    assert parse_moment("2026-03-01T08:00+02:00", NOW) == datetime.datetime(2026, 3, 1, 6, tzinfo=datetime.UTC)


@pytest.mark.parametrize("text", ["2026-03-01", "2026-03-01 08:00"])
def test_a_time_without_a_zone_is_of_this_machine(text: str) -> None:
    assert parse_moment(text, NOW) == datetime.datetime.fromisoformat(text).astimezone()


@pytest.mark.parametrize("text", ["", "yesterday", "2 hours", "h", "-1h", "1y", "9999999999w", "2026-13-01"])
def test_other_texts_are_refused(text: str) -> None:
    with pytest.raises(InvalidMoment):
        parse_moment(text, NOW)
