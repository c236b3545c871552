"""The steps after a run: they are called after its end, change nothing, and are called once."""

import asyncio
import contextlib
from dataclasses import replace
from typing import Any

import psycopg
import pytest

from conftest import Connection
from jobhooks import Change, Discard, JobHookReceiver
from jobhooks.contract.choices import LogLevel
from jobhooks.contract.job_settings import JobLimits
from jobhooks.engine.delivery.outcome import Outcome
from jobhooks.matching.hook_table import Hook
from support.engine.grouping import deliver_all
from support.engine.running import HOOK, Running, deliver, last_change, open_running, pending

Told = list[tuple[str, object, object]]
OPEN = (
    "select count(*) from pg_stat_activity where state like 'idle in transaction%' and datname = current_database()"
    " and application_name like 'jobhooks%' and pid <> pg_backend_pid()"
)


class Ends(JobHookReceiver[Any]):
    """Records its steps, and the rows another session sees at that time; the row's name selects the failure."""

    told: Told = []  # noqa: RUF012 - what is not in the database
    watcher: Connection

    def _tell(self, step: str, value: object) -> None:
        row = self.watcher.execute(f"select (select count(*) from public.copy), ({OPEN})".encode()).fetchone()
        self.told.append((step, value, row))

    def _work(self, change: Change) -> object:
        match change.postchange and change.postchange["name"]:
            case "raises":
                raise ValueError("password=hunter2")
            case "discards":
                raise Discard("not for us")
            case "logs a failure":
                self.fail("not good")
            case _:
                pass
        return 7


class EndsNow(Ends):
    def receive_job_hook(self, change: Change) -> object:
        self.kept = self.connection
        self.connection.execute("insert into public.copy (word) values ('written')")
        return self._work(change)

    def on_success(self, value: object) -> None:
        self._tell("on_success", value)

    def on_failure(self, exc: BaseException) -> None:
        self._tell("on_failure", f"{type(exc).__name__}: {exc}")
        self.log_info("told them")

    def after_return(self, status: str, value: object) -> None:
        self._tell("after_return", f"{status} {value}")


class EndsAsync(Ends):
    async def receive_job_hook(self, change: Change) -> object:
        await self.connection.execute("insert into public.copy (word) values ('written')")
        return self._work(change)

    async def on_success(self, value: object) -> None:
        self._tell("on_success", value)

    async def on_failure(self, exc: BaseException) -> None:
        self._tell("on_failure", f"{type(exc).__name__}: {exc}")
        self.log_info("told them")

    async def after_return(self, status: str, value: object) -> None:
        self._tell("after_return", f"{status} {value}")


Receiver = type[JobHookReceiver[Any]]
EITHER = pytest.mark.parametrize("receiver", [EndsNow, EndsAsync])


@pytest.fixture(autouse=True)
def _nothing_told(copying: Connection) -> None:
    Ends.told.clear()
    Ends.watcher = copying


def run(copying: Connection, database: str, receiver: Receiver, name: str, hook: Hook = HOOK) -> Outcome:
    """Make one attempt at a change of a device of that name."""
    copying.execute("update public.device set name = %s", [name])

    async def work(running: Running) -> Outcome:
        return await running.attempt(receiver, pending(await last_change(database), hook))

    async def opened() -> Outcome:
        async with open_running(database) as running:
            return await work(running)

    return asyncio.run(opened())


@EITHER
def test_the_end_of_a_success_comes_after_its_commit(copying: Connection, database: str, receiver: Receiver) -> None:
    """So a system that is notified finds the written rows; on_success comes before, and can still write."""
    assert run(copying, database, receiver, "good").error is None
    assert Ends.told == [("on_success", 7, (0, 1)), ("after_return", "success 7", (1, 0))]


@EITHER
def test_the_end_of_a_failure_comes_after_its_rollback(copying: Connection, database: str, receiver: Receiver) -> None:
    """No transaction with locks waits for a mail to be sent; and log lines are kept."""
    outcome = run(copying, database, receiver, "raises")
    assert outcome.error == "ValueError: password=***"
    assert Ends.told == [
        ("on_failure", "ValueError: password=hunter2", (0, 0)),
        ("after_return", "failure password=hunter2", (0, 0)),
    ]
    assert copying.execute("select message from jobhooks.job_log_entry").fetchall() == [("told them",)]


