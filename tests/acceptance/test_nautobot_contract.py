"""The contract that authors of Nautobot job hook receivers rely on, a test per rule.

The engine delivers in the test's process. A real daemon does where its log, its hooks or its worker processes matter.
"""

import importlib.util
import json
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from conftest import Connection
from jobhooks import ObjectChangeActionChoices
from jobhooks.testing.databases import Database
from jobhooks.testing.delivering import run_hooks
from support.daemon import LIMIT, Daemon, jobhooks, wait_until
from support.delivering import make_seen
from support.hooking import add_hook, write_receivers

RECEIVERS = """
import json
from jobhooks import JobHookReceiver, ObjectChangeActionChoices

def shown(value):
    return json.dumps(value, default=str)

class Shows(JobHookReceiver):
    def receive_job_hook(self, **arguments):
        change, changed_object = arguments["change"], arguments["changed_object"]
        self.connection.execute(
            "insert into public.seen (receiver, word) values ('Shows', %s)",
            [shown({
                "arguments": sorted(arguments),
                "action": arguments["action"],
                "object": None if changed_object is None else {name: changed_object[name] for name in changed_object},
                "snapshots": change.get_snapshots(),
                "id": change.changed_object_id, "type": change.changed_object_type, "user": change.user_name,
            })],
        )
        return {"id": change.changed_object_id}

class ShowsAsync(JobHookReceiver):
    async def receive_job_hook(self, **arguments):
        change, changed_object = arguments["change"], arguments["changed_object"]
        await self.connection.execute(
            "insert into public.seen (receiver, word) values ('Shows', $1)",
            shown({
                "arguments": sorted(arguments),
                "action": arguments["action"],
                "object": None if changed_object is None else {name: changed_object[name] for name in changed_object},
                "snapshots": change.get_snapshots(),
                "id": change.changed_object_id, "type": change.changed_object_type, "user": change.user_name,
            }),
        )
        return {"id": change.changed_object_id}

class Witness(JobHookReceiver):
    async def receive_job_hook(self, change):
        pass

class Logs(JobHookReceiver):
    def receive_job_hook(self, change, action, changed_object):
        self.log_debug("a lone string")
        self.log_info(changed_object, "an object first")
        self.log_success(obj="device", message="by keyword")
        self.log_warning(message="no object")
        self.logger.info("as a logger has it")

class LogsAsync(JobHookReceiver):
    async def receive_job_hook(self, change, action, changed_object):
        Logs.receive_job_hook(self, change, action, changed_object)

class Once:
    max_attempts = 1

class LogsFailure(JobHookReceiver):
    Meta = Once
    def receive_job_hook(self, change, action, changed_object):
        self.connection.execute("insert into public.seen (word) values ('kept')")
        self.log_failure("not good")

class LogsFailureAsync(JobHookReceiver):
    Meta = Once
    async def receive_job_hook(self, change, action, changed_object):
        await self.connection.execute("insert into public.seen (word) values ('kept')")
        self.log_failure("not good")

class CallsFail(JobHookReceiver):
    Meta = Once
    def receive_job_hook(self, change, action, changed_object):
        self.fail("not good")
        self.log_info("goes on")

class Fails(JobHookReceiver):
    Meta = Once
    def receive_job_hook(self, change, action, changed_object):
        self.connection.execute("insert into public.seen (word) values ('undone')")
        self.log_info("about to fail")
        raise ValueError("it broke")

class FailsAsync(JobHookReceiver):
    Meta = Once
    async def receive_job_hook(self, change, action, changed_object):
        await self.connection.execute("insert into public.seen (word) values ('undone')")
        self.log_info("about to fail")
        raise ValueError("it broke")

class HasNone(JobHookReceiver):
    Meta = Once

class Saves(JobHookReceiver):
    def receive_job_hook(self, change, action, changed_object):
        changed_object.name = "saved"
        changed_object.save()
        self.connection.execute("update public.device set serial = 'by connection'")

class SavesAsync(JobHookReceiver):
    async def receive_job_hook(self, change, action, changed_object):
        changed_object.name = "saved"
        await changed_object.save()
        await self.connection.execute("update public.device set serial = 'by connection'")

class Steps(JobHookReceiver):
    def before_start(self):
        self.log_info("before_start")
    def receive_job_hook(self, change, action, changed_object):
        self.log_info("receive_job_hook")
        return {"id": change.changed_object_id}
    def on_success(self, value):
        self.log_info(f"on_success {value}")

class StepsAsync(JobHookReceiver):
    async def before_start(self):
        self.log_info("before_start")
    async def receive_job_hook(self, change, action, changed_object):
        self.log_info("receive_job_hook")
        return {"id": change.changed_object_id}
    async def on_success(self, value):
        self.log_info(f"on_success {value}")

class FailsInSteps(JobHookReceiver):
    Meta = Once
    def receive_job_hook(self, change, action, changed_object):
        raise ValueError("it broke")
    def on_failure(self, exc):
        self.log_info(f"on_failure {exc}")
    def after_return(self, status, value):
        self.log_info(f"after_return {status}")

class FailsInStepsAsync(JobHookReceiver):
    Meta = Once
    async def receive_job_hook(self, change, action, changed_object):
        raise ValueError("it broke")
    on_failure, after_return = FailsInSteps.on_failure, FailsInSteps.after_return

class RaisesAtTheEnd(JobHookReceiver):
    def receive_job_hook(self, change, action, changed_object):
        self.connection.execute("insert into public.seen (word) values ('kept')")
    def after_return(self, status, value):
        raise ValueError(f"after a {status}: password=hunter2")

class RaisesAtTheEndAsync(JobHookReceiver):
    async def receive_job_hook(self, change, action, changed_object):
        await self.connection.execute("insert into public.seen (word) values ('kept')")
    async def after_return(self, status, value):
        raise ValueError(f"after a {status}: password=hunter2")

class HasNautobotsMeta(JobHookReceiver):
    class Meta:
        name = "From Nautobot"
        approval_required = False
        has_sensitive_variables = False
        task_queues = ["default"]
        soft_time_limit, time_limit = 5, 10
    def receive_job_hook(self, change, action, changed_object):
        return "done"
"""


