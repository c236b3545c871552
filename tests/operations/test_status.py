"""The state of an installation, above all where looks deceive: squatters, silent leaders, the daemon's own writes."""

import contextlib
from collections.abc import Generator

import psycopg
import pytest
from psycopg import sql
from psycopg.conninfo import make_conninfo

from conftest import Connection
from jobhooks.errors import DatabaseUnreachable, Forbidden, JobhooksError, SqlMismatch, StatementInterrupted
from jobhooks.operations.doctor import problems
from jobhooks.operations.status import HookBacklog, Status, status, watch
from jobhooks.runtime.settings import Settings, load
from jobhooks.store.connections import SyncConnection, connect

SLEEP_LOCK = "select pg_advisory_lock(1785684584, 2)"


@pytest.fixture
def settings(database: str) -> Settings:
    return load(None, database_url=database)


@pytest.fixture
def other(database: str) -> Generator[Connection]:
    """Another session."""
    with psycopg.connect(database, autocommit=True) as conn:
        yield conn


def lead(session: Connection) -> None:
    """Lead with a session as a daemon does."""
    session.execute("select jobhooks.acquire_leadership()")


def test_a_session_that_only_holds_the_lock_is_not_a_daemon(
    device: Connection, other: Connection, admin: SyncConnection, settings: Settings
) -> None:
    """Even one that waited for it while the daemon before led."""
    with psycopg.connect(device.info.dsn, autocommit=True) as former:
        lead(former)
    other.execute("select pg_advisory_lock(leader_lock) from jobhooks.cursor")
    found = status(admin, settings)
    assert found.leader is None and not found.is_delivering and found.standbys == []


def test_doctor_judges_the_leader_by_its_last_statement(device: Connection, other: Connection) -> None:
    """A stopped process keeps its lock."""
    query = "select problem from jobhooks.problems_of_leader(%s)"
    assert device.execute(query, ["0 seconds"]).fetchall() == []
    lead(other)
    assert device.execute(query, ["1 minute"]).fetchall() == []
    ((problem,),) = device.execute(query, ["0 seconds"]).fetchall()
    assert "the daemon that leads has said nothing since" in problem


def test_a_daemon_leads_and_responds(
    device: Connection, other: Connection, admin: SyncConnection, settings: Settings
) -> None:
    lead(other)
    found = status(admin, settings)
    assert found.leader is not None and found.leader.pid == other.info.backend_pid
    assert (found.leader.asleep, found.standbys, found.is_delivering) == (False, [], True)
    other.execute(SLEEP_LOCK.encode())
    asleep = status(admin, settings).leader
    assert asleep is not None and asleep.asleep


def test_a_leader_that_has_stopped_speaking_does_not_respond(
    device: Connection, other: Connection, admin: SyncConnection, settings: Settings
) -> None:
    """Its session stays when its process is stopped, and it looks asleep."""
    lead(other)
    other.execute(SLEEP_LOCK.encode())
    impatient = settings.model_copy(update={"leader_timeout": 0.0})
    found = status(admin, impatient)
    assert found.leader is not None and found.leader.silent_for_s is not None and found.leader.silent_for_s > 0
    assert not found.leader.responds and not found.is_delivering


def test_changes_that_trigger_nothing_are_not_unread(
    device: Connection, admin: SyncConnection, settings: Settings
) -> None:
    """A receiver's own writes lie behind the position until it moves on, and nothing waits for them."""
    device.execute("update public.device set name = 'one'")
    device.execute("set jobhooks.triggering = off")
    device.execute("update public.device set name = 'two'")
    assert status(admin, settings).unread.changes == 1
    device.execute("delete from jobhooks.object_change where triggering")
    unread = status(admin, settings).unread
    assert (unread.changes, unread.oldest_at) == (0, None)


def test_very_many_unread_changes_count_by_their_ids(
    device: Connection, admin: SyncConnection, settings: Settings
) -> None:
    device.execute("insert into public.device (name) select 'd' from generate_series(1, 10500)")
    assert status(admin, settings).unread.changes == 10_500


