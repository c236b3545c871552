"""The engine as a process: failures are retried in order, slow receivers delay no other, crashes end alone."""

import re
import signal
import time
from collections import defaultdict
from pathlib import Path

import psycopg
import pytest

from conftest import Connection
from support.capturing import watch
from support.daemon import Daemon, wait_until
from support.delivering import backlog, seen_by, settled, statuses, write
from support.hooking import add_hook


def test_what_fails_is_attempted_again_and_holds_up_its_own_object_only(
    seen: Connection, database: str, receivers: Path, log: Path
) -> None:
    """Later changes of the object wait for it, before and after a restart, while other objects go on."""
    add_hook(database, receivers, "r.Fails")
    bad = write(seen, "bad", 1)
    good = write(seen, "good", 1)
    seen.execute("update public.device set serial = '2' where id = %s", [bad])
    seen.execute("update public.device set serial = '2' where id = %s", [good])
    with Daemon(database, receivers, log) as daemon:
        daemon.await_event("delivery_failed", 2)
        wait_until("the other object goes on", lambda: seen_by(seen, "Fails") == [(good, "1"), (good, "2")])
        wait_until(
            "the change behind it is parked", lambda: [d[:2] for d in backlog(seen)] == [(1, "waiting"), (3, "blocked")]
        )
        daemon.kill()
    seen.execute("update public.device set serial = '3' where id = %s", [bad])
    with Daemon(database, receivers, log) as daemon:
        daemon.await_event("delivery_failed")
        wait_until("the new one is also behind it", lambda: [d[0] for d in backlog(seen)] == [1, 3, 5])
        seen.execute("insert into public.mended values (%s)", [bad])
        wait_until("all is settled", settled(seen, 5))
        assert daemon.terminate() == 0
    assert seen_by(seen, "Fails") == [(good, "1"), (good, "2"), (bad, "1"), (bad, "2"), (bad, "3")]
    attempts = [attempt for change, attempt, _ in statuses(seen) if change == 1]
    assert attempts == list(range(1, len(attempts) + 1))
    failures = seen.execute("select distinct error from jobhooks.job_result where status = 'failure'").fetchall()
    assert failures == [(f"ValueError: cannot work on {bad}",)]


def test_a_job_may_let_later_changes_of_an_object_go_on(
    seen: Connection, database: str, receivers: Path, log: Path
) -> None:
    add_hook(database, receivers, "r.FailsAndSkips")
    bad = write(seen, "bad", 1)
    seen.execute("update public.device set name = 'good', serial = '2' where id = %s", [bad])
    with Daemon(database, receivers, log):
        wait_until("the later one is delivered", lambda: seen_by(seen, "FailsAndSkips") == [(bad, "2")])
        assert backlog(seen) == [(1, "waiting", 1)]


def test_what_later_changes_may_pass_is_attempted_again_though_one_of_them_takes_long(
    seen: Connection, database: str, receivers: Path, log: Path
) -> None:
    """It is due while a later change of its object runs, and waits for that."""
    add_hook(database, receivers, "r.FailsOnceAndSkips")
    with Daemon(database, receivers, log).await_started() as daemon:
        with seen.transaction():
            one = write(seen, "bad", 1)
            seen.execute("update public.device set name = 'slow', serial = '2'")
        daemon.await_event("delivery_failed")
        wait_until("both have rows", lambda: [row[:2] for row in backlog(seen)] == [(1, "waiting"), (2, "waiting")])
        due = "select clock_timestamp() > due_at + interval '0.5 seconds' from jobhooks.delivery where change_id = 1"
        wait_until("it is due", lambda: seen.execute(due).fetchone() == (True,))
        assert len(statuses(seen)) == 1
        seen.execute("insert into public.mended values (1)")
        wait_until("all is settled", settled(seen, 2))
    assert sorted(seen_by(seen, "FailsOnceAndSkips")) == [(one, "1"), (one, "2")]


