"""Which runs may share a transaction: short ones, as long as that goes well. Pure decisions."""

import re
from functools import lru_cache

MOST = 32  # runs in one transaction
LONGEST_S = 0.01  # since the first of them began: then no more are taken
TOO_LONG_S = 1.0  # a run that has others before it in its transaction is ended then, undone, and run by itself
SHORTEST_BAN, LONGEST_BAN = 100, 100_000  # runs


QUERY = re.compile(r"(?:select|insert|update|delete|merge|with|values|table|copy)\b", re.IGNORECASE)


class GaveWay(BaseException):
    """Ends a run that has others before it in its transaction, and is to be run by itself. No receiver handles it."""


@lru_cache(maxsize=1000)
def may_share(statement: str) -> bool:
    """Return whether a statement is one query: whatever else there is may end the transaction, or last in it.

    COMMIT, SET CONSTRAINTS, PREPARE; and session locks, which nothing but their own end undoes.
    """
    text = statement.strip().rstrip(";")
    return QUERY.match(text) is not None and ";" not in text and "advisory" not in text.lower()


class Sharing:
    """Whether the runs of a hook may share transactions: not for a while after that did not go well.

    For 100 runs, and for twice as many each time; when as many have gone well, half of that again.
    """

    def __init__(self) -> None:
        self._banned_for = 0
        self._next_ban = SHORTEST_BAN
        self._went_well = 0
        self._at_once = 1

    @property
    def at_once(self) -> int:
        """How many runs to hand to a worker at once: as many as it should get done in a moment."""
        return self._at_once

    def took(self, runs: int, seconds: float) -> None:
        """Take note of how long that many runs took, one after the other."""
        self._at_once = max(1, min(MOST, 2 * self._at_once, int(LONGEST_S * runs / max(seconds, 1e-6))))

    def is_allowed(self) -> bool:
        """Return whether the next run may have others beside it."""
        if self._banned_for:
            self._banned_for -= 1
            return False
        return True

    def went_well(self, runs: int) -> None:
        """Take note of runs that committed together."""
        self._went_well += runs
        if self._went_well >= self._next_ban:
            self._went_well = 0
            self._next_ban = max(SHORTEST_BAN, self._next_ban // 2)

    def went_wrong(self) -> None:
        """Take note of runs that had to be undone, or held others up."""
        if not self._banned_for:
            self._banned_for = self._next_ban
            self._next_ban = min(LONGEST_BAN, 2 * self._next_ban)
            self._went_well = 0
