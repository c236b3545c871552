"""Known limits, as listed in sql/README.md. When a limit is lifted, remove it there."""

import psycopg
import pytest
from psycopg import IsolationLevel

from conftest import Connection
from support.capturing import trigger, watch, words

PARTITIONED = (
    "create table public.{0} (id integer, note text, doubled integer generated always as (public.twice(id)) stored)"
    " partition by range (id);"
    "create table public.{0}_0 partition of public.{0} for values from (0) to (10)"
)


def test_lastval_is_not_the_applications_after_a_captured_row(application: Connection, device: Connection) -> None:
    """As after any trigger that draws a number, except after an insert into a table that a sequence fills.

    RETURNING and the sequence's name give the expected value.
    """
    device.execute(f"grant usage on all sequences in schema public to {application.info.user}".encode())
    with pytest.raises(psycopg.errors.InsufficientPrivilege, match="object_change_id_seq"):
        application.execute("update public.device set name = 'new'; select lastval()")
    returned = application.execute("insert into public.device (name) values ('new') returning id").fetchone()
    sequence = "pg_get_serial_sequence('public.device', 'id')"
    assert application.execute(f"select currval({sequence})".encode()).fetchone() == returned
    device.execute("create table public.other (id serial)")
    device.execute("insert into public.other default values")
    assert device.execute("select lastval()").fetchone() == (1,), "of a table that is not watched"


def test_a_key_that_is_checked_late_may_be_told_out_of_order(conn: Connection) -> None:
    """No session waits when the second row of a key is written, so the order is undefined."""
    conn.execute("create table public.t (id integer primary key deferrable initially deferred, note text)")
    conn.execute("insert into public.t values (1, 'old')")
    watch(conn, "public.t")
    with psycopg.connect(conn.info.dsn) as one, psycopg.connect(conn.info.dsn) as other:
        one.execute("insert into public.t values (1, 'new')")
        other.execute("delete from public.t where note = 'old'")
        other.commit()
    assert words(conn) == ["create 1 new", "delete 1 old"]
    assert conn.execute("select note from public.t").fetchall() == [("new",)]
    problems = conn.execute("select severity, problem from jobhooks.problems_of_keys()").fetchall()
    assert [severity for severity, _ in problems] == ["warning"] and "deferrable" in problems[0][1]


def test_a_snapshot_older_than_the_watching_sees_no_content_type(conn: Connection) -> None:
    """Rows are captured immediately; TRUNCATE looks up its content type and does not find it."""
    conn.execute("create table public.t (id integer primary key, note text)")
    with psycopg.connect(conn.info.dsn) as early:
        early.isolation_level = IsolationLevel.REPEATABLE_READ
        early.execute("select 1")
        watch(conn, "public.t")
        early.execute("insert into public.t values (1, 'a')")
        early.execute("truncate public.t")
    assert words(conn) == ["create 1 a"]


def test_stored_columns_of_a_partitioned_table_are_computed_at_every_update(conn: Connection) -> None:
    """As with any BEFORE UPDATE trigger; a watched partitioned table has one."""
    conn.execute("create function public.twice(integer) returns integer language sql immutable as 'select $1 * 2'")
    conn.execute(PARTITIONED.format("bare").encode())
    conn.execute(PARTITIONED.format("t").encode())
    watch(conn, "public.t", key=["id"])
    for name in ("bare", "t"):
        conn.execute(f"insert into public.{name} values (1, 'a')".encode())
    conn.execute(
        "create or replace function public.twice(integer) returns integer language sql immutable as 'select $1 / 0'"
    )
    conn.execute("update public.bare set note = 'b'")
    with pytest.raises(psycopg.errors.DivisionByZero):
        conn.execute("update public.t set note = 'b'")
    trigger(conn, "before update on public.bare for each row", "return new;")
    with pytest.raises(psycopg.errors.DivisionByZero):
        conn.execute("update public.bare set note = 'c'")


def test_who_may_not_call_set_config_cannot_write_a_partitioned_table(conn: Connection, role: str) -> None:
    """The notes that identify a moving row are settings, made with the writer's rights."""
    conn.execute("create function public.twice(integer) returns integer language sql immutable as 'select $1 * 2'")
    conn.execute(PARTITIONED.format("t").encode())
    conn.execute("create table public.plain (id integer primary key, note text)")
    watch(conn, "public.t", key=["id"])
    watch(conn, "public.plain")
    conn.execute(f"grant all on all tables in schema public to {role}".encode())
    conn.execute("revoke execute on function set_config(text, text, boolean) from public")
    with psycopg.connect(conn.info.dsn, user=role, autocommit=True) as application:
        application.execute("insert into public.plain values (1, 'a')")
        application.execute("update public.plain set note = 'b'")
        application.execute("delete from public.plain")
        application.execute("insert into public.t values (1, 'a')")
        with pytest.raises(psycopg.errors.InsufficientPrivilege, match="set_config"):
            application.execute("update public.t set note = 'b'")
    problems = conn.execute(
        "select severity, problem from jobhooks.problems_of_roles() where subject = 'public.t'"
    ).fetchall()
    assert [severity for severity, _ in problems] == ["error"] and "set_config" in problems[0][1]