def test_after_its_last_attempt_a_delivery_is_dead_and_holds_up_its_object(
    seen: Connection, database: str, receivers: Path, log: Path
) -> None:
    """Until an operator decides: order is a promise."""
    add_hook(database, receivers, "r.GivesUp")
    bad = write(seen, "bad", 1)
    seen.execute("update public.device set name = 'good' where id = %s", [bad])
    with Daemon(database, receivers, log) as daemon:
        daemon.await_event("delivery_failed", 3)
        wait_until("it is dead", lambda: backlog(seen) == [(1, "dead", 3), (2, "blocked", 0)])
        good = write(seen, "good", 1)
        wait_until("others go on", lambda: seen_by(seen, "GivesUp") == [(good, "1")])
        assert daemon.terminate() == 0
    assert statuses(seen) == [(1, 1, "failure"), (1, 2, "failure"), (1, 3, "failure"), (3, 1, "success")]


def test_objects_keep_their_order_through_failures_at_random(
    seen: Connection, database: str, receivers: Path, log: Path
) -> None:
    """Per object the successes come in the order of its changes, each once."""
    add_hook(database, receivers, "r.FailsAtRandom", ["update"])
    seen.execute("insert into public.device (name, serial) select 'd', '0' from generate_series(1, 10)")
    with Daemon(database, receivers, log, JOBHOOKS_PAGE_SIZE="20"):
        for turn in range(1, 21):
            seen.execute("update public.device set serial = %s", [str(turn)])
        wait_until("all is settled", settled(seen, 200))
    by_object: dict[object, list[object]] = defaultdict(list)
    for key, value in seen_by(seen, "FailsAtRandom"):
        by_object[key].append(value)
    assert len(by_object) == 10
    for key, values in by_object.items():
        assert values == [str(turn) for turn in range(1, 21)], (key, values, statuses(seen))


def test_a_receiver_may_ask_for_another_attempt_or_for_none(
    seen: Connection, database: str, receivers: Path, log: Path
) -> None:
    add_hook(database, receivers, "r.Asks", ["create"])
    later, never = write(seen, "later", 1), write(seen, "never", 1)
    with Daemon(database, receivers, log):
        wait_until("both are settled", settled(seen, 2))
    assert seen_by(seen, "Asks") == [(later, "1")]
    assert statuses(seen) == [(later, 1, "failure"), (later, 2, "success"), (never, 1, "discarded")]
    errors = seen.execute("select error, traceback from jobhooks.job_result where error is not null order by change_id")
    assert errors.fetchall() == [("Retry: not yet", None), ("not for us", None)]


@pytest.mark.parametrize("receiver", ["AsksForNonsense", "AsksForNonsenseNow"])
def test_who_asks_for_another_attempt_at_no_time_at_all_has_failed(
    seen: Connection, database: str, receivers: Path, log: Path, receiver: str
) -> None:
    """No number that a receiver comes up with may reach the database, which would refuse it, and end the daemon."""
    add_hook(database, receivers, f"r.{receiver}", ["create"])
    with Daemon(database, receivers, log).await_started() as daemon:
        for after in ("inf", "1e300", "nan", "-1"):
            write(seen, "asks", after)
        write(seen, "fine", 1)
        wait_until("all have a result", lambda: len(statuses(seen)) == 5)
        assert daemon.terminate() == 0
    errors = [error for (error,) in seen.execute("select error from jobhooks.job_result order by change_id").fetchall()]
    assert [error and error.partition(":")[0] for error in errors] == ["ValueError"] * 4 + [None]


def test_a_row_that_is_nested_too_deep_for_a_parser_is_delivered(
    seen: Connection, database: str, receivers: Path, log: Path
) -> None:
    """PostgreSQL takes far more levels than Python's stack does: one such row must not end the daemon."""
    seen.execute("alter table public.device add column document jsonb")
    add_hook(database, receivers, "r.Sees", ["create"])
    with Daemon(database, receivers, log).await_started() as daemon:
        seen.execute("insert into public.device (document) values ((repeat('[', 2000) || repeat(']', 2000))::jsonb)")
        other = write(seen, "d", 1)
        wait_until("both have a result", lambda: len(statuses(seen)) == 2)
        assert daemon.terminate() == 0
    assert (other, "1") in seen_by(seen, "Sees")


