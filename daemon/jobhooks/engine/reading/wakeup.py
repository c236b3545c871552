"""Waiting for changes: a NOTIFY from a writer only wakes, the log is the truth."""

import asyncio
import contextlib

from jobhooks.engine.leadership import LeaderSession
from jobhooks.engine.reading.listener import Listener
from jobhooks.engine.reading.rate import MEASURED_S, Rate, gather_s
from jobhooks.runtime.wakeup_mode import WakeupMode

BUSY = 500.0  # changes per second from which we stay awake: NOTIFY would make the writers' commits wait for one another
CROWDED = 50.0  # changes per second from which we ask whether commits wait for one another
ASK_S = 0.25  # between two such questions
AWAKE_S = 5.0  # for which we stay awake at least
SHORTEST_S = 0.002  # between two looks at the log while writers do not call
LONGEST_S = 0.05  # the same after nothing has come for a while


class Wakeup:
    """Decides whether we sleep, and are called, or stay awake, and look.

    At a low rate of changes sleeping is best: what comes is read at once. At a high one staying awake is, for the
    writers above all, whose commits a NOTIFY puts in a row.
    """

    def __init__(
        self, listener: Listener, leader_session: LeaderSession, mode: WakeupMode, poll_interval_s: float
    ) -> None:
        self._listener = listener
        self._leader_session = leader_session
        self._mode = mode
        self._poll_interval_s = poll_interval_s
        self._asleep = False
        self._pause_s = SHORTEST_S
        self._falling_asleep: asyncio.Task[bool] | None = None
        self._loop = asyncio.get_running_loop()
        self._ask_at = 0.0
        self._awake_until = 0.0
        self.rate = Rate()

    def clear(self) -> None:
        """Forget what came until now: called before the log is read, so that what comes meanwhile is not forgotten."""
        self._listener.woken.clear()

    def found(self, count: int) -> None:
        """Take note of what was read."""
        self.rate.add(count)
        if count:
            self._pause_s = SHORTEST_S

    async def gather(self) -> None:
        """Let a little more come before the log is read again, where much comes and writers do not call.

        Each look has a price, whatever it finds, and so has each recording of results: on a busy machine writers pay.
        """
        if not self._asleep:
            await asyncio.sleep(gather_s(self.rate.now()))

    async def wait(self) -> None:
        """Wait until woken, or until the log should be read although nobody called.

        Raises:
            DatabaseUnreachable: the connection is gone, and nobody would wake us any more.
        """
        self._listener.check()  # it may have been cut while receivers ran, and that event is forgotten by now
        busy = self._mode is WakeupMode.GATED and await self._is_busy()
        fell_asleep = self._falls_asleep(wanted=self._mode is not WakeupMode.POLL and not busy)
        if busy and self._asleep:
            await self._leader_session.stay_awake()
            self._asleep = False
        elif fell_asleep:
            return  # and read once more: see LeaderSession.fall_asleep
        if self._asleep:
            pause_s = self._poll_interval_s
        else:
            pause_s, self._pause_s = self._pause_s, min(2 * self._pause_s, LONGEST_S)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(pause_s):
                await self._listener.woken.wait()
        self._listener.check()

    async def _is_busy(self) -> bool:
        """Return whether we should be awake: much comes, or would come if writers did not wait for one another.

        A NOTIFY has its commit wait for a lock until the one before is on disk. On a slow disk that alone keeps the
        rate low, so what counts is that sessions wait for it.
        """
        now = self._loop.time()
        rate = self.rate.now()
        if rate > BUSY:
            self._awake_until = now + MEASURED_S
        elif self._asleep and rate > CROWDED and now > self._ask_at:
            self._ask_at = now + ASK_S
            if await self._leader_session.is_crowded():
                self._awake_until = now + AWAKE_S
        return now < self._awake_until

    async def close(self) -> None:
        """End what is still waited for."""
        if self._falling_asleep is not None:
            self._falling_asleep.cancel()
            await asyncio.wait([self._falling_asleep])

    def _falls_asleep(self, *, wanted: bool) -> bool:
        """Return whether we have just fallen asleep; the lock is waited for beside, while the log is looked at."""
        task = self._falling_asleep
        if task is not None and task.done():
            self._falling_asleep = None
            self._asleep = task.result()
            return self._asleep
        if task is None and wanted and not self._asleep:
            self._falling_asleep = task = asyncio.create_task(self._leader_session.fall_asleep())
            task.add_done_callback(lambda _task: self._listener.woken.set())
        return False
