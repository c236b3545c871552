"""The tree of commands: complete, and no slower to start than the command that is called needs."""

import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import jobhooks.cli
from jobhooks.cli.app import app
from jobhooks.cli.command_tree import MODULES, command_tree

SLOW = {"asyncpg", "cel_expr_python", "psycopg", "pydantic_settings", "rich", "structlog", "uvloop", "watchfiles"}
OWN = {"jobhooks.cli.app", "jobhooks.cli.command_tree", "jobhooks.cli.commands.version"}

IMPORTED = """
import sys
from jobhooks.cli import main
sys.argv = ["jobhooks", *sys.argv[1:]]
try:
    main()
finally:
    print(*sys.modules, file=sys.stderr)
"""


def test_every_module_with_commands_is_in_the_tree() -> None:
    folder = Path(jobhooks.cli.__file__).parent
    paths = [path for path in folder.rglob("*.py") if "\ndef add_to(app: " in path.read_text()]
    names = {".".join(path.relative_to(folder).with_suffix("").parts) for path in paths}
    assert names == set(MODULES.values())


def test_every_name_in_the_tree_is_a_command() -> None:
    root = command_tree(app)
    assert [command.name for command in root.commands.values()] == list(MODULES)


def test_version_imports_no_driver_no_settings_and_no_renderer() -> None:
    """These imports are most of the time that a command takes to start."""
    finished = subprocess.run(
        [sys.executable, "-c", IMPORTED, "version"], check=True, capture_output=True, text=True, timeout=60
    )
    assert finished.stdout == version("jobhooks") + "\n"
    imported = set(finished.stderr.split())
    assert imported >= OWN
    assert not imported & SLOW
    assert {name for name in imported if name.startswith("jobhooks.cli.")} - OWN == {
        "jobhooks.cli.commands",
        "jobhooks.cli.show",
        "jobhooks.cli.show.output",
        "jobhooks.cli.usage_errors",
    }
