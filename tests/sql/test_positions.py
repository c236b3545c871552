"""Hooks that are paused or read the log alone: their positions, what the log keeps for them, and how that is shown."""

import psycopg
import pytest

from conftest import Connection
from jobhooks.store.queries import migrations
from support.daemon import LIMIT

NOW = "pg_current_snapshot()"
STATE = "select enabled, runs, why_not from jobhooks.hooks where name = 'h'"
POSITIONS = "select hook_id from jobhooks.hook_position order by 1"
LAGGING = "select hook_id, changes, held_changes, held_bytes > 0 from jobhooks.lagging_hooks(%s) order by 1"
HOURS_AGO = "update jobhooks.object_change set time = now() - interval '2 hours'"


@pytest.fixture
def hooks(device: Connection) -> Connection:
    """The client, with the enabled hooks "h" (1) and "other" (2) of two jobs, on two tables."""
    device.execute("create table public.site (id integer primary key, place text)")
    device.execute("select jobhooks.watch('public.site')")
    device.execute("insert into jobhooks.job (class_path, enabled) values ('a.B', true), ('c.D', true)")
    device.execute("select jobhooks.add_hook('h', '{public.device}', '{update}', 'a.B')")
    device.execute("select jobhooks.add_hook('other', '{public.site}', '{create,update}', 'c.D')")
    return device


def write(conn: Connection, times: int = 1) -> None:
    for _ in range(times):
        conn.execute("update public.device set name = name || 'x' where id = 1")


def read_all(conn: Connection) -> None:
    """Move the cursor that the hooks share to the end of the log."""
    conn.execute(
        f"update jobhooks.cursor set seen = {NOW}, horizon = {NOW}, seen_floor = newest.id, horizon_floor = newest.id,"
        " last_id = 0 from (select coalesce(max(id), 0) as id from jobhooks.object_change) as newest".encode()
    )


def leave_behind(conn: Connection, hook_id: int = 1) -> None:
    """Save the position of a hook that reads alone: what is in the log now is done, and no more."""
    conn.execute(
        "insert into jobhooks.hook_position (hook_id, seen, seen_floor, horizon, horizon_floor, last_id)"
        f" select %s, {NOW}, newest.id, {NOW}, newest.id, 0"
        " from (select coalesce(max(id), 0) as id from jobhooks.object_change) as newest".encode(),
        [hook_id],
    )


def maintain(conn: Connection) -> str:
    row = conn.execute("select jobhooks.maintain_log('0 s')").fetchone()
    assert row is not None
    return row[0]


def problems(conn: Connection) -> list[tuple[str, str, str]]:
    return conn.execute("select subject, problem, remedy from jobhooks.problems_of_positions()").fetchall()


def test_a_paused_hook_runs_nothing_and_says_how_to_resume_it(hooks: Connection) -> None:
    """It stays enabled, and among the hooks that a daemon loads."""
    since = hooks.execute("select enabled_since from jobhooks.job_hook order by id").fetchall()
    hooks.execute("select jobhooks.pause_hook('h')")
    (enabled, runs, why_not) = hooks.execute(STATE).fetchone() or (None, None, "")
    assert (enabled, runs) == (True, False) and why_not.endswith("jobhooks hook resume 'h'")
    loaded = "select active, runs, settings::json ->> 'paused' from jobhooks.loaded_hooks where name = 'h'"
    assert hooks.execute(loaded).fetchone() == (True, False, "true")
    hooks.execute("select jobhooks.pause_hook('h', false)")
    assert hooks.execute(STATE).fetchone() == (True, True, None)
    assert hooks.execute("select enabled_since from jobhooks.job_hook order by id").fetchall() == since
    with pytest.raises(psycopg.Error) as error:
        hooks.execute("select jobhooks.pause_hook('g')")
    assert error.value.sqlstate == "JH029" and error.value.diag.message_hint == "jobhooks hook list"


def test_a_pause_is_recorded_and_reaches_the_daemon_at_once(hooks: Connection) -> None:
    """By the version that is part of each page, and by a NOTIFY."""
    version = hooks.execute("select jobhooks.configuration_version()").fetchone()
    with psycopg.connect(hooks.info.dsn, autocommit=True) as listener:
        listener.execute("listen jobhooks")
        hooks.execute("select jobhooks.pause_hook('h')")
        assert [notice.payload for notice in listener.notifies(timeout=LIMIT, stop_after=1)] == ["configuration"]
    assert hooks.execute("select jobhooks.configuration_version()").fetchone() != version
    changed = (
        "select before ->> 'paused', after ->> 'paused' from jobhooks.configuration_change order by id desc limit 1"
    )
    assert hooks.execute(changed).fetchone() == ("false", "true")


