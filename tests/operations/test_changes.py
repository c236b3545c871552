"""The log: the newest changes, by filters, and the changes that commit from now on."""

import contextlib
import datetime

import psycopg
import pytest

from conftest import Connection
from jobhooks.errors import NotWatched
from jobhooks.operations.changes import ChangeFilter, Follower, listed_change, newest_changes, server_time
from jobhooks.operations.delivering.change_details import change_details
from jobhooks.store.connections import SyncConnection


@pytest.mark.parametrize(
    ("chosen", "ids"),
    [
        (ChangeFilter(), [1, 2, 3, 4]),
        (ChangeFilter(tables=["public.site"]), [4]),
        (ChangeFilter(tables=["site", "public.device"]), [1, 2, 3, 4]),
        (ChangeFilter(actions=["create"]), [4]),
        (ChangeFilter(user="nobody"), []),
    ],
)
def test_a_filter_chooses_changes(
    ledger: Connection, admin: SyncConnection, chosen: ChangeFilter, ids: list[int]
) -> None:
    assert [change.id for change in newest_changes(admin, chosen, 50)] == ids


def test_a_period_and_a_limit(ledger: Connection, admin: SyncConnection) -> None:
    hour_ago = server_time(admin) - datetime.timedelta(hours=1)
    assert [change.id for change in newest_changes(admin, ChangeFilter(since=hour_ago), 50)] == [2, 3, 4]
    assert [change.id for change in newest_changes(admin, ChangeFilter(until=hour_ago), 50)] == [1]
    assert [change.id for change in newest_changes(admin, ChangeFilter(), 1)] == [4]


def test_the_changes_of_a_request_and_of_a_transaction(ledger: Connection, admin: SyncConnection) -> None:
    """A request can have several transactions. Both are in the list, and those to come are followed."""
    follower = Follower(admin, ChangeFilter(request="r-1"))
    for request in ("r-1", "r-2", "r-1"):
        with ledger.transaction():
            ledger.execute("select set_config('jobhooks.request_id', %s, true)", [request])
            ledger.execute("insert into public.device (name) values ('a'), ('b')")
    request = newest_changes(admin, ChangeFilter(request="r-1"), 50)
    assert [change.id for change in request] == [5, 6, 9, 10]
    assert [change.id for change in follower.new_changes()] == [5, 6, 9, 10]
    transaction_id = change_details(admin, 7).transaction_id
    assert [change.id for change in newest_changes(admin, ChangeFilter(transaction=transaction_id), 50)] == [7, 8]


def test_a_change_shows_its_difference(ledger: Connection, admin: SyncConnection) -> None:
    change = listed_change(admin, 2)
    assert change is not None
    assert (bytes(change.object_key), bytes(change.removed), bytes(change.added)) == (
        b'{"id": 1}',
        b'{"name": "a"}',
        b'{"name": "b"}',
    )
    assert listed_change(admin, 99) is None


def test_a_table_that_was_never_watched_is_refused(ledger: Connection, admin: SyncConnection) -> None:
    with pytest.raises(NotWatched):
        newest_changes(admin, ChangeFilter(tables=["devices"]), 50)
    with pytest.raises(NotWatched):
        Follower(admin, ChangeFilter(tables=["devices"]))


def test_a_follower_finds_each_change_once_however_late_it_commits(ledger: Connection, admin: SyncConnection) -> None:
    """The open transaction has a lower id than the one that commits before it."""
    follower = Follower(admin, ChangeFilter(tables=["public.device"]))
    with contextlib.closing(psycopg.connect(ledger.info.dsn)) as late:
        late.execute("insert into public.device (name) values ('late')")
        ledger.execute("insert into public.device (name) values ('early')")
        ledger.execute("insert into public.site values (2)")
        assert [bytes(change.added) for change in follower.new_changes()] == [
            b'{"id": 3, "name": "early", "serial": null}'
        ]
        late.commit()
    assert [change.id for change in follower.new_changes()] == [5]
    assert list(follower.new_changes()) == []
