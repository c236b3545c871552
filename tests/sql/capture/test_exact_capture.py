"""Every way to write a row, and every kind of column: the log holds the written rows in the order of writing."""

import json

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


def test_each_of_many_rows_of_a_statement_is_a_change_in_the_order_of_writing(table: Connection) -> None:
    """A statement of 5,000 rows is as exact as one of a single row."""

    def out_of_order(action: str) -> tuple[object, ...] | None:
        return table.execute(
            "select count(*), count(*) filter (where place <> id) from (select"
            " row_number() over (order by id) as place, (coalesce(postchange, prechange) ->> 'id')::integer as id"
            " from jobhooks.object_change where action = %s::jobhooks.action) as change",
            [action],
        ).fetchone()

    table.execute("insert into public.t select i, 'a' from generate_series(1, 5000) as i")
    table.execute("update public.t set note = 'b'")
    table.execute("delete from public.t")
    assert [out_of_order(action) for action in ("create", "update", "delete")] == [(5000, 0)] * 3


def test_a_statement_that_writes_no_row_is_no_change(table: Connection) -> None:
    table.execute("insert into public.t select 1 where false")
    table.execute("update public.t set note = 'x'")
    table.execute("delete from public.t")
    assert changes(table) == []


def test_copied_rows_are_created(table: Connection) -> None:
    table.execute("create table public.p (id integer primary key, note text) partition by range (id)")
    table.execute("create table public.p_0 partition of public.p for values from (0) to (1500)")
    table.execute("create table public.p_1 partition of public.p for values from (1500) to (9000)")
    watch(table, "public.p")
    for name in ("t", "p"):
        with table.cursor() as cursor, cursor.copy(f"copy public.{name} from stdin".encode()) as copy:
            for number in range(3000):
                copy.write_row((number, "a"))
    # COPY writes rows in batches, one partition after the other.
    assert words(table)[:3000] == [f"create {number} a" for number in range(3000)]
    assert sorted(words(table)[3000:]) == sorted(f"create {number} a" for number in range(3000))


def test_an_upsert_is_told_as_what_it_came_to_be(table: Connection) -> None:
    table.execute("insert into public.t values (1, 'a')")
    upsert = "insert into public.t values (1, 'b'), (2, 'b') on conflict (id) do"
    table.execute(f"{upsert} nothing".encode())
    table.execute(f"{upsert} update set note = excluded.note".encode())
    table.execute(f"{upsert} update set note = 'c' where t.id = 2".encode())
    assert words(table) == ["create 1 a", "create 2 b", "update 1 a>b", "update 2 b>c"]


def test_a_merge_is_told_by_its_branches(table: Connection) -> None:
    if table.info.server_version < 150000:
        pytest.skip("MERGE came with PostgreSQL 15")
    table.execute("insert into public.t select i, 'a' from generate_series(1, 3) as i")
    forget(table)
    table.execute(
        "merge into public.t using (values (1), (2), (3), (4), (5)) as v (id) on t.id = v.id"
        " when matched and v.id = 1 then delete when matched and v.id = 2 then update set note = 'b'"
        " when matched then do nothing"
        " when not matched and v.id = 4 then insert values (v.id, 'c') when not matched then do nothing"
    )
    assert sorted(words(table)) == ["create 4 c", "delete 1 a", "update 2 a>b"]


def test_an_update_that_finds_a_row_twice_is_one_change(table: Connection) -> None:
    """UPDATE ... FROM writes a row once, with one of its matches."""
    table.execute("insert into public.t values (1, 'a'), (2, 'a')")
    forget(table)
    table.execute("update public.t set note = 'b' from generate_series(1, 3) as i where t.id = 1")
    table.execute("delete from public.t using generate_series(1, 3)")
    assert words(table) == ["update 1 a>b", "delete 2 a", "delete 1 b"]


def test_clauses_that_write_are_each_told(table: Connection) -> None:
    table.execute("insert into public.t values (1, 'a'), (2, 'a'), (3, 'a')")
    forget(table)
    table.execute(
        "with gone as (delete from public.t where id = 1 returning *),"
        " changed as (update public.t set note = 'b' where id = 2 returning *),"
        " unread as (update public.t set note = 'c' where id = 3)"
        " insert into public.t select id + 10, note from gone union all select id + 10, note from changed"
    )
    assert sorted(words(table)) == ["create 11 a", "create 12 b", "delete 1 a", "update 2 a>b", "update 3 a>c"]


