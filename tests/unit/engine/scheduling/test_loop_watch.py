"""Which hooks are found to trigger themselves, and which are not: in memory, with a clock of the test's own."""

import datetime
import math
import random
from collections import deque
from collections.abc import Callable

import msgspec
import pytest

from jobhooks.contract.choices import JobResultStatus
from jobhooks.contract.run import DeliveryIdentity
from jobhooks.engine.delivery.delivery import Delivery
from jobhooks.engine.delivery.outcome import Outcome
from jobhooks.engine.scheduling.loop_watch import LEAST_HELD_S, TRIALS, LoopWatch
from support.making import make_delivery

LIMIT = 100
LOOK_S = 0.25


class Simulation:
    """A hook that runs one delivery after the other, each for ``run_s`` seconds.

    ``caused``: the objects that a run of an object writes. ``writes``: what others write: times and objects.
    """

    def __init__(self, run_s: Callable[[], float], caused: Callable[[int], list[int]], writes: list[tuple[float, int]]):
        self.watch = LoopWatch(LIMIT)
        self.held_s = 0.0
        self.ran = 0
        self.ahead_s = 0.0  # of the database's clock, the daemon's
        self._run_s = run_s
        self._caused = caused
        self._outside = deque(sorted(writes))
        self._log: list[tuple[float, int]] = []

    def run(self, seconds: float) -> bool:
        """Whether the hook was found to trigger itself in that time."""
        now = 1_700_000_000.0
        end = now + seconds
        self._outside = deque((now + at, which) for at, which in self._outside)
        refill_at = now
        while now < end and self.watch.loop is None:
            if self.watch.look(now, is_idle=True) or now >= refill_at:
                self.watch.refill()
                refill_at = now + 10
            self._write_until(now)
            if self.watch.is_held:
                now += LOOK_S
                self.held_s += LOOK_S
            elif not self._log:
                now += self._idle_s(now, min(end, refill_at))
            else:
                now = self._deliver(now)
        return self.watch.loop is not None

    def _idle_s(self, now: float, until: float) -> float:
        """How long nothing happens: whole milliseconds up to the next write, but not beyond ``until``."""
        awaited = min(until, self._outside[0][0]) if self._outside else until
        return max(1, math.ceil((awaited - now) * 1000)) / 1000

    def _write_until(self, now: float) -> None:
        while self._outside and self._outside[0][0] <= now:
            self._log.append(self._outside.popleft())

    def _deliver(self, now: float) -> float:
        written, which = self._log.pop(0)
        end = now + self._run_s()
        writes = [(now + (end - now) * (number + 1) / 10, each) for number, each in enumerate(self._caused(which))]
        while self._outside and self._outside[0][0] <= end:
            writes.append(self._outside.popleft())
        self._log += sorted(writes)
        self.ran += 1
        if self.watch.left > 0:
            self.watch.ran(
                _delivery(self.ran, written - self.ahead_s, which), Outcome(now, end, JobResultStatus.SUCCESS)
            )
        return end + 0.002


def _delivery(change_id: int, written: float, which: int) -> Delivery:
    delivery = make_delivery(change_id, which)
    object.__setattr__(delivery.change, "time", datetime.datetime.fromtimestamp(written, datetime.UTC))
    return delivery


@pytest.mark.parametrize("run_s", [0.002, 0.05, 3.0])
@pytest.mark.parametrize("often", [1, 4])
@pytest.mark.parametrize("ahead_s", [0.0, 0.015, -0.015])
def test_an_object_that_is_written_by_its_own_runs(run_s: float, often: int, ahead_s: float) -> None:
    """Each run may write it a few times, so that more and more is pending. The clocks may differ."""
    loop = Simulation(lambda: run_s, lambda which: [which] * often, [(0.0, 1)])
    loop.ahead_s = ahead_s
    assert loop.run(800 * run_s + 50)
    assert loop.held_s >= TRIALS * LEAST_HELD_S
    assert loop.watch.loop is not None and "triggered itself" in loop.watch.loop.reason


def test_a_loop_is_found_soon() -> None:
    """160 times in 30 seconds was the first one that was reported."""
    loop = Simulation(lambda: 0.19, lambda which: [which], [(0.0, 1)])
    assert loop.run(60)
    assert LIMIT <= loop.ran < 160


def test_new_rows_that_are_written_by_the_runs_of_others() -> None:
    """As an audit row that is written for each audit row."""
    assert Simulation(lambda: 0.02, lambda which: [which + 1], [(0.0, 1)]).run(60)


def test_a_loop_of_one_object_amid_others(seed: int) -> None:
    """Deliveries of other objects come in between."""
    rng = random.Random(seed)
    others = [(rng.uniform(0, 60), number) for number in range(100, 400)]
    assert Simulation(lambda: 0.02, lambda which: [1] if which == 1 else [], [(0.0, 1), *others]).run(60)


