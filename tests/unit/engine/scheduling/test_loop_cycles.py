"""Which hooks are found to trigger each other, and which are not: in memory, with a clock of the test's own."""

import datetime
import random
from collections.abc import Callable
from dataclasses import dataclass, field, replace

import pytest

from jobhooks.contract.choices import JobResultStatus
from jobhooks.contract.content_type import ContentType
from jobhooks.engine.delivery.delivery import Delivery, deliveries_of
from jobhooks.engine.delivery.outcome import Outcome
from jobhooks.engine.scheduling.hook_queue import HookQueue
from jobhooks.engine.scheduling.loop_cycles import LoopCycles
from jobhooks.engine.scheduling.loop_links import Link, Runs
from jobhooks.matching.hook_table import Hook
from support.making import DEVICE, make_change, make_hook

LIMIT = 20
STEP_S = 0.005
LOOK_S = 0.25
REFILL_S = 10.0
START = 1_700_000_000.0

# The tables that a run for a change of this object writes: (table, object).
Writes = Callable[[int], list[tuple[int, int]]]


@dataclass
class Simulated:
    """A hook that runs one delivery after the other, each for ``run_s`` seconds; near the end it writes."""

    queue: HookQueue
    run_s: float
    writes: Writes
    pending: list[tuple[float, int]] = field(default_factory=list[tuple[float, int]])
    running: tuple[float, float, int] | None = None  # since when, for which change
    has_written: bool = False


class Simulation:
    """Hooks on the tables 1, 2, ...; ``outside``: what an application writes, as a time and a table."""

    def __init__(self, hooks: dict[int, tuple[float, Writes]], outside: list[tuple[float, int]]) -> None:
        self.hooks = {
            number: Simulated(HookQueue(_hook(number), LIMIT), run_s, writes)
            for number, (run_s, writes) in hooks.items()
        }
        self.cycles = LoopCycles()
        self.held_s = 0.0
        self._outside = sorted((START + at, table) for at, table in outside)
        self._changes = 0
        self._steps = 0

    def found(self, seconds: float) -> dict[int, str]:
        """The reasons of the hooks that were found to be in a loop in that time; it ends with the first one."""
        queues = {number: hook.queue for number, hook in self.hooks.items()}
        for step in range(self._steps, self._steps + int(seconds / STEP_S)):
            now = START + step * STEP_S
            self._steps = step + 1
            while self._outside and self._outside[0][0] <= now:
                at, table = self._outside.pop(0)
                self.hooks[table].pending.append((at, 0))
            for hook in self.hooks.values():
                self._go_on(hook, now)
            if step % int(LOOK_S / STEP_S) == 0:
                self.cycles.look(queues, now)
                for hook in self.hooks.values():
                    hook.queue.loops.look(now, is_idle=hook.running is None)
                    self.held_s += LOOK_S if hook.queue.loops.is_held else 0.0
            if step % int(REFILL_S / STEP_S) == 0:
                for hook in self.hooks.values():
                    hook.queue.loops.refill()
            if reasons := {number: loop.reason for number, queue in queues.items() if (loop := queue.loops.loop)}:
                return reasons
        return {}

    def _go_on(self, hook: Simulated, now: float) -> None:
        if hook.running is None:
            if hook.pending and not hook.queue.loops.is_held:
                written, which = hook.pending.pop(0)
                hook.running, hook.has_written = (now, written, which), False
            return
        began, written, which = hook.running
        if now >= began + hook.run_s * 0.9 and not hook.has_written:
            hook.has_written = True
            for table, each in hook.writes(which):
                self.hooks[table].pending.append((now, each))
        if now >= began + hook.run_s:
            hook.running = None
            self._changes += 1
            if hook.queue.loops.left > 0:
                delivery = _delivery(hook.queue, self._changes, written)
                hook.queue.loops.ran(delivery, Outcome(began, now, JobResultStatus.SUCCESS))


def _table(number: int) -> ContentType:
    return replace(DEVICE, id=number, name=f"public.t{number}")


def _hook(number: int) -> Hook:
    return replace(make_hook(number), content_type_ids=frozenset({number}))


def _delivery(queue: HookQueue, number: int, written: float) -> Delivery:
    time = datetime.datetime.fromtimestamp(written, datetime.UTC)
    (table,) = queue.hook.content_type_ids
    change = replace(make_change(number), time=time, content_type=_table(table))
    return deliveries_of(change, [queue.hook])[0]


def writes_to(table: int, times: int = 1) -> Writes:
    return lambda which: [(table, which)] * times


def writes_nothing(_which: int) -> list[tuple[int, int]]:
    return []


@pytest.mark.parametrize("run_s", [0.01, 0.1, 1.0])
def test_two_hooks_that_trigger_each_other(run_s: float) -> None:
    """The first one is held and paused, which ends the loop; the reason names both."""
    loop = Simulation({1: (run_s, writes_to(2)), 2: (run_s, writes_to(1))}, [(1.0, 1)])
    ((number, reason),) = loop.found(LIMIT * 10 * run_s + 90).items()
    assert number == 1
    assert reason.startswith('it and "h2" triggered each other: ') and "public.t1" in reason


