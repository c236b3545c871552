"""The connections of daemons and receivers: no endless wait, no leak, no connection used by two."""

import asyncio
import signal
from collections.abc import Generator
from contextlib import closing
from pathlib import Path

import psycopg
import pytest

from conftest import Connection
from jobhooks.contract.control import TimeLimitExceeded
from jobhooks.contract.run import DeliveryIdentity
from jobhooks.engine.running.in_loop.limits import Limited
from jobhooks.engine.running.in_loop.pool import Connections
from jobhooks.engine.running.in_loop.transaction import RunTransaction, end_transaction
from jobhooks.operations import tables
from jobhooks.schema.install import install
from jobhooks.store.connections import asyncpg_arguments, connect
from support.daemon import Daemon, wait_until
from support.delivering import RECEIVERS as SHARED, make_seen, seen_by, settled, statuses, write
from support.hooking import add_hook, write_receivers
from support.postgres.faults import OwnServer, own_server

pytestmark = pytest.mark.chaos
RECEIVERS = (
    SHARED
    + """
class Stubborn(JobHookReceiver):
    async def receive_job_hook(self, change):
        while change.postchange["name"] == "stubborn" and not Path("go on").exists():
            Path("runs").touch()
            try:
                await asyncio.sleep(0.1)
            except asyncio.CancelledError:
                pass

class Forgets(JobHookReceiver):
    # Leaves a task behind that uses the connection when its run has ended.
    left = set()
    async def receive_job_hook(self, change):
        self.left.add(asyncio.create_task(self.do_later(change)))
    async def do_later(self, change):
        while not Path("go on").exists():
            await asyncio.sleep(0.01)
        try:
            await see(self, change, "forgotten")
        except Exception as exc:
            with Path("refused").open("a") as refused:
                refused.write(f"{exc}\\n")
"""
)


@pytest.fixture
def receivers(tmp_path: Path) -> Path:
    return write_receivers(tmp_path / "receivers", RECEIVERS)


@pytest.fixture
def own() -> Generator[OwnServer]:
    """A server with ``public.device`` and the tables of the receivers."""
    with own_server() as server:
        server.start()
        with closing(connect(server.url())) as conn:
            install(conn)
            conn.execute("create table public.device (id bigserial primary key, name text, serial text)")
            tables.watch(conn, "public.device")
            make_seen(conn)
        yield server


@pytest.mark.parametrize("swallows_ends", [False, True])
def test_a_run_on_a_connection_that_is_open_on_our_side_only_holds_nobody_up(
    own: OwnServer, receivers: Path, log: Path, swallows_ends: bool
) -> None:
    """Its transaction can be neither committed nor rolled back, and possibly the connection cannot be closed."""
    proxy = own.proxy(swallows_ends=swallows_ends)
    add_hook(own.url(), receivers, "r.Waits")
    with (
        closing(proxy),
        psycopg.connect(own.url(), autocommit=True) as conn,
        Daemon(own.url(proxy.port), receivers, log, JOBHOOKS_LEADER_TIMEOUT="4").await_started(),
    ):
        held = write(conn, "waits", 1)
        wait_until("it runs", (receivers / "runs").exists)
        proxy.swallow()
        (receivers / "runs").unlink()
        other = write(conn, "other", 2)
        wait_until("others are delivered", lambda: seen_by(conn, "Waits") == [(other, "2")], 60)
        wait_until("it runs again", (receivers / "runs").exists)
        (receivers / "go on").touch()
        wait_until("all is settled", settled(conn, 2), 60)
        assert seen_by(conn, "Waits") == [(other, "2"), (held, "1")]
        assert statuses(conn) == [(1, 1, "success"), (2, 1, "success")]


