"""Data of hooks: receivers get them and check them, and changes of a hook with wrong data wait and are not lost."""

import contextlib
import json
from pathlib import Path
from typing import Any

import pytest

from conftest import Connection
from jobhooks.errors import InvalidHookData
from jobhooks.operations import doctor
from jobhooks.operations.configuration import hooks, jobs
from jobhooks.store.connections import SyncConnection, connect
from support.daemon import Daemon, jobhooks, wait_until
from support.delivering import settled, write
from support.hooking import add_hook, write_receivers

CODE = """
from jobhooks import JobHookReceiver

class Tells(JobHookReceiver):
    class Data:
        channel: str
        limit: int = 10

    def receive_job_hook(self, change):
        data = self.hook.data
        self.connection.execute(
            "insert into public.seen (receiver, word) values (%s, %s)",
            [self.hook.name, f"{type(data).__name__} {data.channel} {data.limit}"],
        )

class TellsInLoop(JobHookReceiver):
    async def receive_job_hook(self, change):
        await self.connection.execute(
            "insert into public.seen (receiver, word) values ($1, $2)", self.hook.name, str(self.hook.data)
        )
"""
TELLS = "hook of r.Tells"


@pytest.fixture
def receivers(tmp_path: Path) -> Path:
    return write_receivers(tmp_path / "receivers", CODE)


def words(conn: Connection) -> list[tuple[object, ...]]:
    return conn.execute("select receiver, word from public.seen order by 1, 2").fetchall()


def state(conn: SyncConnection, name: str = TELLS) -> tuple[str | None, bool]:
    """The state of the hook's data, and whether it runs: one query, since the daemon may write at any moment."""
    hook = hooks.hook_details(conn, name)
    return hook.data_state, hook.runs


def problems(conn: SyncConnection) -> list[doctor.Problem]:
    """The doctor's problems with hooks."""
    return [each for each in doctor.problems(conn, 30) if each.subject.startswith("hook")]


def set_data(conn: Connection, data: dict[str, Any], name: str = TELLS) -> None:
    conn.execute("select jobhooks.edit_hook(%s, %s)", [name, json.dumps({"data": data})])


def test_hooks_of_one_job_pass_different_data(seen: Connection, database: str, receivers: Path, log: Path) -> None:
    """Both hooks get each change; a receiver without a class Data gets a dict."""
    add_hook(database, receivers, "r.Tells")
    add_hook(database, receivers, "r.TellsInLoop")
    set_data(seen, {"channel": "ops"})
    set_data(seen, {"any": [1]}, "hook of r.TellsInLoop")
    more = {"name": "another", "content_types": ["public.device"], "job": "r.Tells", "events": ["create"]}
    seen.execute("select jobhooks.save_hook(null, %s)", [json.dumps({**more, "data": {"channel": "dev", "limit": 2}})])
    with Daemon(database, receivers, log).await_started() as daemon:
        write(seen, "a", 1)
        wait_until("all is settled", settled(seen, 3))
        assert daemon.terminate() == 0
    assert words(seen) == [("another", "Data dev 2"), (TELLS, "Data ops 10"), ("hook of r.TellsInLoop", "{'any': [1]}")]


def test_changes_wait_while_the_receiver_does_not_take_the_data(
    seen: Connection, database: str, receivers: Path, log: Path
) -> None:
    """Wrong data, by plain SQL, and a class Data that changes while the daemon runs: no change is lost."""
    add_hook(database, receivers, "r.Tells")
    add_hook(database, receivers, "r.TellsInLoop")
    with contextlib.closing(connect(database)) as conn, Daemon(database, receivers, log).await_started() as daemon:
        wait_until("it needs data", lambda: state(conn) == ("invalid", False))
        hook = hooks.hook_details(conn, TELLS)
        assert "channel" in str(hook.data_error) and str(hook.data_error) in str(hook.why_not)
        (problem,) = problems(conn)
        assert problem.severity == "error" and "channel" in problem.problem
        assert {event["hook"] for event in daemon.events("hook_data_invalid")} == {TELLS}
        write(seen, "a", 1)
        wait_until("the other hook runs", settled(seen, 1))
        set_data(seen, {"channel": "ops", "limit": "many"})
        wait_until("this is wrong as well", lambda: "limit" in str(hooks.hook_details(conn, TELLS).data_error))
        assert words(seen) == [("hook of r.TellsInLoop", "{}")]
        set_data(seen, {"channel": "ops", "limit": 3})
        wait_until("the change that waited is delivered", settled(seen, 2))
        assert state(conn) == ("valid", True)
        write_receivers(receivers, CODE.replace("limit: int = 10", "limit: str"))
        wait_until("the new class refuses the data", lambda: state(conn) == ("invalid", False))
        write(seen, "b", 2)
        wait_until("the other hook runs", settled(seen, 3))
        write_receivers(receivers, CODE.replace("limit: int = 10", "limit: int | str"))
        wait_until("the next class takes them", settled(seen, 4))
        wait_until("that is recorded", lambda: state(conn) == ("valid", True))
        assert problems(conn) == []
        assert daemon.terminate() == 0
    assert [word for hook, word in words(seen) if hook == TELLS] == ["Data ops 3", "Data ops 3"]


