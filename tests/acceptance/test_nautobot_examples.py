"""Receivers as they are written for Nautobot run with nothing changed but their imports: through the real daemon."""

import json
from pathlib import Path
from typing import Any

import pytest

from conftest import Connection
from support.daemon import Daemon, jobhooks, wait_until
from support.delivering import settled
from support.hooking import add_hook, write_receivers

# The example that Nautobot 1.6 documents, in short.
FOR_1_6 = """
from jobhooks import JobHookReceiver, ObjectChangeActionChoices

class ChecksSerial(JobHookReceiver):
    def receive_job_hook(self, change, action, changed_object):
        if action == ObjectChangeActionChoices.ACTION_DELETE:
            return
        snapshots = change.get_snapshots()
        self.log_info(f"DIFF: {snapshots['differences']}")
        if "serial" in snapshots["differences"]["added"]:
            old = snapshots["differences"]["removed"]["serial"]
            new = snapshots["differences"]["added"]["serial"]
            self.log_info(f"{changed_object} was {old} to {new}")
            if not self.validate_serial(new):
                changed_object.serial = old
                changed_object.save()
                self.log_info(f"{new} was not valid, back to {old}")
        self.log_success(changed_object.name)

    def validate_serial(self, serial):
        return False
"""

# The one of 2.0 to 3.2, in short.
FOR_3_2 = """
from jobhooks import JobHookReceiver, ObjectChangeActionChoices, register_jobs

name = "Serials"

class ChecksSerial(JobHookReceiver):
    class Meta:
        name = "Check serials"
        has_sensitive_variables = False

    def receive_job_hook(self, change, action, changed_object):
        if action == ObjectChangeActionChoices.ACTION_DELETE:
            return
        snapshots = change.get_snapshots()
        self.logger.info("DIFF: %s", snapshots["differences"])
        if "serial" in snapshots["differences"]["added"]:
            old = snapshots["differences"]["removed"]["serial"]
            new = snapshots["differences"]["added"]["serial"]
            self.logger.info("%s was %s to %s", changed_object, old, new, extra={"object": changed_object})
            if not self.validate_serial(new):
                changed_object.serial = old
                changed_object.validated_save()
                self.logger.info("%s was not valid, back to %s", new, old)
        self.logger.success(changed_object.name)

    def validate_serial(self, serial):
        return False

register_jobs(ChecksSerial)
"""

# Shapes of public receivers, each with the lines that it logs for an update of device 'd' from A1 to B2 by alice.
SHAPES: dict[str, tuple[str, list[str]]] = {
    "an f-string of everything": (
        'self.logger.info(f"action={action}, object={changed_object}, change={change}")',
        ["action=update, object=public.device id=2, change=public.device 2 update by alice"],
    ),
    "the object by extra": ('self.logger.info("Launching", extra={"object": changed_object})', ["Launching"]),
    "the repr of the change": ('self.logger.info("%s %s", action, change.object_repr)', ["update public.device 2"]),
    "the user of the result": ('self.logger.info("user: %s", self.job_result.user.username)', ["user: alice"]),
    "the user": ('self.log_info(f"{self.user}: {self.request.user.username}")', ["alice: alice"]),
    "a default for a missing attribute": ('self.log_info(getattr(changed_object, "vid", "") or "none")', ["none"]),
    "data of the change": ('self.log_info(change.object_data["serial"] + change.object_data_v2["name"])', ["B2d"]),
    "the change before": ('self.log_info(change.get_prev_change().object_data["serial"])', ["A1"]),
    "json of the differences": (
        'import json; self.log_info(json.dumps(change.get_snapshots()["differences"]))',
        ['{"removed": {"serial": "A1"}, "added": {"serial": "B2"}}'],
    ),
    "an error that does not raise": ('self.logger.error("%s failed", "it")', ["it failed"]),
    "a module's logger": ("logger.warning('from the module')", ["from the module"]),
    "print": ("print('printed', action)", ["printed update"]),
    "the key": (  # by its three names
        'self.log_info(f"{changed_object.pk} {change.changed_object_id} {change.changed_object.pk}")',
        ["2 2 2"],
    ),
    "reading again": ("changed_object.refresh_from_db(); self.log(changed_object.serial)", ["B2"]),
    "a return": ("return True", []),
}


