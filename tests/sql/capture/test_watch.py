"""Watching tables: which can be watched, which cannot, and tables that are renamed, dropped or created again."""

import contextlib
import threading
from collections.abc import Generator

import psycopg
import pytest

from conftest import Connection
from jobhooks.errors import JobhooksError, LockNotAvailable, NotWatched, UnknownTable, UnwatchableTable
from jobhooks.operations import tables
from jobhooks.schema.install import install
from jobhooks.store import locking
from jobhooks.store.connections import SyncConnection, connect
from support.daemon import wait_until

WAITING = "select from pg_locks where not granted and relation = 'public.device'::regclass"


@pytest.fixture
def admin(database: str) -> Generator[SyncConnection]:
    with contextlib.closing(connect(database)) as connection:
        yield connection


@pytest.fixture
def prompt(monkeypatch: pytest.MonkeyPatch) -> None:
    """The attempts to get a lock soon follow one another."""
    monkeypatch.setattr(locking, "PAUSE", 0.05)


def watch(admin: SyncConnection, table: str, key: list[str] | None = None, *, keyless: bool = False) -> None:
    tables.watch(admin, table, key, keyless=keyless, always=False)


def triggers(conn: Connection, table: str) -> list[str]:
    rows = conn.execute(
        "select tgname from pg_trigger where tgrelid = %s::regclass and not tgisinternal order by 1", [table]
    )
    return [name for (name,) in rows]


def test_watching_again_changes_how_and_adds_nothing(conn: Connection, admin: SyncConnection) -> None:
    conn.execute("create table public.t (a integer primary key, b integer)")
    watch(admin, "public.t")
    watch(admin, "t", ["b", "a"])
    assert [(table.table, table.state, table.key) for table in tables.watched_tables(admin)] == [
        ("public.t", "watched", ["b", "a"])
    ]
    assert triggers(conn, "public.t") == [f"!jobhooks_1_{name}" for name in ("create", "delete", "truncate", "update")]


def test_unwatching_leaves_the_table_as_it_was(conn: Connection, admin: SyncConnection) -> None:
    conn.execute("create table public.t (a integer primary key)")
    watch(admin, "public.t")
    tables.unwatch(admin, "public.t")
    assert triggers(conn, "public.t") == []
    conn.execute("insert into public.t values (1)")
    assert conn.execute("select from jobhooks.object_change").fetchall() == []
    with pytest.raises(NotWatched, match=r"public\.t"):
        tables.unwatch(admin, "public.t")
    watch(admin, "public.t")
    conn.execute("insert into public.t values (2)")
    assert len(conn.execute("select from jobhooks.object_change").fetchall()) == 1


@pytest.mark.parametrize(
    ("prepare", "table", "key", "error", "message"),
    [
        ("select", "public.none", None, UnknownTable, r"public\.none"),
        ("select", "nowhere.t", None, UnknownTable, r"nowhere\.t"),
        ("select", "a.b.c.d", None, JobhooksError, "a.b.c.d"),
        (
            "create table public.t (a integer)",
            "public.t",
            None,
            UnwatchableTable,
            "--key",
        ),
        ("create table public.t (a integer)", "public.t", ["b", "a"], UnwatchableTable, r"column b\b"),
        ("create view public.t as select 1", "public.t", ["a"], UnwatchableTable, r"public\.t: "),
        (
            "create temporary table t (a integer primary key)",
            "pg_class",
            None,
            UnwatchableTable,
            r"pg_class: ",
        ),
        ("select", "jobhooks.job", None, UnwatchableTable, r"jobhooks\.job: "),
        (
            "create table public.r (a integer primary key) partition by range (a);"
            " create table public.t partition of public.r default",
            "public.t",
            None,
            UnwatchableTable,
            r"jobhooks table watch public\.r\b",
        ),
    ],
)
def test_what_cannot_be_watched_is_refused_with_the_reason(  # noqa: PLR0913, RUF100
    conn: Connection,
    admin: SyncConnection,
    prepare: str,
    table: str,
    key: list[str] | None,
    error: type[JobhooksError],
    message: str,
) -> None:
    conn.execute(prepare.encode())
    with pytest.raises(error, match=message):
        watch(admin, table, key)
    assert tables.watched_tables(admin) == []


def test_a_table_without_a_key_is_watched_on_request(conn: Connection, admin: SyncConnection) -> None:
    conn.execute("create table public.t (a integer)")
    watch(admin, "public.t", keyless=True)
    conn.execute("insert into public.t values (1)")
    assert conn.execute("select postchange from jobhooks.object_change").fetchall() == [({"a": 1},)]


