"""The tasks that run ready deliveries: for each hook up to its concurrency at the same time."""

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable
from math import inf
from typing import Protocol

from jobhooks.engine.delivery.delivery import Delivery
from jobhooks.engine.delivery.group import Group
from jobhooks.engine.delivery.observer import Observers
from jobhooks.engine.delivery.outcome import Outcome
from jobhooks.engine.delivery.protocols import DeliverySource
from jobhooks.engine.scheduling.hook_queue import HookQueue, HookQueues
from jobhooks.errors import JobhooksError
from jobhooks.matching.hook_table import Hook
from jobhooks.runtime.event_log import get_logger

CANCEL_S = 5.0  # for receivers to end after they are cancelled

log = get_logger()

# Attempts the deliveries of a source, until it has no more: ``running.attempts.Attempts.work_off``.
WorkOff = Callable[[Hook, DeliverySource], Awaitable[None]]


class TaskOwner(Protocol):
    """The side of the dispatcher that hook tasks see."""

    def on_outcome(self, queue: HookQueue, delivery: Delivery, outcome: Outcome | None) -> None:
        """An attempt has ended. Without an outcome, the delivery had a result already."""
        ...

    def on_given_back(self, queue: HookQueue) -> None:
        """Deliveries went back to the queue without an attempt."""
        ...

    def on_reload(self, queue: HookQueue, delivery: Delivery) -> None:
        """A part of a delivery has a result already."""
        ...

    def is_full(self, queue: HookQueue) -> bool:
        """Whether the hook reads no more for now, so that a batch must not wait for more."""
        ...

    def may_run(self, queue: HookQueue) -> bool:
        """Whether the hook's deliveries run at present."""
        ...


class HookTasks:
    """Runs ready deliveries by ``work_off``, and reports their outcomes to ``owner``."""

    def __init__(self, queues: HookQueues, work_off: WorkOff, owner: TaskOwner, observers: Observers) -> None:
        self._queues = queues
        self._work_off = work_off
        self.owner = owner
        self.observers = observers
        self._tasks: set[asyncio.Task[None]] = set()
        self._alarms: dict[int, asyncio.TimerHandle] = {}  # by hook
        self._failure: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.stopping = False

    @property
    def are_idle(self) -> bool:
        """Whether nothing runs."""
        return not self._tasks

    async def raise_failure(self) -> None:
        """Wait until a task fails.

        Raises:
            DatabaseUnreachable: a run lost the database.
        """
        await self._failure

    async def stop(self) -> None:
        """Begin nothing more, and wait for running deliveries."""
        self.stopping = True
        for queue in self._queues.values():
            if queue.gathering is not None:
                queue.gathering.set()
        while self._tasks:
            await asyncio.wait(self._tasks)

    async def cancel(self) -> None:
        """End everything that runs. A receiver that resists is left alone: its connection is already closed."""
        self.stopping = True
        for alarm in self._alarms.values():
            alarm.cancel()
        self._failure.cancel()
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            _, stubborn = await asyncio.wait(self._tasks, timeout=CANCEL_S)
            if stubborn:
                log.warning("receivers_will_not_be_cancelled", count=len(stubborn))

    def start(self, queue: HookQueue) -> None:
        """Start tasks for ready deliveries, as many as the hook may have, or give these to a batch that waits."""
        if queue.gathering is not None:
            queue.gathering.set()
            return
        if self.stopping or queue.loops.is_held:
            return
        for _ in range(min(queue.hook.limits.concurrency - queue.tasks, len(queue.ready))):
            queue.tasks += 1
            task = asyncio.create_task(self._run_ready(queue))
            self._tasks.add(task)
            task.add_done_callback(self._ended)

    def start_at(self, queue: HookQueue, at: float) -> None:
        """Start tasks at that moment, when the hook's rate allows the next delivery."""
        hook_id = queue.hook.id
        if (former := self._alarms.pop(hook_id, None)) is not None:
            former.cancel()
        self._alarms[hook_id] = asyncio.get_running_loop().call_at(at, self._start_paced, queue)

    def _start_paced(self, queue: HookQueue) -> None:
        self._alarms.pop(queue.hook.id, None)
        if queue.pace is not None:
            queue.pace.look()
            self.start(queue)

    async def _run_ready(self, queue: HookQueue) -> None:
        try:
            await self._work_off(queue.hook, (HookSource if queue.pace is None else PacedSource)(self, queue))
        finally:
            queue.tasks -= 1
        if queue.ready and not self.stopping:
            self.start(queue)  # those that became ready after it had looked for the last time

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if task.cancelled():
            # By a receiver that kept its task, and cancelled it later. Its deliveries are read again in a new session.
            error = None if self.stopping else JobhooksError("a receiver cancelled the task that runs its hook")
        else:
            error = task.exception()
        if error is not None and not self._failure.done():
            self._failure.set_exception(error)


