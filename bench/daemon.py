"""The measured daemon: a separate process, as a service runs it, with a separate database."""

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Collection, Generator, Sequence
from dataclasses import dataclass
from pathlib import Path

from psycopg import sql

from bench.harness import BenchError
from bench.variants import set_up
from jobhooks.embedded import EmbeddedServer, clean_environment
from jobhooks.matching.hook_settings import HookSettings
from jobhooks.operations.configuration.hooks import add_hook
from jobhooks.store.connections import SyncConnection, connect, execute

SETUP = Path(__file__).with_name("delivery.sql")
RECEIVERS = Path(__file__).with_name("receivers.py")
DATABASE = "bench_delivery"
POLL_S = 0.02  # between two queries of the results; each is one index lookup
PATIENCE_S = 60.0  # without a new result; after this the daemon counts as stuck
CLOCK_TICKS = os.sysconf("SC_CLK_TCK")
HOOK = b"select id from jobhooks.job_hook where name = $1"
LAST_SUCCESS = b"""
select change_id from jobhooks.job_result where hook_id = $1 and status = 'success' order by change_id desc limit 1
"""
SUCCESSES_OF = b"select count(*) from jobhooks.job_result where hook_id = $1 and status = 'success'"
SESSIONS = b"""
select count(*) from pg_stat_activity where datname = current_database() and application_name like 'jobhooks%'
    and pid <> pg_backend_pid()
"""
BACKLOG_ROWS = b"select n_tup_ins from pg_stat_user_tables where relid = 'jobhooks.delivery'::regclass"


