"""How many deliveries run at a time where hooks share that: those of a singleton job, and of jobs of one queue."""

import asyncio
import contextlib
from collections.abc import AsyncGenerator

from jobhooks.matching.hook_table import Hook


class ConcurrencyLimits:
    """What a runner of a hook holds while it runs something."""

    def __init__(self) -> None:
        self._semaphores: dict[tuple[str, int | str, int], asyncio.Semaphore] = {}

    @contextlib.asynccontextmanager
    async def held(self, hook: Hook) -> AsyncGenerator[None]:
        """Wait until one more delivery of the hook may run, and count it until the end of the block.

        The job before the queue, always: so no two wait for one another. A limit that changes is a new semaphore, so
        that for a moment what runs by the old one runs beside.
        """
        async with contextlib.AsyncExitStack() as stack:
            if hook.limits.is_singleton:
                await stack.enter_async_context(self._semaphore("job", hook.job_id, 1))
            if hook.limits.queue:
                await stack.enter_async_context(self._semaphore("queue", hook.limits.queue, hook.queue_limit))
            yield

    def _semaphore(self, kind: str, name: int | str, limit: int) -> asyncio.Semaphore:
        return self._semaphores.setdefault((kind, name, limit), asyncio.Semaphore(limit))
