"""jobhooks.problems(): each thing is broken on purpose, and must be reported with a remedy."""

import contextlib
import re
from collections.abc import Generator
from concurrent.futures import ThreadPoolExecutor

import psycopg
import pytest
from psycopg.conninfo import make_conninfo

from conftest import Connection
from jobhooks.operations import tables
from jobhooks.schema.install import install
from jobhooks.store.connections import SyncConnection, connect
from jobhooks.store.queries import query
from support.postgres.faults import own_server

PARTITIONED = """
    create table public.reading (id integer, day integer, primary key (id, day)) partition by range (day);
    create table public.reading_1 partition of public.reading for values from (1) to (2);
    create table public.reading_2 partition of public.reading for values from (2) to (3);
"""


@pytest.fixture
def admin(database: str) -> Generator[SyncConnection]:
    with contextlib.closing(connect(database)) as connection:
        yield connection


def problems(conn: Connection) -> list[tuple[str, str, str, str]]:
    return [
        (severity, subject, problem, remedy)
        for severity, subject, problem, remedy in conn.execute("select * from jobhooks.problems()")
    ]


def the_problem(conn: Connection) -> tuple[str, str, str, str]:
    """The one problem that there is."""
    (found,) = problems(conn)
    return found


def add_hook(conn: Connection, *, enabled: bool = True) -> None:
    conn.execute("insert into jobhooks.job (class_path, enabled) values ('a.B', true)")
    conn.execute("select jobhooks.add_hook('h', '{public.device}', '{update}', 'a.B')")
    if not enabled:
        conn.execute("select jobhooks.enable_job('a.B', false)")


def test_nothing_is_wrong_with_a_table_that_is_just_watched(device: Connection, admin: SyncConnection) -> None:
    """False alarms teach people to ignore the doctor."""
    device.execute(PARTITIONED)
    device.execute("create table public.note (line text, seen timestamptz, many float8[])")
    tables.watch(admin, "public.reading")
    tables.watch(admin, "public.note", keyless=True, always=True, exclude=["line"], ignore=["seen"])
    assert problems(device) == []


def test_a_rename_is_no_problem(device: Connection, admin: SyncConnection) -> None:
    device.execute(PARTITIONED)
    tables.watch(admin, "public.reading")
    device.execute("create schema attic")
    device.execute("alter table public.device rename to gadget; alter table public.gadget set schema attic")
    device.execute("alter table public.reading rename to value; alter table public.reading_1 rename to value_1")
    assert problems(device) == []


def test_a_table_that_is_gone(device: Connection, admin: SyncConnection) -> None:
    device.execute("drop table public.device")
    severity, subject, _, remedy = the_problem(device)
    assert (severity, subject) == ("warning", "public.device")
    assert "jobhooks table unwatch public.device" in remedy
    tables.unwatch(admin, "public.device")
    assert problems(device) == []


def test_a_trigger_that_is_missing(device: Connection) -> None:
    device.execute('drop trigger "!jobhooks_1_delete" on public.device')
    severity, subject, problem, remedy = the_problem(device)
    assert (severity, subject) == ("error", "public.device")
    assert "!jobhooks_1_delete" in problem
    assert remedy == "jobhooks table watch public.device"


@pytest.mark.parametrize(
    ("how", "severity", "named"),
    [
        ("disable trigger all", "error", ["create", "update", "delete", "truncate"]),
        ('disable trigger "!jobhooks_1_update"', "error", ["update"]),
        ('enable replica trigger "!jobhooks_1_update"', "error", ["update"]),
        ('enable always trigger "!jobhooks_1_update"', "warning", ["update"]),
    ],
)
def test_a_trigger_that_does_not_fire_as_asked(device: Connection, how: str, severity: str, named: list[str]) -> None:
    device.execute(f"alter table public.device {how}".encode())
    found = the_problem(device)
    assert found[:2] == (severity, "public.device")
    assert sorted(re.findall(r"!jobhooks_1_(\w+)", found[2])) == sorted(named)


