"""Which runs may share a transaction: short ones, as long as that goes well. Pure decisions."""

import re
from functools import lru_cache

MOST = 64  # runs in one transaction
LONGEST_S = 0.01  # from the start of the first run; after that no run joins
TOO_LONG_S = 1.0  # a run that shares a transaction is undone after this, and attempted again by itself
SHORTEST_BAN, LONGEST_BAN = 100, 100_000  # runs

QUERY = re.compile(r"(?:select|insert|update|delete|merge|with|values|table|copy)\b", re.IGNORECASE)


PREPARES = re.compile(r"\bprepare\s+transaction\b", re.IGNORECASE)
CANNOT_PREPARE = "a receiver cannot prepare its transaction: what it writes commits with the result of its run"


class GaveWay(BaseException):
    """Ends a run that shares a transaction and must run by itself instead. Receivers do not catch BaseException."""


@lru_cache(maxsize=1000)
def may_share(statement: str) -> bool:
    """Whether a run that sends this statement may share its transaction: only if it is a single query.

    Any other statement could end the transaction or outlast its savepoint: COMMIT, SET CONSTRAINTS, PREPARE, and
    session locks, which only their own release undoes.
    """
    text = statement.strip().rstrip(";")
    return QUERY.match(text) is not None and ";" not in text and "advisory" not in text.lower()


def prepares(statement: str) -> bool:
    """Whether a statement prepares its transaction, which would keep locks after the run, until someone ends it."""
    return PREPARES.search(statement) is not None and not may_share(statement)


class SharingPolicy:
    """Whether the runs of one hook share transactions.

    After runs had to be undone, sharing is banned for 100 runs. Each further time doubles the ban; as many runs that
    commit together as the next ban is long halve it.
    """

    def __init__(self) -> None:
        self._banned_for = 0
        self._next_ban = SHORTEST_BAN
        self._committed = 0
        self._batch_size = 1

    @property
    def batch_size(self) -> int:
        """How many runs a worker process gets in one message: as many as it finishes in 10 milliseconds."""
        return self._batch_size

    def took(self, runs: int, seconds: float) -> None:
        """Adapt ``batch_size`` to the duration of consecutive runs. It at most doubles."""
        self._batch_size = max(1, min(MOST, 2 * self._batch_size, int(LONGEST_S * runs / max(seconds, 1e-6))))

    def next_may_share(self) -> bool:
        """Whether the next run may share. Each call counts one run of a ban."""
        if self._banned_for:
            self._banned_for -= 1
            return False
        return True

    def committed(self, runs: int) -> None:
        """Count runs that committed together."""
        self._committed += runs
        if self._committed >= self._next_ban:
            self._committed = 0
            self._next_ban = max(SHORTEST_BAN, self._next_ban // 2)

    def undone(self) -> None:
        """Ban sharing: runs were undone, or held others up."""
        if not self._banned_for:
            self._banned_for = self._next_ban
            self._next_ban = min(LONGEST_BAN, 2 * self._next_ban)
            self._committed = 0