def test_writes_by_functions_and_triggers_are_told(table: Connection) -> None:
    table.execute("create table public.source (id integer primary key, note text)")
    trigger(
        table, "after insert on public.source for each row", "insert into public.t values (new.id, 'b'); return null;"
    )
    table.execute(
        "create function public.write() returns void language sql as"
        " $$ insert into public.t values (1, 'a'); update public.t set note = 'c' where id = 1 $$"
    )
    table.execute("select public.write()")
    table.execute("insert into public.source values (2)")
    table.execute("prepare deleting as delete from public.t where id = $1; execute deleting (2)")
    table.execute("begin; declare c cursor for select from public.t for update; fetch c")
    table.execute("update public.t set note = 'd' where current of c; commit")
    assert words(table) == ["create 1 a", "update 1 a>c", "create 2 b", "delete 2 b", "update 1 c>d"]


@pytest.mark.parametrize(
    ("reference", "statement", "recorded"),
    [
        ("on delete cascade", "delete from public.t", ["delete 1 a", "delete 10 1", "delete 11 1"]),
        ("on delete set null", "delete from public.t", ["delete 1 a", "update 10 1", "update 11 1"]),
        (
            "on delete set default",
            "delete from public.t where id = 1",
            ["delete 1 a", "update 10 1>0", "update 11 1>0"],
        ),
        (
            "on update cascade",
            "update public.t set id = 5 where id = 1",
            ["update 5 a>a", "update 10 1>5", "update 11 1>5"],
        ),
        (
            "on update set null",
            "update public.t set id = 5 where id = 1",
            ["update 5 a>a", "update 10 1", "update 11 1"],
        ),
    ],
)
def test_what_a_foreign_key_does_to_the_children_is_told_after_its_cause(
    table: Connection, reference: str, statement: str, recorded: list[str]
) -> None:
    """No statement names these rows; a hook must see them go all the same."""
    table.execute(
        "create table public.child (id integer primary key,"
        f" note integer default 0 references public.t {reference})".encode()
    )
    watch(table, "public.child")
    if "default" in reference:
        table.execute("insert into public.t values (0, 'default')")
    table.execute("insert into public.t values (1, 'a'); insert into public.child values (10, 1), (11, 1)")
    forget(table)
    table.execute(statement.encode())
    assert words(table) == recorded


def test_an_update_of_the_key_is_one_update_with_both_keys(table: Connection) -> None:
    table.execute("insert into public.t values (1, 'a')")
    table.execute("update public.t set id = 2")
    assert changes(table)[1:] == [("update", {"id": 1, "note": "a"}, {"id": 2, "note": "a"})]


def test_an_update_of_nothing_or_of_ignored_columns_is_no_change(conn: Connection) -> None:
    """A ``last_seen`` that is set every second would bury the rest."""
    conn.execute("create domain public.given as integer not null check (value > 0)")
    conn.execute(
        "create table public.t (id integer primary key, note text, seen timestamptz, times public.given,"
        ' "Odd ""one" json, amount numeric)'
    )
    watch(conn, "public.t", ignore=["seen", "times", 'Odd "one'])
    conn.execute("insert into public.t values (1, 'a', 'infinity', 1, '{}', 1.0)")
    conn.execute("update public.t set note = 'a', times = 1")
    conn.execute("""update public.t set seen = now(), times = 2, "Odd ""one" = '[]' """)
    assert words(conn) == ["create 1 a"]
    conn.execute("update public.t set times = 3, note = 'b'")
    differences = conn.execute("select removed, added from jobhooks.changes order by id desc limit 1").fetchone()
    assert differences == ({"note": "a"}, {"note": "b"})
    conn.execute("update public.t set amount = 1.00")
    assert len(changes(conn)) == 3, "the image differs"


