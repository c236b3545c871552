"""The rows that triggers write to the log."""

import contextlib
import threading

import psycopg
import pytest
from psycopg.rows import dict_row

from conftest import Connection
from jobhooks.operations import tables
from jobhooks.store.connections import connect
from support.capturing import client_with


def watch(
    database: str, table: str, *, key: list[str] | None = None, keyless: bool = False, always: bool = False
) -> None:
    """Watch a table, whatever code makes its json."""
    with contextlib.closing(connect(database)) as admin:
        tables.watch(admin, table, key, keyless=keyless, always=always, allow_casts=True)


def changes(conn: Connection) -> list[tuple[object, ...]]:
    """List the log: action, row before, row after."""
    return conn.execute("select action::text, prechange, postchange from jobhooks.object_change order by id").fetchall()


EDGE = {"id": 1, "name": "edge-1", "serial": "FX2024-00017"}


def test_insert_update_and_delete_are_recorded_with_the_rows(device: Connection) -> None:
    device.execute("insert into public.device (name) values ('edge-2')")
    device.execute("update public.device set serial = 'X' where id = 1")
    device.execute("delete from public.device where id = 2")
    created = {"id": 2, "name": "edge-2", "serial": None}
    assert changes(device) == [
        ("create", None, created),
        ("update", EDGE, {**EDGE, "serial": "X"}),
        ("delete", created, None),
    ]


def test_a_truncate_is_one_change_without_rows(device: Connection) -> None:
    device.execute("truncate public.device")
    assert changes(device) == [("truncate", None, None)]


def test_an_update_that_changes_nothing_is_not_recorded(device: Connection) -> None:
    device.execute("update public.device set serial = serial")
    assert changes(device) == []


def test_a_json_column_that_cannot_be_compared_does_not_break_the_writer(conn: Connection, database: str) -> None:
    """``is distinct from`` fails on json at run time, and a jsonb snapshot fails on values that only json can hold."""
    conn.execute("create table public.document (id integer primary key, body json)")
    watch(database, "public.document")
    conn.execute(r"""insert into public.document values (1, '{"a":"\u0000"}')""")
    conn.execute("update public.document set id = id")
    conn.execute("update public.document set body = '[1]'")
    assert [action for action, _, _ in changes(conn)] == ["create", "update"]


def test_a_rolled_back_transaction_or_savepoint_leaves_nothing(device: Connection) -> None:
    with contextlib.suppress(psycopg.Rollback), device.transaction():
        device.execute("delete from public.device")
        raise psycopg.Rollback
    with device.transaction():
        with contextlib.suppress(psycopg.Rollback), device.transaction():
            device.execute("update public.device set name = 'undone'")
            raise psycopg.Rollback
        device.execute("update public.device set name = 'kept'")
    assert changes(device) == [("update", EDGE, {**EDGE, "name": "kept"})]


def test_the_transaction_is_the_top_level_one(device: Connection) -> None:
    """The reader compares it with snapshots, which know no subtransactions."""
    with device.transaction(), device.transaction():
        device.execute("update public.device set name = 'x'")
        current = device.execute("select pg_current_xact_id()::text").fetchone()
    assert device.execute("select transaction_id::text from jobhooks.object_change").fetchone() == current


def test_changes_of_a_transaction_are_in_the_order_in_which_they_happened(device: Connection) -> None:
    with device.transaction():
        for name in ("a", "b", "c"):
            device.execute("update public.device set name = %s", [name])
    after = device.execute("select postchange ->> 'name' from jobhooks.object_change order by id").fetchall()
    assert after == [("a",), ("b",), ("c",)]


def test_a_trigger_of_the_users_that_writes_the_same_row_is_captured_after_what_fired_it(device: Connection) -> None:
    """Triggers fire in order of name; ours comes first, with any name for the user's."""
    device.execute(
        "create function public.normalise() returns trigger language plpgsql as"
        " 'begin update public.device set name = upper(name) where id = new.id and name <> upper(name);"
        " return null; end'"
    )
    device.execute(
        'create trigger " 0first" after insert on public.device for each row execute function public.normalise()'
    )
    device.execute('alter trigger " 0first" on public.device rename to "AAA"')
    device.execute("insert into public.device (name) values ('edge-2')")
    assert [(action, after and after["name"]) for action, _, after in changes(device)] == [  # type: ignore[index]
        ("create", "edge-2"),
        ("update", "EDGE-2"),
    ]


