"""The whole path, as a user goes it: the command line, the daemon as a process, an ordinary client."""

import re
import signal
import socket
import threading
from collections.abc import Generator
from pathlib import Path

import psycopg
import pytest

from conftest import Connection
from support.daemon import Daemon, descendants, jobhooks, wait_until
from support.generated import ROOT

VALIDATE = "validate_serial.ValidateSerial"
ON_DEVICE = ["--content-type", "public.device", "--events"]
WAITING = (
    "select from pg_stat_activity where wait_event_type = 'Lock' and datname = current_database()"
    " and query like '%pg_advisory_xact_lock(42)%' and pid <> pg_backend_pid()"
)
WRITING = (
    "select from pg_stat_activity where state = 'idle in transaction' and datname = current_database()"
    " and query like 'insert into public.device%'"
)
# Logs its arguments; an async def receiver beside the example's def.
WITNESS = """
from jobhooks import JobHookReceiver

class Witness(JobHookReceiver):
    async def receive_job_hook(self, change, action, changed_object):
        self.log_info(changed_object, f"{action} {change.changed_object_type}")
"""
# Blocks until its database connection hears from a test, then logs.
SLOW = """
import time
from jobhooks import JobHookReceiver

class Slow(JobHookReceiver):
    def receive_job_hook(self, change, action, changed_object):
        self.connection.execute("select pg_advisory_xact_lock(42)")
        self.log_info("done")

class Hangs(JobHookReceiver):
    def receive_job_hook(self, change, action, changed_object):
        self.connection.execute("insert into public.device (name) values ('half done')")
        while True:
            time.sleep(1)

class HangsAsync(JobHookReceiver):
    async def receive_job_hook(self, change, action, changed_object):
        import asyncio
        await self.connection.execute("insert into public.device (name) values ('half done')")
        await asyncio.sleep(3600)
"""


STUBBORN = """
import asyncio, time
from jobhooks import JobHookReceiver

class Stubborn(JobHookReceiver):
    async def receive_job_hook(self, change, action, changed_object):
        await self.connection.execute("insert into public.device (name) values ('half done')")
        while True:
            try:
                await asyncio.sleep(3600)
            except asyncio.CancelledError:
                pass

class Blocks(JobHookReceiver):
    async def receive_job_hook(self, change, action, changed_object):
        await self.connection.execute("insert into public.device (name) values ('half done')")
        while True:
            time.sleep(0.01)
"""
ASLEEP = (
    "select from pg_locks where locktype = 'advisory' and objid = 2 and mode = 'ExclusiveLock'"
    " and database = (select oid from pg_database where datname = current_database())"
)


@pytest.fixture
def receivers(tmp_path: Path) -> Path:
    directory = tmp_path / "receivers"
    directory.mkdir()
    (directory / "witness.py").write_text(WITNESS)
    (directory / "slow.py").write_text(SLOW)
    return directory


@pytest.fixture
def log(tmp_path: Path) -> Path:
    return tmp_path / "daemon.log"


def hook(database: str, receivers: Path, job: str, events: str = "create,update,delete") -> None:
    """Enable a job and hook it on the device table, as the README says."""
    settings = {"JOBHOOKS_DATABASE_URL": database, "JOBHOOKS_RECEIVERS_PATH": str(receivers)}
    for arguments in (
        ["job", "enable", job],
        ["hook", "add", f"hook of {job}", "--content-type", "public.device", "--events", events, "--job", job],
    ):
        finished = jobhooks(*arguments, **settings)
        assert finished.returncode == 0, finished.stderr


def results(conn: Connection) -> list[tuple[object, ...]]:
    return conn.execute("select change_id, status from jobhooks.job_result order by change_id").fetchall()


