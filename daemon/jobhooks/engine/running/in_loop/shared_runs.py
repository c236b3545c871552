"""Short runs of one hook that share a transaction, so that one commit serves them all."""

import asyncio
import contextlib

from jobhooks.discovery.loading import FoundReceiver
from jobhooks.engine.delivery.delivery import Delivery
from jobhooks.engine.delivery.outcome import Clock, Outcome
from jobhooks.engine.running.in_loop.call import call_receiver, record
from jobhooks.engine.running.in_loop.pool import Connections
from jobhooks.engine.running.in_loop.transaction import RunTransaction, SharedTransaction, end_transaction
from jobhooks.engine.running.result_statements import says_only_success
from jobhooks.engine.running.run_protocol import recorded
from jobhooks.engine.running.runner import Feed
from jobhooks.engine.running.sharing_policy import LONGEST_S, MOST, TOO_LONG_S, GaveWay, SharingPolicy
from jobhooks.errors import AlreadySettled, DatabaseUnreachable, JobhooksError

LATE_S = 0.02  # the others commit without a run that lasts longer, unless it is in the transaction with them


class SharedRuns:
    """Runs one delivery after the other in one transaction, and commits them together.

    A failed run is undone to its savepoint and is a failure like any other. A run that would wait for a lock while it
    holds those of others gives way: it is undone and attempted again by itself. If the runs cannot commit together, all
    of them are attempted again, each by itself.
    """

    def __init__(
        self,
        connections: Connections,
        found: FoundReceiver,
        policy: SharingPolicy,
        first: Delivery,
        feed: Feed,
        clock: Clock,
    ) -> None:
        self._connections = connections
        self._found = found
        self._hook = first.hook
        self._policy = policy
        self._may_share = policy.next_may_share()
        self._feed = feed
        self._clock = clock
        self._shared = SharedTransaction(connections, first.hook.job)
        self._protocol = self._shared.protocol
        self._kept: list[tuple[Delivery, Outcome]] = []  # in the transaction, not committed
        self._undone: list[Delivery] = []  # to be attempted again
        self._until = 0.0
        task = asyncio.current_task()
        assert task is not None
        self._task = task
        self._loop = task.get_loop()
        self._timer: asyncio.TimerHandle | None = None  # from the first run that was kept to the end
        self._running = False
        self._ended_for_others = False
        self._early: asyncio.Task[None] | None = None

    def accepts(self, delivery: Delivery) -> bool:
        """Whether this delivery may be next: it is of the same hook, unchanged since the first one began."""
        return delivery.hook is self._hook and delivery.may_share

    @property
    def accepts_more(self) -> bool:
        """Whether another run may follow. Always, as long as no run has used its connection."""
        if self._protocol.closed or self._protocol.broken or self._undone:
            return False
        count = len(self._kept)
        return not count or (self._may_share and count < MOST and self._loop.time() < self._until)

    async def run(self, delivery: Delivery) -> None:
        """Run a delivery. Its outcome is reported now if it is final, else when the transaction has committed.

        Raises:
            DatabaseUnreachable: a run by itself lost the database.
        """
        if not self._kept:
            self._until = self._loop.time() + LONGEST_S
        self._running = True
        transaction = RunTransaction(self._connections, self._hook.job, delivery.identity, self._shared)
        try:
            await self._run(delivery, transaction)
        except asyncio.CancelledError:
            if not self._ended_for_others or self._task.cancelling() > 1:
                raise  # the caller is cancelled
            await self._undo(delivery)
        finally:
            self._running = False
            if self._ended_for_others:
                self._ended_for_others = False
                self._task.uncancel()
            transaction.end()
            if transaction.joined is not None and transaction.joined is not self._shared:
                await end_transaction(transaction)

    async def finish(self) -> None:
        """Commit, report the outcomes, and attempt again each run that was undone."""
        if self._timer is not None:
            self._timer.cancel()
        if self._early is None:
            await self._settle()
        else:
            await self._early
            await self._run_undone()  # the last run, if it was undone after the others had settled

    async def end(self) -> None:
        """Roll back uncommitted work."""
        if self._timer is not None:
            self._timer.cancel()
        if self._early is not None and not self._early.done():
            self._early.cancel()
            await asyncio.wait([self._early])
        await self._end_transaction()

    async def _end_transaction(self) -> None:
        if self._protocol.needs_end:
            await asyncio.shield(self._shared.end())

    async def _run(self, delivery: Delivery, transaction: RunTransaction) -> None:
        try:
            outcome = await self._outcome(delivery, transaction)
        except (AlreadySettled, DatabaseUnreachable, GaveWay):
            await self._undo(delivery)
        else:
            if outcome is not None:
                self._feed.report(delivery, outcome)

    async def _outcome(self, delivery: Delivery, transaction: RunTransaction) -> Outcome | None:
        """Run it. None: its outcome depends on the commit.

        Raises:
            AlreadySettled, DatabaseUnreachable, GaveWay: nothing of this run may be kept.
        """
        outcome = await call_receiver(self._found, delivery, transaction, self._clock)
        joined = transaction.joined
        if joined is None:
            return outcome
        if joined is not self._shared:
            return outcome if outcome.undone else await record(joined, [delivery], outcome, self._clock, commit=True)
        if not outcome.undone and not says_only_success(outcome):
            outcome = await record(joined, [delivery], outcome, self._clock, commit=False)
        if outcome.undone:
            await self._undo_current()
            return outcome
        self._kept.append((delivery, outcome))
        if self._timer is None and self._may_share:
            self._timer = self._loop.call_later(LATE_S, self._is_late)
        return None

    async def _undo(self, delivery: Delivery) -> None:
        """Undo a run that is attempted again."""
        self._policy.undone()
        self._undone.append(delivery)
        if self._shared.current is not None:
            await self._undo_current()

    async def _undo_current(self) -> None:
        """Undo the current run. If it cannot be undone alone, the transaction is broken and no run of it commits."""
        with contextlib.suppress(JobhooksError):
            await self._shared.undo()

    def _is_late(self) -> None:
        """Commit the others without the current run. If it is in the transaction with them, give it a little longer."""
        if not self._running:
            return  # they are committing
        if self._shared.current is None:
            self._protocol.closed = True
            self._early = asyncio.create_task(self._settle())
        else:
            self._timer = self._loop.call_later(TOO_LONG_S, self._is_too_late)

    def _is_too_late(self) -> None:
        if self._running:
            self._ended_for_others = True
            self._task.cancel()

    async def _settle(self) -> None:
        kept, self._kept = self._kept, []
        try:
            if len(kept) == 1 and not kept[0][1].recorded and not self._protocol.broken:
                await self._settle_one(*kept[0])
            elif kept:
                await self._shared.commit_all(kept)
                for delivery, outcome in kept:
                    self._feed.report(delivery, recorded(outcome))
                self._policy.committed(len(kept))
        except JobhooksError:
            # If the connection was lost, they may have committed: run_alone looks it up for each.
            self._policy.undone()
            self._undone += [delivery for delivery, _ in kept]
        finally:
            await self._end_transaction()
        await self._run_undone()

    async def _run_undone(self) -> None:
        while self._undone:
            await self._feed.run_alone(self._found, self._undone.pop(0))

    async def _settle_one(self, delivery: Delivery, outcome: Outcome) -> None:
        """Commit a run that is alone in the transaction: an error of the commit is its own failure."""
        self._feed.report(delivery, await record(self._shared, [delivery], outcome, self._clock, commit=True))
