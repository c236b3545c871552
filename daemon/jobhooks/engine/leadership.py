"""Who leads: one daemon of a database reads and delivers, the others stand by and take over when its session ends."""

import asyncio
import contextlib
from collections.abc import Callable

import structlog

from jobhooks.errors import DatabaseUnreachable
from jobhooks.store.connections import AsyncConnection, call_async

LEADER_LOCK = 4
SLEEP_LOCK = 2
PATIENCE_S = 1.0  # for which one statement waits: while it does, it holds back the removal of dead rows

log = structlog.stdlib.get_logger()


class LeaderSession:
    """The session that holds our locks, on a connection of its own: that of the leader, and that of a daemon that
    sleeps.

    It speaks every second or so, since a standby takes a leader that is silent for ``leader_timeout_s`` for dead.
    """

    def __init__(self, conn: AsyncConnection, leader_timeout_s: float) -> None:
        self._conn = conn
        self._timeout_s = leader_timeout_s
        self._turn = asyncio.Lock()
        self._asleep = False
        self._lost = asyncio.Event()
        conn.add_termination_listener(lambda _conn: self._lost.set())

    async def lead(self, stands_by: Callable[[], None]) -> int:
        """Wait until nobody else leads; return the number under which this daemon leads now.

        ``stands_by`` is called if somebody does. The server gives us the lock the moment the session of the one who
        leads ends. One that is silent is ended.
        """
        told = False
        patience_s = min(PATIENCE_S, self._timeout_s / 4)
        while not await self._wait_for(LEADER_LOCK, patience_s):
            if not told:
                log.info("standing_by")
                stands_by()
                told = True
            ((deposed,),) = await call_async(self._conn, "depose_silent_leader", self._timeout_s)
            if deposed:
                log.warning("silent_leader_deposed", leader_timeout_s=self._timeout_s)
        ((leader,),) = await call_async(self._conn, "take_the_lead")
        return leader

    async def keep_speaking(self) -> None:
        """Show that this daemon is alive, and find out that the connection is not, until cancelled.

        Raises:
            DatabaseUnreachable: no answer came, or none in time for a standby not to take over.
        """
        while True:
            try:
                async with asyncio.timeout(self._timeout_s / 2), self._turn:
                    await call_async(self._conn, "nothing")
            except TimeoutError as exc:
                self._conn.terminate()
                raise DatabaseUnreachable("the database does not answer") from exc
            # At once if its session has ended, and with it the lock: somebody else may lead already.
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(min(PATIENCE_S, self._timeout_s / 4)):
                    await self._lost.wait()

    async def fall_asleep(self) -> bool:
        """Ask for the lock that has writers wake us; return whether we hold it now.

        From the moment we wait for it, writers who begin to write send a NOTIFY. When we have it, all that sent none
        have ended: see the capture. So until then the log must be read although nobody called, and after it once more.
        """
        if not self._asleep:
            async with self._turn:
                self._asleep = await self._wait_for(SLEEP_LOCK, min(PATIENCE_S, self._timeout_s / 4))
        return self._asleep

    async def stay_awake(self) -> None:
        """Let go of that lock: writers need not call, since the log is read all the time."""
        if self._asleep:
            async with self._turn:
                await call_async(self._conn, "stay_awake")
            self._asleep = False

    async def is_crowded(self) -> bool:
        """Return whether sessions wait for one another in order to send a NOTIFY."""
        async with self._turn:
            ((crowded,),) = await call_async(self._conn, "is_crowded")
        return crowded

    async def _wait_for(self, lock: int, seconds: float) -> bool:
        ((held,),) = await call_async(self._conn, "wait_for_lock", lock, seconds)
        return held