def test_beside_an_existing_application(empty_database: str, log: Path) -> None:
    """The README's four commands on a database that has tables already, and then an update from a client."""
    with psycopg.connect(empty_database, autocommit=True) as conn:
        conn.execute("create table public.device (id integer primary key, name text, serial text)")
        conn.execute("create table public.site (id integer primary key)")
        conn.execute("insert into public.device values (1, 'edge-1', 'FX2024-00017')")
        settings = {"JOBHOOKS_DATABASE_URL": empty_database}
        commands = [
            ["install", "public.device", "public.site"],
            ["job", "enable", VALIDATE],
            [
                *["hook", "add", "Checks", "--content-type", "public.device", "--events", "create,update", "--job"],
                VALIDATE,
            ],
        ]
        for command in commands:
            finished = jobhooks(*command, cwd=ROOT, **settings)
            assert (finished.returncode, finished.stdout) == (0, ""), finished.stderr
        with Daemon(empty_database, ROOT / "receivers", log).await_started() as daemon:
            conn.execute("update public.device set serial = 'BAD' where id = 1")
            wait_until(
                "the serial is back",
                lambda: conn.execute("select from public.device where serial = 'FX2024-00017'").fetchone() is not None,
            )
            daemon.await_event("delivered")
            # Another change without a hook and one with: the receiver's writes have been skipped.
            conn.execute("insert into public.site values (1)")
            conn.execute("update public.device set name = 'edge-1.example'")
            daemon.await_event("delivered", 2)
            assert daemon.terminate() == 0
            assert [event["event"] for event in daemon.events()] == ["started", "delivered", "delivered", "stopped"]
        changes = conn.execute(
            "select triggering, context -> 'caused_by', prechange ->> 'serial',"
            " postchange ->> 'serial' from jobhooks.object_change where content_type_id = 1 order by id"
        ).fetchall()
        assert changes == [
            (True, None, "FX2024-00017", "BAD"),
            (False, {"change": 1, "hook": 1, "attempt": 1}, "BAD", "FX2024-00017"),
            (True, None, "FX2024-00017", "FX2024-00017"),
        ]
        assert results(conn) == [(1, "success"), (4, "success")]
        lines = conn.execute("select level, message from jobhooks.job_log_entry order by change_id, line").fetchall()
        assert [(level, re.findall(r"FX[-\d]+|BAD", message)) for level, message in lines] == [
            ("info", ["FX2024-00017", "BAD"]),
            ("warning", ["BAD"]),
            ("success", ["FX2024-00017"]),
            ("info", []),
        ]


def test_two_transactions_of_which_the_first_to_write_commits_last(
    device: Connection, database: str, receivers: Path, log: Path
) -> None:
    hook(database, receivers, "witness.Witness")
    device.execute("insert into public.device (name) values ('edge-2')")
    with Daemon(database, receivers, log).await_started() as daemon, psycopg.connect(database) as slow:
        daemon.await_event("delivered")
        slow.execute("update public.device set name = 'slow' where id = 1")
        device.execute("update public.device set name = 'fast' where id = 2")
        daemon.await_event("delivered", 2)
        slow.commit()
        daemon.await_event("delivered", 3)
    assert results(device) == [(1, "success"), (2, "success"), (3, "success")]


def test_what_changed_while_the_daemon_was_dead_is_delivered(
    device: Connection, database: str, receivers: Path, log: Path
) -> None:
    """Killed without warning while it was idle, as by the kernel's out-of-memory killer."""
    hook(database, receivers, "witness.Witness")
    with Daemon(database, receivers, log).await_started() as daemon:
        device.execute("update public.device set name = 'a'")
        daemon.await_event("delivered")
        daemon.kill()
    for name in ("b", "c"):
        device.execute("update public.device set name = %s", [name])
    with Daemon(database, receivers, log) as daemon:
        daemon.await_event("delivered", 2)
    assert results(device) == [(1, "success"), (2, "success"), (3, "success")]


@pytest.mark.chaos
def test_a_daemon_killed_in_the_middle_of_a_run_repeats_it_and_nothing_else(
    device: Connection, database: str, receivers: Path, log: Path
) -> None:
    """Finished deliveries have their results; the unfinished one is rolled back and repeated."""
    hook(database, receivers, "slow.Slow")
    for name in ("a", "b"):
        device.execute("update public.device set name = %s", [name])
    with psycopg.connect(database, autocommit=True) as gate:
        with Daemon(database, receivers, log) as daemon:
            daemon.await_event("delivered", 2)
            gate.execute("select pg_advisory_lock(42)")
            device.execute("update public.device set name = 'c'")
            wait_until("the receiver waits", lambda: device.execute(WAITING).fetchone() is not None)
            below = descendants(daemon.process.pid)
            daemon.kill()
        # Its worker ends with it, in a moment. Until then it could still commit the run.
        wait_until("its workers have ended", lambda: not any(Path("/proc", str(one)).exists() for one in below))
        gate.execute("select pg_advisory_unlock(42)")
        with Daemon(database, receivers, log) as daemon:
            daemon.await_event("delivered")
            assert len(daemon.events("delivered")) == 1
    assert results(device) == [(1, "success"), (2, "success"), (3, "success")]


