"""Attempts at deliveries: a receiver runs where it belongs, and a connection that is lost is no failure of it."""

import asyncio
import contextlib
import time
from collections import defaultdict
from functools import partial

import msgspec
import structlog

from jobhooks.contract.log import ReceiverLog
from jobhooks.discovery.loading import FoundReceiver, ReceiverRegistry
from jobhooks.engine.delivery.delivery import Delivery
from jobhooks.engine.delivery.outcome import Clock, Outcome, failed, nothing_to_do
from jobhooks.engine.delivery.protocols import Gather, GiveBack, OnOutcome, Take
from jobhooks.engine.running.concurrency_limits import ConcurrencyLimits
from jobhooks.engine.running.in_loop.group import Group
from jobhooks.engine.running.in_loop.runner import AsyncRunner
from jobhooks.engine.running.in_process.runner import Workers
from jobhooks.engine.running.sharing import Sharing
from jobhooks.engine.scheduling.delivery_log import facts
from jobhooks.engine.settling.ledger import Ledger
from jobhooks.engine.settling.settler import Settler
from jobhooks.errors import AlreadySettled, DatabaseUnreachable
from jobhooks.matching.hook_table import Hook

MOST_LOSSES = 3  # of its connection, in a row, before that counts as the receiver's own failure
SLICE_S = 0.005  # for so long receivers that never wait may keep the loop to themselves

UNLIMITED = contextlib.nullcontext()
log = structlog.stdlib.get_logger()