def test_who_and_why_are_recorded_as_the_application_says_them(device: Connection, role: str) -> None:
    device.execute("update public.device set name = 'a'")
    with device.transaction():
        device.execute("set local jobhooks.user_name = 'alice'")
        device.execute("set local jobhooks.request_id = 'r-7'")
        device.execute("set local jobhooks.message = 'the rack moved'")
        device.execute("update public.device set name = 'b'")
    device.execute("update public.device set name = 'c'")
    recorded = device.execute(
        "select session_role = session_user, object_change.context ->> 'user_name', request_id, message"
        " from jobhooks.object_change join jobhooks.changes using (id) order by id"
    )
    nothing = (True, None, None, None)
    assert recorded.fetchall() == [nothing, (True, "alice", "r-7", "the rack moved"), nothing]


@pytest.mark.parametrize("beside", ["user_name", "request_id"])
def test_a_message_is_recorded_beside_a_user_or_a_request(device: Connection, beside: str) -> None:
    """Alone it is not: writers that say nothing do not pay for a look-up."""
    device.execute("set jobhooks.message = 'why'")
    device.execute("update public.device set name = 'b'")
    device.execute(f"set jobhooks.{beside} = 'x'".encode())
    device.execute("update public.device set name = 'c'")
    device.execute("set jobhooks.message = ''")
    device.execute("update public.device set name = 'd'")
    contexts = device.execute("select context from jobhooks.object_change order by id").fetchall()
    assert contexts == [(None,), ({beside: "x", "message": "why"},), ({beside: "x"},)]


def test_a_role_without_any_privilege_in_the_schema_is_captured(device: Connection, application: Connection) -> None:
    """The application needs nothing from us: the capture runs as its owner."""
    application.execute("update public.device set name = 'theirs'")
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        application.execute("select from jobhooks.object_change")
    assert device.execute("select session_role from jobhooks.object_change").fetchall() == [(application.info.user,)]


def test_code_of_the_tables_owner_does_not_get_the_installers_rights(
    conn: Connection, database: str, role: str
) -> None:
    """The json of a row may run a cast of theirs: as the role that writes, as any trigger of theirs would."""
    conn.execute(f"create schema theirs authorization {role}".encode())
    with psycopg.connect(database, user=role, autocommit=True) as owner:
        owner.execute("create type theirs.mood as enum ('bad')")
        owner.execute(
            "create function theirs.spy(theirs.mood) returns json language plpgsql as"
            " 'begin return to_json(array[current_user, (select count(*)::text from jobhooks.job)]); end'"
        )
        owner.execute("create cast (theirs.mood as json) with function theirs.spy(theirs.mood)")
        owner.execute("create table theirs.t (id integer primary key, mood theirs.mood)")
        watch(database, "theirs.t")
        owner.execute("insert into theirs.t values (1, 'bad')")
        owner.execute(
            "create or replace function theirs.spy(theirs.mood) returns json language sql as"
            " 'select to_json(current_user)'"
        )
        owner.execute("insert into theirs.t values (2, 'bad')")
    recorded = conn.execute(
        "select context ->> 'snapshot_error', postchange ->> 'mood' from jobhooks.object_change order by id"
    ).fetchall()
    assert [(error and error[:5], mood) for error, mood in recorded] == [("42501", None), (None, role)]


