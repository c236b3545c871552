"""Errors that time does not fix, pauses that a receiver chooses, and the steps for a delivery that dies."""

import contextlib
import dataclasses
import json
from collections.abc import Iterable
from pathlib import Path

import pytest

from conftest import Connection
from jobhooks.operations.configuration import jobs
from jobhooks.operations.delivering.results import results_of_change
from jobhooks.operations.status import held_up
from jobhooks.store.connections import connect
from support.daemon import Daemon, jobhooks, wait_until
from support.hooking import add_hook, write_receivers

# The row's name says how a run fails. Each class once as a def receiver, once as an async def one.
SOURCE = """
import asyncio, json, os, time
from pathlib import Path
from jobhooks import JobHookReceiver, Retry

class Gone(Exception):
    pass

def act(name):
    match name:
        case "type":
            None + 1
        case "gone":
            raise Gone("no such device")
        case "value":
            raise ValueError("not yet")
        case "import":
            import no_such_module
        case "asks":
            raise Retry(0.05)

class Base:
    class Meta:
        backoff = 0.05
        max_attempts = 4
        no_retry_on = (Gone, "json.JSONDecodeError")

class Now(Base, JobHookReceiver):
    def receive_job_hook(self, change):
        if change.postchange["name"] == "both":
            act("type" if self.attempt != 2 else "value")
        act(change.postchange["name"])

class Later(Base, JobHookReceiver):
    async def receive_job_hook(self, change):
        if change.postchange["name"] == "both":
            act("type" if self.attempt != 2 else "value")
        if change.postchange["name"] == "group":
            async with asyncio.TaskGroup() as group:
                group.create_task(asyncio.sleep(0)), group.create_task(self.fail_as("type"))
        act(change.postchange["name"])
    async def fail_as(self, name):
        act(name)

class Retries(Base, JobHookReceiver):
    class Meta(Base.Meta):
        retry_on = TypeError
    def receive_job_hook(self, change):
        act(change.postchange["name"])

def dead(self, exc):
    with open("dead", "a") as file:
        print(type(self).__name__, self.attempt, type(exc).__name__, file=file)

class DiesNow(JobHookReceiver):
    class Meta:
        backoff, max_attempts, time_limit = 0.05, 2, 1
    def receive_job_hook(self, change):
        if change.postchange["name"] == "ends":
            os._exit(3)
        if change.postchange["name"] == "hangs":
            time.sleep(60)
        act(change.postchange["name"])
    def on_dead(self, exc):
        dead(self, exc)
        self.log_info("buried")
        self.connection

class DiesLater(JobHookReceiver):
    class Meta:
        backoff, max_attempts = 0.05, 2
    async def receive_job_hook(self, change):
        act(change.postchange["name"])
    async def on_dead(self, exc):
        dead(self, exc)
        self.log_info("buried")

class ListNow(JobHookReceiver):
    class Meta:
        backoff = [0.05, 0.05, 3600]
    def receive_job_hook(self, change):
        act("value")

def pause(failures):
    return {1: 0.05, 2: 0, 3: 1800}[failures]

class ComputesNow(JobHookReceiver):
    class Meta:
        backoff = pause
    def receive_job_hook(self, change):
        act("value")

class ComputesLater(JobHookReceiver):
    class Meta:
        backoff = staticmethod(pause)
    async def receive_job_hook(self, change):
        act("value")

def nonsense(failures):
    if failures == 1:
        raise SystemExit("no")
    return [None, "soon", float("nan"), -1, True][failures - 2]

class Nonsense(JobHookReceiver):
    class Meta:
        backoff, max_attempts = nonsense, 2
    def receive_job_hook(self, change):
        act("value")

class NonsenseLater(JobHookReceiver):
    class Meta:
        backoff, max_attempts = nonsense, 2
    async def receive_job_hook(self, change):
        act("value")
"""


@pytest.fixture
def receivers(tmp_path: Path) -> Path:
    return write_receivers(tmp_path / "receivers", SOURCE)


# What each way to fail raises, attempt by attempt, until the delivery is dead.
RAISED = {
    "type": ["TypeError"] * 2,
    "gone": ["Gone"] * 2,
    "import": ["ModuleNotFoundError"] * 2,
    "value": ["ValueError"] * 4,
    "both": ["TypeError", "ValueError", "TypeError", "TypeError"],
    "asks": ["Retry"] * 4,
}
ERRORS = """
select job.class_path, change.postchange ->> 'name', result.error
from jobhooks.job_result as result
join jobhooks.job on job.id = result.job_id
join jobhooks.object_change as change on change.id = result.change_id
order by result.change_id, result.attempt
"""

LINES = "select change_id, attempt, level, message from jobhooks.job_log_entry order by change_id, line"
WAITING = """
select hook.name, attempts, change_id, due_at, extract(epoch from due_at - clock_timestamp())::float
from jobhooks.delivery
join jobhooks.job_hook as hook on hook.id = hook_id
"""


