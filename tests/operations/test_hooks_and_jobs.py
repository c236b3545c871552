"""Operations on hooks, jobs and receivers, called directly."""

import contextlib
from collections.abc import Generator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import msgspec
import pytest

from conftest import Connection
from jobhooks.discovery.loading import find_receivers
from jobhooks.errors import InvalidName, JobInUse, NotWatched, Refused, UnknownHook, UnknownJob
from jobhooks.matching.hook_settings import HookSettings
from jobhooks.operations.configuration import hook_file, hooks, jobs, receivers
from jobhooks.operations.configuration.history import Kind, history
from jobhooks.operations.configuration.hook_plan import (
    Difference,
    StepKind,
    adding,
    carry_out,
    editing,
    plan,
    saving,
    take,
    with_listed_names,
)
from jobhooks.operations.new_receiver import new_receiver
from jobhooks.runtime.settings import load
from jobhooks.store.connections import SyncConnection, connect
from support.daemon import wait_until
from support.hooking import write_receivers

RECEIVERS = """
from jobhooks import JobHookReceiver

class One(JobHookReceiver):
    class Meta:
        max_attempts = 3
        order_by = ["serial"]

class Two(JobHookReceiver):
    pass
"""
HOOK = HookSettings("h", ["public.device"], "r.One", ["create", "update"], conditions='new.serial == "1"')


@pytest.fixture
def conn(device: Connection, database: str, tmp_path: Path) -> Generator[SyncConnection]:
    """A connection to a database with two jobs, one of them enabled."""
    registry = find_receivers([write_receivers(tmp_path / "receivers", RECEIVERS)])
    with contextlib.closing(connect(database)) as conn:
        receivers.register(conn, registry, complete=True)
        receivers.enable(conn, registry, "r.One")
        yield conn


def test_receivers_are_found_in_the_directories_of_the_settings_and_in_jobhooks(tmp_path: Path) -> None:
    first = write_receivers(tmp_path / "first", RECEIVERS)
    (tmp_path / "second").mkdir()
    (tmp_path / "second" / "other.py").write_text(RECEIVERS)
    found = receivers.find(load(receivers_path=(first, tmp_path / "second"))).receivers
    built_in = {path.stem for path in receivers.BUILT_IN.glob("*.py")}
    assert {"r.One", "r.Two", "other.One", "other.Two"} <= found.keys()
    assert {class_path.partition(".")[0] for class_path in found} - {"r", "other"} <= built_in
    assert len(found) > 4


def test_hooks_are_added_edited_switched_and_deleted(conn: SyncConnection) -> None:
    hooks.add_hook(conn, HOOK)
    take(conn, saving(hooks.hook_details(conn, "h"), replace(HOOK, coalesce_s=5.0)))
    found = hooks.hook_details(conn, "h")
    assert (found.coalesce_s, found.runs, found.condition_state, found.deliveries) == (5.0, True, "valid", {})
    hooks.enable_hook(conn, "h", enabled=False)
    assert not hooks.hook_details(conn, "h").runs
    hooks.enable_hook(conn, "h")
    hooks.pause_hooks(conn, ["h"])
    found = hooks.hook_details(conn, "h")
    assert (found.enabled, found.paused, found.runs) == (True, True, False)
    with pytest.raises(UnknownHook):
        hooks.pause_hooks(conn, ["h", "g"], paused=False)
    assert hooks.hook_details(conn, "h").paused, "all or none are resumed"
    hooks.pause_hooks(conn, ["h"], paused=False)
    assert hooks.hook_details(conn, "h").runs
    assert hooks.delete_hook(conn, "h") == 0
    assert hooks.hooks(conn) == []
    with pytest.raises(UnknownHook):
        hooks.hook_details(conn, "h")


def test_an_unknown_job_is_refused(conn: SyncConnection) -> None:
    with pytest.raises(UnknownJob):
        jobs.job_details(conn, "r.Ona")


def test_tables_of_a_hook_are_found_as_postgresql_finds_them(conn: SyncConnection) -> None:
    """``device`` is ``public.device``, as for ``table watch``. An invalid name is refused as an unwatched table."""
    take(conn, adding(conn, replace(HOOK, content_types=["device"])))
    assert hooks.hook_details(conn, "h").content_types == ["public.device"]
    with conn.transaction(), pytest.raises(NotWatched, match=r"a\.b\.c"):
        take(conn, editing(conn, "h", {"content_types": ["a.b.c"]}))
    assert editing(conn, "h", {"content_types": ["device"]}).differences == []