@pytest.mark.parametrize("slow", ["r.Sleeps", "r.SleepsNow"])
def test_a_slow_hook_does_not_delay_another(
    seen: Connection, database: str, receivers: Path, log: Path, slow: str
) -> None:
    """A hundred changes, a second each for one of the hooks: the other has all of them long before."""
    add_hook(database, receivers, slow, ["create"])
    add_hook(database, receivers, "r.Sees", ["create"])
    add_hook(database, receivers, "r.SeesNow", ["create"])
    with Daemon(
        database, receivers, log, JOBHOOKS_PAGE_SIZE="10", JOBHOOKS_SHUTDOWN_GRACE="0"
    ).await_started() as daemon:
        for number in range(100):
            write(seen, "d", number)
        for fast in ("Sees", "SeesNow"):
            wait_until("the fast one is through", lambda fast=fast: len(seen_by(seen, fast)) == 100)
        row = seen.execute("select count(*) from jobhooks.job_result where hook_id = 1").fetchone()
        assert row is not None and row[0] < 90
        daemon.terminate()


def test_receivers_that_hold_their_connections_keep_none_from_another(
    seen: Connection, database: str, receivers: Path, log: Path
) -> None:
    """Two of them could have all that one pool would hold; the third is through before any of theirs has ended."""
    for receiver in ("r.Waits", "r.WaitsToo", "r.Sees"):
        add_hook(database, receivers, receiver, ["create"])
    with Daemon(database, receivers, log).await_started():
        for number in range(20):
            write(seen, "waits", number)
        wait_until("the fast one is through", lambda: len(seen_by(seen, "Sees")) == 20)
        assert seen_by(seen, "Waits") == seen_by(seen, "WaitsToo") == []
        (receivers / "go on").touch()
        wait_until("all are", settled(seen, 60))


@pytest.mark.parametrize("receiver", ["Limited", "LimitedAsync"])
def test_time_limits_end_a_run_and_nothing_else(
    seen: Connection, database: str, receivers: Path, log: Path, receiver: str
) -> None:
    add_hook(database, receivers, f"r.{receiver}", ["create"])
    names = ["soft", "hard", "fine"] + (["loop"] if receiver == "Limited" else [])
    for name in names:
        write(seen, name, 1)
    with Daemon(database, receivers, log):
        wait_until("all have a result", lambda: len(statuses(seen)) == len(names))
    errors = dict(seen.execute("select change_id, error from jobhooks.job_result").fetchall())
    kinds = {change: error and error.partition(":")[0] for change, error in errors.items()}
    expected = {1: "SoftTimeLimitExceeded", 2: "TimeLimitExceeded", 3: None, 4: "TimeLimitExceeded"}
    assert kinds == {change: expected[change] for change in kinds}
    assert seen_by(seen, receiver) == [(3, "1")]  # the others' writes were rolled back


def test_both_limits_that_pass_in_one_turn_of_the_loop_end_the_run_and_not_the_hook(
    seen: Connection, database: str, receivers: Path, log: Path
) -> None:
    """A receiver of another hook blocks the loop. This hook runs one at a time: the next run must begin."""
    add_hook(database, receivers, "r.LimitedAlone", ["create"])
    add_hook(database, receivers, "r.BlocksTheLoop", ["create"])
    write(seen, "hangs", 1)
    write(seen, "fine", 2)
    with Daemon(database, receivers, log) as daemon:
        wait_until("all have a result", lambda: len(statuses(seen)) == 4)
        assert daemon.terminate() == 0
    errors = seen.execute("select error from jobhooks.job_result where hook_id = 1 order by change_id").fetchall()
    assert [error and error.partition(":")[0] for (error,) in errors] == ["TimeLimitExceeded", None]


