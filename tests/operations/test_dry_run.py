"""A dry run: the receiver runs for a change of the log, and its writes are returned and rolled back."""

from pathlib import Path

import pytest

from conftest import Connection
from jobhooks.errors import Refused, UnknownJob
from jobhooks.operations.delivering.dry_run import dry_run
from jobhooks.runtime.settings import Settings, load
from jobhooks.store.connections import SyncConnection
from support.hooking import write_receivers

RECEIVERS = """
from jobhooks import JobHookReceiver

class Reverts(JobHookReceiver):
    def receive_job_hook(self, change, action, changed_object):
        self.log_info(changed_object, f"{action} by {change.user_name}")
        changed_object.serial = change.prechange["serial"]
        changed_object.save()
        return {"reverted": True}

class Fails(JobHookReceiver):
    async def receive_job_hook(self, change, action, changed_object):
        await changed_object.delete()
        raise ValueError("no such vendor")
"""


@pytest.fixture
def settings(tmp_path: Path, device: Connection, database: str) -> Settings:
    """Settings that name the receivers; change 1 is an update of the device."""
    device.execute("update public.device set serial = 'BAD'")
    directory = write_receivers(tmp_path / "receivers", RECEIVERS)
    return load(None, database_url=database, receivers_path=str(directory))


def test_writes_are_returned_and_rolled_back(device: Connection, admin: SyncConnection, settings: Settings) -> None:
    run = dry_run(admin, settings, "r.Reverts", 1)
    assert (run.status, run.error, run.hook, run.job, run.change_id, run.attempt) == (
        "success",
        None,
        None,
        "r.Reverts",
        1,
        1,
    )
    assert [(line.level, line.message) for line in run.log] == [("info", f"update by {device.info.user}")]
    assert bytes(run.value) == b'{"reverted":true}'
    assert [(write.table, write.action, bytes(write.added)) for write in run.writes] == [
        ("public.device", "update", b'{"serial": "FX2024-00017"}')
    ]
    assert device.execute("select serial from public.device").fetchall() == [("BAD",)]
    assert device.execute("select from jobhooks.job_result").fetchall() == []


def test_a_failure_is_data(device: Connection, admin: SyncConnection, settings: Settings) -> None:
    run = dry_run(admin, settings, "r.Fails", 1)
    assert (run.status, run.error, run.writes) == ("failure", "ValueError: no such vendor", [])
    assert run.traceback is not None and "receive_job_hook" in run.traceback
    assert not run.transaction_ended


def test_what_does_not_exist_is_refused(device: Connection, admin: SyncConnection, settings: Settings) -> None:
    with pytest.raises(UnknownJob, match=r"cannot run r\.Nothing"):
        dry_run(admin, settings, "r.Nothing", 1)
    with pytest.raises(Refused, match="there is no change 99"):
        dry_run(admin, settings, "r.Reverts", 99)
