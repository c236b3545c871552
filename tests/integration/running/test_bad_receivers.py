"""Receivers in the event loop that end the daemon: later daemons find the delivery, and deliver everything else."""

import signal
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

import pytest

from conftest import Connection
from support.daemon import Daemon, jobhooks, wait_until
from support.hooking import add_hook, write_receivers

SOURCE = """
import asyncio, atexit, ctypes, os, re, signal, threading, time
from pathlib import Path
from jobhooks import JobHookReceiver

async def note(self, change):
    statement = "insert into public.noted (job, change) values ($1, $2)"
    await self.connection.execute(statement, type(self).__name__, change.id)

class Exits(JobHookReceiver):
    class Meta:
        max_attempts = 2
        backoff = 0.1
    async def receive_job_hook(self, change):
        await note(self, change)
        if change.postchange["name"] == "bad":
            os._exit(7)

class Crashes(JobHookReceiver):
    class Meta:
        max_attempts = 1
    async def receive_job_hook(self, change):
        if change.postchange["name"] == "bad":
            await asyncio.sleep(0.2)
            ctypes.string_at(0)
        await note(self, change)

class ExitsInBatch(JobHookReceiver):
    class Meta:
        max_attempts = 2
        backoff = 0.1
        batch_size = 10
    async def receive_job_hook_batch(self, changes):
        for change in changes:
            if change.postchange["name"] == "bad":
                os._exit(7)
            await note(self, change)

class Blocks(JobHookReceiver):
    class Meta:
        max_attempts = 2
        backoff = 0.1
        time_limit = 3
    async def receive_job_hook(self, change):
        await note(self, change)
        while change.postchange["name"] == "bad":
            time.sleep(1)

class KeepsPython(JobHookReceiver):
    class Meta:
        max_attempts = 1
    async def receive_job_hook(self, change):
        if change.postchange["name"] == "bad":
            if Path("kept").exists():  # once is enough: it takes seconds
                os._exit(7)
            Path("kept").touch()
            re.match("(a+)+$", 40 * "a" + "b")
        await note(self, change)

class CancelsAll(JobHookReceiver):
    async def receive_job_hook(self, change):
        for task in asyncio.all_tasks():
            task.cancel()
        await asyncio.sleep(3600)

class ClosesDescriptors(JobHookReceiver):
    async def receive_job_hook(self, change):
        os.closerange(0, 1000)
        await asyncio.sleep(3600)

class ClosesStreams(JobHookReceiver):
    async def receive_job_hook(self, change):
        os.closerange(1, 3)
        if change.postchange["name"] == "bad":  # the number of the log is that of a file
            os.open("stolen", os.O_CREAT | os.O_RDWR), os.open("stolen", os.O_RDWR)
        await note(self, change)

class KeepsProcess(JobHookReceiver):
    async def receive_job_hook(self, change):
        threading.Thread(target=time.sleep, args=[3600]).start()
        asyncio.get_running_loop().run_in_executor(None, time.sleep, 3600)
        atexit.register(time.sleep, 3600)
        signal.signal(signal.SIGTERM, signal.SIG_IGN)

class Slow(JobHookReceiver):
    class Meta:
        max_attempts = 1
    async def receive_job_hook(self, change):
        await asyncio.sleep(0.3)
        await note(self, change)

class Works(JobHookReceiver):
    class Meta:
        max_attempts = 1
    async def receive_job_hook(self, change):
        await note(self, change)
"""


@pytest.fixture
def receivers(tmp_path: Path) -> Path:
    return write_receivers(tmp_path / "receivers", SOURCE)


def results(conn: Connection, job: str) -> list[tuple[object, ...]]:
    query = (
        "select result.status, result.error from jobhooks.job_result as result join jobhooks.job on job.id = job_id"
        " where class_path = %s order by change_id, attempt"
    )
    return conn.execute(query, [job]).fetchall()


def slow_ones(conn: Connection) -> int:
    (count,) = conn.execute("select count(*) from public.noted where job = 'Slow'").fetchone() or (0,)
    return count


def restart_until(
    done: Callable[[], bool], database: str, receivers: Path, log: Path, **settings: str
) -> list[int | None]:
    """Run daemons one after the other, as a service manager does, until ``done``; the exit codes of those that died."""
    died: list[int | None] = []
    while True:
        with Daemon(database, receivers, log, **settings) as daemon:
            wait_until("it is done or dies", lambda daemon=daemon: done() or daemon.process.poll() is not None, 60)
            if daemon.process.poll() is None:
                assert daemon.terminate() == 0
                return died
        died.append(daemon.process.returncode)
        assert len(died) < 8, daemon.words()


