"""`jobhooks dev`, as in the first hour: rows change, receivers run, are saved and run again; and all of it ends."""

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Generator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg.conninfo import make_conninfo

from conftest import Connection
from support.daemon import LIMIT, Daemon, descendants, environment, jobhooks, on_a_terminal, wait_until

REFUSED = 5
RECEIVER = """
from jobhooks import JobHookReceiver

class Shout(JobHookReceiver):
    def receive_job_hook(self, change, action, changed_object):
        self.log_info(changed_object, "WORD " + str(changed_object.name))
"""

FAILING = """
import subprocess
from jobhooks import JobHookReceiver

class Shout(JobHookReceiver):
    class Meta:
        max_attempts = 1

    def receive_job_hook(self, change, action, changed_object):
        subprocess.run(["sh", "-c", "echo '{no json' >&2; echo '{}' >&2"], check=True)
        change.nonsense
"""


class Dev:
    """The command as a process, and the JSON lines that it has printed."""

    def __init__(self, directory: Path, *arguments: str, **changes: str) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "jobhooks", "dev", "--json", *arguments],
            env=environment(**changes),
            cwd=directory,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self.events: list[dict[str, Any]] = []
        self.words: list[str] = []
        self._readers = [threading.Thread(target=self._read), threading.Thread(target=self._listen)]
        for reader in self._readers:
            reader.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        self.events += map(json.loads, self.process.stdout)

    def _listen(self) -> None:
        assert self.process.stderr is not None
        for line in self.process.stderr:
            self.words.append(line)

    def await_ready(self) -> None:
        wait_until("it is ready", lambda: self.process.poll() is not None or "Ctrl-C" in "".join(self.words))
        assert self.process.poll() is None, self.words

    def end(self, number: int) -> int:
        """Send a signal, wait for the end, and check that no process is left."""
        started = descendants(self.process.pid)
        self.process.send_signal(number)
        code = self.process.wait(2 * LIMIT)
        for reader in self._readers:
            reader.join()
        wait_until("nothing is left", lambda: not any(Path(f"/proc/{process}").exists() for process in started))
        return code


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    """An application with one receiver."""
    (tmp_path / "receivers").mkdir()
    (tmp_path / "receivers" / "shout.py").write_text(RECEIVER)
    return tmp_path


@pytest.fixture
def begin(directory: Path) -> Generator[Callable[..., Dev]]:
    begun: list[Dev] = []

    def started(*arguments: str, **changes: str) -> Dev:
        begun.append(Dev(directory, *arguments, **changes))
        return begun[-1]

    yield started
    for dev in begun:
        if dev.process.poll() is None:
            dev.end(signal.SIGTERM)
        for stream in (dev.process.stdout, dev.process.stderr):
            assert stream is not None
            stream.close()


def runs(dev: Dev, message: str) -> list[dict[str, Any]]:
    """The runs that logged this."""
    return [
        event
        for event in dev.events.copy()
        if event["event"] == "run" and any(entry["message"] == message for entry in event["log"])
    ]


def test_a_throw_away_database_and_a_receiver_that_is_saved(directory: Path, begin: Callable[..., Dev]) -> None:
    (directory / "schema.sql").write_text("create table public.device (id integer primary key, name text);")
    # libpq's variables of a developer lead to another server.
    dev = begin("--load", "schema.sql", PGPORT="5433", PGHOSTADDR="127.0.0.1", PGSERVICE="none")
    dev.await_ready()
    command = next(line for line in dev.words if "psql" in line)
    url = next(line for line in dev.words if "JOBHOOKS_DATABASE_URL" in line).split("'")[1]
    assert "dev: shout.Shout" in jobhooks("hook", "list", "--database-url", url).stdout
    with psycopg.connect(command.partition('"')[2].rpartition('"')[0], autocommit=True) as conn:
        conn.execute("insert into public.device values (1, 'a')")  # right after the words: it is hooked already
        (run,) = wait_until("the receiver runs", lambda: runs(dev, "WORD a"))
        assert (run["job"], run["status"]) == ("shout.Shout", "success")
        conn.execute("create table public.site (id integer primary key, name text)")
        wait_until("the new table is hooked", lambda: [event for event in dev.events if event["event"] == "hooked"][1:])
        (directory / "receivers" / "shout.py").write_text(RECEIVER.replace("WORD", "other"))
        wait_until("the file is loaded", lambda: [one for one in dev.events if one["event"] == "receivers_reloaded"])
        conn.execute("insert into public.site values (1, 'b')")
        wait_until("the new code runs", lambda: runs(dev, "other b"))
        (directory / "receivers" / "shout.py").write_text(FAILING)
        wait_until(
            "the file is loaded", lambda: [one for one in dev.events if one["event"] == "receivers_reloaded"][1:]
        )
        conn.execute("insert into public.site values (2, 'c')")
        wait_until("the run has died", lambda: [one for one in dev.events if one["event"] == "delivery_dead"])
        (directory / "receivers" / "shout.py").write_text(RECEIVER.replace("WORD", "mended"))
        wait_until("it has run with the code that was saved", lambda: runs(dev, "mended c"))
        changes = [event["table"] for event in dev.events if event["event"] == "change"]
        assert changes == ["public.device", "public.site", "public.site"]
        conn.execute("insert into public.device select number, 'd' from generate_series(101, 350) as number")
        wait_until("all runs of a long statement are shown", lambda: len(runs(dev, "mended d")) == 250)
    assert dev.end(signal.SIGINT) == 0
    assert "Traceback" not in "".join(dev.words)
    server = Path(command.partition("host=")[2].split()[0])
    assert not server.exists()