def test_odd_names_are_watched_and_told_as_sql_writes_them(conn: Connection, admin: SyncConnection) -> None:
    name = 'Söme "table" ' + "x" * 40
    quoted = '"' + name.replace('"', '""') + '"'
    conn.execute('create schema "My Schema"')
    conn.execute(f'create table "My Schema".{quoted} ("Key" integer primary key)'.encode())
    watch(admin, f'"My Schema".{quoted}')
    conn.execute(f'insert into "My Schema".{quoted} values (1)'.encode())
    assert [table.table for table in tables.watched_tables(admin)] == [f'"My Schema".{quoted}']
    assert conn.execute("select postchange from jobhooks.object_change").fetchall() == [({"Key": 1},)]


def test_a_content_type_follows_its_table_and_is_taken_over_by_one_made_again(
    conn: Connection, admin: SyncConnection
) -> None:
    """Hooks belong to the content type: they must not be lost when a table is renamed, or dropped and made again."""
    conn.execute("create table public.t (a integer primary key)")
    watch(admin, "public.t")
    conn.execute("alter table public.t rename to u")
    assert [table.table for table in tables.watched_tables(admin)] == ["public.u"]
    watch(admin, "public.u")
    conn.execute("drop table public.u")
    assert [(table.table, table.state) for table in tables.watched_tables(admin)] == [("public.u", "gone")]
    conn.execute("create table public.u (a integer primary key)")
    watch(admin, "public.u")
    assert [(table.table, table.state) for table in tables.watched_tables(admin)] == [("public.u", "watched")]
    conn.execute("insert into public.u values (1)")
    assert (
        conn.execute("select content_type_id from jobhooks.object_change").fetchall()
        == conn.execute("select id from jobhooks.content_type").fetchall()
    )


@pytest.mark.usefixtures("prompt")
def test_a_table_that_is_in_use_is_not_waited_for_for_long(device: Connection, admin: SyncConnection) -> None:
    """A waiting lock request makes the application's writes queue behind it."""
    with device.transaction():
        device.execute("lock table public.device in access exclusive mode")
        with pytest.raises(LockNotAvailable):
            watch(admin, "public.device")


def test_a_table_that_is_in_use_for_a_moment_is_watched_after_it(
    device: Connection, admin: SyncConnection, database: str
) -> None:
    """The first attempts give way, and let the writers that queued behind them go on."""
    released = threading.Event()

    def hold() -> None:
        with psycopg.connect(database) as other:
            other.execute("lock table public.device in access exclusive mode")
            released.set()
            wait_until("someone waits for it", lambda: other.execute(WAITING).fetchone() is not None)

    holder = threading.Thread(target=hold)
    holder.start()
    released.wait(10)
    watch(admin, "public.device", ["name"])
    holder.join()
    assert [table.key for table in tables.watched_tables(admin)] == [["name"]]


def test_two_tables_of_one_name_that_are_gone_are_taken_over_by_one(conn: Connection, admin: SyncConnection) -> None:
    for _ in range(2):
        conn.execute("create table public.t (a integer primary key)")
        conn.execute(
            "insert into jobhooks.content_type (relation, name, key_columns) values ('public.t', 'public.t', '{a}')"
        )
        conn.execute("drop table public.t")
    conn.execute("create table public.t (a integer primary key)")
    watch(admin, "public.t")
    assert sorted(table.state for table in tables.watched_tables(admin)) == ["gone", "watched"]


@pytest.mark.usefixtures("prompt")
def test_a_reader_that_stays_keeps_nobody_from_writing(
    device: Connection, admin: SyncConnection, database: str
) -> None:
    """Dropping a trigger waits for all readers, and all writers wait behind it: so it gives way and tries again."""
    stop = threading.Event()
    written: list[int] = []

    def keep_writing() -> None:
        with psycopg.connect(database, autocommit=True) as writer:
            while not stop.wait(0.01):
                written.append(writer.execute("update public.device set name = name || 'x'").rowcount)

    with psycopg.connect(database) as reader:
        reader.execute("select * from public.device")
        thread = threading.Thread(target=keep_writing)
        thread.start()
        try:
            with pytest.raises(LockNotAvailable):
                tables.unwatch(admin, "public.device")
            so_far = len(written)
            wait_until("writes go on", lambda: len(written) > so_far)
            watch(admin, "public.device", ["name"])  # which needs not wait for readers
        finally:
            stop.set()
            thread.join()
    tables.unwatch(admin, "public.device")
    assert triggers(device, "public.device") == []
    captured = device.execute("select count(*) from jobhooks.object_change").fetchone()
    assert captured == (len(written),)


