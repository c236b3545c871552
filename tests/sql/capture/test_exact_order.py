"""Users' triggers, and transactions: the log has the events in the order they happened."""

import contextlib
import re

import psycopg
import pytest

from conftest import Connection
from support.capturing import changes, forget, trigger, watch, words


@pytest.fixture
def table(conn: Connection) -> Connection:
    """The client's connection, with a watched, empty table ``t``."""
    conn.execute("create table public.t (id integer primary key, note text)")
    watch(conn, "public.t")
    return conn


def test_a_row_that_a_trigger_updates_before_its_turn_is_created_first(table: Connection) -> None:
    """Triggers fire when all rows are written, so one for row 1 may update row 2 before the triggers of row 2 fire."""
    trigger(
        table,
        "after insert on public.t for each row when (new.id = 1)",
        "update public.t set note = 'touched' where id = 2; return null;",
    )
    table.execute("insert into public.t values (1, 'a'), (2, 'b')")
    assert words(table) == ["create 1 a", "create 2 b", "update 2 b>touched"]


def test_a_trigger_that_sorts_before_ours_changes_nothing_in_the_order(table: Connection) -> None:
    trigger(
        table,
        "after insert or update on public.t for each row when (pg_trigger_depth() = 0)",
        "update public.t set note = note || '!' where id = new.id; return null;",
        " first",
    )
    table.execute("insert into public.t values (1, 'a'), (2, 'b')")
    table.execute("update public.t set note = 'c' where id = 1")
    assert words(table) == [
        "create 1 a",
        "create 2 b",
        "update 1 a>a!",
        "update 2 b>b!",
        "update 1 a!>c",
        "update 1 c>c!",
    ]


def test_a_row_that_a_before_trigger_of_a_later_row_updates_is_updated_between_them(table: Connection) -> None:
    trigger(
        table,
        "before insert on public.t for each row when (new.id = 2)",
        "update public.t set note = 'touched' where id = 1; return new;",
    )
    table.execute("insert into public.t values (1, 'a'), (2, 'b')")
    assert words(table) == ["create 1 a", "update 1 a>touched", "create 2 b"]


def test_a_before_trigger_that_deletes_the_row_it_replaces_is_told_in_that_order(table: Connection) -> None:
    """The other way round, a hook would think the row gone."""
    trigger(table, "before insert on public.t for each row", "delete from public.t where id = new.id; return new;")
    table.execute("insert into public.t values (1, 'a'), (1, 'b')")
    assert words(table) == ["create 1 a", "delete 1 a", "create 1 b"]


def test_before_triggers_that_change_or_cancel_are_told_as_they_left_the_row(table: Connection) -> None:
    trigger(
        table,
        "before insert or update on public.t for each row",
        "if new.note = 'cancel' then return null; end if; new.note := upper(new.note); return new;",
    )
    trigger(table, "before delete on public.t for each row when (old.id = 1)", "return null;", "keeps")
    table.execute("insert into public.t values (1, 'a'), (2, 'cancel'), (3, 'c')")
    table.execute("update public.t set note = 'cancel' where id = 1")
    table.execute("update public.t set note = 'b' where id = 1")
    table.execute("update public.t set note = 'b' where id = 1")
    table.execute("delete from public.t")
    assert words(table) == ["create 1 A", "create 3 C", "update 1 A>B", "delete 3 C"]


@pytest.mark.parametrize("when", ["before", "after"])
def test_a_trigger_that_fails_leaves_nothing(table: Connection, when: str) -> None:
    table.execute("insert into public.t values (1, 'a')")
    trigger(table, f"{when} update on public.t for each row when (old.id = 2)", "raise 'no';")
    table.execute("insert into public.t values (2, 'b')")
    forget(table)
    with pytest.raises(psycopg.errors.RaiseException):
        table.execute("update public.t set note = 'x'")
    table.execute("update public.t set note = 'y' where id = 1")
    assert words(table) == ["update 1 a>y"]


def test_statement_and_deferred_triggers_are_told_when_they_write(table: Connection) -> None:
    table.execute("create table public.other (id integer primary key, note text)")
    watch(table, "public.other")
    trigger(
        table,
        "after insert on public.t referencing new table as added for each statement",
        "insert into public.other select id + 10, note from added; return null;",
        "stating",
    )
    table.execute(
        "create function public.later() returns trigger language plpgsql as"
        " 'begin update public.t set note = ''late'' where id = new.id; return null; end';"
        " create constraint trigger later after insert on public.t initially deferred for each row"
        " execute function public.later()"
    )
    with table.transaction():
        table.execute("insert into public.t values (1, 'a'), (2, 'b')")
        table.execute("update public.t set note = 'c' where id = 1")
    assert words(table) == [
        "create 1 a",
        "create 2 b",
        "create 11 a",
        "create 12 b",
        "update 1 a>c",
        "update 1 c>late",
        "update 2 b>late",
    ]


