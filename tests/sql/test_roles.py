"""Privileges: the roles, and the mark that only some of them may carry."""

import contextlib
from collections.abc import Generator
from pathlib import Path

import psycopg
import pytest
from psycopg.conninfo import make_conninfo

from conftest import Connection
from jobhooks.matching.hook_settings import HookSettings
from jobhooks.operations.configuration import hooks, jobs
from jobhooks.schema.install import check_installed, check_may_mark, install
from jobhooks.store.connections import connect
from support.daemon import Daemon
from support.postgres.servers import Server

WRITABLE = """
    select privilege || ' on ' || oid::regclass
    from pg_class
    cross join unnest(array['insert', 'update', 'delete', 'truncate', 'trigger', 'references']) as privilege
    where relnamespace in ('jobhooks'::regnamespace, 'jobhooks_capture'::regnamespace) and relkind in ('r', 'p', 'v')
        and has_table_privilege(%s, oid, privilege)
    order by 1
"""


@pytest.fixture
def member(device: Connection, role: str) -> Generator[Connection]:
    """A session of an ordinary role; each test grants it the privileges in question."""
    with psycopg.connect(device.info.dsn, user=role, autocommit=True) as client:
        yield client
    device.execute(f"revoke pg_read_all_data from {role}".encode())  # which holds for all databases


@pytest.fixture
def reader(device: Connection, server: Server) -> Generator[Connection]:
    """A session of a role that may read all tables, and so has USAGE on every schema, and has a schema "mine"."""
    name = "jobhooks_test_reader"
    server.execute("drop role if exists {}", name)
    server.execute("create role {} login in role pg_read_all_data", name)
    device.execute(f"create schema mine authorization {name}; grant usage on schema mine to public".encode())
    with psycopg.connect(device.info.dsn, user=name, autocommit=True) as client:
        yield client
    device.execute(f"drop owned by {name} cascade; drop role {name}".encode())


def test_everything_belongs_to_the_owner_but_what_writes_to_the_log(conn: Connection) -> None:
    """The role that installed need not be there, or be trusted, afterwards."""
    owners = conn.execute(
        "select distinct relowner::regrole::text from pg_class where relnamespace = 'jobhooks'::regnamespace"
        " union select nspowner::regrole::text from pg_namespace where nspname like 'jobhooks%'"
        " union select proowner::regrole::text from pg_proc where pronamespace = 'jobhooks'::regnamespace"
        " and proname <> 'capture_change'"
    ).fetchall()
    assert owners == [("jobhooks_owner",)]
    writers = conn.execute(
        "select proname from pg_proc where proowner = 'jobhooks_capture'::regrole order by 1"
    ).fetchall()
    assert [name for (name,) in writers] == [
        "capture_change",
        "keep_lastval",
        "moved_row_position",
        "record_change",
        "record_partition_change",
        "record_truncate",
        "set_lastval",
    ]


def test_the_capture_may_write_to_the_log_and_nothing_else(conn: Connection) -> None:
    """It runs in every writer's transaction; a flaw in it would give away its privileges."""
    rows = conn.execute(WRITABLE, ["jobhooks_capture"]).fetchall()
    assert [what for (what,) in rows] == [
        "delete on jobhooks_capture.truncation",
        "insert on jobhooks.object_change",
        "insert on jobhooks.object_change_1",
        "insert on jobhooks_capture.truncation",
        "update on jobhooks_capture.truncation",
    ]


def test_a_viewer_reads_and_changes_nothing(device: Connection, member: Connection) -> None:
    device.execute("update public.device set name = 'seen'")
    device.execute(f"grant jobhooks_viewer to {member.info.user}".encode())
    assert device.execute(WRITABLE, [member.info.user]).fetchall() == []
    for view in ("changes", "hooks", "results", "backlog"):
        member.execute(f"select * from jobhooks.{view}".encode())
    assert member.execute("select action::text, added ->> 'name' from jobhooks.changes").fetchall() == [
        ("update", "seen")
    ]
    for statement in (
        "select jobhooks.enable_job('a.B')",
        "select jobhooks.adopt()",
        "select jobhooks.maintain_log('1 day')",
        "select jobhooks.watch('public.device')",
        "select jobhooks_capture.record_change(1, 'truncate', null, null)",
    ):
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            member.execute(statement.encode())


