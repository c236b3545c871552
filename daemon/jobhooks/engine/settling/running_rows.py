"""The rows of runs that last long, and of their log lines so far."""

import asyncio
import os
from collections.abc import Sequence
from typing import NamedTuple

import msgspec

from jobhooks.contract.log import LogEntry
from jobhooks.contract.run import DeliveryIdentity
from jobhooks.engine.delivery.delivery import Delivery
from jobhooks.store.connections import AsyncConnection, call_async
from jobhooks.store.storable_text import storable_log


class BegunRun(NamedTuple):
    """A run to be noted. ``started_at``: in seconds since 1970, by the clock of the database."""

    delivery: Delivery
    started_at: float
    worker_pid: int | None


class NotedRun(NamedTuple):
    """A run that is noted. ``deliveries``: how many are merged in it, itself included.

    ``cancelled``: who has cancelled it, when and why.
    """

    change_id: int
    hook_id: int
    attempt: int
    deliveries: int
    cancelled: str | None


class NewLines(NamedTuple):
    """Lines of a run that are not written yet. ``first``: the number of the first one."""

    delivery: DeliveryIdentity
    first: int
    lines: Sequence[LogEntry]


class RunningRows:
    """Queries on the settler's connection, under the settler's lock, for the daemon with the number ``leader``."""

    def __init__(self, conn: AsyncConnection, lock: asyncio.Lock, leader: int) -> None:
        self._conn = conn
        self._lock = lock
        self._leader = leader
        self._host = os.uname().nodename

    async def interrupt(self) -> int:
        """Take over the runs that earlier daemons did not end; how many there were.

        Raises:
            LeadsNoMore: another daemon leads.
        """
        async with self._lock:
            ((count,),) = await call_async(self._conn, "interrupt_runs", leader=self._leader)
        return count

    async def note(
        self, ended: Sequence[DeliveryIdentity], begun: Sequence[BegunRun], lines: Sequence[NewLines]
    ) -> list[NotedRun]:
        """Write the changes since the last time; all runs that are noted now.

        Raises:
            LeadsNoMore: another daemon leads.
        """
        async with self._lock:
            rows = await call_async(
                self._conn,
                "note_runs",
                leader=self._leader,
                ended=_json([_identity(each) for each in ended]),
                begun=_json([row for run in begun for row in self._rows(run)]),
                lines=_json([row for each in lines for row in self._line_rows(each)]),
            )
        return [NotedRun(*row) for row in rows]

    def _rows(self, run: BegunRun) -> list[dict[str, object]]:
        delivery = run.delivery
        return [
            {
                **_identity(each.identity),
                "job_id": delivery.hook.job_id,
                "merged_into": None if each is delivery else delivery.change.id,
                "started_at": run.started_at,
                "host": self._host,
                "pid": os.getpid(),
                "worker_pid": run.worker_pid,
                "version": delivery.version,
            }
            for each in (delivery, *delivery.merged)
        ]

    def _line_rows(self, new: NewLines) -> list[dict[str, object]]:
        encoding = self._conn.get_settings().server_encoding
        return [
            {
                "change_id": new.delivery.change_id,
                "hook_id": new.delivery.hook_id,
                "line": number,
                "level": entry.level,
                "time": entry.time,
                "object": entry.object,
                "message": entry.message,
                "grouping": entry.grouping,
                "source": entry.source,
            }
            for number, entry in enumerate(storable_log(tuple(new.lines), encoding), new.first)
        ]


def _identity(delivery: DeliveryIdentity) -> dict[str, object]:
    return {"change_id": delivery.change_id, "hook_id": delivery.hook_id, "attempt": delivery.attempt}


def _json(rows: list[dict[str, object]]) -> str | None:
    return msgspec.json.encode(rows).decode() if rows else None