def either(name: str) -> pytest.MarkDecorator:
    """Try it with a ``def`` and with an ``async def`` receiver."""
    return pytest.mark.parametrize("receiver", [name, f"{name}Async"])


EITHER = either("Shows")


class World:
    """A table, a hook and a receiver."""

    def __init__(self, conn: Connection, database: str, receivers: Path, module: ModuleType, log: Path) -> None:
        self.conn = conn
        self.database = database
        self.receivers = receivers
        self.module = module
        self.log = log

    def deliver(
        self, receiver: str, *statements: str, prepare: str = "", by_daemon: bool = False
    ) -> list[tuple[Any, ...]]:
        """Hook a receiver, write, deliver all there is; return status and error of each result."""
        add_hook(self.database, self.receivers, f"r.{receiver}")
        if prepare:
            self.conn.execute(prepare.encode())
        for statement in statements:
            self.conn.execute(statement.encode())
        if not by_daemon:
            run_hooks(Database(self.database, self.conn), [getattr(self.module, receiver)], LIMIT)
            return self.results()
        with Daemon(self.database, self.receivers, self.log).await_started() as daemon:
            wait_until("all is settled", self._is_settled)
            assert daemon.terminate() == 0
        return self.results()

    def results(self) -> list[tuple[Any, ...]]:
        return self.conn.execute(
            "select status, error from jobhooks.results where job <> 'r.Witness' order by change_id"
        ).fetchall()

    def _is_settled(self) -> bool:
        """Return whether each hook that is enabled has a result for each change."""
        row = self.conn.execute(
            "select (select count(*) from jobhooks.object_change where triggering)"
            " * (select count(*) from jobhooks.hooks where runs) = (select count(*) from jobhooks.job_result)"
        ).fetchone()
        return row == (True,)

    @property
    def events(self) -> list[dict[str, Any]]:
        """Read the daemon's log."""
        return [json.loads(line) for line in self.log.read_text().splitlines() if line.startswith("{")]

    def logged(self) -> list[str]:
        return [message for (message,) in self.conn.execute("select message from jobhooks.job_log_entry order by line")]

    def shown(self) -> list[dict[str, Any]]:
        return [json.loads(word) for (word,) in self.conn.execute("select word from public.seen order by n")]


