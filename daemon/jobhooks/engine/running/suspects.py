"""The search for the run that ended a daemon. ``async def`` receivers share the daemon's process, so each can end it.

The search costs nothing until a daemon may have died. The next daemon marks each run of an ``async def`` receiver in
the database before it begins, until it is past the runs that were in flight. If it dies as well, the marks name the
suspects. Each suspect runs alone next: the others wait, but not for long. A run that was alone at a crash, and in
flight at an earlier one, is guilty: its attempt has failed. A process that lost only its session connects again: that
ends the search, and its marks count for nothing.
"""

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Callable
from dataclasses import dataclass

from jobhooks.contract.run import DeliveryIdentity
from jobhooks.engine.delivery.delivery import Delivery
from jobhooks.engine.delivery.group import Group
from jobhooks.engine.delivery.outcome import Outcome
from jobhooks.engine.delivery.protocols import DeliverySource
from jobhooks.engine.settling.run_markers import BegunMark, RunMarkers, SuspectRow
from jobhooks.runtime.event_log import get_logger
from jobhooks.runtime.process_identity import has_ended

MOST_MARKED = 2_000  # runs after a crash; the culprit is among the first of its hook that have no result
CAREFUL_S = 60.0  # after that, runs are not marked any more, however few there were
ALONE_S = 5.0  # how long others wait for a suspect; twice as long for each further crash, up to 16 times
ORDER_S = 5.0  # how long a suspect waits for those that began after it: the last to begin is the most likely one
UNMARK_S = 0.1  # until the end of a run is written
LOOK_S = 0.25

RunKey = tuple[int, int]  # a change's id and a hook's
log = get_logger()


class DaemonDied(Exception):
    """The daemon died while it ran this delivery alone, and had died while it was in flight before."""

    def __init__(self, reason: str | None) -> None:
        super().__init__(reason or "the daemon died while it ran the receiver for this delivery, and nothing else")


@dataclass(slots=True)
class Suspect:
    """A delivery that was in flight at ``crashes``. ``guilty_attempt`` has failed, for ``reason``.

    ``version``: of the receiver that ran.
    """

    crashes: int
    guilty_attempt: int | None
    reason: str | None
    version: int | None
    had_turn: bool = False