def test_installing_waits_for_no_writer(device: Connection, admin: SyncConnection, database: str) -> None:
    """An upgrade in the middle of the day: a transaction that has written stays open all the while."""
    with psycopg.connect(database) as writer:
        writer.execute("update public.device set name = 'open'")
        admin.execute("set lock_timeout = '200ms'")
        install(admin)
        assert tables.watch_outdated(admin) == 0
        device.execute("insert into public.device (name) values ('goes on')")
    assert len(device.execute("select from jobhooks.object_change").fetchall()) == 2


@pytest.mark.parametrize(("timeout", "kept"), [("0", "0"), ("1min", "1min"), ("50ms", "50ms")])
def test_a_person_in_psql_waits_briefly_too(device: Connection, database: str, timeout: str, kept: str) -> None:
    """A lower setting of theirs applies, and is restored afterwards."""
    calls = ("select jobhooks.unwatch('public.device')", "select jobhooks.watch('public.device')")
    with psycopg.connect(database) as writer, psycopg.connect(database, autocommit=True) as person:
        person.execute("select set_config('lock_timeout', %s, false)", [timeout])
        person.execute("set statement_timeout = '8s'")  # which would be another error
        writer.execute("update public.device set name = 'open'")
        for call in calls:
            with pytest.raises(psycopg.errors.LockNotAvailable):
                person.execute(call.encode())
        writer.rollback()
        with person.transaction():
            for call in calls:
                person.execute(call.encode())
                assert person.execute("show lock_timeout").fetchone() == (kept,)
        assert person.execute("show lock_timeout").fetchone() == (kept,)


def test_an_installation_that_meets_a_lock_tries_again(admin: SyncConnection, database: str) -> None:
    held = threading.Event()
    waiting = "select from pg_locks where not granted and relation = 'jobhooks.installation'::regclass"

    def hold() -> None:
        with psycopg.connect(database) as other:
            other.execute("lock table jobhooks.installation in access exclusive mode")
            held.set()
            wait_until("someone waits for it", lambda: other.execute(waiting).fetchone() is not None)
            wait_until("they give up", lambda: other.execute(waiting).fetchone() is None)

    holder = threading.Thread(target=hold)
    holder.start()
    held.wait(10)
    assert install(admin) == []
    holder.join()


def options(conn: Connection) -> list[tuple[object, ...]]:
    """How each table is watched."""
    return conn.execute(
        "select name, watched, key_columns, always, exclude, ignore from jobhooks.content_type order by id"
    ).fetchall()


ACCOUNT = "create table public.account (id integer primary key, code integer unique, api_token text, seen integer)"


def test_watching_as_before_leaves_a_watched_table_alone(conn: Connection, admin: SyncConnection) -> None:
    """A deployment repeats it: it must not make an excluded token part of the log."""
    conn.execute(ACCOUNT)
    assert tables.watch_as_before(admin, "public.account")
    tables.watch(admin, "public.account", ["code"], always=True, exclude=["api_token"], ignore=["seen"])
    how = options(conn)
    assert not tables.watch_as_before(admin, "public.account")
    assert options(conn) == how == [("public.account", True, ["code"], True, ["api_token"], ["seen"])]
    conn.execute("insert into public.account values (1, 1, 'secret', 1)")
    assert conn.execute("select postchange from jobhooks.object_change").fetchall() == [
        ({"id": 1, "code": 1, "seen": 1},)
    ]


@pytest.mark.parametrize(
    "interruption",
    [
        "select jobhooks.unwatch('public.account')",
        "drop table public.account; " + ACCOUNT,
        "alter table public.account rename to former; " + ACCOUNT.replace("table", "table if not exists"),
        'drop trigger "!jobhooks_1_create" on public.account',
    ],
)
def test_watching_as_before_keeps_the_options_of_an_earlier_time(
    conn: Connection, admin: SyncConnection, interruption: str
) -> None:
    """Unwatched, dropped and made again, replaced, or with a missing trigger: excluded columns stay out of the log."""
    conn.execute(ACCOUNT)
    tables.watch(admin, "public.account", exclude=["api_token"], ignore=["seen"])
    conn.execute(interruption.encode())
    assert tables.watch_as_before(admin, "public.account")
    conn.execute("insert into public.account values (1, 1, 'secret', 1)")
    conn.execute("update public.account set seen = 2")
    assert conn.execute("select action::text, postchange from jobhooks.object_change").fetchall() == [
        ("create", {"id": 1, "code": 1, "seen": 1})
    ]


def test_watching_as_before_fails_if_an_excluded_column_is_gone(conn: Connection, admin: SyncConnection) -> None:
    """It may have another name now; then its values would enter the log."""
    conn.execute(ACCOUNT)
    tables.watch(admin, "public.account", exclude=["api_token"])
    conn.execute("drop table public.account")
    conn.execute(ACCOUNT.replace("api_token", "apikey").encode())
    with pytest.raises(UnwatchableTable, match="api_token"):
        tables.watch_as_before(admin, "public.account")