@pytest.fixture
def world(device: Connection, database: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    make_seen(device)
    receivers = write_receivers(tmp_path / "receivers", RECEIVERS)
    spec = importlib.util.spec_from_file_location("r", receivers / "r.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, "r", module)
    spec.loader.exec_module(module)
    return World(device, database, receivers, module, tmp_path / "daemon.log")


INSERT = "insert into public.device (name, serial) values ('a', '1')"


@EITHER
def test_it_is_called_by_keyword(world: World, receiver: str) -> None:
    assert world.deliver(receiver, INSERT, by_daemon=True) == [("success", None)]
    assert world.shown()[0]["arguments"] == ["action", "change", "changed_object"]


@EITHER
def test_actions_are_strings(world: World, receiver: str) -> None:
    world.deliver(receiver, INSERT, "update public.device set name = 'b'", "delete from public.device")
    assert [shown["action"] for shown in world.shown()] == ["create", "update", "delete"]


def test_actions_have_three_constants() -> None:
    actions = ObjectChangeActionChoices
    assert (actions.ACTION_CREATE, actions.ACTION_UPDATE, actions.ACTION_DELETE) == ("create", "update", "delete")


@EITHER
def test_the_changed_object_is_the_live_row(world: World, receiver: str) -> None:
    world.deliver(receiver, INSERT, "update public.device set name = 'b'")
    assert [shown["object"]["name"] for shown in world.shown()] == ["b", "b"]
    assert [shown["id"] for shown in world.shown()] == [1, 1]
    assert {shown["type"] for shown in world.shown()} == {"public.device"}


@EITHER
def test_an_object_that_has_vanished_since_is_none(world: World, receiver: str) -> None:
    world.deliver(receiver, INSERT, "delete from public.device")
    assert (world.shown()[0]["action"], world.shown()[0]["object"]) == ("create", None)


@EITHER
def test_the_changed_object_of_a_delete_is_none(world: World, receiver: str) -> None:
    """Also where there is such a row again."""
    again = "insert into public.device (id, name) overriding system value values (1, 'again')"
    world.deliver(receiver, INSERT, "delete from public.device", again)
    assert (world.shown()[1]["action"], world.shown()[1]["object"]) == ("delete", None)


ROW = {"id": 1, "name": "a", "serial": "1"}


@EITHER
def test_snapshots_of_a_create(world: World, receiver: str) -> None:
    world.deliver(receiver, INSERT)
    differences = {"removed": None, "added": ROW}
    assert world.shown()[0]["snapshots"] == {"prechange": None, "postchange": ROW, "differences": differences}


@EITHER
def test_snapshots_of_an_update(world: World, receiver: str) -> None:
    world.deliver(receiver, INSERT, "update public.device set serial = '2'")
    assert world.shown()[1]["snapshots"] == {
        "prechange": ROW,
        "postchange": {**ROW, "serial": "2"},
        "differences": {"removed": {"serial": "1"}, "added": {"serial": "2"}},
    }


@EITHER
def test_snapshots_of_a_delete(world: World, receiver: str) -> None:
    world.deliver(receiver, INSERT, "delete from public.device")
    differences = {"removed": ROW, "added": None}
    assert world.shown()[1]["snapshots"] == {"prechange": ROW, "postchange": None, "differences": differences}


def test_an_update_that_changes_nothing_is_no_change(world: World) -> None:
    assert len(world.deliver("Shows", INSERT, "update public.device set serial = '1'")) == 1


@pytest.mark.parametrize(("before", "after"), [(None, "1"), ("1", None)])
def test_snapshots_from_null_to_a_value_and_back(world: World, before: str | None, after: str | None) -> None:
    values = ["null" if value is None else f"'{value}'" for value in (before, after)]
    insert = f"insert into public.device (name, serial) values ('a', {values[0]})"
    world.deliver("Shows", insert, f"update public.device set serial = {values[1]}")
    differences = {"removed": {"serial": before}, "added": {"serial": after}}
    assert world.shown()[1]["snapshots"]["differences"] == differences


@pytest.mark.parametrize(
    ("before", "after"),
    [
        pytest.param({"a": {"b": 1, "c": None}}, {"a": {"b": 2, "c": None}}, id="nested"),
        pytest.param([1, 2], [2, 1], id="the order of a list"),
    ],
)
def test_snapshots_of_json_differ_as_a_whole(world: World, before: object, after: object) -> None:
    prepare = "alter table public.device add column data jsonb"
    insert = f"insert into public.device (name, data) values ('a', '{json.dumps(before)}')"
    world.deliver("Shows", insert, f"update public.device set data = '{json.dumps(after)}'", prepare=prepare)
    differences = {"removed": {"data": before}, "added": {"data": after}}
    assert world.shown()[1]["snapshots"]["differences"] == differences


@either("Logs")
def test_log_methods_take_an_object_first_or_a_lone_string(world: World, receiver: str) -> None:
    assert world.deliver(receiver, INSERT) == [("success", None)]
    lines = world.conn.execute("select level, object, message from jobhooks.job_log_entry order by line").fetchall()
    assert lines == [
        ("debug", None, "a lone string"),
        ("info", "public.device id=1", "an object first"),
        ("success", "device", "by keyword"),
        ("warning", None, "no object"),
        ("info", None, "as a logger has it"),
    ]


@either("LogsFailure")
def test_log_failure_marks_the_run_failed_and_keeps_its_writes(world: World, receiver: str) -> None:
    assert world.deliver(receiver, INSERT) == [("failure", "not good")]
    assert world.conn.execute("select word from public.seen").fetchall() == [("kept",)]


def test_fail_marks_the_run_failed_and_raises_nothing(world: World) -> None:
    assert world.deliver("CallsFail", INSERT) == [("failure", "not good")]
    assert world.logged() == ["not good", "goes on"]


@either("Fails")
def test_an_exception_rolls_its_writes_back_and_keeps_its_log(world: World, receiver: str) -> None:
    assert world.deliver(receiver, INSERT) == [("failure", "ValueError: it broke")]
    assert world.conn.execute("select word from public.seen").fetchall() == []
    assert world.logged() == ["about to fail"]


def test_a_missing_receive_job_hook_is_a_failed_result_and_not_a_crash(world: World) -> None:
    ((status, error),) = world.deliver("HasNone", INSERT)
    assert (status, str(error).partition(":")[0]) == ("failure", "NotImplementedError")


@either("Steps")
def test_before_start_and_on_success_are_called_around_it(world: World, receiver: str) -> None:
    assert world.deliver(receiver, INSERT) == [("success", None)]
    assert world.logged() == ["before_start", "receive_job_hook", "on_success {'id': 1}"]


@either("FailsInSteps")
def test_on_failure_and_after_return_are_called_after_it(world: World, receiver: str) -> None:
    assert world.deliver(receiver, INSERT) == [("failure", "ValueError: it broke")]
    assert world.logged() == ["on_failure it broke", "after_return failure"]


@either("RaisesAtTheEnd")
def test_what_after_return_raises_is_logged_and_changes_nothing(world: World, receiver: str) -> None:
    assert world.deliver(receiver, INSERT, by_daemon=True) == [("success", None)]
    assert world.conn.execute("select word from public.seen").fetchall() == [("kept",)]
    (event,) = [event for event in world.events if event["event"] == "logged_after_result"]
    assert (event["receiver"], event["level"], event["about"]) == (f"r.{receiver}", "warning", "after_return")
    assert "ValueError" in str(event["message"]) and str(event["message"]).endswith("password=***")


def test_a_meta_of_nautobots_is_taken_and_what_has_no_effect_is_told(world: World) -> None:
    assert world.deliver("HasNautobotsMeta", INSERT, by_daemon=True) == [("success", None)]
    told = [event["warning"] for event in world.events if event["event"] == "receiver_meta_warning"]
    assert [str(warning).partition(" ")[0] for warning in told] == [
        "HasNautobotsMeta.Meta.approval_required",
        "HasNautobotsMeta.Meta.task_queues",
        "HasNone",  # has no receive_job_hook
    ]
    at = ["--receivers-path", str(world.receivers), "--database-url", world.database]
    listed = jobhooks("job", "list", "--json", *at)
    assert "r.HasNautobotsMeta" in [job["job"] for job in json.loads(listed.stdout)]
    path = world.receivers / "r.py"
    warnings = [line for line in listed.stderr.splitlines() if line.startswith("warning: ")]
    assert warnings == [f"warning: {path}: {warning}" for warning in told]


# Beside the hook without effect, a hook whose results show that the daemon has handled these changes.
@pytest.fixture
def witnessed(world: World) -> World:
    add_hook(world.database, world.receivers, "r.Witness")
    return world


def test_a_disabled_hook_does_nothing(witnessed: World) -> None:
    disable = "update jobhooks.job_hook set enabled = false where name = 'hook of r.Shows'"
    assert witnessed.deliver("Shows", INSERT, prepare=disable, by_daemon=True) == []


def test_a_disabled_job_does_nothing(witnessed: World) -> None:
    disable = "update jobhooks.job set enabled = false where class_path = 'r.Shows'"
    assert witnessed.deliver("Shows", INSERT, prepare=disable, by_daemon=True) == []


@either("Saves")
def test_a_change_by_a_receiver_triggers_nothing(world: World, receiver: str) -> None:
    """Neither by the row nor by the connection, and no other hook either; the next change of a user's is delivered."""
    assert world.deliver(receiver, INSERT, by_daemon=True) == [("success", None)]
    changes = world.conn.execute("select action, triggering from jobhooks.object_change order by id").fetchall()
    assert changes == [("create", True), ("update", False), ("update", False)]
    with Daemon(world.database, world.receivers, world.log).await_started():
        world.conn.execute("update public.device set serial = 'by a user'")
        wait_until("that is delivered", lambda: len(world.results()) > 1)
    delivered = world.conn.execute("select change_id from jobhooks.job_result order by 1").fetchall()
    assert delivered == [(1,), (4,)]


@EITHER
def test_results_keep_their_hook_and_change_and_what_was_returned(world: World, receiver: str) -> None:
    world.deliver(receiver, INSERT)
    row = world.conn.execute("select change_id, hook, job, attempt, status, value from jobhooks.results").fetchone()
    assert row == (1, f"hook of r.{receiver}", f"r.{receiver}", 1, "success", {"id": 1})
