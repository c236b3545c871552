"""Adopting a moved database in SQL: places, transaction ids that go on, and what a restore leaves behind."""

import contextlib
import json
from concurrent.futures import ThreadPoolExecutor

import psycopg
import pytest

from conftest import Connection
from jobhooks.operations import adopting
from jobhooks.store.connections import connect
from support.postgres.moving import as_restored

SURVIVED = "select jobhooks.transaction_ids_survived()"


def survived(conn: Connection) -> bool:
    row = conn.execute(SURVIVED).fetchone()
    assert row is not None
    return row[0]


def maintain(conn: Connection) -> str:
    row = conn.execute("select jobhooks.maintain_log('0 s', 1000)").fetchone()
    assert row is not None
    return row[0]


def write(conn: Connection, number: int) -> None:
    conn.execute(f"insert into public.device (name) select 'n' from generate_series(1, {number})".encode())


def test_ids_go_on_where_nothing_was_restored(device: Connection) -> None:
    """After pg_upgrade: rows are where their writers stored them, in savepoints as well."""
    write(device, 3)
    with device.transaction(), device.transaction():
        write(device, 1)
    assert survived(device)


def test_ids_do_not_go_on_after_a_restore_into_a_new_server(device: Connection) -> None:
    write(device, 3)
    as_restored(device)
    assert not survived(device)


def test_ids_that_the_server_has_reached_since_the_restore_do_not_go_on(device: Connection) -> None:
    """Its next id alone shows nothing then: changes of both servers have the same ids."""
    write(device, 3)
    write(device, 1)
    # As a restore stored them, when the ids were not handed out yet.
    device.execute(
        "update jobhooks.object_change set transaction_id = (transaction_id::text::bigint + 100)::text::xid8"
    )
    device.execute("do $$ begin for i in 1..200 loop perform pg_current_xact_id(); commit; end loop; end $$")
    assert not survived(device)


def test_ids_of_a_restore_into_an_older_server_go_on(device: Connection) -> None:
    """All that the dump has are lower than any that this server hands out from then on."""
    write(device, 3)
    device.execute("update jobhooks.object_change set transaction_id = '10'")
    device.execute("update jobhooks.cursor set seen = '9:9:', horizon = '9:9:'")
    assert survived(device)


def test_a_change_that_counts_as_seen_by_chance(device: Connection) -> None:
    """A snapshot of a busier server sees the changes that are made here after the restore."""
    device.execute("update jobhooks.cursor set seen = pg_current_snapshot(), horizon = pg_current_snapshot()")
    device.execute(
        "update jobhooks.cursor set seen = n.s, horizon = n.s from (select format('%s:%s:', x, x)::pg_snapshot as s"
        " from (select pg_snapshot_xmax(pg_current_snapshot())::text::bigint + 50 as x) as next) as n"
    )
    write(device, 1)
    device.execute("do $$ begin for i in 1..100 loop perform pg_current_xact_id(); commit; end loop; end $$")
    assert not survived(device)


def next_id(conn: Connection) -> int:
    row = conn.execute("select pg_snapshot_xmax(pg_current_snapshot())::text::bigint").fetchone()
    assert row is not None
    return row[0]


def use_up(conn: Connection, number: int) -> None:
    conn.execute(
        f"do $$ begin for i in 1..{number} loop perform pg_current_xact_id(); commit; end loop; end $$".encode()
    )


def test_a_change_after_the_low_water_id_of_the_last_window(device: Connection) -> None:
    """The reader takes its low-water id before its snapshot, so the last changes that it has read are above."""
    write(device, 3)
    (taken,) = device.execute("select pg_current_snapshot()::text").fetchall()[0]
    device.execute("update jobhooks.cursor set seen = %s, horizon = %s, saved_at = clock_timestamp()", [taken, taken])
    write(device, 3)
    assert survived(device)