class Attempts:
    """Makes attempts: ``async def`` receivers in the loop, ``def`` ones in workers."""

    def __init__(
        self,
        runner: AsyncRunner,
        workers: Workers,
        registry: ReceiverRegistry,
        settler: Settler,
        ledger: Ledger,
        clock: Clock,
    ) -> None:
        self._runner = runner
        self._workers = workers
        self._registry = registry
        self._settler = settler
        self._ledger = ledger
        self._clock = clock
        self._sharing: dict[int, Sharing] = defaultdict(Sharing)
        self._concurrency_limits = ConcurrencyLimits()

    async def work_off(self, hook: Hook, take: Take, gather: Gather, give_back: GiveBack, report: OnOutcome) -> None:
        """Attempt what ``take`` gives, one after the other, until it gives no more, and tell what became of each.

        ``gather`` gives what goes into one batch with a delivery. What was taken and has not begun after all is given
        back, for whoever comes first.

        Raises:
            DatabaseUnreachable: the database is gone, and not the connection of a run alone.
        """
        shares = hook.is_singleton or hook.queue
        delivery: Delivery | None = None
        while True:
            async with self._concurrency_limits.held(hook) if shares else UNLIMITED:
                delivery = delivery or take()
                if delivery is None:
                    return
                delivery = await self._work_off(delivery, take, gather, give_back, report)

    async def _work_off(
        self, delivery: Delivery, take: Take, gather: Gather, give_back: GiveBack, report: OnOutcome
    ) -> Delivery | None:
        """Attempt a delivery, and with it what can be; return one that was taken and is not attempted yet."""
        found = self._registry.receivers.get(delivery.hook.class_path)
        if delivery.comes_to_nothing:
            report(delivery, nothing_to_do(self._clock))
        elif found is None:
            give_back([delivery])  # and it is parked, until there is a receiver for it
        elif delivery.alone:
            report(delivery, await self._again(found, delivery))
        elif found.takes_batches:
            await self._together(found, await gather(delivery), give_back, report)
        elif delivery.merged or found.has_last_steps:
            report(delivery, await self._settled(found, delivery))
        elif found.is_async:
            return await self._group(found, delivery, take, report)
        else:
            await self._batch(found, delivery, take, give_back, report)
        return None

    async def make(self, found: FoundReceiver, delivery: Delivery) -> Outcome:
        """Make one attempt, by itself, and return what it came to.

        Raises:
            AlreadySettled: it has a result by now.
            DatabaseUnreachable: the database is gone, and not the connection of this run alone.
        """
        losses = 0
        while True:
            try:
                return await self._call(found, [delivery])
            except DatabaseUnreachable as exc:
                losses += 1
                await self._refuse_settled(delivery)
                lost = self._lost(delivery, exc)
                if losses == MOST_LOSSES:
                    return lost
                log.warning("run_lost_its_connection", **facts(delivery), error=lost.error)

    def _lost(self, delivery: Delivery, exc: Exception) -> Outcome:
        """Return the outcome of a run that was lost with its connection, of which the receiver may have said more."""
        sensitive = delivery.hook.has_sensitive_variables
        return failed(self._clock.now(), self._clock, ReceiverLog(), exc, sensitive=sensitive)

    async def _group(self, found: FoundReceiver, first: Delivery, take: Take, report: OnOutcome) -> Delivery | None:
        """Attempt this delivery, and with it others that can share its transaction; return the one after them."""
        again = partial(self._again, found)
        group = Group(self._runner, found, self._sharing[first.hook.id], first, report, again)
        slice_ends = time.monotonic() + SLICE_S
        delivery: Delivery | None = first
        try:
            while delivery is not None and group.takes(delivery):
                await group.run(delivery)
                delivery = None
                if time.monotonic() > slice_ends:
                    await asyncio.sleep(0)
                    slice_ends = time.monotonic() + SLICE_S
                if not group.takes_more:
                    break
                delivery = take()
            await group.finish()
        finally:
            await group.end()
        return take() if delivery is None else delivery

    async def _batch(
        self, found: FoundReceiver, first: Delivery, take: Take, give_back: GiveBack, report: OnOutcome
    ) -> None:
        """Attempt this delivery in a worker, and with it others, as many as it should get done in a moment."""
        sharing = self._sharing[first.hook.id]
        begun = [first]
        following: list[Delivery] = []
        async with self._workers.slot(found.class_path):
            count = sharing.at_once if sharing.is_allowed() else 1
            while len(begun) < count and not following and (delivery := take()) is not None:
                shares = delivery.hook is first.hook and delivery.may_share
                (begun if shares else following).append(delivery)
            try:
                outcomes = await self._workers.run(found, begun)
            except (AlreadySettled, DatabaseUnreachable):
                outcomes = [None]
        give_back(begun[len(outcomes) :] + following)
        again = [delivery for delivery, outcome in zip(begun, outcomes, strict=False) if outcome is None]
        known = [(delivery, outcome) for delivery, outcome in zip(begun, outcomes, strict=False) if outcome is not None]
        for delivery, outcome in known:
            report(delivery, outcome)
        if again:
            sharing.went_wrong()
        elif known:
            sharing.went_well(len(known))
            sharing.took(len(known), sum(outcome.finished_at - outcome.started_at for _, outcome in known))
        for delivery in again:
            report(delivery, await self._again(found, delivery))

    async def _call(self, found: FoundReceiver, deliveries: list[Delivery]) -> Outcome:
        """Call a receiver once, for all of these, in a transaction of its own.

        Raises: as ``AsyncRunner.run``.
        """
        if found.is_async:
            return await self._runner.run(found, deliveries)
        async with self._workers.slot(found.class_path):
            return await self._workers.call(found, deliveries)

    async def _together(
        self, found: FoundReceiver, deliveries: list[Delivery], give_back: GiveBack, report: OnOutcome
    ) -> None:
        """Attempt a batch in one call. If that fails, none of it counts: each is to be attempted alone.

        So what is wrong with one is found, and fails alone. Whether the batch has committed may not be known: therefore
        it is looked up for each.
        """
        for delivery in deliveries:
            if delivery.comes_to_nothing:
                report(delivery, nothing_to_do(self._clock))
        deliveries = [delivery for delivery in deliveries if not delivery.comes_to_nothing]
        if len(deliveries) == 1:
            report(deliveries[0], await self._settled(found, deliveries[0]))
        if len(deliveries) <= 1:
            return
        try:
            outcome = await self._call(found, deliveries)
        except (AlreadySettled, DatabaseUnreachable) as exc:
            error = self._lost(deliveries[0], exc).error
        else:
            error = outcome.error if outcome.undone else None
            if not outcome.undone:
                for delivery in deliveries:
                    report(delivery, outcome)
                    outcome = msgspec.structs.replace(outcome, log=(), afterwards=())  # which is the first one's
                return
        log.warning("batch_failed", **facts(deliveries[0]), deliveries=len(deliveries), error=error)
        for delivery in deliveries:
            delivery.alone = True
        give_back(deliveries)

    async def _settled(self, found: FoundReceiver, delivery: Delivery) -> Outcome | None:
        """Make an attempt; None: it is settled, since an earlier run of ours had committed without our knowing.

        If it was another daemon, that leads now, it may as well have failed there, and what comes after it must wait.

        Raises:
            LeadsNoMore: so it was.
        """
        try:
            return await self.make(found, delivery)
        except AlreadySettled:
            async with self._settler.lock:
                await self._settler.refuse_stale()
            return None

    async def _again(self, found: FoundReceiver, delivery: Delivery) -> Outcome | None:
        """Make an attempt once more, by itself, whose transaction was undone, or perhaps was not."""
        async with self._settler.lock:
            await self._settler.refuse_stale()
            if await self._ledger.has_result(delivery):
                return None
        return await self._settled(found, delivery)

    async def _refuse_settled(self, delivery: Delivery) -> None:
        """Refuse an attempt that has a result by now.

        Whether it had committed is not known to us. If it commits after we have looked, the result of the next run
        meets that one, and is rolled back.

        Raises:
            AlreadySettled: it has.
        """
        async with self._settler.lock:
            if await self._ledger.has_result(delivery):
                raise AlreadySettled