@pytest.mark.parametrize("signal_number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_lets_what_runs_finish_and_begins_nothing_more(
    device: Connection, database: str, receivers: Path, log: Path, signal_number: int
) -> None:
    hook(database, receivers, "slow.Slow")
    with (
        psycopg.connect(database, autocommit=True) as gate,
        Daemon(database, receivers, log).await_started() as daemon,
    ):
        gate.execute("select pg_advisory_lock(42)")
        with device.transaction():
            device.execute("update public.device set name = 'a'")
            device.execute("update public.device set name = 'b'")
        wait_until("the receiver waits", lambda: device.execute(WAITING).fetchone() is not None)
        daemon.process.send_signal(signal_number)
        gate.execute("select pg_advisory_unlock(42)")
        assert daemon.process.wait(20) == 0
    assert results(device) == [(1, "success")]
    with Daemon(database, receivers, log) as daemon:
        daemon.await_event("delivered")
    assert results(device) == [(1, "success"), (2, "success")]


@pytest.mark.parametrize("job", ["slow.Hangs", "slow.HangsAsync"])
def test_a_receiver_that_does_not_end_is_left_after_the_grace_and_undone(
    device: Connection, database: str, receivers: Path, log: Path, job: str
) -> None:
    hook(database, receivers, job)
    with Daemon(database, receivers, log, JOBHOOKS_SHUTDOWN_GRACE="0.5").await_started() as daemon:
        device.execute("update public.device set name = 'a'")
        wait_until("the receiver has written", lambda: device.execute(WRITING).fetchone() is not None)
        assert daemon.terminate() == 0
        assert [event["event"] for event in daemon.events()][-1] == "stopped"
        assert daemon.events("shutdown_grace_exceeded")
    wait_until("its session ends", lambda: device.execute(WRITING).fetchone() is None)
    assert device.execute("select name from public.device").fetchall() == [("a",)]
    assert results(device) == []


def test_a_receiver_that_will_not_be_cancelled_does_not_keep_the_daemon(
    device: Connection, database: str, receivers: Path, log: Path
) -> None:
    """Nor does one that blocks the loop."""
    (receivers / "stubborn.py").write_text(STUBBORN)
    for job in ("Stubborn", "Blocks"):
        hook(database, receivers, f"stubborn.{job}", "update")
        with Daemon(database, receivers, log, JOBHOOKS_SHUTDOWN_GRACE="0.2").await_started() as daemon:
            device.execute("update public.device set name = %s", [job])
            wait_until("the receiver has written", lambda: device.execute(WRITING).fetchone() is not None)
            assert daemon.terminate() == 0
        device.execute("update jobhooks.job_hook set enabled = false")
    assert results(device) == []


def test_a_change_is_delivered_at_once_though_its_writer_began_before_the_daemon(
    device: Connection, database: str, receivers: Path, log: Path
) -> None:
    """Its writer saw no sleeping daemon, so it sends no NOTIFY; the daemon does not sleep before it has ended."""
    hook(database, receivers, "witness.Witness")
    with psycopg.connect(database) as early:
        early.execute("update public.device set name = 'a'")
        with Daemon(database, receivers, log, JOBHOOKS_POLL_INTERVAL="3600").await_started() as daemon:
            device.execute("insert into public.device (name) values ('edge-2')")
            daemon.await_event("delivered")
            early.commit()
            daemon.await_event("delivered", 2)
            # Now it sleeps, and is woken.
            wait_until("it sleeps", lambda: device.execute(ASLEEP).fetchone() is not None)
            device.execute("update public.device set name = 'b' where id = 2")
            daemon.await_event("delivered", 3)


