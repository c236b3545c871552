"""Every runner keeps the promises of the Runner protocol; ``support.engine.conforming.RUNNERS`` lists them."""

import asyncio
from dataclasses import replace

import pytest

from conftest import Connection
from jobhooks.contract.choices import JobResultStatus
from jobhooks.contract.control import Cancelled
from jobhooks.contract.job_settings import JobLimits
from jobhooks.engine.running.runner import TimeLimits
from jobhooks.errors import AlreadySettled, DatabaseUnreachable, StatementInterrupted
from jobhooks.matching.hook_table import Hook
from support.engine.conforming import CHANGES, UnderTest
from support.engine.grouping import copied, results
from support.engine.running import HOOK, until

SUCCESS, FAILURE, DISCARDED = JobResultStatus.SUCCESS, JobResultStatus.FAILURE, JobResultStatus.DISCARDED


def words(conn: Connection) -> list[str]:
    return [word for (word,) in conn.execute("select word from public.copy order by n").fetchall()]


async def test_a_run_that_used_its_connection_commits_with_its_result(rig: UnderTest, copying: Connection) -> None:
    outcome = await rig.run("Writes", 3)
    assert (outcome.status, outcome.recorded, outcome.undone, outcome.value) == (SUCCESS, True, False, "3")
    assert copied(copying) == [3] and results(copying) == [(3, 1, "success")]


async def test_a_run_that_did_not_use_it_is_left_to_the_caller_to_record(rig: UnderTest, copying: Connection) -> None:
    outcome = await rig.run("Reads", 3)
    assert (outcome.status, outcome.recorded, [line.message for line in outcome.log]) == (SUCCESS, False, ["looked"])
    assert results(copying) == []


async def test_a_failure_is_rolled_back_and_left_to_the_caller_to_record(rig: UnderTest, copying: Connection) -> None:
    outcome = await rig.run("Raises", 3)
    assert (outcome.status, outcome.error, outcome.recorded) == (FAILURE, "ValueError: no", False)
    assert outcome.raised and outcome.retry_after is None and "in receive_job_hook" in (outcome.traceback or "")
    assert copied(copying) == [] and results(copying) == []


async def test_a_retry_is_a_failure_that_says_when(rig: UnderTest, copying: Connection) -> None:
    outcome = await rig.run("Retries", 3)
    assert (outcome.status, outcome.raised, outcome.retry_after, outcome.recorded) == (FAILURE, True, 5, False)
    assert copied(copying) == []


async def test_a_discard_is_rolled_back_and_final(rig: UnderTest, copying: Connection) -> None:
    outcome = await rig.run("Discards", 3)
    assert (outcome.status, outcome.error, outcome.raised) == (DISCARDED, "not for us", False)
    assert outcome.undone and not outcome.recorded and copied(copying) == []


async def test_a_logged_failure_keeps_what_was_written(rig: UnderTest, copying: Connection) -> None:
    outcome = await rig.run("LogsFailure", 3)
    assert (outcome.status, outcome.raised, outcome.recorded) == (FAILURE, False, True)
    assert copied(copying) == [3] and results(copying) == [(3, 1, "failure")]


@pytest.mark.parametrize(
    ("change", "steps"), [(1, ["after_return success"]), (2, ["on_failure no", "after_return failure"])]
)
async def test_the_last_steps_have_run(rig: UnderTest, copying: Connection, change: int, steps: list[str]) -> None:
    """Their lines belong to the result, or to the daemon's log if the result is recorded."""
    outcome = await rig.run("Ends", change)
    lines = outcome.afterwards if outcome.recorded else outcome.log
    assert [line.message for line in lines] == steps
    assert outcome.recorded is (change == 1) and copied(copying) == ([1] if change == 1 else [])


async def test_a_batch_is_one_call_with_a_result_for_each(rig: UnderTest, copying: Connection) -> None:
    outcome = await rig.run("TakesBatches", 1, 2, 4, 5)
    assert (outcome.status, outcome.recorded) == (SUCCESS, True)
    assert copied(copying) == [1, 2, 4, 5]
    assert results(copying) == [(number, 1, "success") for number in (1, 2, 4, 5)]


