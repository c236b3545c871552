"""The database goes away in every way it can, and comes back: nothing is lost, nothing is done twice, nothing hangs."""

import random
import signal
import threading
import time
from collections.abc import Generator
from contextlib import ExitStack, closing
from pathlib import Path

import psycopg
import pytest

from jobhooks.operations import tables
from jobhooks.schema.install import install
from jobhooks.store.connections import connect
from support.daemon import Daemon, wait_until
from support.hooking import add_hook, write_receivers
from support.postgres.faults import OwnServer, end_sessions, kill_a_worker, own_server

pytestmark = pytest.mark.chaos
# Adds each change's amount to the balance of its account, once: a sum shows missing and repeated changes. One run in
# twenty fails after it has written.
LEDGER = """
import random
from jobhooks import JobHookReceiver

def perhaps_fail(change, attempt):
    if random.Random(f"SEED {change.id} {attempt}").random() < 0.05:
        raise ValueError("at random")

class Ledger(JobHookReceiver):
    class Meta:
        max_attempts, backoff = 100, 0.1
    async def receive_job_hook(self, change):
        row = change.postchange
        await self.connection.execute(
            "update public.balance set amount = amount + $1, last = $2 where account = $3",
            int(row["amount"]), int(row["id"]), int(row["account"]),
        )
        perhaps_fail(change, self.attempt)

class LedgerNow(JobHookReceiver):
    class Meta:
        max_attempts, backoff = 100, 0.1
    def receive_job_hook(self, change):
        row = change.postchange
        self.connection.execute(
            "update public.balance set amount = amount + %s, last = %s where account = %s",
            [row["amount"], row["id"], row["account"]],
        )
        perhaps_fail(change, self.attempt)

class LedgerOfBatches(JobHookReceiver):
    class Meta:
        max_attempts, backoff = 100, 0.1
    async def receive_job_hook_batch(self, changes):
        for change in changes:
            row = change.postchange
            await self.connection.execute(
                "update public.balance set amount = amount + $1, last = $2 where account = $3",
                int(row["amount"]), int(row["id"]), int(row["account"]) + 20,
            )
        perhaps_fail(change, self.attempt)
"""
ACCOUNTS = 10


@pytest.fixture
def server() -> Generator[OwnServer]:
    with own_server() as own:
        own.start()
        prepare(own)
        yield own


def prepare(server: OwnServer) -> None:
    """Install jobhooks, and make the tables."""
    with closing(connect(server.url())) as conn:
        install(conn)
        conn.execute("create table public.device (id bigserial primary key, account integer, amount integer)")
        conn.execute("create table public.balance (account integer primary key, amount bigint, last bigint)")
        conn.execute("insert into public.balance select i, 0, 0 from generate_series(1, 10) as i")
        tables.watch(conn, "public.device")


@pytest.fixture
def receivers(tmp_path: Path, seed: int) -> Path:
    return write_receivers(tmp_path / "receivers", LEDGER.replace("SEED", str(seed)))


@pytest.fixture
def log(tmp_path: Path) -> Path:
    return tmp_path / "daemon.log"


def write(server: OwnServer, count: int = 1) -> None:
    with psycopg.connect(server.url(), autocommit=True) as conn:
        conn.execute(
            "insert into public.device (account, amount) select i %% 10 + 1, i %% 7 from generate_series(1, %s) as i",
            [count],
        )


def is_settled(server: OwnServer) -> bool:
    """Check that each change has one success, the backlog is empty, and the balances are the sums of the changes."""
    with psycopg.connect(server.url()) as conn:
        row = conn.execute(
            "select (select count(*) from public.device),"
            " (select count(*) from jobhooks.job_result where status = 'success'),"
            " (select count(*) from jobhooks.delivery), (select sum(amount) from public.device),"
            " (select sum(amount) from public.balance)"
        ).fetchone()
    assert row is not None
    changes, successes, pending, expected, booked = row
    assert successes <= changes, "something was done twice"
    return successes == changes and not pending and expected == booked


