"""Installing by a script, and uninstalling: the remains in the database, to the last privilege."""

import contextlib
import json
import re
from collections.abc import Generator
from pathlib import Path

import psycopg
import pytest

from conftest import Connection
from jobhooks.operations import tables
from jobhooks.schema.install import check_installed, install
from jobhooks.store.connections import connect
from jobhooks.store.queries import migrations
from support.daemon import Command, jobhooks, on_a_terminal, wait_until
from support.postgres import faults
from support.postgres.faults import OwnServer
from support.postgres.programs import dump, psql
from support.postgres.servers import Server

ROOT = Path(__file__).parents[2]
MISMATCH, REFUSED = 4, 5
SCHEMAS = ("jobhooks", "jobhooks_capture")
RECORDS = """
    select version, name, applied_by, null, null from jobhooks.migration
    union all select null, null, null, program_version, functions_digest from jobhooks.installation
    order by 1
"""
# All traces that jobhooks could leave in a database and in its cluster.
REMAINS = """
    select 'schema ' || nspname from pg_namespace where nspname like 'jobhooks%'
    union all select 'class ' || relname from pg_class where relname like '%jobhooks%'
    union all select 'function ' || proname from pg_proc where proname like '%capture%' and prolang <> 12
    union all select 'trigger ' || tgname from pg_trigger where tgname like '%jobhooks%'
    union all select 'role ' || rolname from pg_roles where rolname ~ '^jobhooks_[a-z]+$'
    union all select 'privilege ' || datacl::text from pg_database where datname = current_database()
        and datacl::text like '%jobhooks%'
    union all select 'dependency ' || objid from pg_shdepend
        where refclassid = 'pg_authid'::regclass and refobjid not in (select oid from pg_roles)
"""


@pytest.fixture(scope="session")
def script() -> str:
    """Run install --print and read its script."""
    finished = jobhooks("install", "--print", JOBHOOKS_DATABASE_URL="postgresql:///there_is_none")
    assert finished.returncode == 0 and finished.stderr == ""
    return finished.stdout


@pytest.fixture
def own_server() -> Generator[OwnServer]:
    """A server for this test alone: roles belong to all databases."""
    with faults.own_server() as own:
        own.start()
        yield own


def values(conn: Connection, statement: str) -> list[object]:
    return [value for (value,) in conn.execute(statement.encode())]


def own_schemas(url: str) -> str:
    """The schemas, without the number of the database in jobhooks_capture.installed_in."""
    return re.sub(r"select '[0-9]+\.[0-9]+'", "", dump(url, *SCHEMAS))


def test_the_script_installs_exactly_what_the_command_does(
    database: str, empty_database: str, script: str, conn: Connection
) -> None:
    for _ in range(2):
        finished = psql(empty_database, script)
        assert finished.returncode == 0, finished.stderr
    assert own_schemas(empty_database) == own_schemas(database)
    with psycopg.connect(empty_database) as scripted:
        assert scripted.execute(RECORDS).fetchall() == conn.execute(RECORDS).fetchall()
    with contextlib.closing(connect(empty_database)) as admin:
        check_installed(admin)
        assert install(admin) == []


def test_the_script_changes_nothing_where_the_command_was_first(database: str, script: str, conn: Connection) -> None:
    before = dump(database, *SCHEMAS), conn.execute("select xmin::text from jobhooks.installation").fetchall()
    finished = psql(database, script)
    assert finished.returncode == 0, finished.stderr
    assert (dump(database, *SCHEMAS), conn.execute("select xmin::text from jobhooks.installation").fetchall()) == before


def test_the_script_upgrades_the_former_schema_with_its_data(
    database: str, empty_database: str, script: str, server: Server
) -> None:
    with psycopg.connect(empty_database, autocommit=True) as conn:
        for migration in migrations()[:6]:
            conn.execute(migration.text.encode())
            conn.execute("insert into jobhooks.migration (version, name) values (%s, %s)", [migration.version, "x"])
        conn.execute((ROOT / "tests" / "sql" / "former" / "schema_6_functions.sql").read_bytes())
        conn.execute("create table public.t (id integer primary key, v text)")
        conn.execute("select jobhooks.watch('public.t')")
        conn.execute("insert into public.t values (1, 'before')")
        finished = psql(empty_database, script)
        assert finished.returncode == 0, finished.stderr
        assert "public.t" in finished.stderr
        conn.execute("update public.t set v = 'after'")
        assert values(conn, "select action::text from jobhooks.object_change order by id") == ["create", "update"]
    assert own_schemas(empty_database) == own_schemas(database)
    with contextlib.closing(connect(empty_database)) as admin:
        check_installed(admin)
        assert tables.watch_outdated(admin) == 0