async def test_a_batch_that_fails_leaves_nothing(rig: UnderTest, copying: Connection) -> None:
    outcome = await rig.run("TakesBatches", 1, 2, 4)
    assert (outcome.status, outcome.undone, outcome.recorded) == (FAILURE, True, False)
    assert copied(copying) == [] and results(copying) == []


async def test_a_batch_that_fails_makes_nothing_dead(rig: UnderTest, copying: Connection) -> None:
    """Each of its deliveries is attempted by itself afterwards, and may succeed."""
    last = replace(HOOK, limits=JobLimits(max_attempts=1))
    assert (await rig.run("TakesBatches", 1, 2, 4, hook=last)).undone
    if TimeLimits.HARD in rig.runner.time_limits:
        (rig.here / "seconds").write_bytes(b"." * 300)
        ended = await rig.run(
            "TakesBatches", 1, 2, 3, 4, 5, hook=replace(HOOK, limits=JobLimits(max_attempts=1, time_limit=0.3))
        )
        assert (ended.error or "").startswith("TimeLimitExceeded: ")
    assert not (rig.here / "dead").exists()


@pytest.mark.parametrize(
    ("limit", "hook", "error"),
    [
        (TimeLimits.SOFT, replace(HOOK, limits=JobLimits(soft_time_limit=0.3)), "SoftTimeLimitExceeded"),
        (TimeLimits.HARD, replace(HOOK, limits=JobLimits(time_limit=0.3)), "TimeLimitExceeded"),
    ],
)
async def test_a_time_limit_ends_a_run_unless_the_runner_says_that_it_does_not_hold_it(
    rig: UnderTest, copying: Connection, limit: TimeLimits, hook: Hook, error: str
) -> None:
    holds = limit in rig.runner.time_limits
    (rig.here / "seconds").write_bytes(b"." * (300 if holds else 1))
    outcome = await rig.run("Sleeps", 3, hook=hook)
    if holds:
        assert outcome.status is FAILURE and (outcome.error or "").startswith(f"{error}: ")
        assert outcome.undone and not outcome.recorded and copied(copying) == []
    else:
        assert outcome.status is SUCCESS and copied(copying) == [3]
    assert (await rig.run("Writes", 4)).status is SUCCESS


async def test_a_lost_connection_is_no_outcome(rig: UnderTest, copying: Connection) -> None:
    """The run after it gets another connection."""
    with pytest.raises(DatabaseUnreachable):
        await rig.run("LosesItsConnection", 3)
    assert copied(copying) == [] and results(copying) == []
    assert (await rig.run("Writes", 4)).recorded


async def test_an_interrupted_statement_is_not_called_a_lost_connection(rig: UnderTest, copying: Connection) -> None:
    copying.execute(
        "create function public.stops() returns trigger language plpgsql as $$begin raise exception 'no memory' using"
        " errcode = '53200'; end$$; create constraint trigger stops after insert on public.copy"
        " deferrable initially deferred for each row execute function public.stops()"
    )
    try:
        error = (await rig.run("Writes", 3)).error
    except StatementInterrupted as exc:
        error = f"StatementInterrupted: {exc}"
    assert error is not None and error.startswith("StatementInterrupted: ") and "no memory" in error
    assert "lost" not in error and copied(copying) == []


async def test_a_connection_that_was_cut_while_idle_is_replaced(rig: UnderTest, copying: Connection) -> None:
    assert (await rig.run("Writes", 3)).recorded
    copying.execute(
        "select pg_terminate_backend(pid, 5000) from pg_stat_activity"
        " where application_name = 'jobhooks receiver' and datname = current_database()"
    )
    assert (await rig.run("Writes", 4)).recorded
    assert copied(copying) == [3, 4]


@pytest.mark.parametrize("name", ["Writes", "LogsFailure"])
async def test_the_first_result_of_an_attempt_stands(rig: UnderTest, copying: Connection, name: str) -> None:
    await rig.run("Writes", 3)
    with pytest.raises(AlreadySettled):
        await rig.run(name, 3)
    assert copied(copying) == [3] and results(copying) == [(3, 1, "success")]
    assert (await rig.run("Writes", 3, attempt=2)).recorded


