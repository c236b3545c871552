"""The daemon, when a run ends without a word, or a process is killed: each run has one result, and the hook goes on."""

import contextlib
import os
import signal
from collections.abc import Callable, Generator
from pathlib import Path

import pytest

from conftest import Connection
from support.daemon import Daemon, wait_until
from support.hooking import add_hook, write_receivers

SOURCE = """
import asyncio, multiprocessing, os, time
from pathlib import Path
from jobhooks import JobHookReceiver

class ExitsSilently(JobHookReceiver):
    class Meta:
        max_attempts = 1
    def receive_job_hook(self, change):
        if change.postchange["name"] == "bad":
            os._exit(0)

class CancelsItself(JobHookReceiver):
    class Meta:
        max_attempts = 1
    async def receive_job_hook(self, change):
        if change.postchange["name"] == "bad":
            asyncio.current_task().cancel()
            await asyncio.sleep(60)

class RaisesCancelled(JobHookReceiver):
    class Meta:
        max_attempts = 1
    async def receive_job_hook(self, change):
        if change.postchange["name"] == "bad":
            raise asyncio.CancelledError

class StopsLoop(JobHookReceiver):
    class Meta:
        max_attempts = 1
    async def receive_job_hook(self, change):
        if change.postchange["name"] == "bad":
            asyncio.get_running_loop().stop()
            await asyncio.sleep(60)

class Forks(JobHookReceiver):
    # What is called bad returns twice; otherwise the copy lasts for longer than the run.
    async def receive_job_hook(self, change):
        await self.connection.execute("insert into public.copied (change) values ($1)", change.id)
        if os.fork() == 0 and change.postchange["name"] != "bad":
            await asyncio.sleep(0.1)

class ForksNow(JobHookReceiver):
    def receive_job_hook(self, change):
        self.connection.execute("insert into public.copied (change) values (%s)", [change.id])
        if os.fork() == 0 and change.postchange["name"] != "bad":
            time.sleep(0.1)

class Copies(JobHookReceiver):
    class Meta:
        backoff = 0.1
        max_attempts = 1000
    def receive_job_hook(self, change):
        time.sleep(0.02)
        self.connection.execute("insert into public.copied (change) values (%s)", [change.id])
"""
DIES_AT_START = """
import multiprocessing, os
from jobhooks import JobHookReceiver

if multiprocessing.parent_process() is not None:
    os._exit(139)

class DiesAtStart(JobHookReceiver):
    class Meta:
        max_attempts = 1
    def receive_job_hook(self, change):
        pass
"""


@pytest.fixture
def receivers(tmp_path: Path) -> Path:
    folder = write_receivers(tmp_path / "receivers", SOURCE)
    (folder / "d.py").write_text(DIES_AT_START)
    return folder


def ended(conn: Connection, count: int) -> Callable[[], bool]:
    """Make a condition: that number of results."""
    return lambda: conn.execute("select count(*) from jobhooks.job_result").fetchone() == (count,)


@pytest.mark.parametrize(
    ("job", "error"),
    [
        ("r.ExitsSilently", "WorkerDied"),
        ("r.CancelsItself", "RunCancelled"),
        ("r.RaisesCancelled", "RunCancelled"),
        ("r.StopsLoop", "RuntimeError"),
        ("d.DiesAtStart", "WorkerDied"),
    ],
)
def test_a_run_that_ends_without_a_word_has_a_result(
    device: Connection, database: str, receivers: Path, log: Path, job: str, error: str
) -> None:
    """The other changes are delivered, and the daemon ends as usual."""
    add_hook(database, receivers, job, ["create"])
    with Daemon(database, receivers, log).await_started() as daemon:
        for name in ("good", "bad", "good"):
            device.execute("insert into public.device (name) values (%s)", [name])
        wait_until("all have a result", ended(device, 3))
        assert daemon.terminate() == 0 and daemon.tracebacks() == []
    results = device.execute("select split_part(error, ':', 1) from jobhooks.job_result order by change_id").fetchall()
    errors = [kind for (kind,) in results]
    assert errors == ([error] * 3 if job == "d.DiesAtStart" else [None, error, None])