def daemon(database: str, receivers: Path) -> Daemon:
    return Daemon(database, receivers, receivers / "daemon.log").await_started()


def prepare(conn: Connection, database: str, receivers: Path, *jobs: str) -> None:
    """Hook receivers to updates, and make one by alice."""
    for job in jobs:
        add_hook(database, receivers, job, ["update"])
    conn.execute("insert into public.device (name, serial) values ('d', 'A1')")
    with conn.transaction():
        conn.execute("set local jobhooks.user_name = 'alice'")
        conn.execute("update public.device set serial = 'B2' where name = 'd'")


@pytest.mark.parametrize("text", [FOR_1_6, FOR_3_2], ids=["1.6", "3.2"])
def test_the_documented_example_runs(device: Connection, database: str, tmp_path: Path, text: str) -> None:
    receivers = write_receivers(tmp_path / "receivers", text)
    prepare(device, database, receivers, "r.ChecksSerial")
    with daemon(database, receivers) as running:
        wait_until("it is delivered", settled(device, 1))
        assert not running.events("receiver_meta_warning") and not running.events("receiver_module_broken")
    assert device.execute("select status, error from jobhooks.results").fetchall() == [("success", None)]
    assert device.execute("select serial from public.device where name = 'd'").fetchall() == [("A1",)]
    logged = device.execute("select level, object, message from jobhooks.job_log_entry order by line").fetchall()
    about = "public.device id=2" if text is FOR_3_2 else None
    assert logged == [
        ("info", None, "DIFF: {'removed': {'serial': 'A1'}, 'added': {'serial': 'B2'}}"),
        ("info", about, "public.device id=2 was A1 to B2"),
        ("info", None, "B2 was not valid, back to A1"),
        ("success", None, "d"),
    ]


def test_shapes_of_public_receivers_run(device: Connection, database: str, tmp_path: Path) -> None:
    begin = "from jobhooks import JobHookReceiver, ObjectChange, get_task_logger, register_jobs\n"
    begin += "logger = get_task_logger(__name__)\n"
    classes = [
        f"class Shape{number}(JobHookReceiver):\n"
        f"    def receive_job_hook(self, change: ObjectChange, action, changed_object):\n        {body}\n"
        f"register_jobs(Shape{number})\n"
        for number, (body, _) in enumerate(SHAPES.values())
    ]
    receivers = write_receivers(tmp_path / "receivers", begin + "\n".join(classes))
    prepare(device, database, receivers, *(f"r.Shape{number}" for number in range(len(SHAPES))))
    with daemon(database, receivers):
        wait_until("all are delivered", settled(device, len(SHAPES)))
    rows = device.execute(
        "select result.job, result.error, array(select message from jobhooks.job_log_entry as entry"
        " join jobhooks.job_hook as hook on hook.id = entry.hook_id where hook.name = result.hook order by line)"
        " from jobhooks.results as result"
    ).fetchall()
    found = {job: (error, lines) for job, error, lines in rows}
    expected = {f"r.Shape{number}": (None, lines) for number, (_, lines) in enumerate(SHAPES.values())}
    assert found == expected


STEPS = """
from jobhooks import JobHookReceiver

class Steps(JobHookReceiver):
    def before_start(self, task_id, args, kwargs):
        super().before_start(task_id, args, kwargs)
        self.log_info(f"before {task_id == self.job_result.id} {list(kwargs)}")
    def receive_job_hook(self, change, action, changed_object):
        changed_object.name = "never saved"
        return self.load_json("limits.json")
    def on_success(self, retval, task_id, args, kwargs):
        self.log_info(f"success {retval}")
    def after_return(self, status, retval, task_id, args, kwargs, einfo):
        self.log_info(f"after {status} {einfo}")

class StepsAsync(JobHookReceiver):
    async def receive_job_hook(self, changed_object, action):
        changed_object.name = "never saved"
        changed_object.save()
"""


