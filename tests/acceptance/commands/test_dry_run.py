"""``jobhooks replay --dry-run``: JSON, exit codes and streams; the texts are in test_texts.py."""

import json
from pathlib import Path

import pytest

from conftest import Connection
from support.daemon import jobhooks
from support.hooking import write_receivers

FAILED = 1
RECEIVERS = """
from jobhooks import JobHookReceiver

class Reverts(JobHookReceiver):
    def receive_job_hook(self, change, action, changed_object):
        print("printed by the receiver")
        changed_object.serial = change.prechange["serial"]
        changed_object.save()

class RevertsToo(JobHookReceiver):
    async def receive_job_hook(self, change, action, changed_object):
        print("printed by the receiver")
        changed_object.serial = change.prechange["serial"]
        await changed_object.save()

class Fails(JobHookReceiver):
    def receive_job_hook(self, change):
        raise ValueError("no such vendor")
"""


@pytest.fixture
def settings(tmp_path: Path, device: Connection) -> dict[str, str]:
    """The settings of a command; change 1 is an update of the device's serial."""
    device.execute("update public.device set serial = 'BAD'")
    directory = write_receivers(tmp_path / "receivers", RECEIVERS)
    return {"JOBHOOKS_DATABASE_URL": device.info.dsn, "JOBHOOKS_RECEIVERS_PATH": str(directory)}


@pytest.mark.parametrize("job", ["Reverts", "RevertsToo"])
def test_programs_get_a_dry_run_as_json(device: Connection, settings: dict[str, str], job: str) -> None:
    """Also from a receiver that prints: its output is a line of the run's log."""
    finished = jobhooks("replay", "--dry-run", "--change", "1", "--job", f"r.{job}", "--json", **settings)
    assert finished.returncode == 0, finished.stderr
    run = json.loads(finished.stdout)
    assert [(line["level"], line["source"], line["message"]) for line in run["log"]] == [
        ("info", "stdout", "printed by the receiver")
    ]
    assert (run["change_id"], run["job"], run["status"], run["error"]) == (1, f"r.{job}", "success", None)
    assert run["writes"] == [
        {
            "table": "public.device",
            "action": "update",
            "object_key": {"id": 1},
            "removed": {"serial": "BAD"},
            "added": {"serial": "FX2024-00017"},
        }
    ]
    assert device.execute("select serial from public.device").fetchall() == [("BAD",)]


def test_a_failure_is_exit_code_1(settings: dict[str, str]) -> None:
    finished = jobhooks("replay", "--dry-run", "--change", "1", "--job", "r.Fails", "--json", **settings)
    assert finished.returncode == FAILED
    assert json.loads(finished.stdout)["status"] == "failure"
