"""Testing a receiver without a database: its input is realistic, and its actions are visible in the result."""

import asyncio
import datetime
from typing import Any

import pytest

from jobhooks import Change, Discard, JobHookReceiver, StaleObject
from jobhooks.errors import InvalidHookData
from jobhooks.testing import receive, receive_async, receive_batch


class Upper(JobHookReceiver):
    """Writes names in capitals."""

    def receive_job_hook(self, change: Change, action: str, changed_object: Any) -> object:
        if action in ("delete", "truncate"):
            raise Discard("nothing to write")
        changed_object.name = changed_object.name.upper()
        changed_object.save()
        self.log_info(changed_object, "written")
        return {"was": change.get_snapshots()["differences"]["added"]}


class UpperAsync(JobHookReceiver[Any]):
    """The same."""

    async def receive_job_hook(self, change: Change, action: str, changed_object: Any) -> object:
        if action in ("delete", "truncate"):
            raise Discard("nothing to write")
        changed_object.name = changed_object.name.upper()
        await changed_object.save()
        self.log_info(changed_object, "written")
        return {"was": change.get_snapshots()["differences"]["added"]}


EITHER = pytest.mark.parametrize("receiver", [Upper, UpperAsync])


@EITHER
def test_what_a_receiver_did_is_told(receiver: type[JobHookReceiver[Any]]) -> None:
    done = receive(receiver, before={"id": 1, "name": "a"}, after={"id": 1, "name": "b"}, table="inventory.device")
    assert (done.status, done.error, done.value) == ("success", None, {"was": {"name": "b"}})
    assert (done.row, done.saved, done.messages) == ({"id": 1, "name": "B"}, True, ["written"])
    assert done.log[0].object == "inventory.device id=1"


@EITHER
@pytest.mark.parametrize("before", [{"id": 1}, None])
def test_without_a_row_after_it_is_a_delete_or_a_truncate(
    receiver: type[JobHookReceiver[Any]], before: dict[str, object] | None
) -> None:
    done = receive(receiver, before=before)
    assert (done.status, done.error, done.row, done.saved) == ("discarded", "nothing to write", None, False)


class Says(JobHookReceiver):
    def receive_job_hook(self, change: Change) -> list[str | None]:
        return [change.user_name, change.request_id, change.message, change.change_context_detail]


def test_a_change_says_who_made_it_and_why() -> None:
    said: dict[str, Any] = {"user_name": "alice", "request_id": "r-1", "message": "the rack moved"}
    assert receive(Says, **said).value == ["alice", "r-1", "the rack moved", "the rack moved"]
    assert asyncio.run(receive_async(Says, **said)).value == receive(Says, **said).value
    assert receive(Says).value == ["tester", None, None, ""]


class WithData(JobHookReceiver):
    class Data:
        channel: str

    def receive_job_hook(self, change: Change) -> str:
        return self.hook.data.channel


async def test_a_receiver_gets_the_data_of_a_hook() -> None:
    """Data that a hook could not have are refused."""
    assert receive(WithData, data={"channel": "ops"}).value == "ops"
    assert (await receive_async(WithData, data={"channel": "ops"})).value == "ops"
    for wrong in ({}, {"channel": 1}):
        with pytest.raises(InvalidHookData):
            receive(WithData, data=wrong)


async def test_a_receiver_gets_the_depth_of_its_change() -> None:
    """As for a hook with a chain_depth, whose change another run made."""

    class Deep(JobHookReceiver):
        def receive_job_hook(self, change: Change) -> list[object]:
            return [change.depth, change.change_context]

    assert receive(Deep).value == [0, "orm"]
    assert receive(Deep, depth=2).value == [2, "job-hook"]
    assert (await receive_async(Deep, depth=1)).value == [1, "job-hook"]


async def test_where_a_loop_runs_it_is_awaited() -> None:
    for receiver in (Upper, UpperAsync):
        assert (await receive_async(receiver, after={"id": 1, "name": "b"})).row == {"id": 1, "name": "B"}
    with pytest.raises(TypeError, match="whatever"):
        await receive_async(Upper, whatever={})


def test_values_are_what_json_makes_of_them() -> None:
    class Sees(JobHookReceiver):
        def receive_job_hook(self, change: Change) -> object:
            return change.postchange

    done = receive(Sees, after={"id": 1, "day": datetime.date(2026, 1, 2), "price": 1.5})
    assert done.value["day"] == "2026-01-02" and str(done.value["price"]) == "1.5"


