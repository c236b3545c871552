"""The help of each command, shell completion, and output that fits its terminal."""

import fcntl
import os
import pty
import shutil
import struct
import subprocess
import sys
import termios
from pathlib import Path

import pytest
import typer

from conftest import Connection
from jobhooks.cli.app import app
from jobhooks.cli.command_tree import command_tree, commands, contexts
from jobhooks.cli.show.table_layout import fitted, unbounded
from support import generated, launcher
from support.daemon import LIMIT, environment, jobhooks

# These only change something, and print messages on stderr; the others print data. Results have a --format.
WITHOUT_DATA = {
    "run",
    "demo",
    "result export",
}
COMMANDS = list(commands(command_tree(app)))
GROUPS = [context.command_path for context in contexts(command_tree(app)) if hasattr(context.command, "commands")]


def by_path(context: object) -> str:
    assert isinstance(context, typer.Context)
    return context.command_path


@pytest.mark.parametrize("context", COMMANDS, ids=by_path)
def test_each_command_says_what_it_does_with_an_example(context: typer.Context) -> None:
    text = context.command.help or ""
    assert f"Example: {context.command_path}" in text
    summary = text.partition("\n\n")[0]
    assert summary.endswith(".") and len(summary) < 150
    for parameter in context.command.params:
        assert getattr(parameter, "help", None), f"{parameter.name} says nothing"


@pytest.mark.parametrize("context", COMMANDS, ids=by_path)
def test_each_command_that_prints_data_prints_json(context: typer.Context) -> None:
    options = {option for parameter in context.command.params for option in parameter.opts}
    assert ("--json" in options) == (context.command_path.removeprefix("jobhooks ") not in WITHOUT_DATA)


def test_the_committed_reference_of_commands_is_current() -> None:
    """make generate was run after the last change of a command; so each of them, and each option, is in it."""
    assert generated.COMMANDS.read_text() == generated.command_reference()


@pytest.mark.parametrize("group", GROUPS)
def test_each_group_says_what_it_is_about(group: str) -> None:
    finished = jobhooks(*group.split()[1:], "--help", COLUMNS="80")
    assert finished.returncode == 0 and "Usage:" in finished.stdout
    assert max(map(len, finished.stdout.splitlines())) <= 80


def test_flags_do_not_look_as_if_they_took_a_value() -> None:
    assert "<bool>" not in jobhooks("status", "--help").stdout


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["hok"], '"hook"'),
        (["result", "lst"], '"list"'),
        (["status", "--wach"], "--watch"),
        (["--jsn"], "--jsn"),
    ],
)
def test_what_is_mistyped_is_answered_with_the_nearest(arguments: list[str], words: str) -> None:
    finished = jobhooks(*arguments)
    assert finished.returncode == 2 and finished.stdout == "" and words in finished.stderr


def completed(shell: str, line: str, **changes: str) -> list[str]:
    """Complete a line as ``shell`` does when Tab is pressed at its end."""
    words = line.split(" ")
    asked = {
        "_JOBHOOKS_COMPLETE": f"complete_{shell}",
        "COMP_WORDS": "\n".join(words),
        "COMP_CWORD": str(len(words) - 1),
        "_TYPER_COMPLETE_ARGS": line,
        "_TYPER_COMPLETE_FISH_ACTION": "get-args",
    }
    finished = jobhooks(**asked, **changes)
    assert finished.returncode == 0 and finished.stderr == "", finished
    return list(filter(None, finished.stdout.splitlines()))


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_shells_complete_commands_and_options(shell: str) -> None:
    assert "hook" in " ".join(completed(shell, "jobhooks ho"))
    assert "--watch" in " ".join(completed(shell, "jobhooks status --wa"))
    assert "failure" in " ".join(completed(shell, "jobhooks result list --status fa"))


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_shells_are_given_a_script_that_completes(shell: str, tmp_path: Path) -> None:
    script = jobhooks("--show-completion", shell, _TYPER_COMPLETE_TEST_DISABLE_SHELL_DETECTION="1").stdout
    assert "_JOBHOOKS_COMPLETE" in script and "jobhooks" in script
    program = shutil.which(shell)
    if program is None:
        pytest.skip(f"there is no {shell} here")
    (tmp_path / "script").write_text(script)
    assert subprocess.run([program, "-n", tmp_path / "script"], check=False).returncode == 0


def test_bash_completes_a_line(tmp_path: Path) -> None:
    """By the script that --show-completion prints, and the command as it is installed."""
    script = jobhooks(_JOBHOOKS_COMPLETE="source_bash").stdout
    line = "COMP_WORDS=(jobhooks ho); COMP_CWORD=1; _jobhooks_completion jobhooks ho jobhooks; echo ${COMPREPLY[@]}"
    finished = subprocess.run(
        ["bash", "--norc", "-c", f"{script}\n{line}"],
        check=False,
        capture_output=True,
        text=True,
        timeout=LIMIT,
        env={**environment(), "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"},
    )
    assert finished.stdout.split() == ["hook"], finished.stderr


