"""Watching, unwatching and listing tables; returned names are complete."""

import contextlib

import pytest

from conftest import Connection
from jobhooks.errors import NotWatched, UnknownTable, UnwatchableTable
from jobhooks.operations.lookup.table_names import full_name
from jobhooks.operations.tables import WatchedTable, table_details, unwatch, watch, watched_tables
from jobhooks.store.connections import SyncConnection, connect


def test_a_table_is_returned_by_its_full_name(device: Connection, admin: SyncConnection) -> None:
    device.execute("create table public.site (id integer primary key, secret text)")
    watched = watch(admin, "site", exclude=["secret"])
    assert watched == WatchedTable(
        "public.site", "watched", ["id"], always=False, keep_lastval=None, exclude=["secret"], ignore=[], parents=[]
    )
    assert [table.table for table in watched_tables(admin)] == ["public.device", "public.site"]
    assert unwatch(admin, "site") == "public.site"
    assert [table.state for table in watched_tables(admin)] == ["watched", "not watched"]


def test_a_name_that_needs_quotes(device: Connection, admin: SyncConnection) -> None:
    device.execute('create table public."Upper Case" (id integer primary key)')
    assert watch(admin, 'public."Upper Case"').table == 'public."Upper Case"'
    with pytest.raises(UnknownTable):
        watch(admin, "public.Upper Case")


def test_a_table_is_checked_before_jobhooks_is_installed(
    empty_database: str,
) -> None:
    """`jobhooks install TABLE` refuses a wrong name before it changes anything."""
    with contextlib.closing(connect(empty_database)) as conn:
        conn.execute("create table public.device (id integer primary key)")
        assert full_name(conn, "device", command="jobhooks install") == "public.device"
        with pytest.raises(UnknownTable) as caught:
            full_name(conn, "public.devise", command="jobhooks install")
    assert caught.value.remedy == "jobhooks install public.device"


@pytest.mark.parametrize("name", ["odd-name", '"odd-name"', "größe", '"Größe 2"', " site "])
def test_a_name_of_any_letters_means_the_only_table_of_that_name(
    conn: Connection, admin: SyncConnection, name: str
) -> None:
    conn.execute(b"create schema other")
    for table in (b"odd-name", "größe".encode(), "Größe 2".encode(), b"site"):
        conn.execute(b'create table other."' + table + b'" (id integer primary key)')
    assert full_name(admin, name, command="jobhooks install").startswith("other.")


@pytest.mark.parametrize("name", ["public.dev*", "dev?", "odd name", "1st", "a;b"])
def test_no_name_is_a_fault_of_the_database(device: Connection, admin: SyncConnection, name: str) -> None:
    """Nor a pattern, which a person could take for a name, and which only `table watch` has."""
    with pytest.raises(UnknownTable) as caught:
        full_name(admin, name, command="jobhooks install")
    assert ("table watch" in str(caught.value.remedy)) is (not {"*", "?"}.isdisjoint(name))


def test_a_dropped_table_is_unwatched_by_its_former_name(device: Connection, admin: SyncConnection) -> None:
    device.execute("drop table public.device")
    assert unwatch(admin, "public.device") == "public.device"
    assert [table.state for table in watched_tables(admin)] == ["gone"]


def test_unknown_tables_are_refused_with_near_names(device: Connection, admin: SyncConnection) -> None:
    device.execute("create table public.dcim_device (id integer primary key)")
    for operation in (watch, unwatch):
        with pytest.raises(UnknownTable) as caught:
            operation(admin, "dcim.device")
        assert caught.value.remedy == f"jobhooks table {operation.__name__} public.dcim_device"
    with pytest.raises(NotWatched):
        unwatch(admin, "public.dcim_device")
    with pytest.raises(NotWatched):
        table_details(admin, "devise")


def test_a_table_that_cannot_be_watched_stays_unwatched(device: Connection, admin: SyncConnection) -> None:
    device.execute("create table public.keyless (name text)")
    with pytest.raises(UnwatchableTable):
        watch(admin, "public.keyless")
    assert [table.table for table in watched_tables(admin)] == ["public.device"]


def test_a_table_shows_its_triggers_changes_and_why_a_hook_does_not_run(
    device: Connection, admin: SyncConnection
) -> None:
    device.execute("update public.device set name = 'new'")
    device.execute("insert into jobhooks.job (class_path, enabled) values ('a.B', true)")
    device.execute("select jobhooks.add_hook('first', '{public.device}', '{update}', 'a.B')")
    device.execute("update jobhooks.job set enabled = false")
    details = table_details(admin, "public.device")
    assert {trigger.state for trigger in details.triggers} == {"enabled"}
    assert (details.changes, details.counted, details.last_change_id) == (1, 1, 1)
    (hook,) = details.hooks
    assert (hook.name, hook.events, hook.job, hook.runs) == ("first", ["update"], "a.B", False)
    assert hook.why_not is not None and "jobhooks job enable a.B" in hook.why_not