def test_a_time_limit_that_passes_while_a_transaction_is_begun_loses_no_connection(own: OwnServer) -> None:
    """A receiver has few of them: each that got lost would be missed until the daemon ends."""
    proxy = own.proxy()

    async def work() -> None:
        with closing(connect(own.url(proxy.port))) as conn:
            connections = Connections(asyncpg_arguments(conn), 2)
        idle = [await connections.acquire("m.C"), await connections.acquire("m.C")]
        for each in idle:
            await connections.release("m.C", each)
        proxy.swallow()
        for _ in idle:
            transaction = RunTransaction(connections, "m.C", DeliveryIdentity(1, 1, 1))
            with pytest.raises(TimeLimitExceeded):
                await Limited(transaction.open(), "m.C", None, 0.2).run()
            await end_transaction(transaction)
        for number in (1, 2):
            async with asyncio.timeout(30):
                opened = await RunTransaction(connections, "m.C", DeliveryIdentity(number, 1, 1)).open()
                assert await opened.fetchval("select 1") == 1
        connections.terminate()

    with closing(proxy):
        asyncio.run(work())


def test_a_replica_is_waited_for_until_it_is_promoted(own: OwnServer, receivers: Path, log: Path) -> None:
    """For a daemon that starts before the failover: it logs the reason for its wait."""
    add_hook(own.url(), receivers, "r.Sees")
    with own_server(copy_of=own) as standby:
        standby.start()
        with Daemon(standby.url(), receivers, log) as daemon:
            wait_until("it says so", lambda: "the database is a replica" in daemon.words())
            assert daemon.process.poll() is None
            with psycopg.connect(standby.url(), autocommit=True) as conn:
                conn.execute("select pg_promote()")
                daemon.await_started()
                one = write(conn, "d", 1)
                wait_until("it delivers there", lambda: seen_by(conn, "Sees") == [(one, "1")])
            assert daemon.terminate() == 0


def test_a_daemon_with_two_hosts_follows_a_failover(own: OwnServer, receivers: Path, log: Path) -> None:
    """The old primary is gone, and the other host is promoted when the daemon has waited for a while."""
    add_hook(own.url(), receivers, "r.Sees", ["create"])
    add_hook(own.url(), receivers, "r.SeesNow", ["create"])
    with own_server(copy_of=own) as standby:
        standby.start()
        both = f"host=127.0.0.1,127.0.0.1 port={own.port},{standby.port} user=postgres dbname=postgres"
        with Daemon(both, receivers, log).await_started() as daemon:
            with psycopg.connect(own.url(), autocommit=True) as conn:
                write(conn, "d", 1)
                wait_until("it delivers", settled(conn, 2))
                (position,) = conn.execute("select pg_current_wal_lsn()").fetchone() or ("",)
            with psycopg.connect(standby.url(), autocommit=True) as conn:
                replayed = "select pg_last_wal_replay_lsn() >= %s::pg_lsn"
                wait_until("the standby has it", lambda: conn.execute(replayed, [position]).fetchone() == (True,))
                own.stop(signal.SIGQUIT)
                daemon.await_event("database_lost", 6)  # the waits have grown
                conn.execute("select pg_promote()")
                write(conn, "d", 2)
                wait_until("it delivers there", settled(conn, 4), 5)
                assert [value for _, value in seen_by(conn, "Sees")] == ["1", "2"]
                assert [value for _, value in seen_by(conn, "SeesNow")] == ["1", "2"]
            assert daemon.terminate() == 0


def test_with_a_replica_first_the_primary_is_found(own: OwnServer, receivers: Path, log: Path) -> None:
    add_hook(own.url(), receivers, "r.Sees", ["create"])
    with own_server(copy_of=own) as standby:
        standby.start()
        both = f"host=127.0.0.1,127.0.0.1 port={standby.port},{own.port} user=postgres dbname=postgres"
        with Daemon(both, receivers, log).await_started(), psycopg.connect(own.url(), autocommit=True) as conn:
            one = write(conn, "d", 1)
            wait_until("it delivers", lambda: seen_by(conn, "Sees") == [(one, "1")])
        own.stop()
        with connect(both) as conn:  # for a command that reads, a replica is better than nothing
            assert conn.execute("select pg_is_in_recovery()").fetchone() == (True,)