def test_rows_are_written_down_faithfully(conn: Connection) -> None:
    """A receiver sees the log's values: nothing rounded, nothing lost."""
    conn.execute("create type public.mood as enum ('ok', 'so so'); create type public.pair as (x integer, y text[])")
    conn.execute("create domain public.positive as integer check (value > 0)")
    conn.execute(
        "create table public.t (id integer generated always as identity primary key, other integer generated by default"
        " as identity, doubled integer generated always as (other * 2) stored, d public.positive, e public.mood,"
        ' "Mixed Case" integer, "qu""ote" integer, "dröp" integer, a integer[], m text[][], r int4range, dr daterange,'
        " c public.pair, j json, jb jsonb, b bytea, nan numeric, big numeric, scaled numeric(6, 3), f float8,"
        " t1 timestamptz, t2 date, t3 timestamp, i interval, u uuid, n text, ch char(3), bits bit(3), h text)"
    )
    conn.execute('alter table public.t drop column "dröp"')
    watch(conn, "public.t")
    conn.execute("set timezone = 'UTC'")
    conn.execute(
        "insert into public.t values (default, default, default, 5, 'so so', 1, 2, '{1,null}', '{{x},{y}}', '[1,5)',"
        """ '[2024-01-01,2024-02-02)', '(1,"{a,b}")', '{"b": 1,  "b":2, "z":"\\u0000"}', '{"a": 1.0}', '\\x00ff',"""
        " 'NaN', 1234567890123456789012345678901234567890, 1.5, 0.1::float8 + 0.2, 'infinity', '-infinity',"
        " '2024-01-02 03:04:05.678901', '-1 day 2 hours', '00000000-0000-0000-0000-00000000000a', null, 'x', '101',"
        " E'tab\\t\\'\"\\\\ é \U0001f40d')"
    )
    written = conn.execute("select postchange::text from jobhooks.object_change").fetchone()
    assert written == (
        '{"id":1,"other":1,"doubled":2,"d":5,"e":"so so","Mixed Case":1,"qu\\"ote":2,"a":[1,null],"m":[["x"],["y"]],'
        '"r":"[1,5)","dr":"[2024-01-01,2024-02-02)","c":{"x":1,"y":["a","b"]},"j":{"b": 1,  "b":2, "z":"\\u0000"},'
        '"jb":{"a": 1.0},"b":"\\\\x00ff","nan":"NaN","big":1234567890123456789012345678901234567890,"scaled":1.500,'
        '"f":0.30000000000000004,"t1":"infinity","t2":"-infinity","t3":"2024-01-02T03:04:05.678901",'
        '"i":"-1 days +02:00:00","u":"00000000-0000-0000-0000-00000000000a","n":null,"ch":"x  ","bits":"101",'
        '"h":"tab\\t\'\\"\\\\ é \U0001f40d"}',
    )
    conn.execute("update public.t set \"Mixed Case\" = 7, j = '1'")
    both = conn.execute(
        "select (select postchange::text from jobhooks.object_change where action = 'create') = prechange::text,"
        " postchange ->> 'Mixed Case', postchange ->> 'j' from jobhooks.object_change where action = 'update'"
    ).fetchone()
    assert both == (True, "7", "1")


def test_virtual_columns_are_written_down(conn: Connection) -> None:
    """The server computes them for a trigger's WHEN, with the column's current expression."""
    if conn.info.server_version < 180000:
        pytest.skip("virtual generated columns came with PostgreSQL 18")
    conn.execute(
        "create table public.t (id integer primary key, price integer,"
        " taxed integer generated always as (price * 2) virtual,"
        ' "Odd ""One" text generated always as (\'p\' || price) virtual,'
        " s integer generated always as (price + 1) stored, cost integer generated always as (price - 1) virtual)"
    )
    watch(conn, "public.t", ignore=["s"], exclude=["cost"])
    conn.execute("insert into public.t (id, price) values (1, 10)")
    conn.execute("update public.t set price = 11")
    conn.execute(
        "alter table public.t alter taxed set expression as (price * 3), add more integer generated always as (7)"
    )
    conn.execute("delete from public.t")
    ten = {"id": 1, "price": 10, "taxed": 20, 'Odd "One': "p10", "s": 11}
    eleven = {"id": 1, "price": 11, "taxed": 22, 'Odd "One': "p11", "s": 12}
    last = {**eleven, "taxed": 33, "more": 7}
    assert changes(conn) == [("create", None, ten), ("update", ten, eleven), ("delete", last, None)]


