"""A dry run: the receiver runs for a change of the log, and its writes are returned and rolled back."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import cast

import pytest

from conftest import Connection
from jobhooks.errors import Refused, UnknownJob
from jobhooks.operations.delivering.dry_run import DryRun, dry_run
from jobhooks.runtime.settings import Settings, load
from jobhooks.store.connections import SyncConnection
from support.hooking import write_receivers

RECEIVERS = """
import asyncio, os, sys, time
from pathlib import Path
from jobhooks import Discard, JobHookReceiver, Retry, SoftTimeLimitExceeded

class Reverts(JobHookReceiver):
    def receive_job_hook(self, change, action, changed_object):
        self.log_info(changed_object, f"{action} by {change.user_name}")
        changed_object.serial = change.prechange["serial"]
        changed_object.save()
        self.connection.execute("insert into public.audit (word) values ('reverted')")
        self.connection.execute("insert into public.unwatched (word) values ('reverted')")
        Path(__file__).with_name("touched").touch()
        return {"reverted": True}

class RevertsToo(JobHookReceiver):
    async def receive_job_hook(self, change, action, changed_object):
        self.log_info(changed_object, f"{action} by {change.user_name}")
        changed_object.serial = change.prechange["serial"]
        await changed_object.save()
        await self.connection.execute("insert into public.audit (word) values ('reverted')")
        await self.connection.execute("insert into public.unwatched (word) values ('reverted')")
        Path(__file__).with_name("touched").touch()
        return {"reverted": True}

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

class Channels(JobHookReceiver):
    class Data:
        channel: str
    def receive_job_hook(self, change):
        return f"{self.hook.name}: {self.hook.data.channel}"

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


Try = Callable[..., DryRun]


@pytest.fixture
def settings(tmp_path: Path, device: Connection, database: str) -> Settings:
    """Settings that name the receivers; change 1 is an update of the device's serial."""
    device.execute(TABLES.encode())
    device.execute("update public.device set serial = 'BAD'")
    directory = write_receivers(tmp_path / "receivers", RECEIVERS)
    return load(None, database_url=database, receivers_path=str(directory))


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


@pytest.fixture
def try_out(device: Connection, admin: SyncConnection, settings: Settings) -> Try:
    """Try a receiver on a change; nothing may be left of it."""

    def run(job: str, change: int = 1) -> DryRun:
        before = state(device)
        found = dry_run(admin, settings, f"r.{job}", change)
        assert state(device) == before
        return found

    return run


def kind(run: DryRun) -> str:
    """The class of the run's error."""
    return (run.error or "").partition(":")[0]


@pytest.mark.parametrize("job", ["Reverts", "RevertsToo"])
def test_writes_are_returned_and_rolled_back(device: Connection, try_out: Try, tmp_path: Path, job: str) -> None:
    """The author of a receiver wants to see its effects on real rows before using it."""
    run = try_out(job)
    assert (run.status, run.error, run.hook, run.job, run.change_id, run.attempt) == (
        "success",
        None,
        None,
        f"r.{job}",
        1,
        1,
    )
    assert [(line.level, line.object, line.message) for line in run.log] == [
        ("info", "public.device id=1", f"update by {device.info.user}")
    ]
    assert bytes(run.value) == b'{"reverted":true}'
    assert [(write.table, write.action, bytes(write.removed), bytes(write.added)) for write in run.writes] == [
        ("public.device", "update", b'{"serial": "BAD"}', b'{"serial": "FX2024-00017"}'),
        ("public.audit", "create", b"null", b'{"id": 1, "word": "reverted"}'),
    ]
    assert (tmp_path / "receivers" / "touched").exists(), "only the database is rolled back"


@pytest.mark.parametrize("job", ["Reverts", "RevertsToo"])
def test_what_a_receiver_wrote_can_be_tried_as_well(device: Connection, try_out: Try, job: str) -> None:
    """The mark of such a run has the depth of the chain."""
    with device.transaction():
        device.execute("set local jobhooks.delivery = '1:1:1'")
        device.execute("update public.device set serial = 'CAUSED'")
    run = try_out(job, 2)
    assert (run.status, run.error, len(run.writes)) == ("success", None, 2)


