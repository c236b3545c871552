"""A run that lasts is shown while it lasts, with its log; it can be cancelled; and its log survives its end."""

import contextlib
import os
import signal
from collections.abc import Generator
from pathlib import Path
from typing import Any

import pytest

from conftest import Connection
from jobhooks.discovery.loading import find_receivers
from jobhooks.errors import Refused
from jobhooks.operations.delivering import cancelling, deliveries, results
from jobhooks.operations.delivering.deliveries import DeliveryFilter, PendingDeliveryDetails
from jobhooks.store.connections import SyncConnection, connect
from support.daemon import Daemon, wait_until
from support.hooking import add_hook, write_receivers

LINE = "password=*** is not shown"
RECEIVERS = """
import asyncio, os, signal, time
from pathlib import Path
from jobhooks.contract.public import JobHookReceiver

GATE = Path(__file__).parent / "gate"

class Def(JobHookReceiver):
    class Meta:
        name = "Def"
        max_attempts = 1
    def receive_job_hook(self, change, action, changed_object):
        name = changed_object.name
        self.logger.info("password=hunter2 is not shown")
        if name.startswith("writes"):
            self.connection.execute("insert into public.seen values (%s)", [name])
        if name.endswith("crash"):
            os.kill(os.getpid(), signal.SIGKILL)
        while not GATE.exists():
            time.sleep(0.02)
        self.logger.info("last")

class DefLimited(Def):
    class Meta:
        name = "DefLimited"
        max_attempts = 1
        time_limit = 2.5

class Async(JobHookReceiver):
    class Meta:
        name = "Async"
        max_attempts = 1
    async def receive_job_hook(self, change, action, changed_object):
        name = changed_object.name
        self.logger.info("password=hunter2 is not shown")
        if name.startswith("writes"):
            await self.connection.execute("insert into public.seen values ($1)", name)
        while not GATE.exists():
            try:
                await asyncio.sleep(0.02)
            except asyncio.CancelledError:
                self.logger.info("cleans up")
                if name != "stubborn":
                    raise
        self.logger.info("last")

class Batch(JobHookReceiver):
    class Meta:
        name = "Batch"
        batch_size = 3
        batch_wait = 0.2
    def receive_job_hook_batch(self, changes):
        self.logger.info("password=hunter2 is not shown")
        while not GATE.exists():
            time.sleep(0.02)
"""


class Bench:
    """A database with a hook on ``public.device``, and its daemon."""

    def __init__(self, conn: Connection, database: str, directory: Path, log: Path) -> None:
        self.conn = conn
        self.database = database
        self.directory = directory
        self._log = log
        self._version = find_receivers([directory]).receivers["r.Def"].shown_version
        self.stack = contextlib.ExitStack()
        self.admin: SyncConnection = self.stack.enter_context(contextlib.closing(connect(database)))

    def hook(self, job: str) -> None:
        add_hook(self.database, self.directory, f"r.{job}")

    def start(self, **changes: str) -> Daemon:
        return self.stack.enter_context(Daemon(self.database, self.directory, self._log, **changes)).await_started()

    def write(self, name: str) -> int:
        """Insert a device, and return the id of the change."""
        self.conn.execute("insert into public.device (name) values (%s)", [name])
        ((change_id,),) = self.conn.execute("select max(id) from jobhooks.object_change").fetchall()
        return change_id

    def delivery(self, change_id: int) -> PendingDeliveryDetails | None:
        try:
            (found,) = deliveries.delivery_details(self.admin, change_id).deliveries
        except Refused:
            return None
        return found

    def await_state(self, change_id: int, state: str) -> PendingDeliveryDetails:
        def look() -> PendingDeliveryDetails | None:
            found = self.delivery(change_id)
            return found if found is not None and found.state == state else None

        found = wait_until(f"change {change_id} is {state}; now {self.delivery(change_id)}", look)
        assert found is not None
        return found

    def await_line(self, change_id: int) -> PendingDeliveryDetails:
        """Wait until its run is shown with its log."""

        def look() -> PendingDeliveryDetails | None:
            found = self.delivery(change_id)
            return found if found is not None and found.run_log else None

        found = wait_until(f"change {change_id} has log lines", look)
        assert found is not None
        return found

    def results(self, change_id: int) -> list[tuple[str, str | None, list[str]]]:
        """The status, the error and the messages of each attempt. Each has the version of the receiver that ran."""
        try:
            found = results.results_of_change(self.admin, change_id).results
        except Refused:
            return []
        assert {each.version for each in found} == {self._version}
        return [(each.status, each.error, [line.message for line in each.log]) for each in found]

    def await_result(self, change_id: int) -> tuple[str, str | None, list[str]]:
        """The only result, once it is there."""
        ((status, error, messages),) = wait_until("there is a result", lambda: self.results(change_id))
        return status, error, messages

    def cancel(self, *change_ids: int, reason: str | None = None) -> cancelling.DeliveriesCancelled:
        plan = cancelling.choose_running(self.admin, DeliveryFilter(change_ids))
        return cancelling.cancel(self.admin, plan, reason)

    def discard(self, change_id: int) -> None:
        deliveries.discard(self.admin, deliveries.choose(self.admin, DeliveryFilter([change_id])))

    def open_gate(self) -> None:
        (self.directory / "gate").touch()

    def left(self) -> int:
        """How many rows there are of runs and of their lines."""
        count = "(select count(*) from jobhooks.running_delivery) + (select count(*) from jobhooks.running_log_entry)"
        ((rows,),) = self.conn.execute(f"select {count}".encode()).fetchall()
        return rows

    def await_nothing_left(self) -> None:
        wait_until("the rows of the run are gone", lambda: self.left() == 0)