def test_a_transaction_in_progress_that_counts_as_ended(device: Connection, database: str) -> None:
    """It began before the restore, on a server that had handed out fewer ids, and writes after the adoption."""
    with psycopg.connect(database) as early:
        early.execute("select pg_current_xact_id()")
        seen = f"{next_id(device) + 5}:{next_id(device) + 5}:"
        device.execute("update jobhooks.cursor set seen = %s, horizon = %s, system_identifier = 1", [seen, seen])
        use_up(device, 10)
        assert not survived(device)
        device.execute("select jobhooks.adopt_moved()")
        early.execute("insert into public.device (name) values ('early')")
    late = "select pg_visible_in_snapshot(transaction_id, seen) from jobhooks.object_change, jobhooks.cursor"
    assert device.execute(late.encode()).fetchall() == [(False,)]


def test_a_change_that_comes_before_a_hook_was_enabled_by_chance(device: Connection) -> None:
    """The hook was enabled when the former server had handed out more ids than this one at the restore."""
    device.execute("insert into jobhooks.job (class_path, enabled) values ('a.B', true)")
    device.execute("select jobhooks.add_hook('h', '{public.device}', '{create}', 'a.B')")
    assert survived(device)
    device.execute(
        "update jobhooks.job_hook set enabled_since = %s", [f"{next_id(device) + 50}:{next_id(device) + 50}:"]
    )
    write(device, 1)
    use_up(device, 100)
    assert not survived(device)


def test_changes_before_a_hook_was_enabled_are_not_for_it(device: Connection, database: str) -> None:
    """Also if only one transaction of the former place is unread, and no result tells its place."""
    write(device, 2)
    device.execute("insert into jobhooks.job (class_path, enabled) values ('a.B', true)")
    device.execute("select jobhooks.add_hook('h', '{public.device}', '{create}', 'a.B')")
    as_restored(device)
    write(device, 1)
    with contextlib.closing(connect(database)) as admin:
        assert [each.unread for each in adopting.plan_adoption(admin).hooks] == [1]
        assert not adopting.adopt_moved(admin)
    unread = (
        "select change.id from jobhooks.object_change as change, jobhooks.job_hook where not pg_visible_in_snapshot"
    )
    assert device.execute(f"{unread}(transaction_id, enabled_since)".encode()).fetchall() == [(3,)]


@pytest.mark.parametrize("function", ["adopt", "adopt_moved"])
def test_a_database_is_adopted_once(device: Connection, database: str, function: str) -> None:
    """A second adoption at the same time would drop what has come since the first one."""
    device.execute("update jobhooks.cursor set system_identifier = 1")
    with psycopg.connect(database) as first, ThreadPoolExecutor() as pool:
        first.execute("select jobhooks.adopt()")
        second = pool.submit(device.execute, f"select jobhooks.{function}()".encode())
        with psycopg.connect(database, autocommit=True) as looking:
            while not blocked(looking, device.info.backend_pid):
                assert not second.done()
        first.commit()
        with pytest.raises(psycopg.Error, match="there is nothing to adopt"):
            second.result()


def test_a_copy_has_no_doubt_about_a_process_of_the_original(conn: Connection) -> None:
    """It marked no run here, and never connects."""
    conn.execute("select jobhooks.begin_leadership(jobhooks.acquire_leadership(), 'original')")
    conn.execute("select pg_advisory_unlock_all()")  # it leads here no more
    conn.execute("update jobhooks.cursor set system_identifier = 1")
    conn.execute("select jobhooks.adopt()")
    assert conn.execute("select jobhooks.begin_leadership(leader, 'copy') from jobhooks.cursor").fetchone() == (False,)


def blocked(conn: Connection, pid: int) -> bool:
    return conn.execute("select cardinality(pg_blocking_pids(%s)) > 0", [pid]).fetchone() == (True,)


def test_a_refused_daemon_leaves_the_row_of_a_restored_cursor(conn: Connection) -> None:
    """When it was stored tells whether transaction ids go on."""
    conn.execute("select jobhooks.record_place(leader, %s::json) from jobhooks.cursor", [DB1])
    conn.execute("update jobhooks.cursor set system_identifier = 1")
    before = conn.execute("select xmin::text from jobhooks.cursor").fetchone()
    assert "shop at db2:5432" in str(
        conn.execute("select jobhooks.other_place(%s::json)", [place("db2:5432")]).fetchone()
    )
    assert conn.execute("select xmin::text from jobhooks.cursor").fetchone() == before


