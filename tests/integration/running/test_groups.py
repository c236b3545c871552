"""Short runs of one hook share a transaction: they commit together, and no run notices the others."""

import asyncio
from pathlib import Path
from typing import Any

import asyncpg
import psycopg
import pytest

from conftest import Connection
from jobhooks import Change, Discard
from jobhooks.engine.running.in_loop import shared_runs
from support.daemon import Daemon, wait_until
from support.delivering import seen_by, settled
from support.engine.grouping import (
    Receiver,
    copied,
    copy,
    deliver_all,
    pending_deliveries,
    results,
    transactions,
    write,
)
from support.engine.running import open_running, until
from support.hooking import add_hook

MANY = 80


class Copies(Receiver):
    async def work(self, change: Change) -> None:
        await copy(self, change)


def test_short_runs_share_a_transaction_and_each_has_its_result_and_its_mark(
    copying: Connection, database: str, patient: None
) -> None:
    """A change is attributed to the run that wrote it, regardless of the others in the transaction."""
    write(copying, MANY)
    deliver_all(database, Copies)
    assert results(copying) == [(number, 1, "success") for number in range(1, MANY + 1)]
    assert copied(copying) == list(range(1, MANY + 1))
    assert transactions(copying) == 2  # 64, and 16
    causes = copying.execute(
        "select postchange ->> 'change', triggering, context #>> '{caused_by}' from jobhooks.object_change"
        " where id > %s order by id",
        [MANY],
    ).fetchall()
    assert causes == [
        (str(number), False, f'{{"change":{number},"hook":1,"attempt":1}}') for number in range(1, MANY + 1)
    ]


def test_the_daemon_has_short_runs_share_transactions(
    seen: Connection, database: str, receivers: Path, log: Path
) -> None:
    """By its own limits: how many are together depends on the machine, but they are not each alone."""
    add_hook(database, receivers, "r.Sees", ["create"])
    seen.execute("alter table public.seen add transaction text default pg_current_xact_id()::text")
    seen.execute("insert into public.device (serial) select i::text from generate_series(1, 300) as i")
    with Daemon(database, receivers, log) as daemon:
        wait_until("all is settled", settled(seen, 300))
        assert daemon.terminate() == 0
    (committed,) = seen.execute("select count(distinct transaction) from public.seen").fetchone() or (0,)
    assert committed < 300
    assert sorted(seen_by(seen, "Sees"), key=str) == sorted(
        ((number, str(number)) for number in range(1, 301)), key=str
    )


@pytest.mark.parametrize("job", ["r.Sees", "r.SeesNow"])
def test_the_changes_of_one_row_share_transactions_in_order(
    seen: Connection, database: str, receivers: Path, log: Path, job: str
) -> None:
    """The daemon commits a group of them together; each has its result."""
    add_hook(database, receivers, job, ["update"])
    seen.execute("alter table public.seen add transaction text default pg_current_xact_id()::text")
    (row,) = seen.execute("insert into public.device (serial) values ('') returning id").fetchone() or (None,)
    for number in range(300):
        seen.execute("update public.device set serial = %s where id = %s", [str(number), row])
    with Daemon(database, receivers, log) as daemon:
        wait_until("all is settled", settled(seen, 300))
        assert daemon.terminate() == 0
    in_order = seen.execute("select value::integer from public.seen order by n").fetchall()
    assert [value for (value,) in in_order] == list(range(300))
    (committed,) = seen.execute("select count(distinct transaction) from public.seen").fetchone() or (0,)
    assert committed < 300


def test_a_run_that_fails_is_undone_alone_and_all_have_their_log_lines(
    copying: Connection, database: str, patient: None
) -> None:
    """In all the ways that a run can end."""

    class Ends(Receiver):
        async def work(self, change: Change) -> None:
            await copy(self, change)
            if change.id != 7:
                self.log_info(f"run {change.id}")
            match change.id:
                case 2:
                    raise ValueError("no")
                case 3:
                    raise Discard("not for us")
                case 4:
                    self.log_failure("not good, but kept")
                case 5:
                    await self.connection.execute("select 1/0")
                case _:
                    pass

    write(copying, 8)
    deliver_all(database, Ends)
    statuses = ["success", "failure", "discarded", "failure", "failure", "success", "success", "success"]
    assert results(copying) == [(number, 1, status) for number, status in enumerate(statuses, 1)]
    assert copied(copying) == [1, 4, 6, 7, 8]
    assert transactions(copying) == 1
    lines = copying.execute(
        "select message from jobhooks.job_log_entry where level = 'info' order by change_id"
    ).fetchall()
    assert lines == [(f"run {number}",) for number in (1, 2, 3, 4, 5, 6, 8)]
    pending = copying.execute("select change_id, status from jobhooks.delivery_states() order by change_id").fetchall()
    assert pending == [(2, "waiting"), (5, "waiting")]


QUERIED = (
    "select set_config('search_path', 'nowhere', false), set_config('work_mem', '1MB', true),"
    " set_config('statement_timeout', '50s', false), set_config('my.own', '1', false),"
    " set_config('datestyle', 'SQL, DMY', false), set_config('intervalstyle', 'iso_8601', true),"
    " set_config('extra_float_digits', '0', false)"
)
COMMANDED = (
    "set search_path = nowhere; set local work_mem = '1MB'; set statement_timeout = '50s'; set my.own = '1';"
    " set datestyle = 'SQL, DMY'; set local intervalstyle = 'iso_8601'; set extra_float_digits = 0;"
    " create temp table litter (); declare litter cursor for select 1; savepoint litter"
)


