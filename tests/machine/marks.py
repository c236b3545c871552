"""The marks of runs of ``async def`` receivers, in the database in memory."""

import asyncio
from collections.abc import Iterable, Sequence
from typing import cast

from jobhooks.contract.run import DeliveryIdentity
from jobhooks.engine.settling.run_markers import BegunMark, RunMarkers, SuspectRow
from jobhooks.runtime.process_identity import this_process
from jobhooks.store.connections import AsyncConnection
from machine.database import Database, Mark


class MemoryMarkers(RunMarkers):
    """The queries of ``RunMarkers``. Each daemon counts as a process, and the end of one that has crashed is seen."""

    def __init__(self, database: Database, lock: asyncio.Lock) -> None:
        super().__init__(cast(AsyncConnection, None), lock, database.leader)
        self._database = database

    async def doubted_processes(self) -> list[str]:
        async with self._lock:
            found: list[int] = await self._database.send("doubted", self._doubted)
        seen = this_process().rpartition(":")[0]  # as if this process had replaced the one that crashed
        return [f"{seen if number in self._database.dead else 'unseen'}:{number}" for number in found]

    async def load(self, died: Sequence[str]) -> list[SuspectRow]:
        numbers = {int(process.rpartition(":")[2]) for process in died}
        async with self._lock:
            return await self._database.send("suspects", lambda: self._load(numbers))

    async def write(self, ended: list[DeliveryIdentity], begun: list[BegunMark], *, alone: bool) -> None:
        runs = [run for run, _ in begun]
        async with self._lock:
            await self._database.send("mark", lambda: self._mark(ended, runs, alone=alone))

    def _doubted(self) -> list[int]:
        self._database.check_leader(self._leader)
        return sorted(self._database.dead | self._database.doubted)

    def _load(self, died: set[int]) -> list[SuspectRow]:
        """As ``jobhooks.load_suspects``."""
        database = self._database
        database.check_leader(self._leader)
        database.dead -= died
        database.doubted -= died
        for key, mark in list(database.marks.items()):
            if mark.state != "running" or mark.process in {self._leader, *database.dead, *database.doubted}:
                continue
            has_died = mark.process in died
            if (*key, mark.attempt) in database.results or (not has_died and not mark.crashes):
                del database.marks[key]
                continue
            mark.state = "guilty" if has_died and mark.alone and mark.crashes else "waiting"
            mark.crashes += has_died
            mark.alone = False
        return [
            SuspectRow(*key, mark.attempt, mark.crashes, mark.state, None, None)
            for key, mark in reversed(database.marks.items())
            if (mark.state, mark.process) != ("running", self._leader) and not database.is_dead_or_settled(*key)
        ]

    def _mark(self, ended: Iterable[DeliveryIdentity], begun: Iterable[DeliveryIdentity], *, alone: bool) -> None:
        """As ``jobhooks.mark_runs``."""
        database = self._database
        database.check_leader(self._leader)
        marks = database.marks
        for run in ended:
            mark = marks.get((run.change_id, run.hook_id))
            if mark is not None and mark.attempt == run.attempt:
                del marks[run.change_id, run.hook_id]
        for mark in marks.values():
            mark.alone &= alone or mark.process != self._leader
        for run in begun:
            former = marks.pop((run.change_id, run.hook_id), None)
            crashes = 0 if former is None else former.crashes
            marks[run.change_id, run.hook_id] = Mark(run.attempt, self._leader, alone, crashes)