def test_a_receiver_that_will_not_be_cancelled_does_not_hold_up_the_next_session(
    seen: Connection, database: str, receivers: Path, log: Path
) -> None:
    """It swallows the exception that ends it. Its outcome no longer matters: the delivery is repeated."""
    add_hook(database, receivers, "r.Stubborn", ["create"])
    with Daemon(database, receivers, log).await_started() as daemon:
        write(seen, "stubborn", 1)
        wait_until("it runs", (receivers / "runs").exists)
        seen.execute(
            "select pg_terminate_backend(pid) from pg_stat_activity"
            " where application_name = 'jobhooks' and datname = current_database()"
        )
        write(seen, "other", 1)
        daemon.await_event("started", 2)
        wait_until("the other is delivered", lambda: statuses(seen) == [(2, 1, "success")])
        (receivers / "go on").touch()
        wait_until("all is settled", settled(seen, 2))
        assert statuses(seen) == [(1, 1, "success"), (2, 1, "success")]
        assert daemon.terminate() == 0


def test_a_start_whose_statement_is_cancelled_begins_again(
    seen: Connection, database: str, receivers: Path, log: Path
) -> None:
    waiting = (
        "select pg_cancel_backend(pid) from pg_stat_activity where application_name = 'jobhooks'"
        " and datname = current_database() and wait_event_type = 'Lock'"
    )
    with psycopg.connect(database) as holder, Daemon(database, receivers, log) as daemon:
        holder.execute("lock table jobhooks.job")
        wait_until("its statement is cancelled", lambda: seen.execute(waiting).fetchall())
        daemon.await_event("statement_interrupted")
        holder.rollback()
        daemon.await_started()
        assert not daemon.events("database_unreachable")


def test_a_standby_whose_statement_is_cancelled_stands_by_again(
    seen: Connection, database: str, receivers: Path, log: Path, tmp_path: Path
) -> None:
    """An administrator takes it for a statement that hangs: it must not end the daemon."""
    add_hook(database, receivers, "r.Sees", ["create"])
    waiting = (
        "select pg_cancel_backend(pid) from pg_stat_activity where application_name = 'jobhooks' and state = 'active'"
        " and datname = current_database() and query like '%wait_for_leader%' and wait_event_type = 'Lock'"
    )
    with (
        Daemon(database, receivers, log).await_started() as first,
        Daemon(database, receivers, tmp_path / "second.log") as second,
    ):
        for times in (1, 2, 3):
            second.await_event("standing_by", times)
            wait_until("it is cancelled", lambda: seen.execute(waiting).fetchall())
            second.await_event("statement_interrupted", times)
        second.await_event("standing_by", 4)
        first.kill()
        second.await_started()
        one = write(seen, "d", 1)
        wait_until("it delivers", lambda: seen_by(seen, "Sees") == [(one, "1")])
        assert second.terminate() == 0


def test_a_connection_that_is_used_after_its_run_has_ended_is_refused(
    seen: Connection, database: str, receivers: Path, log: Path
) -> None:
    """Such writes would belong to no transaction, or to another run's, and the connection would never be returned."""
    add_hook(database, receivers, "r.Forgets", ["create"])
    with Daemon(database, receivers, log).await_started():
        for number in range(12):
            write(seen, "d", number)
        wait_until("all runs have ended", settled(seen, 12))
        (receivers / "go on").touch()
        refused = receivers / "refused"
        wait_until("all tasks have", lambda: refused.exists() and refused.read_text().count("\n") == 12)
        assert len(set(refused.read_text().splitlines())) == 1
        left = (
            "select from pg_stat_activity where application_name = 'jobhooks receiver' and state like '%transaction%'"
        )
        assert seen.execute(left).fetchall() == []
        add_hook(database, receivers, "r.Sees", ["create"])
        one = write(seen, "d", 12)
        wait_until("others have connections", lambda: seen_by(seen, "Sees") == [(one, "12")])
    assert seen_by(seen, "Forgets") == []