class Suspects:
    """Decides which runs of ``async def`` receivers need care, marks them, and lets suspects run alone.

    ``is_on``: runs must ask. ``is_careful``: all of them are marked.
    """

    def __init__(self, markers: RunMarkers) -> None:
        self._markers = markers
        self._known: dict[RunKey, Suspect] = {}  # the last one that began first
        self._held: set[RunKey] = set()  # among these, the runs of processes that are still in doubt
        self._doubted: list[str] = []  # processes
        self._judge_all_at = 0.0
        self._found_death = False
        self._is_loaded = False
        self.is_on = False
        self.is_careful = False
        self._marked = 0
        self._running = 0
        self._alone: RunKey | None = None  # others wait for it
        self._wanting = 0  # how many suspects wait for all others to end
        self._began: list[BegunMark] = []  # not written yet
        self._ended: list[DeliveryIdentity] = []
        self._waiters: list[asyncio.Future[None]] = []
        self._writing = asyncio.Lock()
        self._work = asyncio.Event()
        self._started_at = 0.0
        self._others_go_on_at = 0.0

    async def load(self, *, in_doubt_s: float | None) -> None:
        """Load the suspects. ``in_doubt_s``: a process that led before may have died, and has this long to show itself.

        Until then, all runs are marked, in case it has; and those that it marked are held.

        Raises:
            LeadsNoMore: another daemon leads.
        """
        self._started_at = asyncio.get_running_loop().time()
        if in_doubt_s is None:
            self._add(await self._markers.load([]))
        else:
            self.is_careful = True
            self._judge_all_at = self._started_at + in_doubt_s
            await self._judge()
            if self._doubted:
                log.info("former_leader_in_doubt", longest_s=in_doubt_s, held=len(self._held))
        self._update()

    async def _judge(self) -> None:
        """Find out which of the processes in doubt live, and which have died. The silent ones have died in the end."""
        doubted = await self._markers.doubted_processes()
        now = asyncio.get_running_loop().time()
        died = doubted if now >= self._judge_all_at else [each for each in doubted if has_ended(each)]
        before, self._doubted = self._doubted, [each for each in doubted if each not in died]
        if self._doubted and self._doubted == before:
            return
        rows = await self._markers.load(died)
        self._add(rows)
        if died:
            self._found_death = self.is_careful = True
            self._started_at, self._marked = now, 0
            log.warning(
                "last_daemon_died",
                suspects=[{"change": row.change_id, "hook": row.hook_id, "crashes": row.crashes} for row in rows],
                hint="async def receivers run one delivery at a time until the one that ended it is found",
            )
        elif not self._doubted and not self._found_death:
            await self._end_care()
        self._notify()

    def _add(self, rows: list[SuspectRow]) -> None:
        """Take the rows that are new: all at first, then those that were held. Others may have begun or ended here."""
        found = {(row.change_id, row.hook_id): row for row in rows}
        for key in self._held - found.keys():
            del self._known[key]
        for key, row in found.items():
            if key in self._held or not self._is_loaded:
                guilty_attempt = row.attempt if row.state == "guilty" else None
                self._known[key] = Suspect(row.crashes, guilty_attempt, row.reason, row.version)
        self._held = {key for key, row in found.items() if row.state == "running"}
        self._is_loaded = True

    def knows(self, delivery: Delivery) -> bool:
        """Whether a delivery is a suspect."""
        return (delivery.change.id, delivery.hook.id) in self._known

    async def verdict(self, delivery: Delivery) -> DaemonDied | None:
        """Why this attempt has failed before it began, if it is guilty. The next attempt runs alone again.

        Waits while the process that ran it before is in doubt.
        """
        key = delivery.change.id, delivery.hook.id
        await self._until(lambda: key not in self._held)
        suspect = self._known.get(key)
        if suspect is None or suspect.guilty_attempt != delivery.attempt:
            return None
        suspect.guilty_attempt = None
        if delivery.failures + 1 >= delivery.hook.limits.max_attempts:
            del self._known[key]  # dead
            self._update()
        delivery.version = suspect.version
        return DaemonDied(suspect.reason)

    def without_suspects(self, source: DeliverySource) -> "WithoutSuspects":
        """The same source, but suspects do not join a group or a batch."""
        return WithoutSuspects(source, self.knows)

    @contextlib.asynccontextmanager
    async def beside(self) -> AsyncGenerator[None]:
        """Hold runs that are not marked. They begin when no suspect is alone, and none wants to be."""
        await self._until(self._may_begin)
        self._running += 1
        try:
            yield
        finally:
            self._running -= 1
            self._notify()

    @contextlib.asynccontextmanager
    async def marked(self, delivery: Delivery) -> AsyncGenerator[None]:
        """Hold one run, whose mark is committed when this is entered. A suspect has others wait for it.

        Raises:
            LeadsNoMore: another daemon leads.
        """
        key = delivery.change.id, delivery.hook.id
        suspect = self._known.get(key)
        if suspect is None:
            await self._until(self._may_begin)
        else:
            await self._get_alone(key, suspect)
        self._running += 1
        try:
            self._marked += 1
            self._began.append((delivery.identity, delivery.version))
            await self._write()
            yield
        finally:
            self._running -= 1
            self._known.pop(key, None)  # it has ended, and the daemon lives
            if self._alone == key:
                self._alone = None
            self._ended.append(delivery.identity)
            self._update()
            self._work.set()
            self._notify()

    async def run(self) -> None:
        """Unmark what has ended, and let others go on if a suspect takes long, until cancelled.

        Raises:
            LeadsNoMore: another daemon leads.
        """
        loop = asyncio.get_running_loop()
        while True:
            await self._work.wait()
            self._work.clear()
            await asyncio.sleep(UNMARK_S if self._ended else LOOK_S)
            if self._ended:
                await self._write()
            if self._doubted:
                await self._judge()
            if self._alone is not None and loop.time() > self._others_go_on_at:
                await self._end_alone()
            if self.is_careful and (self._marked > MOST_MARKED or loop.time() > self._started_at + CAREFUL_S):
                await self._end_care()
            self._update()

    async def _end_care(self) -> None:
        """Mark only suspects from now on."""
        await self._end_alone()
        self.is_careful = False

    def _may_begin(self) -> bool:
        return self._alone is None and not self._wanting

    async def _get_alone(self, key: RunKey, suspect: Suspect) -> None:
        """Wait until nothing else is in flight, or for as long as others may be held up."""
        loop = asyncio.get_running_loop()
        await self._until(lambda: not self._has_more_likely(key), self._started_at + ORDER_S)
        self._wanting += 1
        try:
            while True:
                await self._until(lambda: self._alone is None)
                is_alone = await self._until(
                    lambda: self._alone is not None or not self._running, loop.time() + ALONE_S
                )
                if self._alone is None:
                    break
        finally:
            self._wanting -= 1
            suspect.had_turn = True
            self._notify()
        if is_alone:
            self._alone = key
            self._others_go_on_at = loop.time() + ALONE_S * 2 ** min(suspect.crashes, 4)
            self._work.set()

    def _has_more_likely(self, key: RunKey) -> bool:
        """Whether a suspect that began later has not run yet."""
        for other, suspect in self._known.items():
            if other == key:
                return False
            if not suspect.had_turn:
                return True
        return False

    async def _end_alone(self) -> None:
        """Let others go on beside the runs that are marked."""
        async with self._writing:  # a run whose mark this takes waits until it is committed
            began, self._began = self._began, []
            await self._markers.write([], began, alone=False)
        self._alone = None
        self._notify()

    async def _write(self) -> None:
        """Write the marks that are not written yet; another task may have written them by the time it can."""
        async with self._writing:
            if not self._began and not self._ended:
                return
            began, self._began = self._began, []
            ended, self._ended = self._ended, []
            await self._markers.write(ended, began, alone=self._running <= 1)

    def _update(self) -> None:
        self.is_on = self.is_careful or bool(self._known) or bool(self._ended) or bool(self._doubted)
        if self.is_on:
            self._work.set()

    async def _until(self, condition: Callable[[], bool], deadline: float | None = None) -> bool:
        """Wait until a condition holds, or for a moment of the loop's clock; whether it holds."""
        while not condition():
            changed = asyncio.get_running_loop().create_future()
            self._waiters.append(changed)
            try:
                async with asyncio.timeout_at(deadline):
                    await changed
            except TimeoutError:
                return condition()
        return True

    def _notify(self) -> None:
        waiters, self._waiters = self._waiters, []
        for waiter in waiters:
            if not waiter.done():
                waiter.set_result(None)