def change(conn: Connection, name: str) -> None:
    conn.execute("update public.device set name = %s where id = 1", [name])


def write(conn: Connection, names: Iterable[str]) -> None:
    """Create a device of each name."""
    conn.cursor().executemany("insert into public.device (name) values (%s)", [[name] for name in names])


def dead(conn: Connection) -> list[tuple[object, ...]]:
    return conn.execute("select attempts, failures from jobhooks.delivery where status = 'dead'").fetchall()


def errors(conn: Connection) -> list[str]:
    rows = conn.execute("select error from jobhooks.job_result order by change_id, attempt").fetchall()
    return [str(error).partition(":")[0] for (error,) in rows]


def test_an_error_that_time_does_not_fix_is_repeated_once(
    device: Connection, database: str, receivers: Path, log: Path
) -> None:
    """Another error in between, or a Retry, counts as ever: up to max_attempts. One device for each way to fail."""
    both = ["r.Now", "r.Later"]
    for job in both:
        add_hook(database, receivers, job, ["create"])
    write(device, RAISED)
    with Daemon(database, receivers, log):
        wait_until("all are dead", lambda: len(dead(device)) == len(both) * len(RAISED))
    found: dict[tuple[str, str], list[str]] = {}
    for job, name, error in device.execute(ERRORS).fetchall():
        found.setdefault((job, name), []).append(error.partition(":")[0])
    assert found == {(job, name): errors for job in both for name, errors in RAISED.items()}
    assert sorted(dead(device)) == sorted((len(errors), len(errors)) for _ in both for errors in RAISED.values())


def test_a_group_of_such_errors_is_such_an_error(device: Connection, database: str, receivers: Path, log: Path) -> None:
    add_hook(database, receivers, "r.Later")
    change(device, "group")
    with Daemon(database, receivers, log):
        wait_until("it is dead", lambda: dead(device) == [(2, 2)])
    assert errors(device) == ["ExceptionGroup"] * 2


def test_a_receiver_retries_what_would_be_dead(device: Connection, database: str, receivers: Path, log: Path) -> None:
    add_hook(database, receivers, "r.Retries")
    change(device, "type")
    with Daemon(database, receivers, log):
        wait_until("it is dead", lambda: dead(device) == [(4, 4)])


def test_an_operator_names_classes_instead_of_the_receiver(
    device: Connection, database: str, receivers: Path, log: Path
) -> None:
    """The worker process resolves the names; ``Exception`` is named as well, but ValueError is nearer."""
    add_hook(database, receivers, "r.Now")
    with contextlib.closing(connect(database)) as conn:
        jobs.set_job(conn, "r.Now", {"no_retry_on": ["ValueError"], "retry_on": ["Exception", "r.Gone"]})
    change(device, "value")
    with Daemon(database, receivers, log):
        wait_until("it is dead", lambda: dead(device) == [(2, 2)])
        device.execute("select jobhooks.retry_deliveries('{1}', '{1}')")
        wait_until("it was repeated once again", lambda: dead(device) == [(4, 2)])
        device.execute("select jobhooks.discard_deliveries('{1}', '{1}')")
        change(device, "gone")
        wait_until("the other one is dead", lambda: dead(device) == [(4, 4)])


def test_a_restart_between_the_error_and_its_repeat_changes_nothing(
    device: Connection, database: str, receivers: Path, log: Path
) -> None:
    """The row of the backlog says that the last error lasts."""
    add_hook(database, receivers, "r.Now")
    with contextlib.closing(connect(database)) as conn:
        jobs.set_job(conn, "r.Now", {"backoff": 3600.0})
    change(device, "type")
    with Daemon(database, receivers, log):
        wait_until("it failed", lambda: device.execute("select lasting from jobhooks.delivery").fetchall() == [(True,)])
    device.execute("update jobhooks.delivery set due_at = clock_timestamp()")
    with Daemon(database, receivers, log):
        wait_until("it is dead", lambda: dead(device) == [(2, 2)])


@pytest.mark.parametrize(
    ("job", "died"),
    [
        ("DiesNow", {"type": "TypeError", "value": "ValueError", "ends": "WorkerDied", "hangs": "TimeLimitExceeded"}),
        ("DiesLater", {"type": "TypeError", "value": "ValueError"}),
    ],
)
def test_a_receiver_hears_of_a_delivery_that_dies(
    device: Connection, database: str, receivers: Path, log: Path, job: str, died: dict[str, str]
) -> None:
    """Once, at the last failure; also if the process of that run was killed. There is no connection then."""
    add_hook(database, receivers, f"r.{job}", ["create"])
    write(device, died)
    with Daemon(database, receivers, log):
        wait_until("all are dead", lambda: dead(device) == [(2, 2)] * len(died), 60)
    heard = (receivers / "dead").read_text().splitlines()
    assert sorted(heard) == sorted(f"{job} 2 {error}" for error in died.values())
    logged: dict[int, list[tuple[object, ...]]] = {}
    for change_id, attempt, level, message in device.execute(LINES).fetchall():
        logged.setdefault(change_id, []).append((attempt, level, message.partition(":")[0]))
    raised = [(2, "warning", "raised InterfaceError")] if job == "DiesNow" else []
    assert list(logged.values()) == [[(2, "info", "buried"), *raised]] * len(died)


