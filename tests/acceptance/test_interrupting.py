"""Ctrl-C ends any command without a traceback, at any moment, and with the numbers of finished and open steps."""

import contextlib
import signal
import subprocess
import sys
from pathlib import Path

import psycopg
import pytest

from conftest import Connection
from jobhooks.operations.tables import watched_tables
from jobhooks.store.connections import connect
from support.daemon import Command, environment, wait_until

INTERRUPTS = "import os, signal, time\nos.kill(os.getpid(), signal.SIGINT)\ntime.sleep(30)\n"


@pytest.mark.parametrize(
    ("module", "command"),
    [
        ("typer", ["status"]),
        ("rich", ["status"]),
        ("structlog", ["run"]),
        ("pydantic_settings", ["status"]),
        ("psycopg", ["status"]),
        ("psycopg", ["job", "list"]),
        ("asyncpg", ["run"]),
        ("uvloop", ["run"]),
        ("msgspec", ["change", "list"]),
    ],
)
def test_an_interrupt_while_modules_are_loaded_prints_nothing(tmp_path: Path, module: str, command: list[str]) -> None:
    """Most of the first second of a command is the import of modules; here the named one is interrupted."""
    (tmp_path / f"{module}.py").write_text(INTERRUPTS)
    finished = subprocess.run(
        [sys.executable, "-m", "jobhooks", *command, "--database-url", f"postgresql:///x?host={tmp_path}"],
        env=environment(PYTHONPATH=str(tmp_path)),
        cwd="/",
        check=False,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert finished.returncode in (-signal.SIGINT, 130), finished
    assert finished.stderr == "" and finished.stdout == ""


def test_an_interrupt_says_what_is_done_and_what_is_left(device: Connection, database: str) -> None:
    """Each table is watched in a separate transaction, so finished steps stay."""
    for name in ("a", "b", "c"):
        device.execute(f"create table public.{name} (id integer primary key)".encode())
    with (
        psycopg.connect(database) as other,
        contextlib.closing(connect(database)) as admin,
        Command("table", "watch", "public.?", JOBHOOKS_DATABASE_URL=database) as command,
    ):
        other.execute("lock table public.a in access exclusive mode")
        wait_until("the others are watched", lambda: len(watched_tables(admin)) == 3)
        code, words = command.end(signal.SIGINT)
    assert code == 130
    assert b"interrupted while watching: 2 of 3 are done" in words and b"Traceback" not in words