class HookSource:
    """The ``DeliverySource`` of one hook task: the hook's queue.

    It gives no more when the hook is loaded again. A task that begins then holds the limits of the job as they are now.
    """

    __slots__ = ("_hook", "_on_outcome", "_on_started", "_queue", "_tasks")

    def __init__(self, tasks: HookTasks, queue: HookQueue) -> None:
        self._tasks = tasks
        self._queue = queue
        self._hook = queue.hook
        self._on_outcome = tasks.owner.on_outcome
        self._on_started = tasks.observers.delivery_started

    @property
    def _may_take(self) -> bool:
        queue = self._queue
        if self._tasks.stopping or queue.loops.is_held:
            return False
        return queue.hook is self._hook and queue.tasks <= self._hook.limits.concurrency

    def take(self) -> Delivery | None:
        """The next ready delivery, which runs from now on."""
        delivery = self._queue.take() if self._may_take else None
        if delivery is not None and self._on_started is not None:
            self._on_started(delivery)
        return delivery

    def more_of(self, group: Group) -> Delivery | None:
        """Take a delivery behind those of the group, or else one that is ready, and add it."""
        if not self._may_take:
            return None
        return self._add_to(group)

    def report(self, delivery: Delivery, outcome: Outcome | None) -> None:
        """Pass on the outcome of an attempt."""
        self._on_outcome(self._queue, delivery, outcome)

    async def gather(self, first: Delivery) -> list[Delivery]:
        """Complete a batch that begins with this delivery: ready deliveries, and those that wait for these only.

        In order. A delivery that arrives while the batch waits for more goes into it, and no other task takes it. If
        the hook stands still before it is complete, all of it is given back.
        """
        queue, owner = self._queue, self._tasks.owner
        group = Group(first)
        began_at = asyncio.get_running_loop().time()
        queue.gathering = more = asyncio.Event()
        first.began_at = inf  # a waiting batch is no slow run, and later deliveries must find it
        try:
            while len(group.deliveries) < (queue.hook.limits.batch_size or 1) and owner.may_run(queue):
                more.clear()
                until = began_at + queue.hook.limits.batch_wait
                if (delivery := self._add_to(group)) is not None:
                    delivery.began_at = inf
                elif self._tasks.stopping or owner.is_full(queue) or not await _happens(more, until):
                    break
                else:
                    group.look_again()
        finally:
            queue.gathering = None
            for delivery in group.deliveries:
                delivery.began_at = time.monotonic()
            self._tasks.start(queue)
        if owner.may_run(queue):
            return group.deliveries
        self.give_back(group.deliveries)
        return []

    def give_back(self, deliveries: list[Delivery]) -> None:
        """Put deliveries that were taken, and not attempted, back to the front of the queue."""
        queue = self._queue
        queue.give_back(deliveries)
        if (on_returned := self._tasks.observers.delivery_returned) is not None:
            for delivery in deliveries:
                on_returned(delivery)
        self._tasks.owner.on_given_back(queue)
        self._tasks.start(queue)

    def give_back_alone(self, deliveries: list[Delivery]) -> None:
        """The same for deliveries that must run by themselves."""
        for delivery in deliveries:
            delivery.alone = True
        self.give_back(deliveries)

    def reload(self, delivery: Delivery) -> None:
        """Drop a delivery, to load again what of it is pending."""
        if (on_returned := self._tasks.observers.delivery_returned) is not None:
            on_returned(delivery)
        self._tasks.owner.on_reload(self._queue, delivery)

    def _add_to(self, group: Group) -> Delivery | None:
        queue = self._queue
        delivery = group.next_behind()
        if delivery is not None:
            queue.begin(delivery)
        elif queue.ready and not queue.ready[0].alone:
            delivery = queue.take()
        if delivery is None:
            return None
        group.add(delivery)
        if self._on_started is not None:
            self._on_started(delivery)
        return delivery


class PacedSource(HookSource):
    """The source of a hook with a rate: deliveries that follow others in their group also count."""

    __slots__ = ()

    def _add_to(self, group: Group) -> Delivery | None:
        queue, pace = self._queue, self._queue.pace
        delivery = group.next_behind()
        if delivery is not None and (pace is None or pace.take_waiting(delivery)):
            queue.begin(delivery)
        elif queue.ready and not queue.ready[0].alone:
            delivery = queue.take()
        else:
            delivery = None
        if delivery is None:
            return None
        group.add(delivery)
        if self._on_started is not None:
            self._on_started(delivery)
        return delivery


async def _happens(event: asyncio.Event, until: float) -> bool:
    """Wait for an event; whether it happens before that moment of the loop's clock."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout_at(until):
            return await event.wait()
    return False