def test_a_receiver_chooses_its_pauses(device: Connection, database: str, receivers: Path, log: Path) -> None:
    pauses = {"r.ListNow": 3600, "r.ComputesNow": 1800, "r.ComputesLater": 1800}
    for job in pauses:
        add_hook(database, receivers, job)
    change(device, "any")
    with Daemon(database, receivers, log) as daemon:
        wait_until("all have failed three times", lambda: [row[1] for row in device.execute(WAITING)] == [3] * 3)
        waiting = device.execute(WAITING).fetchall()
        logged = daemon.await_event("delivery_failed", 3 * len(pauses))  # after the rows have committed
    with contextlib.closing(connect(database)) as conn:
        results = results_of_change(conn, waiting[0][2]).results
    for hook, _, _, due_at, due_in in waiting:
        job = hook.removeprefix("hook of ")
        assert [result.next_attempt_at for result in results if result.hook == hook] == [None, None, due_at]
        spread = 0.2 if job == "r.ListNow" else 0.0
        assert pauses[job] * (1 - spread) - 60 < due_in <= pauses[job] * (1 + spread)
        said = [event["next_attempt_s"] for event in logged if event["hook"] == hook]
        assert said == [pytest.approx(0.05, abs=0.06)] * 2 + [pytest.approx(due_in, abs=60)]


@pytest.mark.parametrize("job", ["r.Nonsense", "r.NonsenseLater"])
def test_a_function_that_gives_no_pause_leaves_the_usual_one(
    device: Connection, database: str, receivers: Path, log: Path, job: str
) -> None:
    """Not even SystemExit ends the daemon. The run's log has the error, the daemon's that the delivery is dead."""
    add_hook(database, receivers, job)
    change(device, "any")
    with Daemon(database, receivers, log) as daemon:
        wait_until("it is dead", lambda: dead(device) == [(2, 2)])
        (died,) = daemon.await_event("delivery_dead")  # logged after the row has committed
    lines = device.execute("select level, message from jobhooks.job_log_entry order by attempt").fetchall()
    assert [level for level, _ in lines] == ["warning"] * 2
    assert [message.partition(":")[0] for _, message in lines] == [
        "it raised SystemExit",
        "it returned None, which is not a number of seconds from 0 to a year",
    ]
    assert ["next_attempt_s" in event for event in daemon.events("delivery_failed")] == [True, False]
    assert died["later_changes"] == "wait" and died["reason"] == "max_attempts"
    assert died["level"] == "error" and str(died["remedy"]).startswith("jobhooks delivery retry 1 --hook")


def test_what_waits_behind_a_dead_delivery_is_not_missed(
    device: Connection, database: str, receivers: Path, log: Path
) -> None:
    """Status and the list of hooks say how many deliveries and objects, and the command to see them."""
    add_hook(database, receivers, "r.Now", ["update"])
    device.execute("insert into public.device (name) values ('two'), ('three')")
    device.execute("update public.device set name = 'type' where id < 3")
    with Daemon(database, receivers, log):
        wait_until("both are dead", lambda: dead(device) == [(2, 2)] * 2)
        for name in ("a", "b", "c"):
            device.execute("update public.device set name = %s where id < 3", [name])
        blocked = "select count(*) from jobhooks.delivery_states() where status = 'blocked'"
        wait_until("the others wait", lambda: device.execute(blocked).fetchall() == [(6,)])
    (held,) = json.loads(jobhooks("status", "--json", "--database-url", database).stdout)["held_up"]
    assert (held["hook"], held["dead"], held["held_up"], held["held_up_objects"]) == ("hook of r.Now", 2, 6, 2)
    with contextlib.closing(connect(database)) as conn:
        (known,) = held_up(conn)
    assert dataclasses.asdict(known) == held
    for command in (("status",), ("hook", "list")):
        shown = jobhooks(*command, "--database-url", database)
        assert "6 deliveries of 2 objects blocked behind them" in shown.stdout + shown.stderr
    device.execute(
        "select jobhooks.discard_deliveries(array_agg(change_id), array_agg(hook_id)) from jobhooks.delivery"
    )
    assert json.loads(jobhooks("status", "--json", "--database-url", database).stdout)["held_up"] == []
