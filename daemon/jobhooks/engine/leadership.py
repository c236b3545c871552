"""Leadership: one daemon of a database reads and delivers, the others stand by and take over when its session ends."""

import asyncio
import contextlib
from collections.abc import Callable

import asyncpg

from jobhooks.errors import DatabaseUnreachable
from jobhooks.runtime.event_log import get_logger
from jobhooks.runtime.process_identity import this_process
from jobhooks.store.connections import AsyncConnection, call_async

SLEEP_LOCK = 2
SQUATTED_S = 10.0  # between two requests of the sleep lock while another program holds it
PATIENCE_S = 1.0  # the longest wait of one statement: a waiting statement holds back the removal of dead rows

log = get_logger()


class LeaderSession:
    """The session that leads, and that holds the advisory lock of a sleeping daemon. It has its own connection.

    It sends a statement about every second: a standby takes a leader that is silent for ``leader_timeout_s`` for dead.
    """

    def __init__(self, conn: AsyncConnection, leader_timeout_s: float) -> None:
        self._conn = conn
        self._timeout_s = leader_timeout_s
        self._turn = asyncio.Lock()
        self._asleep = False
        self._squatter: int | None = None
        self._lost = asyncio.Event()
        conn.add_termination_listener(lambda _conn: self._lost.set())

    async def acquire(self, on_standby: Callable[[], None]) -> int:
        """Wait until this daemon leads; the number under which it leads.

        ``on_standby`` is called if another daemon leads. The wait ends as soon as the leader's session does. A silent
        leader's session is ended.
        """
        await call_async(self._conn, "show_process", process=this_process())
        stands_by = False
        while (leader := await self._claim()) is None:
            if not stands_by:
                stands_by = True
                log.info("standing_by")
                on_standby()
            ((deposed,),) = await call_async(self._conn, "end_silent_leader", seconds=self._timeout_s)
            if deposed:
                log.warning("silent_leader_deposed", leader_timeout_s=self._timeout_s)
            await call_async(self._conn, "wait_for_leader", seconds=min(PATIENCE_S, self._timeout_s / 4))
        return leader

    async def begin(self, leader: int) -> bool:
        """Note that this process leads; whether one that led before it may have died."""
        ((in_doubt,),) = await call_async(self._conn, "begin_leadership", leader=leader, process=this_process())
        return in_doubt

    async def end(self, leader: int) -> None:
        """Note that this daemon stops by itself."""
        async with self._turn:
            await call_async(self._conn, "end_leadership", leader=leader)

    async def keep_alive(self) -> None:
        """Show that this daemon is alive, and check that the connection is, until cancelled.

        From now on the server ends this session if it is silent for ``leader_timeout_s``, even without a standby: while
        a daemon that is stopped or cut off holds the sleep lock, each commit sends a NOTIFY that is not read.

        Raises:
            DatabaseUnreachable: no answer came, or it came too late to keep a standby from taking over.
        """
        async with self._turn:
            await call_async(self._conn, "end_when_silent", seconds=self._timeout_s)
        while True:
            try:
                async with asyncio.timeout(self._timeout_s / 2), self._turn:
                    await call_async(self._conn, "nothing")
            except TimeoutError as exc:
                self._conn.terminate()
                raise DatabaseUnreachable("the database does not answer") from exc
            # Without delay if the session has ended: another daemon may already lead.
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(min(PATIENCE_S, self._timeout_s / 4)):
                    await self._lost.wait()

    async def fall_asleep(self) -> bool:
        """Request the lock that makes writers wake this daemon; whether it holds the lock now.

        From the moment the lock is requested, writers that begin to write send a NOTIFY. Once it is held, all writers
        that did not send one have ended (see the capture functions). So the log must be read without a NOTIFY until
        then, and once more after that.

        While another program holds the lock, it is requested only now and then: the request makes writers send NOTIFYs.
        """
        if not self._asleep:
            async with self._turn:
                ((self._asleep,),) = await call_async(
                    self._conn, "wait_for_lock", key=SLEEP_LOCK, seconds=min(PATIENCE_S, self._timeout_s / 4)
                )
                squatters = [] if self._asleep else await call_async(self._conn, "wake_lock_squatters")
            if squatters:
                self._report(squatters[0])
                await asyncio.sleep(SQUATTED_S)
        return self._asleep

    async def stay_awake(self) -> None:
        """Release that lock: writers need not send a NOTIFY while the log is read all the time."""
        if self._asleep:
            async with self._turn:
                await call_async(self._conn, "stay_awake")
            self._asleep = False

    async def is_crowded(self) -> bool:
        """Whether sessions wait for each other in order to send a NOTIFY."""
        async with self._turn:
            ((crowded,),) = await call_async(self._conn, "is_crowded")
        return crowded

    def _report(self, squatter: asyncpg.Record) -> None:
        """Name a session that holds the sleep lock, once."""
        pid, role, application_name = squatter
        if pid != self._squatter:
            self._squatter = pid
            remedy = f"select pg_terminate_backend({pid})"
            log.warning("wake_lock_squatted", pid=pid, role=role, application_name=application_name, remedy=remedy)

    async def _claim(self) -> int | None:
        """Lead, unless another daemon does; the number under which this daemon leads."""
        ((leader,),) = await call_async(self._conn, "acquire_leadership")
        return leader
