"""Actions of a receiver that could affect other runs in its transaction: they affect none."""

import asyncio
import contextlib
import threading
from typing import Any

import asyncpg
import psycopg
import pytest

from conftest import Connection
from jobhooks.contract.change import Change
from support.engine.grouping import Receiver, copied, copy, deliver_all, results, write


@pytest.mark.parametrize("at", [4, 7])
@pytest.mark.parametrize("statement", ["commit", "commit; begin", "commit and chain", "rollback", "rollback; begin"])
def test_a_run_that_ends_the_transaction_fails_alone_and_doubles_no_other(
    copying: Connection, database: str, patient: None, statement: str, at: int
) -> None:
    """It commits the others' writes: then their results must be committed with them, or they would run again."""

    class Commits(Receiver):
        async def work(self, change: Change) -> None:
            await copy(self, change)
            if change.id == at:
                await self.connection.execute(statement)

    write(copying, 7)
    deliver_all(database, Commits)
    statuses = ["failure" if number == at else "success" for number in range(1, 8)]
    assert results(copying) == [(number, 1, status) for number, status in enumerate(statuses, 1)]
    others = [change for change in copied(copying) if change != at]
    assert others == [number for number in range(1, 8) if number != at]


@pytest.mark.parametrize("statement", ["commit", "rollback", "release savepoint jobhooks"])
def test_a_run_that_ends_the_transaction_and_raises_does_not_end_the_daemon(
    copying: Connection, database: str, patient: None, statement: str
) -> None:
    """The group must handle a run that cannot be rolled back alone."""

    class CommitsAndRaises(Receiver):
        async def work(self, change: Change) -> None:
            await copy(self, change)
            if change.id == 4:
                await self.connection.execute(statement)
                raise ValueError("no")

    write(copying, 7)
    deliver_all(database, CommitsAndRaises)
    statuses = ["success", "success", "success", "failure", "success", "success", "success"]
    assert results(copying) == [(number, 1, status) for number, status in enumerate(statuses, 1)]


def test_an_error_that_a_run_swallows_fails_no_other(copying: Connection, database: str, patient: None) -> None:
    """The error aborts the transaction: the following runs must not see that."""

    class Swallows(Receiver):
        async def work(self, change: Change) -> None:
            await copy(self, change)
            if change.id == 4:
                with contextlib.suppress(asyncpg.PostgresError):
                    await self.connection.execute("select 1/0")

    write(copying, 7)
    deliver_all(database, Swallows)
    statuses = ["success", "success", "success", "failure", "success", "success", "success"]
    assert results(copying) == [(number, 1, status) for number, status in enumerate(statuses, 1)]


def test_a_statement_that_a_run_leaves_behind_fails_no_other(copying: Connection, database: str, patient: None) -> None:
    """The connection is busy with it when the next one begins."""
    left: list[asyncio.Task[Any]] = []

    class Leaves(Receiver):
        async def work(self, change: Change) -> None:
            await copy(self, change)
            if change.id == 3:
                left.append(asyncio.create_task(self.connection.execute("select pg_sleep(0.3)")))
                await asyncio.sleep(0)

    write(copying, 6)
    deliver_all(database, Leaves)
    for task in left:
        task.exception()
    statuses = [status for change, _, status in results(copying) if change != 3]
    assert statuses == ["success"] * 5


def test_the_first_run_of_a_transaction_makes_it_read_only_for_itself_alone(
    copying: Connection, database: str, patient: None
) -> None:
    """Those after the first are in a savepoint, whose end ends that."""

    class MakesReadOnly(Receiver):
        async def work(self, change: Change) -> None:
            if change.id == 1:
                await self.connection.execute("set transaction read only")
            else:
                await copy(self, change)

    write(copying, 4)
    deliver_all(database, MakesReadOnly)
    assert results(copying)[1:] == [(number, 1, "success") for number in range(2, 5)]


@pytest.mark.parametrize("left", ["set constraints all immediate", "select pg_advisory_lock(4711)"])
def test_what_lasts_for_the_transaction_does_not_reach_the_next_run(
    copying: Connection, database: str, patient: None, left: str
) -> None:
    copying.execute(
        "create table public.rack (device integer references public.device (id) deferrable initially deferred)"
    )
    locks: list[object] = []

    class Leaves(Receiver):
        async def work(self, change: Change) -> None:
            await copy(self, change)
            locks.append(
                await self.connection.fetchval(
                    "select count(*) from pg_locks where locktype = 'advisory' and objid = 4711"
                )
            )
            await self.connection.execute("insert into public.rack values (99)")
            await self.connection.execute("delete from public.rack where device = 99")
            if change.id == 3:
                await self.connection.execute(left)

    write(copying, 5)
    deliver_all(database, Leaves)
    assert results(copying) == [(number, 1, "success") for number in range(1, 6)]
    assert locks == [0] * 5


def test_a_lock_timeout_that_nobody_asked_for_is_not_told_to_the_receiver(
    copying: Connection, database: str, patient: None
) -> None:
    """Who handles such an error would handle one that is ours: it waits for locks as long as it has set."""
    told: list[str] = []

    class GivesUp(Receiver):
        async def work(self, change: Change) -> None:
            await copy(self, change)
            if change.id == 4:
                try:
                    async with self.connection.transaction():
                        await self.connection.execute("update public.ledger set amount = amount + 1")
                except asyncpg.LockNotAvailableError as exc:
                    told.append(str(exc))

    write(copying, 5)
    with psycopg.connect(database) as other:
        other.execute("select from public.ledger for update")
        freeing = threading.Timer(1, other.rollback)
        freeing.start()
        deliver_all(database, GivesUp)
        freeing.join()
    assert copying.execute("select amount from public.ledger").fetchall() == [(1,)]
