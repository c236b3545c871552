"""Every writer, every obstacle, every copy of a database: capture works and reveals no secret."""

import re
import subprocess
from collections.abc import Generator
from pathlib import Path

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict

from conftest import Connection
from jobhooks.embedded import system_binaries, wheel_binaries
from support.capturing import changes, forget, watch, words
from support.postgres.servers import Server, drop_database

# A schema with something of the name of everything in pg_catalog, which says that it was called.
SHADOWS = r"""
create schema evil;
create sequence evil.calls;
do $$
declare
    object record;
begin
    for object in
        select proname, pg_get_function_identity_arguments(oid) as arguments, proretset,
            format_type(prorettype, null) as result, pg_get_function_arguments(oid) like '%VARIADIC%' as variadic
        from pg_proc
        where pronamespace = 'pg_catalog'::regnamespace and prokind = 'f'
    loop
        begin
            execute format(
                'create function evil.%I(%s) returns %s%s language plpgsql as %L',
                object.proname, object.arguments, case when object.proretset then 'setof ' else '' end, object.result,
                'begin perform pg_catalog.nextval(''evil.calls''); raise ''called''; end'
            );
        exception when others then null; -- of arguments or a result that no function in plpgsql may have
        end;
    end loop;
    for object in
        select oprname, oprleft::regtype as l, oprright::regtype as r, oprcode::text as code
        from pg_operator
        where oprnamespace = 'pg_catalog'::regnamespace and oprkind = 'b'
    loop
        begin
            execute format('create operator evil.%s (leftarg = %s, rightarg = %s, function = evil.%s)',
                object.oprname, object.l, object.r, object.code);
        exception when others then null;
        end;
    end loop;
end
$$;
do $$
declare
    head text;
begin
    -- Those that take anything, with what the capture gives them.
    foreach head in array array[
        'concat(a text, b text, c text)', 'concat(a text, b text, c text, d text)', 'format(a text, b text)',
        'format(a text, b text, c text)', 'json_build_array(a text, b json)', 'json_build_object(a text, b text)',
        'json_build_object(a text, b integer)', 'string_agg(a text, b text)'
    ] loop
        execute format(
            'create function evil.%s returns text language plpgsql as %L',
            head, 'begin perform pg_catalog.nextval(''evil.calls''); raise ''called''; end'
        );
    end loop;
end
$$;
create type evil.text as enum ('x');
create type evil.json as enum ('x');
create type evil.jsonb as enum ('x');
create type evil.oid as enum ('x');
create type evil.regclass as enum ('x');
create type evil.int4 as enum ('x');
create type evil.bool as enum ('x');
create table evil.unnest (name pg_catalog.text);
create table evil.content_type (id pg_catalog.int4);
create table evil.object_change (id pg_catalog.int4);
grant all on schema evil to public;
grant all on all sequences in schema evil to public;
"""

WRITES = [
    "insert into public.{name} values (1, 'a', 'good', now())",
    "update public.{name} set note = 'b'",
    "update public.{name} set seen = null",
    "update public.{name} set id = 11",
    "update public.{name} set mood = 'bad'",
    "set jobhooks.delivery = '1:2:3'; set jobhooks.user_name = 'u'",
    "set datestyle = 'SQL, DMY'; set intervalstyle = 'sql_standard'",
    "update public.{name} set mood = 'good'",
    "delete from public.{name}",
    "truncate public.{name}",
]


def make_tables(conn: Connection) -> None:
    """Make tables whose capture takes each of the ways there are."""
    conn.execute("create type public.mood as enum ('good', 'bad')")
    conn.execute(
        "create function public.mood_json(public.mood) returns json language plpgsql"
        " set search_path = pg_catalog, public as 'begin if $1 = ''bad'' then raise ''no''; end if; return ''1''; end'"
    )
    conn.execute("create cast (public.mood as json) with function public.mood_json(public.mood)")
    columns = (
        "(id integer primary key, note text, mood public.mood, seen timestamptz, secret text, f float8, i interval)"
    )
    for name in ("plain", "shaped"):
        conn.execute(f"create table public.{name} {columns}".encode())
    conn.execute(f"create table public.parted {columns} partition by range (id)".encode())
    conn.execute("create table public.parted_0 partition of public.parted for values from (0) to (10)")
    conn.execute("create table public.parted_1 partition of public.parted for values from (10) to (20)")
    conn.execute("create domain public.given as integer not null")
    conn.execute("alter table public.shaped add column times public.given default 1")
    watch(conn, "public.plain")
    watch(conn, "public.shaped", exclude=["secret"], ignore=["seen", "times"])
    watch(conn, "public.parted")


