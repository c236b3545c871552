"""Few objects with many changes: each hook gets them in order, and a hook that is behind writes nothing down."""

import contextlib
import random
import threading
from collections.abc import Generator
from pathlib import Path

import psycopg
import pytest

from conftest import Connection
from jobhooks.operations import tables
from jobhooks.operations.delivering.deliveries import DeliveryFilter, choose, discard, retry
from jobhooks.store.connections import connect
from support.daemon import Daemon, await_no_session, wait_until
from support.hooking import add_hook, write_receivers
from support.recording import RECEIVERS, all_delivered, assert_once_and_in_order, make_got, replace_devices

HOT_ROWS, TURNS = 4, 150
WRITTEN = "select n_tup_ins from pg_stat_user_tables where relid = 'jobhooks.delivery'::regclass"
CLIENTS, TRANSACTIONS = 4, 40
ACCOUNTS, TELLERS, BRANCHES = 1000, 10, 1
TPCB_TABLES = ("branches", "tellers", "accounts", "history")


@pytest.fixture
def receivers(tmp_path: Path, seed: int) -> Path:
    return write_receivers(tmp_path / "receivers", RECEIVERS.replace("SEED", str(seed)))


@pytest.fixture
def got(device: Connection) -> Generator[Connection]:
    """The client's connection; ``public.device`` has four rows, and the log is empty."""
    make_got(device)
    replace_devices(device, rows=4)
    yield device
    await_no_session(device)


def backlog_rows(conn: Connection) -> int:
    """How many rows were ever put into the backlog; a session reports that when it ends, at the latest."""
    await_no_session(conn)
    ((rows,),) = conn.execute(WRITTEN).fetchall()
    return rows


def change_hot_rows(conn: Connection, turns: int) -> None:
    """Change each of the four rows many times, one after the other."""
    for turn in range(turns):
        conn.execute("update public.device set serial = %s", [str(turn)])


@pytest.mark.timeout(300)
@pytest.mark.parametrize("started", ["before", "after"])
@pytest.mark.parametrize("other", ["RecordsNow", "RecordsSlowly"])
@pytest.mark.parametrize("turns", [TURNS, pytest.param(1000, marks=pytest.mark.nightly)])
def test_hot_objects_are_delivered_in_order_to_hooks_of_any_speed(
    got: Connection, database: str, receivers: Path, log: Path, turns: int, other: str, started: str
) -> None:
    """Deliveries that wait only for a turn in their lane stay in the log: the backlog is for blocked keys.

    A run that a busy machine holds up for long is noted there, so some rows are no fault.
    """
    add_hook(database, receivers, "r.Records", ["update"])
    add_hook(database, receivers, f"r.{other}", ["update"])
    deliveries = 2 * HOT_ROWS * turns
    if started == "after":
        change_hot_rows(got, turns)
    with Daemon(database, receivers, log).await_started() as daemon:
        if started == "before":
            change_hot_rows(got, turns)
        wait_until("all is delivered", lambda: all_delivered(got), 120)
        assert daemon.terminate() == 0
    assert_once_and_in_order(got)
    assert backlog_rows(got) < deliveries / 10


@pytest.mark.timeout(300)
@pytest.mark.parametrize("decision", ["retry", "discard"])
def test_a_long_lane_is_delivered_in_order_when_its_failed_head_is_decided_upon(
    got: Connection, database: str, receivers: Path, log: Path, decision: str
) -> None:
    """All of it waits in the backlog, and follows at the speed of a hook, not of one row per look at the table."""
    add_hook(database, receivers, "r.FailsFirst", ["update"])
    with Daemon(database, receivers, log).await_started() as daemon, contextlib.closing(connect(database)) as admin:
        got.execute("update public.device set name = 'bad' where id = 1")
        daemon.await_event("delivery_failed")
        for turn in range(TURNS):
            got.execute("update public.device set name = 'd', serial = %s where id = 1", [str(turn)])
        got.execute("update public.device set serial = 'marker' where id = 2")
        wait_until("the marker is delivered", lambda: got.execute("select from public.got").fetchall(), 60)
        ((head,),) = got.execute("select min(id) from jobhooks.object_change").fetchall()
        assert got.execute("select from public.got where change <> %s", [head + TURNS + 1]).fetchall() == []
        plan = choose(admin, DeliveryFilter([head]))
        retry(admin, plan) if decision == "retry" else discard(admin, plan)
        wait_until("all is delivered", lambda: delivered_behind(got, head) == TURNS, 120)
        wait_until("nothing waits", lambda: not got.execute("select from jobhooks.delivery").fetchall())
        assert daemon.terminate() == 0
    turns = got.execute("select change from public.got where change between %s and %s order by n", [head, head + TURNS])
    first = head if decision == "retry" else head + 1
    assert [number for (number,) in turns] == list(range(first, head + TURNS + 1))


def delivered_behind(conn: Connection, head: int) -> int:
    ((count,),) = conn.execute(
        "select count(*) from public.got where change > %s and change <= %s", [head, head + TURNS]
    ).fetchall()
    return count


@pytest.fixture
def bank(conn: Connection, database: str) -> Generator[Connection]:
    """The client's connection, and the tables of TPC-B, watched; the history has no key."""
    make_got(conn)
    for table, count in (("branches", BRANCHES), ("tellers", TELLERS), ("accounts", ACCOUNTS)):
        conn.execute(f"create table public.{table} (id integer primary key, balance integer)".encode())
        conn.execute(f"insert into public.{table} select i, 0 from generate_series(1, {count}) as i".encode())
    conn.execute("create table public.history (account integer, delta integer)")
    with contextlib.closing(connect(database)) as admin:
        for table in TPCB_TABLES:
            tables.watch(admin, f"public.{table}", keyless=table == "history")
    yield conn
    await_no_session(conn)


def transact(database: str, rng: random.Random) -> None:
    """Run transactions of TPC-B: each changes one row of every table, all of them the only branch."""
    with psycopg.connect(database, autocommit=True) as conn:
        for _ in range(TRANSACTIONS):
            delta, account, teller = rng.randint(1, 5000), rng.randint(1, ACCOUNTS), rng.randint(1, TELLERS)
            with conn.transaction():
                conn.execute("update public.accounts set balance = balance + %s where id = %s", [delta, account])
                conn.execute("update public.tellers set balance = balance + %s where id = %s", [delta, teller])
                conn.execute("update public.branches set balance = balance + %s", [delta])
                conn.execute("insert into public.history values (%s, %s)", [account, delta])


@pytest.mark.timeout(300)
@pytest.mark.parametrize("pair", [("Records", "RecordsNow"), ("Records", "Stumbles")])
def test_the_changes_of_tpc_b_are_delivered_in_order(
    bank: Connection, database: str, receivers: Path, log: Path, pair: tuple[str, str], seed: int
) -> None:
    """One branch, few tellers, many accounts and a table without a key, changed together by several clients."""
    for receiver in pair:
        add_hook(
            database, receivers, f"r.{receiver}", ["create", "update"], *(f"public.{table}" for table in TPCB_TABLES)
        )
    with Daemon(database, receivers, log).await_started() as daemon:
        clients = [
            threading.Thread(target=transact, args=[database, random.Random(seed + number)])
            for number in range(CLIENTS)
        ]
        for client in clients:
            client.start()
        for client in clients:
            client.join()
        wait_until("all is delivered", lambda: all_delivered(bank), 120)
        assert daemon.terminate() == 0 and not daemon.tracebacks()
    assert_once_and_in_order(bank)
