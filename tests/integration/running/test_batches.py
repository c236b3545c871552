"""Receivers that take many changes in one call: the number, the order, and batches that fail."""

import contextlib
import json
from collections.abc import Callable, Generator
from pathlib import Path

import pytest

from conftest import Connection
from support.daemon import Daemon, wait_until
from support.delivering import backlog, read_to_the_end, reads_alone, settled, statuses, write
from support.hooking import add_hook, write_receivers

RECEIVERS = """
import asyncio
from pathlib import Path
from jobhooks import JobHookReceiver

SEE = "insert into public.seen (receiver, object, value, word) values "

class Batches(JobHookReceiver):
    async def receive_job_hook_batch(self, changes):
        for change in changes:
            row = change.postchange
            await self.connection.execute(
                SEE + "('Batches', $1, $2, $3)", row["id"], row["serial"], str(len(changes))
            )
        self.log_info(f"{len(changes)} changes")
        if any(change.postchange["name"] == "bad" for change in changes):
            raise ValueError("one is bad")
        if any(change.postchange["name"] == "poor" for change in changes):
            self.log_failure("one is poor")

class BatchesNow(JobHookReceiver):
    def receive_job_hook_batch(self, changes):
        for change in changes:
            row = change.postchange
            self.connection.execute(
                SEE + "('Batches', %s, %s, %s)", [row["id"], row["serial"], str(len(changes))]
            )
        self.log_info(f"{len(changes)} changes")
        if any(change.postchange["name"] == "bad" for change in changes):
            raise ValueError("one is bad")
        if any(change.postchange["name"] == "poor" for change in changes):
            self.log_failure("one is poor")

class Holds(JobHookReceiver):
    async def receive_job_hook_batch(self, changes):
        Path("runs").touch()
        while not Path("go on").exists():
            await asyncio.sleep(0.01)
        if len(changes) > 1:
            raise ValueError("not together")

class Sees(JobHookReceiver):
    async def receive_job_hook(self, change):
        await self.connection.execute(SEE + "('Sees', 0, '', '')")

class Idle(JobHookReceiver):
    async def receive_job_hook_batch(self, changes):
        self.log_info(" ".join(self.idempotency_key_of(change) for change in changes))

class IdleNow(JobHookReceiver):
    def receive_job_hook_batch(self, changes):
        self.log_info(" ".join(self.idempotency_key_of(change) for change in changes))
"""
EITHER = pytest.mark.parametrize("receiver", ["Batches", "BatchesNow"])


@pytest.fixture
def receivers(tmp_path: Path) -> Path:
    return write_receivers(tmp_path / "receivers", RECEIVERS)


def hook_batches(conn: Connection, database: str, receivers: Path, receiver: str, **said: object) -> None:
    add_hook(database, receivers, f"r.{receiver}")
    said = {"batch_size": 10, "concurrency": 1, "max_attempts": 1, **said}
    conn.execute("update jobhooks.job set overrides = %s where class_path = %s", [json.dumps(said), f"r.{receiver}"])


def settled_by(conn: Connection, job: str, count: int) -> Callable[[], bool]:
    """Make a condition: the job has that number of results."""
    query = "select count(*) = %s from jobhooks.results where job = %s"

    def look() -> bool:
        row = conn.execute(query, [count, job]).fetchone()
        return row == (True,)

    return look


def calls(conn: Connection) -> list[tuple[int, int]]:
    """List the sizes of the calls and the rows written in them, in order."""
    rows = conn.execute(
        "select word::int, count(*) from public.seen where word <> '' group by 1 order by min(n)"
    ).fetchall()
    return [(size, count) for size, count in rows]


@EITHER
def test_a_call_gets_what_is_there_up_to_the_size_of_a_batch(
    seen: Connection, database: str, receivers: Path, log: Path, receiver: str
) -> None:
    hook_batches(seen, database, receivers, receiver)
    seen.execute("insert into public.device (serial) select i::text from generate_series(1, 25) as i")
    with Daemon(database, receivers, log):
        wait_until("all is settled", settled(seen, 25))
    assert calls(seen) == [(10, 20), (5, 5)]
    assert statuses(seen) == [(change, 1, "success") for change in range(1, 26)]
    assert seen.execute("select change_id, message from jobhooks.job_log_entry order by 1").fetchall() == [
        (1, "10 changes"),
        (11, "10 changes"),
        (21, "5 changes"),
    ]