def test_steps_with_nautobots_arguments_and_columns_that_are_not_saved(
    device: Connection, database: str, tmp_path: Path
) -> None:
    receivers = write_receivers(tmp_path / "receivers", STEPS)
    (receivers / "limits.json").write_text('{"most": 3}')
    prepare(device, database, receivers, "r.Steps", "r.StepsAsync")
    with daemon(database, receivers) as running:
        wait_until("both are delivered", settled(device, 2))
        warnings = [str(event["warning"]) for event in running.events("receiver_meta_warning")]
        after = running.await_event("logged_after_result")
    assert warnings == ["line 19: StepsAsync does not await changed_object.save(), so it does nothing"]
    lines = "select hook_id, level, message from jobhooks.job_log_entry order by hook_id, line"
    rows = device.execute(lines.encode()).fetchall()
    assert [row[1:] for row in rows if row[0] == 1] == [
        ("info", "before True ['object_change']"),
        ("info", "success {'most': 3}"),
        ("warning", "assigned and not saved: public.device.name. Call changed_object.save() to write it"),
    ]
    assert [event["message"] for event in after] == ["after success None"]  # the result was committed by then
    (unsaved,) = [row[2] for row in rows if row[0] == 2 and row[1] == "warning" and "assigned" in row[2]]
    assert unsaved == "assigned and not saved: public.device.name. Call await changed_object.save() to write it"


MODULES = {
    "old": "from nautobot.apps.jobs import JobHookReceiver, register_jobs\nfrom nautobot.dcim.models import Device\n",
    "none": "def help():\n    pass\n",
    "calls": """
from jobhooks import JobHookReceiver
class Missing(JobHookReceiver):
    def run(self, object_change):
        pass
class Misnamed(JobHookReceiver):
    def receive_job_hook(self, change, action, changed_objekt):
        pass
class Base(JobHookReceiver):
    pass
class Derived(Base):
    def receive_job_hook(self, change, action, changed_object):
        return changed_object.custom_field_data
class Steps(JobHookReceiver):
    def receive_job_hook(self, change):
        pass
    def on_failure(self):
        pass
""",
}


def test_what_cannot_work_is_reported_at_load(device: Connection, database: str, tmp_path: Path) -> None:
    receivers = tmp_path / "receivers"
    for module, text in MODULES.items():
        write_receivers(receivers, text, module)
    with Daemon(database, receivers, receivers / "daemon.log").await_started() as running:
        ((broken),) = running.events("receiver_module_broken")
        ((note),) = running.events("receiver_module_without_receiver")
        warned = [str(event["warning"]) for event in running.events("receiver_meta_warning")]
        (receivers / "none.py").write_text("from jobhooks import JobHookReceiver\n")
        (receivers / "more.py").write_text("x = 1\n")
        later = running.await_event("receiver_module_without_receiver", 2)
    assert (broken["line"], broken["error"]) == (
        1,
        "it imports from nautobot. Instead, write: from jobhooks import JobHookReceiver, register_jobs; leave out"
        " Device: jobhooks has no models; follow foreign keys from changed_object, or query through self.connection",
    )
    assert str(note["path"]).endswith("none.py") and "_none.py" in str(note["reason"])
    assert str(later[1]["path"]).endswith("more.py")
    assert warned == [
        "line 13: Derived uses changed_object.custom_field_data: custom fields are Nautobot's; read the column"
        " _custom_field_data, if the table has it",
        "Misnamed.receive_job_hook needs changed_objekt, so each run fails: it is called by keyword with change,"
        ' action, changed_object. Did you mean "changed_object"?',
        "Missing has no receive_job_hook, so each run fails: rename its run",
        "Steps.on_failure cannot be called: see the arguments of steps in docs/reference/receiver.md",
    ]
    at = ["--receivers-path", str(receivers), "--database-url", database]
    listed = jobhooks("job", "list", "--json", *at)
    assert "more.py: it has no receiver, a class derived from" in listed.stderr


def test_the_name_of_a_module_groups_its_jobs(device: Connection, database: str, tmp_path: Path) -> None:
    receivers = write_receivers(tmp_path / "receivers", FOR_3_2)
    with daemon(database, receivers):
        listed: Any = json.loads(jobhooks("job", "list", "--json", "--database-url", database).stdout)
    found = {job["job"]: job for job in listed}
    assert (found["r.ChecksSerial"]["grouping"], found["r.ChecksSerial"]["name"]) == ("Serials", "Check serials")
