"""Attempts at deliveries: choose the runner, retry a run that lost its connection, and report the outcome."""

import contextlib
from functools import partial

import msgspec

from jobhooks.contract.log import ReceiverLog
from jobhooks.discovery.registry import FoundReceiver, ReceiverRegistry
from jobhooks.engine.delivery.delivery import Delivery
from jobhooks.engine.delivery.group import Group
from jobhooks.engine.delivery.lasting_errors import rules_of
from jobhooks.engine.delivery.log_fields import log_fields
from jobhooks.engine.delivery.outcome import Clock, Outcome, failed, nothing_to_do
from jobhooks.engine.delivery.protocols import DeliverySource
from jobhooks.engine.running.concurrency_limits import ConcurrencyLimits
from jobhooks.engine.running.runner import Feed, Runners
from jobhooks.engine.running.suspects import Suspects
from jobhooks.engine.settling.ledger import Ledger
from jobhooks.engine.settling.settler import Settler
from jobhooks.errors import AlreadySettled, DatabaseUnreachable, PlanOutdated
from jobhooks.matching.hook_table import Hook
from jobhooks.runtime.event_log import get_logger

MOST_LOSSES = 3  # connections that a run may lose in a row before that is the receiver's failure
MOST_OUTDATED = 20  # connections with an outdated statement that do not count among these

UNLIMITED = contextlib.nullcontext()
log = get_logger()