@EITHER
def test_changes_of_one_object_are_in_one_batch_and_in_order(
    seen: Connection, database: str, receivers: Path, log: Path, receiver: str
) -> None:
    hook_batches(seen, database, receivers, receiver)
    seen.execute("insert into public.device (serial) values ('0'), ('0')")
    for serial in range(1, 10):
        seen.execute("update public.device set serial = %s", [str(serial)])
    with Daemon(database, receivers, log):
        wait_until("all is settled", settled(seen, 20))
    assert calls(seen) == [(10, 20)]
    for device in (1, 2):
        values = seen.execute("select value::int from public.seen where object = %s order by n", [device]).fetchall()
        assert values == [(serial,) for serial in range(10)]


@EITHER
def test_of_a_batch_that_fails_each_is_delivered_alone(
    seen: Connection, database: str, receivers: Path, log: Path, receiver: str
) -> None:
    """A bad change fails alone, once, and the others succeed once; later changes of its object wait."""
    hook_batches(seen, database, receivers, receiver)
    ids = [write(seen, name, 1) for name in ("fine", "bad", "fine")]
    seen.execute("update public.device set serial = '2' where id = any(%s)", [ids])
    with Daemon(database, receivers, log):
        wait_until("all but the bad one are settled", lambda: len(statuses(seen)) == 5)
        assert seen.execute("select change_id, status from jobhooks.delivery_states() order by 1").fetchall() == [
            (2, "dead"),
            (5, "blocked"),
        ]
    assert statuses(seen) == [
        (1, 1, "success"),
        (2, 1, "failure"),
        (3, 1, "success"),
        (4, 1, "success"),
        (6, 1, "success"),
    ]
    rows = seen.execute("select object, value, word from public.seen order by object, value").fetchall()
    assert rows == [(1, "1", "1"), (1, "2", "1"), (3, "1", "1"), (3, "2", "1")]


@EITHER
def test_a_failure_that_is_logged_is_that_of_all_and_keeps_what_was_written(
    seen: Connection, database: str, receivers: Path, log: Path, receiver: str
) -> None:
    hook_batches(seen, database, receivers, receiver)
    seen.execute("insert into public.device (name) values ('fine'), ('poor'), ('fine')")
    with Daemon(database, receivers, log):
        wait_until("all have a result", lambda: len(statuses(seen)) == 3)
    assert calls(seen) == [(3, 3)]
    rows = seen.execute("select status, error from jobhooks.job_result").fetchall()
    assert rows == [("failure", "one is poor")] * 3


@EITHER
def test_a_call_waits_for_a_batch_to_be_full(
    seen: Connection, database: str, receivers: Path, log: Path, receiver: str
) -> None:
    """And other hooks do not wait: each change is read when it arrives, and waits in memory."""
    hook_batches(seen, database, receivers, receiver, batch_size=3, batch_wait=60)
    add_hook(database, receivers, "r.Sees")
    with Daemon(database, receivers, log) as daemon:
        daemon.await_started()
        write(seen, "first", 1)
        wait_until("the other hook is done", settled_by(seen, "r.Sees", 1))
        write(seen, "second", 2)
        wait_until("the other hook is done", settled_by(seen, "r.Sees", 2))
        assert not settled_by(seen, f"r.{receiver}", 1)() and not backlog(seen)
        seen.execute("update public.device set serial = '3' where id = 1")
        wait_until("all is settled", settled(seen, 6))
    assert calls(seen) == [(3, 3)]


@EITHER
def test_a_batch_that_is_not_full_is_delivered_when_its_time_is_over(
    seen: Connection, database: str, receivers: Path, log: Path, receiver: str
) -> None:
    hook_batches(seen, database, receivers, receiver, batch_wait=0.3)
    with Daemon(database, receivers, log) as daemon:
        daemon.await_started()
        write(seen, "alone", 1)
        wait_until("all is settled", settled(seen, 1))
    assert calls(seen) == [(1, 1)]