def test_nothing_that_the_search_path_names_is_ever_called(conn: Connection, role: str) -> None:
    """Capture runs with rights that the writer lacks: the writer must not choose the functions it calls."""
    make_tables(conn)
    conn.execute(SHADOWS.encode())
    shadows = conn.execute(
        "select (select count(*) from pg_proc where pronamespace = 'evil'::regnamespace) > 2000,"
        " (select count(*) from pg_operator where oprnamespace = 'evil'::regnamespace) > 500"
    ).fetchone()
    assert shadows == (True, True)
    conn.execute(f"grant all on all tables in schema public to {role}".encode())
    recorded: list[list[tuple[object, ...]]] = []
    for path in ("public", "evil,pg_catalog"):
        with psycopg.connect(conn.info.dsn, user=role, autocommit=True, options=f"-c search_path={path}") as writer:
            for name in ("plain", "shaped", "parted"):
                for statement in WRITES:
                    writer.execute(statement.format(name=name).replace("now()", "'2024-01-01'").encode())
        log = "select content_type_id, action::text, context, prechange, postchange from jobhooks.object_change"
        recorded.append(conn.execute(f"{log} order by id".encode()).fetchall())
        forget(conn)
    assert recorded[0] == recorded[1] and len(recorded[0]) > 20
    assert conn.execute("select is_called from evil.calls").fetchall() == [(False,)]


def test_the_shadows_of_the_test_above_do_tell_when_they_are_called(conn: Connection) -> None:
    conn.execute(SHADOWS.encode())
    conn.execute("set search_path = evil, pg_catalog")
    for statement in (
        "select starts_with('a', 'b')",
        "select 1 = 1",
        "select 'a'::pg_catalog.text || 'b'::pg_catalog.text",
    ):
        with pytest.raises(psycopg.errors.RaiseException, match="called"):
            conn.execute(statement.encode())


def test_a_secret_that_is_excluded_is_nowhere_in_the_log(conn: Connection) -> None:
    """Neither in a snapshot, nor in the words of an error about one, nor in a key."""
    make_tables(conn)
    conn.execute(
        "create or replace function public.mood_json(public.mood) returns json language plpgsql as"
        " 'begin raise ''it is hush-hush''; end'"
    )
    for note in ("a", "b"):
        conn.execute("insert into public.shaped (id, secret) values (1, 'hush-hush')")
        conn.execute("update public.shaped set secret = 'hush-hush-hush'")
        conn.execute("update public.shaped set note = %s", [note])
        conn.execute("update public.shaped set mood = 'bad', secret = 'hush-hush'")
        conn.execute("delete from public.shaped")
        conn.execute("set datestyle = German")
    actions = [action for action, _, _ in changes(conn)]
    assert actions == ["create", "update", "update", "update", "delete"] * 2
    told = conn.execute("select count(*) from jobhooks.object_change as change where change::text ~ 'hush'").fetchone()
    assert told == (0,)
    errors = conn.execute("select distinct context ->> 'snapshot_error' from jobhooks.object_change").fetchall()
    assert {error and error.partition(":")[0] for (error,) in errors} == {None, "P0001"}


@pytest.mark.parametrize(
    "nested", ["null", r"""'{"a":"\u0000"}'""", """'{"x":1,"secret":null}'""", """'{"secret":null}'"""]
)
@pytest.mark.parametrize("partitioned", [False, True])
def test_an_excluded_column_that_is_renamed_stays_out_of_the_log(
    conn: Connection, nested: str, partitioned: bool
) -> None:
    """A rename is made without the log in mind: the row is left out until the table is watched again."""
    how = "partition by range (id)" if partitioned else ""
    conn.execute(f"create table public.t (id integer primary key, secret text, j json) {how}".encode())
    if partitioned:
        conn.execute("create table public.t_0 (j json, secret text, id integer not null)")
        conn.execute("alter table public.t attach partition public.t_0 for values from (0) to (10)")
    watch(conn, "public.t", exclude=["secret"])
    conn.execute("alter table public.t rename column secret to hidden")
    conn.execute(f"insert into public.t values (1, 'hush-hush', {nested})".encode())
    conn.execute("update public.t set hidden = 'hush-hush-hush'")
    told = conn.execute(
        "select action::text, context -> 'object_key', change::text from jobhooks.object_change as change"
    )
    recorded = told.fetchall()
    assert [(action, key) for action, key, _ in recorded] == [("create", {"id": 1}), ("update", {"id": 1})]
    assert "hush" not in str(recorded)
    assert all("snapshot_error" in row for _, _, row in recorded)
    problems = conn.execute("select severity, problem, remedy from jobhooks.problems_of_columns()").fetchall()
    assert [severity for severity, _, _ in problems] == ["error"]
    assert "secret" in problems[0][1] and "--exclude NEW_NAME" in problems[0][2]
    watch(conn, "public.t", exclude=["hidden"])
    conn.execute("update public.t set j = '1'")
    ((_, _, last),) = changes(conn)[-1:]
    assert last == {"id": 1, "j": 1}