def test_runs_of_different_length_and_a_late_write() -> None:
    """The change of the one is delivered, and has ended, while the run that wrote it goes on."""
    assert Simulation({1: (0.02, writes_to(2)), 2: (1.0, writes_to(1))}, [(1.0, 1)]).found(200)


def test_three_hooks_in_a_ring() -> None:
    ring = Simulation({1: (0.3, writes_to(3)), 2: (0.4, writes_to(1)), 3: (0.5, writes_to(2))}, [(1.0, 2)])
    ((number, reason),) = ring.found(200).items()
    assert number == 1 and 'it and "h3" and "h2" triggered each other' in reason, "in the order of the ring"


def test_a_ring_with_many_objects() -> None:
    """So that something is pending for each hook all the time."""
    assert Simulation({1: (0.01, writes_to(2)), 2: (0.01, writes_to(1))}, [(1.0, 1)] * 5).found(90)


@pytest.mark.parametrize("run_s", [0.02, 0.04])
def test_a_chain_that_ends_is_no_loop(run_s: float) -> None:
    """An application writes, and one hook triggers the next one."""
    writes = [(number / 10, 1) for number in range(900)]
    chain = Simulation({1: (run_s, writes_to(2)), 2: (run_s, writes_nothing)}, writes)
    assert not chain.found(100) and not chain.held_s


def test_a_chain_whose_runs_fill_the_time_between_two_writes() -> None:
    """Each write seems to be of the run before it. The first hook is held for a moment, and more and more rarely."""
    writes = [(number / 10, 1) for number in range(900)]
    chain = Simulation({1: (0.06, writes_to(2)), 2: (0.06, writes_nothing)}, writes)
    assert not chain.found(100) and 0 < chain.held_s < 10


def test_an_application_that_writes_both_tables_all_the_time() -> None:
    """It looks like a loop, until the first hook is held and the application goes on."""
    writes = [(number / 10, 1 + number % 2) for number in range(3_000)]
    busy = Simulation({1: (0.2, writes_nothing), 2: (0.2, writes_nothing)}, writes)
    assert not busy.found(300)
    assert 0 < busy.held_s <= 20, "each suspicion that was wrong makes the next one need more"


@pytest.mark.parametrize("seed_of_run", range(5))
def test_an_application_that_writes_at_random(seed: int, seed_of_run: int) -> None:
    """In bursts and with pauses, to three tables, of which two have hooks that write the third."""
    draw = random.Random(seed + seed_of_run)
    writes: list[tuple[float, int]] = []
    at = 0.0
    while at < 200:
        at += draw.expovariate(20) if draw.random() < 0.98 else draw.random() * 3
        writes.append((at, draw.randint(1, 3)))
    hooks = {1: (0.05, writes_to(3)), 2: (0.08, writes_to(3)), 3: (0.01, writes_nothing)}
    assert not Simulation(hooks, writes).found(200)


def test_an_application_that_waits_for_one_hook_while_another_is_busy() -> None:
    """Each write follows the end of a run of the first hook, so it would stop while that is held."""
    lockstep = Simulation({1: (0.05, writes_nothing), 2: (0.05, writes_nothing)}, [(1.0, 1)])
    first, second = lockstep.hooks[1], lockstep.hooks[2]
    first.writes = writes_to(1)  # as the application does, after it has seen the run
    second.pending = [(START + number * 0.05, 0) for number in range(1_000)]
    found = lockstep.found(60)
    assert "triggered each other" not in "".join(found.values())


def test_a_hook_that_is_deleted_leaves_no_trial() -> None:
    """Its runs were the evidence. The other one goes on."""
    loop = Simulation({1: (0.1, writes_to(2)), 2: (0.1, writes_to(1))}, [(1.0, 1)])
    queues = {number: hook.queue for number, hook in loop.hooks.items()}
    watch = queues[1].loops
    while not watch.is_held:
        assert not loop.found(1)
    watch.forget_others([])
    assert not watch.is_held


def _link(runs: int) -> Link:
    cause = Runs()
    for number in range(runs):
        cause.add(START + number, START + number + 0.9)
    return Link(cause, needed=LIMIT)


def test_two_runs_in_a_row_without_a_change_end_no_suspicion() -> None:
    link = _link(runs=10)
    for number in (0, 3, 6, 9):
        link.add_change(START + number + 0.5, 0.0)
    assert link.hits == 4


def test_three_runs_in_a_row_without_a_change_end_it() -> None:
    """An application writes at moments of its own: some runs in a row have none of its changes."""
    link = _link(runs=10)
    for number in (0, 1, 2, 6):
        link.add_change(START + number + 0.5, 0.0)
    assert link.hits == 0


def test_runs_between_changes_that_were_not_compared_mean_nothing() -> None:
    link = _link(runs=10)
    link.add_change(START + 0.5, 0.0)
    link.leave_gap()
    link.add_change(START + 9.5, 0.0)
    assert link.hits == 2