def test_a_database_that_is_not_there_yet_is_waited_for(receivers: Path, log: Path) -> None:
    """As after a boot in which the daemon starts first."""
    with own_server() as server, Daemon(server.url(), receivers, log) as daemon:
        daemon.await_event("database_unreachable", 3)
        assert daemon.process.poll() is None
        # It finds a server without jobhooks then, which waiting does not mend.
        server.start()
        assert daemon.process.wait(20) == 4
        assert "jobhooks install" in daemon.words() and "Traceback" not in daemon.words()


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGQUIT])
def test_a_server_that_is_restarted_is_waited_for(
    server: OwnServer, receivers: Path, log: Path, how: signal.Signals
) -> None:
    """Fast and immediate: as by an administrator, and as by a crash."""
    add_hook(server.url(), receivers, "r.Ledger")
    with Daemon(server.url(), receivers, log).await_started() as daemon:
        write(server, 300)
        server.stop(how)
        daemon.await_event("database_lost")
        server.start()
        write(server, 20)
        wait_until("all is settled", lambda: is_settled(server))
        assert daemon.terminate() == 0
        assert "Traceback" not in daemon.words()


def test_connections_that_are_open_on_our_side_only_are_found_out(
    server: OwnServer, receivers: Path, log: Path
) -> None:
    """A firewall dropped them: no data arrives any more, and no error."""
    proxy = server.proxy()
    add_hook(server.url(), receivers, "r.Ledger")
    with (
        closing(proxy),
        Daemon(
            server.url(proxy.port), receivers, log, JOBHOOKS_POLL_INTERVAL="3600", JOBHOOKS_LEADER_TIMEOUT="4"
        ).await_started() as daemon,
    ):
        write(server, 5)
        wait_until("it delivers", lambda: is_settled(server))
        proxy.swallow()
        write(server, 5)
        daemon.await_event("started", 2)
        wait_until("it delivers again", lambda: is_settled(server))


def test_connections_that_are_cut_are_opened_again(server: OwnServer, receivers: Path, log: Path) -> None:
    proxy = server.proxy()
    add_hook(server.url(), receivers, "r.Ledger")
    with closing(proxy), Daemon(server.url(proxy.port), receivers, log).await_started() as daemon:
        for times in range(2, 5):
            write(server, 50)
            proxy.cut()
            daemon.await_event("started", times)
        wait_until("all is settled", lambda: is_settled(server))


def test_sessions_that_end_in_the_middle_of_a_shared_transaction_lose_and_double_nothing(
    server: OwnServer, receivers: Path, log: Path
) -> None:
    """Short runs commit together: whether they have is looked up for each of them, and who has not runs again."""
    add_hook(server.url(), receivers, "r.Ledger")
    ended: list[object] = []
    with (
        Daemon(server.url(), receivers, log).await_started() as daemon,
        psycopg.connect(server.url(), autocommit=True) as conn,
    ):

        def end_some() -> bool:
            ended.extend(
                conn.execute(
                    "select pg_terminate_backend(pid) from pg_stat_activity"
                    " where application_name = 'jobhooks receiver' and state <> 'idle' and random() < 0.5"
                ).fetchall()
            )
            return len(ended) >= 30

        while not end_some():
            write(server, 100)
        wait_until("all is settled", lambda: is_settled(server), 60)
        assert daemon.terminate() == 0


def test_a_replica_is_refused_until_it_is_promoted(server: OwnServer, receivers: Path, log: Path) -> None:
    """A failover behind one address: the standby answers before it may be written to."""
    add_hook(server.url(), receivers, "r.Ledger")
    write(server, 5)
    proxy = server.proxy()
    with own_server(copy_of=server) as standby, closing(proxy):
        standby.start()
        with Daemon(server.url(proxy.port), receivers, log).await_started() as daemon:
            wait_until("it delivers", lambda: is_settled(server))
            with psycopg.connect(standby.url()) as conn:
                caught_up = "select count(*) from jobhooks.job_result where status = 'success'"  # it fails at random
                wait_until("the standby has it, too", lambda: conn.execute(caught_up).fetchone() == (5,), 60)
                conn.rollback()
            server.stop(signal.SIGQUIT)
            proxy.target = standby.port
            proxy.cut()
            wait_until("it is refused", lambda: "is a replica" in daemon.words())
            with psycopg.connect(standby.url(), autocommit=True) as conn:
                conn.execute("select pg_promote()")
            write(standby, 5)
            wait_until("it delivers there", lambda: is_settled(standby))