def test_ignored_columns_are_in_the_rows_and_not_in_the_differences(conn: Connection) -> None:
    make_tables(conn)
    conn.execute("insert into public.shaped values (1, 'a', null, '2024-01-01')")
    conn.execute("update public.shaped set note = 'b', seen = '2025-01-01', times = 2")
    told = conn.execute("select removed, added from jobhooks.changes where action = 'update'").fetchone()
    assert told == ({"note": "a"}, {"note": "b"})
    ((before, after),) = [(before, after) for action, before, after in changes(conn) if action == "update"]
    assert isinstance(before, dict) and isinstance(after, dict)
    assert (before["times"], after["times"]) == (1, 2)


def test_an_ordinary_role_makes_partitions_of_its_watched_table(conn: Connection, role: str) -> None:
    """It owns the table and has no privilege in our schemas; a new partition also gets our triggers."""
    conn.execute(f"create schema theirs authorization {role}".encode())
    with psycopg.connect(conn.info.dsn, user=role, autocommit=True) as owner:
        owner.execute("create table theirs.t (id integer primary key, note text) partition by range (id)")
        watch(conn, "theirs.t")
        owner.execute(
            "create table theirs.low partition of theirs.t for values from (0) to (10) partition by range (id)"
        )
        owner.execute("create table theirs.low_0 partition of theirs.low for values from (0) to (5)")
        owner.execute("create table theirs.high (note text, id integer not null)")
        owner.execute("alter table theirs.t attach partition theirs.high for values from (10) to (20)")
        owner.execute("insert into theirs.t values (1, 'a')")
        owner.execute("update theirs.t set id = 11")
        owner.execute("alter table theirs.t detach partition theirs.low")
        owner.execute("truncate theirs.t")
        owner.execute("drop table theirs.high")
        owner.execute("alter table theirs.t rename column note to remark")
        owner.execute("create table theirs.last partition of theirs.t default")
        owner.execute("insert into theirs.t values (2, 'b')")
    assert words(conn) == ["create 1 a", "update 11 a>a", "truncate", "create 2"]


def programs(server: Connection) -> Path:
    """Return the folder of a psql and a pg_dump of the server's version."""
    for folder in (wheel_binaries(), system_binaries()):
        if folder is not None and (folder / "pg_dump").exists():
            version = subprocess.run(
                [folder / "pg_dump", "--version"], capture_output=True, text=True, check=True
            ).stdout
            if re.search(rf"\b{server.info.server_version // 10000}\.", version):
                return folder
    pytest.skip("no pg_dump of the server's version here")


@pytest.fixture
def restored(server: Server, conn: Connection) -> Generator[str]:
    """The name of a database to restore into."""
    name = f"{conn.info.dbname}_restored"
    drop_database(server, name)
    server.execute("create database {}", name)
    yield name
    drop_database(server, name)


def test_a_dump_restores_with_triggers_that_work(conn: Connection, server: Server, restored: str) -> None:
    """A staging copy, or an upgrade by dump: the tables are not watched again there."""
    folder = programs(conn)
    make_tables(conn)
    conn.execute("insert into public.plain values (1, 'before')")
    conn.execute("insert into public.parted values (1, 'before')")

    def run(program: str, database: str, *arguments: str, script: str = "") -> str:
        settings = conninfo_to_dict(server.url(database))
        address = [
            f"--{key}={settings[name]}"
            for key, name in (("host", "host"), ("username", "user"), ("port", "port"))
            if name in settings
        ]
        command = [folder / program, *address, f"--dbname={database}", *arguments]
        done = subprocess.run(command, input=script, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout

    dump = run("pg_dump", conn.info.dbname)
    run("psql", restored, "--no-psqlrc", "--quiet", "--single-transaction", "--set=ON_ERROR_STOP=1", script=dump)
    with psycopg.connect(server.url(restored), autocommit=True) as copy:
        assert words(copy) == ["create 1 before", "create 1 before"]
        forget(copy)
        for name in ("plain", "parted"):
            copy.execute(f"update public.{name} set note = 'after'".encode())
            copy.execute(f"update public.{name} set id = 11".encode())
            copy.execute(f"delete from public.{name}".encode())
            copy.execute(f"truncate public.{name}".encode())
        copy.execute("truncate public.parted_0")
        copy.execute("insert into public.shaped (id, secret) values (1, 'hush'); update public.shaped set times = 7")
        row = {"id": 1, "note": None, "mood": None, "seen": None, "f": None, "i": None, "times": 1}
        assert words(copy) == [
            *["update 1 before>after", "update 11 after>after", "delete 11 after", "truncate"] * 2,
            *["truncate", "create 1"],
        ]
        assert changes(copy)[-1] == ("create", None, row)