def test_a_server_that_has_handed_out_too_few_ids(conn: Connection) -> None:
    """It has fewer than the log has transactions; the command uses some up."""
    ids = conn.execute("select jobhooks.ended_transactions('5:10:5,7', 4)").fetchone()
    assert ids == ([4, 6, 8, 9],)
    wrapped = conn.execute("select jobhooks.ended_transactions('4294967300:4294967301:4294967300', 3)").fetchone()
    assert wrapped == ([4294967294, 4294967295, 4294967299],), "4294967296 to 4294967298 are no transactions"
    with pytest.raises(psycopg.Error, match="2 transaction ids too few") as refused:
        conn.execute("select jobhooks.ended_transactions('5:10:5,7', 7)")
    assert refused.value.sqlstate == "JH031"


@pytest.mark.parametrize(
    ("taken", "expected"),
    [("100:100:", "50:50:"), ("100:301:", "53:53:"), ("200:400:200", "51:53:51"), ("100:200:100", "50:51:50")],
)
def test_a_snapshot_sees_the_same_under_new_ids(conn: Connection, taken: str, expected: str) -> None:
    """Transactions 100, 200 and 300 have become 50, 51 and 52; the next one is 53."""
    statement = "select jobhooks.renumbered_snapshot(%s, '{100,200,300}', '{50,51,52}', '{}', 53)::text"
    assert conn.execute(statement, [taken]).fetchone() == (expected,)


def test_a_snapshot_sees_no_transaction_that_is_in_progress_here(conn: Connection) -> None:
    """It may write to the log later."""
    statement = "select jobhooks.renumbered_snapshot('200:200:', '{100,200}', '{50,51}', '{7,60}', 61)::text"
    assert conn.execute(statement).fetchone() == ("7:51:7",)


def test_adopting_takes_no_old_snapshot(device: Connection) -> None:
    """It would not see the last changes, whose writers it has waited for."""
    device.execute("update jobhooks.cursor set system_identifier = 1")
    device.execute("begin isolation level repeatable read")
    for function in ("adopt", "adopt_moved"):
        with pytest.raises(psycopg.Error, match="older than this call"), device.transaction():
            device.execute(f"select jobhooks.{function}()".encode())


@pytest.mark.parametrize("function", ["adopt", "adopt_moved"])
def test_retention_drops_a_restored_segment(device: Connection, function: str) -> None:
    """Its transaction ids may be above any of this server."""
    device.execute("insert into jobhooks.job (class_path, enabled) values ('a.B', true)")
    device.execute("select jobhooks.add_hook('h', '{public.device}', '{create}', 'a.B')")
    write(device, 3)
    if function == "adopt_moved":  # all are read, and then there is one more
        device.execute("update jobhooks.cursor set seen = pg_current_snapshot(), seen_floor = 3, horizon_floor = 3")
        device.execute("update jobhooks.cursor set horizon = seen")
    device.execute("select jobhooks.add_segment()")
    as_restored(device)
    write(device, 1)
    device.execute(f"select jobhooks.{function}()".encode())
    assert device.execute("select transaction_id::text::bigint > 1000000 from jobhooks.object_change_1").fetchone() == (
        True,
    )
    assert "dropped segment 1 of the log" in maintain(device)


def test_retention_keeps_a_segment_with_an_unread_change(device: Connection) -> None:
    """Of a transaction that was in progress when the reader was there."""
    device.execute("insert into jobhooks.job (class_path, enabled) values ('a.B', true)")
    device.execute("select jobhooks.add_hook('h', '{public.device}', '{create}', 'a.B')")
    with psycopg.connect(device.info.dsn) as late:
        late.execute("insert into public.device (name) values ('late')")
        device.execute("select pg_current_xact_id()")  # as a reader does before it takes a snapshot
        device.execute("update jobhooks.cursor set seen = pg_current_snapshot(), seen_floor = 1, horizon_floor = 1")
        device.execute("update jobhooks.cursor set horizon = seen")
    device.execute("select jobhooks.add_segment()")
    assert "dropped" not in maintain(device)
    as_restored(device)
    device.execute("select jobhooks.adopt_moved()")
    assert "dropped" not in maintain(device)


