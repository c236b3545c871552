"""Marks of runs in the database, which a later daemon finds there if this one dies."""

import asyncio
from collections.abc import Sequence
from typing import NamedTuple

import msgspec

from jobhooks.contract.run import DeliveryIdentity
from jobhooks.store.connections import AsyncConnection, call_async

BegunMark = tuple[DeliveryIdentity, int | None]  # with the version of the receiver


class SuspectRow(NamedTuple):
    """A run that was in flight at ``crashes`` deaths of daemons.

    ``state``: "waiting"; "guilty", if its attempt ended one; "running", if the process that ran it is still in doubt.
    """

    change_id: int
    hook_id: int
    attempt: int
    crashes: int
    state: str
    reason: str | None
    version: int | None


class RunMarkers:
    """Queries on the settler's connection, under the settler's lock, for the daemon with the number ``leader``."""

    def __init__(self, conn: AsyncConnection, lock: asyncio.Lock, leader: int) -> None:
        self._conn = conn
        self._lock = lock
        self._leader = leader

    async def doubted_processes(self) -> list[str]:
        """The processes that led before, may have died, and have not shown since that they live.

        Raises:
            LeadsNoMore: another daemon leads.
        """
        async with self._lock:
            ((processes,),) = await call_async(self._conn, "doubted_processes", leader=self._leader)
        return processes

    async def load(self, died: Sequence[str]) -> list[SuspectRow]:
        """The runs that may have ended a daemon, the last one that began first. ``died``: processes that have died.

        Raises:
            LeadsNoMore: another daemon leads.
        """
        async with self._lock:
            rows = await call_async(self._conn, "load_suspects", leader=self._leader, died=list(died))
        return [SuspectRow(*row) for row in rows]

    async def write(self, ended: list[DeliveryIdentity], begun: list[BegunMark], *, alone: bool) -> None:
        """Unmark runs that have ended, and mark those that begin. ``alone``: nothing else is in flight with it.

        Raises:
            LeadsNoMore: another daemon leads.
        """
        async with self._lock:
            await call_async(
                self._conn,
                "mark_runs",
                leader=self._leader,
                ended=_as_json([_identity(run) for run in ended]),
                begun=marks_as_json(begun),
                alone=alone,
            )


def marks_as_json(begun: Sequence[BegunMark]) -> str:
    """Runs with their versions, as the functions of sql/ take them."""
    return _as_json([{**_identity(run), "version": version} for run, version in begun])


def _identity(run: DeliveryIdentity) -> dict[str, int | None]:
    return {"change_id": run.change_id, "hook_id": run.hook_id, "attempt": run.attempt}


def _as_json(rows: list[dict[str, int | None]]) -> str:
    return msgspec.json.encode(rows).decode()