def test_two_phase_commit_goes_on_beside_a_daemon_that_polls(
    device: Connection, database: str, receivers: Path, log: Path
) -> None:
    """PREPARE TRANSACTION fails after a NOTIFY, so a daemon that polls must never ask for one."""
    hook(database, receivers, "witness.Witness")
    with Daemon(database, receivers, log, JOBHOOKS_WAKEUP="poll") as daemon:
        daemon.await_started()
        device.execute("update public.device set name = 'awake'")
        daemon.await_event("delivered")
        for name, end in (("kept", "commit prepared"), ("undone", "rollback prepared")):
            device.execute("begin")
            device.execute("update public.device set name = %s", [name])
            device.execute(f"prepare transaction '{name}'".encode())
            device.execute(f"{end} '{name}'".encode())
        device.execute("update public.device set name = 'last'")
        daemon.await_event("delivered", 3)
        assert daemon.terminate() == 0
    names = device.execute("select added ->> 'name' from jobhooks.changes order by id").fetchall()
    assert names == [("awake",), ("kept",), ("last",)]


def test_systemd_hears_ready_once_it_reads_and_stopping(
    device: Connection, database: str, receivers: Path, log: Path, tmp_path: Path
) -> None:
    """READY means: a change that commits now is delivered."""
    hook(database, receivers, "witness.Witness")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as service_manager:
        address = str(tmp_path / "notify")
        service_manager.bind(address)
        service_manager.settimeout(20)
        with Daemon(database, receivers, log, NOTIFY_SOCKET=address) as daemon:
            assert service_manager.recv(100) == b"READY=1"
            device.execute("update public.device set name = 'a'")
            daemon.await_event("delivered")
            assert daemon.terminate() == 0
            assert service_manager.recv(100) == b"STOPPING=1"


def test_a_lost_database_is_waited_for_and_nothing_is_lost(
    device: Connection, database: str, receivers: Path, log: Path
) -> None:
    """All sessions are cut together, as by a restart: the daemon comes back by itself, and logs two lines."""
    hook(database, receivers, "witness.Witness")
    with Daemon(database, receivers, log).await_started() as daemon:
        device.execute(
            "select pg_terminate_backend(pid) from pg_stat_activity where application_name = 'jobhooks'"
            " and datname = current_database()"
        )
        device.execute("update public.device set name = 'a'")
        daemon.await_event("database_lost")
        daemon.await_event("started", 2)
        daemon.await_event("delivered")
        assert daemon.terminate() == 0
        assert "Traceback" not in daemon.words()
    assert results(device) == [(1, "success")]


def test_a_listener_that_is_lost_while_a_receiver_runs_is_noticed(
    device: Connection, database: str, receivers: Path, log: Path
) -> None:
    """Otherwise no NOTIFY would wake the daemon, and nothing would be delivered for a whole poll interval."""
    hook(database, receivers, "slow.Slow")
    with (
        psycopg.connect(database, autocommit=True) as gate,
        Daemon(database, receivers, log, JOBHOOKS_POLL_INTERVAL="3600").await_started() as daemon,
    ):
        wait_until("it sleeps", lambda: device.execute(ASLEEP).fetchone() is not None)
        gate.execute("select pg_advisory_lock(42)")
        device.execute("update public.device set name = 'a'")
        wait_until("the receiver waits", lambda: device.execute(WAITING).fetchone() is not None)
        device.execute(ASLEEP.replace("select from", "select pg_terminate_backend(pid) from").encode())
        daemon.await_event("started", 2)
        gate.execute("select pg_advisory_unlock(42)")
        wait_until("it is delivered", lambda: results(device) == [(1, "success")])


