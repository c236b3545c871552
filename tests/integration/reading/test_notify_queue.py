"""The server's queue of NOTIFYs: if a session does not read it, no commit fails, and no change waits for that session.

The queue is small here, and belongs to the whole server. The poll interval is an hour, so that nothing reads the log
without a wake-up.
"""

import contextlib
import signal
from collections.abc import Generator
from pathlib import Path

import psycopg
import pytest

from conftest import Connection
from jobhooks.operations import tables
from jobhooks.schema.install import install
from jobhooks.store.connections import connect
from support.daemon import Daemon, wait_until
from support.hooking import add_hook, write_receivers
from support.postgres.faults import own_server
from support.postgres.servers import Server

pytestmark = [pytest.mark.chaos]
RECEIVERS = """
from jobhooks import JobHookReceiver

class Counts(JobHookReceiver):
    async def receive_job_hook(self, change):
        pass
"""
SLEEPS = "select from pg_locks where locktype = 'advisory' and objid = 2 and mode = 'ExclusiveLock' and granted"
USAGE = "select pg_notification_queue_usage()"
# In pages of 8 kB, of which the queue has 64.
FILL = "select pg_notify('of others', repeat('x', 7000) || i) from generate_series(1, %s) as i"
WRITE = "insert into public.device (name) values ('d')"


@pytest.fixture
def conn(server: Server) -> Generator[Connection]:
    """A connection to a separate server, whose queue takes some 19,000 NOTIFYs; ``public.device`` is watched."""
    with psycopg.connect(server.admin_url) as other:
        can_be_small = other.info.server_version >= 170000
    with own_server() if not can_be_small else own_server(max_notify_queue_pages="64") as own:
        own.start()
        with contextlib.closing(connect(own.url())) as admin:
            install(admin)
            admin.execute("create table public.device (id bigserial primary key, name text)")
            tables.watch(admin, "public.device")
        with psycopg.connect(own.url(), autocommit=True) as client:
            yield client


def need_small_queue(conn: Connection) -> None:
    if conn.info.server_version < 170000:
        pytest.skip("before PostgreSQL 17 the queue has 8 GB")


@contextlib.contextmanager
def crowding(conn: Connection, pages: int) -> Generator[None]:
    """Fill the queue: a session that listens keeps a transaction open until the end of the block."""
    need_small_queue(conn)
    with psycopg.connect(conn.info.dsn, autocommit=True) as stuck:
        stuck.execute("listen others")
        stuck.execute("begin")
        conn.execute(FILL, [pages])
        yield


def results(conn: Connection) -> int:
    (count,) = conn.execute("select count(*) from jobhooks.job_result").fetchone() or (0,)
    return count


def await_delivered(conn: Connection, count: int) -> None:
    wait_until(f"{count} changes are delivered", lambda: results(conn) == count)


def await_sleep(conn: Connection) -> None:
    wait_until("the daemon sleeps", lambda: conn.execute(SLEEPS).fetchone() is not None)


def test_a_full_queue_fails_no_commit(conn: Connection) -> None:
    """A statement that succeeds without capture must succeed with it. The doctor says why the queue is full."""
    with psycopg.connect(conn.info.dsn, autocommit=True) as daemon, crowding(conn, 61):
        daemon.execute("select pg_advisory_lock(1785684584, 2)")
        with pytest.raises(psycopg.errors.ProgramLimitExceeded):
            conn.execute(FILL, [5])
        conn.execute(WRITE)
        problems = conn.execute("select severity from jobhooks.problems() where subject = 'server'").fetchall()
        assert problems == [("warning",)]
    assert conn.execute("select count(*) from jobhooks.object_change").fetchone() == (1,)


def test_writers_use_a_quarter_of_the_queue(conn: Connection) -> None:
    """The rest is for others, although nobody reads: a daemon that sleeps and is stopped, for example."""
    need_small_queue(conn)
    with psycopg.connect(conn.info.dsn, autocommit=True) as stuck:
        stuck.execute("listen jobhooks")
        stuck.execute("select pg_advisory_lock(1785684584, 2)")
        stuck.execute("begin")
        conn.execute("do $$ begin for i in 1..8000 loop " + WRITE + "; commit; end loop; end $$")
        assert 0.2 < (conn.execute(USAGE).fetchone() or (0,))[0] < 0.3
        conn.execute(FILL, [32])
    assert conn.execute("select count(*) from jobhooks.object_change").fetchone() == (8000,)


def test_changes_are_delivered_while_the_queue_is_crowded_and_after(conn: Connection, tmp_path: Path) -> None:
    """The daemon goes on without NOTIFYs, and finds a change whose writer sent none and commits late."""
    receivers = write_receivers(tmp_path / "receivers", RECEIVERS)
    database = conn.info.dsn
    add_hook(database, receivers, "r.Counts", ["create"])
    with Daemon(database, receivers, tmp_path / "log", JOBHOOKS_POLL_INTERVAL="3600").await_started():
        await_sleep(conn)
        with psycopg.connect(database) as late:
            with crowding(conn, 30):
                conn.execute(WRITE)
                late.execute(WRITE)
                await_delivered(conn, 1)
                wait_until("it is awake", lambda: conn.execute(SLEEPS).fetchone() is None)
                conn.execute(WRITE)
                await_delivered(conn, 2)
            late.commit()
            await_delivered(conn, 3)
        await_sleep(conn)
        with psycopg.connect(database) as late:
            # In a moment between two heartbeats, perhaps: the daemon may never know that the queue was crowded.
            with crowding(conn, 30):
                late.execute(WRITE)
            await_sleep(conn)
            late.commit()
            await_delivered(conn, 4)
        await_sleep(conn)
        conn.execute(WRITE)
        await_delivered(conn, 5)


def test_a_stopped_daemon_loses_the_lock_that_makes_writers_wake_it(conn: Connection, tmp_path: Path) -> None:
    """Without a standby. When it continues, it delivers everything, and is woken again."""
    receivers = write_receivers(tmp_path / "receivers", RECEIVERS)
    database = conn.info.dsn
    add_hook(database, receivers, "r.Counts", ["create"])
    settings = {"JOBHOOKS_POLL_INTERVAL": "3600", "JOBHOOKS_LEADER_TIMEOUT": "2"}
    with Daemon(database, receivers, tmp_path / "log", **settings).await_started() as daemon:
        await_sleep(conn)
        daemon.process.send_signal(signal.SIGSTOP)
        try:
            conn.execute(WRITE)
            wait_until("the server ends its session", lambda: conn.execute(SLEEPS).fetchone() is None)
            before = conn.execute(USAGE).fetchone()
            conn.execute("do $$ begin for i in 1..3000 loop " + WRITE + "; commit; end loop; end $$")
            assert conn.execute(USAGE).fetchone() == before
        finally:
            daemon.process.send_signal(signal.SIGCONT)
        await_delivered(conn, 3001)
        await_sleep(conn)
        conn.execute(WRITE)
        await_delivered(conn, 3002)
        assert daemon.terminate() == 0
