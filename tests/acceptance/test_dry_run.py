"""Trying a receiver on a recorded change: its effects are shown, and rolled back."""

import json
import time
from pathlib import Path
from typing import Any

import pytest

from conftest import Connection
from support.daemon import jobhooks
from support.hooking import write_receivers

FAILED, USAGE, REFUSED = 1, 2, 5
RECEIVERS = """
import asyncio, os, sys, time
from pathlib import Path
from jobhooks import Discard, JobHookReceiver, Retry, SoftTimeLimitExceeded

class Reverts(JobHookReceiver):
    def receive_job_hook(self, change, action, changed_object):
        print("printed by the receiver")
        self.log_info(changed_object, f"{action} by {change.user_name}")
        changed_object.serial = change.prechange["serial"]
        changed_object.save()
        self.connection.execute("insert into public.audit (word) values ('reverted')")
        self.connection.execute("insert into public.unwatched (word) values ('reverted')")
        Path("touched").touch()

class RevertsQuietly(JobHookReceiver):
    def receive_job_hook(self, change, action, changed_object):
        changed_object.serial = change.prechange["serial"]
        changed_object.save()

class RevertsToo(JobHookReceiver):
    async def receive_job_hook(self, change, action, changed_object):
        print("printed by the receiver")
        self.log_info(changed_object, f"{action} by {change.user_name}")
        changed_object.serial = change.prechange["serial"]
        await changed_object.save()
        await self.connection.execute("insert into public.audit (word) values ('reverted')")
        await self.connection.execute("insert into public.unwatched (word) values ('reverted')")
        Path("touched").touch()

class Fails(JobHookReceiver):
    def receive_job_hook(self, change, action, changed_object):
        changed_object.delete()
        raise ValueError("no such vendor")

class FailsToo(JobHookReceiver):
    async def receive_job_hook(self, change, action, changed_object):
        await changed_object.delete()
        raise ValueError("no such vendor")

class Asks(JobHookReceiver):
    def receive_job_hook(self, change):
        raise Retry(60)

class Discards(JobHookReceiver):
    async def receive_job_hook(self, change):
        raise Discard("not for us")

class Deferred(JobHookReceiver):
    def receive_job_hook(self, change):
        self.connection.execute("insert into public.pair (id, partner) values (1, 2)")

class DeferredToo(JobHookReceiver):
    async def receive_job_hook(self, change):
        await self.connection.execute("insert into public.pair (id, partner) values (1, 2)")

class Commits(JobHookReceiver):
    def receive_job_hook(self, change):
        self.connection.execute("insert into public.audit (word) values ('kept')")
        self.connection.execute("commit")

class CommitsToo(JobHookReceiver):
    async def receive_job_hook(self, change):
        await self.connection.execute("insert into public.audit (word) values ('kept')")
        await self.connection.execute("commit")

class Takes(JobHookReceiver):
    def receive_job_hook(self, change):
        self.connection.execute("insert into public.audit (word) values ('as another')")
        self.connection.execute("set role " + change.postchange["name"])

class Hangs(JobHookReceiver):
    class Meta:
        soft_time_limit, time_limit = 0.3, 0.8
    def receive_job_hook(self, change):
        self.connection.execute("insert into public.audit (word) values ('hung')")
        while True:
            try:
                while True:
                    time.sleep(60)
            except SoftTimeLimitExceeded:
                self.log_warning("it is late")

class HangsToo(JobHookReceiver):
    class Meta:
        time_limit = 0.3
    async def receive_job_hook(self, change):
        await self.connection.execute("insert into public.audit (word) values ('hung')")
        await asyncio.sleep(60)

class Blocks(JobHookReceiver):
    class Meta:
        time_limit = 0.3
    async def receive_job_hook(self, change):
        time.sleep(60)

class Dies(JobHookReceiver):
    def receive_job_hook(self, change):
        os._exit(7)
"""
TABLES = """
create table public.audit (id integer generated always as identity primary key, word text);
create table public.unwatched (word text);
create table public.pair (id integer primary key, partner integer references public.pair deferrable initially deferred);
select jobhooks.watch('public.audit');
"""