def test_an_operator_decides_about_hooks_and_cannot_touch_the_log(device: Connection, member: Connection) -> None:
    device.execute("insert into jobhooks.job (class_path) values ('a.B')")
    device.execute(f"grant jobhooks_operator to {member.info.user}".encode())
    member.execute("select jobhooks.enable_job('a.B')")
    member.execute("select jobhooks.add_hook('h', '{public.device}', '{update}', 'a.B')")
    member.execute("update jobhooks.job_hook set enabled = false")
    member.execute("update jobhooks.job_hook set enabled = true")
    assert member.execute("select name, runs from jobhooks.hooks").fetchall() == [("h", True)]
    for statement in (
        "delete from jobhooks.object_change",
        "update jobhooks.cursor set last_id = 1",
        "insert into jobhooks.job_result (change_id, hook_id, job_id, attempt, status, started_at)"
        " values (1, 1, 1, 1, 'success', now())",
    ):
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            member.execute(statement.encode())


def test_a_role_that_may_only_mark_its_writes_writes_no_results(device: Connection, member: Connection) -> None:
    """A result of a future change would make the daemon skip it. Installing takes an earlier version's grant back."""
    device.execute(f"grant jobhooks_receiver to {member.info.user}".encode())
    device.execute("grant insert on jobhooks.job_result, jobhooks.job_log_entry to jobhooks_receiver")
    with contextlib.closing(connect(device.info.dsn)) as admin:
        install(admin)
    assert device.execute(WRITABLE, [member.info.user]).fetchall() == []
    member.execute("set jobhooks.delivery = '99:1:1'")
    for statement in (
        "insert into jobhooks.job_result (change_id, hook_id, job_id, attempt, status, started_at)"
        " values (99, 1, 1, 1, 'success', now())",
        "select jobhooks.record_result(99, 1, 1, 1, 'success', 0, 0, null, null, null)",
        "select jobhooks.record_results('{99}', 1, 1, '{1}', 'success', 0, 0, null, null, null)",
        "select jobhooks.record_successes('{99}', 1, 1, '{1}', '{0}', '{0}')",
        "select jobhooks.settle(0, '{99}', '{1}', '{1}', '{1}', '{0}', '{0}', null)",
    ):
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            member.execute(statement.encode())


@pytest.mark.parametrize("role_of_ours", ["daemon", "receiver", "viewer", "operator"])
def test_nobody_writes_changes_that_never_happened(device: Connection, member: Connection, role_of_ours: str) -> None:
    """Except the owner, which could replace the functions and cannot log in."""
    device.execute(f"grant jobhooks_{role_of_ours} to {member.info.user}".encode())
    for statement in (
        "select jobhooks_capture.record_change(1, 'create', null, '{}')",
        "insert into jobhooks.object_change (content_type_id, action, triggering) values (1, 'truncate', true)",
        "create temporary table t (a integer); create trigger t after insert on t"
        " for each row when (jobhooks_capture.record_change(1, 'create', null, '{}'))"
        " execute function jobhooks_capture.trigger_stub()",
    ):
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            member.execute(statement.encode())


DIRECT_CALLS = (
    "select jobhooks_capture.record_change(1, 'create', null, '{}')",
    "set jobhooks.user_name = 'someone'; select jobhooks_capture.record_change(1, 'create', null, '[]')",
    "select jobhooks_capture.record_partition_change(1, 'delete', '{}', null, '')",
    "select jobhooks_capture.record_partition_change(1, 'create', null, '{}', '')",
    "create temporary table t (a integer); create trigger t after insert on t"
    " for each row when (jobhooks_capture.record_change(1, 'create', null, '{}'))"
    " execute function jobhooks_capture.trigger_stub(); insert into t values (1)",
)