@pytest.mark.parametrize(
    "attack",
    [
        "drop function jobhooks_capture.trigger_stub() cascade",
        "alter function jobhooks_capture.trigger_stub() security definer",
        "perform jobhooks_capture.record_change(1, ''create'', null, ''{}'')",
        "insert into jobhooks.object_change (content_type_id, action, postchange) values (1, ''create'', ''{}'')",
    ],
)
def test_code_of_the_tables_owner_cannot_use_what_the_capture_may(
    device: Connection, database: str, role: str, attack: str
) -> None:
    """Only the capture function can write to the log, and no other role can call it by name."""
    device.execute(f"create schema theirs authorization {role}".encode())
    with psycopg.connect(database, user=role, autocommit=True) as owner:
        for kind in ("mood", "key"):
            owner.execute(f"create type theirs.{kind} as enum ('x')".encode())
            owner.execute(
                f"create function theirs.{kind}_json(theirs.{kind}) returns json language plpgsql as"
                f" 'begin {attack}; return to_json(1); end'".encode()
            )
            cast = f"create cast (theirs.{kind} as json) with function theirs.{kind}_json(theirs.{kind})"
            owner.execute(cast.encode())
        owner.execute("create table theirs.t (id theirs.key primary key, mood theirs.mood)")
        watch(database, "theirs.t")
        owner.execute("insert into theirs.t values ('x', 'x')")
        owner.execute("update theirs.t set mood = null")
    device.execute("update public.device set name = 'captured'")
    recorded = device.execute(
        "select context ->> 'snapshot_error', session_role from jobhooks.object_change order by id"
    ).fetchall()
    assert len(recorded) == 3 and recorded[2][0] is None
    assert all(str(error).startswith("42501: ") for error, _ in recorded[:2])


def test_a_snapshot_does_not_depend_on_the_sessions_formats(device: Connection, database: str) -> None:
    """A range of dates written day first would be read back as another one."""
    device.execute("create table public.kinds (id integer primary key, r daterange, f float8, i interval, b bytea)")
    watch(database, "public.kinds")
    values = "(%s, '[2024-02-01,2024-03-05)', 0.1::float8 + 0.2, '-1 day -2 hours', 'a')"
    device.execute(f"insert into public.kinds values {values}".encode(), [1])
    device.execute(
        "set datestyle = 'SQL, DMY'; set extra_float_digits = 0; set intervalstyle = sql_standard;"
        " set bytea_output = escape"
    )
    device.execute("insert into public.kinds select 2, r, f, i, b from public.kinds")
    one, two = device.execute("select postchange from jobhooks.object_change order by id").fetchall()
    assert {**one[0], "id": 2} == two[0]


NAMES = {
    "regclass": ("'public.thing'", "public.thing"),
    "regtype": ("'public.kind'", "public.kind"),
    "regproc": ("'public.act'", "public.act"),
    "regprocedure": ("'public.act()'", "public.act()"),
    "regoperator": ("'public.===(integer,integer)'", "public.===(integer,integer)"),
    "regcollation": ("'public.own'", "public.own"),
    "regconfig": ("'public.words'", "public.words"),
    "regnamespace": ("'public'", "public"),
    "regclass[]": ("array['public.thing'::regclass]", ["public.thing"]),
    "public.named": ("'public.thing'", "public.thing"),
    "public.holder": ("row('public.thing')", {"object": "public.thing"}),
}


@pytest.mark.parametrize("exclude", [[], ["note"]])
def test_a_snapshot_does_not_depend_on_where_the_session_looks_for_names(
    conn: Connection, database: str, exclude: list[str]
) -> None:
    """One object with two names would have two lanes, if it is a key, and a difference in each change."""
    conn.execute(
        "create table public.thing (); create type public.kind as enum ();"
        " create function public.act() returns integer language sql as 'select 1';"
        " create operator public.=== (leftarg = integer, rightarg = integer, function = int4eq);"
        " create collation public.own (locale = 'C', provider = libc);"
        " create text search configuration public.words (copy = pg_catalog.simple);"
        " create domain public.named as regclass; create type public.holder as (object regclass);"
    )
    inserts: list[bytes] = []
    with contextlib.closing(connect(database)) as admin:
        for number, (kind, (value, _)) in enumerate(NAMES.items()):
            table = f"public.names_{number}"
            conn.execute(f"create table {table} (id integer primary key, name {kind}, note text)".encode())
            tables.watch(admin, table, exclude=exclude)
            inserts.append(f"insert into {table} values (1, {value})".encode())
    for insert in inserts:
        conn.execute(insert)
    conn.execute("set search_path = public; set quote_all_identifiers = on")
    for number in range(len(NAMES)):
        conn.execute(f"delete from public.names_{number}".encode())
    conn.execute("set search_path = pg_catalog")
    for insert in inserts:
        conn.execute(insert)
    rows = conn.execute("select coalesce(prechange, postchange) -> 'name' from jobhooks.object_change order by id")
    assert [row for (row,) in rows.fetchall()] == [written for _, written in NAMES.values()] * 3


