"""One attempt at a delivery: its receiver runs where it belongs, and a connection that is lost is no failure of it."""

from collections.abc import Awaitable, Callable

import structlog

from jobhooks.contract.log import ReceiverLog
from jobhooks.engine.books import Books
from jobhooks.engine.delivery import Delivery
from jobhooks.engine.journal import facts
from jobhooks.engine.loading import Findings, FoundReceiver
from jobhooks.engine.outcome import Clock, Outcome, failed
from jobhooks.engine.settle import Settler
from jobhooks.errors import AlreadySettled, DatabaseUnreachable, UnknownJob

MOST_LOSSES = 3  # of its connection, in a row, before that counts as the receiver's own failure

RunsReceiver = Callable[[FoundReceiver, Delivery], Awaitable[Outcome]]
log = structlog.stdlib.get_logger()


class Attempts:
    """Makes attempts: ``async def`` receivers in the loop, ``def`` ones in workers."""

    def __init__(
        self,
        run_async: RunsReceiver,
        run_def: RunsReceiver,
        findings: Findings,
        settler: Settler,
        books: Books,
        clock: Clock,
    ) -> None:
        self._run_async = run_async
        self._run_def = run_def
        self._findings = findings
        self._settler = settler
        self._books = books
        self._clock = clock

    async def make(self, delivery: Delivery) -> Outcome:
        """Make one attempt and return what it came to.

        Raises:
            AlreadySettled: it has a result by now.
            DatabaseUnreachable: the database is gone, and not the connection of this run alone.
        """
        found = self._findings.receivers.get(delivery.hook.class_path)
        if found is None:
            # Recorded and kept as a debt like any failure, so that a module that is broken for a day loses nothing.
            missing = UnknownJob(self._findings.why_missing(delivery.hook.class_path))
            return failed(self._clock.now(), self._clock, ReceiverLog(), missing)
        run = self._run_async if found.is_async else self._run_def
        losses = 0
        while True:
            try:
                return await run(found, delivery)
            except DatabaseUnreachable as exc:
                losses += 1
                # Whether it had committed is not known to us. If it commits after we have looked, this run's own result
                # meets that one, and is rolled back.
                async with self._settler.lock:
                    if await self._books.has_result(delivery):
                        raise AlreadySettled from exc
                if losses == MOST_LOSSES:
                    return failed(self._clock.now(), self._clock, ReceiverLog(), exc)
                log.warning("run_lost_its_connection", **facts(delivery), error=str(exc))
