"""lastval() of sessions that write tables which are watched with keep_lastval."""

import contextlib
import re
from collections.abc import Generator

import psycopg
import pytest
from psycopg import errors

from conftest import Connection
from jobhooks.operations import tables
from jobhooks.store.connections import connect
from support.capturing import watch, words

PARTS = (
    "create table public.parted (id serial primary key, note text) partition by range (id);"
    "create table public.low partition of public.parted for values from (0) to (10);"
    "create table public.high partition of public.parted for values from (10) to (1000)"
)

# In the triggers, by the option.
USED = {
    None: ["set_lastval"],
    True: ["keep_lastval", "keep_lastval", "keep_lastval", "keep_lastval"],
    False: ["no_lastval"],
}


@pytest.fixture
def writer(conn: Connection, role: str) -> Generator[Connection]:
    """A session of an application's role, which may use its tables and sequences only."""
    conn.execute("create table public.t (id serial primary key, note text)")
    conn.execute("create table public.bare (id serial primary key)")
    conn.execute("create sequence public.hidden start 77")
    conn.execute(PARTS.encode())
    for name in ("t", "parted"):
        watch(conn, f"public.{name}", keep_lastval=True)
    conn.execute(f"grant all on all tables in schema public to {role}".encode())
    conn.execute(
        f"grant usage on sequence public.t_id_seq, public.bare_id_seq, public.parted_id_seq to {role}".encode()
    )
    with psycopg.connect(conn.info.dsn, user=role, autocommit=True) as session:
        yield session


def lastval(session: Connection) -> int:
    row = session.execute("select lastval()").fetchone()
    assert row is not None
    return row[0]


def test_the_number_of_an_insert_is_that_of_its_row(writer: Connection, conn: Connection) -> None:
    """As drivers and ORMs ask for it: PDO's lastInsertId() without a name."""
    writer.execute("insert into public.t (note) values ('a')")
    assert lastval(writer) == 1
    writer.execute("insert into public.t (note) values ('b'), ('c')")
    assert lastval(writer) == 3
    with writer.cursor().copy("copy public.t (note) from stdin") as copy:
        copy.write("d\ne\n")
    assert lastval(writer) == 5
    assert writer.execute("select currval('public.t_id_seq')").fetchone() == (5,)
    assert words(conn) == ["create 1 a", "create 2 b", "create 3 c", "create 4 d", "create 5 e"]


@pytest.mark.parametrize(
    "statement",
    [
        "update public.t set note = 'x'",
        "delete from public.t",
        "truncate public.t",
        "insert into public.t (id, note) select max(id) + i, 'x' from public.t, generate_series(1, 3) as i group by i",
        "insert into public.parted (id) values (3); update public.parted set id = 13; delete from public.parted",
        "insert into parted (id) values (4); update parted set id = 5; truncate low; truncate parted",
    ],
)
def test_other_writes_leave_it_as_it_was(writer: Connection, conn: Connection, statement: str) -> None:
    """Any value, also one at the end of the range."""
    writer.execute("insert into public.t (note) values ('a'), ('b')")
    conn.execute("alter sequence public.bare_id_seq as bigint minvalue -10 maxvalue 9223372036854775807")
    for former in (-7, 41, 2**63 - 1):
        conn.execute(f"alter sequence public.bare_id_seq restart {former}".encode())
        writer.execute("select nextval('public.bare_id_seq')")
        writer.execute(statement.encode())
        assert lastval(writer) == former
        assert writer.execute("select currval('public.bare_id_seq')").fetchone() == (former,)
    assert len(words(conn)) > 2


@pytest.mark.parametrize("statement", ["update public.t set note = 'x'", "truncate public.t", "delete from public.t"])
def test_it_stays_undefined(writer: Connection, conn: Connection, statement: str) -> None:
    """With the same error, by which Doctrine knows that there is no number."""
    conn.execute("insert into public.t (note) values ('a'), ('b')")
    writer.execute(statement.encode())
    for _ in range(2):
        with pytest.raises(errors.ObjectNotInPrerequisiteState):
            lastval(writer)
    writer.execute("insert into public.t (note) values ('c')")
    assert lastval(writer) == 3


def test_a_sequence_that_the_role_may_not_read_fails_no_writer(writer: Connection, conn: Connection) -> None:
    """Its number came from a function that runs as its owner; lastval() is denied as before."""
    conn.execute(
        "create function public.draw() returns bigint language sql security definer as $$ select nextval('hidden') $$"
    )
    assert writer.execute("select public.draw()").fetchone() == (77,)
    with pytest.raises(errors.InsufficientPrivilege, match="hidden"):
        lastval(writer)
    writer.execute("insert into public.t (id, note) values (1, 'a')")
    with pytest.raises(errors.InsufficientPrivilege):
        lastval(writer)
    writer.execute("insert into public.t (note) select 'b' where false; insert into public.bare default values")
    writer.execute("update public.t set note = 'c'")
    assert lastval(writer) == 1
    assert words(conn) == ["create 1 a", "update 1 a>c"]


