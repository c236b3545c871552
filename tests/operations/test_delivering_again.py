"""Retries, discards and replays: what the engine delivers after them, and in what order."""

import datetime
import threading
from collections.abc import Callable
from typing import Any

import pytest

from conftest import Connection
from jobhooks import JobHookReceiver
from jobhooks.errors import InvalidConditions, Refused
from jobhooks.operations.changes import server_time
from jobhooks.operations.configuration import jobs
from jobhooks.operations.delivering.deliveries import (
    Blocker,
    DeliveriesChanged,
    DeliveryFilter,
    choose,
    delivery_details,
    discard,
    pending_deliveries,
    retry,
)
from jobhooks.operations.delivering.job_run import await_results, queue_job
from jobhooks.operations.delivering.replay import ReplayFilter, plan_replay, replay
from jobhooks.operations.delivering.results import results_of_change
from jobhooks.operations.doctor import problems
from jobhooks.store.connections import SyncConnection
from jobhooks.testing.databases import Database
from jobhooks.testing.delivering import Result, run_hooks

Deliver = Callable[..., list[Result]]
MODULE = __name__.rpartition(".")[2]


class Refuses(JobHookReceiver[Any]):
    """Refuses bad names."""

    mended = threading.Event()

    def receive_job_hook(self, change: Any) -> None:
        name = change.postchange["name"]
        self.log_info(f"saw {name}")
        if name.startswith("bad") and not self.mended.is_set():
            raise ValueError(name)


class Picky(Refuses):
    """Has one attempt."""

    class Meta:
        max_attempts = 1


class Patient(Refuses):
    """Is attempted again after an hour."""

    class Meta:
        backoff = 3600


class Skipping(Refuses):
    """Leaves a dead delivery behind."""

    class Meta:
        max_attempts = 1
        on_failure = "skip"


class Writer(JobHookReceiver[Any]):
    """Notes the changes that it gets."""

    async def receive_job_hook(self, change: Any) -> None:
        await self.connection.execute("insert into public.seen (change_id) values ($1)", change.id)


class Copies(JobHookReceiver[Any]):
    """Writes to the table that it is for, and returns the row."""

    def receive_job_hook(self, change: Any) -> dict[str, object]:
        self.log_info("device 1", "writing")
        self.connection.execute("insert into public.device (name) values ('made')")
        self.log_warning("two\nlines")
        if change.postchange["name"] == "bad":
            raise ValueError("bad")
        return {"n": 1.5}


@pytest.fixture
def deliver(database: str, admin: SyncConnection, device: Connection) -> Deliver:
    """Deliver everything that is pending to receivers, which get a hook of their name with the first call."""
    device.execute("create table public.seen (id integer generated always as identity, change_id bigint)")
    Refuses.mended.clear()
    return lambda *receivers: run_hooks(Database(database, admin), receivers, 20)


def rename(conn: Connection, *names: str) -> None:
    for name in names:
        conn.execute("update public.device set name = %s where id = 1", [name])


def pending(conn: Connection) -> list[tuple[object, ...]]:
    """Change, hook, status and attempts of pending deliveries."""
    return conn.execute(
        "select change_id, job_hook.name, delivery.status, attempts from jobhooks.delivery_states() as delivery"
        " join jobhooks.job_hook on job_hook.id = hook_id order by change_id, hook_id"
    ).fetchall()


def results(conn: Connection) -> list[tuple[object, ...]]:
    """Change, attempt and status of results, in order of time."""
    return conn.execute("select change_id, attempt, status from jobhooks.job_result order by finished_at").fetchall()


def seen(conn: Connection) -> list[int]:
    """The changes that Writer got, in order."""
    return [change_id for (change_id,) in conn.execute("select change_id from public.seen order by id")]


def test_a_failure_and_what_is_behind_it_are_listed_and_shown(
    device: Connection, admin: SyncConnection, deliver: Deliver
) -> None:
    """At night an operator must see the failure, its cause, the blocked deliveries, and the next attempt."""
    rename(device, "bad", "b", "c")
    deliver(Picky, Patient)
    found = pending_deliveries(admin, DeliveryFilter(), 50)
    assert [(each.change_id, each.hook, each.status, each.attempts) for each in found] == [
        (1, "Picky", "dead", 1),
        (1, "Patient", "waiting", 1),
        (2, "Picky", "blocked", 0),
        (2, "Patient", "blocked", 0),
        (3, "Picky", "blocked", 0),
        (3, "Patient", "blocked", 0),
    ]
    assert [each.error for each in found] == ["ValueError: bad"] * 2 + [None] * 4
    assert found[0].due_in_s is None
    assert found[1].due_in_s is not None and 2000 < found[1].due_in_s < 4400
    shown = delivery_details(admin, 1)
    assert shown.change is not None and bytes(shown.change.added) == b'{"name": "bad"}'
    assert [each.results[0].log[0].message for each in shown.deliveries] == ["saw bad"] * 2
    (blocked,) = delivery_details(admin, 3, "Picky").deliveries
    assert (blocked.blocked_by, blocked.results) == (Blocker(1, "dead", 2), [])
    remedies = [problem.remedy for problem in problems(admin, 30)]
    assert "jobhooks delivery list --state dead --hook 'Picky'" in remedies


