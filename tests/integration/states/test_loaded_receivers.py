"""The daemon's loaded receivers are in the database, and no command that lists changes them."""

import contextlib
import json
from pathlib import Path

import pytest

from conftest import Connection
from jobhooks.operations.configuration import hooks, jobs
from jobhooks.operations.doctor import problems
from jobhooks.store.connections import connect
from support.daemon import Daemon, jobhooks, wait_until
from support.hooking import add_hook, write_receivers

SOURCE = """
from jobhooks import JobHookReceiver

class R(JobHookReceiver):
    def receive_job_hook(self, change):
        pass
"""


@pytest.fixture
def receivers(tmp_path: Path) -> Path:
    return write_receivers(tmp_path / "receivers", SOURCE)


def job(database: str, class_path: str = "r.R") -> jobs.Job:
    with contextlib.closing(connect(database)) as conn:
        return next(each for each in jobs.jobs(conn) if each.job == class_path)


def hook(database: str) -> hooks.JobHook:
    with contextlib.closing(connect(database)) as conn:
        return hooks.hooks(conn)[0]


def test_listing_jobs_in_another_directory_changes_nothing(
    device: Connection, database: str, receivers: Path, log: Path, tmp_path: Path
) -> None:
    """Before, it installed receivers that no daemon had: a hook on one ran, and its changes waited forever."""
    elsewhere = write_receivers(tmp_path / "elsewhere", SOURCE, "other")
    rows = "select * from jobhooks.job order by id"
    with Daemon(database, receivers, log) as daemon:
        daemon.await_started()
        before = device.execute(rows).fetchall()
        where = ("--database-url", database, "--receivers-path", str(elsewhere))
        listed = jobhooks("job", "list", "--all", "--json", *where)
        assert device.execute(rows).fetchall() == before
        assert "other.R" not in [each["job"] for each in json.loads(listed.stdout)]
        assert "other.R" in listed.stderr
        jobhooks("job", "enable", "other.R", *where)
        other = job(database, "other.R")
        assert (other.enabled, other.installed, other.loaded) == (True, False, False)
        refused = jobhooks(
            *("hook", "add", "h", "--content-type", "public.device", "--events", "create", "--job", "other.R"),
            *("--database-url", database),
        )
        assert refused.returncode == 5 and "has not loaded its receiver" in refused.stderr


def test_the_list_follows_the_daemon(device: Connection, database: str, receivers: Path, log: Path) -> None:
    """Saved, broken, removed, put back; and nothing is known when the daemon is dead."""
    add_hook(database, receivers, "r.R")
    assert job(database).loaded is None
    file = receivers / "r.py"
    with Daemon(database, receivers, log) as daemon:
        daemon.await_started()
        first = job(database)
        assert (first.loaded, first.loaded_from) == (True, f"{file}:4") and first.version is not None
        assert daemon.events("started")[0]["database"]
        file.write_text(SOURCE.replace("pass", "return 1"))
        wait_until("it has loaded the other version", lambda: job(database).version != first.version)
        file.write_text(SOURCE)
        wait_until("it has loaded the first version again", lambda: job(database).version == first.version)
        file.write_text("import no_such_module\n")
        with contextlib.closing(connect(database)) as conn:
            broken = wait_until(
                "the doctor names it",
                lambda: [each for each in problems(conn, 30) if each.subject == "receiver module r"],
            )
        assert broken[0].severity == "error" and f"{file}:1: ModuleNotFoundError" in broken[0].problem
        assert job(database).loaded  # the code that was there before still runs
        file.unlink()
        wait_until("it is gone", lambda: job(database).loaded is False)
        found = hook(database)
        assert not found.runs and "the daemon has not loaded its receiver" in str(found.why_not)
        file.write_text(SOURCE)
        wait_until("it is back", lambda: hook(database).runs)
        daemon.kill()
    wait_until("its session has ended", lambda: job(database).loaded is None)
    listed = jobhooks("hook", "list", "--database-url", database)
    assert "yes, when a daemon runs" in listed.stdout
    (known,) = json.loads(jobhooks("hook", "list", "--json", "--database-url", database).stdout)
    assert (known["runs"], known["loaded"]) == (True, None)