def test_a_table_that_should_always_be_captured_and_is_not(device: Connection, admin: SyncConnection) -> None:
    """The remedy keeps how the table is watched: it could be pasted, and must not make things worse."""
    device.execute('alter table public.device add column "the Note" text')
    tables.watch(admin, "public.device", ["id"], always=True, exclude=["the Note"], ignore=["serial"])
    device.execute('alter table public.device enable trigger "!jobhooks_1_create"')
    _, _, problem, remedy = the_problem(device)
    assert "!jobhooks_1_create" in problem
    assert remedy == "jobhooks table watch public.device --always --exclude 'the Note' --ignore serial"


def test_a_partition_whose_trigger_is_disabled(device: Connection, admin: SyncConnection) -> None:
    device.execute(PARTITIONED)
    tables.watch(admin, "public.reading")
    device.execute('alter table public.reading_2 disable trigger "!jobhooks_2_update"')
    severity, subject, problem, _ = the_problem(device)
    assert (severity, subject) == ("error", "public.reading")
    assert "!jobhooks_2_update on public.reading_2" in problem


def test_an_ignored_column_that_is_renamed(device: Connection, admin: SyncConnection) -> None:
    tables.watch(admin, "public.device", ignore=["serial"])
    device.execute("alter table public.device rename column serial to number")
    severity, subject, problem, remedy = the_problem(device)
    assert (severity, subject) == ("error", "public.device")
    assert "serial" in problem
    assert remedy.startswith("jobhooks table watch public.device --ignore NEW_NAME")


def test_triggers_that_are_not_those_of_today(device: Connection) -> None:
    """A column whose text depends on the session's formats came: until then it may be read back wrong."""
    device.execute("alter table public.device add column weight double precision")
    severity, subject, _, remedy = the_problem(device)
    assert (severity, subject, remedy) == ("warning", "public.device", "jobhooks table watch public.device")


@pytest.mark.parametrize(
    ("tampering", "function"),
    [
        (
            "create or replace function jobhooks_capture.record_change(content_type_id integer, action jobhooks.action,"
            " before json, after json) returns boolean language plpgsql security definer as 'begin return false; end'",
            "record_change(integer,jobhooks.action,json,json)",
        ),
        (
            "alter function jobhooks_capture.moved_row_position(text) security invoker",
            "moved_row_position(text)",
        ),
    ],
)
def test_a_capture_function_that_was_changed(
    device: Connection, admin: SyncConnection, tampering: str, function: str
) -> None:
    """They are created again for each segment of the log: nothing but its number may differ."""
    device.execute("select jobhooks.add_segment()")
    assert problems(device) == []
    device.execute(tampering.encode())
    severity, subject, problem, remedy = the_problem(device)
    assert (severity, subject, remedy) == ("error", "the capture", "jobhooks install")
    assert f"jobhooks_capture.{function}" in problem
    install(admin)
    assert problems(device) == []


def test_a_capture_function_that_is_missing(device: Connection) -> None:
    device.execute("drop function jobhooks_capture.record_ending(integer, jobhooks.action, json, text)")
    assert "record_ending(integer,jobhooks.action,json,text)" in the_problem(device)[2]


def test_triggers_of_an_earlier_version(device: Connection) -> None:
    device.execute("update jobhooks.content_type set triggers = '{}'")
    assert the_problem(device)[0] == "warning"
    device.execute("select jobhooks.drop_triggers(1)")
    assert [severity for severity, *_ in problems(device)] == ["error", "warning"]