def test_writes_through_views_and_rules_are_the_tables(table: Connection) -> None:
    table.execute("create view public.easy as select * from public.t where id < 10 with check option")
    table.execute("create view public.hard as select id, max(note) as note from public.t group by id")
    trigger(
        table,
        "instead of insert on public.hard for each row",
        "insert into public.t values (new.id, new.note); return new;",
    )
    table.execute(
        "create rule r as on update to public.hard do instead update public.t set note = new.note where id = old.id"
    )
    table.execute("insert into public.easy values (1, 'a')")
    table.execute("insert into public.hard values (2, 'b')")
    table.execute("update public.hard set note = 'c' where id = 1")
    table.execute("delete from public.easy where id = 2")
    assert words(table) == ["create 1 a", "create 2 b", "update 1 a>c", "delete 2 b"]


def test_only_what_commits_is_in_the_log(table: Connection) -> None:
    with table.transaction():
        table.execute("insert into public.t values (1, 'a')")
        with contextlib.suppress(psycopg.Rollback), table.transaction():
            table.execute("update public.t set note = 'undone'")
            with table.transaction():
                table.execute("delete from public.t")
            raise psycopg.Rollback
        table.execute("do $$ begin update public.t set note = 'x'; raise 'no'; exception when others then null; end $$")
        table.execute("update public.t set note = 'b'")
    with contextlib.suppress(psycopg.Rollback), table.transaction():
        table.execute("delete from public.t")
        raise psycopg.Rollback
    assert words(table) == ["create 1 a", "update 1 a>b"]


def test_a_procedure_that_commits_is_told_by_transaction(table: Connection) -> None:
    table.execute(
        "create procedure public.p() language plpgsql as $$ begin insert into public.t values (1, 'a'); commit;"
        " update public.t set note = 'b'; rollback; delete from public.t; end $$"
    )
    table.execute("call public.p()")
    assert words(table) == ["create 1 a", "delete 1 a"]
    ids = table.execute("select count(distinct transaction_id) from jobhooks.object_change").fetchone()
    assert ids == (2,)


def test_a_prepared_transaction_is_told_when_it_commits(table: Connection) -> None:
    """PREPARE fails after a NOTIFY, so it works only while no daemon sleeps."""
    table.execute("begin; insert into public.t values (1, 'a'); prepare transaction 'jobhooks_one'")
    table.execute("begin; insert into public.t values (2, 'b'); prepare transaction 'jobhooks_two'")
    assert words(table) == []
    table.execute("rollback prepared 'jobhooks_one'")
    table.execute("commit prepared 'jobhooks_two'")
    assert words(table) == ["create 2 b"]


@pytest.fixture
def replicated(conn: Connection) -> Connection:
    """The client's connection, with a plain and a partitioned table ``t`` and ``p``, not watched yet."""
    conn.execute("create table public.t (id integer primary key, note text)")
    conn.execute("create table public.p (id integer primary key, note text) partition by range (id)")
    conn.execute("create table public.p_1 partition of public.p for values from (0) to (10)")
    return conn


def write_all(conn: Connection) -> None:
    conn.execute("create table public.p_2 partition of public.p for values from (10) to (20)")
    conn.execute("set session_replication_role = replica")
    for name, ids in (("t", "(1)"), ("p", "(1), (11)")):
        conn.execute(f"insert into public.{name} values {ids}".encode())
        conn.execute(f"update public.{name} set note = 'x'".encode())
        conn.execute(f"update public.{name} set id = 12 where id = 1".encode())
        conn.execute(f"delete from public.{name}".encode())
        conn.execute(f"truncate public.{name}".encode())
    conn.execute("truncate public.p_1")


def test_what_replication_applies_is_not_captured(replicated: Connection) -> None:
    watch(replicated, "public.t")
    watch(replicated, "public.p")
    write_all(replicated)
    assert changes(replicated) == []


def test_what_replication_applies_is_captured_on_request_also_in_partitions_that_come_later(
    replicated: Connection,
) -> None:
    watch(replicated, "public.t", always=True)
    watch(replicated, "public.p", always=True)
    write_all(replicated)
    assert words(replicated) == [
        *("create 1", "update 1 x", "update 12 x>x", "delete 12 x", "truncate"),
        *("create 1", "create 11", "update 1 x", "update 11 x", "update 12 x>x"),
        *("delete 11 x", "delete 12 x", "truncate", "truncate"),
    ]


ROWS = ("insert into public.{} values (1)", "update public.{} set note = 'x'", "delete from public.{}")
MOVES = (*ROWS[:2], "update public.{} set id = 11, note = 'y'", "update public.{} set id = 2", ROWS[2])
# How a table is created and watched, and the rows written to it: every way through capture.
WAYS: dict[str, tuple[str, dict[str, list[str]], tuple[str, ...]]] = {
    "plain": ("", {}, ROWS),
    "shaped": ("", {"exclude": ["secret"], "ignore": ["seen"]}, ROWS),
    "partitioned": (" partition by range (id)", {}, MOVES),
    "truncate": (" partition by range (id)", {}, ("truncate public.{}_low", "truncate public.{}")),
}