def place(*hosts: str, environment: str = "", database: str = "shop") -> str:
    split = [host.rpartition(":") for host in hosts]
    listed = [{"host": name, "port": int(port)} for name, _, port in split]
    return json.dumps({"environment": environment, "hosts": listed, "database": database})


DB1 = place("db1:5432")


@pytest.mark.parametrize(
    ("recorded", "configured", "same"),
    [
        (None, DB1, True),
        (DB1, DB1, True),
        (DB1, place("db2:5432"), False),
        (DB1, place("db1:5433"), False),
        (DB1, place("db1:5432", database="other"), False),
        (place("db1:5432", "db2:5432"), place("db2:5432", "db1:5432"), True),
        (place("db1:5432", "db2:5432"), place("db2:5432", "db3:5432"), True),
        (place("db1:5432", "db2:5433"), place("db2:5432", "db1:5433"), False),
        (DB1, place("db1.example.com:5432"), True),
        (place("db1.example.com:5432"), DB1, True),
        (place("db1.example.com:5432"), place("db1.staging.example.com:5432"), False),
        (DB1, place("db10:5432"), False),
        (place("db1:5432", environment="production"), place("db9:1", environment="production", database="x"), True),
        (place("db1:5432", environment="production"), place("db1:5432", environment="staging"), False),
        (place("db1:5432", environment="production"), DB1, True),
        (DB1, place("db1:5432", environment="production"), True),
        (place("db1:5432", environment="production"), place("db2:5432"), False),
        (DB1, place("db2:5432", environment="production"), False),
    ],
)
def test_places_that_are_one(conn: Connection, recorded: str | None, configured: str, same: bool) -> None:
    """A longer list of hosts, or another order, is no move; an address that none of them has is one."""
    assert conn.execute("select jobhooks.is_same_place(%s::json, %s::json)", [recorded, configured]).fetchone() == (
        same,
    )


@pytest.mark.parametrize(
    ("configured", "text"),
    [
        (place("db1:5432", "db2:5433"), "shop at db1:5432, db2:5433"),
        (place("2001:db8::1:5432", environment="production"), "shop at [2001:db8::1]:5432 (environment production)"),
        (place("/srv/pg on web1:5432"), "shop at /srv/pg on web1, port 5432"),
    ],
)
def test_a_place_for_people(conn: Connection, configured: str, text: str) -> None:
    assert conn.execute("select jobhooks.place_text(%s::json)", [configured]).fetchone() == (text,)


def test_the_leader_records_its_place(conn: Connection) -> None:
    """The next one from another place is refused, until it is adopted; then the next leader records its own."""
    conn.execute("update jobhooks.cursor set leader = 7")
    for leader, configured in ((7, DB1), (6, place("db6:5432"))):  # the other one does not lead any more
        conn.execute("select jobhooks.record_place(%s, %s::json)", [leader, configured])
    assert conn.execute("select jobhooks.other_place(%s::json)", [DB1]).fetchone() == (None,)
    reason = "this daemon is configured to connect to shop at db2:5432, and the log is that of shop at db1:5432"
    assert conn.execute("select jobhooks.other_place(%s::json)", [place("db2:5432")]).fetchone() == (reason,)
    conn.execute("select jobhooks.adopt_moved()")
    assert conn.execute("select place, refused_place, refused_at from jobhooks.cursor").fetchone() == (None, None, None)


def test_a_database_whose_daemon_leads_cannot_be_adopted(conn: Connection) -> None:
    """It delivers here, so this is the original."""
    conn.execute("select jobhooks.record_place(leader, %s::json) from jobhooks.cursor", [DB1])
    conn.execute("select jobhooks.other_place(%s::json)", [place("db2:5432")])
    conn.execute("select jobhooks.acquire_leadership()")
    for function in ("adopt", "adopt_moved"):
        with pytest.raises(psycopg.Error, match="a daemon leads here"):
            conn.execute(f"select jobhooks.{function}()".encode())