def test_partitions_that_came_and_went(conn: Connection, admin: SyncConnection) -> None:
    conn.execute(PARTITIONED)
    tables.watch(admin, "public.reading")
    conn.execute("create table public.reading_3 (id integer not null, day integer not null)")
    conn.execute("insert into public.reading_3 values (1, 3)")
    conn.execute("alter table public.reading attach partition public.reading_3 for values from (3) to (4)")
    conn.execute("alter table public.reading detach partition public.reading_1; drop table public.reading_2")
    came, went = problems(conn)
    assert came[:2] == ("warning", "public.reading") and "1: public.reading_3" in came[2] and "TRUNCATE" in came[2]
    assert went[:2] == ("note", "public.reading") and "2: public.reading_1" in went[2]
    tables.watch(admin, "public.reading")
    assert problems(conn) == []


def test_a_child_by_inheritance_that_is_not_watched(device: Connection, admin: SyncConnection) -> None:
    device.execute("create table public.phone (primary key (id)) inherits (public.device)")
    device.execute("create table public.smartphone (primary key (id)) inherits (public.phone)")
    tables.watch(admin, "public.phone")
    found = [(subject, problem.partition(" ")[0], remedy) for _, subject, problem, remedy in problems(device)]
    assert found == [
        ("public.device", "public.smartphone", "jobhooks table watch public.smartphone"),
        ("public.phone", "public.smartphone", "jobhooks table watch public.smartphone"),
    ]


def test_a_key_column_that_is_gone(device: Connection) -> None:
    device.execute("alter table public.device rename column id to number")
    severity, subject, problem, remedy = the_problem(device)
    assert (severity, subject) == ("error", "public.device") and " id " in problem
    assert remedy == "jobhooks table watch public.device"
    device.execute("alter table public.device drop column number")
    assert the_problem(device)[3] == "jobhooks table watch public.device --key COLUMN"


@pytest.mark.parametrize(
    ("index", "word"),
    [
        ("create index on public.device (serial)", "unique"),
        ("create unique index on public.device (serial) where id > 5", "unique"),
        ("create unique index on public.device (lower(serial))", "unique"),
        ("create unique index on public.device (serial, name)", "unique"),
        ("create unique index on public.device (serial)", "null"),
    ],
)
def test_a_key_that_tells_no_row_from_another(device: Connection, admin: SyncConnection, index: str, word: str) -> None:
    device.execute(index.encode())
    tables.watch(admin, "public.device", ["serial"])
    found = the_problem(device)
    assert found[:2] == ("warning", "public.device") and word in found[2] and "serial" in found[2]
    device.execute("alter table public.device alter column serial set not null")
    device.execute("create unique index on public.device (serial) include (name)")
    assert problems(device) == []


def test_a_trigger_of_the_users_that_fires_after_ours(conn: Connection, admin: SyncConnection) -> None:
    conn.execute(PARTITIONED)
    tables.watch(admin, "public.reading")
    conn.execute("create function public.f() returns trigger language plpgsql as 'begin return null; end'")
    for name in ("a_usual_name", "~last"):
        conn.execute(
            f'create trigger "{name}" before update on public.reading for each row execute function f()'.encode()
        )
    severity, subject, problem, remedy = the_problem(conn)
    assert (severity, subject) == ("warning", "public.reading") and '"~last"' in problem
    assert remedy.startswith('alter trigger "~last" on public.reading rename')


def test_a_hook_that_leads_to_no_runs(device: Connection) -> None:
    """Two switches, and a receiver that was taken away."""
    add_hook(device, enabled=False)
    assert the_problem(device)[:2] == ("warning", 'hook "h"') and the_problem(device)[3] == "jobhooks job enable a.B"
    device.execute("select jobhooks.enable_job('a.B'); update jobhooks.job set installed = false")
    assert the_problem(device)[:2] == ("error", 'hook "h"') and "a.B" in the_problem(device)[2]
    device.execute("update jobhooks.job_hook set enabled = false")
    assert problems(device) == []


