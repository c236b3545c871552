"""Deliveries that may have ended the daemon: they join no group of others."""

from jobhooks.contract.choices import JobResultStatus
from jobhooks.engine.delivery.delivery import Delivery
from jobhooks.engine.delivery.group import Group
from jobhooks.engine.delivery.observer import Observer, Observers
from jobhooks.engine.delivery.outcome import Outcome
from jobhooks.engine.delivery.protocols import DeliverySource
from jobhooks.engine.delivery.state import State
from jobhooks.engine.running.suspects import WithoutSuspects
from jobhooks.engine.scheduling.hook_queue import HookQueue
from jobhooks.engine.scheduling.hook_tasks import HookSource, HookTasks
from jobhooks.matching.hook_table import Hook
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