@pytest.mark.parametrize(
    ("job", "attempts", "code"),
    [("r.Exits", 2, 7), ("r.Crashes", 1, -signal.SIGSEGV), ("r.ExitsInBatch", 2, 7)],
)
def test_a_run_that_ends_the_daemon_is_found_and_set_aside(
    device: Connection, database: str, receivers: Path, log: Path, job: str, attempts: int, code: int
) -> None:
    """Its attempts are counted, other deliveries of its hook and of others succeed once, and doctor names it."""
    hook_three(device, database, receivers, job)
    assert restart_until(lambda: is_set_aside(device), database, receivers, log) == [code] * (2 + attempts)
    died = "DaemonDied: the daemon died while it ran the receiver for this delivery, and nothing else"
    assert [each for each in results(device, job) if each[0] != "success"] == [("failure", died)] * attempts
    assert results(device, "r.Works") == results(device, "r.Slow") == [("success", None)] * 20
    assert versions(device) == (1, 0)
    doctor = jobhooks("doctor", "--database-url", database).stdout
    assert f"{1 + attempts} daemons ended while {job} ran for change 5; the delivery is set aside" in doctor
    assert f"{job} ran for change 5" in jobhooks("status", "--database-url", database).stdout


def versions(device: Connection) -> tuple[object, ...] | None:
    """How many versions the results have, and how many results have none."""
    return device.execute(
        "select count(distinct version), count(*) - count(version) from jobhooks.job_result"
    ).fetchone()


def hook_three(device: Connection, database: str, receivers: Path, job: str) -> None:
    """Hook a job and two others, and write 20 changes; the fifth is bad."""
    device.execute("create table public.noted (job text, change bigint, unique (job, change))")
    for each in (job, "r.Works", "r.Slow"):
        add_hook(database, receivers, each, ["create"])
    device.execute(
        "insert into public.device (name)"
        " select case i when 5 then 'bad' else 'good' end from generate_series(1, 20) as i"
    )


def is_set_aside(device: Connection) -> bool:
    """Whether the bad delivery of ``hook_three`` is dead, and all others are delivered."""
    noted = "select count(*) from public.noted"
    dead = "select count(*) from jobhooks.delivery where status = 'dead'"
    return device.execute(noted).fetchone() == (59,) and device.execute(dead).fetchone() == (1,)


@pytest.mark.nightly
def test_a_run_that_ends_the_daemon_is_found_by_standbys(
    device: Connection, database: str, receivers: Path, log: Path
) -> None:
    """Each death is seen by the daemon that takes over, and costs as many daemons as without a standby."""
    hook_three(device, database, receivers, "r.Exits")
    with ExitStack() as stack:
        daemons: list[Daemon] = []

        def keep_two() -> bool:
            while sum(daemon.process.poll() is None for daemon in daemons) < 2:
                own_log = log.with_name(f"{len(daemons)}.log")
                daemons.append(stack.enter_context(Daemon(database, receivers, own_log)))
            return is_set_aside(device)

        wait_until("it is set aside", keep_two, 60)
        assert len(daemons) == 2 + 4
        assert not any(daemon.events("former_leader_in_doubt") for daemon in daemons)
    assert [status for status, _ in results(device, "r.Exits") if status == "failure"] == ["failure"] * 2


def test_a_run_that_blocks_the_loop_is_set_aside_by_the_same_process(
    device: Connection, database: str, receivers: Path, log: Path
) -> None:
    """Without a service manager: the process starts itself again, and each block is one failed attempt."""
    hook_three(device, database, receivers, "r.Blocks")
    with Daemon(database, receivers, log, JOBHOOKS_LEADER_TIMEOUT="3") as daemon:
        wait_until("it is set aside", lambda: is_set_aside(device), 60)
        assert len(daemon.events("loop_stuck")) == 2
        assert daemon.terminate() == 0
    failures = [error for status, error in results(device, "r.Blocks") if status == "failure"]
    assert len(failures) == 2
    assert all("DaemonDied: the receiver blocked the event loop for" in str(error) for error in failures)
    assert versions(device) == (1, 0)
    assert results(device, "r.Works") == results(device, "r.Slow") == [("success", None)] * 20


def test_a_blocked_daemon_ends_on_sigterm(device: Connection, database: str, receivers: Path, log: Path) -> None:
    """It cannot end its runs, so it does not wait for its grace period."""
    add_hook(database, receivers, "r.Blocks", ["create"])
    device.execute("create table public.noted (job text, change bigint)")
    with Daemon(database, receivers, log, JOBHOOKS_LEADER_TIMEOUT="5").await_started() as daemon:
        device.execute("insert into public.device (name) values ('bad')")
        daemon.await_event("loop_blocked")
        assert daemon.terminate() == 0
        assert daemon.events("loop_stuck")


@pytest.mark.parametrize("job", ["r.CancelsAll", "r.ClosesDescriptors"])
def test_a_run_that_takes_the_daemon_apart_ends_it(
    device: Connection, database: str, receivers: Path, log: Path, job: str
) -> None:
    """A daemon that goes on without its tasks or its connections would deliver nothing. The next one searches."""
    add_hook(database, receivers, job, ["create"])
    with Daemon(database, receivers, log).await_started() as daemon:
        device.execute("insert into public.device (name) values ('bad')")
        wait_until("it ends", lambda: daemon.process.poll() is not None)
        assert daemon.process.returncode != 0
    assert device.execute("select leader_ended from jobhooks.cursor").fetchone() == (False,)