def test_a_hook_whose_columns_are_gone(device: Connection) -> None:
    """An update of another column of the hook still matches; without any column left, none does."""
    add_hook(device)
    device.execute("""select jobhooks.edit_hook('h', '{"name": "the device''s", "columns": ["name", "serial"]}')""")
    assert problems(device) == []
    device.execute("alter table public.device rename column serial to serial_number")
    severity, subject, problem, remedy = the_problem(device)
    assert (severity, subject) == ("warning", 'hook "the device\'s"')
    assert "serial" in problem
    assert remedy == r"jobhooks hook edit 'the device'\''s' --column COLUMN"
    device.execute("select jobhooks.watch('public.device', ignore => '{name}')")
    assert the_problem(device)[0] == "error" and "name, serial" in the_problem(device)[2]
    device.execute("select jobhooks.enable_hook('the device''s', false)")
    assert problems(device) == []


def test_hooks_in_conflict_that_were_restored_from_a_dump(device: Connection) -> None:
    """It writes the rows with triggers off, which is the one way around the check."""
    add_hook(device)
    with device.transaction():
        device.execute("set local session_replication_role = replica")
        device.execute("insert into jobhooks.job_hook (name, job_id, events) values ('i', 1, '{update,delete}')")
        device.execute("insert into jobhooks.job_hook_content_type values (2, 1)")
    severity, subject, problem, _ = the_problem(device)
    assert (severity, subject) == ("warning", 'hook "i"')
    assert all(thing in problem for thing in ('"h"', "a.B", "update", "public.device"))


def test_a_hook_on_a_table_that_is_not_watched(device: Connection) -> None:
    add_hook(device)
    assert problems(device) == []
    device.execute("select jobhooks.unwatch('public.device')")
    severity, subject, problem, remedy = the_problem(device)
    assert (severity, subject, remedy) == ("warning", 'hook "h"', "jobhooks table watch public.device")
    assert "public.device" in problem


def test_deliveries_that_are_dead_or_late(device: Connection) -> None:
    add_hook(device)
    device.execute(
        "insert into jobhooks.delivery (change_id, hook_id, content_type_id, lane, status)"
        " values (7, 1, 1, 70, 'dead'), (9, 1, 1, 90, 'dead')"
    )
    assert the_problem(device)[:2] == ("error", 'hook "h"') and "2 deliveries" in the_problem(device)[2]
    assert the_problem(device)[3] == "jobhooks delivery list --state dead --hook 'h'"
    device.execute("update jobhooks.delivery set hook_id = 99")
    assert the_problem(device)[0] == "error" and the_problem(device)[3] == "jobhooks delivery list --state dead"
    device.execute("update jobhooks.delivery set status = 'waiting', due_at = now() - interval '61 minutes'")
    assert the_problem(device)[0] == "error" and "2 deliveries" in the_problem(device)[2]
    device.execute("update jobhooks.delivery set lane = 70")
    assert "1 delivery " in the_problem(device)[2], "one that waits for an older delivery is not late"


def test_a_backlog_that_nobody_reads(device: Connection, application: Connection) -> None:
    application.execute("update public.device set name = 'a'")
    device.execute("update jobhooks.object_change set time = now() - interval '61 minutes'")
    assert problems(device) == [], "the log may be all that is wanted"
    add_hook(device)
    severity, subject, problem, _ = the_problem(device)
    assert (severity, subject) == ("error", "the log") and "1" in problem


def test_a_log_that_nobody_looks_after(device: Connection) -> None:
    device.execute("select setval('jobhooks.object_change_id_seq', 20000001)")
    assert the_problem(device)[:2] == ("warning", "the log") and "20000001" in the_problem(device)[2].replace(",", "")
    device.execute("select jobhooks.add_segment()")
    assert problems(device) == []
    device.execute("update jobhooks.log_segment set created_at = now() - interval '38 days'")
    assert the_problem(device)[:2] == ("warning", "the log")
    rows = device.execute("select * from jobhooks.problems(interval '60 days')").fetchall()
    assert rows == [], "it is the daemon's setting that counts"