def test_the_backlog_is_by_hook_and_problems_are_a_list(
    ledger: Connection, admin: SyncConnection, settings: Settings
) -> None:
    found = status(admin, settings)
    assert [(each.hook, each.waiting, each.blocked, each.dead) for each in found.deliveries] == [
        ("first", 1, 1, 1),
        ("second", 1, 0, 0),
    ]
    assert isinstance(found.deliveries[0], HookBacklog) and found.deliveries_complete
    assert found.problems == problems(admin, settings.retention_days)
    assert status(admin, settings, []).problems == []
    assert (found.last_hour.results, found.last_hour.failure, found.retention_days) == (4, 3, settings.retention_days)


def test_watching_survives_a_lost_connection(device: Connection, settings: Settings) -> None:
    looks = watch(settings)
    assert isinstance(next(looks), Status)
    device.execute(
        "select pg_terminate_backend(pid) from pg_stat_activity where pid <> pg_backend_pid()"
        " and datname = current_database()"
    )
    assert isinstance(next(looks), DatabaseUnreachable)
    assert isinstance(next(looks), Status)


FILLS_THE_LOCK_TABLE = """
do $$
begin
    for number in 1 .. 10000000 loop
        begin
            perform pg_advisory_xact_lock(number);
        exception when out_of_memory then
            return;
        end;
    end loop;
end $$
"""


def test_a_full_lock_table_is_no_lost_connection(device: Connection, admin: SyncConnection, settings: Settings) -> None:
    with device.transaction():
        device.execute(FILLS_THE_LOCK_TABLE)
        with pytest.raises(StatementInterrupted) as caught:
            status(admin, settings)
    assert caught.value.message.endswith("out of shared memory")  # PostgreSQL's hint is the remedy
    assert "max_locks_per_transaction" in (caught.value.remedy or "")
    assert status(admin, settings).database == device.info.dbname


def test_a_missing_library_of_the_server_is_no_lost_connection(device: Connection, settings: Settings) -> None:
    if device.info.server_version < 180000:
        pytest.skip("$libdir is a folder that no setting changes before PostgreSQL 18")
    name = sql.Identifier(device.info.dbname)
    device.execute(sql.SQL("alter database {} set dynamic_library_path = '/nowhere'").format(name))
    with pytest.raises(JobhooksError) as caught:
        next(watch(settings))
    assert not isinstance(caught.value, DatabaseUnreachable)
    assert "plpgsql" in caught.value.message and "installation" in (caught.value.remedy or "")


def test_a_database_without_jobhooks_has_no_status(empty_database: str) -> None:
    with pytest.raises(SqlMismatch):
        next(watch(load(None, database_url=empty_database)))
    with contextlib.closing(connect(empty_database)) as conn, pytest.raises(SqlMismatch):
        problems(conn, 30)


def test_a_stranger_is_told_which_role_it_needs(device: Connection, database: str, role: str) -> None:
    device.execute(f"grant jobhooks_receiver to {role}".encode())
    with (
        contextlib.closing(connect(make_conninfo(database, user=role))) as stranger,
        pytest.raises(Forbidden) as caught,
    ):
        problems(stranger, 30)
    assert caught.value.remedy is not None and caught.value.remedy.startswith("grant jobhooks_viewer to ")


def test_hooks_that_read_alone_or_are_paused_are_behind_by_themselves(
    ledger: Connection, admin: SyncConnection, settings: Settings
) -> None:
    """Those that are behind the longest come first."""
    ledger.execute("update jobhooks.object_change set time = now() - interval '3 hours'")
    ledger.execute("insert into public.site values (8)")
    ledger.execute("select jobhooks.pause_hook('second')")
    ledger.execute(
        "insert into jobhooks.hook_position (hook_id, seen, seen_floor, horizon, horizon_floor, last_id)"
        " values (1, '3:3:', 1, '3:3:', 1, 0)"
    )
    found = status(admin, settings).lagging_hooks
    assert [(each.hook, each.paused, each.changes, each.held_changes) for each in found] == [
        ("first", False, 2, 4),
        ("second", True, 2, 5),
    ]
    assert all(each.oldest_age_s is not None and each.oldest_age_s > 3600 for each in found)
    assert 0 < found[0].held_bytes < found[1].held_bytes
