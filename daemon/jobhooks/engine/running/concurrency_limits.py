"""Limits that hooks share: one delivery at a time of a singleton job, and a number of them per queue."""

import asyncio
import contextlib
from collections.abc import AsyncGenerator

from jobhooks.matching.hook_table import Hook


class ConcurrencyLimits:
    """The semaphores that a hook's tasks hold while they run a delivery."""

    def __init__(self) -> None:
        self._semaphores: dict[tuple[str, int | str, int], asyncio.Semaphore] = {}

    @contextlib.asynccontextmanager
    async def held(self, hook: Hook) -> AsyncGenerator[None]:
        """Wait until one more delivery of the hook may run, and count it until the end of the block.

        All take the job's semaphore before the queue's, so there is no deadlock. A limit that changes gets a new
        semaphore: deliveries that hold the old one are not counted in it.
        """
        async with contextlib.AsyncExitStack() as stack:
            if hook.limits.is_singleton:
                await stack.enter_async_context(self._semaphore("job", hook.job_id, 1))
            if hook.limits.queue:
                await stack.enter_async_context(self._semaphore("queue", hook.limits.queue, hook.queue_limit))
            yield

    def _semaphore(self, kind: str, name: int | str, limit: int) -> asyncio.Semaphore:
        return self._semaphores.setdefault((kind, name, limit), asyncio.Semaphore(limit))
