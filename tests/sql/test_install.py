"""Installing sql/: once, again, twenty at the same time, and by a program of another version."""

import asyncio
import contextlib
import re
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from conftest import Connection
from jobhooks.errors import CopiedDatabase, Forbidden, NothingToAdopt, SqlMismatch
from jobhooks.operations import adopting, tables
from jobhooks.operations.opening import connection
from jobhooks.runtime.settings import load
from jobhooks.runtime.version import PROGRAM_VERSION
from jobhooks.schema import install as installing
from jobhooks.schema.install import (
    capture_is_confined,
    check_installed,
    check_may_mark,
    check_original,
    check_roles,
    install,
)
from jobhooks.store.connections import call, connect
from jobhooks.store.queries import SQL, migrations
from support.engine.reading import open_reader, read_all
from support.postgres.servers import Server


def test_installing_again_applies_nothing(empty_database: str) -> None:
    with contextlib.closing(connect(empty_database)) as conn:
        assert len(install(conn)) == len(migrations())
        assert install(conn) == []
        check_installed(conn)
        check_original(conn)
        check_may_mark(conn)


def test_twenty_at_once_install_once(empty_database: str) -> None:
    """As when twenty containers of an application start together."""

    def attempt(_: int) -> int:
        with contextlib.closing(connect(empty_database)) as conn:
            return len(install(conn))

    with ThreadPoolExecutor(20) as pool:
        applied = sorted(pool.map(attempt, range(20)))
    assert applied == [0] * 19 + [len(migrations())]


def test_migrations_are_numbered_without_gaps() -> None:
    assert [migration.version for migration in migrations()] == list(range(1, len(migrations()) + 1))


def test_a_database_without_jobhooks_is_told(empty_database: str) -> None:
    with (
        contextlib.closing(connect(empty_database)) as conn,
        pytest.raises(SqlMismatch, match="jobhooks install"),
    ):
        check_installed(conn)


def test_the_sql_of_an_older_program_is_told(database: str, conn: Connection) -> None:
    """By its missing migration, or by functions that are not this program's."""
    conn.execute("update jobhooks.installation set functions_digest = 'other', program_version = '0.0.9'")
    with (
        contextlib.closing(connect(database)) as admin,
        pytest.raises(SqlMismatch, match=r"0\.0\.9.* jobhooks install"),
    ):
        check_installed(admin)
    conn.execute("update jobhooks.installation set program_version = %s", [PROGRAM_VERSION])
    with contextlib.closing(connect(database)) as admin, pytest.raises(SqlMismatch, match="another build"):
        check_installed(admin)
    conn.execute("delete from jobhooks.migration where version = (select max(version) from jobhooks.migration)")
    with contextlib.closing(connect(database)) as admin, pytest.raises(SqlMismatch, match="jobhooks install"):
        check_installed(admin)


def test_the_sql_of_a_newer_program_is_told_and_not_touched(database: str, conn: Connection) -> None:
    conn.execute("insert into jobhooks.migration (version, name) values (9999, 'from_the_future')")
    with contextlib.closing(connect(database)) as admin:
        with pytest.raises(SqlMismatch, match="9999"):
            check_installed(admin)
        with pytest.raises(SqlMismatch, match="9999"):
            install(admin)