def test_the_history_from_before_there_was_a_pause_has_it(empty_database: str) -> None:
    """Otherwise the next change of any setting would show it as well."""
    with psycopg.connect(empty_database, autocommit=True) as admin:
        for migration in migrations()[:15]:
            admin.execute(migration.text.encode())
        admin.execute(
            "insert into jobhooks.configuration_change (kind, object_id, name, action, user_name, before, after) values"
            """ ('hook', 1, 'h', 'create', 'alice', null, '{"name": "h"}'),"""
            """ ('hook', 1, 'h', 'delete', 'alice', '{}', null),"""
            """ ('job', 1, 'a.B', 'create', 'alice', null, '{"enabled": true}')"""
        )
        admin.execute(migrations()[15].text.encode())
        rows = admin.execute("select after from jobhooks.configuration_change order by id").fetchall()
    assert rows == [({"name": "h", "paused": False},), (None,), ({"enabled": True},)]


@pytest.mark.parametrize(
    ("statement", "left"),
    [
        ("select jobhooks.enable_hook('h', false)", [(2,)]),
        ("update jobhooks.job_hook set enabled = false", []),
        ("select jobhooks.edit_hook('h', '{\"enabled\": false}')", [(2,)]),
        ("select jobhooks.enable_job('c.D', false)", [(1,)]),
        ("update jobhooks.job set enabled = false where class_path = 'a.B'", [(2,)]),
        ("select jobhooks.delete_hook('h')", [(2,)]),
        ("select jobhooks.pause_hook('h')", [(1,), (2,)]),
        ("select jobhooks.edit_hook('h', '{\"priority\": 1}')", [(1,), (2,)]),
        ("update jobhooks.job set installed = false", [(1,), (2,)]),
    ],
)
def test_disabling_gives_the_position_up_by_any_path(
    hooks: Connection, role: str, statement: str, left: list[tuple[int]]
) -> None:
    """And nothing else does. An operator need not be allowed to write positions."""
    leave_behind(hooks, 1)
    leave_behind(hooks, 2)
    hooks.execute(f"grant jobhooks_operator, jobhooks_daemon to {role}".encode())
    hooks.execute(f"set role {role}".encode())
    hooks.execute(statement.encode())
    assert hooks.execute(POSITIONS).fetchall() == left


def test_a_position_that_was_saved_while_the_hook_was_off_goes_when_it_is_enabled(hooks: Connection) -> None:
    """The daemon may have been about to save it."""
    hooks.execute("select jobhooks.enable_hook('h', false)")
    hooks.execute("select jobhooks.enable_job('c.D', false)")
    leave_behind(hooks, 1)
    leave_behind(hooks, 2)
    hooks.execute("select jobhooks.enable_hook('h')")
    assert hooks.execute(POSITIONS).fetchall() == [(2,)]
    hooks.execute("select jobhooks.enable_job('c.D')")
    assert hooks.execute(POSITIONS).fetchall() == []


def test_the_log_and_results_above_the_lowest_position_stay(hooks: Connection) -> None:
    """A hook that reads a change again finds out from its result that it is done."""
    write(hooks)
    leave_behind(hooks, 1)
    write(hooks)
    hooks.execute(
        "insert into jobhooks.job_result (change_id, hook_id, job_id, attempt, status, started_at, finished_at)"
        " values (1, 1, 1, 1, 'success', now(), now()), (2, 1, 1, 1, 'success', now(), now())"
    )
    hooks.execute("select jobhooks.maintain_log('0 s', 1)")
    write(hooks)
    read_all(hooks)
    for _ in range(2):
        assert "dropped" not in maintain(hooks)
        hooks.execute("select jobhooks.drop_old_results('0 s', 0)")
    assert hooks.execute("select id from jobhooks.object_change order by 1").fetchall() == [(1,), (2,), (3,)]
    assert hooks.execute("select change_id from jobhooks.job_result order by 1").fetchall() == [(1,), (2,)]
    hooks.execute("select jobhooks.enable_hook('h', false)")
    assert "dropped segment 1" in maintain(hooks)
    hooks.execute("select jobhooks.drop_old_results('0 s', 0)")
    assert hooks.execute("select change_id from jobhooks.job_result").fetchall() == []


