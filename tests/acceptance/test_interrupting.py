"""Ctrl-C ends any command without a traceback, at any moment."""

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from support.daemon import environment

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
