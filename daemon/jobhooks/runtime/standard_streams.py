"""The descriptors of standard output and error, which are closed at the start, or by an ``async def`` receiver.

The next file or connection that the process opened would get the number, and what is printed would go there.
"""

import fcntl
import os
import resource
import sys
from typing import NamedTuple

ABOVE = 200  # a receiver that closes "all" descriptors of its own rarely goes further
LEFT = 10  # descriptors above the copies, where the limit of open files is lower than that
NUMBERS = (1, 2)


def open_closed() -> None:
    """Open those that the process was started without, as by ``>&-``: the first file opened would get the number."""
    for number in (0, *NUMBERS):
        if _identity(number) is None:
            os.open(os.devnull, os.O_RDWR)  # gets the lowest number that is free
    sys.stdout = sys.stdout or open(1, "w", encoding="utf-8", closefd=False)  # noqa: SIM115, RUF100 - until the end
    sys.stderr = sys.stderr or open(2, "w", encoding="utf-8", closefd=False)  # noqa: SIM115, RUF100 - until the end


class PutBack(NamedTuple):
    """``numbers``: the descriptors that were put back; ``taken``: of those, the ones that another file had got."""

    numbers: list[int]
    taken: list[int]


class StandardStreams:
    """Keeps copies of the descriptors, and puts them back. ``log_descriptor``: a copy of stderr, for the log."""

    def __init__(self) -> None:
        self._kept = {number: _copy(number) for number in NUMBERS if _identity(number) is not None}
        self.log_descriptor = self._kept.get(2)

    def put_back(self) -> PutBack:
        """Put back the descriptors that were closed or replaced."""
        found = PutBack([], [])
        for number, kept in self._kept.items():
            expected, present = _identity(kept), _identity(number)
            if expected is not None and present != expected:
                os.dup2(kept, number)
                found.numbers.append(number)
                if present is not None:
                    found.taken.append(number)
        return found


def _copy(number: int) -> int:
    limit, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return fcntl.fcntl(number, fcntl.F_DUPFD_CLOEXEC, max(NUMBERS[-1] + 1, min(ABOVE, limit - LEFT)))


def _identity(number: int) -> tuple[int, int] | None:
    """The file of a descriptor; None if it is closed."""
    try:
        status = os.fstat(number)
    except OSError:
        return None
    return status.st_dev, status.st_ino
