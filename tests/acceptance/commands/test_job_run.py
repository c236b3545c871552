"""``jobhooks job run`` through a daemon: JSON and exit codes; the texts are in test_texts.py."""

import json
from pathlib import Path

import pytest

from conftest import Connection
from support.daemon import Daemon, jobhooks
from support.hooking import add_hook, write_receivers

FAILED, REFUSED = 1, 5
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


def job_run(conn: Connection, *arguments: str, code: int = 0) -> str:
    """Run the job for change 1, and return what is on stdout."""
    finished = jobhooks("job", "run", "r.Counts", "--change", "1", *arguments, JOBHOOKS_DATABASE_URL=conn.info.dsn)
    assert finished.returncode == code, finished.stderr + finished.stdout
    return finished.stdout


def test_a_job_runs_again_for_a_change_and_its_result_is_shown(
    device: Connection, database: str, receivers: Path, log: Path
) -> None:
    """For real, through the daemon: its writes are kept, and its attempts are numbered on."""
    with Daemon(database, receivers, log).await_started():
        (made,) = json.loads(job_run(device, "--json"))
        assert (made["attempt"], made["status"], made["log"][0]["message"]) == (1, "success", "attempt 1")
        (receivers / "broken").touch()
        (made,) = json.loads(job_run(device, "--json", code=FAILED))
        assert (made["hook"], made["attempt"], made["status"]) == ("hook of r.Counts", 2, "failure")
        assert (made["error"], made["log"][0]["message"]) == ("ValueError: it is broken", "attempt 2")
        job_run(device, code=REFUSED)
    assert device.execute("select attempt from public.seen").fetchall() == [(1,)]


def test_without_a_daemon_it_fails_and_the_delivery_stays_queued(device: Connection, receivers: Path) -> None:
    assert job_run(device, "--timeout", "0", code=FAILED) == ""
    assert device.execute("select change_id, status from jobhooks.delivery").fetchall() == [(1, "waiting")]