def test_a_retry_runs_the_dead_one_and_then_those_behind_it(
    device: Connection, admin: SyncConnection, deliver: Deliver
) -> None:
    """The fault is fixed: the dead one runs, as attempt 2, and then its followers."""
    rename(device, "bad", "b", "c")
    deliver(Picky)
    Refuses.mended.set()
    assert retry(admin, choose(admin, DeliveryFilter([1]))) == DeliveriesChanged(1, 0, [])
    deliver(Picky)
    assert results(device) == [(1, 1, "failure"), (1, 2, "success"), (2, 1, "success"), (3, 1, "success")]
    assert pending(device) == []


def test_a_retry_counts_failures_from_zero(device: Connection, admin: SyncConnection, deliver: Deliver) -> None:
    """Otherwise one that died by its limit would be retried in vain. Attempts go on: they number the results."""
    rename(device, "bad", "b")
    deliver(Patient)
    device.execute("update jobhooks.delivery set failures = 13 where change_id = 1")
    for attempts in (2, 3):
        retry(admin, choose(admin, DeliveryFilter(status="waiting")))
        deliver(Patient)
        assert pending(device) == [(1, "Patient", "waiting", attempts), (2, "Patient", "blocked", 0)]
    assert device.execute("select failures from jobhooks.delivery where change_id = 1").fetchone() == (1,)
    assert [change for change, *_ in results(device)] == [1, 1, 1]


def test_a_retry_puts_the_changes_of_an_object_back_in_order(
    device: Connection, admin: SyncConnection, deliver: Deliver
) -> None:
    """Two failed changes of one row, skipped before, run one after the other."""
    rename(device, "bad 1", "b", "bad 2")
    deliver(Skipping)
    assert pending(device) == [(1, "Skipping", "dead", 1), (3, "Skipping", "dead", 1)]
    Refuses.mended.set()
    retry(admin, choose(admin, DeliveryFilter(), everything=True))
    deliver(Skipping)
    assert results(device)[3:] == [(1, 2, "success"), (3, 2, "success")]
    assert pending(device) == []


def test_a_discarded_delivery_has_a_result_and_releases_the_others(
    device: Connection, admin: SyncConnection, deliver: Deliver
) -> None:
    """The result says who gave up which delivery, and why; and one bad change does not block an object forever."""
    rename(device, "bad", "b", "c")
    deliver(Picky, Patient)
    plan = choose(admin, DeliveryFilter(hooks=["Picky"], error="VALUE"))
    assert discard(admin, plan, "known to be bad") == DeliveriesChanged(1, 0, [])
    deliver(Picky, Patient)
    rows = device.execute(
        "select change_id, attempt, status, error from jobhooks.job_result"
        " where hook_id = (select id from jobhooks.job_hook where name = 'Picky') order by finished_at"
    ).fetchall()
    assert rows == [
        (1, 1, "failure", "ValueError: bad"),
        (1, 2, "discarded", "known to be bad"),
        (2, 1, "success", None),
        (3, 1, "success", None),
    ]
    assert pending(device) == [
        (1, "Patient", "waiting", 1),
        (2, "Patient", "blocked", 0),
        (3, "Patient", "blocked", 0),
    ]


def test_settled_changes_are_replayed_with_the_next_attempt_number(
    device: Connection, admin: SyncConnection, deliver: Deliver
) -> None:
    """A receiver had a bug that did not fail: its changes run again, in order. So do those from before the hook."""
    rename(device, "before there was a hook")
    device.execute("insert into jobhooks.job (class_path, enabled) values (%s, true)", [f"{MODULE}.Writer"])
    device.execute("select jobhooks.add_hook('w', '{public.device}', '{update}', %s)", [f"{MODULE}.Writer"])
    rename(device, "a", "b", "c")
    deliver(Writer)
    assert seen(device) == [2, 3, 4]
    assert replay(admin, plan_replay(admin, ReplayFilter("w"))) == 4
    deliver(Writer)
    assert replay(admin, plan_replay(admin, ReplayFilter("w", change_ids=[3]))) == 1
    deliver(Writer)
    device.execute("update jobhooks.object_change set time = now() - interval '2 hours' where id < 3")
    now, hour = server_time(admin), datetime.timedelta(hours=1)
    chosen = ReplayFilter("w", ["public.device"], since=now - 3 * hour, until=now - hour)
    assert replay(admin, plan_replay(admin, chosen)) == 2
    deliver(Writer)
    assert [(change, attempt) for change, attempt, _ in results(device)] == [
        *[(2, 1), (3, 1), (4, 1)],
        *[(1, 1), (2, 2), (3, 2), (4, 2)],
        (3, 3),
        *[(1, 2), (2, 3)],
    ]
    assert seen(device) == [2, 3, 4, 1, 2, 3, 4, 3, 1, 2]