def test_a_failed_installation_leaves_nothing(empty_database: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """All or nothing: the next attempt finds a database without jobhooks."""
    monkeypatch.setattr(installing, "repeatable", lambda: "select 1/0")
    with contextlib.closing(connect(empty_database)) as conn:
        with pytest.raises(Exception, match="division by zero"):
            install(conn)
        assert conn.execute("select to_regnamespace('jobhooks')").fetchone() == (None,)


def test_a_copy_of_a_database_is_noticed_and_can_be_adopted(database: str, conn: Connection) -> None:
    """A staging copy must not run production's hooks."""
    conn.execute("update jobhooks.cursor set database_oid = 1")
    with contextlib.closing(connect(database)) as admin:
        with pytest.raises(CopiedDatabase):
            check_original(admin)
        adopting.adopt(admin)
        check_original(admin)
        with pytest.raises(NothingToAdopt):
            adopting.adopt(admin)


def test_adopting_counts_the_log_as_seen_whatever_its_transaction_ids(device: Connection, database: str) -> None:
    """Those of another server may be above ours, and come again here."""
    device.execute("insert into public.device (name) select 'theirs' from generate_series(1, 20)")
    device.execute(
        "update jobhooks.object_change set transaction_id = (pg_current_xact_id()::text::bigint + id)::text::xid8"
    )
    device.execute("update jobhooks.cursor set system_identifier = 1")
    with contextlib.closing(connect(database)) as admin:
        adopting.adopt(admin)
    for _ in range(30):
        device.execute("update public.device set name = 'ours' || name where id = 1")

    async def read() -> list[int]:
        async with open_reader(database) as reader:
            return [change.id for change in await read_all(reader)]

    assert asyncio.run(read()) == list(range(21, 51))


def test_a_role_that_is_not_jobhooks_own_is_told_what_it_lacks(database: str, conn: Connection, role: str) -> None:
    with contextlib.closing(connect(make_conninfo(database, user=role))) as stranger:
        with pytest.raises(Forbidden, match=role):
            check_installed(stranger)
        conn.execute(
            f"grant usage on schema jobhooks to {role}; grant execute on function jobhooks.may_mark to {role}".encode()
        )
        with pytest.raises(Forbidden, match="grant jobhooks_receiver to"):
            check_may_mark(stranger)


def test_a_role_that_may_create_roles_confines_the_capture(
    empty_database: str, template: None, role: str, server: Server
) -> None:
    """No superuser is needed for that; from PostgreSQL 16 on, having made a role is not enough to give it something."""
    server.execute("alter role {} createrole", role)
    server.execute("alter database {} owner to {}", str(conninfo_to_dict(empty_database)["dbname"]), role)
    # As on a fresh cluster, but for databases of other tests, which have the roles already.
    server.execute("grant jobhooks_owner, jobhooks_capture, jobhooks_receiver to {} with admin option", role)
    with contextlib.closing(connect(make_conninfo(empty_database, user=role))) as owner:
        install(owner)
        assert capture_is_confined(owner)
        install(owner)
        assert capture_is_confined(owner)


def test_an_owner_can_go_on_after_a_superuser_installed_again(
    empty_database: str, template: None, role: str, server: Server
) -> None:
    """The capture function changes hands then, and the owner must still be able to install and to watch."""
    server.execute("alter database {} owner to {}", str(conninfo_to_dict(empty_database)["dbname"]), role)
    with contextlib.closing(connect(make_conninfo(empty_database, user=role))) as owner:
        install(owner)
        with contextlib.closing(connect(empty_database)) as superuser:
            install(superuser)
            assert capture_is_confined(superuser)
        install(owner)
        assert capture_is_confined(owner)
        owner.execute("create schema own")
        owner.execute("create table own.t (a integer primary key)")
        owner.execute("select jobhooks.watch('own.t')")
        owner.execute("insert into own.t values (1)")
        assert owner.execute("select count(*) from jobhooks.object_change").fetchall() == [(1,)]


def test_an_ordinary_role_that_owns_the_database_can_install(empty_database: str, conn: Connection, role: str) -> None:
    """No superuser and no extension: without the right to create roles, the owner of the schema may mark."""
    with psycopg.connect(empty_database, autocommit=True) as admin:
        name = admin.info.dbname
        admin.execute(f'alter database "{name}" owner to {role}'.encode())
        admin.execute(f"create schema own authorization {role}".encode())
    with contextlib.closing(connect(make_conninfo(empty_database, user=role))) as owner:
        install(owner)
        assert not capture_is_confined(owner)
        owner.execute("create table own.t (a integer primary key)")
        owner.execute("select jobhooks.watch('own.t')")
        owner.execute("insert into own.t values (1)")
        assert owner.execute("select session_role from jobhooks.object_change").fetchall() == [(role,)]


def test_a_check_that_a_migration_dropped_is_created_again(database: str) -> None:
    """As 0026 does in a database of schema 25: the check of the other table has the same name, and is there still."""
    names = "select tgrelid::regclass::text from pg_trigger where tgname = 'check_hook_targets' order by 1"
    with contextlib.closing(connect(database)) as admin:
        wanted = admin.execute(names).fetchall()
        admin.execute("drop trigger check_hook_targets on jobhooks.job_hook")
        install(admin)
        assert admin.execute(names).fetchall() == wanted and len(wanted) == 2


def test_a_database_of_the_former_schema_is_upgraded_with_its_data(empty_database: str, conn: Connection) -> None:
    """Its log and its hooks stay; its triggers go on capturing until they are replaced."""
    with contextlib.closing(connect(empty_database)) as admin:
        for migration in migrations()[:6]:
            admin.execute(migration.text.encode())
            admin.execute("insert into jobhooks.migration (version, name) values (%s, %s)", [migration.version, "x"])
        admin.execute((Path(__file__).parent / "former" / "schema_6_functions.sql").read_bytes())
        admin.execute("create table public.t (id integer primary key, v text)")
        admin.execute("select jobhooks.watch('public.t')")
        with admin.transaction():
            admin.execute("set local jobhooks.delivery = '7:8:9'")
            admin.execute("set local jobhooks.user_name = 'alice'")
            admin.execute("insert into public.t values (1, 'before')")
        former = admin.execute(
            "select id, transaction_id::text, time, postchange from jobhooks.object_change"
        ).fetchall()

        admin.execute(
            "insert into jobhooks.job_result (change_id, hook_id, job_id, attempt, status, started_at, error)"
            " values (1, 1, 1, 1, 'failure', now(), 'no')"
        )
        admin.execute("insert into jobhooks.job_log_entry values (1, 1, 'info', now(), null, 'a line')")
        admin.execute("insert into jobhooks.delivery (change_id, hook_id, status, attempts) values (1, 1, 'dead', 1)")
        admin.execute("insert into jobhooks.job (class_path, name) values ('a.B', 'B')")
        admin.execute("insert into jobhooks.job_hook (name, job_id, events) values ('h', 1, '{update,create}')")
        admin.execute("insert into jobhooks.job_hook_content_type values (1, 1)")
        assert install(admin) == [f"{step.version:04d}_{step.name}" for step in migrations() if step.version > 6]
        assert admin.execute("select change_id, attempt, error, log from jobhooks.results").fetchall() == [
            (1, 1, "no", ["info: a line"])
        ]
        assert admin.execute("select status, attempts, failures, blocks from jobhooks.delivery").fetchall() == [
            ("dead", 1, 1, False)
        ]
        # The history begins with the existing state, as it would be recorded today.
        admin.execute("update jobhooks.job set enabled = enabled; update jobhooks.job_hook set enabled = enabled")
        assert admin.execute(
            "select kind, name, action, after::jsonb ->> 'events' from jobhooks.configuration_change order by id"
        ).fetchall() == [("job", "a.B", "create", None), ("hook", "h", "create", '["update", "create"]')]
        assert (
            admin.execute("select id, transaction_id::text, time, postchange from jobhooks.object_change").fetchall()
            == former
        )
        admin.execute("update public.t set v = 'between'")
        assert tables.watch_outdated(admin) == 1
        assert tables.watch_outdated(admin) == 0
        admin.execute("update public.t set v = 'after'")
        changes = admin.execute(
            "select id, action::text, postchange ->> 'v', triggering, context from jobhooks.object_change order by id"
        ).fetchall()
        assert changes == [
            (1, "create", "before", False, {"user_name": "alice", "caused_by": {"change": 7, "hook": 8, "attempt": 9}}),
            (2, "update", "between", True, None),
            (3, "update", "after", True, None),
        ]
        triggers = admin.execute(
            "select tgname from pg_trigger where tgrelid = 'public.t'::regclass order by 1"
        ).fetchall()
        assert [name for (name,) in triggers] == [
            f"!jobhooks_1_{what}" for what in ("create", "delete", "truncate", "update")
        ]


def test_settings_of_jobs_and_what_operators_set_survive_the_change_to_one_object(empty_database: str) -> None:
    """A lost override would run a job by other limits, and a lost order would run its changes in another order."""
    with psycopg.connect(empty_database, autocommit=True) as admin:
        for migration in migrations()[:11]:
            admin.execute(migration.text.encode())
        admin.execute(
            "insert into jobhooks.job (class_path, name, time_limit_s, queue, order_by, order_columns, overrides)"
            " values ('m.C', 'C', 9, 'q', 'columns', '{site,rack}',"
            """ '{"order_by": "columns", "order_columns": ["rack"], "time_limit_s": null, "max_attempts": 7}')"""
        )
        admin.execute(migrations()[11].text.encode())
        row = admin.execute("select settings, overrides from jobhooks.job").fetchone()
    assert row is not None
    settings, overrides = row
    assert overrides == {"order_by": ["rack"], "time_limit": None, "max_attempts": 7}
    expected = {"name": "C", "time_limit": 9, "soft_time_limit": None, "queue": "q", "order_by": ["site", "rack"]}
    assert expected.items() <= settings.items()


def test_pending_deliveries_survive_the_change_to_positions_of_hooks(empty_database: str) -> None:
    """A blocked row waits by its place from then on: it is due, behind older ones of its key. None is lost."""
    before = [
        (1, "dead", 2, 2, None),
        (2, "blocked", 0, 0, None),
        (3, "waiting", 1, 1, "2100-01-01"),
        (4, "blocked", 3, 0, None),
    ]
    with contextlib.closing(connect(empty_database)) as admin:
        for migration in migrations()[:14]:
            admin.execute(migration.text.encode())
            admin.execute("insert into jobhooks.migration (version, name) values (%s, %s)", [migration.version, "x"])
        admin.execute("create function jobhooks.record_failures(rest json) returns void language sql return null")
        for change_id, status, attempts, failures, due_at in before:
            admin.execute(
                "insert into jobhooks.delivery"
                " (change_id, hook_id, content_type_id, lane, other_lane, blocks, status, attempts, failures, due_at)"
                " values (%s, 1, 1, 7, 8, %s, %s, %s, %s, %s)",
                [change_id, change_id != 3, status, attempts, failures, due_at],
            )
        assert [name[:4] for name in install(admin)] == [f"{step.version:04d}" for step in migrations()[14:]]
        columns = "change_id, status, attempts, failures, lane, other_lane, blocks, due_at <= clock_timestamp()"
        assert admin.execute(f"select {columns} from jobhooks.delivery order by 1".encode()).fetchall() == [
            (1, "dead", 2, 2, 7, 8, True, None),
            (2, "waiting", 0, 0, 7, 8, True, True),
            (3, "waiting", 1, 1, 7, 8, False, False),
            (4, "waiting", 3, 0, 7, 8, True, True),
        ]
        assert admin.execute("select count(*) from jobhooks.hook_position").fetchone() == (0,)
        statuses = "select change_id, status, behind from jobhooks.delivery_states() order by 1"
        assert admin.execute(statuses.encode()).fetchall() == [
            (1, "dead", None),
            (2, "blocked", 1),
            (3, "waiting", None),
            (4, "blocked", 1),
        ]
        settle = "select jobhooks.settle(0, '{}', '{}', '{}', '{}', '{}', '{}', %s)"
        done = '{"done": [{"change_id": 1, "hook_id": 1, "attempt": 3}, {"change_id": 9, "hook_id": 1, "attempt": 1}]}'
        assert admin.execute(settle, [done]).fetchone() == (1,)
        with pytest.raises(psycopg.errors.CheckViolation):
            admin.execute("update jobhooks.delivery set status = 'blocked', due_at = null where change_id = 2")


def test_what_an_earlier_versions_triggers_call_stays_until_they_are_replaced(
    application: Connection, database: str
) -> None:
    """Between the two, and as long as a table is locked, an application without any privilege goes on writing."""
    signature = "jobhooks_capture.shaped_snapshot(record,text,text[],json)"
    with contextlib.closing(connect(database)) as admin:
        admin.execute(
            "create function jobhooks_capture.shaped_snapshot(record, text, text[], json) returns json"
            " language plpgsql as 'begin return row_to_json($1); end'"
        )
        admin.execute(
            'create or replace trigger "!jobhooks_1_update" after update on public.device for each row when ('
            "jobhooks_capture.record_change(1, 'update', jobhooks_capture.shaped_snapshot(old.*, '{id}', '{}', null),"
            " jobhooks_capture.shaped_snapshot(new.*, '{id}', '{}', null)))"
            " execute function jobhooks_capture.trigger_stub()"
        )
        admin.execute("update jobhooks.content_type set triggers = '{}'")
        install(admin)
        application.execute("update public.device set name = 'between'")
        assert tables.watch_outdated(admin) == 1
        install(admin)
        application.execute("update public.device set name = 'after'")
        assert admin.execute("select to_regprocedure(%s) is null", [signature]).fetchone() == (True,)
        names = admin.execute("select postchange ->> 'name' from jobhooks.object_change order by id").fetchall()
        assert names == [("between",), ("after",)]


# Functions as they were called before, and the calls of them in the triggers of a partitioned table.
FORMER_FUNCTIONS = """
alter function jobhooks_capture.trigger_stub() rename to never_called;
alter function jobhooks_capture.moved_row_position(text) rename to departed;
alter function jobhooks_capture.printable_bytes(text) rename to legible;
alter function jobhooks.record_failures(json) rename to settle_rest;
"""
FORMER_SIGNATURES = [
    "jobhooks_capture.departed(text)",
    "jobhooks_capture.legible(text)",
    "jobhooks_capture.never_called()",
    "jobhooks.settle_rest(json)",
]


def test_functions_that_got_other_names_stay_as_long_as_a_trigger_calls_them(
    application: Connection, database: str
) -> None:
    """An upgrade fails no writer: neither while tables have the former triggers, nor when they are replaced."""
    with contextlib.closing(connect(database)) as admin:
        admin.execute("create table public.parted (id integer primary key) partition by range (id)")
        admin.execute("create table public.p_0 partition of public.parted for values from (0) to (10)")
        admin.execute("create table public.p_10 partition of public.parted for values from (10) to (20)")
        admin.execute("grant all on public.parted to public")
        tables.watch(admin, "public.parted", None)
        admin.execute(FORMER_FUNCTIONS.encode())
        admin.execute("update jobhooks.content_type set triggers = '{former}'")
        kept = (
            "select array_agg(name order by name) from unnest(%s::text[]) as name"
            " where to_regprocedure(name) is not null"
        )

        def write(start: int) -> None:
            application.execute("insert into public.parted values (%s)", [start])
            application.execute("update public.parted set id = id + 10 where id = %s", [start])
            application.execute("delete from public.parted where id = %s", [start + 10])

        write(1)
        install(admin)
        write(2)
        admin.execute("select jobhooks.add_segment()")
        write(3)
        assert tables.watch_outdated(admin) == 2
        write(4)
        # When the new names are committed, a session may be inside a former function: the next installation drops it.
        assert admin.execute(kept, [FORMER_SIGNATURES]).fetchone() == (sorted(FORMER_SIGNATURES),)
        install(admin)
        write(5)
        assert admin.execute(kept, [FORMER_SIGNATURES]).fetchone() == (None,)
        log = "select action::text, (prechange ->> 'id')::int, (postchange ->> 'id')::int from jobhooks.object_change"
        assert admin.execute(f"{log} order by id".encode()).fetchall() == [
            row
            for id_ in range(1, 6)
            for row in [("create", None, id_), ("update", id_, id_ + 10), ("delete", id_ + 10, None)]
        ]


def test_a_function_that_got_another_name_stays_while_a_table_could_not_be_watched_again(
    application: Connection, database: str
) -> None:
    with contextlib.closing(connect(database)) as admin:
        admin.execute(FORMER_FUNCTIONS.encode())
        for _ in range(3):
            install(admin)
        application.execute("update public.device set name = 'still captured'")
        stays = "select to_regprocedure('jobhooks_capture.never_called()') is not null"
        assert admin.execute(stays.encode()).fetchone() == (True,)
        assert admin.execute("select count(*) from jobhooks.object_change").fetchone() == (1,)


def test_grants_are_all_that_the_file_of_grants_holds() -> None:
    text = re.sub(r"--[^\n]*", "", (SQL / "grants.sql").read_text())
    verbs = re.findall(r"^\s*(?:execute format\(')?(\w+) ", text, re.MULTILINE)
    unexpected = set(verbs) & {"alter", "create", "drop", "insert", "update", "delete", "comment"}
    assert unexpected == set() and {"grant", "revoke"} <= set(verbs)


FORMER_TRIGGERS = """
create or replace trigger "~jobhooks_1_before" before update on public.parted for each row when (
    set_config('jobhooks.departed_' || pg_trigger_depth(), '', true) is null or
    set_config('jobhooks.updating_' || pg_trigger_depth(), old.tableoid || ' ' || old.ctid, true) is null)
    execute function jobhooks_capture.trigger_stub();
create or replace trigger "!jobhooks_1_update" after update on public.parted for each row when (
    case when old.* *<> new.* and new.tableoid <> 0
        and coalesce(current_setting('jobhooks.arrived_' || pg_trigger_depth(), true), '')
            <> new.tableoid || ' ' || new.ctid
    then jobhooks_capture.record_change(1, 'update', jobhooks_capture.snapshot(old.*, '{id}'),
        jobhooks_capture.snapshot(new.*, '{id}')) end)
    execute function jobhooks_capture.trigger_stub();
create or replace trigger "!jobhooks_1_create" after insert on public.parted for each row when (
    jobhooks_capture.record_partition_change(
        1, 'create', null, jobhooks_capture.snapshot(new.*, '{id}'), new.tableoid || ' ' || new.ctid))
    execute function jobhooks_capture.trigger_stub();
create or replace trigger "!jobhooks_1_delete" after delete on public.parted for each row when (
    jobhooks_capture.record_partition_change(
        1, 'delete', jobhooks_capture.snapshot(old.*, '{id}'), null, old.tableoid || ' ' || old.ctid))
    execute function jobhooks_capture.trigger_stub();
create or replace trigger "!jobhooks_1_end" after update on public.parted for each statement when (
    set_config('jobhooks.departed_' || pg_trigger_depth(), '', true) is null or
    set_config('jobhooks.updating_' || pg_trigger_depth(), '', true) is null)
    execute function jobhooks_capture.trigger_stub();
update jobhooks.content_type set triggers = '{former}';
"""


def test_the_triggers_of_a_partitioned_table_go_on_until_they_are_replaced(database: str, conn: Connection) -> None:
    """A table that is locked during the installation loses nothing: a moved row is then a delete and a create."""
    conn.execute("create table public.parted (id integer primary key) partition by range (id)")
    for start in (0, 10):
        conn.execute(
            f"create table public.p_{start} partition of public.parted"
            f" for values from ({start}) to ({start + 10})".encode()
        )
    with contextlib.closing(connect(database)) as admin:
        tables.watch(admin, "public.parted", None)
        names = "select tgrelid::regclass::text, tgname from pg_trigger where tgname ~ 'jobhooks_' order by 1, 2"
        wanted = conn.execute(names.encode()).fetchall()
        conn.execute(FORMER_TRIGGERS.encode())
        log = "select action::text, (prechange ->> 'id')::int, (postchange ->> 'id')::int from jobhooks.object_change"
        conn.execute("insert into public.parted values (1)")
        conn.execute("update public.parted set id = 2; update public.parted set id = 12")
        assert conn.execute(f"{log} order by id".encode()).fetchall() == [
            ("create", None, 1),
            ("update", 1, 2),
            ("delete", 2, None),
            ("create", None, 12),
        ]
        assert tables.watch_outdated(admin) == 1
        assert conn.execute(names.encode()).fetchall() == wanted
    conn.execute("delete from jobhooks.object_change")
    conn.execute("update public.parted set id = 3; delete from public.parted; insert into public.parted values (4)")
    assert conn.execute(f"{log} order by id".encode()).fetchall() == [
        ("update", 12, 3),
        ("delete", 3, None),
        ("create", None, 4),
    ]


FOREIGN_SCHEMA = """
create schema jobhooks;
create table jobhooks.migration (version integer, name text);
create function jobhooks.evil() returns integer language plpgsql
    as $$ begin execute 'alter role {role} superuser'; return 1; end $$;
create view jobhooks.installation as select jobhooks.evil()::text as program_version, '' as functions_digest;
grant usage on schema jobhooks to public; grant select on all tables in schema jobhooks to public;
"""
FOREIGN_CODE = {
    "schema": FOREIGN_SCHEMA,
    "trigger": FOREIGN_SCHEMA.replace("create view", "--") + "create schema theirs;"
    " create function theirs.evil() returns trigger language plpgsql as $$ begin return new; end $$;"
    " create trigger evil before insert on jobhooks.migration for each row execute function theirs.evil()",
}


@pytest.mark.parametrize("made", FOREIGN_CODE)
def test_a_superuser_runs_no_code_of_a_role_that_made_the_schema_first(
    empty_database: str, template: None, role: str, server: Server, made: str
) -> None:
    """Without the check, a look at the status would make that role a superuser."""
    server.execute("alter database {} owner to {}", str(conninfo_to_dict(empty_database)["dbname"]), role)
    with psycopg.connect(empty_database, user=role, autocommit=True) as theirs:
        theirs.execute(FOREIGN_CODE[made].format(role=role).encode())
        if made == "trigger":  # the tables changed hands, their triggers did not
            with psycopg.connect(empty_database, autocommit=True) as admin:
                admin.execute("drop view if exists jobhooks.installation; drop function jobhooks.evil")
                admin.execute("alter table jobhooks.migration owner to jobhooks_owner")
                admin.execute("alter schema jobhooks owner to jobhooks_owner")
    for installed in (True, False):
        with (
            pytest.raises(Forbidden, match=rf"belong to {role}, whose code would run as a superuser") as refused,
            connection(load(database_url=empty_database), installed=installed),
        ):
            pass
    assert f"jobhooks install --trust-owner {role}" in str(refused.value)
    with psycopg.connect(empty_database, autocommit=True) as admin:
        assert admin.execute("select rolsuper from pg_roles where rolname = %s", [role]).fetchone() == (False,)


def test_a_superuser_takes_over_the_schema_of_a_trusted_role(
    empty_database: str, template: None, role: str, server: Server
) -> None:
    """The role itself goes on as before, and so does the superuser after the schema has changed hands."""
    server.execute("alter database {} owner to {}", str(conninfo_to_dict(empty_database)["dbname"]), role)
    with connection(load(database_url=make_conninfo(empty_database, user=role)), installed=False) as owner:
        install(owner)
    with pytest.raises(Forbidden), connection(load(database_url=empty_database)):
        pass
    with connection(load(database_url=empty_database), installed=False, trusted_owner=role) as superuser:
        install(superuser)
    with connection(load(database_url=empty_database)) as superuser:
        assert call(superuser, "schema_version")
    with connection(load(database_url=make_conninfo(empty_database, user=role))) as owner:
        assert call(owner, "schema_version")


def test_a_role_that_was_made_with_more_rights_is_refused(conn: Connection) -> None:
    """Who can log in as the owner can change every function that others run."""
    check_roles(conn)
    with conn.transaction(force_rollback=True):
        conn.execute("alter role jobhooks_owner login createrole")
        with pytest.raises(Forbidden) as refused:
            check_roles(conn)
    assert str(refused.value) == (
        "cannot install with the role jobhooks_owner, which exists already: it can log in and may create roles. Try:"
        " alter role jobhooks_owner nologin nosuperuser nocreaterole noreplication nobypassrls"
    )
