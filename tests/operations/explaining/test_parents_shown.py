"""A change of a child, where commands show the objects that hooks ran for: the update of its parent."""

import json
from collections.abc import Generator
from pathlib import Path

import pytest

from conftest import Connection
from jobhooks.operations.delivering.attempts import ObjectChange
from jobhooks.operations.delivering.deliveries import DeliveryFilter, pending_deliveries
from jobhooks.operations.delivering.dry_run import dry_run
from jobhooks.operations.delivering.results import ResultFilter, newest_results
from jobhooks.operations.tables import watch
from jobhooks.runtime.settings import load
from jobhooks.store.connections import SyncConnection
from support.hooking import add_hook, write_receivers

RECEIVERS = """
from jobhooks import JobHookReceiver

class Tags(JobHookReceiver):
    def receive_job_hook(self, change, action, changed_object):
        return f"{action} {change.object_repr} by {change.related.object_repr if change.related else None}"
"""
OF_DEVICE = ("public.device", "update", {"id": 1})
OF_TAG = ("public.tag", "create", {"id": 5})


def words(shown: ObjectChange | None) -> tuple[object, ...] | None:
    return None if shown is None else (shown.table, shown.action, json.loads(bytes(shown.object_key)))


@pytest.fixture
def receivers(tmp_path: Path) -> Path:
    return write_receivers(tmp_path / "receivers", RECEIVERS)


@pytest.fixture
def tagged(device: Connection, admin: SyncConnection, database: str, receivers: Path) -> Generator[Connection]:
    """Change 1 adds a tag to the device, change 2 changes the device; a hook on the device has both pending."""
    device.execute("create table public.tag (id integer primary key, device_id integer references public.device)")
    watch(admin, "public.tag", parents=["public.device=device_id"])
    add_hook(database, receivers, "r.Tags")
    device.execute("insert into public.tag values (5, 1)")
    device.execute("update public.device set serial = 'X' where id = 1")
    yield device


def test_a_delivery_is_for_the_parent(tagged: Connection, admin: SyncConnection) -> None:
    tagged.execute(
        "insert into jobhooks.delivery (change_id, hook_id, content_type_id, lane, status, due_at)"
        " select id, 1, 1, 7, 'waiting', now() from jobhooks.object_change"
    )
    of_child, own = pending_deliveries(admin, DeliveryFilter(), 9)
    assert (of_child.table, of_child.action, json.loads(bytes(of_child.object_key))) == OF_DEVICE
    assert words(of_child.child) == OF_TAG
    assert (own.table, own.action, json.loads(bytes(own.object_key)), own.child) == (*OF_DEVICE, None)
    tagged.execute("delete from jobhooks.content_type_parent")  # as if it was watched again without the parent
    (of_child, _) = pending_deliveries(admin, DeliveryFilter(), 9)
    assert (of_child.table, of_child.action, bytes(of_child.object_key)) == ("public.device", "update", b"null")
    assert words(of_child.child) == OF_TAG


def test_a_result_is_for_the_parent(tagged: Connection, admin: SyncConnection) -> None:
    tagged.execute(
        "insert into jobhooks.job_result (change_id, hook_id, job_id, attempt, status, started_at, finished_at)"
        " select id, 1, 1, 1, 'success', now(), now() from jobhooks.object_change"
    )
    of_child, own = newest_results(admin, ResultFilter(), 9)
    assert [each.change_id for each in newest_results(admin, ResultFilter(tables=["public.device"]), 9)] == [1, 2]
    assert [each.change_id for each in newest_results(admin, ResultFilter(tables=["public.tag"]), 9)] == [1]
    assert (of_child.table, of_child.action, json.loads(bytes(of_child.object_key))) == OF_DEVICE
    assert words(of_child.child) == OF_TAG
    assert own.child is None
    tagged.execute("select jobhooks.edit_hook('hook of r.Tags', '{\"content_types\": [\"public.tag\"]}')")
    of_child, _ = newest_results(admin, ResultFilter(), 9)
    assert (of_child.table, of_child.child) == ("public.tag", None), "by the hook as it is now"


def test_a_dry_run_is_for_the_parent(tagged: Connection, admin: SyncConnection, database: str, receivers: Path) -> None:
    settings = load(None, database_url=database, receivers_path=[receivers])
    done = dry_run(admin, settings, "r.Tags", 1)
    assert json.loads(bytes(done.value)) == "update public.device 1 by public.tag 5"
    assert (done.table, done.action, words(done.child)) == ("public.device", "update", OF_TAG)
    tagged.execute("select jobhooks.delete_hook('hook of r.Tags')")
    done = dry_run(admin, settings, "r.Tags", 1)
    assert json.loads(bytes(done.value)) == "create public.tag 5 by None", "without a hook it is the change as it is"
    assert (done.table, done.child) == ("public.tag", None)
