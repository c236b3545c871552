"""Further members of a receiver: steps before and after, the previous change, and the stored parts of a run."""

from dataclasses import replace
from decimal import Decimal
from typing import Any

import msgspec
import pytest

from conftest import Connection
from jobhooks import Change, JobHookReceiver
from jobhooks.contract.job_settings import JobLimits
from support.engine.running import HOOK, deliver, last_change, open_running, pending

SEE = "insert into public.copy (word) values ('{}')"


class Steps(JobHookReceiver):
    """Records its calls in order; the row's name selects the failure."""

    told: list[str] = []  # noqa: RUF012 - what is not in the database

    def before_start(self) -> None:
        self.connection.execute(SEE.format("before_start").encode())

    def receive_job_hook(self, change: Change) -> object:
        self.connection.execute(SEE.format(f"{self.hook.name} {self.hook.id} {self.delivery.attempt}").encode())
        name = change.postchange and change.postchange["name"]
        if name == "bad":
            raise ValueError("password=hunter2")
        return {"name": name}

    def on_success(self, value: Any) -> None:
        self.connection.execute(SEE.format(f"on_success {value['name']}").encode())
        if value["name"] == "bad at the end":
            raise ValueError("at the end")

    def on_failure(self, exc: BaseException) -> None:
        self.told.append(f"on_failure {type(exc).__name__}")
        raise RuntimeError("changes nothing")

    def after_return(self, status: Any, value: Any) -> None:
        self.told.append(f"after_return {status} {type(value).__name__}")


class StepsAsync(JobHookReceiver[Any]):
    """The same."""

    told = Steps.told

    async def before_start(self) -> None:
        await self.connection.execute(SEE.format("before_start"))

    async def receive_job_hook(self, change: Change) -> object:
        await self.connection.execute(SEE.format(f"{self.hook.name} {self.hook.id} {self.delivery.attempt}"))
        name = change.postchange and change.postchange["name"]
        if name == "bad":
            raise ValueError("password=hunter2")
        return {"name": name}

    async def on_success(self, value: Any) -> None:
        await self.connection.execute(SEE.format(f"on_success {value['name']}"))
        if value["name"] == "bad at the end":
            raise ValueError("at the end")

    on_failure = Steps.on_failure
    after_return = Steps.after_return


EITHER = pytest.mark.parametrize("receiver", [Steps, StepsAsync])


@pytest.fixture(autouse=True)
def _nothing_told() -> None:
    Steps.told.clear()


def copies(conn: Connection) -> list[str]:
    return [word for (word,) in conn.execute("select word from public.copy order by n")]


@EITHER
def test_the_steps_of_a_success_are_a_part_of_it(
    copying: Connection, database: str, receiver: type[JobHookReceiver[Any]]
) -> None:
    copying.execute("update public.device set name = 'good'")
    assert deliver(database, receiver).value == '{"name":"good"}'
    assert copies(copying) == ["before_start", f"{HOOK.name} 1 1", "on_success good"]
    assert Steps.told == ["after_return success dict"]
    assert copying.execute("select status, value from jobhooks.job_result").fetchall() == [
        ("success", {"name": "good"})
    ]


@EITHER
@pytest.mark.parametrize("name", ["bad", "bad at the end"])
def test_what_a_failure_wrote_is_undone_and_what_is_raised_after_it_changes_nothing(
    copying: Connection, database: str, receiver: type[JobHookReceiver[Any]], name: str
) -> None:
    copying.execute("update public.device set name = %s", [name])
    outcome = deliver(database, receiver)
    assert outcome.error == ("ValueError: password=***" if name == "bad" else "ValueError: at the end")
    assert copies(copying) == []
    assert Steps.told == ["on_failure ValueError", "after_return failure ValueError"]


def test_no_secret_is_stored(copying: Connection, database: str) -> None:
    copying.execute("update public.device set name = 'bad'")
    deliver(database, Steps)
    kept = copying.execute("select error || traceback from jobhooks.job_result").fetchall()
    assert "hunter2" not in str(kept) and "ValueError: password=***" in str(kept)


@EITHER
async def test_nothing_is_stored_of_what_is_sensitive(
    copying: Connection, database: str, receiver: type[JobHookReceiver[Any]]
) -> None:
    sensitive = replace(HOOK, limits=JobLimits(has_sensitive_variables=True))
    async with open_running(database) as running:
        copying.execute("update public.device set name = 'good'")
        outcome = await running.attempt(receiver, pending(await last_change(database), sensitive))
        assert outcome.value is None
        copying.execute("update public.device set name = 'bad at the end'")
        outcome = await running.attempt(receiver, pending(await last_change(database), sensitive))
        assert outcome.error == "ValueError" and "raise ValueError" in (outcome.traceback or "")