def test_amounts_of_money_do_not_depend_on_the_sessions_locale(conn: Connection, database: str) -> None:
    """A test by the catalogue: many a system has only the locale C, in which nothing would differ."""
    conn.execute("create table public.price (id integer primary key, amount money)")
    watch(database, "public.price")
    definitions = conn.execute(
        "select pg_get_triggerdef(oid) from pg_trigger where tgrelid = 'public.price'::regclass and tgname !~ 'trunc'"
    ).fetchall()
    assert len(definitions) == 3 and all("shaped_snapshot(" in text for (text,) in definitions)
    (settings,) = conn.execute("select proconfig from pg_proc where proname = 'shaped_snapshot'").fetchone() or ((),)
    assert "lc_monetary=C" in settings


def test_altering_the_table_does_not_break_the_writer(device: Connection) -> None:
    """Nothing in a trigger names a column."""
    device.execute("alter table public.device rename column serial to number")
    device.execute("update public.device set number = 'A'")
    device.execute("alter table public.device drop column number, add column rack integer default 4")
    device.execute("update public.device set rack = 5")
    device.execute("alter table public.device rename to machine")
    device.execute("update public.machine set rack = 6")
    device.execute("alter table public.machine drop column id")
    device.execute("update public.machine set rack = 7")
    last = device.execute("select postchange from jobhooks.object_change order by id desc limit 1").fetchone()
    assert last == ({"name": "edge-1", "rack": 7},)


def test_a_row_that_cannot_be_written_down_is_recorded_by_its_key(conn: Connection, database: str) -> None:
    """For every failure of the snapshot, the writer's statement succeeds and the change is recorded."""
    conn.execute("create type public.mood as enum ('bad')")
    conn.execute(
        "create function public.mood_json(public.mood) returns json language plpgsql as"
        " 'begin raise exception ''no''; end'"
    )
    conn.execute("create cast (public.mood as json) with function public.mood_json(public.mood)")
    conn.execute(
        'create table public."Odd ""one" ("Id" integer, "b b" text, mood public.mood, primary key ("b b", "Id"))'
    )
    watch(database, 'public."Odd ""one"')
    conn.execute("""insert into public."Odd ""one" values (3, 'x', 'bad')""")
    conn.execute("""update public."Odd ""one" set "Id" = 4""")
    conn.execute("""delete from public."Odd ""one" """)
    recorded = conn.execute(
        "select action::text, context -> 'object_key', prechange is null and postchange is null,"
        " context ->> 'snapshot_error'"
        " from jobhooks.object_change order by id"
    ).fetchall()
    assert recorded == [
        ("create", {"b b": "x", "Id": 3}, True, "P0001: no"),
        ("update", {"b b": "x", "Id": 4}, True, "P0001: no"),
        ("delete", {"b b": "x", "Id": 4}, True, "P0001: no"),
    ]


def test_nothing_is_notified_while_nobody_sleeps(device: Connection, database: str) -> None:
    """A NOTIFY makes commits wait for one another, so writers send it only to a sleeping daemon."""
    with psycopg.connect(database, autocommit=True) as listener:
        listener.execute("listen jobhooks")
        device.execute("update public.device set name = 'unheard'")
        assert list(listener.notifies(timeout=0.2, stop_after=1)) == []
        listener.execute("select pg_advisory_lock(1785684584, 2)")
        device.execute("update public.device set name = 'heard'")
        assert [notify.payload for notify in listener.notifies(timeout=10, stop_after=1)] == [""]


def test_writers_of_different_rows_do_not_wait_for_one_another(device: Connection, database: str) -> None:
    """Capture takes no lock that outlives its statement but the insert's own."""
    device.execute("insert into public.device (name) values ('edge-2')")
    with psycopg.connect(database) as first:
        first.execute("update public.device set name = 'a' where id = 1")
        done = threading.Event()

        def write() -> None:
            with psycopg.connect(database) as second:
                second.execute("update public.device set name = 'b' where id = 2")
            done.set()

        threading.Thread(target=write, daemon=True).start()
        assert done.wait(10)
        modes = first.execute(
            "select distinct relation::regclass::text, mode from pg_locks where pid = pg_backend_pid()"
            " and relation::regclass::text like 'jobhooks.%' and relation::regclass::text not like '%_idx'"
            " and relation::regclass::text not like '%pkey'"
        ).fetchall()
        assert {mode for _, mode in modes} <= {"RowExclusiveLock", "AccessShareLock"}


