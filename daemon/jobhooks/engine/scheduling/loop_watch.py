"""Finds a hook that triggers itself through writes without a mark, or that others and it trigger in turn. No I/O.

Evidence, first: changes in a row, each written while a run of the hook was in progress, and none between two runs.
Second: the hook is held back three times. A loop writes nothing while it is held, and goes on with its next run. An
application that writes by itself goes on writing while the hook is held, which ends the suspicion.

For hooks that trigger each other, the runs of the evidence are those of the hook before it: see ``loop_cycles``.
"""

from bisect import bisect_right
from collections.abc import Container
from dataclasses import dataclass

from jobhooks.contract.change import Change
from jobhooks.engine.delivery.delivery import Delivery
from jobhooks.engine.delivery.lane import LaneKey
from jobhooks.engine.delivery.outcome import Outcome
from jobhooks.engine.scheduling.loop_links import (
    LEAVES_S,
    MOST_PER_RUN,
    MOST_SKIPPED,
    SLACK_S,
    Link,
    Runs,
    SeenChange,
    seen,
)

TRIALS = 3  # times that a hook is held
LEAST_HELD_S = 2.0
MOST_HELD_S = 60.0  # a loop that writes so rarely does little harm: it is not held, and not found
PATIENCE = 5  # a hold is this many times the longest interval between two changes
# Rows that a statement writes just before their first runs may seem to be written during them, if the clocks differ.
# Such rows are written within this time.
AT_ONCE_S = 2 * SLACK_S
MOST_RUNS = 5_000  # that a suspicion remembers
AGAIN = 10  # changes between two holds
LEAST_SUSPECT = 10  # changes in a row, after which every delivery is looked at
LOOKED_AT = 1_000  # deliveries, then none until the next refill
MOST_LANES = 2_000
FORGIVEN = 8  # by which the limit grows if the suspicion was wrong
SAMPLE = 20  # changes between two refills that are compared with the runs of other hooks
LARGE_SAMPLE = 50  # in a quarter of a second, if they seem to be written by these
VERDICT_S = 60.0  # after a hold, for a change to show what came of it


@dataclass(frozen=True)
class Loop:
    """The evidence: how many changes in a row, and the last one. ``others``: the other hooks, if it takes several."""

    changes: int
    last: SeenChange
    others: tuple[str, ...] = ()

    @property
    def reason(self) -> str:
        """Why the hook is paused, as a clause."""
        who, runs = "it triggered itself", "its runs"
        if self.others:
            named = " and ".join(f'"{name}"' for name in self.others)
            who, runs = f"it and {named} triggered each other", f'runs of "{self.others[-1]}"'
        return (
            f"{who}: {self.changes} changes in a row were written during {runs}, and 0 while it was"
            f" held; the last is change {self.last.id} of {self.last.table.name}"
        )


class Chain:
    """Changes in a row of one object, or of one hook, each written during a run.

    - ``hits``: how many; ``needed``: how many make a suspicion
    - ``widest``: the longest interval between two of them, in seconds
    - ``began``: when the first one was written
    """

    leaves_s = LEAVES_S
    __slots__ = (
        "_at_once",
        "_counted",
        "_ends",
        "_first_run",
        "_last_run",
        "_may_overlap",
        "_most_skipped",
        "_starts",
        "_written",
        "began",
        "hits",
        "needed",
        "widest",
    )

    def __init__(self, needed: int, *, may_overlap: bool) -> None:
        self.needed = needed
        self._may_overlap = may_overlap
        self.reset()

    def reset(self) -> None:
        """Forget all runs and changes."""
        self._starts: list[float] = []
        self._ends: list[float] = []  # each the latest one up to here
        self._first_run = 0  # that may have written the last change, and the last one that may have
        self._last_run = 0
        self._most_skipped = MOST_SKIPPED
        self._counted = 0.0  # the start of a run, and how many changes are surely of it
        self._at_once = 0
        self._written = 0.0  # when the last change was
        self.hits = 0
        self.widest = 0.0
        self.began = 0.0

    def add_run(self, start: float, end: float, depth: int) -> None:
        """A run for a change of this ``depth`` has ended. The last one of a chain may begin the next chain."""
        self._most_skipped = max(self._most_skipped, MOST_SKIPPED + depth)
        starts, ends = self._starts, self._ends
        place = bisect_right(starts, start)
        starts.insert(place, start)
        ends.insert(place, max(end, ends[place - 1]) if place else end)
        for later in range(place + 1, len(ends)):
            ends[later] = max(ends[later], end)
        if len(starts) > MOST_RUNS:
            self.reset()

    def add_change(self, written: float, held_until: float) -> None:
        """A change was delivered: it continues the chain, or ends it. ``held_until``: the end of the last hold."""
        starts, ends = self._starts, self._ends
        # The runs that may have written it, as the clocks may differ.
        first = bisect_right(starts, written - SLACK_S) - 1
        last = bisect_right(starts, written + SLACK_S) - 1
        if first == last >= 0:
            self._at_once = self._at_once + 1 if starts[last] == self._counted else 1
            self._counted = starts[last]
        if (
            last < 0
            or written > ends[last] + SLACK_S
            or first > self._last_run + self._most_skipped
            or last < self._first_run - self._most_skipped
            or self._at_once > MOST_PER_RUN
            or (first > 0 and not self._may_overlap and ends[first - 1] > written + SLACK_S)
        ):
            self.reset()
            return
        if self.hits and not self._written < held_until <= written + LEAVES_S:
            self.widest = max(self.widest, written - self._written)
        if not self.hits:
            self.began = written
        self._written = written
        self.hits += 1
        forgotten = max(first - self._most_skipped - 1, 0)
        del starts[:forgotten], ends[:forgotten]
        self._first_run, self._last_run = first - forgotten, last - forgotten


