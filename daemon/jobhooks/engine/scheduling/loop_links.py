"""Which changes of a hook seem to be written by the runs of another one. No I/O."""

from collections import deque
from collections.abc import Sequence
from typing import NamedTuple

from jobhooks.contract.change import Change
from jobhooks.contract.content_type import ContentType

LEAVES_S = 0.5  # after the last run, until no write can be one of its late ones
SLACK_S = 0.02  # by which the clocks of daemon and database may differ
MOST_PER_RUN = 4  # changes of one run: an application that writes often writes more
MOST_SKIPPED = 2  # runs without a change, in a row: an application leaves more of them without one
# The same for runs of other hooks: with more, a hook that another one triggers seems to trigger that.
LITTLE_SLACK_S = 0.005
MOST_RUNS = 64  # of a hook, the last ones


class SeenChange(NamedTuple):
    """What the watch keeps of a change, without its rows, which can be large. ``written``: by the database's clock."""

    id: int
    table: ContentType
    written: float


def seen(change: Change) -> SeenChange:
    """What the watch keeps of this change."""
    return SeenChange(change.id, change.content_type, change.time.timestamp())


class Runs:
    """The last runs of a hook. ``begun``: when those began that are in progress; set before ``at`` is called."""

    __slots__ = ("_ended", "begun")

    def __init__(self) -> None:
        self._ended: deque[tuple[float, float]] = deque(maxlen=MOST_RUNS)
        self.begun: Sequence[float] = ()

    def add(self, start: float, end: float) -> None:
        """A run has ended."""
        self._ended.append((start, end))

    def at(self, written: float) -> float | None:
        """When the last run began that was in progress at this moment, as the clocks may differ."""
        starts = [start for start in self.begun if start <= written + LITTLE_SLACK_S]
        starts += [start for start, end in self._ended if start - LITTLE_SLACK_S <= written <= end + LITTLE_SLACK_S]
        return max(starts, default=None)

    def between(self, first: float, last: float) -> int:
        """How many runs began between the beginnings of two others."""
        return sum(first < start < last for start in (*self.begun, *(start for start, _ in self._ended)))


class Link:
    """Changes of a hook in a row, each written during a run of another hook, the ``cause``.

    - ``hits``: in how many of its runs; ``needed``: how many make a suspicion
    - ``widest``: the longest interval between two of them, in seconds: a round of the loop
    - ``began``, ``written``: when the first and the last one were written; ``written`` is 0 after a gap
    """

    __slots__ = ("_cause", "_in_run", "_run", "began", "hits", "needed", "widest", "written")

    def __init__(self, cause: Runs, needed: int) -> None:
        self._cause = cause
        self.needed = needed
        self.reset()

    def reset(self) -> None:
        """Forget all changes."""
        self._run = 0.0
        self._in_run = 0
        self.written = 0.0
        self.hits = 0
        self.widest = 0.0
        self.began = 0.0

    @property
    def leaves_s(self) -> float:
        """How long the other hooks of the loop may write after the last run of the hook: for a round."""
        return max(LEAVES_S, self.widest)

    def leave_gap(self) -> None:
        """The changes from here to the next one are not looked at, so what lies between the two means nothing."""
        self.written = 0.0

    def add_change(self, written: float, held_until: float) -> None:
        """A change was delivered. ``held_until``: the end of the last hold of the hook."""
        run = self._cause.at(written)
        self._in_run = self._in_run + 1 if run == self._run else 1
        if (
            run is None
            or self._in_run > MOST_PER_RUN
            or (self.written and self._cause.between(self._run, run) > MOST_SKIPPED)
        ):
            self.reset()
            return
        if self.hits and self.written and not self.written < held_until <= written + LEAVES_S:
            self.widest = max(self.widest, written - self.written)
        if not self.hits:
            self.began = written
        self.written = written
        if run != self._run:
            self._run = run
            self.hits += 1