def test_a_run_that_closes_the_streams_of_the_log_ends_nothing(
    device: Connection, database: str, receivers: Path, log: Path
) -> None:
    """The daemon ended, with no line; or, if a connection had got the number, it went on and delivered nothing."""
    device.execute("create table public.noted (job text, change bigint)")
    for job in ("r.ClosesStreams", "r.Works"):
        add_hook(database, receivers, job, ["create"])
    with Daemon(database, receivers, log).await_started() as daemon:
        for number, name in enumerate(("good", "bad", "good", "bad", "good"), 1):
            device.execute("insert into public.device (name) values (%s)", [name])
            for job in ("r.ClosesStreams", "r.Works"):
                wait_until(f"{job} has run", lambda job=job, number=number: len(results(device, job)) == number)
        daemon.await_event("started", 2)  # it starts itself again if another file has the number
        assert daemon.terminate() == 0
    assert results(device, "r.ClosesStreams") == results(device, "r.Works") == [("success", None)] * 5


def test_nothing_that_a_run_leaves_keeps_the_daemon_from_ending(
    device: Connection, database: str, receivers: Path, log: Path
) -> None:
    """Threads and functions for the end of the process, and a signal that is ignored."""
    add_hook(database, receivers, "r.KeepsProcess", ["create"])
    with Daemon(database, receivers, log).await_started() as daemon:
        device.execute("insert into public.device (name) values ('bad')")
        daemon.await_event("signal_handler_replaced")
        device.execute("insert into public.device (name) values ('bad')")
        wait_until("it has run again", lambda: len(results(device, "r.KeepsProcess")) == 2)
        assert daemon.terminate() == 0
        assert daemon.events("stopped")
    assert results(device, "r.KeepsProcess") == [("success", None)] * 2


def test_a_run_that_lets_no_thread_work_ends_the_daemon(
    device: Connection, database: str, receivers: Path, log: Path
) -> None:
    """A regular expression that takes hours: the watchdog's thread cannot run, so the system ends the process."""
    hook_three(device, database, receivers, "r.KeepsPython")
    died = restart_until(lambda: is_set_aside(device), database, receivers, log, JOBHOOKS_LEADER_TIMEOUT="1")
    assert died == [-signal.SIGVTALRM, 7, 7]
    assert len([status for status, _ in results(device, "r.KeepsPython") if status == "failure"]) == 1


@pytest.mark.parametrize(
    ("changes", "kills"), [(120, (10, 20)), pytest.param(400, (10, 20, 30, 40, 50), marks=pytest.mark.nightly)]
)
def test_daemons_that_are_killed_cost_no_delivery_an_attempt(
    device: Connection, database: str, receivers: Path, log: Path, changes: int, kills: tuple[int, ...]
) -> None:
    """Runs in flight are repeated. Each job allows one attempt, so a charged one would be dead.

    Two kills never charge a delivery. More of them do if three in a row hit the same one, as on a busy machine.
    """
    device.execute("create table public.noted (job text, change bigint, unique (job, change))")
    for each in ("r.Works", "r.Slow"):
        add_hook(database, receivers, each, ["create"])
    device.execute("insert into public.device (name) select i::text from generate_series(1, %s) as i", [changes])
    for least in kills:
        with Daemon(database, receivers, log).await_started() as daemon:
            # Soon after: a delivery that is run alone, because an earlier daemon died, is charged if this one dies.
            wait_until("some are delivered", lambda least=least: slow_ones(device) > least, every_s=0.01)
            daemon.kill()
    with Daemon(database, receivers, log).await_started():
        noted = "select count(*) from public.noted"
        wait_until("all are delivered", lambda: device.execute(noted).fetchone() == (2 * changes,), 60)
        wait_until(
            "no mark is left", lambda: device.execute("select count(*) from jobhooks.suspect").fetchone() == (0,)
        )
    assert device.execute("select count(*) from jobhooks.job_result where status <> 'success'").fetchone() == (0,)


def test_a_module_whose_import_ends_the_process_is_broken(
    device: Connection, database: str, receivers: Path, log: Path
) -> None:
    """At the start and later: it is reported, and others go on."""
    device.execute("create table public.noted (job text, change bigint)")
    add_hook(database, receivers, "r.Works", ["create"])
    ends = "import os; os._exit(3)"
    (receivers / "ends.py").write_text(ends)
    with Daemon(database, receivers, log).await_started() as daemon:
        (receivers / "ends_later.py").write_text(ends)
        broken = daemon.await_event("receiver_module_broken", 2)
        assert [event["error"] for event in broken] == ["its import ends the process, with exit code 3"] * 2
        device.execute("insert into public.device (name) values ('good')")
        wait_until("it is delivered", lambda: results(device, "r.Works") == [("success", None)])
        assert daemon.terminate() == 0


def test_a_daemon_that_stops_leaves_no_suspicion(device: Connection, database: str, receivers: Path, log: Path) -> None:
    """The next one marks nothing."""
    add_hook(database, receivers, "r.Works", ["create"])
    for _ in range(2):
        with Daemon(database, receivers, log).await_started() as daemon:
            assert daemon.terminate() == 0
            assert not daemon.events("last_daemon_died")