def test_a_role_that_may_use_all_schemas_fires_no_hook(device: Connection, member: Connection) -> None:
    """It has USAGE on every schema, so it reaches functions that PUBLIC may execute."""
    device.execute(f"grant pg_read_all_data to {member.info.user}".encode())
    before = device.execute("select count(*) from jobhooks.object_change").fetchone()
    for statement in DIRECT_CALLS:
        with pytest.raises(psycopg.errors.InsufficientPrivilege, match="does not write to the table"):
            member.execute(statement.encode())
    assert device.execute("select count(*) from jobhooks.object_change").fetchone() == before


# Each makes an object of "mine" that calls the function when another role uses it, and says how.
BOUND_CALLS = {
    "a view": (
        "create view mine.bait as select {call} as a; grant select on mine.bait to public",
        "select a from mine.bait",
    ),
    "a function": (
        "create function mine.bait() returns boolean language sql security definer as $$ select {call} $$",
        "select mine.bait()",
    ),
    "a function with the rights of its caller": (
        "create function mine.bait() returns boolean language sql begin atomic select {call}; end",
        "select mine.bait()",
    ),
    "a default": (
        "create table mine.bait (a int, b boolean default {call}); grant insert on mine.bait to public",
        "insert into mine.bait (a) values (1)",
    ),
    "a check": (
        "create table mine.bait (a int check ({call} is not null)); grant insert on mine.bait to public",
        "insert into mine.bait (a) values (1)",
    ),
    "a rule": (
        "create table mine.bait (a int); create rule r as on insert to mine.bait do also select {call};"
        " grant insert on mine.bait to public",
        "insert into mine.bait (a) values (1)",
    ),
    "a policy": (
        "create table mine.bait (a int); insert into mine.bait values (1); grant select on mine.bait to public;"
        " alter table mine.bait enable row level security; create policy p on mine.bait using ({call})",
        "select a from mine.bait",
    ),
    "a trigger": (
        "create table mine.bait (a int); create trigger t after insert on mine.bait for each row"
        " when ({call}) execute function jobhooks_capture.trigger_stub(); grant insert on mine.bait to public",
        "insert into mine.bait (a) values (1)",
    ),
}


@pytest.mark.parametrize("kind", BOUND_CALLS)
def test_a_call_that_another_role_has_bound_fires_no_hook(
    device: Connection, member: Connection, reader: Connection, kind: str
) -> None:
    """The name is looked up with the rights of the role that makes the object; the session that uses it calls.

    It also writes, but to another watched table.
    """
    device.execute("create table public.other (id int primary key); select jobhooks.watch('public.other')")
    device.execute(f"grant all on public.other to public; grant usage on schema public to {member.info.user}".encode())
    make, use = BOUND_CALLS[kind]
    reader.execute(make.format(call="jobhooks_capture.record_change(1, 'create', null, '{}')").encode())
    with pytest.raises(psycopg.errors.InsufficientPrivilege, match="does not write to the table"), member.transaction():
        member.execute("insert into public.other values (1)")
        member.execute(use.encode())
    assert device.execute("select from jobhooks.object_change where content_type_id = 1").fetchall() == []


def test_a_role_that_can_become_one_that_may_use_all_schemas_fires_no_hook(
    device: Connection, member: Connection, reader: Connection
) -> None:
    """Without inheriting its rights."""
    device.execute(f"alter role {member.info.user} noinherit; grant {reader.info.user} to {member.info.user}".encode())
    member.execute(f"set role {reader.info.user}".encode())
    for statement in DIRECT_CALLS:
        with pytest.raises(psycopg.errors.InsufficientPrivilege, match="does not write to the table"):
            member.execute(statement.encode())