def test_a_run_that_is_ended_at_its_limit_while_it_commits_leaves_no_backlog(
    seen: Connection, database: str, receivers: Path, log: Path
) -> None:
    """Its failure is written down when it has committed after all: its own result stands, the next change goes on."""
    add_hook(database, receivers, "r.CommitsSlowly", ["create", "update"])
    seen.execute(
        "create function public.slow() returns trigger language plpgsql"
        " as $$ begin perform pg_sleep(3); return new; end $$;"
        "create constraint trigger slow after insert on public.seen deferrable initially deferred"
        " for each row when (new.value = '1') execute function public.slow()"
    )
    with Daemon(database, receivers, log).await_started() as daemon:
        with seen.transaction():
            one = write(seen, "d", 1)
            seen.execute("update public.device set serial = '2'")
        wait_until("all is settled", settled(seen, 2), 60)
        assert "TimeLimitExceeded" in daemon.words()  # else it ended in time, and nothing was shown
    assert seen_by(seen, "CommitsSlowly") == [(one, "1"), (one, "2")]
    assert statuses(seen) == [(1, 1, "success"), (2, 1, "success")]


def test_a_crash_takes_down_its_own_run_only(seen: Connection, database: str, receivers: Path, log: Path) -> None:
    add_hook(database, receivers, "r.Crashes", ["create"])
    names = ["fine", "segfault", "fine", "exit", "memory", "fine"]
    for name in names:
        write(seen, name, 1)
    with Daemon(database, receivers, log, JOBHOOKS_WORKER_MEMORY_LIMIT="1000") as daemon:
        wait_until("all have a result", lambda: len(statuses(seen)) == len(names))
        assert daemon.terminate() == 0
    errors = [error for (error,) in seen.execute("select error from jobhooks.job_result order by change_id").fetchall()]
    assert [error for name, error in zip(names, errors, strict=True) if name == "fine"] == [None, None, None]
    assert errors[1].startswith("WorkerDied: ") and "SIGSEGV" in errors[1]
    assert errors[3].startswith("WorkerDied: ") and re.findall(r"\d+", errors[3]) == ["3"]
    assert "MemoryError" in errors[4]
    assert sorted(seen_by(seen, "Crashes")) == [(1, "1"), (3, "1"), (6, "1")]


def test_hooks_and_jobs_change_at_run_time(seen: Connection, database: str, receivers: Path, log: Path) -> None:
    """A hook that is added, disabled and enabled while the daemon runs counts from that moment on."""
    add_hook(database, receivers, "r.Sees", ["create"])
    with Daemon(database, receivers, log, JOBHOOKS_POLL_INTERVAL="3600").await_started():
        one = write(seen, "one", 1)
        wait_until("it is seen", lambda: seen_by(seen, "Sees") == [(one, "1")])
        seen.execute("update jobhooks.job_hook set enabled = false")
        write(seen, "off", 2)
        add_hook(database, receivers, "r.SeesNow", ["create"])
        three = write(seen, "three", 3)
        wait_until("the new hook sees it", lambda: seen_by(seen, "SeesNow") == [(three, "3")])
        seen.execute("update jobhooks.job_hook set enabled = true where id = 1")
        four = write(seen, "four", 4)
        wait_until("both see it", lambda: seen_by(seen, "SeesNow")[1:] == [(four, "4")] == seen_by(seen, "Sees")[1:])


