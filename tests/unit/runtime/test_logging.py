"""The log of the service: JSON, with priorities where the journal reads them."""

import contextlib
import json
import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest

import jobhooks
from jobhooks.runtime.systemd import with_priority

LOGS = """
import logging
from jobhooks.runtime.event_log import get_logger
from jobhooks.runtime.logging import configure
from jobhooks.runtime.log_format import LogFormat, LogLevel

configure(LogLevel.DEBUG, LogFormat.{log_format})
log = get_logger()
log.debug("looked")
log.info("started")
log.warning("slow", seconds=3)
log.error("failed", words="two\\nlines")
try:
    1 / 0
except ZeroDivisionError:
    log.exception("crashed")
logging.getLogger("asyncio").error("of a library\\ntwo lines")
"""
# A command with a fault of ours.
CRASHES = """
from jobhooks.cli import app
app.command_tree = lambda _: 1 / 0
app.main()
"""
MISTYPED = "import sys; sys.argv[1:] = ['nonsense']; from jobhooks.cli import main; main()"


def logged(path: Path, stream: str | None, program: str = LOGS.format(log_format="JSON")) -> list[str]:
    """Run a program with stderr in a file; ``stream``: what JOURNAL_STREAM says, of that file if it is "own"."""
    with path.open("wb") as stderr:
        status = os.fstat(stderr.fileno())
        own = f"{status.st_dev}:{status.st_ino}"
        environment = {**os.environ, **({"JOURNAL_STREAM": own if stream == "own" else stream} if stream else {})}
        if not stream:
            environment.pop("JOURNAL_STREAM", None)
        subprocess.run([sys.executable, "-c", program], check=False, stderr=stderr, env=environment, timeout=60)
    return path.read_text().splitlines()


def test_the_journal_gets_a_priority_before_each_event(tmp_path: Path) -> None:
    """So that journalctl -p warning shows warnings; the journal takes it off and stores JSON."""
    lines = logged(tmp_path / "log", "own")
    assert [line[:3] for line in lines] == ["<7>", "<6>", "<4>", "<3>", "<3>", "<3>", "<3>"]
    assert [json.loads(line[3:])["event"] for line in lines[:-2]] == ["looked", "started", "slow", "failed", "crashed"]
    assert lines[-2:] == ["<3>of a library", "<3>two lines"]


def test_each_line_of_text_has_a_priority(tmp_path: Path) -> None:
    lines = logged(tmp_path / "log", "own", LOGS.format(log_format="CONSOLE"))
    assert len(lines) > 5 and all(line[:3] in {"<7>", "<6>", "<4>", "<3>"} for line in lines)


@pytest.mark.parametrize("log_format", ["JSON", "CONSOLE"])
def test_a_traceback_shows_no_local_variables(tmp_path: Path, log_format: str) -> None:
    """They may be passwords, and rows of the application."""
    program = LOGS.format(log_format=log_format).replace("    1 / 0", "    (lambda secret: 1 / 0)(chr(115) + 'esame')")
    text = "\n".join(logged(tmp_path / "log", None, program))
    assert "ZeroDivisionError" in text and "sesame" not in text


@pytest.mark.parametrize("stream", [None, "1:2", "nonsense"])
def test_any_other_stderr_gets_plain_json(tmp_path: Path, stream: str | None) -> None:
    """A child with another stderr inherits JOURNAL_STREAM."""
    lines = logged(tmp_path / "log", stream)
    assert all(json.loads(line) for line in lines[:-2]) and lines[-2:] == ["of a library", "two lines"]


@pytest.mark.parametrize(("program", "words"), [(MISTYPED, "nonsense"), (CRASHES, "ZeroDivisionError")])
def test_what_ends_a_command_is_an_error_in_the_journal(tmp_path: Path, program: str, words: str) -> None:
    lines = logged(tmp_path / "log", "own", program)
    assert words in lines[-1] and {line[:3] for line in lines} == {"<3>"}
    assert not any(line.startswith("<") for line in logged(tmp_path / "log", None, program))


def test_a_level_that_syslog_does_not_have_is_info() -> None:
    assert with_priority("trace", "a\nb") == "<6>a\n<6>b"


@pytest.mark.parametrize(("no_color", "coloured"), [("", True), ("1", False)])
def test_a_terminal_has_colours_unless_the_environment_says_no(no_color: str, coloured: bool) -> None:
    ours, theirs = pty.openpty()
    program = LOGS.format(log_format="AUTO")
    environment = {**os.environ, "NO_COLOR": no_color}
    subprocess.run([sys.executable, "-c", program], check=False, stderr=theirs, env=environment, timeout=60)
    os.close(theirs)
    text = b""
    with contextlib.suppress(OSError), os.fdopen(ours, "rb", buffering=0) as terminal:
        while part := terminal.read(4096):  # Linux reports the end as an error
            text += part
    assert b"started" in text and (b"\x1b[" in text) is coloured


def test_no_module_logs_with_the_logger_that_receivers_set_up() -> None:
    package = Path(jobhooks.__file__).parent
    using = [path.name for path in package.rglob("*.py") if "structlog.stdlib.get_logger" in path.read_text()]
    assert using == ["event_log.py"]


def test_a_worker_process_loads_neither_the_library_of_settings_nor_that_of_commands() -> None:
    """They take tenths of a second, before the first run of a ``def`` receiver."""
    script = "import sys, jobhooks.engine.running.in_process.worker; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", script], check=True, capture_output=True, text=True)
    assert not {"pydantic_settings", "typer"} & set(loaded.stdout.split())
