"""The tasks that run what is ready, of each hook as many beside each other as it may have."""

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable
from functools import partial
from math import inf

import structlog

from jobhooks.engine.delivery.delivery import Delivery
from jobhooks.engine.delivery.outcome import Outcome
from jobhooks.engine.delivery.protocols import Gather, GiveBack, OnOutcome, Take
from jobhooks.engine.scheduling.batching import Gathering
from jobhooks.engine.scheduling.hook_queue import HookQueue, HookQueues
from jobhooks.matching.hook_table import Hook

CANCEL_S = 5.0  # that receivers have to end once they are cancelled

log = structlog.stdlib.get_logger()

WorkOff = Callable[[Hook, Take, Gather, GiveBack, OnOutcome], Awaitable[None]]


class HookTasks:
    """Run what is ready by ``work_off``, and tell what became of it.

    ``is_full``: whether memory is, so that a batch waits for no more. ``given_back``: told of what is ready again
    without having run.
    """

    def __init__(
        self,
        queues: HookQueues,
        work_off: WorkOff,
        told: Callable[[HookQueue, Delivery, Outcome | None], None],
        is_full: Callable[[], bool],
        given_back: Callable[[HookQueue], None],
    ) -> None:
        self._queues = queues
        self._work_off = work_off
        self._told = told
        self._is_full = is_full
        self._given_back = given_back
        self._tasks: set[asyncio.Task[None]] = set()
        self._failure: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._stopping = False

    @property
    def are_idle(self) -> bool:
        """Whether nothing runs."""
        return not self._tasks

    async def raise_failure(self) -> None:
        """Wait until a task fails.

        Raises:
            DatabaseUnreachable: the database was lost in a run.
        """
        await self._failure

    def make_ready(self, queue: HookQueue, delivery: Delivery) -> None:
        """Have a delivery run, which no other is before any more."""
        queue.ready.append(delivery)
        self._run_more(queue)

    async def stop(self) -> None:
        """Begin nothing more, and wait for what runs."""
        self._stopping = True
        for queue in self._queues.values():
            if queue.gathering is not None:
                queue.gathering.set()
        while self._tasks:
            await asyncio.wait(self._tasks)

    async def cancel(self) -> None:
        """End what runs. A receiver that will not be cancelled is left to itself: it has no connection any more."""
        self._stopping = True
        self._failure.cancel()
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            _, stubborn = await asyncio.wait(self._tasks, timeout=CANCEL_S)
            if stubborn:
                log.warning("receivers_will_not_be_cancelled", count=len(stubborn))

    def _run_more(self, queue: HookQueue) -> None:
        """Have what is ready gathered, or another task take from it, if the hook may have one more."""
        if queue.gathering is not None:
            queue.gathering.set()
        elif queue.runners < queue.hook.concurrency and not self._stopping:
            queue.runners += 1
            task = asyncio.create_task(self._run_ready(queue))
            self._tasks.add(task)
            task.add_done_callback(self._ended)

    async def _run_ready(self, queue: HookQueue) -> None:
        """Run what is ready, one after the other."""
        try:
            await self._work_off(
                queue.hook,
                partial(self._take, queue),
                partial(self._gather, queue),
                partial(self._take_back, queue),
                partial(self._told, queue),
            )
        finally:
            queue.runners -= 1

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and task.exception() is not None and not self._failure.done():
            error = task.exception()
            assert error is not None
            self._failure.set_exception(error)

    def _take(self, queue: HookQueue) -> Delivery | None:
        """Return the next delivery to run, which is one that runs from now on."""
        while queue.ready and not self._stopping and queue.runners <= queue.hook.concurrency:
            delivery = queue.ready.popleft()
            if not delivery.gone:
                queue.begin(delivery)
                return delivery
        return None

    async def _gather(self, queue: HookQueue, first: Delivery) -> list[Delivery]:
        """Return the deliveries that go into a batch with this one, which is the first of them.

        Those that are ready, and those that wait for none but these, in order. What comes while the hook waits for more
        goes into the batch, and no other task begins with it.
        """
        gathering = Gathering(first)
        most = queue.hook.batch_size or 1
        until = asyncio.get_running_loop().time() + queue.hook.batch_wait_s
        queue.gathering = more = asyncio.Event()
        first.began_at = inf  # what waits like this is not parked, so that what comes behind it finds it
        try:
            while len(gathering.deliveries) < most:
                more.clear()
                if (delivery := self._next_of_batch(queue, gathering)) is not None:
                    gathering.add(delivery)
                    delivery.began_at = inf
                elif self._stopping or self._is_full() or not await _happens(more, until):
                    break
        finally:
            queue.gathering = None
            for delivery in gathering.deliveries:
                delivery.began_at = time.monotonic()
            if queue.ready:
                self._run_more(queue)
        return gathering.deliveries

    def _next_of_batch(self, queue: HookQueue, gathering: Gathering) -> Delivery | None:
        delivery = gathering.next_behind()
        if delivery is not None:
            queue.begin(delivery)
            return delivery
        if queue.ready and queue.ready[0].alone:
            return None
        return self._take(queue)

    def _take_back(self, queue: HookQueue, deliveries: list[Delivery]) -> None:
        """Put what was taken and has not begun back to where it was, before the rest."""
        for delivery in reversed(deliveries):
            delivery.running = False
            queue.begun.discard(delivery)
            if not delivery.waits_for:
                queue.ready.appendleft(delivery)
                self._run_more(queue)
        self._given_back(queue)


async def _happens(event: asyncio.Event, until: float) -> bool:
    """Wait for an event; return whether it has happened before that moment of the loop's clock."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout_at(until):
            return await event.wait()
    return False