def test_what_a_job_is_set_to_at_run_time_holds_for_the_next_run(
    seen: Connection, database: str, receivers: Path, log: Path
) -> None:
    """Its limits and its switch, also for changes that are already read."""
    add_hook(database, receivers, "r.Sleeps", ["create"])
    set_limits = "update jobhooks.job set settings = settings || '{}' where class_path = 'r.Sleeps'"
    with Daemon(database, receivers, log, JOBHOOKS_POLL_INTERVAL="3600").await_started() as daemon:
        seen.execute(set_limits.format('{"concurrency": 1, "max_attempts": 1}').encode())
        seen.execute("insert into public.device (name, serial) select 'x', i::text from generate_series(1, 4) as i")
        daemon.await_event("delivered")
        seen.execute(set_limits.format('{"time_limit": 0.5}').encode())
        daemon.await_event("delivery_failed")
        seen.execute("update jobhooks.job set enabled = false where class_path = 'r.Sleeps'")
        seen.execute(set_limits.format('{"time_limit": null}').encode())
        wait_until("nothing runs", lambda: len(statuses(seen)) + len(backlog(seen)) >= 4)
        before = statuses(seen)
        seen.execute("update jobhooks.job set enabled = true where class_path = 'r.Sleeps'")
        wait_until("the rest is delivered", lambda: len(statuses(seen)) == 4)
    assert [status for _, _, status in before][:1] == ["success"] and len(before) < 4
    assert "failure" in [status for _, _, status in before]
    assert [attempt for _, attempt, _ in statuses(seen)] == [1, 1, 1, 1]


def test_who_blocks_the_loop_is_named_in_the_daemons_log(
    seen: Connection, database: str, receivers: Path, log: Path
) -> None:
    """With the place: all other async receivers wait for it."""
    add_hook(database, receivers, "r.BlocksTheLoop", ["create"])
    with Daemon(database, receivers, log).await_started() as daemon:
        write(seen, "blocks", 1)
        (event,) = daemon.await_event("loop_blocked")
    assert event["receiver"] == "r.BlocksTheLoop" and "time.sleep(2)" in str(event["stack"])


def test_a_disabled_hooks_backlog_waits_until_it_is_enabled(
    seen: Connection, database: str, receivers: Path, log: Path
) -> None:
    add_hook(database, receivers, "r.Fails", ["create"])
    bad = write(seen, "bad", 1)
    with Daemon(database, receivers, log) as daemon:
        daemon.await_event("delivery_failed")
        seen.execute("update jobhooks.job_hook set enabled = false")
        write(seen, "good", 1)
        daemon.terminate()
    seen.execute("insert into public.mended values (%s)", [bad])
    with Daemon(database, receivers, log).await_started():
        assert [row[:2] for row in backlog(seen)] == [(1, "waiting")]
        seen.execute("update jobhooks.job_hook set enabled = true")
        wait_until("it is delivered", lambda: backlog(seen) == [] and seen_by(seen, "Fails") == [(bad, "1")])


def test_a_new_hook_is_served_although_the_only_other_one_is_disabled_and_far_behind(
    seen: Connection, database: str, receivers: Path, log: Path
) -> None:
    """If every hook is behind, nothing is read. A disabled hook with a backlog beyond memory does not count."""
    add_hook(database, receivers, "r.Sleeps", ["create"])
    seen.execute("insert into public.device (name) select 'd' from generate_series(1, 600)")
    seen.execute(
        "insert into jobhooks.delivery (change_id, hook_id, content_type_id, lane, status, due_at)"
        " select id, 1, content_type_id, id, 'waiting', now() from jobhooks.object_change"
    )
    with Daemon(database, receivers, log, JOBHOOKS_POLL_INTERVAL="1").await_started() as daemon:
        daemon.await_event("delivered")
        seen.execute("update jobhooks.job_hook set enabled = false")
        add_hook(database, receivers, "r.Sees", ["create"])
        new = write(seen, "new", 1)
        wait_until("the new hook sees it", lambda: seen_by(seen, "Sees") == [(new, "1")])
        assert len(backlog(seen)) > 200