def test_a_writer_that_may_use_all_schemas_states_no_other_action(device: Connection, member: Connection) -> None:
    """It may insert; so it does not state an update, a delete or a TRUNCATE."""
    device.execute(
        f"grant pg_read_all_data to {member.info.user}; grant usage on schema public to {member.info.user};"
        f" grant insert on public.device to {member.info.user}".encode()
    )
    for action in ("update", "delete", "truncate"):
        with (
            pytest.raises(psycopg.errors.InsufficientPrivilege, match="does not write to the table"),
            member.transaction(),
        ):
            member.execute("insert into public.device (name) values ('edge-2')")
            member.execute(f"select jobhooks_capture.record_change(1, '{action}', '{{}}', '{{}}')".encode())


@pytest.mark.usefixtures("reader")
def test_others_write_as_before_beside_a_role_that_may_use_all_schemas(
    device: Connection, application: Connection
) -> None:
    """Their sessions count the rows that they have written; without counts, and for a TRUNCATE, their locks say it."""
    device.execute("create table public.parted (id int primary key, name text) partition by list (id)")
    for number in (1, 2):
        device.execute(
            f"create table public.parted_{number} partition of public.parted for values in ({number})".encode()
        )
    device.execute("select jobhooks.watch('public.parted')")
    device.execute("grant all on all tables in schema public to public; delete from jobhooks.object_change")
    user = application.info.user
    for counts in ("on", "off"):
        device.execute(f"alter role {user} set track_counts = {counts}".encode())
        with psycopg.connect(application.info.dsn, autocommit=True) as conn:
            assert conn.execute("show track_counts").fetchone() == (counts,)
            conn.execute("insert into public.device (name) values ('edge-2')")
            conn.execute("update public.device set name = 'other' || name")
            conn.execute("delete from public.device")
            conn.execute("insert into public.parted values (1, 'a')")
            conn.execute("update public.parted set name = 'b'")
            conn.execute("update public.parted set id = 2")
            conn.execute("delete from public.parted_2")
            with conn.transaction():
                conn.execute("insert into public.parted values (1, 'a')")
                conn.execute("truncate public.parted, public.device")
    assert device.execute(
        "select content_type_id, action, count(*)::int from jobhooks.object_change group by 1, 2 order by 1, 2"
    ).fetchall() == [
        (1, "create", 2),
        (1, "update", 3),
        (1, "delete", 3),
        (1, "truncate", 2),
        (2, "create", 4),
        (2, "update", 4),
        (2, "delete", 2),
        (2, "truncate", 2),
    ]


def test_a_role_that_may_use_all_schemas_writes_as_others_do(device: Connection, member: Connection) -> None:
    """Its own writes, and those of a function that has the privilege for it, are captured."""
    device.execute("create table public.parted (id int primary key, name text) partition by list (id)")
    for number in (1, 2):
        device.execute(
            f"create table public.parted_{number} partition of public.parted for values in ({number})".encode()
        )
    device.execute("select jobhooks.watch('public.parted')")
    device.execute(
        "create function public.rename() returns void language sql security definer"
        " as $$ update public.device set name = 'other' $$"
    )
    device.execute("delete from jobhooks.object_change")
    device.execute(
        f"grant pg_read_all_data to {member.info.user}; grant usage on schema public to {member.info.user}".encode()
    )
    device.execute(f"grant all on all tables in schema public to {member.info.user}".encode())
    for statement in (
        "insert into public.device (name) values ('edge-2')",
        "select public.rename()",
        "delete from public.device where id = 1",
        "truncate public.device",
        "insert into public.parted values (1, 'a')",
        "insert into public.parted_2 values (2, 'b')",
        "delete from public.parted_2",
        "update public.parted set id = 2",
    ):
        member.execute(statement.encode())
    assert device.execute(
        "select action, count(*)::int from jobhooks.object_change group by 1 order by 1"
    ).fetchall() == [
        ("create", 3),
        ("update", 3),
        ("delete", 2),
        ("truncate", 1),
    ]


WRITES = """
from jobhooks import JobHookReceiver

class {name}(JobHookReceiver):
    {kind}def receive_job_hook(self, change, action, changed_object):
        {body}
"""


