"""Testing receivers: the guide is followed to the letter, in a separate project."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from support.daemon import environment
from support.postgres.servers import Server

GUIDE = Path(__file__).parents[2] / "docs" / "how-to" / "test-a-receiver.md"


def run_pytest(project: Path, *arguments: str, **changes: str) -> str:
    finished = subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-q", *arguments],
        check=False,
        capture_output=True,
        text=True,
        cwd=project,
        env={**environment(**changes), "PYTHONPATH": "receivers"},
    )
    return finished.stdout + finished.stderr


@pytest.fixture
def project(tmp_path: Path) -> Path:
    receiver, *tests = re.findall(r"```python\n(.*?)```", GUIDE.read_text(), re.DOTALL)
    (tmp_path / "receivers").mkdir()
    (tmp_path / "tests").mkdir()
    (tmp_path / "receivers" / "capitals.py").write_text(receiver)
    for number, text in enumerate(tests):
        (tmp_path / "tests" / f"test_capitals_{number}.py").write_text(text)
    return tmp_path


def test_the_guide_is_true(project: Path) -> None:
    assert "3 passed" in run_pytest(project, "tests")


ENDING = """
from jobhooks import JobHookReceiver


class Counts(JobHookReceiver):
    class Meta:
        backoff = 3600

    async def receive_job_hook(self, change):
        await self.connection.execute("select 1")
        if self.attempt == 1 and change.postchange and change.postchange["name"] == "bad":
            raise ValueError("not yet")
        self.log_info("counted")
        return change.id


class Together(JobHookReceiver):
    def receive_job_hook_batch(self, changes):
        return len(changes)


def test_all_pending_deliveries_end(jobhooks_database, watch, run_hooks):
    conn = jobhooks_database.connection
    conn.execute("create table t (id integer primary key, name text)")
    watch("public.t")
    conn.execute("insert into t select i, 'good' from generate_series(1, 1200) as i")
    results = run_hooks(Counts)
    assert len(results) == 1200 and {(one.status, len(one.log)) for one in results} == {("success", 1)}
    assert [one.value for one in results] == list(range(1, 1201))

    conn.execute("insert into t values (0, 'bad')")
    (failed,) = run_hooks(Counts)
    assert (failed.status, failed.error, failed.attempt) == ("failure", "ValueError: not yet", 1)
    assert run_hooks(Counts) == []
    conn.execute("update jobhooks.delivery set due_at = now()")
    (again,) = run_hooks(Counts)
    assert (again.status, again.attempt) == ("success", 2)


def test_merged_and_batched_changes_are_not_waited_for(jobhooks_database, watch, run_hooks):
    conn = jobhooks_database.connection
    conn.execute("create table t (id integer primary key, name text)")
    watch("public.t")
    assert run_hooks(Together) == []
    conn.execute("update jobhooks.job_hook set coalesce_s = 3600")
    conn.execute("insert into t values (1, 'a'), (2, 'a')")
    conn.execute("update t set name = 'b'")
    results = run_hooks(Together)
    assert [one.status for one in results] == ["success"] * 4
    assert results[0].value == 2


def test_deliveries_of_other_jobs_wait(jobhooks_database, watch, run_hooks):
    conn = jobhooks_database.connection
    conn.execute("create table t (id integer primary key, name text)")
    watch("public.t")
    assert run_hooks(Counts, Together) == []
    conn.execute("insert into t values (1, 'a')")
    assert [one.value for one in run_hooks(Counts)] == [1]
    assert [one.value for one in run_hooks(Together)] == [1]
"""


def test_run_hooks_delivers_to_the_end(tmp_path: Path, server: Server) -> None:
    """Many pages, failures, later changes; async def and batches. Deliveries to other hooks wait."""
    (tmp_path / "test_ending.py").write_text(ENDING)
    assert "3 passed" in run_pytest(tmp_path, "test_ending.py", JOBHOOKS_TEST_DATABASE_URL=server.admin_url)


ANYHOW = """
import asyncio
import time

import pytest
from jobhooks import JobHookReceiver
from jobhooks.errors import InvalidHookData, Refused


class HasALoop(JobHookReceiver):
    def receive_job_hook(self, change):
        return asyncio.run(asyncio.sleep(0, change.id))


class Awaits(JobHookReceiver):
    async def receive_job_hook(self, change):
        return await asyncio.sleep(0, change.id)


class Hangs(JobHookReceiver):
    def receive_job_hook(self, change):
        self.connection.execute("insert into t values (99)")
        time.sleep(600)


class Channels(JobHookReceiver):
    class Data:
        channel: str

    def receive_job_hook(self, change):
        return self.hook.data.channel


class HangsToo(JobHookReceiver):
    async def receive_job_hook(self, change):
        await self.connection.execute("insert into t values (99)")
        await asyncio.sleep(600)


@pytest.fixture
def conn(jobhooks_database, watch):
    conn = jobhooks_database.connection
    conn.execute("create table t (id integer primary key)")
    watch("public.t")
    conn.execute("insert into t values (1)")
    return conn


def test_in_a_loop_that_runs(conn, run_hooks):
    async def test():
        return run_hooks(HasALoop, Awaits)

    assert [(one.status, one.value) for one in asyncio.run(test())] == [("success", 1)] * 2


def test_with_none(conn, run_hooks):
    assert [(one.status, one.value) for one in run_hooks(HasALoop, Awaits)] == [("success", 1)] * 2


def test_data_of_hooks(conn, run_hooks):
    with pytest.raises(InvalidHookData, match="needs channel"):
        run_hooks(Channels)
    conn.execute("update jobhooks.job_hook set data = jsonb_build_object('channel', 'ops')")
    assert [one.value for one in run_hooks(Channels)] == ["ops"]


@pytest.mark.parametrize("receiver", [Hangs, HangsToo])
def test_what_hangs_is_ended(conn, run_hooks, receiver):
    with pytest.raises(TimeoutError, match="within 1 seconds: does one hang"):
        run_hooks(receiver, timeout=1)
    assert conn.execute("select id from t").fetchall() == [(1,)]


def test_what_is_not_committed(conn, run_hooks):
    with conn.transaction(), pytest.raises(Refused, match="transaction open"):
        run_hooks(Awaits)
"""


def test_it_works_wherever_a_test_calls_it(tmp_path: Path, server: Server) -> None:
    """Also in async def tests, and with receivers that start a loop, or never end."""
    (tmp_path / "test_anyhow.py").write_text(ANYHOW)
    assert "6 passed" in run_pytest(tmp_path, "test_anyhow.py", JOBHOOKS_TEST_DATABASE_URL=server.admin_url)


def test_whoever_does_not_ask_for_a_fixture_loads_nothing(tmp_path: Path) -> None:
    """The plugin is loaded in every test run of every project on that Python."""
    (tmp_path / "test_other.py").write_text(
        "import sys\ndef test_it():\n    assert not {'asyncpg', 'psycopg', 'jobhooks.engine'} & sys.modules.keys()\n"
    )
    assert "1 passed" in run_pytest(tmp_path, "test_other.py")