def test_disabling_a_job_names_its_enabled_hooks(conn: SyncConnection) -> None:
    hooks.add_hook(conn, HOOK)
    hooks.add_hook(conn, replace(HOOK, name="off", events=["delete"], enabled=False))
    assert jobs.disable_job(conn, "r.One") == ["h"]


def test_a_job_is_deleted_once_nothing_needs_it(conn: SyncConnection) -> None:
    """Its history stays, and a receiver that comes back gets a new job, which is off."""
    hooks.add_hook(conn, replace(HOOK, name="Bob's"))
    with pytest.raises(JobInUse, match="it is installed") as installed:
        jobs.delete_job(conn, "r.One")
    assert "jobhooks job disable r.One" in str(installed.value)
    conn.execute("update jobhooks.job set installed = false")
    with pytest.raises(JobInUse, match='hooks use it: "Bob\'s"') as used:
        jobs.delete_job(conn, "r.One")
    assert "jobhooks hook delete 'Bob'\\''s'" in str(used.value)
    hooks.delete_hook(conn, "Bob's")
    jobs.delete_job(conn, "r.One")
    assert "r.One" not in [job.job for job in jobs.jobs(conn)]
    with pytest.raises(UnknownJob):
        jobs.delete_job(conn, "r.One")
    changes = history(conn, Kind.JOB, "r.One", 50)
    assert (changes[-1].action, changes[-1].after) == ("delete", None)


def test_a_hook_that_is_being_added_keeps_its_job(conn: SyncConnection, database: str) -> None:
    """The job is deleted while another transaction adds a hook on it: that waits, and then refuses."""
    conn.execute("update jobhooks.job set installed = false")
    with contextlib.closing(connect(database)) as other, ThreadPoolExecutor(1) as pool:
        with conn.transaction():
            hooks.add_hook(conn, replace(HOOK, enabled=False))
            deleting = pool.submit(jobs.delete_job, other, "r.One")
            waits = "select exists (select from pg_locks where not granted and pid = %s)"
            wait_until("it waits", lambda: conn.execute(waits, [other.info.backend_pid]).fetchall() == [(True,)])
        with pytest.raises(JobInUse, match="hooks use it"):
            deleting.result()


def test_hidden_jobs_are_listed_on_request(conn: SyncConnection, tmp_path: Path) -> None:
    """The list changes nothing: a receiver that no daemon has loaded gets a job when it is enabled."""
    hidden = "class Hidden(JobHookReceiver):\n    class Meta:\n        hidden = True\n        max_attemps = 1\n"
    hidden += "    def receive_job_hook(self, change):\n        pass\n"
    registry = find_receivers([write_receivers(tmp_path / "more", f"from jobhooks import JobHookReceiver\n{hidden}")])
    assert receivers.without_job(conn, registry) == ["r.Hidden"]
    receivers.enable(conn, registry, "r.Hidden")
    assert receivers.without_job(conn, registry) == []
    assert "r.Hidden" not in [job.job for job in receivers.listed_jobs(conn)]
    assert "r.Hidden" in [job.job for job in receivers.listed_jobs(conn, hidden=True)]
    (problem,) = receivers.problems_of_receivers(registry)
    assert "Hidden.Meta.max_attemps" in problem


def test_a_plan_is_carried_out_whole_or_not_at_all(conn: SyncConnection) -> None:
    hooks.add_hook(conn, HOOK)
    seen = hooks.hooks(conn)
    other = HookSettings("other", ["device"], "r.One", ["delete"])
    steps = plan(conn, seen, [with_listed_names(conn, each) for each in (HOOK, other)])
    assert [(step.kind, step.name) for step in steps] == [(StepKind.ADD, "other")]
    assert Difference("content_types", [], ["public.device"]) in steps[0].differences
    carry_out(conn, seen, steps, keep=False)
    assert hooks.hooks(conn) == seen
    carry_out(conn, seen, steps)
    assert [hook.name for hook in hooks.hooks(conn)] == ["h", "other"]
    with pytest.raises(Refused):
        carry_out(conn, seen, plan(conn, seen, []))
    assert len(hooks.hooks(conn)) == 2