def test_a_virtual_column_that_cannot_be_computed_fails_the_writer(conn: Connection) -> None:
    """A limit: the server computes it before it calls our function. The doctor names these columns."""
    if conn.info.server_version < 180000:
        pytest.skip("virtual generated columns came with PostgreSQL 18")
    conn.execute("create table public.t (id integer, x integer, y integer generated always as (100 / x))")
    conn.execute("insert into public.t values (1, 0)")
    watch(conn, "public.t", key=["id"])
    with pytest.raises(psycopg.errors.DivisionByZero):
        conn.execute("insert into public.t values (2, 0)")
    problems = conn.execute("select severity, problem from jobhooks.problems_of_columns()").fetchall()
    assert [severity for severity, _ in problems] == ["note"] and "(y)" in str(problems)


def test_a_key_with_a_time_is_the_same_in_every_time_zone(conn: Connection) -> None:
    """Otherwise one object would count as two, each with its order."""
    conn.execute("create type public.span as (begun timestamptz, note text)")
    conn.execute("create domain public.moment as timestamptz")
    keys = {
        "t": "at timestamptz",
        "d": "at public.moment",
        "r": "at tstzrange",
        "a": "at timestamptz[]",
        "c": "at public.span",
    }
    values = ["2024-01-01 00:00:00Z", "2024-01-01 00:00:00Z", "[2024-01-01 00:00:00Z,)", "{2024-01-01 00:00:00Z}"]
    values.append('("2024-01-01 00:00:00Z",x)')
    for (name, column), value in zip(keys.items(), values, strict=True):
        conn.execute(f"create table public.{name} (id integer, {column}, note text, primary key (id, at))".encode())
        watch(conn, f"public.{name}")
        for zone in ("UTC", "Asia/Kathmandu", "America/New_York"):
            conn.execute("select set_config('timezone', %s, false)", [zone])
            conn.execute(f"insert into public.{name} values (1, %s, 'a')".encode(), [value])
            conn.execute(f"delete from public.{name}".encode())
    written = conn.execute(
        "select content_type_id, count(*), count(distinct coalesce(prechange, postchange) ->> 'at')"
        " from jobhooks.object_change group by 1 order by 1"
    ).fetchall()
    assert written == [(number, 6, 1) for number in range(1, 6)]


@pytest.mark.parametrize(("exclude", "ignore"), [([], []), (["c7"], ["c8"])], ids=["whole", "shaped"])
def test_a_table_of_1600_columns_is_captured(conn: Connection, exclude: list[str], ignore: list[str]) -> None:
    """No table can have more."""
    columns = ", ".join(f"c{number} smallint" for number in range(2, 1601))
    conn.execute(f"create table public.t (id integer primary key, {columns})".encode())
    watch(conn, "public.t", exclude=exclude, ignore=ignore)
    conn.execute("insert into public.t (id, c1600) values (1, 1)")
    conn.execute("update public.t set c1600 = 2")
    conn.execute("update public.t set c8 = 3")
    conn.execute("delete from public.t")
    recorded = conn.execute(
        "select action::text, postchange ->> 'c1600',"
        " (select count(*) from json_object_keys(coalesce(postchange, prechange)))"
        " from jobhooks.object_change order by id"
    ).fetchall()
    if exclude:
        assert recorded == [("create", "1", 1599), ("update", "2", 1599), ("delete", None, 1599)]
    else:
        assert recorded == [("create", "1", 1600), ("update", "2", 1600), ("update", "2", 1600), ("delete", None, 1600)]


@pytest.mark.parametrize("megabytes", [5, pytest.param(100, marks=pytest.mark.nightly)])
def test_a_long_text_is_captured(table: Connection, megabytes: int) -> None:
    table.execute("insert into public.t values (1, repeat('0123456789', %s * 100000))", [megabytes])
    table.execute("update public.t set id = 2")
    recorded = table.execute(
        "select action::text, length(prechange ->> 'note'), length(postchange ->> 'note') from jobhooks.object_change"
        " order by id"
    ).fetchall()
    assert recorded == [("create", None, megabytes * 1000000), ("update", megabytes * 1000000, megabytes * 1000000)]


