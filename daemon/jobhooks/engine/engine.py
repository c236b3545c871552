"""The engine: the one place where reader, settler, ledger, attempts and dispatcher are put together.

The daemon, the pytest plugin, the tests and ``bench/`` construct it. They differ in their runners, their observers, and
in how they wake the engine.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

from jobhooks.discovery.registry import ReceiverRegistry
from jobhooks.engine.delivery.cursor import Cursor
from jobhooks.engine.delivery.observer import Observers
from jobhooks.engine.delivery.outcome import Clock
from jobhooks.engine.delivery_log import DeliveryLog
from jobhooks.engine.reading.reader import PageReader, Reader, Reading
from jobhooks.engine.running.attempts import Attempts
from jobhooks.engine.running.runner import Runners
from jobhooks.engine.running.suspects import Suspects
from jobhooks.engine.scheduling.dispatcher import Dispatcher
from jobhooks.engine.scheduling.follower import Follower
from jobhooks.engine.scheduling.hook_queue import HookQueue
from jobhooks.engine.scheduling.long_runs import LongRuns
from jobhooks.engine.settling.ledger import Ledger
from jobhooks.engine.settling.run_markers import RunMarkers
from jobhooks.engine.settling.running_rows import RunningRows
from jobhooks.engine.settling.settler import Settler
from jobhooks.store.connections import AsyncConnection

PAGE_SIZE = 500
PAGES_IN_MEMORY = 4  # of deliveries
COUNT_INTERVAL_S = 1.0  # between two writes of counts: conditions that could not be evaluated, ends of chains
LOOK_S = 0.01  # between two looks for pending deliveries


@dataclass(frozen=True)
class EngineConnections:
    """The connections of an engine, which nothing else uses, and the number under which it leads."""

    reading: AsyncConnection
    reading_alone: AsyncConnection  # for the hooks that cannot keep up with the others
    settling: AsyncConnection
    leader: int


class Engine:
    """Reads changes, matches them with hooks, runs receivers and settles their results.

    Construction does no I/O. Call ``start``, then ``run`` beside a loop of ``read``; or ``deliver_pending``, which does
    all three. The caller closes runners and connections. ``read_soon``: called after a run whose writes are
    to be read, because no NOTIFY announces them.
    """

    def __init__(
        self,
        connections: EngineConnections,
        runners: Runners,
        registry: ReceiverRegistry,
        *,
        page_size: int = PAGE_SIZE,
        clock: Clock | None = None,
        observers: Observers | None = None,
        loop_limit: int = 0,
        keeps_rates: bool = True,
        read_soon: Callable[[], None] | None = None,
    ) -> None:
        clock = clock or Clock()
        runners.use_clock(clock)
        self.observers = observers or Observers(DeliveryLog())
        self.registry = registry
        self.reader = Reader(connections.reading, page_size)
        self._pages_alone = PageReader(connections.reading_alone, page_size)
        self._reading = asyncio.Lock()  # held while the position of the shared stream moves
        self.settler = Settler(connections.settling, connections.leader)
        self.ledger = Ledger(connections.settling, registry)
        self._suspects = Suspects(RunMarkers(connections.settling, self.settler.lock, connections.leader))
        self.attempts = Attempts(runners, registry, self.settler, self.ledger, clock, self._suspects)
        self.dispatcher = Dispatcher(
            self.attempts.work_off,
            self.settler,
            self.ledger,
            PAGES_IN_MEMORY * page_size,
            registry.can_run,
            self.observers,
            clock,
            loop_limit,
            keeps_rates=keeps_rates,
            read_soon=read_soon,
        )
        self.settler.attach(self.dispatcher)
        rows = RunningRows(connections.settling, self.settler.lock, connections.leader)
        self._long_runs = LongRuns(self.dispatcher.queues, rows, self.ledger, self.settler, clock)
        self._follower = Follower(self.dispatcher, self._read_alone, self._reading)

    async def start(self, *, in_doubt_s: float | None = None) -> None:
        """Load the saved position in the log, and the active hooks. ``in_doubt_s``: as ``Suspects.load``."""
        await self._suspects.load(in_doubt_s=in_doubt_s)
        await self._long_runs.start()
        await self.dispatcher.start(await self.reader.load())
        await self.dispatcher.reload_hooks()

    async def run(self) -> None:
        """Run and settle deliveries, until cancelled.

        Raises (all in groups):
            DatabaseUnreachable: a connection was lost.
            LeadsNoMore: another daemon leads.
        """
        async with asyncio.TaskGroup() as group:
            group.create_task(self.settler.run())
            group.create_task(self.dispatcher.run())
            group.create_task(self._follower.run())
            group.create_task(self._suspects.run())
            group.create_task(self._long_runs.run())
            group.create_task(self._write_counts_regularly())

    async def read(self, *, soon: bool = False) -> Reading:
        """Read the next page of the log, and schedule its deliveries. ``soon``: a NOTIFY asked for it."""
        async with self._reading:
            reading = await self.reader.read(soon=soon)
            if reading.changes:
                if self.observers.changes_read is not None:
                    self.observers.changes_read(reading.changes)
                await self._follow_configuration(reading)
            await self.dispatcher.admit(reading)
        return reading

    async def _follow_configuration(self, reading: Reading) -> None:
        """Load the hooks if they have changed.

        After the page, never before: a hook that committed before a change must be loaded before the change is matched.
        """
        if reading.configuration != self.dispatcher.hooks_version:
            await self.dispatcher.reload_hooks()

    async def _read_alone(self, queue: HookQueue, window: Cursor, up_to: int) -> Reading:
        while True:
            ids = queue.hook.read_ids
            reading = await self._pages_alone.read_tables(window, up_to=up_to, content_type_ids=ids)
            await self._follow_configuration(reading)
            if queue.hook.read_ids <= ids:
                return reading  # else changes of a table that the hook reads since then may have been left out

    async def deliver_pending(self, hasten: Callable[[], bool]) -> None:
        """Deliver everything that is pending, to the end.

        ``hasten``: makes entries due that only wait for time to pass, and returns whether there were any.

        Raises (in groups): as ``run``.
        """
        await self.start()
        async with asyncio.TaskGroup() as group:
            running = group.create_task(self.run())
            try:
                while True:
                    reading = await self.read()
                    if not reading.changes and self.dispatcher.is_idle:
                        await self.settler.drain()
                        hastened = hasten()
                        if not hastened and self.dispatcher.is_idle and not await self.reader.has_news():
                            break
                        self.dispatcher.backlog_changed()
                    await asyncio.sleep(LOOK_S)
            finally:
                await self.dispatcher.cancel()
                running.cancel()

    def backlog_changed(self) -> None:
        """Another session has changed the backlog, or cancelled a run."""
        self.dispatcher.backlog_changed()
        self._long_runs.look_now()

    async def stop(self) -> None:
        """Begin nothing more; return when running deliveries have ended and are settled."""
        await self.dispatcher.stop()
        await self.settler.drain()
        await self._write_counts()

    async def cancel(self) -> None:
        """End everything that runs. It is delivered again."""
        await self.dispatcher.cancel()

    async def _write_counts_regularly(self) -> None:
        while True:
            await asyncio.sleep(COUNT_INTERVAL_S)
            if self.ledger.has_unwritten:
                await self._write_counts()
            if self.ledger.has_other_verdicts:
                await self.dispatcher.reload_hooks()

    async def _write_counts(self) -> None:
        async with self.settler.lock:
            await self.ledger.write_counts()
