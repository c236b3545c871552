"""Everything that the conformance suite of runners needs: receivers of both kinds, and a runner under test."""

import asyncio
import contextlib
from collections import deque
from collections.abc import AsyncGenerator, Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

from jobhooks.discovery.loading import find_again, find_receivers
from jobhooks.discovery.registry import FoundReceiver, ReceiverRegistry
from jobhooks.engine.delivery.delivery import Delivery
from jobhooks.engine.delivery.group import Group
from jobhooks.engine.delivery.outcome import Clock, Outcome
from jobhooks.engine.running.in_loop.pool import Connections
from jobhooks.engine.running.in_loop.runner import LoopRunner
from jobhooks.engine.running.in_process.runner import ProcessRunner
from jobhooks.engine.running.runner import Feed, Runner
from jobhooks.engine.scheduling.lanes import Lanes
from jobhooks.errors import AlreadySettled
from jobhooks.matching.hook_table import Hook
from jobhooks.store.connections import asyncpg_arguments, connect
from jobhooks.testing.thread_runner import ThreadRunner
from support.engine.grouping import pending_deliveries
from support.engine.running import HOOK
from support.hooking import write_receivers

CHANGES = 12  # each of another device, and then as many of one device

# {adef}: def or async def; {wait}: nothing or await; {sleep}: what sleeps. {cancel}: what cancels the run.
SOURCE = """
import asyncio, os, signal, time
from pathlib import Path
from jobhooks import Discard, JobHookReceiver, Retry

HERE = Path("{here}")
WORD = "{word}"

class Base(JobHookReceiver):
    {adef} copy(self, change):
        {wait}self.connection.execute(f"insert into public.copy (change, word) values ({{change.id}}, '{{WORD}}')")

    {adef} wait_for(self, name, change):
        while not (HERE / name).exists():
            {wait}{sleep}(0.01)

class Writes(Base):
    {adef} receive_job_hook(self, change):
        {wait}self.copy(change)
        return change.id

class Reads(Base):
    {adef} receive_job_hook(self, change):
        self.log_info("looked")

class Raises(Base):
    {adef} receive_job_hook(self, change):
        {wait}self.copy(change)
        raise ValueError("no")

class Retries(Base):
    {adef} receive_job_hook(self, change):
        {wait}self.copy(change)
        raise Retry(after=5)

class Discards(Base):
    {adef} receive_job_hook(self, change):
        {wait}self.copy(change)
        raise Discard("not for us")

class LogsFailure(Base):
    {adef} receive_job_hook(self, change):
        {wait}self.copy(change)
        self.log_failure("not good, but kept")

class Ends(Base):
    {adef} receive_job_hook(self, change):
        {wait}self.copy(change)
        if change.id == 2:
            raise ValueError("no")
    {adef} on_failure(self, exc):
        self.log_info(f"on_failure {{exc}}")
    {adef} after_return(self, status, value):
        self.log_info(f"after_return {{status}}")

class TakesBatches(Base):
    class Meta:
        batch_size = 10
    {adef} receive_job_hook_batch(self, changes):
        for change in changes:
            {wait}self.copy(change)
        if len(changes) == 3:
            raise ValueError("three are too many")
        if len(changes) == 5:
            {wait}{sleep}((HERE / "seconds").stat().st_size)
    {adef} on_dead(self, exc):
        (HERE / "dead").touch()

class Sleeps(Base):
    {adef} receive_job_hook(self, change):
        {wait}self.copy(change)
        until = time.monotonic() + (HERE / "seconds").stat().st_size
        while time.monotonic() < until:
            {wait}{sleep}(0.01)

class LosesItsConnection(Base):
    {adef} receive_job_hook(self, change):
        {wait}self.copy(change)
        {wait}self.connection.execute("select pg_terminate_backend(pg_backend_pid())")

class RaisesAtThree(Base):
    {adef} receive_job_hook(self, change):
        with (HERE / "runs").open("a") as runs:
            print(change.id, file=runs)
        {wait}self.copy(change)
        if change.id == 3:
            raise ValueError("no")

class DanglesAtThree(Base):
    {adef} receive_job_hook(self, change):
        {wait}self.copy(change)
        device = 99 if change.id == 3 else 1
        {wait}self.connection.execute(f"insert into public.rack values ({{device}})")

class WritesEven(Base):
    {adef} receive_job_hook(self, change):
        if change.id % 2 == 0:
            {wait}self.copy(change)

class WritesEvenAndLogs(Base):
    {adef} receive_job_hook(self, change):
        self.log_info("looked")
        if change.id % 2 == 0:
            {wait}self.copy(change)

class Saves(Base):
    {adef} receive_job_hook(self, change, changed_object):
        changed_object.serial += f" {{change.id}}"
        {wait}changed_object.save()

class CancelsItself(Base):
    {adef} receive_job_hook(self, change):
        {wait}self.copy(change)
        if change.id % 3 == 0:
            {cancel}
            {wait}self.copy(change)

class RaisesCancelled(Base):
    {adef} receive_job_hook(self, change):
        if change.id % 3 == 0:
            raise asyncio.CancelledError

class ExitsSilently(Base):
    {adef} receive_job_hook(self, change):
        {wait}self.copy(change)
        os._exit(0)

class IsKilled(Base):
    {adef} receive_job_hook(self, change):
        {wait}self.copy(change)
        os.kill(os.getpid(), signal.SIGKILL)

class LeavesAProgram(Base):
    {adef} receive_job_hook(self, change):
        os.system("sleep 20 &")  # it inherits every descriptor that can be inherited
        if os.fork() == 0:
            time.sleep(20)
            os._exit(0)
        os._exit(7)

class Waits(Base):
    {adef} receive_job_hook(self, change):
        self.log_info(f"waits {{change.id}}")
        (HERE / f"began {{change.id}}").write_text(str(time.monotonic()))
        {wait}self.wait_for("go on", change)
        (HERE / f"ended {{change.id}}").write_text(str(time.monotonic()))

class WritesAndWaits(Base):
    {adef} receive_job_hook(self, change):
        {wait}self.copy(change)
        (HERE / f"began {{change.id}}").touch()
        {wait}self.wait_for("go on", change)

class Mixed(Base):
    {adef} receive_job_hook(self, change):
        if change.id % 5 != 1:
            {wait}self.copy(change)
        match change.id % 5:
            case 2:
                raise ValueError("no")
            case 3:
                self.log_failure("not good, but kept")
            case 4 if change.id > 5:
                # A command may end the transaction, so the run keeps to itself.
                {wait}self.connection.execute("set constraints all immediate")
"""


