"""Pending deliveries, chosen by filters, and retried or discarded in two steps: a plan, then carrying it out."""

import datetime

import pytest

from conftest import Connection
from jobhooks.errors import NotWatched, Refused, UnknownHook, WrongUsage
from jobhooks.operations.changes import server_time
from jobhooks.operations.delivering.deliveries import (
    Blocker,
    DeliveriesChanged,
    DeliveryFilter,
    choose,
    deliveries_of_change,
    delivery_details,
    discard,
    pending_deliveries,
    pending_delivery,
    retry,
)
from jobhooks.store.connections import SyncConnection
from support.progress import RecordedProgress


def pending(conn: Connection) -> list[tuple[int, str]]:
    return conn.execute("select change_id, status from jobhooks.delivery_states() order by change_id").fetchall()


FILTERS: list[tuple[DeliveryFilter, list[int]]] = [
    (DeliveryFilter(), [1, 2, 3, 4]),
    (DeliveryFilter([3, 1]), [1, 3]),
    (DeliveryFilter([1], status="dead"), [1]),
    (DeliveryFilter(hooks=["first"]), [1, 2, 3]),
    (DeliveryFilter(hooks=["first", "second"]), [1, 2, 3, 4]),
    (DeliveryFilter(tables=["public.site"]), [4]),
    (DeliveryFilter(tables=["public.site", "device"]), [1, 2, 3, 4]),
    (DeliveryFilter(status="waiting"), [3, 4]),
    (DeliveryFilter(error="timeout"), [3]),
    (DeliveryFilter(error="KEY"), [1]),
]


@pytest.mark.parametrize(("chosen", "ids"), FILTERS)
def test_a_filter_chooses_what_is_listed_and_what_is_discarded(
    ledger: Connection, admin: SyncConnection, chosen: DeliveryFilter, ids: list[int]
) -> None:
    """The same filter lists and discards, so that a person can look first."""
    assert [delivery.change_id for delivery in pending_deliveries(admin, chosen, 50)] == ids
    plan = choose(admin, chosen, everything=chosen.is_empty)
    assert discard(admin, plan) == DeliveriesChanged(len(ids), 0, [])
    assert [change_id for change_id, _ in pending(ledger)] == [id_ for id_ in (1, 2, 3, 4) if id_ not in ids]


def test_times_are_those_of_the_changes(ledger: Connection, admin: SyncConnection) -> None:
    hour_ago = server_time(admin) - datetime.timedelta(hours=1)
    assert [each.change_id for each in pending_deliveries(admin, DeliveryFilter(since=hour_ago), 50)] == [2, 3, 4]
    assert [each.change_id for each in pending_deliveries(admin, DeliveryFilter(until=hour_ago), 50)] == [1]


def test_a_limit_keeps_the_newest(ledger: Connection, admin: SyncConnection) -> None:
    assert [each.change_id for each in pending_deliveries(admin, DeliveryFilter(), 2)] == [3, 4]


def test_a_plan_says_what_it_would_change_and_changes_nothing(ledger: Connection, admin: SyncConnection) -> None:
    """So that a person, or a page, can ask for confirmation."""
    before = pending(ledger)
    plan = choose(admin, DeliveryFilter([1, 2, 99], ["first"]))
    assert plan.by_state == {"blocked": 1, "dead": 1}
    assert plan.passed_over == [99]
    assert pending(ledger) == before


@pytest.mark.parametrize(("chosen", "everything"), [(DeliveryFilter(), False), (DeliveryFilter([1]), True)])
def test_all_deliveries_are_never_meant_by_accident(
    ledger: Connection, admin: SyncConnection, chosen: DeliveryFilter, everything: bool
) -> None:
    with pytest.raises(WrongUsage):
        choose(admin, chosen, everything=everything)


def test_what_does_not_exist_is_refused(ledger: Connection, admin: SyncConnection) -> None:
    with pytest.raises(UnknownHook):
        choose(admin, DeliveryFilter(hooks=["First"]))
    with pytest.raises(NotWatched):
        choose(admin, DeliveryFilter(tables=["public.devise"]))
    with pytest.raises(Refused):
        choose(admin, DeliveryFilter([99]))