def test_a_position_left_by_a_hook_that_is_off_holds_nothing(hooks: Connection) -> None:
    write(hooks)
    hooks.execute("select jobhooks.enable_hook('h', false)")
    hooks.execute(
        "insert into jobhooks.hook_position (hook_id, seen, seen_floor, horizon, horizon_floor, last_id)"
        " values (1, '3:3:', 0, '3:3:', 0, 0)"
    )
    hooks.execute("select jobhooks.maintain_log('0 s', 1)")
    read_all(hooks)
    assert "dropped segment 1" in maintain(hooks)
    assert hooks.execute(LAGGING, [10_000]).fetchall() == []


def test_a_copy_has_no_positions(hooks: Connection) -> None:
    """They are snapshots of another server."""
    leave_behind(hooks)
    hooks.execute("update jobhooks.cursor set system_identifier = 1")
    hooks.execute("select jobhooks.adopt()")
    assert hooks.execute(POSITIONS).fetchall() == []


def test_how_far_a_hook_is_behind_counts_changes_of_its_tables(hooks: Connection) -> None:
    """What it holds of the log are all of them."""
    write(hooks, 2)
    leave_behind(hooks)
    write(hooks, 3)
    hooks.execute("insert into public.site values (1), (2)")
    hooks.execute("set jobhooks.triggering = off; update public.device set name = 'quiet'; reset jobhooks.triggering")
    read_all(hooks)
    assert hooks.execute(LAGGING, [10_000]).fetchall() == [(1, 3, 6, True)]
    hooks.execute("update jobhooks.hook_position set last_id = 4")
    assert hooks.execute(LAGGING, [10_000]).fetchall() == [(1, 1, 4, True)]
    unread = "select hook, changes from jobhooks.backlog where status = 'unread' order by hook nulls first"
    assert hooks.execute(unread).fetchall() == [(None, 0), ("h", 1)]


def test_very_many_changes_behind_count_by_their_ids(hooks: Connection) -> None:
    """In the proportion of those that were looked at: here every other one is of the hook's table."""
    leave_behind(hooks)
    hooks.execute(
        "do $$ begin for number in 1 .. 500 loop update public.device set name = number::text;"
        " insert into public.site values (number); end loop; end $$"
    )
    assert hooks.execute(LAGGING, [100]).fetchall() == [(1, 500, 1000, True)]


def test_a_paused_hook_without_a_saved_position_is_where_the_others_are(hooks: Connection) -> None:
    """No daemon has run since."""
    write(hooks)
    read_all(hooks)
    hooks.execute("select jobhooks.pause_hook('h')")
    assert hooks.execute(LAGGING, [10_000]).fetchall() == [(1, 0, 0, False)]
    write(hooks)
    assert hooks.execute(LAGGING, [10_000]).fetchall() == [(1, 1, 1, True)]


@pytest.mark.parametrize(
    ("statement", "words", "remedy"),
    [
        ("select jobhooks.pause_hook('h')", "paused", "jobhooks hook resume 'h'; or"),
        ("update jobhooks.job set installed = false where class_path = 'a.B'", "receiver", "put "),
        ("select", "behind", "jobhooks status "),
    ],
)
def test_a_hook_that_holds_the_log_for_an_hour_is_a_problem(
    hooks: Connection, statement: str, words: str, remedy: str
) -> None:
    write(hooks)
    hooks.execute(HOURS_AGO)
    leave_behind(hooks)
    read_all(hooks)
    hooks.execute(statement.encode())
    assert problems(hooks) == [], "what is before its position is not held"
    write(hooks, 2)
    assert problems(hooks) == [], "it holds them for less than an hour"
    hooks.execute(HOURS_AGO)
    read_all(hooks)
    ((subject, problem, found),) = problems(hooks)
    assert subject == 'hook "h"' and words in problem and "2 changes" in problem and "kB" in problem
    assert found.startswith(remedy) and found.endswith("jobhooks hook disable 'h'")
    assert ("warning", subject, problem, found) in hooks.execute("select * from jobhooks.problems()").fetchall()


def test_deliveries_of_a_paused_hook_are_not_late(hooks: Connection) -> None:
    hooks.execute(
        "insert into jobhooks.delivery (change_id, hook_id, content_type_id, status, due_at)"
        " values (1, 1, 1, 'waiting', now() - interval '2 hours')"
    )
    late = "select subject from jobhooks.problems_of_deliveries()"
    assert hooks.execute(late).fetchall() == [('hook "h"',)]
    hooks.execute("select jobhooks.pause_hook('h')")
    assert hooks.execute(late).fetchall() == []
