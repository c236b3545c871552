"""Short runs of one hook that share a transaction, so that not each of them waits for a commit of its own."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable

from jobhooks.discovery.loading import FoundReceiver
from jobhooks.engine.delivery.delivery import Delivery
from jobhooks.engine.delivery.outcome import Outcome
from jobhooks.engine.delivery.protocols import OnOutcome
from jobhooks.engine.running.in_loop.runner import AsyncRunner, end_transaction
from jobhooks.engine.running.in_loop.transaction import RunTransaction
from jobhooks.engine.running.result_statements import says_only_success
from jobhooks.engine.running.sharing import LONGEST_S, MOST, TOO_LONG_S, GaveWay, Sharing
from jobhooks.errors import AlreadySettled, DatabaseUnreachable, JobhooksError

LATE_S = 0.02  # a run that lasts longer is not waited for by the others, unless it is in the transaction with them


class Group:
    """Runs one after the other in one transaction, and commits them together.

    A run that fails is undone by its savepoint, and is a failure like any other. But one that would wait for a lock
    while it holds those of others gives way, and is run ``again``, by itself; so are all of them if they cannot be
    committed together. What they wrote is undone, and a shared transaction has short runs only.
    """

    def __init__(
        self,
        runner: AsyncRunner,
        found: FoundReceiver,
        sharing: Sharing,
        first: Delivery,
        report: OnOutcome,
        again: Callable[[Delivery], Awaitable[Outcome | None]],
    ) -> None:
        self._runner = runner
        self._found = found
        self._hook = first.hook
        self._sharing = sharing
        self._may_share = sharing.is_allowed()
        self._report = report
        self._run_again = again
        self._shared = runner.shared_transaction(first)
        self._kept: list[tuple[Delivery, Outcome]] = []  # runs that are in the transaction, to be committed
        self._undone: list[Delivery] = []  # to be run again
        self._until = 0.0
        task = asyncio.current_task()
        assert task is not None
        self._task = task
        self._loop = task.get_loop()
        self._timer: asyncio.TimerHandle | None = None  # runs from the first that was kept to the end
        self._running = False
        self._ended_for_others = False
        self._early: asyncio.Task[None] | None = None

    def takes(self, delivery: Delivery) -> bool:
        """Return whether this delivery may be the next: it is of the same hook, as it was when the first began."""
        return delivery.hook is self._hook and delivery.may_share

    @property
    def takes_more(self) -> bool:
        """Whether another run may follow: always, as long as none has used its connection."""
        if self._shared.closed or self._shared.broken or self._undone:
            return False
        count = len(self._kept)
        return not count or (self._may_share and count < MOST and self._loop.time() < self._until)

    async def run(self, delivery: Delivery) -> None:
        """Run a delivery; what becomes of it is told at once, or when the group has been committed.

        Raises:
            DatabaseUnreachable: the database is gone, and not the connection of this run alone.
        """
        task = self._task
        if not self._kept:
            self._until = self._loop.time() + LONGEST_S
        self._running = True
        transaction = self._runner.transaction(delivery, self._shared)
        try:
            await self._run(delivery, transaction)
        except asyncio.CancelledError:
            if not self._ended_for_others or task.cancelling() > 1:
                raise  # it is the daemon that ends
            await self._undo(delivery)
        finally:
            self._running = False
            if self._ended_for_others:
                self._ended_for_others = False
                task.uncancel()
            transaction.end()
            if transaction.joined is not None and transaction.joined is not self._shared:
                await end_transaction(transaction)

    async def finish(self) -> None:
        """Commit, tell what became of the deliveries, and run again those that had to be undone."""
        if self._timer is not None:
            self._timer.cancel()
        if self._early is None:
            await self._settle()
        else:
            await self._early
            await self._run_undone()  # the last of them, that the others did not wait for

    async def end(self) -> None:
        """Roll back what is not committed."""
        if self._timer is not None:
            self._timer.cancel()
        if self._early is not None and not self._early.done():
            self._early.cancel()
            await asyncio.wait([self._early])
        if self._shared.conn is not None:
            await asyncio.shield(self._shared.end())

    async def _run(self, delivery: Delivery, transaction: RunTransaction) -> None:
        try:
            outcome = await self._outcome(delivery, transaction)
        except (AlreadySettled, DatabaseUnreachable, GaveWay):
            await self._undo(delivery)
        else:
            if outcome is not None:
                self._report(delivery, outcome)

    async def _outcome(self, delivery: Delivery, transaction: RunTransaction) -> Outcome | None:
        """Run it; return its outcome if that depends on no commit of the group's.

        Raises:
            AlreadySettled, DatabaseUnreachable, GaveWay: nothing of this run is kept.
        """
        outcome = await self._runner.begin(self._found, delivery, transaction)
        if transaction.joined is None:
            return outcome
        if transaction.joined is not self._shared:
            return await self._runner.commit(transaction.joined, delivery, outcome)
        if not outcome.undone and not says_only_success(outcome):
            outcome = await self._runner.record(self._shared, delivery, outcome)
        if outcome.undone:
            await self._undo_current()
            return outcome
        self._kept.append((delivery, outcome))
        if self._timer is None and self._may_share:
            self._timer = self._loop.call_later(LATE_S, self._is_late)
        return None

    async def _undo(self, delivery: Delivery) -> None:
        """Undo a run that is to be run again."""
        self._sharing.went_wrong()
        self._undone.append(delivery)
        if self._shared.current is not None:
            await self._undo_current()

    async def _undo_current(self) -> None:
        """Undo what the current run wrote; where that alone cannot be, all are undone, and run again."""
        with contextlib.suppress(JobhooksError):
            await self._shared.undo()

    def _is_late(self) -> None:
        """Let the others not wait any longer for the current run; if it is among them, until it is too long."""
        if not self._running:
            return  # they are being committed
        if self._shared.current is None:
            self._shared.closed = True
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
            if len(kept) == 1 and not kept[0][1].recorded:
                await self._settle_one(*kept[0])
            else:
                for delivery, outcome in await self._runner.commit_all(self._shared, kept):
                    self._report(delivery, outcome)
                self._sharing.went_well(len(kept))
        except JobhooksError:
            # Whether they have committed is not known where the connection was lost: it is looked up for each.
            self._sharing.went_wrong()
            self._undone += [delivery for delivery, _ in kept]
        finally:
            await asyncio.shield(self._shared.end())
        await self._run_undone()

    async def _run_undone(self) -> None:
        while self._undone:
            delivery = self._undone.pop(0)
            self._report(delivery, await self._run_again(delivery))

    async def _settle_one(self, delivery: Delivery, outcome: Outcome) -> None:
        """Commit a run that nobody shares the transaction with: that it cannot be committed is its own failure."""
        self._report(delivery, await self._runner.commit(self._shared, delivery, outcome))
