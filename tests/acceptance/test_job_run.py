"""Running a job for a given change: by its hooks, through the daemon, with a visible outcome."""

import json
import subprocess
from pathlib import Path

import pytest

from conftest import Connection
from support.daemon import Daemon, jobhooks
from support.hooking import add_hook, write_receivers

FAILED, USAGE, REFUSED = 1, 2, 5
RECEIVERS = """
from pathlib import Path
from jobhooks import JobHookReceiver

class Counts(JobHookReceiver):
    class Meta:
        max_attempts = 1

    def receive_job_hook(self, change, action, changed_object):
        self.log_info(f"attempt {self.attempt}")
        self.connection.execute("insert into public.seen (attempt) values (%s)", [self.attempt])
        if Path("broken").exists():
            raise ValueError("it is broken")
"""


@pytest.fixture
def receivers(tmp_path: Path, device: Connection, database: str) -> Path:
    """The folder of the receivers, one of them with a hook; change 1, an update, came before the hook."""
    device.execute("create table public.seen (attempt integer)")
    device.execute("update public.device set serial = 'one'")
    directory = write_receivers(tmp_path / "receivers", RECEIVERS)
    add_hook(database, directory, "r.Counts", ["update"])
    return directory


@pytest.fixture
def log(tmp_path: Path) -> Path:
    return tmp_path / "daemon.log"


def job_run(conn: Connection, *arguments: str, code: int = 0) -> subprocess.CompletedProcess[str]:
    finished = jobhooks("job", "run", *arguments, JOBHOOKS_DATABASE_URL=conn.info.dsn)
    assert finished.returncode == code, finished.stderr + finished.stdout
    assert "Traceback" not in finished.stderr
    return finished


def test_a_job_runs_again_for_a_change_and_one_sees_what_it_did(
    device: Connection, database: str, receivers: Path, log: Path
) -> None:
    """For real, through the daemon: its writes are kept, and its attempts are numbered on."""
    with Daemon(database, receivers, log).await_started():
        lines = job_run(device, "r.Counts", "--change", "1").stdout.splitlines()
        assert lines[0] == "change 1: update public.device id = 1"
        assert lines[1] == 'hook "hook of r.Counts"'
        assert lines[2].startswith("  attempt 1, ")
        assert "success in " in lines[2]
        assert lines[3:] == ["    info: attempt 1"]
        (receivers / "broken").touch()
        (made,) = json.loads(job_run(device, "r.Counts", "--change", "1", "--json", code=FAILED).stdout)
        assert (made["hook"], made["attempt"], made["status"]) == ("hook of r.Counts", 2, "failure")
        assert (made["error"], made["log"][0]["message"]) == ("ValueError: it is broken", "attempt 2")
        refused = job_run(device, "r.Counts", "--change", "1", code=REFUSED)
        assert 'the hook "hook of r.Counts": the change is pending for it already' in refused.stderr
    assert device.execute("select attempt from public.seen").fetchall() == [(1,)]


def test_without_a_daemon_it_says_so_and_stays_queued(device: Connection, receivers: Path) -> None:
    finished = job_run(device, "r.Counts", "--change", "1", "--timeout", "0", code=FAILED)
    assert "has not run in time: no daemon runs, or it is busy; its delivery stays queued" in finished.stderr
    assert device.execute("select change_id, status from jobhooks.delivery").fetchall() == [(1, "waiting")]


def test_a_hook_that_is_off_is_named(device: Connection, receivers: Path) -> None:
    device.execute("update jobhooks.job set enabled = false")
    finished = job_run(device, "r.Counts", "--change", "1", code=REFUSED)
    assert 'the hook "hook of r.Counts": it does not run, because the hook or its job is disabled' in finished.stderr
    assert "cannot run r.Counts for change 1 now" in finished.stderr
    assert device.execute("select from jobhooks.delivery").fetchall() == []


def test_what_the_daemon_has_yet_to_read_is_left_to_it(device: Connection, receivers: Path) -> None:
    device.execute("update public.device set serial = 'two'")
    finished = job_run(device, "r.Counts", "--change", "2", code=REFUSED)
    assert "the daemon has yet to read the change, and will deliver it then" in finished.stderr


def test_what_a_receiver_made_is_given_to_none(device: Connection, receivers: Path) -> None:
    device.execute("set jobhooks.triggering = off; update public.device set serial = 'two'")
    finished = job_run(device, "r.Counts", "--change", "2", code=REFUSED)
    assert "a receiver made the change, or a role whose changes trigger nothing" in finished.stderr


def test_one_that_waits_for_another_says_so(device: Connection, receivers: Path) -> None:
    """Otherwise one would search for a fault in the daemon."""
    job_run(device, "r.Counts", "--change", "1", "--timeout", "0", code=FAILED)
    device.execute("update jobhooks.delivery set status = 'dead', due_at = null")
    device.execute("set jobhooks.triggering = on; update public.device set serial = 'two'")
    device.execute("update jobhooks.job_hook set enabled_since = pg_current_snapshot()")  # so change 2 came before it
    finished = job_run(device, "r.Counts", "--change", "2", "--timeout", "0", code=FAILED)
    assert "it waits for an older change of the same object, which is pending as well" in finished.stderr


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["r.Counts"], USAGE, "missing option '--change'"),
        (["r.Nobody", "--change", "1"], REFUSED, "there is no job r.Nobody. Try: jobhooks job list"),
        (["r.Counts", "--change", "99"], REFUSED, "there is no change 99 in the log"),
        (
            ["r.Counts", "--change", "2"],
            REFUSED,
            "no hook delivers the delete of public.device to r.Counts. Try: jobhooks hook add",
        ),
    ],
)
def test_what_cannot_be_run_is_one_line(
    device: Connection, receivers: Path, arguments: list[str], code: int, words: str
) -> None:
    device.execute("delete from public.device")
    finished = job_run(device, *arguments, code=code)
    assert finished.stdout == ""
    assert words in " ".join(finished.stderr.replace("│", " ").split())