def test_columns_that_look_like_secrets_are_named(conn: Connection, admin: SyncConnection) -> None:
    """No flag, number or time does, nor a word that only contains one."""
    conn.execute("create domain public.hidden as text check (value <> '')")
    conn.execute(
        "create table public.login (id integer primary key, password varchar(100), password_changed_at timestamptz,"
        ' has_password boolean, token_count integer, secretary text, tokenizer text, "apiKey" text,'
        " session_key public.hidden, tokens text[], private_key bytea, credentials jsonb, monkey text, passport text,"
        " refresh_token_hash text, otp_secret uuid, email text, keyword text)"
    )
    tables.watch(admin, "public.login", exclude=["private_key"])
    named = "password, apiKey, session_key, tokens, credentials, refresh_token_hash, otp_secret"
    flags = " ".join(f"--exclude {name}" for name in named.split(", "))
    command = f"jobhooks table watch public.login --exclude private_key {flags}"
    assert tables.secrets_in_log(admin, "public.login") == [(named, command)]
    assert conn.execute("select severity, subject, remedy from jobhooks.problems()").fetchall() == [
        ("note", "public.login", command)
    ]
    tables.watch(admin, "public.login", exclude=["private_key", *named.split(", ")])
    assert tables.secrets_in_log(admin, "public.login") == []
    assert conn.execute("select from jobhooks.problems()").fetchall() == []


def test_a_key_that_looks_like_a_secret_is_named(conn: Connection, admin: SyncConnection) -> None:
    """A key cannot be excluded, so the remedy is another key."""
    conn.execute("create table public.visit (token text primary key, id integer unique not null)")
    tables.watch(admin, "public.visit")
    (problem,) = conn.execute("select severity, subject, remedy from jobhooks.problems()").fetchall()
    assert problem[:2] == ("note", "public.visit") and "--key" in problem[2]
    tables.watch(admin, "public.visit", ["id"], exclude=["token"])
    assert conn.execute("select from jobhooks.problems()").fetchall() == []


def test_a_table_that_was_replaced_by_renaming_is_reported_and_can_be_followed(
    conn: Connection, admin: SyncConnection
) -> None:
    """The hooks follow the former table, so without a word nothing would be delivered any more."""
    conn.execute(ACCOUNT)
    tables.watch(admin, "public.account", ["code"], always=True, exclude=["api_token"], ignore=["seen"])
    how = options(conn)
    replaced = ACCOUNT.replace("account", "account_new")
    conn.execute(f"{replaced}; alter table public.account rename to account_old".encode())
    assert conn.execute("select from jobhooks.problems_of_tables()").fetchall() == [], "a rename alone is no problem"
    conn.execute("alter table public.account_new rename to account")
    ((severity, subject, remedy),) = conn.execute(
        "select severity, subject, remedy from jobhooks.problems_of_tables()"
    ).fetchall()
    assert (severity, subject) == ("error", "public.account")
    assert remedy.startswith("jobhooks table watch public.account --instead-of public.account_old,")
    tables.watch_instead(admin, "public.account", "public.account_old")
    assert options(conn) == how
    found = "select from jobhooks.problems_of_tables() union all select from jobhooks.problems_of_triggers()"
    assert conn.execute(found).fetchall() == []
    assert triggers(conn, "public.account_old") == []
    conn.execute("insert into public.account values (1, 1, 'secret', 1)")
    conn.execute("insert into public.account_old values (1, 1, 'secret', 1)")
    assert conn.execute("select content_type_id, postchange from jobhooks.object_change").fetchall() == [
        (1, {"id": 1, "code": 1, "seen": 1})
    ]


@pytest.mark.parametrize("former", ["public.account", "public.other"])
def test_a_table_replaces_only_a_watched_one(conn: Connection, admin: SyncConnection, former: str) -> None:
    conn.execute(ACCOUNT)
    conn.execute(ACCOUNT.replace("account", "other").encode())
    tables.watch(admin, "public.account")
    with pytest.raises((NotWatched, UnwatchableTable)):
        tables.watch_instead(admin, "public.account", former)


def test_a_view_under_the_former_name_is_no_replacement(conn: Connection, admin: SyncConnection) -> None:
    """What is written to it goes to the watched table."""
    conn.execute(ACCOUNT)
    tables.watch(admin, "public.account")
    conn.execute("alter table public.account rename to account_1; create view public.account as table public.account_1")
    assert conn.execute("select from jobhooks.problems_of_tables()").fetchall() == []