def test_changes_of_a_partitioned_table_carry_the_root(conn: Connection, database: str) -> None:
    conn.execute("create table public.reading (at integer, value integer, primary key (at)) partition by range (at)")
    conn.execute("create table public.reading_1 partition of public.reading for values from (0) to (10)")
    conn.execute("create table public.reading_2 partition of public.reading for values from (10) to (20)")
    watch(database, "public.reading")
    conn.execute("insert into public.reading values (1, 1)")
    conn.execute("insert into public.reading_2 values (11, 1)")
    names = conn.execute(
        "select action::text, content_type.name, postchange from jobhooks.object_change"
        " join jobhooks.content_type on content_type.id = content_type_id order by object_change.id"
    ).fetchall()
    assert names == [
        ("create", "public.reading", {"at": 1, "value": 1}),
        ("create", "public.reading", {"at": 11, "value": 1}),
    ]


def test_rows_that_replication_applies_are_captured_only_on_request(device: Connection, database: str) -> None:
    device.execute("set session_replication_role = replica")
    device.execute("update public.device set name = 'a'")
    assert changes(device) == []
    watch(database, "public.device", always=True)
    device.execute("update public.device set name = 'b'")
    assert len(changes(device)) == 1


def test_the_mark_of_a_session_that_may_carry_it_is_honoured(device: Connection) -> None:
    with device.transaction():
        device.execute("set local jobhooks.delivery = '11:22:3'")
        device.execute("update public.device set name = 'marked'")
    device.execute("update public.device set name = 'not'")
    with device.cursor(row_factory=dict_row) as cursor:
        marked, unmarked = cursor.execute("select * from jobhooks.object_change order by id").fetchall()
    assert (marked["triggering"], marked["context"]) == (False, {"caused_by": {"change": 11, "hook": 22, "attempt": 3}})
    assert (unmarked["triggering"], unmarked["context"]) == (True, None)


@pytest.mark.parametrize(
    "mark", ["11:22:3", "nonsense", "1:2", "-1:2:3", "99999999999999999999:1:1", "1:2:3'; drop table x"]
)
def test_the_mark_of_anyone_else_is_ignored_and_kept_as_evidence(
    device: Connection, application: Connection, mark: str
) -> None:
    """An application must not be able to hide its changes from hooks, and must not fail on an invalid mark."""
    with application.transaction():
        application.execute("select set_config('jobhooks.delivery', %s, true)", [mark])
        application.execute("update public.device set name = 'forged'")
    recorded = device.execute("select triggering, context from jobhooks.object_change").fetchall()
    assert recorded == [(True, {"refused_mark": mark})]


def test_a_member_of_the_receivers_role_may_mark(device: Connection, application: Connection) -> None:
    device.execute(f"grant jobhooks_receiver to {application.info.user}".encode())
    with application.transaction():
        application.execute("set local jobhooks.delivery = '1:2:3'")
        application.execute("update public.device set name = 'marked'")
    assert device.execute("select triggering from jobhooks.object_change").fetchall() == [(False,)]


def test_a_writer_that_is_cancelled_leaves_no_lock(device: Connection) -> None:
    """The session of a pool lives on; a lock it kept would keep the daemon from being woken."""
    device.execute("set statement_timeout = '30ms'")
    with pytest.raises(psycopg.errors.QueryCanceled):
        device.execute("insert into public.device (name) select 'x' from generate_series(1, 1000000)")
    held = device.execute("select from pg_locks where locktype = 'advisory' and pid = pg_backend_pid()").fetchall()
    assert held == []