@pytest.fixture(params=WAYS)
def way(conn: Connection, request: pytest.FixtureRequest) -> tuple[Connection, str, tuple[str, ...]]:
    """The client's connection, a watched table ``t`` and an unwatched ``bare``; the way, and statements for both."""
    clause, options, statements = WAYS[request.param]
    for name in ("t", "bare"):
        columns = "(id integer primary key, note text, secret text, seen integer)"
        conn.execute(f"create table public.{name} {columns}{clause}".encode())
        if clause:
            for part, bounds in (("low", "(0) to (10)"), ("high", "(10) to (20)")):
                conn.execute(
                    f"create table public.{name}_{part} partition of public.{name} for values from {bounds}".encode()
                )
    watch(conn, "public.t", exclude=options.get("exclude", []), ignore=options.get("ignore", []))
    return conn, request.param, statements


def test_a_captured_write_takes_one_transaction_id(way: tuple[Connection, str, tuple[str, ...]]) -> None:
    """A writing subtransaction takes an id for each row: ids run out, and snapshots overflow."""
    conn, _, statements = way
    for name in ("t", "t", "bare"):
        with conn.transaction():
            for statement in statements * 5:
                conn.execute(statement.format(name).encode())
            own = conn.execute(
                "select count(*) from jobhooks.object_change where transaction_id = pg_current_xact_id()"
                " and xmin::text::bigint <> pg_current_xact_id()::text::bigint & 4294967295"
            ).fetchone()
            locks = conn.execute(
                "select count(*) from pg_locks where pid = pg_backend_pid() and locktype = 'transactionid'"
            ).fetchone()
        assert (own, locks) == ((0,), (1,))


def locks(conn: Connection) -> set[tuple[str, str, str]]:
    rows = conn.execute(
        "select locktype, coalesce(relation::regclass::text, classid::text, ''), mode"
        " from pg_locks where pid = pg_backend_pid() and locktype not in ('virtualxid', 'transactionid')"
    ).fetchall()
    return {(kind, name, mode) for kind, name, mode in rows if not re.match(r"pg_", name)}


def test_a_captured_write_takes_no_lock_but_its_inserts(way: tuple[Connection, str, tuple[str, ...]]) -> None:
    """A lock that outlives the statement could make writers wait for one another, or for maintenance."""
    conn, kind, statements = way
    conn.execute("select jobhooks.add_segment()")

    def held_by(name: str) -> set[tuple[str, str, str]]:
        with conn.transaction():
            for statement in statements:
                conn.execute(statement.format(name).encode())
            return {
                lock for lock in locks(conn) if not lock[1].startswith((name, "public." + name)) and lock[0] != "object"
            }

    segment = "jobhooks.object_change_2"
    # An update of a row, and a delete that becomes an update, also lock the indexes of the segment.
    updated = {segment + "_pkey", segment + "_transaction_id_idx"} if kind == "partitioned" else set[str]()
    notes = {"jobhooks_capture.truncation", "jobhooks_capture.truncation_pkey"} if kind == "truncate" else set[str]()
    bare, captured = held_by("bare"), held_by("t")
    writing = {name for _, name, mode in captured - bare if mode == "RowExclusiveLock"}
    assert writing == {segment, "jobhooks.object_change_id_seq"} | updated | notes
    read = {name for _, name, mode in captured - bare if mode == "AccessShareLock"} - writing
    assert {re.sub("_(pkey|relation_key)$", "", name) for name in read} == (
        {"jobhooks.content_type"} if kind == "truncate" else set()
    )
    assert {lock for lock in captured - bare if lock[2] == "ShareLock"} == {("advisory", "1785684584", "ShareLock")}


def test_a_captured_write_looks_nothing_up_in_the_catalogue(way: tuple[Connection, str, tuple[str, ...]]) -> None:
    """Once a session has its plans. The counters are those of this transaction. TRUNCATE does look things up."""
    conn, kind, statements = way
    # The server itself looks up the ancestors of a partition that a row leaves, for any AFTER UPDATE trigger.
    scans = (
        "select coalesce(sum(seq_scan + idx_scan), 0) from pg_stat_xact_sys_tables"
        " where schemaname = 'pg_catalog' and relname <> 'pg_inherits'"
    )
    others = (
        "select relname from pg_stat_xact_user_tables where schemaname like 'jobhooks%' and seq_scan + idx_scan > 0"
    )
    if kind == "truncate":
        pytest.skip("TRUNCATE looks up what it empties")

    def write(rounds: int, name: str) -> None:
        for statement in statements * rounds:
            conn.execute(statement.format(name).encode())

    def counted() -> int:
        row = conn.execute(scans.encode()).fetchone()
        assert row is not None
        return int(row[0])

    def looked_up(name: str) -> int:
        write(20, name)
        with conn.transaction():
            write(20, name)
            counted()
            before = counted()
            telling = counted() - before
            write(40, name)
            return counted() - before - 2 * telling

    assert looked_up("t") - looked_up("bare") < 40
    with conn.transaction():
        write(2, "t")
        assert conn.execute(others.encode()).fetchall() == []
