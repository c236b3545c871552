"""TRUNCATE: one change for each watched table that is emptied, however it is named or reached."""

import contextlib

import psycopg
import pytest

from conftest import Connection
from support.capturing import changes, forget, trigger, watch

TABLES = """
create table public.t (id integer primary key) partition by range (id);
create table public.low partition of public.t for values from (0) to (10);
create table public.mid partition of public.t for values from (10) to (30) partition by range (id);
create table public.mid_a partition of public.mid for values from (10) to (20);
create table public.mid_b partition of public.mid for values from (20) to (30);
"""


@pytest.fixture
def parts(conn: Connection) -> Connection:
    """The client's connection, with a watched table ``t`` of two levels, which holds some rows."""
    conn.execute(TABLES)
    watch(conn, "public.t")
    conn.execute("insert into public.t select * from generate_series(0, 29)")
    forget(conn)
    return conn


def truncations(conn: Connection) -> list[str]:
    """Return which tables were truncated, or which partitions of them; everything in the log must be a truncation."""
    rows = conn.execute(
        "select action::text, concat_ws(' ', content_type.name, context ->> 'partition')"
        " from jobhooks.object_change join jobhooks.content_type on content_type.id = content_type_id"
        " order by object_change.id"
    ).fetchall()
    assert {action for action, _ in rows} <= {"truncate"}
    left = conn.execute("select count(*) from jobhooks_capture.truncation").fetchone()
    assert left == (0,), "what is noted during a TRUNCATE is gone after it"
    return [name for _, name in rows]


@pytest.mark.parametrize(
    ("named", "recorded"),
    [
        ("t", ["public.t"]),
        ("low", ["public.t public.low"]),
        ("mid", ["public.t public.mid"]),
        ("mid_b", ["public.t public.mid_b"]),
        ("low, t", ["public.t"]),
        ("t, low", ["public.t"]),
        ("mid_a, mid", ["public.t public.mid"]),
        ("mid_a, t, mid", ["public.t"]),
        ("low, mid_a", ["public.t public.low", "public.t public.mid_a"]),
        ("low, low", ["public.t public.low"]),
    ],
)
def test_a_truncate_is_recorded_once_for_the_topmost_table_it_empties(
    parts: Connection, named: str, recorded: list[str]
) -> None:
    """One change says which table is empty; the context names a single partition."""
    names = named.split(", ")
    parts.execute(f"truncate {', '.join('public.' + name for name in names)}".encode())
    assert sorted(truncations(parts)) == recorded


def test_truncates_of_one_transaction_are_told_apart(parts: Connection) -> None:
    """Notes of a running TRUNCATE must not hide the next one, and neither must those of a rolled back one."""
    with parts.transaction():
        parts.execute("truncate public.low, public.t")
        parts.execute("truncate public.low, public.t")
        with contextlib.suppress(psycopg.Rollback), parts.transaction():
            parts.execute("truncate public.t")
            raise psycopg.Rollback
        parts.execute("truncate public.low")
        parts.execute("truncate public.mid")
    assert truncations(parts) == ["public.t", "public.t", "public.t public.low", "public.t public.mid"]


def test_a_truncate_that_fails_half_way_leaves_nothing_behind(parts: Connection) -> None:
    trigger(parts, "after truncate on public.low", "raise 'no';")
    with parts.transaction():
        with pytest.raises(psycopg.errors.RaiseException), parts.transaction():
            parts.execute("truncate public.low, public.t")
        parts.execute("truncate public.mid")
    assert truncations(parts) == ["public.t public.mid"]


def test_a_truncate_by_a_trigger_of_a_truncate_is_its_own(parts: Connection) -> None:
    """A partition that is emptied by a trigger, while the table is about to be, is recorded too."""
    parts.execute("create table public.other (id integer primary key)")
    trigger(parts, "before truncate on public.other", "truncate public.low; return null;", "before")
    trigger(parts, "after truncate on public.other", "truncate public.mid, public.t; return null;", "after")
    watch(parts, "public.other")
    parts.execute("truncate public.other")
    assert sorted(truncations(parts)) == ["public.other", "public.t", "public.t public.low"]


def test_a_truncate_that_cascades_is_recorded_for_each_watched_table(parts: Connection) -> None:
    parts.execute("create table public.child (id integer references public.t)")
    parts.execute("create table public.unwatched (id integer references public.t)")
    watch(parts, "public.child", key=["id"])
    parts.execute("truncate public.t cascade")
    assert sorted(truncations(parts)) == ["public.child", "public.t"]


