"""Explaining a watched table: what is printed is what the catalogue has, and the ways to switch it off work."""

import pytest

from conftest import Connection
from jobhooks.errors import NotWatched
from jobhooks.operations import tables
from jobhooks.operations.table_explain import explain_table
from jobhooks.store.connections import SyncConnection

PARTITIONED = """
create table public.parted (id integer primary key) partition by range (id);
create table public.p_0 partition of public.parted for values from (0) to (10);
create table public.p_10 partition of public.parted for values from (10) to (20);
"""


def changes(conn: Connection) -> int:
    ((count,),) = conn.execute("select count(*) from jobhooks.object_change").fetchall()
    return count


def test_it_has_the_triggers_as_they_are(device: Connection, admin: SyncConnection) -> None:
    explained = explain_table(admin, "device")
    assert (explained.table, explained.state, explained.key) == ("public.device", "watched", ["id"])
    definitions = device.execute(
        "select tgname, pg_get_triggerdef(oid) from pg_trigger where tgrelid = 'public.device'::regclass order by 1"
    ).fetchall()
    assert [(trigger.name, trigger.statement) for trigger in explained.triggers] == definitions
    assert {trigger.state for trigger in explained.triggers} == {"enabled"}
    row = ["jobhooks_capture.record_change", "jobhooks_capture.snapshot", "jobhooks_capture.trigger_stub"]
    assert explained.calls == {
        "create": sorted([*row, "jobhooks_capture.lastval_to_keep", "jobhooks_capture.set_lastval"]),
        "update": row,
        "delete": row,
        "truncate": ["jobhooks_capture.record_truncate"],
    }


def test_it_has_the_rights_of_each_function_that_may_run(admin: SyncConnection, device: Connection) -> None:
    device.execute("select jobhooks.watch('public.device', exclude => '{name}')")
    functions = {function.function.partition("(")[0]: function for function in explain_table(admin, "device").functions}
    assert {name for name, function in functions.items() if function.security_definer} == {
        "jobhooks.advance_sequence",
        "jobhooks.greatest_change_id",
        "jobhooks.may_mark",
        "jobhooks_capture.keep_lastval",
        "jobhooks_capture.record_change",
        "jobhooks_capture.record_truncate",
        "jobhooks_capture.set_lastval",
    }
    assert functions["jobhooks_capture.record_change"].owner == "jobhooks_capture"
    assert functions["jobhooks_capture.record_change"].search_path is None
    assert functions["jobhooks_capture.shaped_snapshot"].search_path == "pg_catalog, pg_temp"
    assert {"jobhooks_capture.change_context", "jobhooks_capture.wake"} <= functions.keys()
    assert functions["jobhooks_capture.trigger_stub"].public and not functions["jobhooks_capture.wake"].public


def test_the_ways_to_switch_it_off_do_so(device: Connection, admin: SyncConnection) -> None:
    disable, unwatch = explain_table(admin, "public.device").switch_off
    write = "update public.device set name = name || '.'"
    device.execute(disable.statement.encode())
    device.execute(write.encode())
    device.execute("truncate public.device")
    device.execute("insert into public.device (name) values ('a')")
    assert changes(device) == 0
    device.execute(disable.undo.encode())
    device.execute(write.encode())
    assert changes(device) == 1
    explained = explain_table(admin, "public.device")
    assert len(device.execute(explained.check_it_is_gone.encode()).fetchall()) == 4
    device.execute(unwatch.statement.encode())
    device.execute(write.encode())
    assert changes(device) == 1
    assert device.execute(explained.check_it_is_gone.encode()).fetchall() == []
    assert explain_table(admin, "public.device").triggers == []


def test_a_partitioned_table_is_explained_with_its_partitions(conn: Connection, admin: SyncConnection) -> None:
    conn.execute(PARTITIONED.encode())
    tables.watch(admin, "public.parted")
    explained = explain_table(admin, "public.parted")
    assert {trigger.table for trigger in explained.triggers} == {"public.parted", "public.p_0", "public.p_10"}
    assert all(trigger.statement for trigger in explained.triggers)
    assert "jobhooks_capture.moved_row_position" in explained.calls["create"]
    for way in explained.switch_off:
        if way.statement.startswith("alter"):
            conn.execute(way.statement.encode())
    conn.execute("insert into public.parted values (1); update public.parted set id = 11; truncate public.parted")
    assert changes(conn) == 0


def test_the_locks_are_those_that_a_writer_holds(device: Connection, admin: SyncConnection) -> None:
    device.execute("begin")
    device.execute("update public.device set name = 'locked'")
    held = device.execute(
        "select coalesce(relation::regclass::text, classid || ', ' || objid), mode from pg_locks"
        " where pid = pg_backend_pid() and locktype in ('relation', 'advisory') and"
        " (relation is null or relation::regclass::text ~ 'object_change_[0-9]+$')"
    ).fetchall()
    device.execute("rollback")
    assert sorted(held) == [("1785684584, 2", "ShareLock"), ("jobhooks.object_change_1", "RowExclusiveLock")]


@pytest.mark.parametrize(("call", "mode"), [("watch", "ShareRowExclusiveLock"), ("unwatch", "AccessExclusiveLock")])
def test_the_locks_are_those_of_watching(device: Connection, call: str, mode: str) -> None:
    device.execute("begin")
    device.execute(f"select jobhooks.{call}('public.device')".encode())
    held = device.execute(
        "select mode from pg_locks where pid = pg_backend_pid() and relation = 'public.device'::regclass"
    ).fetchall()
    device.execute("rollback")
    strongest = {lock for (lock,) in held} - {"AccessShareLock"}
    assert mode in strongest and (call == "unwatch" or "AccessExclusiveLock" not in strongest)


def test_the_triggers_of_a_table_that_is_always_captured_are_enabled_so(
    device: Connection, admin: SyncConnection
) -> None:
    device.execute("select jobhooks.watch('public.device', always => true)")
    (disable, _) = explain_table(admin, "public.device").switch_off
    for statement in (disable.statement, disable.undo):
        device.execute(statement.encode())
    assert {trigger.state for trigger in explain_table(admin, "public.device").triggers} == {"always"}


def test_a_missing_trigger_is_named(device: Connection, admin: SyncConnection) -> None:
    device.execute('drop trigger "!jobhooks_1_update" on public.device')
    (missing,) = [each for each in explain_table(admin, "public.device").triggers if each.statement is None]
    assert (missing.name, missing.state, missing.calls) == ("!jobhooks_1_update", "missing", [])


def test_a_table_that_was_never_watched(conn: Connection, admin: SyncConnection) -> None:
    with pytest.raises(NotWatched):
        explain_table(admin, "public.nothing")