@pytest.mark.parametrize("rate", [0.5, 5.0, 100.0])
@pytest.mark.parametrize("load", [0.5, 1.0, 1.1, 3.0])
@pytest.mark.parametrize("periodic", [True, False])
def test_an_object_that_an_application_writes_all_the_time(rate: float, load: float, periodic: bool, seed: int) -> None:
    """Even if each run takes exactly as long as the application waits between two writes."""
    rng = random.Random(seed)
    seconds = 1000 / rate
    gap = (lambda: 1 / rate) if periodic else (lambda: rng.expovariate(rate))
    at, writes = 0.0, list[tuple[float, int]]()
    while at < seconds:
        at += gap()
        writes.append((at, 1))
    busy = Simulation(lambda: load / rate, lambda _: [], writes)
    assert not busy.run(seconds * max(1, load) + 100)
    assert busy.held_s < 60


@pytest.mark.parametrize("size", [1, 3, 20])
@pytest.mark.parametrize("every_s", [3.0, 10.0])
def test_an_object_that_is_written_in_bursts(size: int, every_s: float) -> None:
    """The hook is never idle, so that each change is written during some run."""
    writes = [(burst * every_s + 0.01 * number, 1) for burst in range(50) for number in range(size)]
    busy = Simulation(lambda: 1.05 * every_s / size, lambda _: [], writes)
    assert not busy.run(60 * every_s)


@pytest.mark.parametrize("ahead_s", [0.0, 0.015, -0.015])
@pytest.mark.parametrize("run_s", [0.0001, 0.03])
def test_rows_that_are_written_at_once(run_s: float, ahead_s: float) -> None:
    """By a statement, before the first of their runs; many of these begin before a clock could tell."""
    watch = LoopWatch(LIMIT)
    written = 1_700_000_000.0
    for number in range(1, 5 * LIMIT):
        start = written + 0.003 + 0.000_02 * number
        delivery = _delivery(number, written + 0.000_01 * number - ahead_s, number)
        watch.ran(delivery, Outcome(start, start + run_s, JobResultStatus.SUCCESS))
    assert not watch.is_held


def test_an_application_that_only_sometimes_answers_a_run() -> None:
    """Nothing is endless here: a chain of 50, each time that the application begins one."""
    left = [0]

    def caused(which: int) -> list[int]:
        left[0] = (left[0] + 1) % 50
        return [which] if left[0] else []

    assert not Simulation(lambda: 0.02, caused, [(2.0 * number, 1) for number in range(100)]).run(200)


def test_nothing_is_watched_without_a_limit() -> None:
    watch = LoopWatch(0)
    watch.refill()
    assert watch.left == 0


def test_a_retry_is_the_same_change() -> None:
    """Its runs count, but the change was written once."""
    watch = LoopWatch(LIMIT)
    delivery = _delivery(1, 1_700_000_000.0, 1)
    for attempt in range(3 * LIMIT):
        again = msgspec.structs.replace(delivery, attempts=attempt)
        watch.ran(again, Outcome(1_700_000_000.0 + attempt, 1_700_000_000.9 + attempt, JobResultStatus.FAILURE))
    assert not watch.is_held


@pytest.mark.parametrize(("depths", "is_loop"), [([0], True), ([1, 2, 3], False), ([1], True), ([2, 3, 1], True)])
def test_a_chain_is_no_loop(depths: list[int], is_loop: bool) -> None:
    """What a run wrote with its mark is limited by the depth of the chain, unless the receiver sets another depth."""
    watch = LoopWatch(LIMIT)
    for number in range(3 * LIMIT):
        begun = 1_700_000_000.0 + number
        delivery = _delivery(number, begun - 0.5, 1)
        at = number % len(depths)
        cause = number - 1 if is_loop or at else -1  # -1: the run of another hook
        object.__setattr__(delivery.change, "depth", depths[at])
        object.__setattr__(delivery.change, "caused_by", DeliveryIdentity(cause, 1, 1) if depths[at] else None)
        watch.ran(delivery, Outcome(begun, begun + 0.9, JobResultStatus.SUCCESS))
    assert watch.is_held is is_loop


@pytest.mark.parametrize("deepest", [1, 2, 10])
def test_a_loop_of_chains_is_found(deepest: int) -> None:
    """The last run of each chain writes without a mark, which begins the next chain."""
    watch = LoopWatch(LIMIT)
    ran = 0
    while not watch.is_held and ran <= (LIMIT + 1) * (deepest + 1):
        begun = 1_700_000_000.0 + ran
        delivery = _delivery(ran, begun - 0.5, 1)
        depth = ran % (deepest + 1)
        object.__setattr__(delivery.change, "depth", depth)
        object.__setattr__(delivery.change, "caused_by", DeliveryIdentity(ran - 1, 1, 1) if depth else None)
        watch.ran(delivery, Outcome(begun, begun + 0.9, JobResultStatus.SUCCESS))
        ran += 1
    assert watch.is_held and ran > LIMIT * (deepest + 1)