def chaos(server: OwnServer, receivers: Path, log: Path, changes: int, seed: int, *, at_least_s: float) -> None:
    """Write while the daemon is killed, its sessions ended, the server restarted, and another daemon stands by."""
    rng = random.Random(seed)
    add_hook(server.url(), receivers, "r.Ledger")
    add_more_hooks(server, receivers)
    done = threading.Event()

    def keep_writing() -> None:
        written = 0
        while written < changes:
            try:
                write(server, 100)
                written += 100
            except psycopg.OperationalError:
                pass  # the server restarts; uncommitted writes are repeated
            done.wait(0.05)
        done.set()

    writer = threading.Thread(target=keep_writing)
    with ExitStack() as stack:
        daemons = [
            stack.enter_context(Daemon(server.url(), receivers, log.with_name(f"{number}.log"), *FAST))
            for number in (1, 2)
        ]
        writer.start()
        started_at = time.monotonic()
        while not done.is_set() or time.monotonic() - started_at < at_least_s:
            done.wait(rng.uniform(0.2, 1.0))
            match rng.randrange(5):
                case 4:
                    kill_a_worker(rng.choice(daemons), rng)
                case 0:
                    number = rng.randrange(2)
                    daemons[number].kill()
                    again = Daemon(server.url(), receivers, log.with_name(f"{time.monotonic()}.log"), *FAST)
                    daemons[number] = stack.enter_context(again)
                case 1:
                    server.stop(rng.choice([signal.SIGINT, signal.SIGQUIT]))
                    server.start()
                case _:
                    end_sessions(server, rng)
        writer.join()
        wait_until("all is settled", lambda: all_are_settled(server), 60 + changes / 50)
        assert not any(daemon.tracebacks() for daemon in daemons)


FAST = ("--log-level", "warning")


def add_more_hooks(server: OwnServer, receivers: Path) -> None:
    """Add other receivers for the same changes, with separate balances: a def one, and one of batches."""
    text = (receivers / "r.py").read_text().replace('row["account"]]', 'row["account"] + 10]')
    (receivers / "r.py").write_text(text)
    with closing(connect(server.url())) as conn:
        conn.execute("insert into public.balance select i, 0, 0 from generate_series(11, 30) as i")
    add_hook(server.url(), receivers, "r.LedgerNow")
    add_hook(server.url(), receivers, "r.LedgerOfBatches")
    with closing(connect(server.url())) as conn:
        conn.execute(
            """update jobhooks.job set overrides = '{"batch_size": 50}' where class_path = 'r.LedgerOfBatches'"""
        )


def all_are_settled(server: OwnServer) -> bool:
    with psycopg.connect(server.url()) as conn:
        count, amount = conn.execute("select count(*), sum(amount) from public.device").fetchall()[0]
        successes = conn.execute(
            "select count(*) from jobhooks.job_result where status = 'success' group by hook_id"
        ).fetchall()
        balances = conn.execute("select sum(amount) from public.balance group by (account - 1) / 10").fetchall()
        pending = conn.execute("select from jobhooks.delivery limit 1").fetchall()
        twice = conn.execute(
            "select change_id, hook_id from jobhooks.job_result where status = 'success'"
            " group by 1, 2 having count(*) > 1"
        ).fetchall()
    assert not twice
    return not pending and successes == [(count,)] * 3 and balances == [(amount,)] * 3


def test_the_ledger_is_exact_whatever_is_killed(server: OwnServer, receivers: Path, log: Path, seed: int) -> None:
    """Exactly once in the database, by async def and def receivers: each delivery has one success, no amount is off."""
    chaos(server, receivers, log, 600, seed, at_least_s=3)


@pytest.mark.nightly
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("turn", range(3))
def test_the_ledger_is_exact_at_length(server: OwnServer, receivers: Path, log: Path, seed: int, turn: int) -> None:
    chaos(server, receivers, log, 20_000, seed, at_least_s=5)