@pytest.fixture
def receivers(tmp_path: Path, device: Connection) -> Path:
    """The folder of the receivers; change 1 is an update of the device's serial."""
    device.execute(TABLES.encode())
    device.execute("update public.device set serial = 'BAD'")
    return write_receivers(tmp_path / "receivers", RECEIVERS)


def state(conn: Connection) -> list[object]:
    """Return all that a run could leave behind."""
    queries = [
        "select * from public.device",
        "select * from public.audit",
        "select * from public.unwatched",
        "select id, action::text from jobhooks.object_change",
        "select * from jobhooks.job_result",
        "select * from jobhooks.job_log_entry",
        "select * from jobhooks.delivery",
        "select class_path, installed, enabled from jobhooks.job",
    ]
    return [conn.execute(query.encode()).fetchall() for query in queries]


def dry_run(
    conn: Connection, receivers: Path, job: str, *arguments: str, code: int = 0, change: int = 1
) -> tuple[str, str]:
    """Try a receiver on a change; nothing may be left of it."""
    before = state(conn)
    settings = {"JOBHOOKS_DATABASE_URL": conn.info.dsn, "JOBHOOKS_RECEIVERS_PATH": str(receivers)}
    finished = jobhooks(
        "replay", "--dry-run", "--change", str(change), "--job", f"r.{job}", *arguments, cwd=receivers, **settings
    )
    assert finished.returncode == code, finished.stderr + finished.stdout
    assert "Traceback" not in finished.stderr
    assert state(conn) == before
    return finished.stdout, finished.stderr


def as_json(conn: Connection, receivers: Path, job: str, code: int = 0, change: int = 1) -> dict[str, Any]:
    return json.loads(dry_run(conn, receivers, job, "--json", code=code, change=change)[0])


@pytest.mark.parametrize("job", ["Reverts", "RevertsToo"])
def test_what_a_receiver_would_change_is_shown_and_not_kept(device: Connection, receivers: Path, job: str) -> None:
    """The author of a receiver wants to see its effects on real rows before using it."""
    words, aside = dry_run(device, receivers, job)
    lines = words.splitlines()
    assert lines[0] == "change 1: update public.device id = 1"
    assert lines[1].startswith(f"  r.{job}: success in ")
    assert lines[2:] == [
        f"    info: public.device id=1: update by {device.info.user}",
        "it would write:",
        "update public.device id = 1",
        '  - serial: "BAD"',
        '  + serial: "FX2024-00017"',
        "create public.audit id = 1",
        "  + id: 1",
        '  + word: "reverted"',
    ]
    assert "printed by the receiver" in aside
    assert "not watched are not shown, and effects outside of the receiver's connection have happened" in aside
    assert (receivers / "touched").exists()


def test_programs_get_it_as_json(device: Connection, receivers: Path) -> None:
    told = as_json(device, receivers, "RevertsQuietly")
    assert (told["change_id"], told["job"], told["status"], told["error"], told["log"]) == (
        1,
        "r.RevertsQuietly",
        "success",
        None,
        [],
    )
    assert told["writes"] == [
        {
            "table": "public.device",
            "action": "update",
            "object_key": {"id": 1},
            "removed": {"serial": "BAD"},
            "added": {"serial": "FX2024-00017"},
        }
    ]


@pytest.mark.parametrize("job", ["Fails", "FailsToo"])
def test_a_failure_is_exit_code_1_and_would_write_nothing(device: Connection, receivers: Path, job: str) -> None:
    words, _ = dry_run(device, receivers, job, code=FAILED)
    assert f"r.{job}: failure in " in words
    assert "ValueError: no such vendor" in words
    assert 'raise ValueError("no such vendor")' in words
    assert "it would write nothing to watched tables" in words
    assert as_json(device, receivers, job, code=FAILED)["writes"] == []


def test_what_it_asks_for_is_shown(device: Connection, receivers: Path) -> None:
    words, _ = dry_run(device, receivers, "Asks", code=FAILED)
    assert "it asks to run again in 60 seconds" in words
    assert as_json(device, receivers, "Discards")["error"] == "not for us"