def test_the_daemon_runs_with_two_grants_and_cannot_change_the_applications_tables(
    device: Connection, member: Connection, database: str, tmp_path: Path
) -> None:
    """Least privilege: the application's owner grants the privileges that receivers need."""
    device.execute(f"grant jobhooks_daemon, jobhooks_receiver to {member.info.user}".encode())
    (tmp_path / "both.py").write_text(
        WRITES.format(name="Looks", kind="async ", body="self.log_info(str(change.postchange['name']))")
        + WRITES.format(name="Writes", kind="", body="self.connection.execute('delete from public.device')")
    )
    url = make_conninfo(database, user=member.info.user)
    with contextlib.closing(connect(url)) as theirs:
        check_installed(theirs)
        check_may_mark(theirs)
    device.execute(f"grant select on public.device to {member.info.user}".encode())
    with Daemon(url, tmp_path, tmp_path / "log") as daemon:
        daemon.await_started()
        with contextlib.closing(connect(database)) as admin:
            for name in ("Looks", "Writes"):
                jobs.enable_job(admin, f"both.{name}")
                hooks.add_hook(admin, HookSettings(name, ["public.device"], f"both.{name}", ["update"]))
        device.execute("update public.device set name = 'a'")
        (failed,) = daemon.await_event("delivery_failed")
        daemon.await_event("delivered")
        assert str(failed["error"]).startswith("InsufficientPrivilege")
        assert daemon.terminate() == 0
    assert device.execute("select status, log from jobhooks.results order by hook").fetchall() == [
        ("success", ["info: a"]),
        ("failure", []),
    ]


def triggering(conn: Connection) -> list[tuple[bool, object]]:
    """List for each change whether it triggers, and a refused mark."""
    return conn.execute(
        "select triggering, context ->> 'refused_mark' from jobhooks.object_change order by id"
    ).fetchall()


def test_a_role_can_be_set_never_to_trigger(device: Connection, application: Connection, role: str) -> None:
    """For a batch job or a migration tool; only for one that may mark, or an application could hide its changes."""
    device.execute(f"alter role {role} set jobhooks.triggering = off".encode())
    for granted in (False, True):
        if granted:
            device.execute(f"grant jobhooks_receiver to {role}".encode())
        with psycopg.connect(device.info.dsn, user=role, autocommit=True) as batch:
            batch.execute("update public.device set name = 'batch' || %s", [granted])
    assert triggering(device) == [(True, "triggering = off"), (False, None)]


def test_a_mark_ends_with_its_transaction_and_goes_back_with_its_savepoint(
    device: Connection, application: Connection, role: str
) -> None:
    """A session of a pool is used by someone else next, who must not inherit it."""
    device.execute(f"grant jobhooks_receiver to {role}".encode())
    with application.transaction():
        with contextlib.suppress(psycopg.Rollback), application.transaction():
            application.execute("set local jobhooks.delivery = '1:1:1'")
            raise psycopg.Rollback
        application.execute("update public.device set name = 'not marked'")
        application.execute("set local jobhooks.delivery = '1:1:1'")
        application.execute("savepoint s")
        with contextlib.suppress(psycopg.errors.DivisionByZero):
            application.execute("select 1 / 0")
        application.execute("rollback to s")
        application.execute("update public.device set name = 'marked after the error'")
    application.execute("update public.device set name = 'someone else'")
    assert triggering(device) == [(True, None), (False, None), (True, None)]


def test_a_mark_that_is_set_for_the_session_stays_in_it(device: Connection, application: Connection, role: str) -> None:
    """Hence "set local": "set" has this effect, and a pool needs DISCARD ALL or RESET after it."""
    application.execute("set jobhooks.delivery = '1:1:1'")
    application.execute("update public.device set name = 'an application'")
    device.execute(f"grant jobhooks_receiver to {role}".encode())
    application.execute("update public.device set name = 'a receiver'")
    application.execute("discard all")
    application.execute("update public.device set name = 'reset'")
    assert triggering(device) == [(True, "1:1:1"), (False, None), (True, None)]