@EITHER
def test_a_failure_that_was_logged_has_the_steps_of_a_failure(
    copying: Connection, database: str, receiver: Receiver
) -> None:
    """As in Nautobot; the writes are kept, and committed by then."""
    assert run(copying, database, receiver, "logs a failure").error == "not good"
    assert Ends.told == [("on_failure", "LoggedFailure: not good", (1, 0)), ("after_return", "failure 7", (1, 0))]


@EITHER
def test_what_is_discarded_ends_as_discarded(copying: Connection, database: str, receiver: Receiver) -> None:
    run(copying, database, receiver, "discards")
    assert [told[:2] for told in Ends.told] == [
        ("on_failure", "Discard: not for us"),
        ("after_return", "discarded not for us"),
    ]


@EITHER
@pytest.mark.parametrize("sensitive", [False, True])
def test_a_run_that_cannot_be_committed_ends_as_a_failure(
    copying: Connection, database: str, receiver: Receiver, sensitive: bool
) -> None:
    copying.execute("create table public.one (id integer unique deferrable initially deferred)")
    copying.execute("insert into public.one values (1)")
    copying.execute(
        "create function public.twice() returns trigger language plpgsql as"
        " 'begin insert into public.one values (1); return null; end'"
    )
    copying.execute("create trigger twice after insert on public.copy for each row execute function public.twice()")
    hook = replace(HOOK, limits=JobLimits(has_sensitive_variables=sensitive))
    error = run(copying, database, receiver, "good", hook).error or ""
    assert error and ("duplicate key" in error) is not sensitive
    assert [step for step, _, _ in Ends.told] == ["on_success", "on_failure", "after_return"]
    assert "duplicate key" in str(Ends.told[1][1]) and "LoggedFailure" not in str(Ends.told[1][1])
    assert str(Ends.told[2][1]).startswith("failure ")


@EITHER
def test_runs_with_steps_at_the_end_have_a_transaction_each(
    copying: Connection, database: str, receiver: Receiver
) -> None:
    """Others must not wait in theirs until these steps are done."""
    copying.execute("insert into public.device (name) select 'good' from generate_series(1, 3)")
    assert {outcome and outcome.recorded for outcome in deliver_all(database, receiver).values()} == {True}
    assert [told for told in Ends.told if told[0] == "after_return"] == [
        ("after_return", "success 7", (count, 0)) for count in (1, 2, 3)
    ]
    distinct = copying.execute("select count(distinct xmin::text) from public.copy").fetchone()
    assert distinct == (3,)


def _failing(receiver: type[Ends], error: BaseException) -> Receiver:
    """Return a receiver whose last steps raise."""

    def fail(self: Any, *_: object) -> None:
        self.told.append(("fails", None, None))
        raise error

    return type("Failing", (receiver,), {"on_failure": fail, "after_return": fail})


@EITHER
@pytest.mark.parametrize("error", [RuntimeError("token=abc"), SystemExit(3), asyncio.CancelledError()])
@pytest.mark.parametrize("name", ["good", "raises"])
def test_what_the_last_steps_raise_is_logged_and_changes_nothing(
    copying: Connection, database: str, receiver: type[Ends], error: BaseException, name: str
) -> None:
    """Not even the daemon, or a worker, ends; and after_return still comes after an on_failure that raised."""
    outcome = run(copying, database, _failing(receiver, error), name)
    succeeds = name == "good"
    assert (outcome.error is None) == succeeds
    assert copying.execute("select count(*) from public.copy").fetchone() == (1 if succeeds else 0,)
    assert len([step for step, _, _ in Ends.told if step == "fails"]) == (1 if succeeds else 2)
    lines = [(line.level, line.object, line.message) for line in [*outcome.log, *outcome.afterwards]]
    message = "token=***" if isinstance(error, RuntimeError) else str(error)
    said = f"raised {type(error).__name__}" + (f": {message}" if message else "")
    assert lines == [(LogLevel.WARNING, step, said) for step in ("on_failure", "after_return")[succeeds:]]
    # The result is recorded; later lines go to the daemon's log.
    kept = copying.execute("select count(*) from jobhooks.job_log_entry").fetchone()
    assert kept == (0 if succeeds else 2,)