def test_a_receiver_that_comes_back_after_its_job_was_deleted_has_a_new_one(
    device: Connection, database: str, receivers: Path, log: Path
) -> None:
    """It is off, and has no overrides; the daemon that runs neither stops nor records the deleted job again."""
    where = ("--database-url", database)
    rows = "select id, enabled, overrides::text from jobhooks.job where class_path = 'r.R'"
    with Daemon(database, receivers, log) as daemon:
        daemon.await_started()
        jobhooks("job", "enable", "r.R", *where)
        jobhooks("job", "set", "r.R", "max_attempts=2", *where)
        ((former, *_),) = device.execute(rows).fetchall()
        assert jobhooks("job", "delete", "r.R", *where).returncode == 5
        (receivers / "r.py").unlink()
        wait_until("it is gone", lambda: not job(database).installed)
        assert jobhooks("job", "delete", "r.R", *where).returncode == 0
        assert device.execute(rows).fetchall() == []
        (receivers / "r.py").write_text(SOURCE)
        wait_until("it has a new job", lambda: device.execute(rows).fetchall())
        ((new, enabled, overrides),) = device.execute(rows).fetchall()
        assert (new > former, enabled, overrides) == (True, False, "{}")


def test_a_module_that_never_imported_is_named_with_its_line(
    device: Connection, database: str, receivers: Path, log: Path
) -> None:
    (receivers / "bad.py").write_text("\n\nimport no_such_module\n")
    device.execute(
        "insert into jobhooks.job (class_path, settings, installed, enabled) values ('bad.B', '{}', false, true)"
    )
    with contextlib.closing(connect(database)) as conn:
        hooks.add_hook(conn, hooks.HookSettings("h", ["public.device"], "bad.B", ["create"]))
    with Daemon(database, receivers, log) as daemon:
        daemon.await_started()
        shown = jobhooks("status", "--database-url", database).stdout
        assert "receiver module bad" in shown and f"{receivers / 'bad.py'}:3: ModuleNotFoundError" in shown
        assert f"{receivers / 'bad.py'}:3" in str(hook(database).why_not)


def test_a_hook_is_added_before_the_first_daemon(device: Connection, database: str, receivers: Path, log: Path) -> None:
    """As the tutorial does. It does not run until a daemon has loaded the receiver."""
    where = ("--database-url", database)
    assert jobhooks("job", "enable", "r.R", *where, "--receivers-path", str(receivers)).returncode == 0
    added = jobhooks(
        "hook", "add", "h", "--content-type", "public.device", "--events", "create", "--job", "r.R", *where
    )
    assert added.returncode == 0 and "no daemon has loaded its receiver" in added.stderr
    assert not hook(database).runs
    with Daemon(database, receivers, log) as daemon:
        daemon.await_started()
        assert hook(database).runs and hook(database).why_not is None
        assert "when a daemon runs" not in jobhooks("hook", "list", *where).stdout


def test_a_directory_that_does_not_exist_is_named(
    device: Connection, database: str, receivers: Path, log: Path
) -> None:
    """By the daemon's log, the doctor and the lists; the directories of the default setting may be missing."""
    gone = receivers.parent / "gone"
    with Daemon(database, receivers, log, "--receivers-path", f"{receivers}:{gone}") as daemon:
        daemon.await_started()
        assert [event["path"] for event in daemon.events("receivers_path_missing")] == [str(gone)]
        assert str(gone) in jobhooks("doctor", "--database-url", database).stdout
    assert f"there is no directory {gone}" in jobhooks("receiver", "list", "--receivers-path", str(gone)).stderr
    assert "there is no directory" not in jobhooks("receiver", "list", cwd=receivers.parent).stderr


def test_a_locked_job_holds_up_the_record_and_nothing_else(
    device: Connection, database: str, receivers: Path, log: Path
) -> None:
    """An operator's open transaction has a job's row: the daemon delivers, and records it later."""
    add_hook(database, receivers, "r.R")
    device.execute("update jobhooks.job set installed = false")
    with contextlib.closing(connect(database)) as other, Daemon(database, receivers, log) as daemon:
        with other.transaction():
            other.execute("select from jobhooks.job for update")
            daemon.await_started()
            assert daemon.events("jobs_not_recorded")
            device.execute("insert into public.device (name) values ('a')")
            daemon.await_event("delivered")
            assert job(database).loaded is None
        wait_until("it is recorded", lambda: job(database).loaded)


def test_variables_that_are_no_settings_are_named(
    device: Connection, database: str, receivers: Path, log: Path
) -> None:
    said = jobhooks("job", "list", JOBHOOKS_DATABASE_URL=database, JOBHOOKS_PAGESIZE="7").stderr
    assert "JOBHOOKS_PAGESIZE in the environment has no effect" in said and '"JOBHOOKS_PAGE_SIZE"' in said
    with Daemon(database, receivers, log, JOBHOOKS_PAGESIZE="7") as daemon:
        daemon.await_started()
        assert "JOBHOOKS_PAGESIZE" in str(daemon.events("unknown_variable")[0]["problem"])