@pytest.fixture
def bench(device: Connection, database: str, tmp_path: Path, log: Path) -> Generator[Bench]:
    device.execute("create table public.seen (name text)")
    device.execute("grant insert on public.seen to public")
    made = Bench(device, database, write_receivers(tmp_path / "receivers", RECEIVERS), log)
    with made.stack:
        yield made


BOTH = pytest.mark.parametrize("kind", ["Def", "Async"])


@BOTH
def test_a_run_that_lasts_is_shown_with_its_log(bench: Bench, kind: str) -> None:
    """And when it ends, its result has the lines once."""
    bench.hook(kind)
    daemon = bench.start()
    change = bench.write("a")
    found = bench.await_line(change)
    assert found.state == "running" and found.run is not None
    assert found.run.pid == daemon.process.pid
    assert found.run.version == find_receivers([bench.directory]).receivers[f"r.{kind}"].shown_version
    if kind == "Def":
        assert found.run.worker_pid is not None
        os.kill(found.run.worker_pid, 0)
    else:
        assert found.run.worker_pid is None
    assert [line.message for line in found.run_log] == [LINE]
    (listed,) = deliveries.pending_deliveries(bench.admin, DeliveryFilter(states=["running"]), 10)
    assert (listed.change_id, listed.state, listed.status) == (change, "running", "waiting")
    bench.open_gate()
    assert bench.await_result(change) == ("success", None, [LINE, "last"])
    bench.await_nothing_left()


@BOTH
def test_a_short_run_writes_no_row(bench: Bench, kind: str) -> None:
    bench.hook(kind)
    bench.open_gate()
    bench.conn.execute(
        "create function public.refuse() returns trigger language plpgsql as $$ begin raise 'a short run'; end $$"
    )
    bench.conn.execute(
        "create trigger refuse before insert on jobhooks.running_delivery for each row execute function public.refuse()"
    )
    bench.start()
    assert bench.await_result(bench.write("a")) == ("success", None, [LINE, "last"])


@BOTH
@pytest.mark.chaos
def test_a_killed_daemon_leaves_an_interrupted_run(bench: Bench, kind: str) -> None:
    """The next daemon runs it once more, and its result keeps the log of the first run."""
    bench.hook(kind)
    daemon = bench.start()
    change = bench.write("writes")
    bench.await_line(change)
    daemon.kill()
    found = bench.await_state(change, "interrupted")
    assert found.run is not None and [line.message for line in found.run_log] == [LINE]
    bench.open_gate()
    bench.start()
    status, error, messages = bench.await_result(change)
    assert (status, error) == ("success", None)
    assert (messages[0], messages[2:]) == (LINE, [LINE, "last"])
    assert "did not end this run" in messages[1]
    assert bench.conn.execute("select name from public.seen").fetchall() == [("writes",)]
    bench.await_nothing_left()


@pytest.mark.chaos
def test_lines_of_a_killed_worker_belong_to_its_result(bench: Bench) -> None:
    bench.hook("Def")
    bench.start()
    change = bench.write("a")
    found = bench.await_line(change)
    assert found.run is not None and found.run.worker_pid is not None
    os.kill(found.run.worker_pid, signal.SIGKILL)
    status, error, messages = bench.await_result(change)
    assert (status, messages) == ("failure", [LINE])
    assert error is not None and "WorkerDied" in error


@pytest.mark.chaos
def test_lines_of_a_crash_in_the_first_second_are_kept(bench: Bench) -> None:
    """The run was too short to be shown. Its last line may be the only trace of the crash."""
    bench.hook("Def")
    bench.start()
    status, error, messages = bench.await_result(bench.write("crash"))
    assert (status, messages) == ("failure", [LINE])
    assert error is not None and "WorkerDied" in error