@pytest.mark.parametrize("receiver", ["Idle", "IdleNow"])
def test_a_batch_that_writes_nothing_has_a_result_for_each_change(
    seen: Connection, database: str, receivers: Path, log: Path, receiver: str
) -> None:
    hook_batches(seen, database, receivers, receiver)
    seen.execute("insert into public.device (serial) select '' from generate_series(1, 3)")
    with Daemon(database, receivers, log):
        wait_until("all is settled", settled(seen, 3))
    assert seen.execute("select message from jobhooks.job_log_entry").fetchall() == [("1:1 2:1 3:1",)]


def test_a_daemon_that_is_to_stop_waits_for_no_more(
    seen: Connection, database: str, receivers: Path, log: Path
) -> None:
    hook_batches(seen, database, receivers, "Batches", batch_wait=600)
    add_hook(database, receivers, "r.Sees")
    with Daemon(database, receivers, log, JOBHOOKS_SHUTDOWN_GRACE="600") as daemon:
        daemon.await_started()
        write(seen, "first", 1)
        wait_until("the other hook is done", settled_by(seen, "r.Sees", 1))
        assert daemon.terminate() == 0
    assert settled_by(seen, "r.Batches", 1)()


def set_job(conn: Connection, receiver: str, **settings: object) -> None:
    conn.execute("select jobhooks.set_job(%s, %s)", [f"r.{receiver}", json.dumps(settings)])


@contextlib.contextmanager
def batch_that_waits(conn: Connection, database: str, receivers: Path, log: Path) -> Generator[None]:
    """A daemon runs in which two changes wait for more, and another hook has got them; at the end it is to stop."""
    hook_batches(conn, database, receivers, "Batches", batch_wait=3600)
    add_hook(database, receivers, "r.Sees")
    for _ in range(2):
        write(conn, "fine", 1)
    with Daemon(database, receivers, log) as daemon:
        wait_until("the batch waits", settled_by(conn, "r.Sees", 2))
        yield
        assert daemon.terminate() == 0


def test_a_batch_that_waits_for_more_does_not_run_when_its_hook_is_paused(
    seen: Connection, database: str, receivers: Path, log: Path
) -> None:
    """Not when its wait is over, and not when the daemon ends."""
    with batch_that_waits(seen, database, receivers, log):
        seen.execute("select jobhooks.pause_hook('hook of r.Batches')")
        wait_until("it is paused", lambda: reads_alone(seen))
    assert calls(seen) == []
    with Daemon(database, receivers, log.with_name("again")) as daemon:
        seen.execute("select jobhooks.pause_hook('hook of r.Batches', false)")
        set_job(seen, "Batches", batch_wait=0)
        wait_until("all is settled", settled(seen, 4))
        assert daemon.terminate() == 0
    assert calls(seen) == [(2, 2)]


def test_a_batch_that_waits_follows_the_limits_of_its_job(
    seen: Connection, database: str, receivers: Path, log: Path
) -> None:
    with batch_that_waits(seen, database, receivers, log):
        set_job(seen, "Batches", batch_wait=0)
        wait_until("all is settled", settled(seen, 4))
    assert calls(seen) == [(2, 2)]


def test_a_batch_that_fails_when_its_hook_is_disabled_leaves_no_position(
    seen: Connection, database: str, receivers: Path, log: Path
) -> None:
    """Its deliveries are given back. The position would stay, and hold the log, after the hook is enabled."""
    hook_batches(seen, database, receivers, "Holds")
    add_hook(database, receivers, "r.Sees")
    enable = "select jobhooks.enable_hook('hook of r.Holds', %s)"
    with Daemon(database, receivers, log) as daemon:
        for _ in range(2):
            write(seen, "fine", 1)
        wait_until("it runs", (receivers / "runs").exists)
        seen.execute(enable, [False])
        write(seen, "fine", 1)
        wait_until("that is known", settled_by(seen, "r.Sees", 3))
        (receivers / "go on").touch()
        daemon.await_event("batch_failed")
        seen.execute(enable, [True])
        write(seen, "fine", 1)
        wait_until("it runs again", lambda: (4, 1, "success") in statuses(seen))
        wait_until("all reads are together", lambda: read_to_the_end(seen)() and not reads_alone(seen))
        assert daemon.terminate() == 0
