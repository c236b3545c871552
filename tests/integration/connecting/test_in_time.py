"""The time until the daemon works again after a fault; nightly, because a busy machine has other times."""

import signal
import statistics
import time
from collections.abc import Generator
from contextlib import closing
from functools import partial
from pathlib import Path

import psycopg
import pytest

from conftest import Connection
from jobhooks.operations import tables
from jobhooks.schema.install import install
from jobhooks.store.connections import connect
from support.daemon import Daemon, wait_until
from support.delivering import seen_by, write
from support.hooking import add_hook
from support.postgres.faults import OwnServer, own_server

pytestmark = [pytest.mark.nightly, pytest.mark.timeout(600)]

BACK_S = 5.0  # within this time it delivers again after the database is back
TAKEN_OVER_S = 2.0  # within this time a standby delivers after the leader's death
TIMES = 3


@pytest.fixture
def own() -> Generator[OwnServer]:
    with own_server() as server:
        server.start()
        with closing(connect(server.url())) as conn:
            install(conn)
            conn.execute("create table public.device (id bigserial primary key, name text, serial text)")
            conn.execute("create table public.seen (n bigserial, receiver text, object bigint, value text, word text)")
            tables.watch(conn, "public.device")
        yield server


def insert(server: OwnServer) -> int:
    """Insert a device and return its id. It does not wait for the disk, so a server that crashes may lose it."""
    with psycopg.connect(server.url(), autocommit=True) as conn:
        ((device,),) = conn.execute(
            "insert into public.device (name, serial) values ('x', '1') returning id"
        ).fetchall()
    return device


def is_seen(server: OwnServer, device: int) -> bool:
    with psycopg.connect(server.url(), autocommit=True) as conn:
        return bool(conn.execute("select from public.seen where object = %s", [device]).fetchall())


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGQUIT])
@pytest.mark.parametrize("down_s", [0.5, 8.0])
def test_it_delivers_soon_after_a_server_is_back(
    own: OwnServer, receivers: Path, log: Path, how: signal.Signals, down_s: float
) -> None:
    """By itself, however long it was away."""
    add_hook(own.url(), receivers, "r.Sees")
    with Daemon(own.url(), receivers, log).await_started():
        for _ in range(TIMES):
            own.stop(how)
            time.sleep(down_s)  # this long it is away
            own.start()
            device = insert(own)
            wait_until("it delivers", partial(is_seen, own, device), BACK_S)


def test_it_delivers_soon_after_a_server_came_up_later_than_it(own: OwnServer, receivers: Path, log: Path) -> None:
    add_hook(own.url(), receivers, "r.Sees")
    own.stop()
    with Daemon(own.url(), receivers, log) as daemon:
        daemon.await_event("database_unreachable", 5)
        own.start()
        device = insert(own)
        wait_until("it delivers", partial(is_seen, own, device), BACK_S)


def test_it_delivers_soon_after_connections_were_cut(own: OwnServer, receivers: Path, log: Path) -> None:
    proxy = own.proxy()
    add_hook(own.url(), receivers, "r.Sees")
    with closing(proxy), Daemon(own.url(proxy.port), receivers, log).await_started():
        for _ in range(TIMES):
            proxy.cut()
            device = insert(own)
            wait_until("it delivers", partial(is_seen, own, device), BACK_S)


def test_it_delivers_soon_after_a_failover(own: OwnServer, receivers: Path, log: Path) -> None:
    """From the moment the standby accepts writes."""
    proxy = own.proxy()
    add_hook(own.url(), receivers, "r.Sees")
    with own_server(copy_of=own) as standby, closing(proxy):
        standby.start()
        with Daemon(own.url(proxy.port), receivers, log).await_started():
            own.stop(signal.SIGQUIT)
            proxy.target = standby.port
            proxy.cut()
            with psycopg.connect(standby.url(), autocommit=True) as conn:
                conn.execute("select pg_promote()")
            device = insert(standby)
            wait_until("it delivers", partial(is_seen, standby, device), BACK_S)


def test_a_standby_takes_over_soon_from_a_leader_that_is_killed(
    own: OwnServer, receivers: Path, log: Path, tmp_path: Path
) -> None:
    add_hook(own.url(), receivers, "r.Sees")
    with Daemon(own.url(), receivers, log).await_started() as first:
        leader = first
        for turn in range(TIMES):
            with Daemon(own.url(), receivers, tmp_path / f"{turn}.log") as standby:
                standby.await_event("standing_by")
                leader.kill()
                device = insert(own)
                wait_until("the other delivers", partial(is_seen, own, device), TAKEN_OVER_S)
                standby.kill()
            leader = Daemon(own.url(), receivers, tmp_path / f"leader-{turn}.log").await_started()
        leader.kill()


@pytest.mark.parametrize("farewell", [True, False])
def test_a_standby_takes_over_from_a_leader_whose_machine_has_vanished(
    own: OwnServer, receivers: Path, log: Path, tmp_path: Path, farewell: bool
) -> None:
    """No more data arrives from it, and possibly not even the closing of its connections."""
    proxy = own.proxy(swallows_ends=not farewell)
    timeout = {"JOBHOOKS_LEADER_TIMEOUT": "3"}
    add_hook(own.url(), receivers, "r.Sees")
    with (
        closing(proxy),
        Daemon(own.url(proxy.port), receivers, log, **timeout).await_started(),
        Daemon(own.url(), receivers, tmp_path / "standby.log", **timeout) as standby,
    ):
        standby.await_event("standing_by")
        proxy.swallow()
        device = insert(own)
        wait_until("the other delivers", partial(is_seen, own, device), 3 + TAKEN_OVER_S)


def test_a_slow_hook_does_not_make_another_slower(seen: Connection, database: str, receivers: Path, log: Path) -> None:
    """A receiver that sleeps for a second for each change beside one that does not: from INSERT to its row."""
    add_hook(database, receivers, "r.Sees", ["create"])
    with Daemon(database, receivers, log).await_started():
        alone = [_latency(seen, turn) for turn in range(100)]
        add_hook(database, receivers, "r.Sleeps", ["create"])
        seen.execute("insert into public.device (name, serial) select 'x', '-1' from generate_series(1, 50)")
        wait_until("all of these are seen", lambda: len(seen_by(seen, "Sees")) == 150)
        beside = [_latency(seen, turn) for turn in range(100, 200)]
    assert statistics.median(beside) < 2 * statistics.median(alone) + 0.005
    assert statistics.quantiles(beside, n=20)[-1] < 2 * statistics.quantiles(alone, n=20)[-1] + 0.05


def _latency(conn: Connection, turn: int) -> float:
    began = time.monotonic()
    number = write(conn, "x", turn)
    look = "select from public.seen where receiver = 'Sees' and object = %s"
    wait_until("it is seen", lambda: conn.execute(look, [number]).fetchone() is not None)
    return time.monotonic() - began
