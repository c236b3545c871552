"""The daemon and the command line as separate processes, as a user runs them."""

import contextlib
import json
import os
import pty
import re
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import TypeVar

import psycopg
from psycopg.rows import TupleRow

from support import launcher

T = TypeVar("T")
LIMIT = 20.0  # seconds that anything waited for may take


def environment(**changes: str) -> dict[str, str]:
    """Return the environment without settings of the machine that the tests run on."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("JOBHOOKS_", "PG", "NOTIFY_"))}
    return {**kept, "JOBHOOKS_CONFIG": os.devnull, "COLUMNS": "200", **changes}


def jobhooks(*arguments: str, cwd: Path | str | None = None, **changes: str) -> subprocess.CompletedProcess[str]:
    """Run the command line to its end."""
    return launcher.run(arguments, env=environment(**changes), cwd=cwd, timeout=60)


def jobhooks_within(limit_s: float, *arguments: str, **changes: str) -> subprocess.CompletedProcess[str]:
    """Run the command line to its end, which may take up to ``limit_s`` seconds."""
    return launcher.run(arguments, env=environment(**changes), timeout=limit_s)


class Command(launcher.Process):
    """A command that runs. What it writes on stderr can be read; so can what it writes on stdout, if that is None."""

    def __init__(self, *arguments: str, stdout: int | None = None, **changes: str) -> None:
        out, child_out = os.pipe()
        err, child_err = os.pipe()
        try:
            stdout = child_out if stdout is None else stdout
            super().__init__(arguments, env=environment(**changes), stdout=stdout, stderr=child_err)
        finally:
            os.close(child_out)
            os.close(child_err)
        self.stdout = os.fdopen(out, "rb")
        self.stderr = os.fdopen(err, "rb")

    def end(self, number: int | None = None) -> tuple[int, bytes]:
        """Send a signal, if one is given; wait for the end, and return the exit code and the rest of stderr."""
        if number is not None:
            self.send_signal(number)
        return self.wait(LIMIT), self.stderr.read()

    def __enter__(self) -> "Command":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.kill()
        self.wait(LIMIT)
        self.stdout.close()
        self.stderr.close()


def on_a_terminal(answer: str, *arguments: str, **changes: str) -> tuple[int, str]:
    """Run a command on a terminal, type the answer, and return its exit code and output."""
    ours, theirs = pty.openpty()
    settings = environment(TERM="xterm", **changes)
    process = launcher.Process(arguments, env=settings, stdin=theirs, stdout=theirs, stderr=theirs)
    os.close(theirs)
    os.write(ours, answer.encode())
    said = b""
    with contextlib.suppress(OSError):  # which Linux raises once the other side is closed
        while part := os.read(ours, 4096):
            said += part
    code = process.wait(LIMIT)
    os.close(ours)
    return code, said.decode()


def pause(waited: float) -> float:
    """How many seconds to wait before the next look at what has not happened for ``waited`` seconds."""
    return min(max(0.01, waited / 20), 0.1)


def wait_until(what: str, attempt: Callable[[], T], limit: float = LIMIT, *, every_s: float | None = None) -> T:
    """Repeat ``attempt`` until its value is true, for up to ``limit`` seconds.

    The longer it takes, the less often it is repeated, because it costs processor time; unless ``every_s`` is given.
    """
    started_at = time.monotonic()
    while (waited := time.monotonic() - started_at) < limit:
        if result := attempt():
            return result
        time.sleep(every_s or pause(waited))
    raise AssertionError(f"waited {limit} seconds in vain until {what}")


def await_no_session(conn: psycopg.Connection[TupleRow]) -> None:
    """Wait until no daemon has a session in this database."""
    sessions = "select from pg_stat_activity where application_name like 'jobhooks%' and datname = current_database()"
    wait_until("no session of a daemon is left", lambda: not conn.execute(sessions).fetchall())


class Daemon:
    """``jobhooks run`` with the receivers of one directory; killed at the end if it still runs then."""

    def __init__(self, database: str, receivers: Path, log: Path, *arguments: str, **changes: str) -> None:
        self._log = log
        self._offset = log.stat().st_size if log.exists() else 0
        command = ["run", "--database-url", database, "--receivers-path", str(receivers), "--log-format", "json"]
        with log.open("ab") as stderr:
            self.process = launcher.Process(
                [*command, *arguments], env=environment(**changes), cwd=receivers, stderr=stderr.fileno()
            )

    def events(self, name: str | None = None) -> list[dict[str, object]]:
        """Read the daemon's log events, all or of one kind."""
        lines = self._log.read_bytes()[self._offset :].decode().split("\n")[:-1]
        events = [json.loads(line) for line in lines if line.startswith("{")]
        return [event for event in events if name is None or event["event"] == name]

    def words(self) -> str:
        """Return all that this daemon has written on stderr."""
        return self._log.read_bytes()[self._offset :].decode()

    def tracebacks(self) -> list[str]:
        """Read its tracebacks, except those of a worker that started during shutdown.

        Python's process server prints those and cannot be silenced.
        """
        lines = (line for line in self.words().splitlines(keepends=True) if not line.startswith("{"))
        blocks = re.split(r"(?=^Traceback \(most recent call last\))", "".join(lines), flags=re.MULTILINE)
        return [block for block in blocks if block.startswith("Traceback") and "forkserver.py" not in block]

    def await_started(self) -> "Daemon":
        """Wait until it listens and reads."""
        self.await_event("started")
        return self

    def await_event(self, name: str, count: int = 1) -> list[dict[str, object]]:
        """Wait until it has logged that many events of a name, and return them."""

        def enough() -> list[dict[str, object]]:
            events = self.events(name)
            if self.process.poll() is not None and len(events) < count:
                raise AssertionError(f"the daemon ended with {self.process.returncode}: {self.words()}")
            return events if len(events) >= count else []

        return wait_until(f"the daemon logs {count} times {name}; it logged {self.words()}", enough)

    def kill(self) -> None:
        """Kill it without warning."""
        self.process.kill()
        self.process.wait(LIMIT)

    def terminate(self) -> int:
        """Ask it to end, and return its exit code."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(LIMIT)

    def __enter__(self) -> "Daemon":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self.process.poll() is None:
            self.kill()


def descendants(process: int) -> list[int]:
    """Return the processes that were started by this one, directly or not."""
    parents: dict[int, int] = {}
    for status in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            parents[int(status.parent.name)] = int(status.read_text().rpartition(")")[2].split()[1])
    found = [child for child, parent in parents.items() if parent == process]
    return found + [below for child in found for below in descendants(child)]