@pytest.mark.parametrize(("left", "shared"), [(QUERIED, 1), (COMMANDED, 5)])
def test_what_a_run_leaves_in_the_session_does_not_reach_the_next(
    copying: Connection, database: str, patient: None, left: str, shared: int
) -> None:
    """In the same transaction, or because a run that does more than query has a transaction to itself."""
    found: list[Any] = []

    class Litters(Receiver):
        async def work(self, change: Change) -> None:
            await copy(self, change)
            row = await self.connection.fetchrow(
                "select current_user, session_user, current_setting('search_path'), current_setting('work_mem'),"
                " current_setting('statement_timeout'), current_setting('my.own', true), to_regclass('pg_temp.litter'),"
                " (select count(*) from pg_cursors where name = 'litter'), current_setting('datestyle'),"
                " current_setting('intervalstyle'), current_setting('extra_float_digits')"
            )
            assert row is not None
            found.append(tuple(value or None for value in row))
            if change.id < 5:
                await self.connection.execute(left)

    write(copying, 5)
    deliver_all(database, Litters)
    assert results(copying) == [(number, 1, "success") for number in range(1, 6)]
    assert transactions(copying) == shared
    assert found[:1] * 5 == found[:5]


def test_a_run_that_would_wait_for_a_lock_is_run_by_itself_and_holds_up_nobody(
    copying: Connection, database: str, patient: None
) -> None:
    """The locks of those before it in the transaction would be held for as long as it waits."""
    attempts_seen: list[int] = []

    class Ledger(Receiver):
        async def work(self, change: Change) -> None:
            await copy(self, change)
            if change.id == 5:
                attempts_seen.append(self.attempt)
                await self.connection.execute("update public.ledger set amount = amount + 1 where id = 1")

    async def work() -> None:
        deliveries = await pending_deliveries(database)
        with psycopg.connect(database) as other:
            other.execute("select from public.ledger for update")
            async with open_running(database) as running, asyncio.TaskGroup() as runners:
                attempts = running.attempts(Ledger)
                for _ in range(2):
                    runners.create_task(running.work_off(attempts, deliveries))
                await until("all others have committed", lambda: len(results(copying)) == 9)
                assert 5 not in copied(copying)
                other.rollback()

    write(copying, 10)
    asyncio.run(work())
    assert results(copying) == [(number, 1, "success") for number in range(1, 11)]
    assert copied(copying) == list(range(1, 11))
    assert attempts_seen == [1, 1]
    assert copying.execute("select amount from public.ledger").fetchall() == [(1,)]


def test_a_run_that_cannot_be_committed_fails_alone(copying: Connection, database: str, patient: None) -> None:
    """A deferred constraint says so only when all are committed: then each is run by itself."""
    copying.execute(
        "create table public.rack (device integer references public.device (id) deferrable initially deferred)"
    )

    class Dangles(Receiver):
        async def work(self, change: Change) -> None:
            await copy(self, change)
            assert change.postchange is not None
            device = 99 if change.id == 3 else change.postchange["id"]
            await self.connection.execute("insert into public.rack values ($1)", device)

    write(copying, 6)
    outcomes = deliver_all(database, Dangles)
    statuses = ["success", "success", "failure", "success", "success", "success"]
    assert results(copying) == [(number, 1, status) for number, status in enumerate(statuses, 1)]
    assert copied(copying) == [1, 2, 4, 5, 6]
    failure = outcomes[3]
    assert failure is not None and "foreign key" in str(failure.error)


@pytest.mark.parametrize("before_its_first_use", [True, False])
def test_a_run_that_takes_long_does_not_hold_up_the_others_commit(
    copying: Connection, database: str, monkeypatch: pytest.MonkeyPatch, before_its_first_use: bool
) -> None:
    """Before it uses its connection it gets a separate transaction; afterwards it is rolled back and run alone."""
    monkeypatch.setattr(shared_runs, "LONGEST_S", 60)
    begun: list[int] = []
    may_end = asyncio.Event()

    class TakesLong(Receiver):
        async def work(self, change: Change) -> None:
            if change.id == 3 and before_its_first_use:
                await may_end.wait()
            await copy(self, change)
            begun.append(self.attempt)
            if change.id == 3:
                await may_end.wait()

    async def work() -> None:
        deliveries = await pending_deliveries(database)
        async with open_running(database) as running, asyncio.TaskGroup() as runners:
            runners.create_task(running.work_off(running.attempts(TakesLong), deliveries))
            await until("the others have committed", lambda: len(results(copying)) == 2)
            assert copied(copying) == [1, 2]
            may_end.set()

    write(copying, 4)
    asyncio.run(work())
    assert results(copying) == [(number, 1, "success") for number in range(1, 5)]
    assert copied(copying) == [1, 2, 3, 4]
    assert set(begun) == {1}


def test_a_connection_that_is_used_by_a_later_run_of_the_transaction_is_refused(
    copying: Connection, database: str, patient: None
) -> None:
    """Its writes would be rolled back with the later run, and carry that run's mark."""
    kept: list[Any] = []

    class Keeps(Receiver):
        async def work(self, change: Change) -> None:
            await copy(self, change)
            for connection in kept:
                with pytest.raises(asyncpg.InterfaceError):
                    await connection.execute("insert into public.copy (change) values (0)")
            kept.append(self.connection)

    write(copying, 3)
    deliver_all(database, Keeps)
    assert results(copying) == [(number, 1, "success") for number in range(1, 4)]
    assert copied(copying) == [1, 2, 3]