def test_an_export_in_either_form_reads_back_as_the_same_hooks(conn: SyncConnection, tmp_path: Path) -> None:
    """TOML, and what `hook export --json` prints."""
    hooks.add_hook(conn, replace(HOOK, coalesce_s=0.0))
    found = hooks.hooks(conn)
    toml, as_json = tmp_path / "hooks.toml", tmp_path / "hooks.json"
    toml.write_text(hook_file.written(found))
    as_json.write_bytes(msgspec.json.encode([hook_file.entry(hook) for hook in found]))
    in_toml, in_json = hook_file.read(toml), hook_file.read(as_json)
    assert in_json is not None
    assert in_toml == in_json
    assert plan(conn, found, in_json) == []


def test_settings_of_a_job_are_overridden_and_reset(conn: SyncConnection) -> None:
    assert jobs.job_details(conn, "r.One").settings["order_by"] == ["serial"]
    jobs.set_job(conn, "r.One", {"max_attempts": 5, "order_by": "table"})
    details = jobs.job_details(conn, "r.One")
    assert (details.settings["max_attempts"], details.settings["order_by"]) == (5, "table")
    assert details.receiver == {"max_attempts": 3, "order_by": ["serial"]}
    assert jobs.reset_job(conn, "r.One", ["order_by"]) == ["order_by"]
    assert jobs.reset_job(conn, "r.One", None) == ["max_attempts"]
    assert jobs.job_details(conn, "r.One").overridden == []


def test_jobs_are_listed_and_switched(conn: SyncConnection) -> None:
    assert [(job.job, job.enabled) for job in jobs.jobs(conn) if job.job.startswith("r.")] == [
        ("r.One", True),
        ("r.Two", False),
    ]
    jobs.enable_job(conn, "r.One", enabled=False)
    assert not jobs.job_details(conn, "r.One").enabled


@pytest.mark.parametrize("job", ["shout", "r.Onne", "other.One"])
def test_a_job_without_a_receiver_is_not_enabled(conn: SyncConnection, tmp_path: Path, job: str) -> None:
    with pytest.raises(UnknownJob):
        receivers.enable(conn, find_receivers([tmp_path / "receivers"]), job)
    assert [job.job for job in jobs.jobs(conn) if job.enabled] == ["r.One"]


def test_the_history_has_every_change_of_a_hook_and_a_job(conn: SyncConnection) -> None:
    hooks.add_hook(conn, HOOK)
    hooks.edit_hook(conn, "h", {"priority": 3})
    added, edited = history(conn, Kind.HOOK, "h", 10)
    assert (added.action, added.before, edited.action, edited.user) == ("create", None, "update", conn.info.user)
    assert edited.after is not None and edited.after["priority"] == 3
    assert [change.action for change in history(conn, Kind.JOB, "r.One", 1)] == ["update"]
    with pytest.raises(UnknownHook):
        history(conn, Kind.HOOK, "never", 10)


def test_a_new_receiver_is_found(tmp_path: Path) -> None:
    made = new_receiver("check_serial", tmp_path / "receivers", tmp_path / "tests")
    assert made.job in find_receivers([tmp_path / "receivers"]).receivers
    assert made.test.exists()
    with pytest.raises(InvalidName):
        new_receiver("check_serial", tmp_path / "receivers", tmp_path / "tests")


@pytest.mark.parametrize(
    ("name", "suggested"),
    [("CheckSerial", "check_serial"), ("check-serial", "check_serial"), ("shout.py", "shout"), ("1st", "check_serial")],
)
def test_a_name_that_is_no_modules_gets_a_suggestion(tmp_path: Path, name: str, suggested: str) -> None:
    with pytest.raises(InvalidName) as caught:
        new_receiver(name, tmp_path / "receivers", tmp_path / "tests")
    assert caught.value.remedy == suggested


@pytest.mark.parametrize("name", ["json", "email", "queue", "jobhooks", "conftest", "test_thing", "class", "a-b", "_a"])
def test_a_name_that_would_break_its_test_is_refused(tmp_path: Path, name: str) -> None:
    """Or whose module would never be loaded."""
    with pytest.raises(InvalidName):
        new_receiver(name, tmp_path / "receivers", tmp_path / "tests")
    assert list(tmp_path.iterdir()) == []
