"""The daemon's memory is bounded by bytes, not only by the number of changes."""

import re
from pathlib import Path

import pytest

from conftest import Connection
from support.daemon import Daemon, wait_until
from support.delivering import read_by_others, settled
from support.hooking import add_hook, write_receivers

RECEIVERS = """
import asyncio
from pathlib import Path
from jobhooks import JobHookReceiver

class Waits(JobHookReceiver):
    class Meta:
        concurrency = 1
    async def receive_job_hook(self, change):
        while not Path("go on").exists():
            Path("runs").touch()
            await asyncio.sleep(0.01)

class Sees(JobHookReceiver):
    async def receive_job_hook(self, change):
        pass

class Fails(JobHookReceiver):
    class Meta:
        concurrency, backoff = 1, 0.01
    async def receive_job_hook(self, change):
        if not Path("go on").exists():
            raise ValueError("not yet")
"""
pytestmark = pytest.mark.nightly  # it takes hundreds of megabytes, and their time

ROWS = 50
MEGABYTES = 4  # a row, as JSON
AT_MOST = 200  # megabytes: a daemon has 70 when it does nothing, and reads 64 ahead


def megabytes_at_most(daemon: Daemon) -> int:
    found = re.search(r"VmHWM:\s+(\d+) kB", Path(f"/proc/{daemon.process.pid}/status").read_text())
    assert found is not None
    return int(found[1]) // 1000


def all_is_idle(conn: Connection) -> bool:
    """Return whether no session of the daemon has done anything for half a second."""
    query = (
        "select from pg_stat_activity where application_name = 'jobhooks' and backend_type = 'client backend'"
        " and query !~* 'notify' and (state = 'active' or state_change > clock_timestamp() - interval '0.5 s')"
    )
    return not conn.execute(query.encode()).fetchall()


@pytest.fixture
def receivers(tmp_path: Path) -> Path:
    return write_receivers(tmp_path / "receivers", RECEIVERS)


def insert_huge_rows(conn: Connection) -> None:
    conn.execute(
        "insert into public.device (serial) select text from generate_series(1, %s),"
        " (select string_agg(md5(i::text), '') as text from generate_series(1, %s) as i) as large",
        [ROWS, MEGABYTES * 1_000_000 // 32],
    )


def test_huge_rows_are_read_ahead_in_small_numbers(seen: Connection, database: str, receivers: Path, log: Path) -> None:
    add_hook(database, receivers, "r.Waits", ["create"])
    insert_huge_rows(seen)
    with Daemon(database, receivers, log) as daemon:
        wait_until("it runs", lambda: (receivers / "runs").exists())
        wait_until("it reads no more", lambda: all_is_idle(seen))
        (receivers / "go on").touch()
        wait_until("all is settled", settled(seen, ROWS), 60)
        assert megabytes_at_most(daemon) < AT_MOST


def test_a_hook_that_reads_alone_reads_huge_rows_ahead_in_small_numbers(
    seen: Connection, database: str, receivers: Path, log: Path
) -> None:
    """It left the others, which are past these rows."""
    add_hook(database, receivers, "r.Waits", ["create"])
    add_hook(database, receivers, "r.Sees", ["create"])
    insert_huge_rows(seen)
    with Daemon(database, receivers, log) as daemon:
        wait_until("it runs", lambda: (receivers / "runs").exists())
        wait_until("it reads alone", read_by_others(seen))
        wait_until("it reads no more", lambda: all_is_idle(seen))
        (receivers / "go on").touch()
        wait_until("all is settled", settled(seen, 2 * ROWS), 60)
        assert megabytes_at_most(daemon) < AT_MOST


def test_huge_rows_that_are_due_are_taken_up_in_small_numbers(
    seen: Connection, database: str, receivers: Path, log: Path
) -> None:
    add_hook(database, receivers, "r.Fails", ["create"])
    insert_huge_rows(seen)
    with Daemon(database, receivers, log) as daemon:
        parked = "select count(*) from jobhooks.delivery"
        wait_until("all are parked", lambda: seen.execute(parked).fetchall() == [(ROWS,)])
        daemon.kill()
    (receivers / "go on").touch()
    seen.execute("update jobhooks.delivery set due_at = now()")
    with Daemon(database, receivers, log.with_name("again")) as daemon:
        wait_until("all is settled", settled(seen, ROWS), 60)
        assert megabytes_at_most(daemon) < AT_MOST
