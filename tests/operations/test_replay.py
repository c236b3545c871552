"""A replay in two steps, and the queueing of a job run: which changes are delivered again, and which are not."""

import pytest

from conftest import Connection
from jobhooks.errors import InvalidConditions, JobhooksError, Refused, UnknownHook, UnknownJob
from jobhooks.operations.delivering.job_run import await_results, queue_job
from jobhooks.operations.delivering.replay import ReplayFilter, plan_replay, replay
from jobhooks.store.connections import SyncConnection
from support.progress import RecordedProgress


@pytest.fixture
def hooked(device: Connection) -> Connection:
    """Four updates of one row, older than the hook "late", whose job is a.B."""
    for name in "abcd":
        device.execute("update public.device set name = %s where id = 1", [name])
    device.execute("insert into jobhooks.job (class_path, enabled) values ('a.B', true)")
    device.execute("select jobhooks.add_hook('late', '{public.device}', '{update}', 'a.B')")
    return device


def pending(conn: Connection) -> list[tuple[int, str]]:
    return conn.execute("select change_id, status from jobhooks.delivery_states() order by change_id").fetchall()


def test_a_plan_changes_nothing_and_a_replay_queues_it(
    hooked: Connection, admin: SyncConnection, progress: RecordedProgress
) -> None:
    plan = plan_replay(admin, ReplayFilter("late", change_ids=[2, 3, 99]))
    assert (list(plan.change_ids), plan.passed_over, plan.hook.runs) == ([2, 3], [99], True)
    assert pending(hooked) == []
    assert replay(admin, plan, progress) == 2
    assert (progress.tasks, progress.done) == ([("queueing", 2)], 2)
    assert pending(hooked) == [(2, "waiting"), (3, "blocked")]
    assert replay(admin, plan) == 0, "they are pending already"


def test_pending_changes_are_not_replayed(hooked: Connection, admin: SyncConnection) -> None:
    replay(admin, plan_replay(admin, ReplayFilter("late", change_ids=[1, 2])))
    assert list(plan_replay(admin, ReplayFilter("late")).change_ids) == [3, 4]
    with pytest.raises(Refused):
        plan_replay(admin, ReplayFilter("late", change_ids=[1]))


def test_a_hook_that_reads_alone_is_not_past_what_the_others_have_read(
    hooked: Connection, admin: SyncConnection
) -> None:
    """It will deliver these changes when it gets there: now they would run twice."""
    for name in "ef":
        hooked.execute("update public.device set name = %s where id = 1", [name])
    read = "seen = pg_current_snapshot(), horizon = pg_current_snapshot()"
    hooked.execute(f"update jobhooks.cursor set {read}".encode())
    assert list(plan_replay(admin, ReplayFilter("late")).change_ids) == [1, 2, 3, 4, 5, 6]
    hooked.execute(
        "insert into jobhooks.hook_position (hook_id, seen, seen_floor, horizon, horizon_floor, last_id)"
        " select 1, enabled_since, 4, pg_current_snapshot(), 6, 5 from jobhooks.job_hook"
    )
    assert list(plan_replay(admin, ReplayFilter("late")).change_ids) == [1, 2, 3, 4, 5]


def test_the_hooks_columns_and_conditions_count(
    hooked: Connection, admin: SyncConnection, progress: RecordedProgress
) -> None:
    hooked.execute("update jobhooks.job_hook set columns = '{name}', conditions = 'new.name != \"b\"'")
    assert list(plan_replay(admin, ReplayFilter("late"), progress).change_ids) == [1, 3, 4]
    assert (progress.tasks, progress.done) == ([("matching", 4)], 4)
    hooked.execute("update jobhooks.job_hook set conditions = 'new.name == \"b\" || new.size == 1'")
    plan = plan_replay(admin, ReplayFilter("late"))
    assert list(plan.change_ids) == [2]
    assert plan.failed_conditions is not None and plan.failed_conditions.changes == 3
    assert "size" in plan.failed_conditions.error
    hooked.execute("update jobhooks.job_hook set conditions = 'new.name == \"z\"'")
    with pytest.raises(Refused):
        plan_replay(admin, ReplayFilter("late"))
    hooked.execute("update jobhooks.job_hook set conditions = 'new.name =='")
    with pytest.raises(InvalidConditions):
        plan_replay(admin, ReplayFilter("late"))


def test_unknown_hooks_are_refused(hooked: Connection, admin: SyncConnection) -> None:
    with pytest.raises(UnknownHook):
        plan_replay(admin, ReplayFilter("lat"))


def test_a_job_runs_by_its_hooks_for_a_change(hooked: Connection, admin: SyncConnection) -> None:
    queued = queue_job(admin, "a.B", 2)
    assert queued.change.id == 2
    assert [(each.hook.name, each.attempts) for each in queued.deliveries] == [("late", 0)]
    assert queued.passed_over == []
    assert pending(hooked) == [(2, "waiting")]
    with pytest.raises(JobhooksError) as caught:
        await_results(admin, queued, 0)
    assert caught.value.remedy == "jobhooks delivery show 2"
    assert pending(hooked) == [(2, "waiting")], "it stays queued"


def test_a_job_run_returns_only_new_results(
    hooked: Connection, admin: SyncConnection, progress: RecordedProgress
) -> None:
    insert = (
        "insert into jobhooks.job_result (change_id, hook_id, job_id, attempt, status, started_at)"
        " values (2, 1, 1, %s, 'success', now())"
    )
    hooked.execute(insert, [1])
    queued = queue_job(admin, "a.B", 2)
    assert [each.attempts for each in queued.deliveries] == [1]
    hooked.execute(insert, [2])
    assert [result.attempt for result in await_results(admin, queued, 0, progress)] == [2]
    assert ([total for _, total in progress.tasks], progress.done) == ([1], 1)


@pytest.mark.parametrize(
    "statement",
    [
        "update jobhooks.job set enabled = false",
        "update jobhooks.object_change set triggering = false where id = 2",
        "insert into jobhooks.delivery (change_id, hook_id, content_type_id, lane, status) values (2, 1, 1, 7, 'dead')",
        "update jobhooks.job_hook set enabled_since = '1:1:'",
    ],
)
def test_a_job_that_cannot_run_now_is_not_queued(hooked: Connection, admin: SyncConnection, statement: str) -> None:
    """The hook is off, a receiver made the change, it is pending already, or the daemon will deliver it anyway."""
    hooked.execute(statement.encode())
    before = pending(hooked)
    with pytest.raises(Refused):
        queue_job(admin, "a.B", 2)
    assert pending(hooked) == before


def test_what_does_not_exist_is_refused(hooked: Connection, admin: SyncConnection) -> None:
    with pytest.raises(UnknownJob):
        queue_job(admin, "a.b", 2)
    with pytest.raises(Refused):
        queue_job(admin, "a.B", 99)
    hooked.execute("delete from public.device")
    with pytest.raises(Refused):
        queue_job(admin, "a.B", 5)
