"""Signals to all processes of the daemon, tables that change under prepared statements, and processes that are idle."""

import os
import signal
from pathlib import Path

import pytest

from conftest import Connection
from support.daemon import Daemon, descendants, wait_until
from support.hooking import add_hook, write_receivers

SOURCE = """
import asyncio, time
from pathlib import Path
from jobhooks import JobHookReceiver

class Takes(JobHookReceiver):
    class Meta:
        max_attempts = 1
    def receive_job_hook(self, change):
        Path(change.postchange["name"]).touch()
        time.sleep(1)

class Selects(JobHookReceiver):
    class Meta:
        max_attempts = 1
    def receive_job_hook(self, change):
        self.connection.execute("select * from public.thing").fetchall()

class SelectsAsync(JobHookReceiver):
    class Meta:
        max_attempts = 1
    async def receive_job_hook(self, change):
        await self.connection.fetch("select * from public.thing")

class SelectsAlone(JobHookReceiver):
    class Meta:
        max_attempts = 1
        is_singleton = True
    def after_return(self, status, value):
        pass
    def receive_job_hook(self, change):
        try:
            self.connection.execute("select * from public.thing").fetchall()
        except Exception as exc:
            raise LookupError("no things") from exc
"""


@pytest.fixture
def receivers(tmp_path: Path) -> Path:
    return write_receivers(tmp_path / "receivers", SOURCE)


def results(conn: Connection) -> list[tuple[object, ...]]:
    return conn.execute(
        "select status, error, count(*) from jobhooks.job_result group by 1, 2 order by 1, 2"
    ).fetchall()


def runs(process: int) -> bool:
    """Whether a process exists and is no zombie, as a worker of a fork server that has ended may stay."""
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def count(conn: Connection) -> int:
    (found,) = conn.execute("select count(*) from jobhooks.job_result").fetchone() or (0,)
    return found


def test_sigterm_to_all_processes_is_the_same_as_sigterm_to_the_daemon(
    device: Connection, database: str, receivers: Path, log: Path, tmp_path: Path
) -> None:
    """The run in a worker ends as usual, and no process is left for a service manager to kill."""
    add_hook(database, receivers, "r.Takes", ["create"])
    begun = tmp_path / "begun"
    with Daemon(database, receivers, log).await_started() as daemon:
        device.execute("insert into public.device (name) values (%s)", [str(begun)])
        wait_until("it runs", begun.exists)
        processes = descendants(daemon.process.pid)
        for each in processes:
            os.kill(each, signal.SIGTERM)
        assert daemon.terminate() == 0
        assert not [each for each in processes if runs(each)]
    assert results(device) == [("success", None, 1)]


@pytest.mark.parametrize("job", ["r.Selects", "r.SelectsAsync", "r.SelectsAlone"])
def test_a_changed_table_costs_no_attempt(
    device: Connection, database: str, receivers: Path, log: Path, job: str
) -> None:
    """The driver has prepared the statement, so the server refuses it once a column is added."""
    device.execute("create table public.thing (a integer)")
    add_hook(database, receivers, job, ["create"])
    with Daemon(database, receivers, log).await_started():
        for columns in range(3):
            for number in range(10):
                device.execute("insert into public.device (name) values (%s)", [f"{columns} {number}"])
            wait_until("they are done", lambda most=10 * (columns + 1): count(device) == most)
            device.execute(f"alter table public.thing add column c{columns} text".encode())
    assert results(device) == [("success", None, 30)]