class Attempts:
    """Makes attempts, with the runner of each receiver's kind."""

    def __init__(
        self,
        runners: Runners,
        registry: ReceiverRegistry,
        settler: Settler,
        ledger: Ledger,
        clock: Clock,
        suspects: Suspects,
    ) -> None:
        self._runners = runners
        self._registry = registry
        self._settler = settler
        self._ledger = ledger
        self._clock = clock
        self._suspects = suspects
        self._concurrency_limits = ConcurrencyLimits()

    async def work_off(self, hook: Hook, source: DeliverySource) -> None:
        """Attempt one delivery after the other, until the source has no more, and report each outcome.

        Raises:
            DatabaseUnreachable: the database is gone, not only the connection of one run.
        """
        shares = hook.limits.is_singleton or hook.limits.queue
        while True:
            async with self._concurrency_limits.held(hook) if shares else UNLIMITED:
                delivery = source.take()
                if delivery is None:
                    return
                await self._attempt(delivery, source)

    async def _attempt(self, delivery: Delivery, source: DeliverySource) -> None:
        """Attempt a delivery, and with it others that can share its call or its transaction."""
        found = self._registry.receivers.get(delivery.hook.job)
        if delivery.comes_to_nothing:
            source.report(delivery, nothing_to_do(self._clock))
        elif found is None:
            source.give_back([delivery])  # the scheduler parks it until there is a receiver
        elif found.is_async and self._suspects.is_on:
            await self._attempt_with_care(found, delivery, source)
        else:
            await self._attempt_freely(found, delivery, source)

    async def _attempt_with_care(self, found: FoundReceiver, delivery: Delivery, source: DeliverySource) -> None:
        """Attempt a delivery after a daemon has died: by itself and marked, or beside others."""
        suspects = self._suspects
        if (died := await suspects.verdict(delivery)) is not None:
            source.report(delivery, self._failed(delivery, died))
        elif suspects.is_careful or suspects.knows(delivery):
            delivery.version = found.version
            async with suspects.marked(delivery):
                attempt = self._again if delivery.alone else self._by_itself
                await attempt(found, delivery, source)
        else:
            others = suspects.without_suspects(source)
            async with suspects.beside():
                await self._attempt_freely(found, delivery, others)
            others.give_back_held()

    async def _attempt_freely(self, found: FoundReceiver, delivery: Delivery, source: DeliverySource) -> None:
        if delivery.alone:
            await self._again(found, delivery, source)
        elif found.takes_batches:
            await self._together(found, await source.gather(delivery), source)
        elif delivery.merged or found.has_last_steps:
            await self._by_itself(found, delivery, source)
        else:
            take = partial(source.more_of, Group(delivery))
            feed = Feed(take, source.report, source.give_back, source.give_back_alone)
            await self._runners.runner_of(found).run_each(found, delivery, feed)

    async def make(self, found: FoundReceiver, delivery: Delivery) -> Outcome:
        """Make one attempt, by itself.

        Raises:
            AlreadySettled: it has a result.
            DatabaseUnreachable: the database is gone, not only the connection of this run.
        """
        losses, outdated = 0, 0
        while True:
            try:
                return await self._runners.runner_of(found).run(found, [delivery])
            except DatabaseUnreachable as exc:
                if isinstance(exc, PlanOutdated) and outdated < MOST_OUTDATED:
                    outdated += 1  # each connection learns of a changed table by itself
                else:
                    losses += 1
                await self._refuse_settled(delivery)
                lost = self._failed(delivery, exc)
                if losses == MOST_LOSSES:
                    return lost
                log.warning("run_lost_its_connection", **log_fields(delivery), error=lost.error)

    def _failed(self, delivery: Delivery, exc: Exception) -> Outcome:
        """The outcome of a run that no runner has judged. The error may quote the receiver, so it may be sensitive."""
        sensitive = delivery.hook.limits.has_sensitive_variables
        rules = rules_of(delivery, calls_on_dead=False)
        return failed(self._clock.now(), self._clock, ReceiverLog(), exc, sensitive=sensitive, rules=rules)

    async def _together(self, found: FoundReceiver, deliveries: list[Delivery], source: DeliverySource) -> None:
        """Attempt a batch in one call. If the call fails, give all of it back, to be attempted one by one.

        So only the deliveries that are at fault fail. If the connection was lost, the batch may have committed:
        ``_again`` looks it up for each. Deliveries that come to nothing are put off with everything behind them: their
        results would be written before or after those of the batch, and an object's results are written in order.
        """
        deliveries, later = _apart(deliveries)
        if later:
            source.give_back(later)
        if len(deliveries) == 1:
            await self._by_itself(found, deliveries[0], source)
        if len(deliveries) <= 1:
            return
        try:
            outcome = await self._runners.runner_of(found).run(found, deliveries)
        except (AlreadySettled, DatabaseUnreachable) as exc:
            error = self._failed(deliveries[0], exc).error
        else:
            error = outcome.error if outcome.undone else None
            if not outcome.undone or outcome.cancelled:
                for delivery in deliveries:
                    source.report(delivery, outcome)
                    outcome = msgspec.structs.replace(outcome, log=(), afterwards=())  # the log belongs to the first
                return
        log.warning("batch_failed", **log_fields(deliveries[0]), deliveries=len(deliveries), error=error)
        source.give_back_alone(deliveries)

    async def _by_itself(self, found: FoundReceiver, delivery: Delivery, source: DeliverySource) -> None:
        """Make an attempt, and report it.

        If there is a result already, an earlier run of this daemon may have committed unnoticed. The result may also
        come from another daemon that leads now. There it may have failed, in which case the changes behind it must
        wait, so this daemon must not go on.

        Raises:
            LeadsNoMore: another daemon leads.
        """
        try:
            outcome = await self.make(found, delivery)
        except AlreadySettled:
            async with self._settler.lock:
                await self._settler.refuse_stale()
            _already_settled(delivery, source)
        else:
            source.report(delivery, outcome)

    async def _again(self, found: FoundReceiver, delivery: Delivery, source: DeliverySource) -> None:
        """Attempt a delivery by itself whose transaction was undone, or may have been."""
        async with self._settler.lock:
            await self._settler.refuse_stale()
            has_result = await self._ledger.has_result(delivery)
        if has_result:
            _already_settled(delivery, source)
        else:
            await self._by_itself(found, delivery, source)

    async def _refuse_settled(self, delivery: Delivery) -> None:
        """Refuse another run of an attempt that has a result.

        The lost run may still be committing. If it commits after this check, the next run cannot record its result, and
        is rolled back.

        Raises:
            AlreadySettled: the attempt has a result.
        """
        async with self._settler.lock:
            if await self._ledger.has_result(delivery):
                raise AlreadySettled


def _already_settled(delivery: Delivery, source: DeliverySource) -> None:
    """Go on after a delivery that has a result. If changes are merged into it, perhaps only one of them has."""
    if delivery.merged:
        source.reload(delivery)
    else:
        source.report(delivery, None)


def _apart(deliveries: list[Delivery]) -> tuple[list[Delivery], list[Delivery]]:
    """The deliveries of a batch that can run, and those that come to nothing, with everything behind these."""
    now: list[Delivery] = []
    later: list[Delivery] = []
    behind: set[int] = set()
    for delivery in deliveries:
        if delivery.comes_to_nothing or id(delivery) in behind:
            later.append(delivery)
            behind.update(map(id, delivery.followers))
        else:
            now.append(delivery)
    return now, later
