"""Times as a person writes them: a duration before now, or a point in time. Pure functions."""

import contextlib
import datetime
import re

from jobhooks.errors import InvalidMoment

UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}
DURATION = re.compile(r"(\d+(?:\.\d+)?)([smhdw])")


def parse_moment(text: str, now: datetime.datetime) -> datetime.datetime:
    """Parse ``90s``, ``15m``, ``2h``, ``7d`` or ``1w`` before ``now``, or an ISO 8601 time.

    A time without a zone is in the zone of this machine.

    Raises:
        InvalidMoment: it is neither, or lies outside the years 1 to 9999.
    """
    if match := DURATION.fullmatch(text.strip()):
        with contextlib.suppress(OverflowError):
            return now - datetime.timedelta(seconds=float(match[1]) * UNITS[match[2]])
    with contextlib.suppress(ValueError, OverflowError):
        return datetime.datetime.fromisoformat(text.strip()).astimezone()
    raise InvalidMoment(
        f"{text!r} is neither a duration, such as 90s, 15m, 2h or 7d, nor a time, such as 2026-03-01T08:00"
    )