async def test_each_delivery_comes_to_one_end_whatever_the_others_do(rig: UnderTest, copying: Connection) -> None:
    """Runs that fail, write nothing, keep to themselves, or are settled, among others that share a transaction."""
    await rig.run("Writes", 5)
    reported = await rig.run_each("Mixed", rig.of("Mixed", *range(1, CHANGES + 1)))
    expected = {number: FAILURE if number % 5 in {2, 3} else SUCCESS for number in range(1, CHANGES + 1) if number != 5}
    outcomes = {number: outcome.status for number, outcome in reported.outcomes.items() if outcome is not None}
    assert outcomes == expected and reported.outcomes[5] is None and 5 in reported.alone
    kept = [number for number in range(1, CHANGES + 1) if number % 5 in {0, 3, 4}]
    assert sorted(copied(copying)) == kept
    statuses = {change: status for change, _, status in results(copying)}
    assert statuses == {number: "failure" if number % 5 == 3 else "success" for number in kept}
    for number, outcome in reported.outcomes.items():
        assert outcome is None or outcome.recorded is (number in kept)


async def test_what_was_not_begun_is_given_back(rig: UnderTest, copying: Connection) -> None:
    """A delivery of a hook that has changed does not run with those before it, nor one that must be alone."""
    deliveries = [
        *rig.of("Writes", 1),
        *rig.of("Writes", 2, 3, hook=replace(HOOK, limits=JobLimits(soft_time_limit=100.0))),
    ]
    deliveries[2].alone = True
    reported = await rig.run_each("Writes", deliveries)
    assert all(outcome is not None and outcome.recorded for outcome in reported.outcomes.values())
    assert copied(copying) == [1, 2, 3]


@pytest.mark.parametrize("name", ["CancelsItself", "RaisesCancelled"])
async def test_a_run_that_cancels_itself_is_a_failure(rig: UnderTest, copying: Connection, name: str) -> None:
    """The task that runs it goes on with the others."""
    outcome = await rig.run(name, 3)
    assert outcome.status is FAILURE and outcome.undone and "ancelled" in (outcome.error or "")
    reported = await rig.run_each(name, rig.of(name, *range(1, CHANGES + 1)))
    statuses = {number: outcome.status for number, outcome in reported.outcomes.items() if outcome is not None}
    assert statuses == {number: SUCCESS if number % 3 else FAILURE for number in range(1, CHANGES + 1)}
    assert not [number for number in copied(copying) if number % 3 == 0]
    current = asyncio.current_task()
    assert current is not None and not current.cancelling()


@pytest.mark.parametrize(
    ("name", "error"),
    [
        ("ExitsSilently", "exit code 0"),
        ("IsKilled", "SIGKILL"),
        ("LeavesAProgram", "exit code 7"),
    ],
)
async def test_a_run_that_ends_its_process_is_a_failure(
    rig: UnderTest, copying: Connection, name: str, error: str
) -> None:
    """Programs that it leaves behind may hold its connections open."""
    if rig.kind != "process":
        pytest.skip("it would end the process of the tests")
    outcome = await rig.run(name, 3)
    assert outcome.status is FAILURE
    assert outcome.error is not None and outcome.error.startswith("WorkerDied: ") and error in outcome.error
    assert outcome.undone and copied(copying) == []
    reported = await rig.run_each(name, rig.of(name, 4, 5))
    assert [outcome and outcome.status for outcome in reported.outcomes.values()] == [FAILURE, FAILURE]
    assert (await rig.run("Writes", 6)).recorded


