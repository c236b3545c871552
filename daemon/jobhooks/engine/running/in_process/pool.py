"""Worker processes of one receiver: they are started, get work one piece at a time, and are killed."""

import asyncio
import signal
from collections import deque
from collections.abc import Callable
from typing import Any, TypeVar

from jobhooks.contract.control import WorkerDied
from jobhooks.engine.running.in_process.worker_process import UNKNOWN, Worker

T = TypeVar("T")
IDLE_S = 10.0  # after which a worker without work ends
# How a worker ends that gets a SIGTERM before it can leave it to the daemon; UNKNOWN if the fork server got it as well.
ENDED_AT_START = (-signal.SIGTERM, UNKNOWN)


class WorkerPool:
    """The workers of one version of a receiver: idle ones are kept, further ones start when they are needed.

    ``arguments``: of ``worker.initialize``. ``report`` is called with the reason if a worker is ended because of what
    runs left in it. The caller limits how many calls there are at a time.
    """

    def __init__(self, arguments: tuple[Any, ...], report: Callable[[str], None]) -> None:
        self._arguments = arguments
        self._report = report
        self._idle: deque[Worker] = deque()  # the longest idle first
        self._ending: asyncio.TimerHandle | None = None  # of idle ones
        self._busy: set[Worker] = set()
        self._closed = False

    async def call(
        self,
        work: Callable[..., T],
        argument: object,
        limit_s: float | None,
        on_begin: Callable[[Worker], None] | None = None,
    ) -> T:
        """Have a worker call ``work(argument)``, a function of a module. ``on_begin`` gets the worker before that.

        Cancelling this kills the worker.

        Raises:
            TimeoutError: it took longer than ``limit_s`` and was killed.
            WorkerDied: the worker ended before it answered, or could not be started.
            Exception: an error of ``work``.
        """
        taken = self._take_idle() or await self._start()
        self._busy.add(taken)
        if on_begin is not None:
            on_begin(taken)
        try:
            return await taken.call(work, argument, limit_s)
        finally:
            self._busy.discard(taken)
            if taken.leftovers is not None:
                self._report(taken.leftovers)
            if taken.is_idle and not self._closed:
                self._keep(taken)
            else:
                taken.end()

    async def _start(self) -> Worker:
        """Start a worker; again if a signal to the whole process group ended it."""
        try:
            return await Worker.start(self._arguments)
        except WorkerDied as exc:
            if exc.code not in ENDED_AT_START:
                raise
        return await Worker.start(self._arguments)

    def _keep(self, worker: Worker) -> None:
        """Keep a worker for the next call, for a while."""
        loop = asyncio.get_running_loop()
        worker.idle_since = loop.time()
        self._idle.append(worker)
        if self._ending is None:
            self._ending = loop.call_later(IDLE_S, self._end_idle)

    def _end_idle(self) -> None:
        """End workers that have been idle for long. The most recently used one is taken first, so others stay idle."""
        loop = asyncio.get_running_loop()
        while self._idle and self._idle[0].idle_since <= loop.time() - IDLE_S:
            self._idle.popleft().end()
        self._ending = loop.call_at(self._idle[0].idle_since + IDLE_S, self._end_idle) if self._idle else None

    def cancel_calls(self) -> None:
        """Cancel all current calls."""
        for busy in self._busy:
            busy.cancel()

    def retire(self) -> None:
        """End idle workers, and the others after their current call."""
        self._closed = True
        if self._ending is not None:
            self._ending.cancel()
        while self._idle:
            self._idle.pop().end()

    def kill(self) -> None:
        """Kill all workers, without the event loop."""
        for each in [*self._idle, *self._busy]:
            each.kill_process()

    async def close(self) -> None:
        """Kill busy workers, end the others, and wait until all have ended."""
        workers = [*self._idle, *self._busy]
        self.retire()
        for busy in self._busy:
            busy.kill()
        await asyncio.gather(*(each.ended() for each in workers))

    def _take_idle(self) -> Worker | None:
        while self._idle:
            last = self._idle.pop()
            if last.is_idle:
                return last
            last.end()
        return None