def test_a_retry_makes_deliveries_due_and_reports_its_progress(
    ledger: Connection, admin: SyncConnection, progress: RecordedProgress
) -> None:
    plan = choose(admin, DeliveryFilter(hooks=["first"]))
    ledger.execute("delete from jobhooks.delivery where change_id = 3")  # settled before the plan is carried out
    assert retry(admin, plan, progress) == DeliveriesChanged(2, 1, [])
    assert (progress.tasks, progress.done) == ([("retrying", 3)], 3)
    assert pending(ledger) == [(1, "waiting"), (2, "blocked"), (4, "waiting")]


def test_a_discard_keeps_its_reason(ledger: Connection, admin: SyncConnection) -> None:
    discard(admin, choose(admin, DeliveryFilter([4])), "the site is gone")
    found = ledger.execute("select error from jobhooks.job_result where change_id = 4 and status = 'discarded'")
    assert found.fetchall() == [("the site is gone",)]


def test_a_delivery_is_shown_with_its_results_and_its_blocker(ledger: Connection, admin: SyncConnection) -> None:
    (dead,) = delivery_details(admin, 1).deliveries
    assert [(result.attempt, result.error) for result in dead.results] == [(1, "Timeout"), (2, "KeyError")]
    assert [line.message for line in dead.results[1].log] == ["begins", "is bad"]
    assert dead.blocked_by is None
    shown = delivery_details(admin, 2, "first")
    assert shown.change is not None and shown.change.id == 2
    assert shown.deliveries[0].blocked_by == Blocker(1, "dead", 1)
    with pytest.raises(Refused):
        delivery_details(admin, 1, "second")


def test_a_delivery_outlives_its_hook_and_its_change(ledger: Connection, admin: SyncConnection) -> None:
    ledger.execute("delete from jobhooks.job_hook where id = 1")
    ledger.execute("delete from jobhooks.object_change where id = 1")
    shown = delivery_details(admin, 1)
    assert shown.change is None
    assert (shown.deliveries[0].hook, shown.deliveries[0].action) == (None, None)


def test_the_deliveries_of_one_change(ledger: Connection, admin: SyncConnection) -> None:
    assert [each.hook for each in deliveries_of_change(admin, 3)] == ["first"]
    assert deliveries_of_change(admin, 99) == []
    waiting = pending_delivery(admin, 3, "first")
    assert waiting is not None and waiting.status == "waiting"
    assert pending_delivery(admin, 3, "second") is None


def many(conn: Connection, count: int) -> None:
    """Make a large backlog of one object, with a dead delivery at its head."""
    conn.execute("insert into jobhooks.job (class_path, enabled) values ('a.B', true)")
    conn.execute("select jobhooks.add_hook('h', '{public.device}', '{update}', 'a.B')")
    conn.execute(
        "insert into jobhooks.delivery (change_id, hook_id, content_type_id, lane, status, due_at) select id, 1, 1, 7,"
        " case when id = 1 then 'dead' else 'waiting' end, case when id > 1 then now() end"
        " from generate_series(1, %s) as id",
        [count],
    )


def test_discarding_many_frees_none_of_them_on_the_way(device: Connection, admin: SyncConnection) -> None:
    """They go in batches: were the oldest to go first, a daemon would run one that the next batch gives up."""
    many(device, 2_500)
    device.execute(
        "create function public.refuse() returns trigger language plpgsql as $$ begin"
        " if (select max(change_id) from jobhooks.delivery) > (select min(change_id) from gone) then"
        " raise 'freed'; end if; return null; end $$;"
        " create trigger refuse after delete on jobhooks.delivery referencing old table as gone"
        " for each statement execute function public.refuse()"
    )
    plan = choose(admin, DeliveryFilter(), everything=True)
    assert discard(admin, plan) == DeliveriesChanged(2_500, 0, [])
    assert pending(device) == []


def test_retrying_many_makes_due_only_the_first_of_an_object(device: Connection, admin: SyncConnection) -> None:
    """Else those of a later batch could overtake one that fails again."""
    many(device, 2_500)
    plan = choose(admin, DeliveryFilter(), everything=True)
    assert retry(admin, plan) == DeliveriesChanged(2_500, 0, [])
    statuses = [status for _, status in pending(device)]
    assert statuses[0] == "waiting" and set(statuses[1:]) == {"blocked"}
