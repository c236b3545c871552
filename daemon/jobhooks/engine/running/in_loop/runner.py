"""Running ``async def`` receivers in the daemon's event loop."""

import asyncio
import time
from collections import defaultdict
from collections.abc import Awaitable, Coroutine
from typing import Any

from jobhooks.discovery.registry import FoundReceiver
from jobhooks.engine.delivery.delivery import Delivery
from jobhooks.engine.delivery.lasting_errors import rules_of
from jobhooks.engine.delivery.outcome import Clock, Outcome
from jobhooks.engine.running.in_loop.call import call_receiver, record
from jobhooks.engine.running.in_loop.limits import Limited
from jobhooks.engine.running.in_loop.pool import Connections
from jobhooks.engine.running.in_loop.shared_runs import SLICE_S, SharedRuns
from jobhooks.engine.running.in_loop.transaction import RunTransaction, SharedTransaction, end_transaction
from jobhooks.engine.running.runner import Feed, TimeLimits
from jobhooks.engine.running.sharing_policy import SharingPolicy
from jobhooks.engine.running.steps import Ending, after_run_async


class LoopRunner:
    """Runs ``async def`` receivers: a ``Runner``. A receiver that blocks the loop blocks all of them.

    A time limit takes effect where the receiver awaits something.
    """

    capacity = None  # calls that use their connection wait for one of the receiver's
    time_limits = TimeLimits.SOFT | TimeLimits.HARD

    def __init__(self, connections: Connections, clock: Clock) -> None:
        self._connections = connections
        self._policies: dict[int, SharingPolicy] = defaultdict(SharingPolicy)  # by hook
        self._slice_ends = 0.0
        self.clock = clock

    async def run(self, found: FoundReceiver, deliveries: list[Delivery]) -> Outcome:
        """Call a receiver once; see ``Runner``."""
        first = deliveries[0]
        shared = SharedTransaction(self._connections, first.hook.job, found.version)
        transaction = RunTransaction(self._connections, first.hook.job, first.identity, shared)
        for delivery in deliveries:
            delivery.version = found.version
        ending = None
        if found.has_last_steps:
            may_die = found.has_on_dead and len(deliveries) == 1
            ending = Ending(rules=rules_of(first, calls_on_dead=True) if may_die else None)
        try:
            outcome = await call_receiver(found, first, transaction, self.clock, deliveries, ending)
            if transaction.joined is not None and not outcome.undone:
                outcome = await record(transaction.joined, deliveries, outcome, self.clock, ending, commit=True)
        finally:
            await end_transaction(transaction)
        if ending is None:
            return outcome
        hook = first.hook

        def limited(step: Coroutine[Any, Any, object]) -> Awaitable[object]:
            return Limited(step, hook.job, hook.limits.soft_time_limit, hook.limits.time_limit).run()

        return await after_run_async(ending, outcome, limited, sensitive=hook.limits.has_sensitive_variables)

    async def run_each(self, found: FoundReceiver, first: Delivery, feed: Feed) -> None:
        """Call a receiver for one delivery after the other; see ``Runner``."""
        runs = SharedRuns(self._connections, found, self._policies[first.hook.id], first, feed, self.clock)
        delivery: Delivery | None = first
        try:
            while delivery is not None and runs.accepts(delivery):
                await runs.run(delivery)
                delivery = feed.take() if runs.accepts_more else None
            if delivery is not None:
                feed.give_back([delivery])
            await runs.finish()
        finally:
            await runs.end()
        if time.monotonic() > self._slice_ends:
            await asyncio.sleep(0)
            self._slice_ends = time.monotonic() + SLICE_S

    def end_runs(self) -> None:
        """Cut all connections. Receivers end when their tasks are cancelled, which is up to the caller."""
        self._connections.terminate()

    def retire(self) -> None:
        """Keep everything: nothing belongs to a version of a receiver's code."""

    async def close(self) -> None:
        """Cut all connections."""
        self._connections.terminate()