class LosesItsConnection(JobHookReceiver):
    def receive_job_hook(self, change: Change) -> None:
        self.connection.close()
        raise ValueError("a secret of Ann's")


class LosesItsConnectionAsync(JobHookReceiver[Any]):
    async def receive_job_hook(self, change: Change) -> None:
        await self.connection.close()
        raise ValueError("a secret of Ann's")


@pytest.mark.parametrize("receiver", [LosesItsConnection, LosesItsConnectionAsync])
async def test_nor_of_what_is_raised_when_the_connection_is_lost(
    copying: Connection, database: str, receiver: type[JobHookReceiver[Any]], capsys: pytest.CaptureFixture[str]
) -> None:
    """The daemon's log has the reason why a run that lost its connection ended."""
    copying.execute("update public.device set name = 'good'")
    async with open_running(database) as running:
        for sensitive in (True, False):
            hook = replace(HOOK, limits=JobLimits(has_sensitive_variables=sensitive))
            outcome = await running.attempt(
                receiver, pending(await last_change(database), hook, attempts=1 - sensitive)
            )
            said = f"{outcome.error} {outcome.traceback} {capsys.readouterr().out}"
            assert ("Ann" in said) is not sensitive and "DatabaseUnreachable" in said


def _returns(value: object) -> tuple[type[JobHookReceiver[Any]], type[JobHookReceiver[Any]]]:
    class Returns(JobHookReceiver):
        def receive_job_hook(self, change: Change) -> object:
            return value

    class ReturnsAsync(JobHookReceiver[Any]):
        async def receive_job_hook(self, change: Change) -> object:
            return value

    return Returns, ReturnsAsync


@pytest.mark.parametrize(
    ("value", "stored", "line"),
    [
        (None, None, None),
        ([1, "é", None], [1, "é", None], None),
        (object(), None, "type object"),
        ("é" * 50_000, None, "100002 bytes"),
        ("\ud800", None, None),
        (Decimal("1.50"), 1.5, None),
        (Decimal("NaN"), None, "malformed"),
        (msgspec.Raw(b'{"a":'), None, "truncated"),
    ],
)
def test_what_is_returned_is_kept_if_it_can_be(
    hooked: Connection, database: str, value: object, stored: object, line: str | None
) -> None:
    for receiver in _returns(value):
        hooked.execute("update public.device set name = name || 'x'")
        deliver(database, receiver)
        row = hooked.execute("select status, value from jobhooks.job_result order by change_id desc").fetchone()
        assert row == ("success", stored)
        messages = hooked.execute("select message from jobhooks.job_log_entry").fetchall()
        assert line is None or any(line in message for (message,) in messages)


class Looks(JobHookReceiver):
    found: list[object] = []  # noqa: RUF012 - what is seen, in this process

    def receive_job_hook(self, change: Change) -> None:
        before = change.previous()
        self.found.append(before and (before.id, before.action, before.postchange))


class LooksAsync(JobHookReceiver[Any]):
    found = Looks.found

    async def receive_job_hook(self, change: Change) -> None:
        before = await change.previous()
        self.found.append(before and (before.id, before.action, before.postchange))


@pytest.mark.parametrize("receiver", [Looks, LooksAsync])
def test_a_change_knows_the_one_before_it_of_its_object(
    hooked: Connection, database: str, receiver: type[JobHookReceiver[Any]]
) -> None:
    """By the key that the object had before the change; changes of other objects do not count."""
    Looks.found.clear()
    steps: list[tuple[str, object]] = [
        ("insert into public.device (name, serial) values ('n', 's')", None),
        ("update public.device set name = 'other' where id = 1", None),
        ("update public.device set id = default where id = 2", (1, "create", {"id": 2, "name": "n", "serial": "s"})),
        (
            "update public.device set name = 'm' where id = 3",
            (3, "update", {"id": 3, "name": "n", "serial": "s"}),
        ),
    ]
    first = hooked.execute("select max(id) from jobhooks.object_change").fetchone()
    assert first is not None
    for statement, expected in steps:
        hooked.execute(statement.encode())
        deliver(database, receiver)
        found: Any = Looks.found[-1]
        if expected is not None:
            offset = first[0] or 0
            found = found and (found[0] - offset, *found[1:])
        assert found == expected


@pytest.mark.parametrize("receiver", [Looks, LooksAsync])
async def test_to_look_for_the_previous_one_takes_a_run(
    hooked: Connection, database: str, receiver: type[JobHookReceiver[Any]]
) -> None:
    """One that goes on: a run before is over, and its connection another's."""
    hooked.execute("update public.device set name = 'other'")
    change = await last_change(database)
    async with open_running(database) as running:
        assert (await running.attempt(receiver, pending(change))).error is None
    with pytest.raises(RuntimeError):
        change.previous()
