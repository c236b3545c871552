"""Discards and replays beside a daemon that runs the same deliveries."""

import asyncio
import contextlib
from collections.abc import Generator
from pathlib import Path

import psycopg
import pytest

from conftest import Connection
from jobhooks.discovery.registry import ReceiverRegistry
from jobhooks.engine.delivery.backlog_row import BacklogRow
from jobhooks.engine.settling.ledger import Ledger
from jobhooks.errors import Refused
from jobhooks.operations.delivering.deliveries import DeliveryFilter, choose, discard, retry
from jobhooks.operations.delivering.replay import ReplayFilter, plan_replay, replay
from jobhooks.store.connections import SyncConnection, asyncpg_arguments, close_async, connect, connect_async
from support.daemon import Daemon, wait_until
from support.hooking import add_hook, write_receivers
from support.ledger import fill_ledger

RECEIVERS = """
from jobhooks import JobHookReceiver

class Writer(JobHookReceiver):
    async def receive_job_hook(self, change, action, changed_object):
        await self.connection.execute("insert into public.seen (change_id) values ($1)", change.id)

class Failed(JobHookReceiver):
    class Meta:
        backoff = 3600
    async def receive_job_hook(self, change, action, changed_object):
        await self.connection.execute("insert into public.seen (change_id) values ($1)", change.id)
        if self.attempt == 1 and change.id == 1:
            raise ValueError

class Waits(JobHookReceiver):
    def receive_job_hook(self, change, action, changed_object):
        self.connection.execute("insert into public.seen (change_id) values (%s)", (change.id,))
        self.connection.execute("select pg_advisory_xact_lock(42)")
"""


@pytest.fixture
def receivers(tmp_path: Path, device: Connection) -> Path:
    device.execute("create table public.seen (id integer generated always as identity, change_id bigint)")
    return write_receivers(tmp_path / "receivers", RECEIVERS)


@pytest.fixture
def admin(database: str) -> Generator[SyncConnection]:
    with contextlib.closing(connect(database)) as conn:
        yield conn


@pytest.fixture
def log(tmp_path: Path) -> Path:
    return tmp_path / "daemon.log"


def write(conn: Connection, *names: str) -> None:
    for name in names:
        conn.execute("update public.device set name = %s where id = 1", [name])


def pending(conn: Connection) -> list[tuple[object, ...]]:
    """List change, hook, status and attempts of pending deliveries."""
    return conn.execute(
        "select change_id, hook_id, status, attempts from jobhooks.delivery order by change_id, hook_id"
    ).fetchall()


def results(conn: Connection) -> list[tuple[object, ...]]:
    """List change, attempt and status of results, in order of time."""
    return conn.execute("select change_id, attempt, status from jobhooks.job_result order by finished_at").fetchall()


def test_a_delivery_that_is_discarded_while_it_runs_leaves_nothing(
    device: Connection, database: str, admin: SyncConnection, receivers: Path, log: Path
) -> None:
    """The result that discards it is the acknowledgement: the receiver's writes are rolled back."""
    add_hook(database, receivers, "r.Waits")
    with psycopg.connect(database, autocommit=True) as gate, Daemon(database, receivers, log).await_started() as daemon:
        gate.execute("select pg_advisory_lock(42)")
        write(device, "a", "b")
        wait_until("it takes long, and is parked", lambda: len(pending(device)) == 2)
        discard(admin, choose(admin, DeliveryFilter([1])))
        gate.execute("select pg_advisory_unlock(42)")
        daemon.await_event("delivery_already_settled")
        wait_until("nothing is pending", lambda: not pending(device))
    assert results(device) == [(1, 1, "discarded"), (2, 1, "success")]
    assert device.execute("select change_id from public.seen").fetchall() == [(2,)]


def test_a_delivery_that_is_discarded_while_it_runs_and_replayed_runs_again(
    device: Connection, database: str, admin: SyncConnection, receivers: Path, log: Path
) -> None:
    """The end of the discarded run must not settle the new delivery."""
    add_hook(database, receivers, "r.Waits")
    with psycopg.connect(database, autocommit=True) as gate, Daemon(database, receivers, log).await_started() as daemon:
        gate.execute("select pg_advisory_lock(42)")
        write(device, "a")
        wait_until("it takes long, and is parked", lambda: len(pending(device)) == 1)
        discard(admin, choose(admin, DeliveryFilter([1])))
        replay(admin, plan_replay(admin, ReplayFilter("hook of r.Waits")))
        assert pending(device) == [(1, 1, "waiting", 1)]
        gate.execute("select pg_advisory_unlock(42)")
        daemon.await_event("delivery_already_settled")
        wait_until("nothing is pending", lambda: not pending(device))
    assert results(device) == [(1, 1, "discarded"), (1, 2, "success")]
    assert device.execute("select change_id from public.seen").fetchall() == [(1,)]