def test_your_database_is_changed_after_a_question_only(
    device: Connection, database: str, directory: Path, begin: Callable[..., Dev]
) -> None:
    """Without a terminal it refuses; with --yes it goes on, and leaves the hooks, which it says."""
    device.execute("create table public.site (id integer primary key, name text)")
    url = {"JOBHOOKS_DATABASE_URL": database}
    refused = jobhooks("dev", cwd=directory, **url)
    assert refused.returncode == REFUSED and refused.stdout == ""
    assert device.execute("select count(*) from jobhooks.job_hook").fetchall() == [(0,)]
    code, shown = on_a_terminal("n\n", "dev", "--receivers-path", str(directory / "receivers"), **url)
    assert code == 1 and "1 more table" in shown and "shout.Shout" in shown
    dev = begin("--yes", **url)
    dev.await_ready()
    device.execute("insert into public.site values (1, 'a')")
    wait_until("the receiver runs", lambda: runs(dev, "WORD a"))
    assert dev.end(signal.SIGTERM) == 128 + signal.SIGTERM
    assert device.execute("select name from jobhooks.job_hook").fetchall() == [("dev: shout.Shout",)]


@pytest.mark.usefixtures("template")  # so that the roles of jobhooks exist
def test_a_role_that_cannot_run_receivers_changes_nothing(empty_database: str, directory: Path, role: str) -> None:
    """The daemon would refuse to start, in a database that has jobhooks by then. It is refused before the question."""
    with psycopg.connect(empty_database, autocommit=True) as admin:
        admin.execute(f"grant create on database {admin.info.dbname} to {role}".encode())
        refused = jobhooks(
            "dev", "--yes", cwd=directory, JOBHOOKS_DATABASE_URL=make_conninfo(empty_database, user=role)
        )
        assert refused.returncode == REFUSED and "may not mark" in refused.stderr
        assert f'Try: grant jobhooks_receiver to "{role}"' in refused.stderr
        assert admin.execute("select to_regnamespace('jobhooks')").fetchall() == [(None,)]


def test_production_is_never_touched_without_the_question(device: Connection, database: str, directory: Path) -> None:
    url = {"JOBHOOKS_DATABASE_URL": database, "JOBHOOKS_ENVIRONMENT": "production"}
    assert jobhooks("dev", "--yes", cwd=directory, **url).returncode == REFUSED
    code, shown = on_a_terminal("n\n", "dev", "--yes", **url)
    assert code == 1 and "looks like production" in shown
    assert device.execute("select count(*) from jobhooks.job_hook").fetchall() == [(0,)]


def test_a_database_with_a_daemon_is_left_to_it(device: Connection, database: str, directory: Path) -> None:
    with Daemon(database, directory / "receivers", directory / "log") as daemon:
        daemon.await_started()
        finished = jobhooks("dev", "--yes", cwd=directory, JOBHOOKS_DATABASE_URL=database)
        assert finished.returncode == REFUSED
        assert daemon.process.poll() is None


def test_it_ends_when_nobody_reads_it(directory: Path) -> None:
    reading, writing = os.pipe()
    process = subprocess.Popen(
        [sys.executable, "-m", "jobhooks", "dev"],
        env=environment(),
        cwd=directory,
        stdout=writing,
        stderr=subprocess.DEVNULL,
    )
    os.close(writing)
    os.close(reading)
    assert process.wait(2 * LIMIT) == 1