def test_data_by_sql_are_unchecked_without_a_daemon(seen: Connection, database: str, receivers: Path) -> None:
    """The verdict is about these data and this job."""
    add_hook(database, receivers, "r.Tells")
    with contextlib.closing(connect(database)) as conn:
        set_data(seen, {"channel": "ops"})
        assert state(conn) == ("unchecked", False)
        assert [each.severity for each in problems(conn)] == ["warning"]
        note = 'select jobhooks.note_data_verdicts(\'[{"hook_id": 1, "job": "%s", "data": {"channel": "%s"}}]\')'
        for job, channel in [("r.Tells", "dev"), ("r.TellsInLoop", "ops")]:
            seen.execute((note % (job, channel)).encode())
            assert state(conn) == ("unchecked", False)
        seen.execute((note % ("r.Tells", "ops")).encode())
        assert state(conn) == ("valid", True)
        jobs.enable_job(conn, "r.TellsInLoop")
        seen.execute('select jobhooks.edit_hook(%s, \'{"job": "r.TellsInLoop"}\')', [TELLS])
        assert state(conn) == ("unchecked", False)


def test_the_command_line_checks_data_by_the_receivers_it_finds(
    seen: Connection, database: str, receivers: Path, tmp_path: Path
) -> None:
    """Also without --data, and in a file. Receivers that only the daemon has are left to it."""

    def run(*arguments: str, code: int = 0, path: Path = receivers) -> Any:
        finished = jobhooks(*arguments, JOBHOOKS_DATABASE_URL=database, JOBHOOKS_RECEIVERS_PATH=str(path))
        assert finished.returncode == code, finished.stderr
        return json.loads(finished.stdout) if "--json" in arguments else finished.stderr

    add_hook(database, receivers, "r.TellsInLoop")
    run("job", "enable", "r.Tells")
    new = ["hook", "add", "h", "--content-type", "public.device", "--events", "update", "--job", "r.Tells"]
    assert "needs channel" in run(*new, code=5)
    assert 'Did you mean "limit"?' in run(*new, "--data", "channel=ops", "--data", "limit_=1", code=5)
    run(*new, "--data", "channel", code=2)
    assert "channel is given twice" in run(*new, "--data", "channel=ops", "--data", "channel=no", code=2)
    run(*new, "--data-json", "[1]", code=2)
    hook = run(*new, "--data-json", '{"channel": "no", "limit": 1}', "--data", "channel=ops=1", "--json")
    assert (hook["data"], hook["data_state"], hook["runs"]) == ({"channel": "ops=1", "limit": 1}, "valid", True)
    hook = run("hook", "edit", "h", "--data", "limit=7", "--json")
    assert (hook["data"], hook["data_state"]) == ({"channel": "ops=1", "limit": 7}, "valid")
    assert "limit" in run("hook", "edit", "h", "--data", "limit=many", code=5)
    hook = run("hook", "edit", "h", "--data-json", '{"channel": "dev"}', "--json")
    assert (hook["data"], hook["data_state"]) == ({"channel": "dev"}, "valid")
    hook = run("hook", "edit", "h", "--priority", "3", "--json")
    assert hook["data_state"] == "valid"
    hook = run("hook", "edit", "h", "--data", "limit=8", "--json", path=tmp_path)
    assert (hook["data"], hook["data_state"]) == ({"channel": "dev", "limit": 8}, "unchecked")
    file = tmp_path / "hooks.toml"
    file.write_text(jobhooks("hook", "export", JOBHOOKS_DATABASE_URL=database).stdout)
    assert run("hook", "apply", str(file), "--yes", "--json") == []
    file.write_text(file.read_text().replace("limit = 8", 'limit = "x"'))
    assert str(file) in run("hook", "apply", str(file), "--yes", code=5)
    file.write_text(file.read_text().replace('limit = "x"', "limit = 9"))
    (step,) = run("hook", "apply", str(file), "--yes", "--json")
    assert [change["after"] for change in step["differences"]] == [{"channel": "dev", "limit": 9}]
    with contextlib.closing(connect(database)) as conn:
        assert state(conn, "h") == ("valid", True)
        assert jobs.job_details(conn, "r.Tells").data_schema is not None
        assert jobs.job_details(conn, "r.TellsInLoop").data_schema is None
        with pytest.raises(InvalidHookData):
            hooks.edit_hook(conn, "h", {"data": {"nul": "\0"}})
    (change,) = run("hook", "history", "h", "--json", "--limit", "1")
    assert change["after"]["data"] == {"channel": "dev", "limit": 9}