def test_a_failure_has_its_reason() -> None:
    class Fails(JobHookReceiver):
        told: list[str] = []  # noqa: RUF012 - what is seen here

        def receive_job_hook(self, change: Change) -> None:
            self.log_info("begins")
            raise ValueError("password=hunter2")

        def on_failure(self, exc: BaseException) -> None:
            self.told.append(type(exc).__name__)

    done = receive(Fails, after={"id": 1})
    assert (done.status, done.error, done.messages) == ("failure", "ValueError: password=***", ["begins"])
    assert "raise ValueError" in (done.traceback or "") and Fails.told == ["ValueError"]


def test_a_connection_is_there_only_if_it_is_given() -> None:
    class Writes(JobHookReceiver):
        def receive_job_hook(self, change: Change) -> None:
            self.connection.execute("select 1")

    class Connection:
        done: list[str] = []  # noqa: RUF012 - what is seen here

        def execute(self, statement: str) -> None:
            self.done.append(statement)

    refused = receive(Writes, after={"id": 1})
    assert refused.status == "failure" and "connection=" in (refused.error or "")
    assert receive(Writes, after={"id": 1}, connection=Connection()).status == "success"
    assert Connection.done == ["select 1"]


def test_a_row_that_is_gone_cannot_be_saved() -> None:
    class DeletesTwice(JobHookReceiver):
        def receive_job_hook(self, change: Change, changed_object: Any) -> None:
            changed_object.delete()
            changed_object.name = "c"
            with pytest.raises(StaleObject):
                changed_object.save()

    done = receive(DeletesTwice, after={"id": 1, "name": "a"})
    assert (done.status, done.row, done.saved) == ("success", None, True)


def test_a_batch_is_many_changes() -> None:
    class Counts(JobHookReceiver):
        def receive_job_hook_batch(self, changes: list[Change]) -> object:
            return [(change.action, self.idempotency_key_of(change)) for change in changes]

    done = receive_batch(Counts, [(None, {"id": 1}), ({"id": 1}, {"id": 1, "a": 2}), ({"id": 1}, None)])
    assert done.value == [("create", "1:1"), ("update", "2:1"), ("delete", "3:1")]


class Keeps(JobHookReceiver):
    changes: list[Change] = []  # noqa: RUF012 - what outlives the run

    def receive_job_hook(self, change: Change) -> None:
        assert change.previous() is None
        self.changes.append(change)


class KeepsAsync(JobHookReceiver[Any]):
    async def receive_job_hook(self, change: Change) -> None:
        assert await change.previous() is None
        Keeps.changes.append(change)


@pytest.mark.parametrize("receiver", [Keeps, KeepsAsync])
async def test_when_a_run_has_ended_nothing_is_asked_in_its_name(receiver: type[JobHookReceiver[Any]]) -> None:
    assert (await receive_async(receiver, after={"id": 1})).error is None
    with pytest.raises(RuntimeError):
        Keeps.changes[-1].previous()


class Tags(JobHookReceiver):
    """Counts the tags of a device."""

    def receive_job_hook(self, change: Change, action: str, changed_object: Any) -> object:
        changed_object.tags += 1
        changed_object.save()
        child = change.related
        assert child is not None
        return [action, str(change.changed_object_id), change.prechange, child.action, child.changed_object_type]


class TagsAsync(JobHookReceiver[Any]):
    """The same."""

    async def receive_job_hook(self, change: Change, action: str, changed_object: Any) -> object:
        changed_object.tags += 1
        await changed_object.save()
        child = change.related
        assert child is not None
        return [action, str(change.changed_object_id), change.prechange, child.action, child.changed_object_type]


@pytest.mark.parametrize("receiver", [Tags, TagsAsync])
def test_a_change_of_a_child_is_an_update_of_its_parent(receiver: type[JobHookReceiver[Any]]) -> None:
    """As the daemon delivers it: without the rows of the parent, and with the row as it is now."""
    device = {"public.device": {"id": 7, "tags": 1}}
    done = receive(receiver, after={"id": 1, "device_id": 7}, table="public.tag", parent=device)
    assert (done.error, done.value) == (None, ["update", "7", None, "create", "public.tag"])
    assert (done.row, done.saved) == ({"id": 7, "tags": 2}, True)


async def test_a_parent_has_its_own_key() -> None:
    given: dict[str, Any] = {"after": {"id": 1}, "table": "tag", "parent": {"device": {"name": "a", "tags": 0}}}
    done = await receive_async(TagsAsync, **given, parent_key=["name"])
    assert done.value == ["update", "a", None, "create", "public.tag"]
    with pytest.raises(ValueError, match="the row of device has no id: name its key"):
        receive(Tags, **given)
    with pytest.raises(ValueError, match="parent names 2 tables"):
        receive(Tags, after={"id": 1}, parent={"a": {"id": 1}, "b": {"id": 2}})
