"""Runs of one hook, one after the other, in the test's process, and their outcomes."""

import asyncio
from collections import deque
from typing import Any

import asyncpg  # noqa: F401 - named in a string
from psycopg import Connection as PsycopgConnection
from psycopg.rows import TupleRow

from jobhooks import Change, JobHookReceiver
from jobhooks.engine.delivery.delivery import Delivery
from jobhooks.engine.delivery.outcome import Outcome
from support.engine.reading import open_reader, read_all
from support.engine.running import open_running, pending

Connection = PsycopgConnection[TupleRow]


class Receiver(JobHookReceiver["asyncpg.Connection[asyncpg.Record]"]):
    """Does ``work`` for each change; the live row would be read outside of the transaction."""

    async def receive_job_hook(self, change: Change) -> None:  # pyright: ignore[reportIncompatibleMethodOverride] - it is given what it names
        await self.work(change)

    async def work(self, change: Change) -> None:
        raise NotImplementedError


async def copy(self: Receiver, change: Change, word: str = "") -> None:
    await self.connection.execute("insert into public.copy (change, word) values ($1, $2)", change.id, word)


def write(conn: Connection, count: int) -> None:
    """Make changes number 1 to ``count``, each of another device."""
    conn.execute("insert into public.device (name) select i::text from generate_series(1, %s) as i", [count])


async def pending_deliveries(database: str) -> deque[Delivery]:
    """List the pending deliveries of the changes for a hook."""
    async with open_reader(database, 1000) as reader:
        return deque(map(pending, await read_all(reader)))


def deliver_all(database: str, receiver: type[JobHookReceiver[Any]]) -> dict[int, Outcome | None]:
    """Have a receiver run for all changes, one after the other."""

    async def work() -> dict[int, Outcome | None]:
        deliveries = await pending_deliveries(database)
        async with open_running(database) as running:
            return await running.work_off(running.attempts(receiver), deliveries)

    return asyncio.run(work())


def copied(conn: Connection) -> list[int]:
    """List the changes with written rows, once per row."""
    return [change for (change,) in conn.execute("select change from public.copy order by change, n").fetchall()]


def results(conn: Connection) -> list[tuple[object, ...]]:
    return conn.execute(
        "select change_id, attempt, status from jobhooks.job_result order by change_id, attempt"
    ).fetchall()


def transactions(conn: Connection) -> int:
    """Return in how many transactions runs have written."""
    (count,) = conn.execute(
        "select count(distinct transaction_id::text) from jobhooks.object_change where not triggering"
    ).fetchone() or (0,)
    return count
