"""Versions of receivers, as people write them and as results store them."""

import re

from jobhooks.discovery.registry import VERSION_DIGITS
from jobhooks.errors import Refused

HASH = re.compile(r"[0-9a-f]{1,64}")


def numbers_of_versions(beginning: str) -> tuple[int, int]:
    """The least and the greatest number of the versions whose hash begins like this; or of one, by its whole hash.

    Raises:
        Refused: it is not the beginning of a hash.
    """
    digits = beginning.strip().lower()
    if HASH.fullmatch(digits) is None:
        raise Refused(f"{beginning!r} is not the version of a receiver", "jobhooks job show JOB lists its versions")
    digits = digits[:VERSION_DIGITS]
    return int(digits.ljust(VERSION_DIGITS, "0"), 16), int(digits.ljust(VERSION_DIGITS, "f"), 16)