@dataclass
class Reported:
    """A runner's reports on deliveries, by the id of the change, in the order of the reports."""

    outcomes: dict[int, Outcome | None] = field(default_factory=dict[int, Outcome | None])
    groups: list[list[int]] = field(default_factory=list[list[int]])  # that were reported together
    alone: list[int] = field(default_factory=list[int])

    def add(self, delivery: Delivery, outcome: Outcome | None) -> None:
        assert delivery.change.id not in self.outcomes, "reported twice"
        self.outcomes[delivery.change.id] = outcome


class GroupSource:
    """The deliveries of one group, as a hook task gets them; checks what the runner does with each."""

    def __init__(
        self, first: Delivery, lanes: Lanes, ready: deque[Delivery], reported: Reported, *, blocks: bool
    ) -> None:
        self._blocks = blocks
        self._group = Group(first)
        self._lanes = lanes
        self._ready = ready
        self._reported = reported
        self._left = {first.change.id: first}
        self._ended: list[Delivery] = []
        self.feed = Feed(self.take, self.report, self.give_back, self.give_back_alone)

    def take(self) -> Delivery | None:
        assert len(self._left) == len(self._group.deliveries), "taken after a report"
        delivery = self._group.next_behind()
        if delivery is None and self._ready and not self._ready[0].alone:
            delivery = self._ready.popleft()
        if delivery is not None:
            self._left[delivery.change.id] = delivery
            self._group.add(delivery)
        return delivery

    def report(self, delivery: Delivery, outcome: Outcome | None) -> None:
        self._end(delivery)
        self._ended.append(delivery)
        self._reported.add(delivery, outcome)
        if outcome is not None and outcome.undone:
            behind = [follower.change.id for follower in delivery.followers]
            assert not self._left.keys() & behind, "reported before those behind it were given back"

    def give_back(self, deliveries: list[Delivery]) -> None:
        for delivery in deliveries:
            self._end(delivery)
        self._ready.extendleft(delivery for delivery in reversed(deliveries) if not delivery.waits_for)

    def give_back_alone(self, deliveries: list[Delivery]) -> None:
        for delivery in deliveries:
            self._end(delivery)
            delivery.alone = True
        self._ready.extendleft(delivery for delivery in reversed(deliveries) if not delivery.waits_for)

    def finish(self) -> None:
        """Let everything run that waits for what was reported."""
        assert not self._left, "neither reported nor given back"
        self._reported.groups.append([delivery.change.id for delivery in self._ended])
        for delivery in self._ended:
            outcome = self._reported.outcomes[delivery.change.id]
            if self._blocks and outcome is not None and outcome.undone:
                self._lanes.withdraw([delivery])
            else:
                self._ready.extend(each for each in self._lanes.finish(delivery) if each not in self._ended)

    def _end(self, delivery: Delivery) -> None:
        assert self._left.pop(delivery.change.id, None) is delivery, "ended twice"