@pytest.mark.parametrize("exclude", [[], ["other"]])
def test_a_row_that_is_too_big_is_measured_and_not_converted(conn: Connection, exclude: list[str]) -> None:
    """Its conversion takes a minute. The function that would convert a field is not called."""
    conn.execute(
        "create type public.noted as enum ('yes');"
        "create sequence public.conversions;"
        "create function public.noted_json(public.noted) returns json language sql as $$"
        " select to_json(nextval('public.conversions')) $$;"
        "create cast (public.noted as json) with function public.noted_json(public.noted);"
        "create table public.t (id integer, name text, noted public.noted, other text, primary key (name, id));"
        # Compressed once, and then copied as it is.
        "create table public.compressed as select repeat('0123456789abcdef', 1000000) as text"
    )
    for number in range(32):
        conn.execute(f"alter table public.t add column many_{number} text".encode())
    watch(conn, "public.t", exclude=exclude)
    many = ", ".join(32 * ["text"])
    conn.execute(f"insert into public.t select 1, 'a', 'yes', '', {many} from public.compressed".encode())
    conn.execute("update public.t set id = 2")
    conn.execute("delete from public.t")
    reason = "54000: the row has over 500 MB as json"
    rows = conn.execute("select action::text, prechange, postchange, context from jobhooks.object_change order by id")
    assert rows.fetchall() == [
        (action, None, None, {"snapshot_error": reason, "object_key": {"id": id_, "name": "a"}})
        for action, id_ in [("create", 1), ("update", 2), ("delete", 2)]
    ]
    assert conn.execute("select is_called from public.conversions").fetchone() == (False,)
    ((*found, problem),) = conn.execute(
        "select severity, subject, problem from jobhooks.problems_of_wide_rows()"
    ).fetchall()
    assert found == ["warning", "public.t"] and "each write to such a row reads its stored values" in problem


@pytest.mark.nightly
@pytest.mark.timeout(900)
@pytest.mark.parametrize(("megabytes", "refuses_null"), [(300, False), (700, False), (700, True)])
def test_a_row_that_is_too_big_to_be_kept_is_written_and_recorded_by_its_key(
    table: Connection, megabytes: int, refuses_null: bool
) -> None:
    """Two rows must fit into one row of the log, and a row must stay below 1 GB."""
    if refuses_null:  # so that a column cannot be emptied before the key is read
        table.execute("create domain public.given as integer not null")
        table.execute("alter table public.t add column given public.given default 1")
    # As json each of these characters takes two.
    table.execute("alter table public.t alter column note set storage external")
    table.execute("insert into public.t values (1, repeat('\"', %s * 1000000))", [megabytes])
    table.execute("update public.t set id = 2")
    table.execute("update public.t set note = 'small'")
    table.execute("delete from public.t")
    recorded = table.execute(
        "select action::text, context -> 'object_key', prechange is null and postchange is null,"
        " context ->> 'snapshot_error' is not null from jobhooks.object_change order by id"
    ).fetchall()
    assert recorded == [
        ("create", {"id": 1}, True, True),
        ("update", {"id": 2}, True, True),
        ("update", {"id": 2}, True, True),
        ("delete", None, False, False),
    ]


def test_a_row_that_a_later_statement_finds_unwritable_stays_as_it_was_told(table: Connection) -> None:
    """Only the change whose snapshot fails goes without one."""
    table.execute("create type public.mood as enum ('good', 'bad')")
    table.execute(
        "create function public.mood_json(public.mood) returns json language plpgsql as"
        " 'begin if $1 = ''bad'' then raise ''no''; end if; return to_json($1::text); end'"
    )
    table.execute("create cast (public.mood as json) with function public.mood_json(public.mood)")
    table.execute("alter table public.t add column mood public.mood default 'good'")
    table.execute("insert into public.t values (1, 'a', 'good'), (2, 'b', 'bad'), (3, 'c', 'good')")
    table.execute("update public.t set note = 'x' where id = 2")
    recorded = table.execute(
        "select action::text, postchange ->> 'id', context from jobhooks.object_change order by id"
    ).fetchall()
    failed = {"snapshot_error": "P0001: no", "object_key": {"id": 2}}
    assert recorded == [
        ("create", "1", None),
        ("create", None, failed),
        ("create", "3", None),
        ("update", None, failed),
    ]


EXCLUDED = 'create table public.t (fat integer[], id integer primary key, "a,""b" text, j json, last integer[])'
# An element without a value takes a bit in the table and five bytes of JSON, of which a gigabyte is too much.
FAT = "array_fill(null::integer, array[110000000])"


