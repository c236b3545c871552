"""The daemon of the demo and of ``jobhooks dev``: another process, which ends with this one."""

import contextlib
import os
import subprocess
import sys
from collections.abc import Generator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import msgspec

from jobhooks.errors import JobhooksError

STOP_TIMEOUT = 10  # seconds for the daemon to end
LAST_LINES = 5  # of its log, if it ended by itself


@dataclass
class DaemonProcess:
    """A daemon that runs, and the file of its log."""

    process: subprocess.Popen[bytes]
    log: Path
    offset: int = 0

    def new_events(self) -> list[dict[str, Any]]:
        """The events that it has logged since the last call, without what programs of receivers wrote to its stderr."""
        with self.log.open("rb") as file:
            file.seek(self.offset)
            complete = file.read().rpartition(b"\n")[0]
        self.offset += len(complete) + 1 if complete else 0
        return [event for line in complete.splitlines() if (event := _event(line)) is not None]

    def check_alive(self) -> None:
        """Check that it runs.

        Raises:
            JobhooksError: it ended; the message has the end of its log.
        """
        if self.process.poll() is not None:
            last = self.log.read_text(errors="replace").splitlines()[-LAST_LINES:]
            raise JobhooksError("the daemon ended:\n" + "\n".join(last))


def _event(line: bytes) -> dict[str, Any] | None:
    try:
        decoded: object = msgspec.json.decode(line)
    except msgspec.DecodeError:
        return None
    event = cast("dict[str, Any]", decoded) if isinstance(decoded, dict) else {}
    return event if isinstance(event.get("event"), str) else None


@contextlib.contextmanager
def running_daemon(url: str, receivers_path: Sequence[Path], log: Path) -> Generator[DaemonProcess]:
    """Run ``jobhooks run`` as a separate process, with its log in a file; end it at the end of the block."""
    arguments = ["run", "--database-url", url, "--receivers-path", os.pathsep.join(map(str, receivers_path))]
    arguments += ["--log-format", "json"]
    arguments += ["--end-with", str(os.getpid())]  # a database that is away is waited for
    with (
        log.open("wb") as stderr,
        # Its own session: a Ctrl-C is for this process, which then ends the daemon in good order.
        subprocess.Popen(
            [sys.executable, "-m", "jobhooks", *arguments],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=stderr,
            start_new_session=True,
        ) as daemon,
    ):
        try:
            yield DaemonProcess(daemon, log)
        finally:
            daemon.terminate()
            try:
                daemon.wait(STOP_TIMEOUT)
            except subprocess.TimeoutExpired:
                daemon.kill()