def test_a_broken_module_is_reported_and_loses_nothing(
    device: Connection, database: str, receivers: Path, log: Path
) -> None:
    """Its hooks stand still, and keep their positions; other receivers run."""
    hook(database, receivers, "witness.Witness")
    hook(database, receivers, "slow.Slow")
    (receivers / "slow.py").write_text("import nothing_of_that_name\n")
    with Daemon(database, receivers, log) as daemon:
        (broken,) = daemon.await_event("receiver_module_broken")
        assert (
            str(broken["path"]).endswith("slow.py")
            and broken["line"] == 1
            and "nothing_of_that_name" in str(broken["error"])
        )
        device.execute("update public.device set name = 'a'")
        daemon.await_event("delivered")
        positions = "select hook_id from jobhooks.hook_position"
        wait_until("it stands still", lambda: device.execute(positions).fetchall() == [(2,)])
        assert not daemon.events("delivery_failed")
    assert device.execute("select class_path from jobhooks.job where not installed").fetchall() == [
        ("slow.Hangs",),
        ("slow.HangsAsync",),
        ("slow.Slow",),
    ]


def test_what_commits_while_a_hook_or_its_job_is_off_passes_it_by(
    device: Connection, database: str, receivers: Path, log: Path
) -> None:
    """With or without a running daemon: a hook sees changes that commit after it was enabled."""
    (receivers / "other.py").write_text(WITNESS)
    hook(database, receivers, "witness.Witness")
    hook(database, receivers, "other.Witness")
    device.execute("update jobhooks.job_hook set enabled = false where id = 1")
    assert jobhooks("job", "disable", "other.Witness", JOBHOOKS_DATABASE_URL=database).returncode == 0
    device.execute("update public.device set name = 'off'")
    device.execute("update jobhooks.job_hook set enabled = true where id = 1")
    device.execute("update public.device set name = 'one on'")
    settings = {"JOBHOOKS_DATABASE_URL": database, "JOBHOOKS_RECEIVERS_PATH": str(receivers)}
    assert jobhooks("job", "enable", "other.Witness", **settings).returncode == 0
    device.execute("update public.device set name = 'both on'")
    with Daemon(database, receivers, log) as daemon:
        daemon.await_event("delivered", 3)
        assert daemon.terminate() == 0
    pairs = device.execute("select change_id, hook_id from jobhooks.job_result order by 1, 2").fetchall()
    assert pairs == [(2, 1), (3, 1), (3, 2)]


def test_changes_from_before_the_hook_are_not_delivered(
    device: Connection, database: str, receivers: Path, log: Path
) -> None:
    device.execute("update public.device set name = 'before'")
    hook(database, receivers, "witness.Witness")
    device.execute("update public.device set name = 'after'")
    with Daemon(database, receivers, log) as daemon:
        daemon.await_event("delivered")
        assert daemon.terminate() == 0
    assert results(device) == [(2, "success")]


def test_many_writers_are_delivered_once_each_and_in_order(
    device: Connection, database: str, receivers: Path, log: Path
) -> None:
    """Eight sessions, ten rows, rollbacks, and pages smaller than the backlog of changes."""
    device.execute("truncate public.device restart identity")
    device.execute("insert into public.device (serial) select '0' from generate_series(1, 10)")
    hook(database, receivers, "witness.Witness", "update")

    def write(number: int) -> None:
        with psycopg.connect(database) as writer:
            for turn in range(25):
                row = (number * 7 + turn) % 10 + 1
                writer.execute("update public.device set serial = (serial::integer + 1)::text where id = %s", [row])
                writer.rollback() if turn % 5 == 4 else writer.commit()

    with Daemon(database, receivers, log, JOBHOOKS_PAGE_SIZE="7").await_started() as daemon:
        threads = [threading.Thread(target=write, args=[number]) for number in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        wait_until("all are delivered", lambda: len(results(device)) == 160)
        assert daemon.terminate() == 0
    delivered = device.execute(
        "select postchange ->> 'id', array_agg((postchange ->> 'serial')::integer order by finished_at)"
        " from jobhooks.job_result as result join jobhooks.object_change as change on change.id = change_id group by 1"
    ).fetchall()
    assert sum(len(serials) for _, serials in delivered) == 160
    assert all(serials == list(range(1, len(serials) + 1)) for _, serials in delivered)


@pytest.fixture(autouse=True)
def _no_daemon_left(database: str) -> Generator[None]:
    yield
    with psycopg.connect(database, autocommit=True) as conn:
        left = "select pid from pg_stat_activity where application_name = 'jobhooks' and datname = current_database()"
        wait_until("no session of a daemon is left", lambda: not conn.execute(left).fetchall())