@pytest.mark.parametrize("job", ["Deferred", "DeferredToo"])
def test_what_could_not_be_committed_is_a_failure(device: Connection, receivers: Path, job: str) -> None:
    """A deferred constraint is checked at the commit, which a rehearsal has not."""
    told = as_json(device, receivers, job, code=FAILED)
    assert 'violates foreign key constraint "pair_partner_fkey"' in told["error"]


@pytest.mark.parametrize("job", ["Commits", "CommitsToo"])
def test_a_receiver_that_commits_is_found_out(device: Connection, receivers: Path, job: str) -> None:
    """Nothing can undo that; so it must not be said that all was undone."""
    settings = {"JOBHOOKS_DATABASE_URL": device.info.dsn, "JOBHOOKS_RECEIVERS_PATH": str(receivers)}
    finished = jobhooks("replay", "--dry-run", "--change", "1", "--job", f"r.{job}", **settings)
    assert finished.returncode == FAILED
    assert "failure in" in finished.stdout
    assert "TransactionEnded: The receiver ended its transaction" in finished.stdout
    assert "what it wrote before that is kept" in finished.stderr
    assert "Nothing of it was kept" not in finished.stderr


def test_a_role_that_it_takes_on_hides_nothing(device: Connection, receivers: Path, role: str) -> None:
    """An ordinary one may not read the log."""
    device.execute("update public.device set name = %s", [role])
    told = as_json(device, receivers, "Takes", change=2)
    assert [write["added"]["word"] for write in told["writes"]] == ["as another"]


@pytest.mark.parametrize(("job", "limit"), [("Hangs", "0.8"), ("HangsToo", "0.3"), ("Blocks", "0.3")])
def test_time_limits_hold(device: Connection, receivers: Path, job: str, limit: str) -> None:
    """Even for a receiver that handles the soft one, or blocks its loop."""
    began_at = time.monotonic()
    told = as_json(device, receivers, job, code=FAILED)
    assert told["error"] == f"TimeLimitExceeded: the receiver was ended at its time limit of {limit} seconds"
    assert time.monotonic() - began_at < 30


def test_the_limits_are_those_in_force(device: Connection, receivers: Path) -> None:
    """An operator's setting overrides the receiver's."""
    device.execute(
        "insert into jobhooks.job (class_path, settings, overrides)"
        """ values ('r.Hangs', '{"time_limit": 50}', '{"time_limit": 0.4, "soft_time_limit": null}')"""
    )
    assert "time limit of 0.4 seconds" in as_json(device, receivers, "Hangs", code=FAILED)["error"]


def test_a_receiver_that_dies_takes_nothing_with_it(device: Connection, receivers: Path) -> None:
    told = as_json(device, receivers, "Dies", code=FAILED)
    assert told["error"] == "WorkerDied: the worker process ended with exit code 7 while it ran the receiver"


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["--dry-run", "--change", "1"], USAGE, "--dry-run takes a --job and one --change"),
        (["--dry-run", "--job", "r.Reverts"], USAGE, "--dry-run takes a --job and one --change"),
        (["--dry-run", "--job", "r.Reverts", "--change", "1", "--change", "2"], USAGE, "one --change"),
        (["--dry-run", "--job", "r.Reverts", "--change", "1", "--yes"], USAGE, "and no other filter"),
        (["--job", "r.Reverts", "--change", "1"], USAGE, "replay needs a --hook, or --dry-run with a --job"),
        (["--hook", "h", "--job", "r.Reverts"], USAGE, "--job is for --dry-run"),
        (["--dry-run", "--job", "r.Nobody", "--change", "1"], REFUSED, "its module has no receiver Nobody"),
        (["--dry-run", "--job", "r.Reverts", "--change", "99"], REFUSED, "there is no change 99 in the log"),
    ],
)
def test_what_cannot_be_tried_is_one_line(
    device: Connection, receivers: Path, arguments: list[str], code: int, words: str
) -> None:
    settings = {"JOBHOOKS_DATABASE_URL": device.info.dsn, "JOBHOOKS_RECEIVERS_PATH": str(receivers)}
    finished = jobhooks("replay", *arguments, **settings)
    said = " ".join(finished.stderr.replace("│", " ").split())
    assert (finished.returncode, finished.stdout) == (code, ""), finished.stderr
    assert words in said
    assert "Traceback" not in said