def test_a_copy_of_a_process_does_not_go_on(device: Connection, database: str, receivers: Path, log: Path) -> None:
    """It would commit the runs of the original, run others, and answer for it."""
    device.execute("create table public.copied (change bigint)")
    for job in ("r.Forks", "r.ForksNow"):
        add_hook(database, receivers, job, ["create"])
    with Daemon(database, receivers, log).await_started() as daemon:
        for name in ("bad", "good", "bad", "good"):
            device.execute("insert into public.device (name) values (%s)", [name])
        wait_until("all have a result", ended(device, 8))
        ended_copies = daemon.await_event("copy_ended", 8)
        assert {each["receiver"] for each in ended_copies} == {"r.Forks", "r.ForksNow"}
        assert daemon.events("session_failed") == daemon.events("database_lost") == []
        assert daemon.terminate() == 0
    assert device.execute("select count(*), count(distinct change) from public.copied").fetchone() == (8, 4)
    assert device.execute("select count(*) from jobhooks.job_result where status <> 'success'").fetchone() == (0,)


@contextlib.contextmanager
def busy_machine() -> Generator[None]:
    """Keep all processors busy, with processes of a low share each."""
    children: list[int] = []
    try:
        for _ in range(2 * (os.cpu_count() or 1)):
            child = os.posix_spawn("/bin/sh", ["sh", "-c", "while :; do :; done"], os.environ)
            children.append(child)
        yield
    finally:
        for child in children:
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)


def children_of(process: int) -> list[int]:
    """The children that its threads have started."""
    found: list[int] = []
    with contextlib.suppress(OSError):
        for thread in Path(f"/proc/{process}/task").iterdir():
            found += map(int, (thread / "children").read_text().split())
    return found


def kill_some(daemon: Daemon, which: str) -> int:
    """Kill processes of the daemon, as the kernel does when memory is short; how many."""
    helpers = children_of(daemon.process.pid)
    workers = [worker for helper in helpers for worker in children_of(helper)]
    killed = {"one worker": workers[:1], "both workers": workers, "the fork server": helpers, "all": helpers + workers}
    for process in killed[which]:
        with contextlib.suppress(ProcessLookupError):
            os.kill(process, signal.SIGKILL)
    return len(killed[which])


@pytest.mark.parametrize(
    ("which", "busy"),
    [
        ("one worker", True),  # most of the other tests run on a busy machine as well
        *((which, False) for which in ("one worker", "both workers", "the fork server", "all")),
        *(pytest.param(which, True, marks=pytest.mark.nightly) for which in ("both workers", "the fork server", "all")),
    ],
)
def test_killed_processes_cost_attempts_and_nothing_else(
    device: Connection, database: str, receivers: Path, log: Path, which: str, busy: bool
) -> None:
    """The daemon starts others, and delivers everything once."""
    device.execute("create table public.copied (change bigint)")
    add_hook(database, receivers, "r.Copies", ["create"])
    device.execute("insert into public.device (name) select i::text from generate_series(1, 60) as i")
    with (
        busy_machine() if busy else contextlib.nullcontext(),
        Daemon(database, receivers, log, JOBHOOKS_WORKERS="2").await_started() as daemon,
    ):
        for delivered in (5, 15, 30):
            wait_until("some are delivered", lambda least=delivered: copied(device) >= least, 60)
            wait_until("there is something to kill", lambda: kill_some(daemon, which))
        wait_until("all are delivered", lambda: copied(device) == 60, 60)
        assert daemon.terminate() == 0 and daemon.tracebacks() == []
    assert device.execute("select count(distinct change) from public.copied").fetchone() == (60,)
    errors = device.execute("select distinct error from jobhooks.job_result where status = 'failure'").fetchall()
    assert all("worker process" in error for (error,) in errors)


def copied(conn: Connection) -> int:
    (count,) = conn.execute("select count(*) from public.copied").fetchone() or (0,)
    return count