def test_a_mark_that_was_refused(application: Connection, device: Connection) -> None:
    with application.transaction():
        application.execute("set local jobhooks.delivery = '1:2:3'")
        application.execute("update public.device set name = 'a'")
    severity, subject, problem, remedy = the_problem(device)
    assert (severity, subject) == ("warning", f"role {application.info.user}")
    assert "1:2:3" in problem and f"grant jobhooks_receiver to {application.info.user}" in remedy
    device.execute("update jobhooks.object_change set time = now() - interval '25 hours'")
    assert problems(device) == []


def test_an_application_that_could_mark(application: Connection, device: Connection) -> None:
    application.execute("update public.device set name = 'a'")
    assert problems(device) == []
    device.execute(f"grant jobhooks_receiver to {application.info.user}".encode())
    severity, subject, _, _ = the_problem(device)
    assert (severity, subject) == ("warning", f"role {application.info.user}")


def test_an_application_that_is_a_superuser(device: Connection) -> None:
    device.execute("update public.device set name = 'a'")
    assert the_problem(device)[:2] == ("note", f"role {device.info.user}")


@pytest.mark.parametrize("of_ours", ["jobhooks_daemon", "jobhooks_owner"])
def test_an_application_that_could_write_results(application: Connection, device: Connection, of_ours: str) -> None:
    """A result makes the daemon skip a change."""
    role = application.info.user
    application.execute("update public.device set name = 'a'")
    device.execute(f"grant {of_ours} to {role}".encode())
    severity, subject, problem, _ = the_problem(device)
    device.execute(f"revoke {of_ours} from {role}".encode())
    assert (severity, subject) == ("warning", f"role {role}") and of_ours in problem


def test_a_role_of_jobhooks_with_too_many_rights(conn: Connection) -> None:
    """The same that an installation refuses."""
    with conn.transaction(force_rollback=True):
        conn.execute("alter role jobhooks_owner login bypassrls; alter role jobhooks_viewer createrole")
        found = problems(conn)
        refused = conn.execute(query("unsafe_roles").encode()).fetchall()
    assert [(severity, subject, remedy) for severity, subject, _, remedy in found] == [
        ("error", f"role {role}", remedy) for role, _, remedy in refused
    ]
    assert all(excess in problem for (_, _, problem, _), (_, excess, _) in zip(found, refused, strict=True))


def test_a_member_of_the_role_that_captures(conn: Connection, role: str) -> None:
    conn.execute(f"grant jobhooks_capture to {role}".encode())
    try:
        severity, subject, _, remedy = the_problem(conn)
    finally:
        conn.execute(f"revoke jobhooks_capture from {role}".encode())
    assert (severity, subject, remedy) == ("warning", f"role {role}", f"revoke jobhooks_capture from {role}")


def test_a_receiver_that_is_a_superuser(conn: Connection, role: str) -> None:
    conn.execute(f"alter role {role} superuser; grant jobhooks_receiver to {role}".encode())
    try:
        severity, subject, _, remedy = the_problem(conn)
    finally:
        conn.execute(f"alter role {role} nosuperuser".encode())
    assert (severity, subject) == ("warning", f"role {role}")
    assert remedy.endswith(f"revoke jobhooks_receiver from {role}")


def test_a_database_that_is_a_copy(device: Connection) -> None:
    device.execute("update jobhooks.cursor set system_identifier = 1")
    assert (the_problem(device)[0], the_problem(device)[3][:22]) == ("error", "jobhooks adopt --moved")


def test_a_prepared_transaction(device: Connection) -> None:
    device.execute("create table public.other (id integer)")
    with psycopg.connect(device.info.dsn) as client:
        client.execute("insert into public.other values (1)")
        client.execute("prepare transaction 'jobhooks test'")
    try:
        severity, subject, _, remedy = the_problem(device)
        assert (severity, subject) == ("note", "prepared transaction jobhooks test")
        assert "rollback prepared 'jobhooks test'" in remedy
    finally:
        device.execute("rollback prepared 'jobhooks test'")


