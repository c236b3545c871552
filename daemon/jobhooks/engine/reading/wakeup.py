"""Waiting for changes. A NOTIFY from a writer only wakes the daemon; the log is the truth."""

import asyncio
import contextlib

from jobhooks.engine.leadership import LeaderSession
from jobhooks.engine.reading.listener import Listener
from jobhooks.engine.reading.rate import MEASURED_S, Rate, gather_s
from jobhooks.runtime.wakeup_mode import WakeupMode

BUSY = 500.0  # changes per second from which the daemon stays awake: a NOTIFY would make commits wait for each other
CROWDED = 50.0  # changes per second from which it checks whether commits wait for each other
CHECK_S = 0.25  # between two such checks
AWAKE_S = 5.0  # the least time to stay awake
SHORTEST_S = 0.002  # between two reads while writers send no NOTIFY
LONGEST_S = 0.05  # the same after nothing has come for a while


class Wakeup:
    """Decides whether the daemon sleeps until a NOTIFY, or stays awake and reads the log at short intervals.

    At a low rate of changes, sleeping is best: a change is read without delay. At a high rate, staying awake is better,
    above all for the writers: a NOTIFY makes their commits wait for each other.
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
        self._check_at = 0.0
        self._awake_until = 0.0
        self.rate = Rate(self._loop.time)

    def clear(self) -> None:
        """Forget earlier NOTIFYs. Call it before reading the log: one that comes during the read must stay."""
        self._listener.woken.clear()

    def found(self, count: int) -> None:
        """Count the changes of a page."""
        self.rate.add(count)
        if count:
            self._pause_s = SHORTEST_S

    def read_soon(self) -> None:
        """Read the log before long, if the daemon sleeps: there may be changes that no NOTIFY announces."""
        if self._asleep:
            self._listener.woken.set()

    async def gather(self) -> None:
        """Let more changes come before the next read, at a high rate and while writers send no NOTIFY.

        Each read has a price, no matter how many changes it finds, as has each settle batch. On a busy machine the
        writers pay it.
        """
        if not self._asleep:
            await asyncio.sleep(gather_s(self.rate.now()))

    async def wait(self) -> None:
        """Wait for a NOTIFY, or until the log must be read without one.

        Raises:
            DatabaseUnreachable: the connection is gone, and no NOTIFY would arrive.
        """
        self._listener.check()  # it may have been cut while receivers ran, and the event of that is cleared
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
        """Whether to stay awake: many changes come, or would come if writers did not wait for each other.

        A NOTIFY makes its commit wait for a lock until the previous commit is on disk. On a slow disk that alone keeps
        the rate low. So at a moderate rate the criterion is whether sessions wait for that lock. While the queue of
        NOTIFYs is crowded, writers send none, and would look at the queue for each row.
        """
        now = self._loop.time()
        rate = self.rate.now()
        if self._listener.is_crowded:
            self._awake_until = now + AWAKE_S
        elif rate > BUSY:
            self._awake_until = now + MEASURED_S
        elif self._asleep and rate > CROWDED and now > self._check_at:
            self._check_at = now + CHECK_S
            if await self._leader_session.is_crowded():
                self._awake_until = now + AWAKE_S
        return now < self._awake_until

    async def close(self) -> None:
        """Cancel the request for the sleep lock."""
        if self._falling_asleep is not None:
            self._falling_asleep.cancel()
            await asyncio.wait([self._falling_asleep])

    def _falls_asleep(self, *, wanted: bool) -> bool:
        """Whether the daemon has just fallen asleep. It waits for the lock in a task, and reads the log until then."""
        task = self._falling_asleep
        if task is not None and task.done():
            self._falling_asleep = None
            self._asleep = task.result()
            return self._asleep
        if task is None and wanted and not self._asleep:
            self._falling_asleep = task = asyncio.create_task(self._leader_session.fall_asleep())
            task.add_done_callback(lambda _task: self._listener.woken.set())
        return False
