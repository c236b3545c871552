"""What a run leaves of its connection: a task cannot use it, and no other run meets it."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import asyncpg
import pytest

from conftest import Connection
from jobhooks import Change, JobHookReceiver
from support.engine.grouping import Receiver, copied, copy, deliver_all, write

COUNT = 4
INSERT = "insert into public.copy (word) values ('leaked')"


class Leaks(Receiver):
    """Its first run leaves a task that uses the connection while the second one runs."""

    left: "asyncio.Task[list[str]]"
    second_runs: asyncio.Event

    async def work(self, change: Change) -> None:
        await copy(self, change)
        kind = type(self)
        if change.id == 1:
            lazy: Any = self.connection
            own = await lazy
            prepared, cursor = await lazy.prepare(INSERT), await lazy.cursor("select 1")
            ways: list[Callable[[], Awaitable[object]]] = [
                lambda: lazy.execute(INSERT),
                lambda: own.execute(INSERT),
                prepared.fetch,
                cursor.fetchrow,
                own.transaction().start,
            ]
            kind.second_runs = asyncio.Event()
            kind.left = asyncio.create_task(refusals(kind.second_runs, ways))
        elif change.id == 2:
            kind.second_runs.set()
            assert await self.left == ["InterfaceError"] * 5


async def refusals(begin: asyncio.Event, ways: list[Callable[[], Awaitable[object]]]) -> list[str]:
    """The errors of using a connection after the run that it belongs to."""
    await begin.wait()
    errors: list[str] = []
    for way in ways:
        try:
            await way()
        except asyncpg.InterfaceError as exc:
            errors.append(type(exc).__name__)
    return errors


def test_a_task_that_a_run_leaves_has_no_connection(copying: Connection, database: str) -> None:
    """Otherwise it would write in the transaction of the next run."""
    write(copying, COUNT)
    assert [outcome and outcome.error for outcome in deliver_all(database, Leaks).values()] == [None] * COUNT
    assert copied(copying) == [1, 2, 3, 4]


FORGET = "do $$ begin execute 'deallocate all'; end $$"


class Forgets(Receiver):
    async def work(self, change: Change) -> None:
        await copy(self, change)
        if change.id == 2:
            await self.connection.execute(FORGET)


class ForgetsAndLogs(Forgets):
    """Its results are recorded by a prepared statement."""

    async def work(self, change: Change) -> None:
        self.log_info("a line")
        await super().work(change)


class ForgetsNow(JobHookReceiver[Any]):
    def receive_job_hook(self, change: Change) -> None:
        for _ in range(10):  # psycopg prepares what is sent for the sixth time
            self.connection.execute("select %s::text", ["a"])
        self.connection.execute("insert into public.copy (change) values (%s)", [change.id])
        if change.id == 2:
            self.connection.execute(FORGET)


@pytest.mark.parametrize("receiver", [Forgets, ForgetsAndLogs, ForgetsNow])
def test_a_run_that_has_the_session_forget_statements_fails_no_other(
    copying: Connection, database: str, receiver: type[JobHookReceiver[Any]]
) -> None:
    """DEALLOCATE, and DISCARD after a COMMIT, take away what the driver has prepared for the next run."""
    write(copying, COUNT)
    assert [outcome and outcome.error for outcome in deliver_all(database, receiver).values()] == [None] * COUNT
    assert copied(copying) == [1, 2, 3, 4]
