"""The demo, as a newcomer meets it: right, plain in a pipe, in colours on a terminal, and gone without a trace."""

import os
import pty
import re
import signal
import subprocess
import sys
from collections.abc import Generator
from contextlib import contextmanager, suppress
from pathlib import Path

import psycopg
import pytest

from support.daemon import LIMIT, environment, wait_until

COMMAND = [sys.executable, "-m", "jobhooks", "demo"]


def command_lines() -> Generator[str]:
    """The command lines of all processes."""
    for process in Path("/proc").glob("[0-9]*/cmdline"):
        with suppress(OSError):  # it has ended
            yield process.read_bytes().replace(b"\0", b" ").decode(errors="replace")


def await_no_trace(shown: str) -> None:
    """Wait until nothing is left of the demo that has shown this: its directory, and processes that name it."""
    directory = re.search(r"/tmp/jobhooks-\w+", shown)
    assert directory is not None

    def gone() -> bool:
        return not Path(directory[0]).exists() and not any(directory[0] in line for line in command_lines())

    wait_until("no trace of the demo is left", gone)


def test_the_demo_tells_the_story_in_plain_lines_and_finds_it_right() -> None:
    elsewhere = environment(PGPORT="5433", PGHOSTADDR="127.0.0.1", PGSERVICE="none")  # of a developer
    finished = subprocess.run(COMMAND, check=False, capture_output=True, text=True, env=elsewhere, timeout=60)
    assert (finished.returncode, finished.stderr) == (0, "")
    await_no_trace(finished.stdout)
    assert "\033" not in finished.stdout
    lines = [line.strip() for line in finished.stdout.splitlines()]
    told = [
        "sql> update public.device set serial = 'BAD' where id = 1",
        "serial: FX2024-00017 -> BAD",
        'hook "Check serials" ran validate_serial.ValidateSerial: success in N ms',
        "warning The serial BAD is not valid.",
        "success Set the serial back to FX2024-00017.",
        "serial: BAD -> FX2024-00017",
        "made by the run for change 2: recorded, and triggers nothing",
        "sql> rollback",
        "nothing was recorded, and no hook ran",
    ]
    remaining = iter(re.sub(r"in \d+ ms", "in N ms", line) for line in lines)
    for line in told:
        assert line in remaining, f"{line} is not told, or not in this order"
    assert sum(line.startswith("yes ") for line in lines) == 5
    assert not any(line.startswith("NO ") for line in lines)


@contextmanager
def kept_demo() -> Generator[tuple[subprocess.Popen[bytes], int, str]]:
    """Run ``demo --keep`` on a terminal until it waits for the user; yield it, the terminal, and its output."""
    ours, theirs = pty.openpty()
    with subprocess.Popen(
        [*COMMAND, "--keep"], stdin=theirs, stdout=theirs, stderr=theirs, env=environment(TERM="xterm"), process_group=0
    ) as process:
        os.close(theirs)
        try:
            yield process, ours, read_until(ours, 'dbname=demo"')
        finally:
            if process.poll() is None:
                process.kill()
            os.close(ours)


def read_until(terminal: int, words: str) -> str:
    shown = ""
    while words not in shown:
        shown += os.read(terminal, 10_000).decode()
    return shown


def test_a_kept_demo_shows_what_the_user_changes_and_ends_with_ctrl_c() -> None:
    with kept_demo() as (process, terminal, shown):
        assert "\033[" in shown  # colours
        match = re.search(r'psql "(host=[^"]+)"', shown)
        assert match is not None
        with psycopg.connect(match[1], autocommit=True) as conn:
            conn.execute("insert into public.device (name, serial) values ('mine', 'WRONG')")
        assert "Set the serial back to" in read_until(terminal, "Set the serial back to")
        process.send_signal(signal.SIGINT)
        read_until(terminal, "Stopped and cleaned up.")
        assert process.wait(LIMIT) == 0
        await_no_trace(shown)


@pytest.mark.parametrize(
    "signal_number", [signal.SIGTERM, signal.SIGKILL, pytest.param(signal.SIGHUP, marks=pytest.mark.nightly)]
)
def test_a_demo_that_is_ended_in_another_way_leaves_nothing_either(signal_number: int) -> None:
    with kept_demo() as (process, _, shown):
        process.send_signal(signal_number)
        assert process.wait(LIMIT) == (-9 if signal_number == signal.SIGKILL else 128 + signal_number)
    await_no_trace(shown)


@pytest.mark.parametrize(
    "moment", ["PostgreSQL", "1. A device", pytest.param("4. It is deleted", marks=pytest.mark.nightly)]
)
def test_ctrl_c_in_the_middle_leaves_nothing(moment: str) -> None:
    with subprocess.Popen(COMMAND, stdout=subprocess.PIPE, env=environment(PYTHONUNBUFFERED="1")) as process:
        assert process.stdout is not None
        shown = ""
        while moment not in shown:
            shown += process.stdout.readline().decode()
        process.send_signal(signal.SIGINT)
        process.stdout.read()
    await_no_trace(shown)
    assert process.returncode in (0, 130)  # 0 where the story was over before the signal came