def test_a_session_whose_role_was_dropped_meanwhile_goes_on(
    device: Connection, application: Connection, role: str, roles: list[str]
) -> None:
    """Looking up its role would fail a statement that succeeds on any other table."""
    device.execute("grant usage on schema public to public; grant all on public.device to public")
    device.execute(f"drop owned by {role}; drop role {role}".encode())
    roles.remove(role)
    application.execute("update public.device set name = 'gone'")
    application.execute("set jobhooks.delivery = '1:2:3'")
    application.execute("update public.device set name = 'and marked'")
    assert (
        device.execute("select session_role, triggering from jobhooks.object_change").fetchall() == [(role, True)] * 2
    )


def test_the_views_show_a_row_that_cannot_be_taken_apart(conn: Connection, database: str) -> None:
    """One such row must not hide all others from a reader of the view."""
    conn.execute("create table public.document (id integer primary key, body json)")
    watch(database, "public.document")
    conn.execute(r"""insert into public.document values (1, '{"a":"\u0000"}'), (2, '"\ud83d"'), (3, '1')""")
    conn.execute("update public.document set id = id + 10")
    shown = conn.execute("select action::text, removed::text from jobhooks.changes order by id").fetchall()
    assert [action for action, _ in shown] == ["create"] * 3 + ["update"] * 3
    assert shown[3][1] == r'{"id":1,"body":{"a":"\u0000"}}'
    assert shown[5][1] == '{ "id" : 3 }'


UNREADABLE = {"user_name": r"a\377\\", "request_id": "r-7", "message": r"\377why"}


def test_what_is_no_text_and_what_is_long_in_a_sessions_settings_harms_neither_the_writer_nor_the_log(
    device: Connection, application: Connection
) -> None:
    """The server does not check settings from the connection's start; in the log such a value would stop the daemon."""
    with client_with(
        application, b"-c jobhooks.user_name=a\xff\\\\ -c jobhooks.request_id=r-7 -c jobhooks.message=\xffwhy"
    ) as client:
        client.execute("update public.device set name = 'b'")
        client.execute("set jobhooks.delivery = '1:2:3'")
        client.execute("update public.device set name = 'c'")
    for setting in ("user_name", "request_id", "message", "delivery", "triggering"):
        application.execute(
            "select length(set_config(%s, repeat(repeat(e'\\x01', 10000), 1000), false))", [f"jobhooks.{setting}"]
        )
    application.execute("update public.device set name = 'd'")
    contexts = [context for (context,) in device.execute("select context from jobhooks.object_change order by id")]
    assert contexts[:2] == [UNREADABLE, {**UNREADABLE, "refused_mark": "1:2:3"}]
    said = dict.fromkeys(("user_name", "request_id", "message"), "\x01" * 1000)
    assert contexts[2] == {**said, "refused_mark": "\x01" * 100}
    for (text,) in device.execute("select convert_to(context::text, 'UTF8') from jobhooks.object_change"):
        assert text.decode()


def test_an_error_whose_words_are_long_or_no_text_does_not_reach_the_writer(conn: Connection) -> None:
    conn.execute("create type public.mood as enum ('long', 'bad')")
    conn.execute(
        "create function public.mood_json(mood public.mood) returns json language plpgsql as"
        " 'begin raise exception ''%'', case mood when ''long''"
        " then repeat(repeat(chr(1), 10000), current_setting(''test.times'')::integer)"
        " else current_setting(''test.bad'') end; end'"
    )
    conn.execute("create cast (public.mood as json) with function public.mood_json(public.mood)")
    conn.execute("create table public.t (id integer primary key, mood public.mood, secret text)")
    with client_with(conn, b"-c test.bad=\xff") as client:
        for exclude in ([], ["secret"]):
            conn.execute("select jobhooks.watch('public.t', exclude => %s)", [exclude])
            # 180 MB are more than a gigabyte of json, which no value may have.
            client.execute("select set_config('test.times', %s, false)", ["1" if exclude else "18000"])
            client.execute("insert into public.t values (1, 'long'), (2, 'bad')")
            client.execute("set test.times = 1; delete from public.t")
    errors = conn.execute("select context ->> 'snapshot_error' from jobhooks.object_change order by id").fetchall()
    hidden = ("P0001: the row could not be written down",)
    assert errors == [("P0001: " + "\x01" * 1000,), ("P0001",)] * 2 + [hidden] * 4