def test_only_what_is_kept_is_written_down(conn: Connection) -> None:
    """Excluded values may be too large for JSON, and the others may contain text that no reader accepts."""
    conn.execute(EXCLUDED)
    watch(conn, "public.t", exclude=["fat", 'a,"b', "last"])
    odd = r"""'{"a":"\u0000","b":"\ud83d","fat":null}'"""
    conn.execute(f"insert into public.t values ({FAT}, 1, 'x', {odd}, {FAT})".encode())
    conn.execute("update public.t set fat = null, j = null where id = 1")
    conn.execute("update public.t set last = '{1}'")
    conn.execute("delete from public.t")
    written = conn.execute(
        "select action::text, prechange::text, postchange::text, context from jobhooks.object_change order by id"
    ).fetchall()
    full, empty = r"""{"id":1,"j":{"a":"\u0000","b":"\ud83d","fat":null}}""", '{"id":1,"j":null}'
    assert written == [
        ("create", None, full, None),
        ("update", full, empty, None),
        ("update", empty, empty, None),
        ("delete", empty, None, None),
    ]


@pytest.mark.parametrize("exclude", [["b"], ["a"], ["c"], ["a", "b"], ["b", "c"], ["a", "b", "c"], ["c", "a"]])
def test_members_of_a_column_that_look_like_the_rows_own_stay(conn: Connection, exclude: list[str]) -> None:
    conn.execute("create table public.t (a json, id integer primary key, b json, c json)")
    conn.execute("create table public.z (a json, b json, c json, j json, id integer primary key)")
    for name in ("t", "z"):
        watch(conn, f"public.{name}", exclude=exclude)
    for value in (
        '{"x":1}',
        '{"a":null,"b":null,"c":null}',
        '[{"z":1,"b":null,"a":null},{"c":null}]',
        '"\\",\\"b\\":null"',
    ):
        for name in ("t", "z"):
            insert = f"insert into public.{name} (id, a, b, c) values (1, %(v)s, %(v)s, %(v)s)"
            conn.execute(insert.encode(), {"v": value})
        conn.execute("update public.z set j = %s", [value])
        kept = {name: json.loads(value) for name in "abc" if name not in exclude}
        rows = [row for _, _, row in changes(conn)]
        assert rows == [{"id": 1, **kept}, {"id": 1, **kept, "j": None}, {"id": 1, **kept, "j": json.loads(value)}]
        conn.execute("truncate public.t, public.z")
        forget(conn)


def test_a_column_that_may_not_be_empty_is_left_out_too(conn: Connection) -> None:
    """Only where its domain says so is a column hard to leave out."""
    conn.execute("create domain public.given as text not null")
    conn.execute("create table public.t (id integer primary key, secret public.given, note text not null)")
    watch(conn, "public.t", exclude=["secret", "note"])
    conn.execute("insert into public.t values (1, 'hush', 'hush')")
    assert changes(conn) == [("create", None, {"id": 1})]


def test_formats_that_a_session_has_changed_leave_its_time_zone(conn: Connection) -> None:
    """Then two changes of a session differ only by the values it wrote."""
    conn.execute("create table public.t (id integer primary key, at timestamptz, f float8)")
    watch(conn, "public.t")
    conn.execute("set timezone = 'Asia/Kathmandu'")
    conn.execute("insert into public.t values (1, '2024-01-01 00:00:00Z', 1)")
    conn.execute("set datestyle = German")
    conn.execute("delete from public.t")
    assert conn.execute("show timezone").fetchone() == ("Asia/Kathmandu",)
    ((_, _, created), (_, deleted, _)) = changes(conn)
    assert created == deleted == {"id": 1, "at": "2024-01-01T05:45:00+05:45", "f": 1}


def test_formats_that_a_session_has_changed_spoil_no_json(conn: Connection) -> None:
    conn.execute("create table public.t (id integer primary key, f float8, j json)")
    watch(conn, "public.t")
    conn.execute("set datestyle = German")
    conn.execute(r"""insert into public.t values (1, 1, '{"a":"\u0000"}')""")
    written = conn.execute("select context, postchange::text from jobhooks.object_change").fetchall()
    assert written == [(None, r"""{"id":1,"f":1,"j":{"a":"\u0000"}}""")]