def test_the_script_refuses_a_newer_schema_and_changes_nothing(database: str, script: str, conn: Connection) -> None:
    conn.execute("insert into jobhooks.migration (version, name) values (9999, 'from_the_future')")
    conn.execute("drop view jobhooks.backlog")
    finished = psql(database, script)
    assert finished.returncode == 3 and "9999" in finished.stderr
    assert values(conn, "select to_regclass('jobhooks.backlog')") == [None]


def test_the_script_waits_for_whoever_installs_and_not_for_a_lock_on_a_table(
    database: str, script: str, conn: Connection
) -> None:
    """Under the lock of the command; another table is waited for briefly, since writers queue behind."""
    with contextlib.ExitStack() as stack:
        with conn.transaction():
            conn.execute("lock table jobhooks.migration in share row exclusive mode")
            command = stack.enter_context(Command("install", "--database-url", database))
            wait_until("the command waits", lambda: values(conn, "select pid from pg_locks where not granted"))
            impatient = script.replace("begin transaction", "set statement_timeout = '300ms';\nbegin transaction", 1)
            assert "statement timeout" in psql(database, impatient).stderr
        assert command.end()[0] == 0
    assert script.index("set_config('lock_timeout', '1s', true)") < script.index("create schema jobhooks")


def test_the_first_installation_goes_on_though_another_program_holds_its_lock(
    empty_database: str, script: str, role: str
) -> None:
    """Before the schema exists only an advisory lock can keep two installations apart, which every role can hold."""
    with psycopg.connect(empty_database, user=role, autocommit=True) as squatter:
        squatter.execute("select pg_advisory_lock(1785684584, 1)")
        finished = psql(empty_database, script.replace("'10s'", "'50ms'"))
    assert finished.returncode == 0, finished.stderr
    with contextlib.closing(connect(empty_database)) as admin:
        check_installed(admin)


def test_the_script_takes_no_tables() -> None:
    finished = jobhooks("install", "public.device", "--print")
    assert finished.returncode == 2 and finished.stdout == "" and "select jobhooks.watch" in finished.stderr


def test_installing_watches_outdated_tables_again_and_names_those_that_are_locked(
    device: Connection, database: str
) -> None:
    device.execute("create table public.site (id integer primary key)")
    device.execute("select jobhooks.watch('public.site'); update jobhooks.content_type set triggers = '{former}'")
    with psycopg.connect(database) as writer:
        writer.execute("update public.device set name = 'held'")
        finished = jobhooks("install", "--database-url", database)
    assert finished.returncode == 0, finished.stderr
    warnings = [line for line in finished.stderr.splitlines() if line.startswith("warning: ")]
    assert len(warnings) == 1 and "public.device" in warnings[0]
    outdated = "select name from jobhooks.content_type where triggers = '{former}'"
    assert values(device, outdated) == ["public.device"]
    finished = jobhooks("install", "--database-url", database)
    assert "warning: " not in finished.stderr and values(device, outdated) == []


def test_uninstalling_leaves_nothing(own_server: OwnServer) -> None:
    """No object, role, trigger or privilege: neither on partitions, nor on those that were detached since."""
    url = own_server.url()
    with psycopg.connect(url, autocommit=True) as conn:
        conn.execute('create table public."De\'vice" (id integer primary key, v text)')
        conn.execute("create table public.reading (id integer primary key) partition by range (id)")
        for number in (1, 2):
            conn.execute(
                f"create table public.reading_{number} partition of public.reading"
                f" for values from ({number}) to ({number + 1})".encode()
            )
        tables = ['public."De\'vice"', "public.reading"]
        assert values(conn, REMAINS) == []
        assert jobhooks("install", *tables, "--database-url", url).returncode == 0
        conn.execute("alter table public.reading detach partition public.reading_2")
        conn.execute('drop table public."De\'vice"')  # dropped, so it must not be unwatched
        conn.execute("create role app; grant jobhooks_receiver to app")
        conn.execute("grant select on public.reading to jobhooks_receiver; insert into public.reading values (1)")
        assert len(values(conn, REMAINS)) > 20

        finished = jobhooks("uninstall", "--yes", "--database-url", url)
        assert finished.returncode == 0, finished.stderr
        assert "jobhooks_capture, jobhooks_daemon" in finished.stderr and finished.stdout == ""
        assert values(conn, REMAINS) == [] and "jobhooks" not in dump(url)
        conn.execute("insert into public.reading values (1) on conflict do nothing; truncate public.reading_2")
        again = jobhooks("uninstall", "--yes", "--database-url", url)
        assert again.returncode == MISMATCH and again.stderr.startswith("jobhooks: ")
        assert jobhooks("install", "public.reading", "--database-url", url).returncode == 0