@EITHER
def test_nothing_is_told_of_what_the_last_steps_of_a_sensitive_receiver_raise(
    copying: Connection, database: str, receiver: type[Ends]
) -> None:
    hook = replace(HOOK, limits=JobLimits(has_sensitive_variables=True))
    outcome = run(copying, database, _failing(receiver, RuntimeError("row 7 of Ann")), "raises", hook)
    assert [line.message for line in outcome.log] == ["raised RuntimeError", "raised RuntimeError"]


class HangsAtTheEnd(EndsAsync):
    """Waits for ever in its last steps."""

    async def on_failure(self, exc: BaseException) -> None:
        while True:
            with contextlib.suppress(Exception):
                await asyncio.sleep(3600)

    async def after_return(self, status: str, value: object) -> None:
        await asyncio.sleep(3600)


def test_the_last_steps_are_within_the_limits_too(copying: Connection, database: str) -> None:
    """Each gets the limits again. Otherwise an endless wait for a mail server would block its lane forever."""
    hook = replace(HOOK, limits=JobLimits(soft_time_limit=0.1, time_limit=0.3))
    outcome = run(copying, database, HangsAtTheEnd, "raises", hook)
    assert outcome.error == "ValueError: password=***"
    assert [line.message.partition(":")[0] for line in outcome.log] in (
        ["raised TimeLimitExceeded", "raised SoftTimeLimitExceeded"],
        ["raised SoftTimeLimitExceeded", "raised SoftTimeLimitExceeded"],
    )


class WritesAtTheEnd(EndsNow):
    """Tries to write when its transaction is over: by the connection, by one that it kept, and by the live row."""

    def receive_job_hook(self, change: Change, changed_object: Any) -> object:  # pyright: ignore[reportIncompatibleMethodOverride]
        self.row = changed_object
        return super().receive_job_hook(change)

    def after_return(self, status: str, value: object) -> None:
        for attempt in (
            lambda: self.connection.execute("insert into public.copy (word) values ('late')"),
            lambda: self.kept.execute("insert into public.copy (word) values ('late')"),
            self._save,
        ):
            with pytest.raises(psycopg.InterfaceError):
                attempt()
            self.told.append(("refused", None, None))

    def _save(self) -> None:
        self.row.name = "late"
        self.row.save()


@pytest.mark.parametrize("name", ["good", "raises"])
def test_nothing_can_be_written_when_the_run_has_ended(copying: Connection, database: str, name: str) -> None:
    """It would be in no transaction, or in another run's, and without the mark: so it would trigger hooks."""
    run(copying, database, WritesAtTheEnd, name)
    assert [step for step, _, _ in Ends.told].count("refused") == 3
    assert copying.execute("select count(*) from public.copy where word = 'late'").fetchone() == (0,)
    assert copying.execute("select name from public.device").fetchall() == [(name,)]


class FailsAtTheStart(EndsNow):
    def before_start(self) -> None:
        self.fail("not today")


class FailsAtTheStartAsync(EndsAsync):
    async def before_start(self) -> None:
        self.fail("not today")


@pytest.mark.parametrize("receiver", [FailsAtTheStart, FailsAtTheStartAsync])
def test_a_failure_that_is_logged_before_the_start_is_the_end(
    copying: Connection, database: str, receiver: Receiver
) -> None:
    """As in Nautobot: the receiver is not called."""
    copying.execute("update public.device set name = 'good'")
    assert deliver(database, receiver).error == "not today"
    assert [told[:2] for told in Ends.told] == [
        ("on_failure", "LoggedFailure: not today"),
        ("after_return", "failure None"),
    ]
    assert copying.execute("select count(*) from public.copy").fetchone() == (0,)