@dataclass
class UnderTest:
    """A runner, and the receivers of its kind."""

    kind: str
    runner: Runner
    registry: ReceiverRegistry
    here: Path
    deliveries: list[Delivery] = field(default_factory=list[Delivery])

    def found(self, name: str) -> FoundReceiver:
        return self.registry.receivers[f"r.{name}"]

    async def run(self, name: str, *change_ids: int, attempt: int = 1, hook: Hook = HOOK) -> Outcome:
        """Have a receiver called once, for these changes."""
        return await self.runner.run(self.found(name), self.of(name, *change_ids, attempt=attempt, hook=hook))

    def of(self, name: str, *change_ids: int, attempt: int = 1, hook: Hook = HOOK) -> list[Delivery]:
        """The deliveries of changes to a receiver, by a hook like this one."""
        own = replace(hook, job=f"r.{name}")
        return [
            Delivery(each.change, own, each.lanes, attempts=attempt - 1)
            for each in self.deliveries
            if each.change.id in change_ids
        ]

    def of_one_object(self, name: str, *change_ids: int) -> list[Delivery]:
        """The same, as if they were changes of one object."""
        deliveries = self.of(name, *change_ids)
        for delivery in deliveries:
            delivery.lanes = deliveries[0].lanes
        return deliveries

    async def run_each(self, name: str, deliveries: list[Delivery], *, blocks: bool = False) -> Reported:
        """Have all of them run as attempts do, until none is left. ``blocks``: none runs behind a failed one."""
        reported = Reported()
        lanes = Lanes()
        ready = deque(delivery for delivery in deliveries if lanes.add(delivery))
        while ready:
            delivery = ready.popleft()
            if delivery.may_share:
                source = GroupSource(delivery, lanes, ready, reported, blocks=blocks)
                await self.runner.run_each(self.found(name), delivery, source.feed)
                source.finish()
            else:
                reported.alone.append(delivery.change.id)
                try:
                    outcome = await self.runner.run(self.found(name), [delivery])
                except AlreadySettled:
                    outcome = None
                reported.add(delivery, outcome)
                if blocks and outcome is not None and outcome.undone:
                    lanes.withdraw([delivery])
                else:
                    ready.extend(lanes.finish(delivery))
        return reported

    def reload(self, word: str) -> None:
        """Replace the receivers by others, which write another word."""
        write_source(self.kind, self.here, word)
        self.registry.take(find_again(self.registry))
        self.runner.retire()

    def there(self, name: str) -> bool:
        return (self.here / name).exists()


def write_source(kind: str, here: Path, word: str) -> Path:
    """Write the receivers of a kind of runner into a directory."""
    is_async = kind == "loop"
    text = SOURCE.format(
        here=here,
        word=word,
        adef="async def" if is_async else "def",
        wait="await " if is_async else "",
        sleep="asyncio.sleep" if is_async else "time.sleep",
        cancel="asyncio.current_task().cancel()" if is_async else "raise asyncio.CancelledError",
    )
    return write_receivers(here / "receivers", text)


def loop_runner(database: str, _registry: ReceiverRegistry) -> Runner:
    with contextlib.closing(connect(database)) as conn:
        return LoopRunner(Connections(asyncpg_arguments(conn), 2), Clock())


def process_runner(database: str, registry: ReceiverRegistry) -> Runner:
    return ProcessRunner(database, registry, 2, None)


def thread_runner(database: str, _registry: ReceiverRegistry) -> Runner:
    return ThreadRunner(database)


# A runner is added by one more line. One whose kind is "loop" runs async def receivers, any other def receivers.
RUNNERS: dict[str, Callable[[str, ReceiverRegistry], Runner]] = {
    "loop": loop_runner,
    "process": process_runner,
    "thread": thread_runner,
}


@contextlib.asynccontextmanager
async def under_test(kind: str, database: str, here: Path) -> AsyncGenerator[UnderTest]:
    """Make a runner, with receivers, and with the deliveries of all changes that there are."""
    registry = find_receivers([write_source(kind, here, "first")])
    assert not registry.broken, registry.broken
    runner = RUNNERS[kind](database, registry)
    try:
        yield UnderTest(kind, runner, registry, here, list(await pending_deliveries(database)))
    finally:
        (here / "go on").touch()
        async with asyncio.timeout(30):
            await runner.close()