def test_it_is_kept_in_triggers_and_functions(writer: Connection, conn: Connection) -> None:
    """A trigger of the application reads it after the row, and a function after its statement."""
    conn.execute("create table public.audit (id serial primary key, seen bigint)")
    conn.execute(
        "create function public.note() returns trigger language plpgsql security definer as $$"
        " declare seen constant bigint := lastval();"
        " begin insert into public.audit (seen) values (seen); return null; end $$"
    )
    conn.execute("alter sequence public.audit_id_seq restart 500")
    conn.execute("create trigger note after insert on public.t for each row execute function public.note()")
    conn.execute(
        "create function public.add() returns bigint language plpgsql security definer as $$ begin"
        " insert into public.t (note) values ('f'); return lastval(); end $$"
    )
    watch(conn, "public.audit", keep_lastval=True)
    assert writer.execute("select public.add()").fetchone() == (500,), (
        "of the trigger's own insert, as without jobhooks"
    )
    writer.execute("insert into public.t (note) values ('g')")
    assert lastval(writer) == 501
    assert conn.execute("select seen from public.audit order by id").fetchall() == [(1,), (2,)]


def test_rolled_back_rows_leave_it_as_well(writer: Connection) -> None:
    """A sequence does not go back, and neither does lastval()."""
    with writer.transaction():
        writer.execute("insert into public.t (note) values ('a')")
        with contextlib.suppress(errors.UniqueViolation), writer.transaction():
            writer.execute("insert into public.t (note) values ('b')")
            writer.execute("insert into public.t (id) values (1)")
        assert lastval(writer) == 2
        with writer.transaction(force_rollback=True):
            writer.execute("update public.t set note = 'c'")
        assert lastval(writer) == 2
    writer.execute(
        "do $$ begin insert into public.t (note) values ('d'); raise division_by_zero;"
        " exception when division_by_zero then null; end $$"
    )
    assert lastval(writer) == 3


def test_two_sessions_keep_theirs(writer: Connection, conn: Connection) -> None:
    """The value is that of the session, although both use one sequence of jobhooks."""
    with psycopg.connect(conn.info.dsn, user=writer.info.user, autocommit=True) as other:
        other.execute("select nextval('public.bare_id_seq')")
        for number in (1, 2, 3):
            writer.execute("insert into public.t (note) values ('a')")
            other.execute("update public.t set note = note || 'b'")
            assert (lastval(writer), lastval(other)) == (number, 1)


@pytest.mark.parametrize("option", [None, True, False])
def test_the_option_stays_and_can_be_changed(conn: Connection, database: str, option: bool | None) -> None:
    """Over unwatch, a table that is created again, and a replaced one."""
    conn.execute("create table public.t (id serial primary key, note text)")
    with contextlib.closing(connect(database)) as admin:
        assert tables.watch(admin, "public.t", keep_lastval=option).keep_lastval is option
        made = statements(conn)
        assert re.findall("keep_lastval|set_lastval|no_lastval", made) == USED[option]
        tables.unwatch(admin, "public.t")
        tables.watch_as_before(admin, "public.t")
        assert statements(conn) == made
        conn.execute("drop table public.t; create table public.t (id serial primary key, note text)")
        tables.watch_as_before(admin, "public.t")
        assert statements(conn) == made
        conn.execute("alter table public.t rename to old; create table public.t (id serial primary key, note text)")
        tables.watch_instead(admin, "public.t", "public.old")
        assert statements(conn) == made
        flag = {None: "", True: " --keep-lastval", False: " --no-keep-lastval"}[option]
        command = conn.execute("select jobhooks.watch_command(id) from jobhooks.content_type").fetchone()
        assert command == (f"jobhooks table watch public.t{flag}",)
        other = None if option else True
        assert tables.watch(admin, "public.t", keep_lastval=other).keep_lastval is other
        assert re.findall("keep_lastval|set_lastval|no_lastval", statements(conn)) == USED[other]
        assert conn.execute("select * from jobhooks.problems_of_triggers()").fetchall() == []


def test_false_leaves_the_number_of_the_log(conn: Connection) -> None:
    """For tables whose writers never ask."""
    conn.execute("create table public.t (id serial primary key, note text)")
    watch(conn, "public.t", keep_lastval=False)
    conn.execute("alter sequence public.t_id_seq restart 77; insert into public.t (note) values ('a')")
    assert lastval(conn) == 1
    conn.execute("truncate public.t")
    assert lastval(conn) == 2


def statements(conn: Connection) -> str:
    rows = conn.execute(
        "select pg_get_triggerdef(oid) from pg_trigger"
        " where tgrelid = 'public.t'::regclass and not tgisinternal order by 1"
    ).fetchall()
    return "\n".join(text for (text,) in rows)