def test_completion_is_installed_for_a_shell(tmp_path: Path) -> None:
    asked = {"HOME": str(tmp_path), "_TYPER_COMPLETE_TEST_DISABLE_SHELL_DETECTION": "1"}
    finished = jobhooks("--install-completion", "bash", **asked)
    assert finished.returncode == 0, finished.stderr
    assert any("_JOBHOOKS_COMPLETE" in path.read_text() for path in tmp_path.rglob("*") if path.is_file())


def test_names_in_the_database_are_completed(device: Connection, database: str) -> None:
    device.execute("create table public.depot (id integer primary key)")
    device.execute("insert into jobhooks.job (class_path, enabled) values ('some.Check', true)")
    device.execute("select jobhooks.add_hook('Check serials', '{public.device}', '{update}', 'some.Check')")
    url = {"JOBHOOKS_DATABASE_URL": database}
    assert completed("fish", "jobhooks change list --table public.d", **url) == ["public.device"]
    assert completed("fish", "jobhooks table show pub", **url) == ["public.device"]
    assert completed("fish", "jobhooks table watch public.d", **url) == ["public.depot", "public.device"]
    assert completed("fish", "jobhooks job enable so", **url) == ["some.Check"]
    assert completed("fish", "jobhooks result list --hook ", **url) == ["Check serials"]
    assert completed("bash", "jobhooks result list --hook Ch", **url) == ["Check\\ serials"]
    assert completed("bash", "jobhooks job enable no", **url) == []
    named = database.replace(" ", "\\ ")
    assert completed("zsh", f"jobhooks job disable --database-url {named} some.") == [
        "_arguments '*: :((\"some.Check\"))'"
    ]


def test_without_a_database_completion_says_nothing(tmp_path: Path) -> None:
    for url in (f"postgresql:///x?host={tmp_path}", "nonsense"):
        assert completed("bash", "jobhooks change list --table pub", JOBHOOKS_DATABASE_URL=url) == []
    assert completed("bash", "jobhooks job enable a", JOBHOOKS_CONFIG="/nowhere/settings.toml") == []


HEADINGS = ["id", "time", "hook", "error"]
ROWS = [["1", "2026-11-25 09:18:39", "Check serials of all devices", "ValueError: " + "x" * 40], ["2", "-", "b", "-"]]


def test_in_a_pipe_each_row_is_a_line() -> None:
    lines = list(unbounded(HEADINGS, [*ROWS, ["3", "-", "y" * 5000, "z"]]))
    assert len(lines) == 4 and all(line == line.rstrip() for line in lines)
    assert len({line.rindex(cell) for line, cell in zip(lines[:2], ("error", "ValueError"), strict=True)}) == 1


@pytest.mark.parametrize("width", [200, 95, 80, 60, 50])
def test_on_a_terminal_a_table_fits_and_says_all(width: int) -> None:
    lines = [line.plain for line in fitted(HEADINGS, ROWS, width)]
    assert max(map(len, lines)) <= width
    text = "".join("".join(lines).split())
    for cell in (cell for row in ROWS for cell in row if cell != "-"):
        # A cell that is wrapped is in parts, but each number and time is in one.
        assert all(part in text or part[:20] in text for part in cell.split()), lines
    assert any(ROWS[0][1] in line for line in lines)


def test_a_wide_table_on_a_terminal(device: Connection, database: str) -> None:
    """At eighty columns, the usual width, for any content."""
    device.execute("update public.device set name = repeat('long ', 50), serial = 'short'")
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
    settings = environment(TERM="xterm", NO_COLOR="1")
    del settings["COLUMNS"]
    arguments = ["change", "list", "--database-url", database]
    with launcher.Process(arguments, env=settings, stdin=theirs, stdout=theirs, stderr=theirs) as command:
        os.close(theirs)
        text = b""
        try:
            while part := os.read(ours, 4096):
                text += part
        except OSError:  # which Linux raises once the other side is closed
            pass
        assert command.wait(LIMIT) == 0
    os.close(ours)
    lines = text.decode().splitlines()
    assert max(map(len, lines)) <= 80 and b"\x1b" not in text
    assert lines[1].split()[3:5] == ["public.device", "update"]
    assert 'serial: "FX2024-00017" -> "short"' in " ".join(" ".join(lines).split())
    piped = jobhooks("change", "list", "--database-url", database).stdout.splitlines()
    assert len(piped) == 2 and len(piped[1]) > 80