class Daemon:
    """``jobhooks run`` with the receivers in ``directory``, which is also its working directory and holds its log.

    ``expected``: warnings that are no trouble.
    """

    def __init__(self, database_url: str, directory: Path, expected: Collection[str] = ()) -> None:
        self.started_at = time.time()
        self._expected = expected
        self._log = directory / f"log-{time.monotonic_ns()}"
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "jobhooks", "run", "--log-format", "json"],
                stdin=subprocess.DEVNULL,
                stderr=log,
                env=daemon_environment(database_url, directory),
                cwd=directory,
            )

    def events(self) -> list[dict[str, object]]:
        """Read the complete lines of its log."""
        lines = self._log.read_text(errors="replace").split("\n")[:-1]
        return [json.loads(line) if line.startswith("{") else {"event": line, "level": "error"} for line in lines]

    def check(self) -> None:
        """Check that it runs and has logged no trouble.

        Raises:
            BenchError: it has ended, or logged a warning or an error.
        """
        complaints = [
            event
            for event in self.events()
            if event.get("level") not in ("debug", "info") and event["event"] not in self._expected
        ]
        if complaints:
            raise BenchError(f"the daemon complained {len(complaints)} times, first: {json.dumps(complaints[0])}")
        if self._process.poll() is not None:
            raise BenchError(f"the daemon has ended with {self._process.returncode}")

    def await_started(self) -> None:
        """Wait until it listens and reads."""
        deadline = time.monotonic() + PATIENCE_S
        while not any(event["event"] == "started" for event in self.events()):
            self.check()
            if time.monotonic() > deadline:
                raise BenchError(f"the daemon did not start within {PATIENCE_S} seconds")
            time.sleep(POLL_S)

    def memory(self, name: str) -> float:
        """Measure its memory in megabytes: VmRSS now, VmHWM at most."""
        for line in Path(f"/proc/{self._process.pid}/status").read_text().splitlines():
            if line.startswith(f"{name}:"):
                return int(line.split()[1]) * 1024 / 1e6
        raise BenchError(f"the system does not tell {name} of a process")

    def cpu_s(self) -> float:
        """Measure the seconds of CPU it has used."""
        fields = Path(f"/proc/{self._process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / CLOCK_TICKS

    def kill(self) -> None:
        """Kill it without warning."""
        self._process.kill()
        self._process.wait()

    def stop(self) -> None:
        """Stop it and wait for its end.

        Raises:
            BenchError: it logged trouble, does not end, or ends with an error.
        """
        self.check()
        self._process.send_signal(signal.SIGTERM)
        try:
            code = self._process.wait(PATIENCE_S)
        except subprocess.TimeoutExpired as exc:
            raise BenchError(f"the daemon did not end within {PATIENCE_S} seconds of SIGTERM") from exc
        if code != 0:
            raise BenchError(f"the daemon ended with {code}")


@dataclass(frozen=True)
class Stage:
    """The surroundings of one measurement: a database with jobhooks and the tables, and a directory of receivers."""

    server: EmbeddedServer
    url: str
    conn: SyncConnection
    directory: Path

    def hook(self, job: str, tables: Sequence[str], count: int = 1) -> list[str]:
        """Enable a job and add ``count`` hooks for all changes of tables; further hooks get copies of the job.

        The result is the names of the hooks.
        """
        module, _, name = job.partition(".")
        jobs = [job, *(f"{module}_{number}.{name}" for number in range(1, count))]
        for number in range(1, count):  # two hooks may not share a table, a job and an event
            shutil.copy(self.directory / f"{module}.py", self.directory / f"{module}_{number}.py")
        for one in jobs:
            self._enable(one)
            add_hook(self.conn, HookSettings(one, list(tables), one, ["create", "update", "delete"]))
        return jobs

    def _enable(self, job: str) -> None:
        finished = subprocess.run(
            [sys.executable, "-m", "jobhooks", "job", "enable", job],
            check=False,
            capture_output=True,
            text=True,
            env=daemon_environment(self.url, self.directory),
            cwd=self.directory,
        )
        if finished.returncode != 0:
            raise BenchError(f"cannot enable {job}: {finished.stderr.strip()}")

    @contextlib.contextmanager
    def daemon(self, expected: Collection[str] = ()) -> Generator[Daemon]:
        """Run a daemon; kill it at the end if it still runs."""
        daemon = Daemon(self.url, self.directory, expected)
        try:
            yield daemon
        finally:
            daemon.kill()

    def figure(self, statement: bytes, *parameters: object) -> float:
        """Run a query for one number; null counts as 0."""
        ((number,),) = execute(self.conn, statement, *parameters)
        return float(number or 0)

    def delivered(self) -> int:
        """Count the results."""
        return int(self.figure(b"select count(*) from jobhooks.job_result"))

    def await_change(self, daemon: Daemon, change_id: float) -> None:
        """Wait for a result of that change or of a later one."""
        progress = Progress(daemon)
        while (last := self.figure(b"select max(change_id) from jobhooks.job_result")) < change_id:
            progress.made(last)
            time.sleep(POLL_S)

    def await_delivered(self, daemon: Daemon, expected: int) -> float:
        """Wait for that number of results. The value is the time of the last one, in seconds since 1970."""
        self.await_change(daemon, self.figure(b"select max(id) from jobhooks.object_change"))
        progress = Progress(daemon)
        while True:
            began = time.monotonic()
            delivered = self.delivered()
            if delivered >= expected:
                return time.time()
            progress.made(delivered)
            time.sleep(max(POLL_S, 4 * (time.monotonic() - began)))  # so that counting takes little from the daemon

    def await_successes(self, daemon: Daemon, hook: str, expected: int, limit_s: float) -> float:
        """Wait for that number of successes of a hook, but no longer than ``limit_s``; their number then.

        First for a success of the last change, which is an index lookup. Counting takes longer.
        """
        deadline = time.monotonic() + limit_s
        ((hook_id,),) = execute(self.conn, HOOK, hook)
        last = self.figure(b"select max(id) from jobhooks.object_change")
        self._await(daemon, LAST_SUCCESS, hook_id, last, deadline)
        return self._await(daemon, SUCCESSES_OF, hook_id, expected, deadline)

    def _await(self, daemon: Daemon, statement: bytes, hook_id: int, goal: float, deadline: float) -> float:
        while True:
            began = time.monotonic()
            rows = execute(self.conn, statement, hook_id)
            figure = float(rows[0][0]) if rows else 0.0
            if figure >= goal or began > deadline:
                return figure
            daemon.check()
            time.sleep(max(POLL_S, 4 * (time.monotonic() - began)))

    def backlog_rows(self) -> float:
        """Count the rows that were ever inserted into the backlog. Sessions report that at the latest when they end.

        Raises:
            BenchError: the daemon's sessions do not end.
        """
        deadline = time.monotonic() + PATIENCE_S
        while self.figure(SESSIONS):
            if time.monotonic() > deadline:
                raise BenchError(f"the sessions of the daemon have not ended {PATIENCE_S} seconds after it")
            time.sleep(POLL_S)
        return self.figure(BACKLOG_ROWS)


class Progress:
    """Distinguishes a slow daemon from a stuck one."""

    def __init__(self, daemon: Daemon) -> None:
        self._daemon = daemon
        self._last = -1.0
        self._since = time.monotonic()

    def made(self, last: float) -> None:
        """Record its progress.

        Raises:
            BenchError: it made no progress for a long time, or logged trouble.
        """
        if last != self._last:
            self._last, self._since = last, time.monotonic()
        elif time.monotonic() - self._since > PATIENCE_S:
            self._daemon.check()
            raise BenchError(
                f"no result for {PATIENCE_S} seconds after {last:.0f}; last in the log: {self._daemon.events()[-3:]}"
            )
        else:
            self._daemon.check()


@contextlib.contextmanager
def open_stage(server: EmbeddedServer, rows: int) -> Generator[Stage]:
    """Create a database with jobhooks and ``rows`` rows in bench.source; drop it at the end."""
    with contextlib.closing(connect(server.url())) as admin, tempfile.TemporaryDirectory() as folder:
        directory = Path(folder)
        shutil.copy(RECEIVERS, directory)
        name = sql.Identifier(DATABASE)
        execute(admin, sql.SQL("create database {}").format(name))
        try:
            url = server.url(DATABASE)
            with contextlib.closing(connect(url)) as conn:
                set_up(conn, rows)
                execute(conn, SETUP.read_bytes())
                yield Stage(server, url, conn, directory)
        finally:
            execute(admin, sql.SQL("drop database {} with (force)").format(name))


def daemon_environment(database_url: str, directory: Path) -> dict[str, str]:
    """Make an environment of defaults, apart from the database and the receivers."""
    return {
        **clean_environment(),
        "JOBHOOKS_CONFIG": os.devnull,
        "JOBHOOKS_DATABASE_URL": database_url,
        "JOBHOOKS_RECEIVERS_PATH": str(directory),
    }
