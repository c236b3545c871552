"""Deliveries that may have ended the daemon: they join no group of others, and begin when their mark is committed."""

import asyncio
from typing import cast

import pytest

from jobhooks.contract.choices import JobResultStatus
from jobhooks.contract.run import DeliveryIdentity
from jobhooks.engine.delivery.delivery import Delivery
from jobhooks.engine.delivery.group import Group
from jobhooks.engine.delivery.observer import Observer, Observers
from jobhooks.engine.delivery.outcome import Outcome
from jobhooks.engine.delivery.protocols import DeliverySource
from jobhooks.engine.delivery.state import State
from jobhooks.engine.running import suspects as module
from jobhooks.engine.running.suspects import Suspects, WithoutSuspects
from jobhooks.engine.scheduling.hook_queue import HookQueue
from jobhooks.engine.scheduling.hook_tasks import HookSource, HookTasks
from jobhooks.engine.settling.run_markers import BegunMark, RunMarkers, SuspectRow
from jobhooks.matching.hook_table import Hook
from support.engine.running import until
from support.making import make_delivery, make_hook, make_outcome

FAILURE = make_outcome(JobResultStatus.FAILURE, error="x", raised=True)


class Silent(Observer):
    """Sees nothing."""


class Owner:
    """Reports outcomes to the queue, as the dispatcher does."""

    def on_outcome(self, queue: HookQueue, delivery: Delivery, outcome: Outcome | None) -> None:
        if outcome is None or not outcome.raised:
            queue.settle(delivery)
        else:
            queue.fail(delivery, outcome)

    def on_given_back(self, queue: HookQueue) -> None:
        """Its receiver is there."""

    def on_reload(self, queue: HookQueue, delivery: Delivery) -> None:
        raise AssertionError("nothing is merged here")

    def is_full(self, queue: HookQueue) -> bool:
        return False

    def may_run(self, queue: HookQueue) -> bool:
        return True


async def work_off(hook: Hook, source: DeliverySource) -> None:
    """No task is started here."""


async def test_a_suspect_behind_a_failure_becomes_a_row() -> None:
    """If it were given back after the failure, it would wait for that forever, outside its lanes."""
    hook = make_hook()
    queue = HookQueue(hook)
    first, suspect, third = (make_delivery(number, hook=hook) for number in (1, 2, 3))
    for delivery in (first, suspect, third):
        queue.admit(delivery)
    tasks = HookTasks({hook.id: queue}, work_off, Owner(), Observers(Silent()))
    source = WithoutSuspects(HookSource(tasks, queue), lambda delivery: delivery is suspect)
    assert source.take() is first
    group = Group(first)
    assert source.more_of(group) is None
    source.report(first, FAILURE)
    source.give_back_held()
    assert [delivery.state for delivery in (suspect, third)] == [State.PARKING, State.PARKING]
    assert suspect.alone
    assert source.more_of(group) is None


async def test_a_suspect_behind_a_success_is_next() -> None:
    hook = make_hook()
    queue = HookQueue(hook)
    first, suspect = (make_delivery(number, hook=hook) for number in (1, 2))
    queue.admit(first)
    queue.admit(suspect)
    tasks = HookTasks({hook.id: queue}, work_off, Owner(), Observers(Silent()))
    source = WithoutSuspects(HookSource(tasks, queue), lambda delivery: delivery is suspect)
    assert source.take() is first
    assert source.more_of(Group(first)) is None
    source.report(first, make_outcome())
    assert list(queue.ready) == [suspect]
    await tasks.stop()


class SlowMarkers:
    """Commits marks some time after ``go_on`` is set."""

    def __init__(self) -> None:
        self.go_on = asyncio.Event()
        self.asked_for: list[list[BegunMark]] = []
        self.committed: list[BegunMark] = []

    async def doubted_processes(self) -> list[str]:
        return ["silent"]

    async def load(self, died: list[str]) -> list[SuspectRow]:
        return []

    async def write(self, ended: list[DeliveryIdentity], begun: list[BegunMark], *, alone: bool) -> None:
        self.asked_for.append(begun)
        number = len(self.asked_for)
        await self.go_on.wait()
        for _ in range(10 * number):  # one after the other
            await asyncio.sleep(0)
        self.committed += begun


async def test_a_run_begins_when_its_mark_is_committed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Also if the search for the culprit ends at this moment, which writes the marks of others."""
    monkeypatch.setattr(module, "MOST_MARKED", 0)
    monkeypatch.setattr(module, "LOOK_S", 0)
    markers = SlowMarkers()
    suspects = Suspects(cast("RunMarkers", markers))
    await suspects.load(in_doubt_s=60.0)
    begun_before_mark: list[DeliveryIdentity] = []
    second_runs = asyncio.Event()

    async def run(number: int) -> None:
        delivery = make_delivery(number)
        async with suspects.marked(delivery):
            if (delivery.identity, delivery.version) not in markers.committed:
                begun_before_mark.append(delivery.identity)
            if number == 1:
                await second_runs.wait()
            second_runs.set()

    runs = [asyncio.create_task(run(1))]
    await until("the first mark is being written", lambda: len(markers.asked_for) == 1)
    runs.append(asyncio.create_task(run(2)))
    await asyncio.sleep(0)
    searching = asyncio.create_task(suspects.run())
    for _ in range(10):
        await asyncio.sleep(0)
    markers.go_on.set()
    await asyncio.gather(*runs)
    searching.cancel()
    assert begun_before_mark == []


class Former:
    """The marks of a former leader: change 1 ran alone, and was in flight at a crash before."""

    def __init__(self) -> None:
        self.is_silent = True
        self.died: list[str] = []

    async def doubted_processes(self) -> list[str]:
        return ["former"] if self.is_silent and not self.died else []

    async def load(self, died: list[str]) -> list[SuspectRow]:
        self.died += died
        state = "guilty" if self.died else "running" if self.is_silent else "waiting"
        return [SuspectRow(1, 1, 1, 1 + len(self.died), state, None, 99)]

    async def write(self, ended: list[DeliveryIdentity], begun: list[BegunMark], *, alone: bool) -> None:
        """Marks are of no interest here."""


@pytest.mark.parametrize("lives", [True, False])
async def test_only_the_runs_of_a_process_in_doubt_are_held(monkeypatch: pytest.MonkeyPatch, *, lives: bool) -> None:
    """Others run, marked, until it shows itself or has been silent for too long."""
    monkeypatch.setattr(module, "LOOK_S", 0)
    former = Former()
    suspects = Suspects(cast("RunMarkers", former))
    await suspects.load(in_doubt_s=60.0 if lives else 0.1)
    searching = asyncio.create_task(suspects.run())
    judged = make_delivery(1)
    held = asyncio.create_task(suspects.verdict(judged))
    assert suspects.is_careful
    other = make_delivery(2)
    assert await suspects.verdict(other) is None
    async with suspects.marked(other):
        assert not held.done()
    former.is_silent = not lives
    verdict = await asyncio.wait_for(held, 5)
    assert (former.died, suspects.is_careful) == (([], False) if lives else (["former"], True))
    assert (verdict is None, judged.version) == ((True, None) if lives else (False, 99))
    assert suspects.knows(make_delivery(1))
    searching.cancel()
