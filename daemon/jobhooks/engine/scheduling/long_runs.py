"""Runs that last longer than about a second: they have a row and their log lines in the database, and can be ended.

Shorter runs cost nothing here: twice a second it looks at the running deliveries, and notes those that began long ago.
"""

import asyncio
import contextlib
import time
from collections.abc import Iterator
from dataclasses import dataclass

from jobhooks.contract.control import Cancelled
from jobhooks.contract.log import LogEntry
from jobhooks.contract.run import DeliveryIdentity
from jobhooks.engine.delivery.call import Call, RunDiscarded
from jobhooks.engine.delivery.delivery import Delivery
from jobhooks.engine.delivery.log_fields import log_fields
from jobhooks.engine.delivery.outcome import Clock
from jobhooks.engine.delivery.state import State
from jobhooks.engine.scheduling.hook_queue import HookQueues
from jobhooks.engine.settling.ledger import Ledger
from jobhooks.engine.settling.running_rows import BegunRun, NewLines, NotedRun, RunningRows
from jobhooks.engine.settling.settler import Settler
from jobhooks.runtime.event_log import get_logger

LONG_S = 1.0
LOOK_S = 0.5  # between two looks at the runs
POLL_S = 2.0  # between two questions whether a run is cancelled, if no NOTIFY says that one is
# Lines of all runs that are written at a time: results wait for them. The rest follows with the next look.
MOST_LINES = 2_000
MOST_CHARACTERS = 500_000

log = get_logger()


@dataclass(slots=True, eq=False)
class LongRun:
    """A run that has lasted long. ``lines``: how many are written; ``is_noted``: its row is written."""

    delivery: Delivery
    identity: DeliveryIdentity
    call: Call
    started_at: float
    lines: int = 0
    is_noted: bool = False


class LongRuns:
    """Notes long runs and their lines, and ends those that people cancel or discard."""

    def __init__(self, queues: HookQueues, rows: RunningRows, ledger: Ledger, settler: Settler, clock: Clock) -> None:
        self._queues = queues
        self._rows = rows
        self._ledger = ledger
        self._settler = settler
        self._clock = clock
        self._runs: dict[tuple[int, int], LongRun] = {}  # by change and hook
        self._asked = asyncio.Event()
        self._asked_at = 0.0

    async def start(self) -> None:
        """Take over the runs that earlier daemons did not end.

        Raises:
            LeadsNoMore: another daemon leads.
        """
        count = await self._rows.interrupt()
        if count:
            log.warning("runs_interrupted", count=count, hint="their attempts begin again: jobhooks delivery list")

    def look_now(self) -> None:
        """A person may have cancelled or discarded a run."""
        self._asked.set()

    async def run(self) -> None:
        """Look at the runs, until cancelled.

        Raises:
            LeadsNoMore: another daemon leads.
            DatabaseUnreachable: the connection was lost.
        """
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(LOOK_S):
                    await self._asked.wait()
            is_asked = self._asked.is_set()
            self._asked.clear()
            await self._look(is_asked=is_asked)

    async def _look(self, *, is_asked: bool) -> None:
        now = time.monotonic()
        ended = self._forget_ended()
        for delivery, call in self._running(now - LONG_S):
            key = delivery.change.id, delivery.hook.id
            if key not in self._runs:
                started_at = self._clock.now() - (now - delivery.began_at)
                self._runs[key] = LongRun(delivery, delivery.identity, call, started_at)
        begun = [run for run in self._runs.values() if not run.is_noted]
        lines = list(self._new_lines())
        is_due = bool(self._runs) and (is_asked or now >= self._asked_at + POLL_S)
        if not (ended or begun or lines or is_due):
            return
        self._asked_at = now
        noted = await self._rows.note(
            ended,
            [BegunRun(run.delivery, run.started_at, run.call.worker_pid) for run in begun],
            [NewLines(run.identity, run.lines + 1, new) for run, new in lines],
        )
        by_identity = {DeliveryIdentity(row.change_id, row.hook_id, row.attempt): row for row in noted}
        for run, new in lines:
            if run.identity in by_identity:
                run.lines += len(new)
        for run in list(self._runs.values()):
            await self._follow(run, by_identity.get(run.identity))

    def _running(self, long_ago: float) -> Iterator[tuple[Delivery, Call]]:
        """The deliveries whose receivers have worked since that moment. A batch that is not complete does not run."""
        for queue in self._queues.values():
            for delivery in queue.running:
                call = delivery.call
                if call is not None and delivery.began_at <= long_ago and call.is_running(delivery.identity):
                    yield delivery, call

    def _forget_ended(self) -> list[DeliveryIdentity]:
        """Forget the runs whose results have committed, and those that have begun again; those that were noted."""
        over = [key for key, run in self._runs.items() if _is_over(run)]
        return [run.identity for key in over if (run := self._runs.pop(key)).is_noted]

    def _new_lines(self) -> Iterator[tuple[LongRun, list[LogEntry]]]:
        """The lines of each run for the next write."""
        room, characters = MOST_LINES, MOST_CHARACTERS
        for run in self._runs.values():
            new: list[LogEntry] = []
            for entry in run.call.lines(run.identity)[run.lines : run.lines + room]:
                if characters <= 0:
                    break
                characters -= len(entry.message) + len(entry.object or "")
                new.append(entry)
            room -= len(new)
            if new:
                yield run, new

    async def _follow(self, run: LongRun, row: NotedRun | None) -> None:
        """End a run that is cancelled, or that was discarded: as a whole, or one of the changes that are merged in it.

        Its row is missing as well if its hook was deleted: then it goes on. A run that was discarded in its first
        second never has one.
        """
        if row is not None:
            run.is_noted = True
            if row.cancelled is not None:
                run.call.end(Cancelled(row.cancelled))
                return
            if row.deliveries == 1 + len(run.delivery.merged):
                return
        if await self._is_settled(run.delivery):
            log.warning("run_discarded", **log_fields(run.delivery))
            run.call.end(RunDiscarded())

    async def _is_settled(self, delivery: Delivery) -> bool:
        """Whether it, or a change that is merged in it, has a result."""
        async with self._settler.lock:
            for each in (delivery, *delivery.merged):
                if await self._ledger.has_result(each):
                    return True
        return False


def _is_over(run: LongRun) -> bool:
    """Whether a run has ended. One that has no call any more may have a result that is being written."""
    call = run.delivery.call
    if call is None:
        return run.delivery.state not in (State.RUNNING, State.SETTLING)
    return call is not run.call