class LoopWatch:
    """Watches the deliveries of one hook. ``limit``: changes in a row that make a suspicion; 0: it watches nothing.

    - ``left``: how many deliveries to look at; refilled now and then, because a loop goes on and on
    - ``is_held``: the hook begins nothing for now
    - ``loop``: set once the hook is found to be in a loop, until it is paused
    - ``is_paused``: the pause has committed. The hook stays held until it is loaded again.
    - ``runs``: its last ones, with which changes of other hooks are compared
    - ``sample``: changes to be compared with the runs of others
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self.runs = Runs()
        self.forget()

    def forget(self) -> None:
        """Begin from the beginning."""
        self._links: dict[int, Link] = {}  # by the hooks whose runs seem to write the changes
        self.sample: list[SeenChange] = []
        self.sample_size = SAMPLE  # how many more of these
        self._has_gap = False
        self.refill()
        self.is_held = False
        self.loop: Loop | None = None
        self.is_paused = False
        self._hook = Chain(self._limit, may_overlap=False)
        self._lanes: dict[LaneKey, Chain] = {}  # the least recently used one first
        self._depths: dict[int, int] = {}  # of changes in a chain that it ran for, the oldest first
        self._tried: Chain | Link | None = None
        self._others: tuple[str, ...] = ()  # the other hooks, if it is tried with them
        self._needed_of_links = self._limit
        self._holds: list[tuple[float, float]] = []  # on trial; while the hook is held, the last one is its present one
        self._next_hold = 0  # of the tried chain's hits
        self._ran_at = 0.0

    def refill(self) -> None:
        """Look at some deliveries again."""
        self.left = LOOKED_AT if self._limit else 0
        self.sample_size = SAMPLE

    def ran(self, delivery: Delivery, outcome: Outcome) -> None:
        """An attempt has ended."""
        self.left -= 1
        self._ran_at = outcome.finished_at
        lane = delivery.lanes[0]
        chain = self._lanes.pop(lane, None) or Chain(self._limit, may_overlap=True)
        self._lanes[lane] = chain
        if len(self._lanes) > MOST_LANES:
            del self._lanes[next(iter(self._lanes))]
        # Else the limit of its chain ends the loop.
        judged = [seen(one.change) for one in delivery.merged if not one.change.depth]
        if self._has_no_limit(delivery.change):
            judged.insert(0, seen(delivery.change))
        for each in (chain, self._hook):
            if not delivery.attempts:
                for one in judged:
                    self._judge(each, one)
            each.add_run(outcome.started_at, outcome.finished_at, delivery.change.depth)
        self.runs.add(outcome.started_at, outcome.finished_at)
        if isinstance(self._tried, Link):
            self._look_for_innocence(self._tried, judged)
        if self.sample_size > 0 and not delivery.attempts:
            self.sample += judged[: self.sample_size]
            self.sample_size -= len(judged)

    def _has_no_limit(self, change: Change) -> bool:
        """Whether a change begins a chain, or is no deeper than its cause, because a receiver has set its own mark."""
        if not change.depth or change.caused_by is None:
            return True
        self._depths[change.id] = change.depth
        if len(self._depths) > MOST_LANES:
            del self._depths[next(iter(self._depths))]
        return change.depth <= self._depths.get(change.caused_by.change_id, 0)

    def _look_for_innocence(self, link: Link, judged: list[SeenChange]) -> None:
        """End a trial by a link if a change was written during a hold. Of other changes a sample is enough."""
        self.left = LOOKED_AT
        if any(self._is_of_hold(link, change.written) for change in judged):
            link.reset()
            self._forgive_links()
            self._acquit()

    def _is_of_hold(self, chain: Chain | Link, written: float) -> bool:
        return any(began + chain.leaves_s < written < ended - LEAVES_S for began, ended in self._holds)

    def _judge(self, chain: Chain, change: SeenChange) -> None:
        self._add(chain, change)
        if _is_suspect(chain, change.written):
            self._begin_trial(chain)

    def compare(self, change: SeenChange, cause: int, other: "LoopWatch") -> None:
        """Compare a change with the runs of another hook, the ``cause``."""
        link = self._links.get(cause)
        if link is None:
            if other.runs.at(change.written) is None:
                return
            link = self._links[cause] = Link(other.runs, self._needed_of_links)
        self._add(link, change)
        if link.hits >= LEAST_SUSPECT:
            other.left = LOOKED_AT

    def take_sample(self, most: int) -> list[SeenChange]:
        """The changes to be compared, at most so many. ``compared`` must follow."""
        sample, self.sample = self.sample[:most], []
        self._has_gap = self.sample_size <= 0 or len(sample) == most
        return sample

    def compared(self) -> None:
        """The sample has been compared. If changes were left out, those before and after them are not neighbours."""
        if self._has_gap:
            for link in self._links.values():
                link.leave_gap()

    def forget_others(self, hook_ids: Container[int]) -> None:
        """Forget the links to hooks that do not exist any more."""
        for cause in [cause for cause in self._links if cause not in hook_ids]:
            if self._links.pop(cause) is self._tried:
                self._acquit()

    def suspects(self) -> list[int]:
        """The hooks whose runs have seemed to write its changes for long enough."""
        return [cause for cause, link in self._links.items() if _is_suspect(link, link.written)]

    def try_with(self, cause: int, others: tuple[str, ...]) -> None:
        """Hold the hook, to find out whether it is in a loop with ``others``; the last one of them is the ``cause``.

        If the runs are so short that it already seems to trigger itself, that trial decides for this loop as well.
        """
        link = self._links[cause]
        self._begin_trial(link)
        if self._tried is link or isinstance(self._tried, Chain):
            self._others = others

    def _begin_trial(self, chain: Chain | Link) -> None:
        if self._tried is None and self.loop is None and not self.is_paused:
            self._tried = chain
            self._next_hold = 0
            self.is_held = True

    def _add(self, chain: Chain | Link, change: SeenChange) -> None:
        """Add a change to a chain or link, and judge that if it is on trial."""
        is_tried = chain is self._tried
        if is_tried and self._is_of_hold(chain, change.written):
            chain.reset()
            if isinstance(chain, Chain):
                chain.needed *= FORGIVEN
        else:
            chain.add_change(change.written, self._holds[-1][1] if self._holds else 0.0)
        if chain.hits >= LEAST_SUSPECT:
            self.left = LOOKED_AT
            self.sample_size = LARGE_SAMPLE - len(self.sample)
        if is_tried and not chain.hits:
            if isinstance(chain, Link):
                self._forgive_links()
            self._acquit()
        elif is_tried:
            self._judge_tried(chain, change)

    def _forgive_links(self) -> None:
        """A suspicion was wrong: the next one needs more, whatever the other hook."""
        self._needed_of_links *= FORGIVEN
        for link in self._links.values():
            link.needed = self._needed_of_links

    def _judge_tried(self, chain: Chain | Link, change: SeenChange) -> None:
        if self.is_held:
            return
        if len(self._holds) < TRIALS:
            self.is_held = chain.hits >= self._next_hold
        elif change.written >= self._holds[-1][1] - LEAVES_S:
            self.loop = Loop(chain.hits, change, self._others)
            self.is_held = True

    def _acquit(self) -> None:
        self._tried = None
        self._others = ()
        self._holds = []
        self.is_held = False

    def look(self, now: float, *, is_idle: bool) -> bool:
        """Begin or end a hold. ``is_idle``: nothing of the hook runs. Whether the hook may go on, if it was held."""
        tried = self._tried
        if tried is None or self.loop is not None or self.is_paused:
            return False
        if not self.is_held:
            if now > self._ran_at + VERDICT_S:
                self._acquit()  # it has become quiet
            return False
        if not self._holds or self._holds[-1][1] < self._ran_at:
            if is_idle:
                self._holds.append((now, now + max(LEAST_HELD_S, PATIENCE * tried.widest)))
            return False
        if now < self._holds[-1][1]:
            return False
        self._holds[-1] = (self._holds[-1][0], now)
        self._next_hold = tried.hits + AGAIN
        self.is_held = False
        return True


def _is_suspect(chain: Chain | Link, written: float) -> bool:
    """Whether there are enough changes in a row. ``written``: when the last one was."""
    return chain.hits >= chain.needed and chain.widest < _WIDEST_S and written > chain.began + AT_ONCE_S


_WIDEST_S = MOST_HELD_S / PATIENCE