def test_a_replay_goes_by_the_hooks_present_columns_and_conditions(
    device: Connection, admin: SyncConnection, deliver: Deliver
) -> None:
    """So that changes that a mistake in them kept away can be delivered after a fix."""
    rename(device, "a", "b", "c")
    device.execute("update public.device set serial = 'other'")
    deliver(Writer)
    device.execute(
        "update jobhooks.job_hook set columns = '{name}', conditions = 'new.name != \"b\" && old.size == null'"
    )
    with pytest.raises(Refused):
        plan_replay(admin, ReplayFilter("Writer"))
    device.execute("update jobhooks.job_hook set conditions = 'new.name != \"b\"'")
    assert replay(admin, plan_replay(admin, ReplayFilter("Writer"))) == 2
    deliver(Writer)
    assert seen(device) == [1, 2, 3, 4, 1, 3]
    device.execute("update jobhooks.job_hook set conditions = 'new.name !='")
    with pytest.raises(InvalidConditions):
        plan_replay(admin, ReplayFilter("Writer"))


def test_a_replay_knows_which_columns_are_ignored(device: Connection, admin: SyncConnection, deliver: Deliver) -> None:
    """As for the daemon, an ignored column never changes."""
    device.execute("select jobhooks.watch('public.device', ignore => '{serial}')")
    device.execute("update public.device set name = 'b', serial = 'other'")
    deliver(Writer)
    device.execute("update jobhooks.job_hook set conditions = 'changed(\"serial\")'")
    with pytest.raises(Refused):
        plan_replay(admin, ReplayFilter("Writer"))
    device.execute("update jobhooks.job_hook set conditions = 'changed(\"name\")'")
    assert list(plan_replay(admin, ReplayFilter("Writer")).change_ids) == [1]


def test_changes_that_will_be_delivered_anyway_are_not_replayed(
    device: Connection, admin: SyncConnection, deliver: Deliver
) -> None:
    """They would come twice. Of a hook that is off the changes are queued, and run once it is on."""
    deliver(Writer)
    rename(device, "a", "b")
    with device.transaction():
        device.execute("set local jobhooks.delivery = '1:1:1'")
        rename(device, "made by a receiver")
    device.execute("update jobhooks.job_hook set enabled_since = (select seen from jobhooks.cursor)")
    with pytest.raises(Refused):
        plan_replay(admin, ReplayFilter("Writer"))
    device.execute("update jobhooks.job_hook set enabled = false")
    device.execute("update jobhooks.job_hook set enabled = true")  # from here on it is for new changes only
    jobs.enable_job(admin, f"{MODULE}.Writer", enabled=False)
    plan = plan_replay(admin, ReplayFilter("Writer"))
    assert (list(plan.change_ids), plan.hook.runs) == ([1, 2], False)
    assert replay(admin, plan) == 2
    with pytest.raises(Refused):
        plan_replay(admin, ReplayFilter("Writer"))
    jobs.enable_job(admin, f"{MODULE}.Writer")
    deliver(Writer)
    assert results(device) == [(1, 1, "success"), (2, 1, "success")]
    assert pending(device) == []


def test_a_job_runs_again_for_a_change_and_its_result_is_returned(
    device: Connection, admin: SyncConnection, deliver: Deliver
) -> None:
    """Its attempts are numbered on."""
    rename(device, "bad")
    Refuses.mended.set()
    deliver(Picky)
    queued = queue_job(admin, f"{MODULE}.Picky", 1)
    Refuses.mended.clear()
    deliver(Picky)
    (result,) = await_results(admin, queued, 0)
    assert (result.hook, result.attempt, result.status, result.error) == ("Picky", 2, "failure", "ValueError: bad")
    assert [line.message for line in result.log] == ["saw bad"]
    with pytest.raises(Refused):
        queue_job(admin, f"{MODULE}.Picky", 1)


def test_a_result_is_returned_with_the_receivers_writes(
    device: Connection, admin: SyncConnection, deliver: Deliver
) -> None:
    """They are found by the mark on the changes; what a failure wrote was rolled back."""
    rename(device, "good", "bad")
    deliver(Copies)
    (result,) = results_of_change(admin, 1).results
    assert (result.hook, result.status, result.error, bytes(result.value)) == ("Copies", "success", None, b'{"n":1.5}')
    assert [(change.action, bytes(change.object_key)) for change in result.wrote] == [("create", b'{"id": 2}')]
    assert [(line.level, line.message) for line in result.log] == [("info", "writing"), ("warning", "two\nlines")]
    (failed,) = results_of_change(admin, 2, "Copies", 1).results
    assert (failed.status, failed.error, failed.wrote) == ("failure", "ValueError: bad", [])
    assert failed.traceback is not None and "receive_job_hook" in failed.traceback