class WithoutSuspects:
    """A ``DeliverySource`` whose groups and batches have no suspects. Call ``give_back_held`` at the end.

    A suspect that was taken is held, and given back before the first report: it may wait for a delivery that has
    failed, and then goes to the backlog with everything else that has not begun.
    """

    def __init__(self, source: DeliverySource, is_suspect: Callable[[Delivery], bool]) -> None:
        self._source = source
        self._is_suspect = is_suspect
        self._held: list[Delivery] = []
        self._is_over = False  # no more deliveries join the group

    def take(self) -> Delivery | None:
        """As the source's."""
        return self._source.take()

    def more_of(self, group: Group) -> Delivery | None:
        """As the source's; a suspect ends the group."""
        delivery = None if self._is_over else self._source.more_of(group)
        if delivery is not None and self._is_suspect(delivery):
            self._is_over = True
            self._held.append(delivery)
            return None
        return delivery

    async def gather(self, first: Delivery) -> list[Delivery]:
        """As the source's; the batch ends before the first suspect."""
        gathered = await self._source.gather(first)
        count = next((at for at, each in enumerate(gathered) if self._is_suspect(each)), len(gathered))
        self._held += gathered[count:]
        return gathered[:count]

    def give_back(self, deliveries: list[Delivery]) -> None:
        """As the source's."""
        self._source.give_back(deliveries)

    def give_back_alone(self, deliveries: list[Delivery]) -> None:
        """As the source's."""
        self._source.give_back_alone(deliveries)

    def reload(self, delivery: Delivery) -> None:
        """As the source's."""
        self._source.reload(delivery)

    def report(self, delivery: Delivery, outcome: Outcome | None) -> None:
        """As the source's."""
        self.give_back_held()
        self._source.report(delivery, outcome)

    def give_back_held(self) -> None:
        """Give suspects back that were taken; each runs alone."""
        held, self._held = self._held, []
        if held:
            self._source.give_back_alone(held)