def test_a_key_that_changes_stays_in_order_with_what_was_and_what_becomes(
    seen: Connection, database: str, receivers: Path, log: Path
) -> None:
    """The failing update of the key holds up the old object and the new one."""
    seen.execute("alter table public.device alter id set generated by default")
    add_hook(database, receivers, "r.Fails", ["update", "delete"])
    seen.execute("insert into public.device (id, name, serial) values (10, 'a', '0'), (30, 'c', '0')")
    seen.execute("update public.device set id = 20, name = 'bad', serial = '1' where id = 10")
    seen.execute("update public.device set name = 'good', serial = '2' where id = 20")
    seen.execute("update public.device set serial = '3' where id = 30")
    with Daemon(database, receivers, log):
        wait_until("the other goes on", lambda: seen_by(seen, "Fails") == [(30, "3")])
        wait_until("the new key waits", lambda: [row[1] for row in backlog(seen)] == ["waiting", "blocked"])
        seen.execute("insert into public.mended values (20)")
        wait_until("all is settled", settled(seen, 3))
    assert seen_by(seen, "Fails") == [(30, "3"), (20, "1"), (20, "2")]


def test_an_object_keeps_its_order_whatever_time_zones_its_writers_have(
    seen: Connection, database: str, receivers: Path, log: Path
) -> None:
    """The moment that is its key is one, however a session would write it."""
    seen.execute("create table public.reading (at timestamptz primary key, id integer, name text, serial text)")
    watch(seen, "public.reading")
    add_hook(database, receivers, "r.Fails", table="public.reading")
    with (
        psycopg.connect(database, autocommit=True, options="-c timezone=UTC") as one,
        psycopg.connect(database, autocommit=True, options="-c timezone=Asia/Kathmandu") as other,
    ):
        one.execute("insert into public.reading values ('2026-01-01 00:00:00Z', 7, 'bad', '1')")
        other.execute("update public.reading set serial = '2'")
        one.execute("update public.reading set serial = '3'")
    with Daemon(database, receivers, log) as daemon:
        daemon.await_event("delivery_failed")
        wait_until("all are parked", lambda: [row[1] for row in backlog(seen)] == ["waiting", "blocked", "blocked"])
        seen.execute("insert into public.mended values (7)")
        wait_until("all is settled", settled(seen, 3))
    assert seen_by(seen, "Fails") == [(7, "1"), (7, "2"), (7, "3")]


def test_a_truncate_waits_for_the_table_and_the_table_for_it(
    seen: Connection, database: str, receivers: Path, log: Path
) -> None:
    """Later changes of the table are due after its delivery, for every object."""
    add_hook(database, receivers, "r.Fails")
    bad = write(seen, "bad", 1)
    seen.execute("truncate public.device")
    after = [write(seen, "good", 2), write(seen, "good", 2)]
    with Daemon(database, receivers, log) as daemon:
        daemon.await_event("delivery_failed", 2)
        wait_until(
            "all wait", lambda: [row[1] for row in backlog(seen)] == ["waiting", "blocked", "blocked", "blocked"]
        )
        seen.execute("insert into public.mended values (%s)", [bad])
        wait_until("all is settled", settled(seen, 4))
    assert seen_by(seen, "Fails")[:2] == [(bad, "1"), (None, None)]
    assert sorted(seen_by(seen, "Fails")[2:], key=str) == sorted(((id_, "2") for id_ in after), key=str)


def test_a_table_that_is_watched_by_another_key_keeps_its_backlog(
    seen: Connection, database: str, receivers: Path, log: Path
) -> None:
    """Followers of a failure were parked with the former key; the failure is settled with the new one."""
    seen.execute("alter table public.device add column code text default 'x'")
    add_hook(database, receivers, "r.Fails")
    bad = write(seen, "bad", 1)
    seen.execute("update public.device set serial = '2'")
    with Daemon(database, receivers, log):
        wait_until("both wait", lambda: [row[1] for row in backlog(seen)] == ["waiting", "blocked"])
        seen.execute("select jobhooks.watch('public.device', '{code}')")
        seen.execute("insert into public.mended values (%s)", [bad])
        wait_until("all is settled", settled(seen, 2))
    assert seen_by(seen, "Fails") == [(bad, "1"), (bad, "2")]