def test_a_truncate_that_restarts_identity_of_an_empty_table_is_recorded(parts: Connection) -> None:
    """The trigger cannot know whether rows existed: the statement is the change."""
    parts.execute("truncate public.t")
    parts.execute("truncate only public.low restart identity")
    assert truncations(parts) == ["public.t", "public.t public.low"]


def test_a_truncate_of_a_table_is_one_change_with_who_did_it(conn: Connection) -> None:
    conn.execute("create table public.own (id integer primary key)")
    watch(conn, "public.own")
    with conn.transaction():
        conn.execute("set local jobhooks.request_id = 'r-7'")
        conn.execute("truncate public.own")
    assert changes(conn) == [("truncate", None, None)]
    assert conn.execute("select context from jobhooks.object_change").fetchall() == [({"request_id": "r-7"},)]


def test_who_truncated_a_partition_is_recorded_beside_its_name(parts: Connection) -> None:
    with parts.transaction():
        parts.execute("set local jobhooks.request_id = 'r-7'")
        parts.execute("truncate public.low")
    context = {"request_id": "r-7", "partition": "public.low"}
    assert parts.execute("select context from jobhooks.object_change").fetchall() == [(context,)]


def test_a_partition_that_was_detached_is_the_tables_no_more(parts: Connection) -> None:
    """Statement triggers stay with it; they must say nothing, also when it belongs to another table now."""
    parts.execute("create table public.u (id integer primary key) partition by range (id)")
    parts.execute("alter table public.t detach partition public.low")
    parts.execute("truncate public.low")
    parts.execute("alter table public.u attach partition public.low for values from (0) to (10)")
    parts.execute("truncate public.low; truncate public.u")
    parts.execute("truncate public.t")
    assert truncations(parts) == ["public.t"]


def test_a_partition_with_an_odd_name_is_named_as_sql_writes_it(parts: Connection) -> None:
    parts.execute('create schema "S"; create table "S"."a.b" partition of public.t for values from (30) to (40)')
    watch(parts, "public.t")
    parts.execute('truncate "S"."a.b"')
    assert truncations(parts) == ['public.t "S"."a.b"']


def test_an_ordinary_role_truncates_partitions(parts: Connection, role: str) -> None:
    """The application needs no privilege in our schemas for the notes of a TRUNCATE."""
    parts.execute(f"grant truncate on public.t, public.low to {role}".encode())
    with psycopg.connect(parts.info.dsn, user=role, autocommit=True) as application:
        application.execute("truncate public.low")
        application.execute("truncate public.low, public.t")
    assert truncations(parts) == ["public.t public.low", "public.t"]


@pytest.mark.parametrize("is_watched_again", [False, True])
def test_a_watched_table_that_is_a_partition_is_recorded_for_each_of_the_two(
    parts: Connection, is_watched_again: bool
) -> None:
    """Hooks may exist for both; naming either one empties both."""
    parts.execute("create table public.own (id integer not null) partition by range (id)")
    parts.execute("create table public.own_a partition of public.own for values from (40) to (50)")
    watch(parts, "public.own", key=["id"])
    parts.execute("alter table public.t attach partition public.own for values from (40) to (60)")
    if is_watched_again:
        watch(parts, "public.t")
    parts.execute("truncate public.own_a")
    of_root = ["public.t public.own_a"] if is_watched_again else []
    assert sorted(truncations(parts)) == ["public.own public.own_a", *of_root]
    forget(parts)
    parts.execute("truncate public.own")
    assert sorted(truncations(parts)) == ["public.own", *(["public.t public.own"] if is_watched_again else [])]
    forget(parts)
    parts.execute("truncate public.t")
    assert sorted(truncations(parts)) == ["public.own", "public.t"]


def test_no_setting_hides_a_truncate(parts: Connection) -> None:
    """An application may set our settings to anything: to garbage, to nothing, or to earlier values."""
    parts.execute("create table public.seen (places text)")
    trigger(
        parts,
        "after truncate on public.low",
        "insert into public.seen values (current_setting('jobhooks.truncating_1_1'));"
        " perform set_config('jobhooks.truncating_1_1', '', true); return null;",
    )
    with parts.transaction():
        parts.execute("truncate public.t, public.low")
        parts.execute("truncate public.mid")
        for places in ("x", "(0,1)(0,2)(9,9)", "(3999999999,9999)", "((("):
            parts.execute("select set_config('jobhooks.truncating_1_1', %s, true)", [places])
            parts.execute("truncate public.mid_a")
        parts.execute("select set_config('jobhooks.truncating_1_1', places, true) from public.seen")
        parts.execute("truncate public.mid_b")
    assert truncations(parts) == [
        "public.t",
        "public.t public.mid",
        *["public.t public.mid_a"] * 4,
        "public.t public.mid_b",
    ]
