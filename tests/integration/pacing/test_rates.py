"""Hooks with a rate, in the daemon: which deliveries wait, and which state survives a restart."""

from pathlib import Path

import pytest

from conftest import Connection
from support.daemon import Daemon, wait_until
from support.delivering import backlog
from support.hooking import add_hook, write_receivers

RECEIVERS = """
from jobhooks import JobHookReceiver

class Counts(JobHookReceiver):
    class Meta:
        backoff = 0.01
        concurrency = 4
    async def receive_job_hook(self, change):
        name = change.postchange["name"]
        await self.connection.execute(
            "insert into public.seen (receiver, object, value) values ('Counts', $1, $2)", change.postchange["id"], name
        )
        if name == "bad" and self.attempt == 1:
            raise ValueError("at first")

class Other(JobHookReceiver):
    async def receive_job_hook(self, change):
        pass
"""


@pytest.fixture
def receivers(tmp_path: Path) -> Path:
    return write_receivers(tmp_path / "receivers", RECEIVERS)


def hook_paced(conn: Connection, database: str, receivers: Path, rate: str, per: list[str] | None = None) -> None:
    add_hook(database, receivers, "r.Counts")
    set_rate(conn, rate, per or [])


def set_rate(conn: Connection, rate: str, per: list[str]) -> None:
    conn.execute("update jobhooks.job_hook set rate = %s, rate_per = %s where id = 1", [rate, per])


def results(conn: Connection, hook_id: int) -> int:
    row = conn.execute("select count(*) from jobhooks.job_result where hook_id = %s", [hook_id]).fetchone()
    assert row is not None
    return row[0]


def used(conn: Connection) -> int:
    row = conn.execute("select count(*) from jobhooks.rate_bucket where full_at > now()").fetchone()
    assert row is not None
    return row[0]


def seen_names(conn: Connection) -> list[str]:
    return [row[0] for row in conn.execute("select value from public.seen order by n").fetchall()]


def test_a_hook_that_waits_for_its_rate_writes_nothing_and_delays_no_other(
    seen: Connection, database: str, receivers: Path, log: Path
) -> None:
    """It keeps its position in the log. A daemon that takes over keeps to the rate."""
    hook_paced(seen, database, receivers, "1/day")
    add_hook(database, receivers, "r.Other")
    with Daemon(database, receivers, log) as daemon:
        seen.execute("insert into public.device (name) select 'x' from generate_series(1, 5000)")
        wait_until("the other hook has all", lambda: results(seen, 2) == 5000)
        wait_until("what is used is saved", lambda: used(seen) == 1)
        assert (results(seen, 1), backlog(seen)) == (1, [])
        shown = seen.execute("select keys, next_at > now() + interval '23 h' from jobhooks.rate_waits(1)").fetchone()
        assert shown == (1, True)
        daemon.kill()
    with Daemon(database, receivers, log.with_name("again")):
        seen.execute("insert into public.device (name) values ('y')")
        wait_until("the other hook has it", lambda: results(seen, 2) == 5001)
        assert (results(seen, 1), backlog(seen)) == (1, [])
        set_rate(seen, "", [])
        wait_until("all is delivered", lambda: results(seen, 1) == 5001)
    assert len(seen_names(seen)) == 5001


def test_a_key_with_thousands_of_changes_delays_no_other_key(
    seen: Connection, database: str, receivers: Path, log: Path
) -> None:
    """They have rows with their turns, so the changes behind them are read."""
    hook_paced(seen, database, receivers, "1/day", ["name"])
    with Daemon(database, receivers, log):
        seen.execute("insert into public.device (name) select 'a' from generate_series(1, 10000)")
        seen.execute("insert into public.device (name) values ('b'), ('b')")
        wait_until("each key has run once", lambda: len(seen_names(seen)) == 2)
        assert seen_names(seen) == ["a", "b"]
        wait_until("the rest has rows", lambda: len(backlog(seen)) == 10_000)
        turns = "select extract(day from max(due_at) - now())::integer from jobhooks.delivery"
        assert seen.execute(turns).fetchone() == (9999,) or seen.execute(turns).fetchone() == (9998,)
        set_rate(seen, "10000/s", ["name"])
        wait_until("all is delivered", lambda: len(seen_names(seen)) == 10_002)
        wait_until("no row is left", lambda: not backlog(seen))


def test_an_attempt_after_a_failure_counts(seen: Connection, database: str, receivers: Path, log: Path) -> None:
    hook_paced(seen, database, receivers, "1/day")
    add_hook(database, receivers, "r.Other")
    with Daemon(database, receivers, log):
        seen.execute("insert into public.device (name) values ('bad')")
        wait_until("it has failed", lambda: results(seen, 1) == 1)
        wait_until("it is due", lambda: seen.execute("select from jobhooks.delivery where due_at < now()").fetchall())
        seen.execute("insert into public.device (name) values ('good')")
        wait_until("the other hook goes on", lambda: results(seen, 2) == 2)
        assert results(seen, 1) == 1
        set_rate(seen, "", [])
        wait_until("both are delivered", lambda: results(seen, 1) == 3)
    found = seen.execute(
        "select status from jobhooks.job_result where hook_id = 1 order by change_id, attempt"
    ).fetchall()
    assert [row[0] for row in found] == ["failure", "success", "success"]


def test_the_changes_of_an_object_come_in_order_at_a_rate(
    seen: Connection, database: str, receivers: Path, log: Path
) -> None:
    """Some wait in memory, and some in the backlog."""
    hook_paced(seen, database, receivers, "20/s", ["object"])
    with Daemon(database, receivers, log):
        seen.execute("insert into public.device (name) values ('0'), ('0')")
        for number in range(1, 60):
            seen.execute("update public.device set name = %s", [str(number)])
        wait_until("all is delivered", lambda: len(seen_names(seen)) == 120)
    for device in (1, 2):
        names = seen.execute("select value from public.seen where object = %s order by n", [device]).fetchall()
        assert [row[0] for row in names] == [str(number) for number in range(60)]