@pytest.mark.parametrize("job", ["Fails", "FailsToo"])
def test_a_failure_is_data(try_out: Try, job: str) -> None:
    run = try_out(job)
    assert (run.status, run.error, run.writes) == ("failure", "ValueError: no such vendor", [])
    assert run.traceback is not None and "receive_job_hook" in run.traceback
    assert not run.transaction_ended


def test_what_the_receiver_asks_for_is_returned(try_out: Try) -> None:
    asked = try_out("Asks")
    assert (asked.status, asked.retry_after_s) == ("failure", 60)
    discarded = try_out("Discards")
    assert (discarded.status, discarded.error, discarded.retry_after_s) == ("discarded", "not for us", None)


@pytest.mark.parametrize("job", ["Deferred", "DeferredToo"])
def test_a_commit_that_would_fail_is_a_failure(try_out: Try, job: str) -> None:
    """A deferred constraint is checked at the commit, which a dry run does not have."""
    run = try_out(job)
    assert run.status == "failure" and "pair_partner_fkey" in (run.error or "")


@pytest.mark.parametrize("job", ["Commits", "CommitsToo"])
def test_a_receiver_that_commits_is_found_out(
    device: Connection, admin: SyncConnection, settings: Settings, job: str
) -> None:
    """Nothing can undo that, so the run must not claim that its writes were undone."""
    run = dry_run(admin, settings, f"r.{job}", 1)
    assert (run.status, kind(run), run.transaction_ended) == ("failure", "TransactionEnded", True)
    assert device.execute("select word from public.audit").fetchall() == [("kept",)]


def test_writes_under_another_role_are_returned(device: Connection, try_out: Try, role: str) -> None:
    """An ordinary role may not read the log."""
    device.execute("update public.device set name = %s", [role])
    assert [bytes(write.added) for write in try_out("Takes", 2).writes] == [b'{"id": 1, "word": "as another"}']


@pytest.mark.parametrize("job", ["Hangs", "HangsToo", "Blocks"])
def test_time_limits_hold(try_out: Try, job: str) -> None:
    """Even for a receiver that handles the soft one, or blocks its loop."""
    run = try_out(job)
    assert (run.status, kind(run), run.writes) == ("failure", "TimeLimitExceeded", [])


def test_the_limits_are_those_in_force(device: Connection, try_out: Try) -> None:
    """An operator's setting overrides the receiver's."""
    device.execute(
        "insert into jobhooks.job (class_path, settings, overrides)"
        """ values ('r.Hangs', '{"time_limit": 500}', '{"time_limit": 0.4, "soft_time_limit": null}')"""
    )
    run = try_out("Hangs")
    assert (kind(run), run.log) == ("TimeLimitExceeded", []), "it would log at the soft limit"


def test_a_receiver_that_dies_takes_nothing_with_it(try_out: Try) -> None:
    run = try_out("Dies")
    assert (run.status, kind(run), run.writes) == ("failure", "WorkerDied", [])


def test_what_does_not_exist_is_refused(admin: SyncConnection, settings: Settings) -> None:
    with pytest.raises(UnknownJob) as unknown:
        dry_run(admin, settings, "r.Nothing", 1)
    assert "r.Nothing" in unknown.value.message
    with pytest.raises(Refused) as refused:
        dry_run(admin, settings, "r.Reverts", 99)
    assert "99" in refused.value.message and refused.value.remedy == "jobhooks change list"


def test_data_are_those_of_a_hook_for_the_change(device: Connection, try_out: Try) -> None:
    assert "needs channel" in str(try_out("Channels").error)
    device.execute("insert into jobhooks.job (class_path, enabled) values ('r.Channels', true)")
    for name, events, channel in [("another event", ["delete"], "no"), ("h", ["update"], "ops")]:
        settings = {"name": name, "content_types": ["public.device"], "job": "r.Channels", "events": events}
        device.execute("select jobhooks.save_hook(null, %s)", [json.dumps({**settings, "data": {"channel": channel}})])
    assert bytes(cast("bytes", try_out("Channels").value)) == b'"h: ops"'
