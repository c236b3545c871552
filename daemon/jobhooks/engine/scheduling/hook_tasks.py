"""The tasks that run what is ready, of each hook as many beside each other as it may have."""

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable
from functools import partial
from math import inf

import structlog

from jobhooks.engine.delivery.delivery import Delivery
from jobhooks.engine.running.attempts import Gather, GiveBack, Take
from jobhooks.engine.running.in_loop.group import Tell
from jobhooks.engine.running.result_statements import Outcome
from jobhooks.engine.scheduling.batching import Gathering
from jobhooks.engine.scheduling.hook_queue import HookWork, Works
from jobhooks.matching.hook_table import Hook

CANCEL_S = 5.0  # that receivers have to end once they are cancelled

log = structlog.stdlib.get_logger()

WorkOff = Callable[[Hook, Take, Gather, GiveBack, Tell], Awaitable[None]]


class Runners:
    """Run what is ready by ``work_off``, and tell what became of it.

    ``is_full``: whether memory is, so that a batch waits for no more. ``given_back``: told of what is ready again
    without having run.
    """

    def __init__(
        self,
        works: Works,
        work_off: WorkOff,
        told: Callable[[HookWork, Delivery, Outcome | None], None],
        is_full: Callable[[], bool],
        given_back: Callable[[HookWork], None],
    ) -> None:
        self._works = works
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

    def make_ready(self, work: HookWork, delivery: Delivery) -> None:
        """Have a delivery run, which no other is before any more."""
        work.ready.append(delivery)
        self._run_more(work)

    async def stop(self) -> None:
        """Begin nothing more, and wait for what runs."""
        self._stopping = True
        for work in self._works.values():
            if work.gathering is not None:
                work.gathering.set()
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

    def _run_more(self, work: HookWork) -> None:
        """Have what is ready gathered, or another task take from it, if the hook may have one more."""
        if work.gathering is not None:
            work.gathering.set()
        elif work.runners < work.hook.concurrency and not self._stopping:
            work.runners += 1
            task = asyncio.create_task(self._run_ready(work))
            self._tasks.add(task)
            task.add_done_callback(self._ended)

    async def _run_ready(self, work: HookWork) -> None:
        """Run what is ready, one after the other."""
        try:
            await self._work_off(
                work.hook,
                partial(self._take, work),
                partial(self._gather, work),
                partial(self._take_back, work),
                partial(self._told, work),
            )
        finally:
            work.runners -= 1

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and task.exception() is not None and not self._failure.done():
            error = task.exception()
            assert error is not None
            self._failure.set_exception(error)

    def _take(self, work: HookWork) -> Delivery | None:
        """Return the next delivery to run, which is one that runs from now on."""
        while work.ready and not self._stopping and work.runners <= work.hook.concurrency:
            delivery = work.ready.popleft()
            if not delivery.gone:
                work.begin(delivery)
                return delivery
        return None

    async def _gather(self, work: HookWork, first: Delivery) -> list[Delivery]:
        """Return the deliveries that go into a batch with this one, which is the first of them.

        Those that are ready, and those that wait for none but these, in order. What comes while the hook waits for more
        goes into the batch, and no other task begins with it.
        """
        gathering = Gathering(first)
        most = work.hook.batch_size or 1
        until = asyncio.get_running_loop().time() + work.hook.batch_wait_s
        work.gathering = more = asyncio.Event()
        first.began_at = inf  # what waits like this is not parked, so that what comes behind it finds it
        try:
            while len(gathering.deliveries) < most:
                more.clear()
                if (delivery := self._next_of_batch(work, gathering)) is not None:
                    gathering.add(delivery)
                    delivery.began_at = inf
                elif self._stopping or self._is_full() or not await _happens(more, until):
                    break
        finally:
            work.gathering = None
            for delivery in gathering.deliveries:
                delivery.began_at = time.monotonic()
            if work.ready:
                self._run_more(work)
        return gathering.deliveries

    def _next_of_batch(self, work: HookWork, gathering: Gathering) -> Delivery | None:
        delivery = gathering.next_behind()
        if delivery is not None:
            work.begin(delivery)
            return delivery
        if work.ready and work.ready[0].alone:
            return None
        return self._take(work)

    def _take_back(self, work: HookWork, deliveries: list[Delivery]) -> None:
        """Put what was taken and has not begun back to where it was, before the rest."""
        for delivery in reversed(deliveries):
            delivery.running = False
            work.begun.discard(delivery)
            if not delivery.waits_for:
                work.ready.appendleft(delivery)
                self._run_more(work)
        self._given_back(work)


async def _happens(event: asyncio.Event, until: float) -> bool:
    """Wait for an event; return whether it has happened before that moment of the loop's clock."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout_at(until):
            return await event.wait()
    return False