def test_roles_that_another_database_uses_stay(own_server: OwnServer) -> None:
    """With their privileges: the other database continues as before."""
    with psycopg.connect(own_server.url(), autocommit=True) as conn:
        for name in ("one", "two"):
            conn.execute(f"create database {name}".encode())
            assert jobhooks("install", "--database-url", own_server.url(database=name)).returncode == 0
        before = values(conn, "select datacl::text from pg_database where datname = 'two'")
        finished = jobhooks("uninstall", "--yes", "--database-url", own_server.url(database="one"))
        assert finished.returncode == 0
        assert "jobhooks_capture, " in finished.stderr
        assert values(conn, "select datacl::text from pg_database where datname = 'two'") == before
        with psycopg.connect(own_server.url(database="one"), autocommit=True) as one:
            assert [what for what in values(one, REMAINS) if not str(what).startswith("role ")] == []
        assert jobhooks("doctor", "--database-url", own_server.url(database="two")).returncode == 0
        finished = jobhooks("uninstall", "--yes", "--database-url", own_server.url(database="two"))
        assert values(conn, REMAINS) == [], finished.stderr


def test_who_may_not_drop_the_roles_is_told_how(own_server: OwnServer) -> None:
    """A role that may not create roles installs beside the roles a superuser left for another database."""
    with psycopg.connect(own_server.url(), autocommit=True) as conn:
        conn.execute("create role plain login")
        conn.execute("create database inventory owner plain")
        for role in ("owner", "capture", "daemon", "receiver", "viewer", "operator"):
            conn.execute(f"create role jobhooks_{role}".encode())
        url = own_server.url(database="inventory", user="plain")
        assert jobhooks("install", "--database-url", url).returncode == 0
        finished = jobhooks("uninstall", "--yes", "--database-url", url)
        assert finished.returncode == 0
        assert "jobhooks_capture, " in finished.stderr
        remedy = finished.stderr.partition("as a superuser, in this database: ")[2].strip()
        with psycopg.connect(own_server.url(database="inventory"), autocommit=True) as superuser:
            superuser.execute(remedy.encode())
            assert values(superuser, REMAINS) == []


def test_a_role_that_made_the_roles_may_drop_them(own_server: OwnServer) -> None:
    """No superuser is needed: one that may create roles, and owns the database, does it all."""
    with psycopg.connect(own_server.url(), autocommit=True) as conn:
        conn.execute("create role builder login createrole")
        conn.execute("create database inventory owner builder")
    url = own_server.url(database="inventory", user="builder")
    assert jobhooks("install", "--database-url", url).returncode == 0
    finished = jobhooks("uninstall", "--yes", "--database-url", url)
    assert finished.returncode == 0, finished.stderr
    with psycopg.connect(url) as conn:
        assert values(conn, REMAINS) == []


def test_uninstalling_asks_first(device: Connection, database: str) -> None:
    device.execute("update public.device set name = 'a'")
    finished = jobhooks("uninstall", "--database-url", database)
    assert finished.returncode == REFUSED
    assert "1 table" in finished.stderr and "1 change" in finished.stderr and "--yes" in finished.stderr
    for answer, code in (("n", 1), ("y", 0)):
        ended, words = on_a_terminal(f"{answer}\n", "uninstall", "--database-url", database)
        assert ended == code, words
        assert "1 table" in words and "1 change" in words and "Traceback" not in words
        assert values(device, "select to_regnamespace('jobhooks') is null") == [code == 0]


def test_what_others_built_upon_it_is_not_dropped_unasked(device: Connection, database: str) -> None:
    device.execute("create view public.report as select * from jobhooks.changes")
    finished = jobhooks("uninstall", "--yes", "--database-url", database)
    assert finished.returncode == REFUSED and "public.report" in finished.stderr
    device.execute("drop view public.report; alter table public.device owner to jobhooks_owner")
    finished = jobhooks("uninstall", "--yes", "--database-url", database)
    assert finished.returncode == REFUSED and "public.device" in finished.stderr
    assert values(device, "select count(*) from pg_trigger where tgname ~ '^!jobhooks_1_'") == [4]


def test_uninstalling_waits_briefly_for_a_table_and_goes_on_the_next_time(device: Connection, database: str) -> None:
    device.execute("create table public.a (id integer primary key); select jobhooks.watch('public.a')")
    with psycopg.connect(database) as writer:
        writer.execute("update public.device set name = 'held'")
        finished = jobhooks("uninstall", "--yes", "--database-url", database)
        assert finished.returncode == REFUSED and "jobhooks uninstall" in finished.stderr
        assert '"public"."device"' in finished.stderr
    listed = json.loads(jobhooks("table", "list", "--json", "--database-url", database).stdout)
    assert [(table["table"], table["state"]) for table in listed] == [
        ("public.a", "not watched"),
        ("public.device", "watched"),
    ]
    assert jobhooks("uninstall", "--yes", "--database-url", database).returncode == 0