def test_lines_before_a_hard_time_limit_are_kept(bench: Bench) -> None:
    bench.hook("DefLimited")
    bench.start()
    status, error, messages = bench.await_result(bench.write("a"))
    assert (status, messages) == ("failure", [LINE])
    assert error is not None and error.startswith("TimeLimitExceeded")


@BOTH
@pytest.mark.parametrize("name", ["a", "writes"])
def test_a_cancelled_run_ends_and_is_dead(bench: Bench, kind: str, name: str) -> None:
    """The result says who, when and why. Nothing is kept of it, and nothing is attempted again unless that is asked."""
    bench.hook(kind)
    bench.start()
    change = bench.write(name)
    bench.await_line(change)
    outcome = bench.cancel(change, reason="wrong device")
    assert (outcome.cancelled, outcome.ended_before, outcome.still_running) == (1, 0, 0)
    status, error, messages = bench.await_result(change)
    assert status == "failure" and error is not None
    assert error.startswith("Cancelled: by ") and error.endswith(" UTC: wrong device")
    assert messages == ([LINE] if kind == "Def" else [LINE, "cleans up"])
    assert bench.await_state(change, "dead").failures == 1
    assert bench.conn.execute("select from public.seen").fetchall() == []
    bench.await_nothing_left()
    bench.open_gate()
    deliveries.retry(bench.admin, deliveries.choose(bench.admin, DeliveryFilter([change])))
    wait_until("it was retried", lambda: len(bench.results(change)) == 2)
    assert bench.results(change)[1] == ("success", None, [LINE, "last"])


@BOTH
def test_a_run_in_its_first_second_is_cancelled(bench: Bench, kind: str) -> None:
    """It has no row yet, neither of the run nor in the backlog."""
    bench.hook(kind)
    bench.start()
    change = bench.write("writes")
    assert bench.delivery(change) is None
    plan = cancelling.choose_running(bench.admin, DeliveryFilter([change]), wait_s=30)
    assert cancelling.cancel(bench.admin, plan).cancelled == 1
    status, error, _ = bench.await_result(change)
    assert status == "failure" and error is not None and error.startswith("Cancelled: by ")
    assert bench.conn.execute("select from public.seen").fetchall() == []
    bench.await_nothing_left()


@BOTH
def test_a_run_in_its_first_second_is_discarded(bench: Bench, kind: str) -> None:
    """Its delivery comes into the backlog before the run is noted. The run ends all the same: its follower begins."""
    bench.hook(kind)
    bench.start()
    change = bench.write("writes")
    bench.conn.execute("update public.device set name = 'b' where name = 'writes'")
    assert bench.delivery(change) is None
    plan = deliveries.choose(bench.admin, DeliveryFilter([change]), wait_s=30)
    assert deliveries.discard(bench.admin, plan).changed == 1
    assert bench.await_state(change + 1, "running")
    (result,) = results.results_of_change(bench.admin, change).results
    assert result.status == "discarded"
    assert bench.conn.execute("select from public.seen").fetchall() == []


def test_a_receiver_that_resists_is_abandoned(bench: Bench) -> None:
    bench.hook("Async")
    bench.start()
    change = bench.write("stubborn")
    bench.await_line(change)
    assert bench.cancel(change).cancelled == 1
    status, error, messages = bench.await_result(change)
    assert status == "failure" and error is not None and error.startswith("Cancelled: by ")
    assert messages[:2] == [LINE, "cleans up"]


@BOTH
def test_a_discard_ends_the_run(bench: Bench, kind: str) -> None:
    """Deliveries that wait for it go on, and its lines stay."""
    bench.hook(kind)
    bench.start()
    change = bench.write("writes")
    bench.await_line(change)
    bench.conn.execute("update public.device set name = 'b' where name = 'writes'")
    blocked = bench.await_state(change + 1, "blocked")
    assert blocked.behind == change
    bench.discard(change)
    follower = bench.await_state(change + 1, "running")
    assert follower.run is not None
    status, error, messages = bench.await_result(change)
    assert status == "discarded" and error is not None and error.startswith("discarded by ")
    assert messages == [LINE]
    bench.open_gate()
    assert bench.await_result(change + 1)[0] == "success"
    assert bench.conn.execute("select from public.seen").fetchall() == []
    bench.await_nothing_left()


