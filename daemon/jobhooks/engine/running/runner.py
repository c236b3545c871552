"""The seam between scheduling and the code that runs receivers: in the loop, in processes, in a test, or elsewhere."""

from dataclasses import dataclass
from enum import Flag, auto
from typing import Protocol

from jobhooks.discovery.registry import FoundReceiver
from jobhooks.engine.delivery.delivery import Delivery
from jobhooks.engine.delivery.outcome import Clock, Outcome
from jobhooks.engine.delivery.protocols import GiveBack, OnOutcome, Take


class TimeLimits(Flag):
    """The time limits of a job that a runner holds."""

    NONE = 0
    SOFT = auto()  # raises SoftTimeLimitExceeded in the receiver
    HARD = auto()  # ends the run even if the receiver ignores the soft limit


@dataclass(frozen=True, slots=True)
class Feed:
    """How ``Runner.run_each`` gets the deliveries of one group and passes on their outcomes.

    Every delivery that the runner has, the first one or one from ``take``, goes to exactly one of ``report``,
    ``give_back`` and ``give_back_alone``. After the first call of one of these three, it takes no more.
    """

    take: Take  # the next one; it waits for nothing, or only for deliveries of this group (``Delivery.waits_for``)
    report: OnOutcome
    give_back: GiveBack
    give_back_alone: GiveBack  # for runs that were undone without a verdict, or may have been


class Runner(Protocol):
    """Runs receivers of one kind, ``async def`` or ``def``. Deliveries go in, outcomes come out.

    **Who records the result.** A run whose receiver used its connection records its result in the same transaction, as
    the last thing before the commit, so that both exist or neither does: the outcome says ``recorded``. A run that did
    not use its connection has nothing to commit, and a run that failed (``undone``) was rolled back: unless
    ``recorded``, the caller records their outcomes. If the delivery has a result already, recording fails and the
    run is rolled back (AlreadySettled): the first result stands.

    **Cancelling.** A runner ends the run of a cancelled call and rolls back uncommitted work. It reports no
    outcome. Whether the run had committed is unknown to the caller, who reads the database before the next attempt.

    **Lost connections.** DatabaseUnreachable means that the run's connection was lost. Whether it had committed is
    unknown, as above. It is not the receiver's failure, so it is not an outcome.
    """

    clock: Clock  # dates results; the engine sets it when it knows the time of the database

    @property
    def capacity(self) -> int | None:
        """How many calls of one receiver run at the same time; further calls wait. None: unlimited."""
        ...

    @property
    def time_limits(self) -> TimeLimits:
        """The limits that this runner holds. A limit that it does not hold has no effect."""
        ...

    async def run(self, found: FoundReceiver, deliveries: list[Delivery]) -> Outcome:
        """Call a receiver once, in a transaction that no other run shares, for one delivery or for a batch of one hook.

        The outcome is that of each delivery. The last steps of the receiver, ``on_failure`` and ``after_return``, have
        run when this returns.

        Raises:
            AlreadySettled: one of them has a result; the run was rolled back.
            DatabaseUnreachable: the connection was lost.
        """
        ...

    async def run_each(self, found: FoundReceiver, first: Delivery, feed: Feed) -> None:
        """Call a receiver for one delivery after the other: ``first``, then any number from ``feed.take``.

        Runs that are short may share a transaction, to commit with one flush. They are of the same hook, and ``first``
        and each of them may share (``Delivery.may_share``). Each behaves as if it were alone. Not for receivers that
        take batches or have last steps.

        A delivery that was taken behind others (``waits_for``) is a later change of an object of theirs:

        - The runner runs deliveries in the order taken. If a run ends undone, none behind others runs after it.
        - The runs commit in that order, or together. The outcome of a run behind others, a failure as well, is reported
          only if all before it are final: committed, or nothing to commit.
        - A run commits only with, or after, the results of those before it that had nothing to commit. These results
          are then recorded in the same transaction.

        Deliveries that did not begin are given back. Runs that were undone without a verdict are given back to run
        alone: one that was in the way of others, or that shares a transaction that cannot commit or whose connection
        was lost.
        """
        ...

    def end_runs(self) -> None:
        """Begin to end everything that runs, as if each call were cancelled. The runner can be used again.

        A run that commits before it is ended stays committed.
        """
        ...

    def retire(self) -> None:
        """Release resources of replaced versions of receivers, once their current runs have ended."""
        ...

    async def close(self) -> None:
        """End everything that runs, and release all resources."""
        ...


@dataclass(frozen=True, slots=True)
class Runners:
    """The runner for each kind of receiver."""

    for_async: Runner
    for_def: Runner

    def runner_of(self, found: FoundReceiver) -> Runner:
        """Choose by the receiver's kind."""
        return self.for_async if found.is_async else self.for_def

    def use_clock(self, clock: Clock) -> None:
        """Date results by this clock."""
        self.for_async.clock = self.for_def.clock = clock

    def end_runs(self) -> None:
        """End everything that runs, in both."""
        self.for_async.end_runs()
        self.for_def.end_runs()

    def retire(self) -> None:
        """Release resources of replaced versions of receivers, in both."""
        self.for_async.retire()
        self.for_def.retire()

    async def close(self) -> None:
        """Close both."""
        await self.for_async.close()
        await self.for_def.close()