def test_a_wake_lock_in_strange_hands(device: Connection) -> None:
    with psycopg.connect(device.info.dsn, application_name="batch") as client:
        client.execute("select pg_advisory_lock(1785684584, 2)")
        severity, subject, problem, _ = the_problem(device)
        assert (severity, subject) == ("warning", f"session {client.info.backend_pid} (batch)")
        assert "NOTIFY" in problem
        client.execute("set application_name = 'jobhooks'")
        assert the_problem(device)[1] == f"session {client.info.backend_pid} (jobhooks)"
        client.execute("select jobhooks.acquire_leadership()")
        client.commit()
        assert problems(device) == [], "a daemon that sleeps is as it should be"


def test_a_session_that_keeps_the_daemon_from_recording_results(device: Connection) -> None:
    """It has locked the row that says who leads, and is idle: all deliveries wait for it."""
    dsn = device.info.dsn
    with psycopg.connect(dsn, application_name="psql") as idle, ThreadPoolExecutor() as pool:
        idle.execute("select from jobhooks.cursor for update")
        with psycopg.connect(dsn) as daemon:
            settled = pool.submit(
                daemon.execute, b"select jobhooks.save_positions(leader, null, null) from jobhooks.cursor"
            )
            found: list[tuple[str, str, str]] = []
            while not found:
                assert not settled.done()
                found = device.execute(
                    "select severity, subject, remedy from jobhooks.problems_of_leader('0 s')"
                ).fetchall()
            pid = idle.info.backend_pid
            end = f"end its transaction, or: select pg_terminate_backend({pid})"
            assert found == [("error", f"session {pid} (psql)", end)]
            idle.rollback()
            settled.result()


def test_a_viewer_is_told_the_same_and_what_it_cannot_see(device: Connection, admin: SyncConnection, role: str) -> None:
    device.execute("create schema hidden; create table hidden.t (a integer primary key, b float8)")
    tables.watch(admin, "hidden.t", exclude=["b"])
    device.execute('alter table hidden.t disable trigger all; drop trigger "!jobhooks_1_update" on public.device')
    device.execute(f"grant jobhooks_viewer to {role}".encode())
    with psycopg.connect(device.info.dsn, user=role, autocommit=True) as viewer:
        *same, (severity, subject, _, remedy) = problems(viewer)
        assert same == problems(device)
        assert (severity, subject, remedy) == ("note", f"role {role}", f"grant pg_read_all_stats to {role}")


def test_roles_that_could_not_be_made() -> None:
    """On a separate server, because roles belong to all databases."""
    with own_server() as own:
        own.start()
        with psycopg.connect(own.url(), autocommit=True) as superuser:
            superuser.execute("create role plain login")
            superuser.execute("create database inventory owner plain")
        with contextlib.closing(connect(own.url(database="inventory", user="plain"))) as plain:
            install(plain)
            found = plain.execute("select severity, subject, problem from jobhooks.problems()").fetchall()
            assert [(severity, subject) for severity, subject, _ in found] == [
                ("warning", "role jobhooks_capture"),
                ("warning", "role jobhooks_owner"),
                ("warning", "role jobhooks_receiver"),
                ("warning", "the capture"),
                ("note", "role jobhooks_daemon"),
                ("note", "role jobhooks_operator"),
                ("note", "role jobhooks_viewer"),
                ("note", "role plain"),
            ]
            assert "plain" in found[0][2]
            assert "record_change" in found[3][2] and "plain" in found[3][2]
        with psycopg.connect(own.url(), autocommit=True) as superuser:
            superuser.execute("create role jobhooks_owner; create role jobhooks_capture")
        with contextlib.closing(connect(own.url(database="inventory", user="plain"))) as plain:
            subjects = [subject for (subject,) in plain.execute("select subject from jobhooks.problems()")]
            assert "schema jobhooks" in subjects and "role jobhooks_owner" not in subjects
        with contextlib.closing(connect(make_conninfo(own.url(database="inventory")))) as superuser:
            install(superuser)
            assert superuser.execute("select * from jobhooks.problems()").fetchall() == []
