"""Short runs of one hook that share a transaction, so that one commit serves them all."""

import asyncio
import contextlib

from jobhooks.discovery.registry import FoundReceiver
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

SLICE_S = 0.005  # how long receivers that never wait keep the loop to themselves
LATE_S = 0.02  # the others commit without a run that lasts longer, unless it is in the transaction with them


# A run that has ended, and whether its writes are in the shared transaction, not committed.
EndedRun = tuple[Delivery, Outcome, bool]


class SharedRuns:
    """Runs one delivery after the other in one transaction, commits them together, and then reports the outcomes.

    A failed run is undone to its savepoint and is a failure like any other; none behind others runs after it. A run
    that would wait for a lock while it holds those of others gives way: it is undone and attempted again by itself. If
    the runs cannot commit together, all of them are attempted again, each by itself, with everything behind them.
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
        self._version = found.version
        self._shared = SharedTransaction(connections, first.hook.job, self._version)
        self._protocol = self._shared.protocol
        self._ended: list[EndedRun] = []  # in order; their outcomes are not reported yet
        self._kept = 0  # how many of them are in the transaction
        self._undone: list[Delivery] = []  # to be attempted again
        self._ends_lanes = False  # no run behind others may follow
        self._cannot_commit = False
        task = asyncio.current_task()
        assert task is not None
        self._task = task
        self._loop = task.get_loop()
        now = self._loop.time()
        self._slice_ends = now + SLICE_S
        self._until = now + LONGEST_S
        self._timer: asyncio.TimerHandle | None = None  # from the second run to the end
        self._running: Delivery | None = None
        self._ended_for_others = False
        self._early: asyncio.Task[None] | None = None

    def accepts(self, delivery: Delivery) -> bool:
        """Whether this delivery may be next: it is of the same hook, unchanged since the first one began."""
        if delivery.waits_for and self._ends_lanes:
            return False
        return delivery.hook is self._hook and delivery.may_share

    @property
    def accepts_more(self) -> bool:
        """Whether another run may follow."""
        if self._protocol.closed or self._protocol.broken or self._undone:
            return False
        now = self._loop.time()
        if not self._kept:
            self._until = now + LONGEST_S
            return now < self._slice_ends
        return self._may_share and self._kept < MOST and now < self._until

    @property
    def _runs_behind(self) -> bool:
        """Whether a run is not over yet that waits for others of the same object."""
        return self._running is not None and self._running.waits_for > 0

    async def run(self, delivery: Delivery) -> None:
        """Run a delivery."""
        if self._ended and self._timer is None:
            self._timer = self._loop.call_later(LATE_S, self._is_late)
        self._running = delivery
        delivery.version = self._version
        transaction = RunTransaction(self._connections, self._hook.job, delivery.identity, self._shared, delivery)
        try:
            await self._run(delivery, transaction)
        except asyncio.CancelledError:
            if not self._ended_for_others or self._task.cancelling() > 1:
                raise  # the caller is cancelled
            await self._undo(delivery)
        finally:
            self._running = None
            if self._ended_for_others:
                self._ended_for_others = False
                self._task.uncancel()
            transaction.end()
            if transaction.joined is not None and transaction.joined is not self._shared:
                await end_transaction(transaction)

    async def finish(self) -> None:
        """Commit, give each run back that was undone, and report the outcomes of the others."""
        if self._timer is not None:
            self._timer.cancel()
        if self._early is not None:
            await self._early
        await self._settle()

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
            outcome = await call_receiver(self._found, delivery, transaction, self._clock, task=self._task)
            if transaction.joined is None and delivery.waits_for and self._needs_to_join(outcome):
                await transaction.open()
            joined = transaction.joined
            if joined is self._shared:
                await self._end_joined(delivery, outcome)
                return
            if joined is not None and not outcome.undone:
                outcome = await record(joined, [delivery], outcome, self._clock, commit=True)
        except (AlreadySettled, DatabaseUnreachable, GaveWay):
            await self._undo(delivery)
            return
        if not outcome.recorded and not says_only_success(outcome):
            self._ends_lanes = True  # the shared transaction cannot record it
        self._ended.append((delivery, outcome, False))

    def _needs_to_join(self, outcome: Outcome) -> bool:
        """Whether a run that did not use its connection must commit with those before it, and has a text to record."""
        if outcome.undone or says_only_success(outcome):
            return False
        return self._protocol.needs_end and not self._protocol.closed

    async def _end_joined(self, delivery: Delivery, outcome: Outcome) -> None:
        """Keep a run in the shared transaction, with its result, or undo it.

        Raises:
            AlreadySettled, DatabaseUnreachable: nothing of this run may be kept.
        """
        if not outcome.undone and not says_only_success(outcome):
            outcome = await record(self._shared, [delivery], outcome, self._clock, commit=False)
        if outcome.undone:
            self._ends_lanes = True
            await self._undo_current()
        else:
            self._kept += 1
        self._ended.append((delivery, outcome, not outcome.undone))

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
        if self._running is None:
            return  # they are committing
        if self._shared.current is None:
            self._protocol.closed = True
            self._early = asyncio.create_task(self._settle())
        else:
            self._timer = self._loop.call_later(TOO_LONG_S, self._end_for_others)

    def _end_for_others(self) -> None:
        if self._running is not None:
            self._ended_for_others = True
            self._task.cancel()

    async def _settle(self) -> None:
        ended, self._ended = self._ended, []
        kept, self._kept = self._kept, 0
        try:
            if kept:
                ended = await self._committed(ended)
        except JobhooksError:
            # If the connection was lost, they may have committed: attempts look that up for each.
            self._policy.undone()
            self._cannot_commit = True
        finally:
            await self._end_transaction()
        if self._cannot_commit:
            self._undone = [run[0] for run in ended if _depends(run)] + self._undone
            ended = [run for run in ended if not _depends(run)]
            if self._runs_behind:
                self._end_for_others()  # it is given back with those before it
        if self._undone and not self._runs_behind:
            undone, self._undone = self._undone, []
            self._feed.give_back_alone(undone)
        report = self._feed.report
        for delivery, outcome, _ in ended:
            report(delivery, outcome)

    async def _committed(self, ended: list[EndedRun]) -> list[EndedRun]:
        """Commit the kept ones, and with them the results of others if runs behind those are among them.

        Raises:
            JobhooksError: nothing is committed, or whether it is, is unknown.
        """
        is_group = self._runs_behind or any(delivery.waits_for for delivery, _, _ in ended)
        if is_group:
            ended = [(delivery, of, kept or says_only_success(of)) for delivery, of, kept in ended]
        runs = [(delivery, outcome) for delivery, outcome, kept in ended if kept]
        if len(runs) == 1 and not is_group and not runs[0][1].recorded and not self._protocol.broken:
            # Alone in the transaction: an error of the commit is its own failure.
            delivery, outcome = runs[0]
            final = await record(self._shared, [delivery], outcome, self._clock, commit=True)
            return [(delivery, final if kept else of, kept) for delivery, of, kept in ended]
        await self._shared.commit_all(runs)
        self._policy.committed(len(runs))
        return [(delivery, recorded(of) if kept else of, kept) for delivery, of, kept in ended]


def _depends(run: EndedRun) -> bool:
    """Whether a run must be attempted again if the shared transaction cannot commit."""
    delivery, _, kept = run
    return kept or delivery.waits_for > 0