@pytest.mark.chaos
def test_a_run_is_cancelled_when_its_daemon_is_gone(bench: Bench) -> None:
    """No daemon runs: the command records the outcome, and the next daemon does not begin it again."""
    bench.hook("Async")
    daemon = bench.start()
    change = bench.write("a")
    bench.await_line(change)
    daemon.kill()
    bench.await_state(change, "interrupted")
    assert bench.cancel(change).cancelled == 1
    status, error, messages = bench.await_result(change)
    assert (status, messages) == ("failure", [LINE])
    assert error is not None and error.startswith("Cancelled: by ")
    assert bench.await_state(change, "dead")
    bench.start()
    other = bench.write("b")
    bench.await_line(other)
    assert len(bench.results(change)) == 1 and bench.await_state(change, "dead")


@pytest.mark.chaos
def test_the_next_daemon_honours_a_cancel(bench: Bench) -> None:
    """The daemon is stopped when the run is cancelled, and killed before it can end it."""
    bench.hook("Def")
    daemon = bench.start(JOBHOOKS_LEADER_TIMEOUT="30")
    change = bench.write("a")
    bench.await_line(change)
    daemon.process.send_signal(signal.SIGSTOP)
    plan = cancelling.choose_running(bench.admin, DeliveryFilter([change]))
    assert cancelling.cancel(bench.admin, plan, wait_s=0).still_running == 1
    daemon.kill()
    bench.start()
    status, error, messages = bench.await_result(change)
    assert (status, messages) == ("failure", [LINE])
    assert error is not None and error.startswith("Cancelled: by ")
    assert bench.await_state(change, "dead")


def test_a_batch_is_cancelled_as_a_whole(bench: Bench) -> None:
    bench.hook("Batch")
    bench.start()
    bench.conn.execute("insert into public.device (name) values ('a'), ('b'), ('c')")
    ((last,),) = bench.conn.execute("select max(id) from jobhooks.object_change").fetchall()
    wait_until(
        "all run", lambda: len(deliveries.pending_deliveries(bench.admin, DeliveryFilter(states=["running"]), 9)) == 3
    )
    assert bench.cancel(last).cancelled == 1
    for change in (last - 2, last - 1, last):
        assert bench.await_state(change, "dead")
        status, error, _ = bench.await_result(change)
        assert status == "failure" and error is not None and error.startswith("Cancelled: by ")
    lines = [messages for change in (last - 2, last - 1, last) for _, _, messages in bench.results(change)]
    assert sorted(map(len, lines)) == [0, 0, 1]


def test_merged_changes_are_cancelled_together(bench: Bench) -> None:
    """One of them names the run. The first is dead, and the others wait for it, as they did before they were merged."""
    bench.hook("Def")
    bench.conn.execute("update jobhooks.job_hook set coalesce_s = 0.5")
    bench.start()
    with bench.conn.transaction():
        first = bench.write("a")
        bench.conn.execute("update public.device set name = 'b' where name = 'a'")
        bench.conn.execute("update public.device set name = 'c' where name = 'b'")
    bench.await_line(first)
    for change in (first, first + 1, first + 2):
        assert bench.await_state(change, "running")
    assert bench.cancel(first + 1).cancelled == 1
    assert bench.await_state(first, "dead")
    assert bench.await_state(first + 1, "blocked") and bench.await_state(first + 2, "blocked")
    bench.await_nothing_left()


def test_what_does_not_run_is_not_cancelled(bench: Bench) -> None:
    bench.hook("Async")
    change = bench.write("a")
    with pytest.raises(Refused):
        bench.cancel(change)


def test_a_cancel_of_a_run_that_ends_leaves_one_outcome(bench: Bench) -> None:
    """The gate opens while runs are cancelled: each attempt has one result, and the rows agree with it."""
    bench.hook("Async")
    bench.conn.execute("update jobhooks.job set overrides = '{\"concurrency\": 20}'")
    bench.start()
    changes = [bench.write(f"writes {number}") for number in range(20)]
    wait_until(
        "all run", lambda: len(deliveries.pending_deliveries(bench.admin, DeliveryFilter(states=["running"]), 99)) == 20
    )
    plan = cancelling.choose_running(bench.admin, DeliveryFilter(changes))
    bench.open_gate()
    outcome = cancelling.cancel(bench.admin, plan)
    assert outcome.cancelled + outcome.ended_before == 20 and not outcome.still_running
    found: dict[int, Any] = {change: bench.await_result(change) for change in changes}
    succeeded = {f"writes {changes.index(change)}" for change, (status, *_) in found.items() if status == "success"}
    assert {name for (name,) in bench.conn.execute("select name from public.seen")} == succeeded
    assert len(succeeded) == outcome.ended_before
    dead = deliveries.pending_deliveries(bench.admin, DeliveryFilter(states=["dead"]), 99)
    assert len(dead) == outcome.cancelled