def test_replaying_beside_a_busy_daemon_loses_and_doubles_nothing(
    device: Connection, database: str, admin: SyncConnection, receivers: Path, log: Path
) -> None:
    """While changes are read, delivered and settled, some are replayed: each of them exactly as often as was said."""
    add_hook(database, receivers, "r.Writer")
    device.execute("insert into public.device (name) select 'x' from generate_series(2, 40)")
    with Daemon(database, receivers, log).await_started():
        wait_until("it delivers", lambda: bool(results(device)))
        queued = 0
        for number in range(15):
            device.execute("update public.device set name = %s || id", [str(number)])
            if number % 3:
                continue
            with contextlib.suppress(Refused):  # nothing is settled yet
                queued += replay(admin, plan_replay(admin, ReplayFilter("hook of r.Writer")))
        assert queued
        total = 39 + 15 * 40
        wait_until("all is delivered", lambda: len(results(device)) == total + queued and not pending(device))
    seen = device.execute("select count(*), count(distinct change_id) from public.seen").fetchone()
    assert seen == (total + queued, total)
    gaps = device.execute(
        "select change_id from jobhooks.job_result group by change_id having count(*) <> max(attempt)"
    ).fetchall()
    assert gaps == []
    disorder = device.execute(
        "select change_id from (select change_id, lag(result.finished_at) over (partition by object order by change_id)"
        " > result.finished_at as late from jobhooks.job_result as result join (select id, coalesce(postchange,"
        " prechange) ->> 'id' as object from jobhooks.object_change) as change on change.id = change_id"
        " where attempt = 1) as first where late"
    ).fetchall()
    assert disorder == []


def test_a_row_whose_change_somebody_deleted_keeps_its_place(
    device: Connection, database: str, admin: SyncConnection, receivers: Path, log: Path
) -> None:
    """It cannot run. Those behind it wait, as behind a dead one, until it is discarded."""
    add_hook(database, receivers, "r.Failed")
    write(device, "a", "b", "c")
    with Daemon(database, receivers, log).await_started():
        wait_until("the first one has failed", lambda: len(pending(device)) == 3)
        device.execute("delete from jobhooks.object_change where id = 2")
        retry(admin, choose(admin, DeliveryFilter([1])))
        wait_until("it has run", lambda: (1, 2, "success") in results(device))
        wait_until("its row is gone", lambda: [row[0] for row in pending(device)] == [2, 3])
        discard(admin, choose(admin, DeliveryFilter([2])))
        wait_until("nothing is pending", lambda: not pending(device))
    assert results(device) == [(1, 1, "failure"), (1, 2, "success"), (2, 1, "discarded"), (3, 1, "success")]


def test_a_decision_on_one_delivery_looks_up_the_changes_of_no_other(device: Connection, admin: SyncConnection) -> None:
    """The daemon compares all rows of a hook with the table after each. A row can return for another table."""
    fill_ledger(device)

    async def look_twice() -> tuple[list[BacklogRow], list[BacklogRow]]:
        conn = await connect_async(asyncpg_arguments(admin))
        ledger = Ledger(conn, ReceiverRegistry(()))
        first = await ledger.backlog_rows(1, 100)
        device.execute("update jobhooks.delivery set content_type_id = 2 where change_id = 3")
        device.execute("update jobhooks.delivery set attempts = 3 where change_id = 2")
        device.execute("delete from jobhooks.object_change where id in (1, 2)")
        known = {row.change_id: row for row in first[:3]}
        second = await ledger.backlog_rows(1, 100, known)
        await close_async(conn)
        return first, second

    first, second = asyncio.run(look_twice())
    assert [(row.change_id, row.attempts, row.is_of_child) for row in first] == [
        (1, 2, False),
        (2, 0, False),
        (3, 1, False),
    ]
    assert [(row.change_id, row.attempts, row.is_of_child) for row in second] == [
        (1, 2, False),
        (2, 3, False),
        (3, 1, True),
    ]
    assert all(row.transaction_id > 0 for row in first)
    assert [row.transaction_id for row in second] == [row.transaction_id for row in first]
