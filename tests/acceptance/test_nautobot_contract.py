"""What the author of a Nautobot job hook receiver relies on, a test a line, through the daemon as it is run."""

import json
from pathlib import Path
from typing import Any

import pytest

from conftest import Connection
from jobhooks import ObjectChangeActionChoices
from support.daemon import Daemon, wait_until
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

class Logs(JobHookReceiver):
    def receive_job_hook(self, change, action, changed_object):
        self.log_debug("a lone string")
        self.log_info(changed_object, "an object first")
        self.log_success(obj="device", message="by keyword")
        self.log_warning(message="no object")
        self.logger.info("as a logger has it")

class LogsFailure(JobHookReceiver):
    class Meta:
        max_attempts = 1
    def receive_job_hook(self, change, action, changed_object):
        self.connection.execute("insert into public.seen (word) values ('kept')")
        self.log_failure("not good")

class Fails(JobHookReceiver):
    class Meta:
        max_attempts = 1
    def receive_job_hook(self, change, action, changed_object):
        self.connection.execute("insert into public.seen (word) values ('undone')")
        self.fail("not good")
        raise ValueError("it broke")

class HasNone(JobHookReceiver):
    class Meta:
        max_attempts = 1

class Saves(JobHookReceiver):
    def receive_job_hook(self, change, action, changed_object):
        changed_object.name = "saved"
        changed_object.save()
"""
EITHER = pytest.mark.parametrize("receiver", ["Shows", "ShowsAsync"])


class World:
    """A table, a hook and a receiver."""

    def __init__(self, conn: Connection, database: str, receivers: Path, log: Path) -> None:
        self.conn = conn
        self.database = database
        self.receivers = receivers
        self.log = log

    def deliver(self, receiver: str, *statements: str, prepare: str = "") -> list[tuple[Any, ...]]:
        """Hook a receiver, write, let a daemon deliver all there is; return status and error of each result."""
        add_hook(self.database, self.receivers, f"r.{receiver}")
        if prepare:
            self.conn.execute(prepare.encode())
        for statement in statements:
            self.conn.execute(statement.encode())
        with Daemon(self.database, self.receivers, self.log).await_started() as daemon:
            wait_until("the log is read", self._is_read)
            assert daemon.terminate() == 0
        return self.conn.execute("select status, error from jobhooks.job_result order by change_id").fetchall()

    def _is_read(self) -> bool:
        """Return whether all changes have a result, or no hook could have wanted them."""
        row = self.conn.execute(
            "select (select count(*) from jobhooks.object_change where triggering)"
            " = (select count(*) from jobhooks.job_result) or not exists ("
            " select from jobhooks.job_hook as hook join jobhooks.job as job on job.id = job_id"
            " where hook.enabled and job.enabled) and (select last_id + seen_floor > 0 from jobhooks.cursor)"
        ).fetchone()
        return row == (True,)

    def shown(self) -> list[dict[str, Any]]:
        return [json.loads(word) for (word,) in self.conn.execute("select word from public.seen order by n")]


@pytest.fixture
def world(device: Connection, database: str, tmp_path: Path) -> World:
    make_seen(device)
    return World(device, database, write_receivers(tmp_path / "receivers", RECEIVERS), tmp_path / "daemon.log")


INSERT = "insert into public.device (name, serial) values ('a', '1')"


@EITHER
def test_it_is_called_by_keyword(world: World, receiver: str) -> None:
    assert world.deliver(receiver, INSERT) == [("success", None)]
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
def test_a_vanished_object_is_none(world: World, receiver: str) -> None:
    world.deliver(receiver, INSERT, "delete from public.device")
    assert [shown["object"] for shown in world.shown()] == [None, None]


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


def test_log_methods_take_an_object_first_or_a_lone_string(world: World) -> None:
    assert world.deliver("Logs", INSERT) == [("success", None)]
    lines = world.conn.execute("select level, object, message from jobhooks.job_log_entry order by line").fetchall()
    assert lines == [
        ("debug", None, "a lone string"),
        ("info", "public.device id=1", "an object first"),
        ("success", "device", "by keyword"),
        ("warning", None, "no object"),
        ("info", None, "as a logger has it"),
    ]


def test_log_failure_marks_the_run_failed_and_keeps_its_writes(world: World) -> None:
    assert world.deliver("LogsFailure", INSERT) == [("failure", "not good")]
    assert world.conn.execute("select word from public.seen").fetchall() == [("kept",)]


def test_an_exception_rolls_its_writes_back(world: World) -> None:
    assert world.deliver("Fails", INSERT) == [("failure", "ValueError: it broke")]
    assert world.conn.execute("select word from public.seen").fetchall() == []
    assert world.conn.execute("select message from jobhooks.job_log_entry").fetchall() == [("not good",)]


def test_a_missing_receive_job_hook_is_a_failed_result_and_not_a_crash(world: World) -> None:
    assert world.deliver("HasNone", INSERT) == [("failure", "NotImplementedError: HasNone has no receive_job_hook")]


def test_a_disabled_hook_does_nothing(world: World) -> None:
    assert world.deliver("Shows", INSERT, prepare="update jobhooks.job_hook set enabled = false") == []


def test_a_disabled_job_does_nothing(world: World) -> None:
    assert world.deliver("Shows", INSERT, prepare="update jobhooks.job set enabled = false") == []


def test_a_change_by_a_receiver_triggers_nothing(world: World) -> None:
    assert world.deliver("Saves", INSERT) == [("success", None)]
    changes = world.conn.execute("select action, triggering from jobhooks.object_change order by id").fetchall()
    assert changes == [("create", True), ("update", False)]


def test_results_keep_their_hook_and_change(world: World) -> None:
    world.deliver("Shows", INSERT)
    row = world.conn.execute("select change_id, hook, job, attempt, status, value from jobhooks.results").fetchone()
    assert row == (1, "hook of r.Shows", "r.Shows", 1, "success", {"id": 1})