def test_a_second_daemon_stands_by_and_takes_over(
    seen: Connection, database: str, receivers: Path, log: Path, tmp_path: Path
) -> None:
    """The server reports immediately that the first one's session has ended."""
    add_hook(database, receivers, "r.Sees", ["create"])
    with (
        Daemon(database, receivers, log).await_started() as first,
        Daemon(database, receivers, tmp_path / "second.log") as second,
    ):
        second.await_event("standing_by")
        one = write(seen, "one", 1)
        wait_until("the first delivers", lambda: seen_by(seen, "Sees") == [(one, "1")])
        assert second.events("started") == []
        first.kill()
        killed_at = time.monotonic()
        two = write(seen, "two", 2)
        second.await_event("started")
        wait_until("the second delivers", lambda: seen_by(seen, "Sees")[1:] == [(two, "2")])
        assert time.monotonic() - killed_at < 10  # far more than it takes, far less than any timeout
        assert second.terminate() == 0


def test_a_leader_that_is_silent_is_deposed_and_harms_nothing_when_it_wakes(
    seen: Connection, database: str, receivers: Path, log: Path, tmp_path: Path
) -> None:
    """Its process is stopped, as when a virtual machine is paused; its sessions are all still there."""
    add_hook(database, receivers, "r.Sees", ["create"])
    with (
        Daemon(database, receivers, log, JOBHOOKS_LEADER_TIMEOUT="1").await_started() as first,
        Daemon(database, receivers, tmp_path / "second.log", JOBHOOKS_LEADER_TIMEOUT="1") as second,
    ):
        second.await_event("standing_by")
        one = write(seen, "one", 1)
        wait_until("the first delivers", lambda: seen_by(seen, "Sees") == [(one, "1")])
        first.process.send_signal(signal.SIGSTOP)
        two = write(seen, "two", 2)
        second.await_event("started")
        wait_until("the second delivers", lambda: seen_by(seen, "Sees")[1:] == [(two, "2")])
        first.process.send_signal(signal.SIGCONT)
        first.await_event("standing_by")
        three = write(seen, "three", 3)
        wait_until("the second still leads", lambda: seen_by(seen, "Sees")[2:] == [(three, "3")])
        assert second.terminate() == 0
        four = write(seen, "four", 4)
        wait_until("the first leads again", lambda: seen_by(seen, "Sees")[3:] == [(four, "4")])
    assert statuses(seen) == [(change, 1, "success") for change in (one, two, three, four)]


def test_what_was_handed_to_a_worker_and_has_not_begun_does_not_begin_after_a_signal(
    seen: Connection, database: str, receivers: Path, log: Path
) -> None:
    """Short runs are handed over together. When they turn slow, the rest goes to a free worker, or to no worker."""
    add_hook(database, receivers, "r.TurnsSlow", ["create"])
    seen.execute(
        "insert into public.device (name, serial) select case when i <= 300 then 'quick' else 'slow' end, i::text"
        " from generate_series(1, 340) as i"
    )
    slow = "select count(*) from public.seen where value::integer > 300"
    with Daemon(database, receivers, log) as daemon:
        wait_until("it has turned slow", lambda: seen.execute(slow.encode()).fetchone() != (0,), 60)
        assert daemon.terminate() == 0
    (begun,) = seen.execute(slow.encode()).fetchone() or (0,)
    assert begun < 15
    with Daemon(database, receivers, log):
        wait_until("the rest is delivered", settled(seen, 340), 60)
    assert len(seen_by(seen, "TurnsSlow")) == 340


def test_a_second_signal_ends_it_at_once(seen: Connection, database: str, receivers: Path, log: Path) -> None:
    add_hook(database, receivers, "r.Sleeps", ["create"])
    with Daemon(database, receivers, log, JOBHOOKS_SHUTDOWN_GRACE="600").await_started() as daemon:
        seen.execute("insert into public.device (name) select 'd' from generate_series(1, 100)")
        daemon.await_event("delivered", 8)
        daemon.process.send_signal(signal.SIGTERM)
        daemon.process.send_signal(signal.SIGTERM)
        assert daemon.process.wait(5) == 0