async def test_no_more_calls_of_a_receiver_run_than_it_has_capacity_for(rig: UnderTest) -> None:
    calls = [asyncio.create_task(rig.run("Waits", number)) for number in range(1, 5)]
    most = min(rig.runner.capacity or len(calls), len(calls))
    await until("as many run as can", lambda: len(list(rig.here.glob("began *"))) == most)
    (rig.here / "go on").touch()
    assert {outcome.status for outcome in await asyncio.gather(*calls)} == {SUCCESS}
    moments = [(float(path.read_text()), 1) for path in rig.here.glob("began *")]
    moments += [(float(path.read_text()), -1) for path in rig.here.glob("ended *")]
    running, highest = 0, 0
    for _, change in sorted(moments):
        running += change
        highest = max(highest, running)
    assert len(moments) == 8 and highest == most


async def test_a_run_goes_on_with_its_code_while_receivers_are_reloaded(rig: UnderTest, copying: Connection) -> None:
    """The next run has the new code."""
    running = asyncio.create_task(rig.run("WritesAndWaits", 1))
    await until("it runs", lambda: rig.there("began 1"))
    rig.reload("second")
    following = asyncio.create_task(rig.run("Writes", 2))
    (rig.here / "go on").touch()
    assert (await running).recorded and (await following).recorded
    assert sorted(words(copying)) == ["first", "second"]
    rig.reload("third")
    assert (await rig.run("Writes", 3)).recorded
    assert words(copying)[-1] == "third"


async def test_a_call_that_is_cancelled_leaves_nothing(rig: UnderTest, copying: Connection) -> None:
    """Not even a transaction that others would have to wait for."""
    running = asyncio.create_task(rig.run("WritesAndWaits", 1))
    await until("it runs", lambda: rig.there("began 1"))
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    await until("its transaction is over", lambda: not open_transactions(copying))
    assert copied(copying) == [] and results(copying) == []
    assert (await rig.run("Writes", 2)).recorded


async def test_runs_that_are_ended_cannot_commit_and_others_can_follow(rig: UnderTest, copying: Connection) -> None:
    running = asyncio.create_task(rig.run("WritesAndWaits", 1))
    await until("it runs", lambda: rig.there("began 1"))
    rig.runner.end_runs()
    await until("its transaction is over", lambda: not open_transactions(copying))
    (rig.here / "go on").touch()
    with pytest.raises((asyncio.CancelledError, DatabaseUnreachable)):
        await running
    assert copied(copying) == [] and results(copying) == []
    assert (await rig.run("Writes", 2)).recorded


async def test_closing_ends_what_runs(rig: UnderTest, copying: Connection) -> None:
    running = asyncio.create_task(rig.run("WritesAndWaits", 1))
    await until("it runs", lambda: rig.there("began 1"))
    running.cancel()
    async with asyncio.timeout(30):
        await rig.runner.close()
    with pytest.raises(asyncio.CancelledError):
        await running
    await until("its transaction is over", lambda: not open_transactions(copying))
    assert copied(copying) == [] and results(copying) == []


def open_transactions(conn: Connection) -> int:
    (count,) = conn.execute(
        "select count(*) from pg_stat_activity where application_name = 'jobhooks receiver' and state <> 'idle'"
        " and datname = current_database()"
    ).fetchone() or (0,)
    return count


@pytest.mark.parametrize("rig", ["loop", "process"], indirect=True)  # the thread is a test's, and scheduling sees none
@pytest.mark.parametrize("in_group", [False, True])
async def test_a_call_that_has_ended_has_no_part_in_the_next_one(
    rig: UnderTest, copying: Connection, in_group: bool
) -> None:
    """Scheduling may still have it while the result is written."""
    (first,), (second,) = rig.of("Waits", 3), rig.of("Waits", 4)
    running = asyncio.create_task(
        rig.run_each("Waits", [first]) if in_group else rig.runner.run(rig.found("Waits"), [first])
    )
    await until("it runs", lambda: rig.there("began 3"))
    ended = first.call
    assert ended is not None and ended.is_running(first.identity)
    (rig.here / "go on").touch()
    await running
    (rig.here / "go on").unlink()
    following = asyncio.create_task(rig.runner.run(rig.found("Waits"), [second]))
    await until("the next one runs", lambda: rig.there("began 4"))
    assert all(line.message == "waits 3" for line in ended.lines(first.identity))
    ended.end(Cancelled("too late"))
    (rig.here / "go on").touch()
    assert (await following).status is SUCCESS
