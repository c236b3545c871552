"""The texts that commands print: lists, views, questions, outcomes and errors. Other tests assert on data.

Each file in ``texts/`` is a session with the command line on the database of the fixture ``ledger``:

    sql> a statement, before the next command
    $ the arguments of jobhooks
    what it prints, stdout first
    ! what it prints on stderr
    [exit code, unless it is 0]

``pytest tests/acceptance/test_texts.py --write-texts`` writes what they print now; review the difference.
"""

import re
import shlex
from dataclasses import fields
from pathlib import Path

import pytest

from conftest import Connection
from jobhooks.contract.job_settings import RULES, JobLimits
from jobhooks.runtime.version import PROGRAM_VERSION
from support.daemon import Daemon, jobhooks, on_a_terminal
from support.hooking import add_hook, write_receivers
from support.ledger import fill_ledger

TEXTS = Path(__file__).with_name("texts")
ROOT = Path(__file__).parents[2]
RECEIVERS = """
from jobhooks import JobHookReceiver, Retry

class Reverts(JobHookReceiver):
    def receive_job_hook(self, change, action, changed_object):
        self.log_info(changed_object, "reverting")
        changed_object.serial = "FX2"
        changed_object.save()
        self.connection.execute("insert into public.site values (2)")
        return {"reverted": True}

class Fails(JobHookReceiver):
    def receive_job_hook(self, change):
        raise ValueError("no such vendor")

class Asks(JobHookReceiver):
    def receive_job_hook(self, change):
        raise Retry(60)

class Commits(JobHookReceiver):
    def receive_job_hook(self, change):
        self.connection.execute("commit")
"""
HOOKS = """
[[hook]]
name = "first"
content_types = ["public.device"]
job = "a.B"
events = ["create", "delete"]
columns = ["serial", "name"]
coalesce = "transaction"

[[hook]]
name = "third"
content_types = ["public.site"]
job = "a.B"
events = ["delete"]
enabled = false
description = "Says \\"gone\\"\\nand why"
priority = 2
"""
# Hook files with one mistake each, in the directory "mistakes".
HOOK = '[[hook]]\nname = "h"\ncontent_types = ["public.device"]\njob = "a.B"\nevents = ["truncate"]\n'
MISTAKES = {
    "off": HOOK.replace("a.B", "a.Off"),
    "job": HOOK.replace("a.B", "a.None"),
    "column": HOOK + 'columns = ["serial", "no"]\n',
    "table": HOOK.replace("public.device", "public.none"),
    "event": HOOK.replace("truncate", "rename"),
    "none": HOOK.replace('"truncate"', ""),
    "type": HOOK + "enabled = 0\n",
    "conflict": HOOK + HOOK.replace('"h"', '"i"'),
    "conditions": HOOK + "conditions = 'new.name = 1'\n",
}
# What differs from run to run, and what stands in its place.
UNSTEADY = {
    r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d(\.\d+)?([+-]\d\d:?\d*)?": "TIME",
    r"\b\d\d:\d\d:\d\d\.\d{3}\b": "TIME",
    r"\bin \d+ ms": "in N ms",
    r"transaction  +\d+": "transaction  NUMBER",
    r"\b(\d+m \d+s|1h 0m)\b": "DURATION",
    r"PostgreSQL \S+ at \S+,": "PostgreSQL VERSION at HOST,",
    r"(connect to|This is) DATABASE at \S+( on \S+, port \d+)?(?=[. ,])": r"\1 DATABASE at PLACE",
    r"\bschema \d+": "schema NUMBER",
    r"\d+(\.\d)? (kB|bytes)": "SIZE",
    r"( +)Traceback \(most recent call last\):\n(?:\1 .*\n)+": r"\1TRACEBACK" + "\n",
    r"(?<=\S) {2,}": "  ",  # the width of a column, which tests/unit/cli/test_table_layout.py is about
    r" +$": "",
}
# So that a new setting of jobs changes no session.
SETTINGS = {
    ", ".join(RULES): "SETTINGS",
    rf"^(?:{'|'.join(field.name for field in fields(JobLimits))}) +(?!.*set instead of).*\n": "",  # a default
}


@pytest.fixture
def ledger(device: Connection, tmp_path: Path) -> Connection:
    """The client of a log with deliveries and results, in a directory with receivers and a hook file."""
    fill_ledger(device)
    write_receivers(tmp_path / "receivers", RECEIVERS)
    (tmp_path / "hooks.toml").write_text(HOOKS)
    (tmp_path / "mistakes").mkdir()
    for name, text in MISTAKES.items():
        (tmp_path / "mistakes" / f"{name}.toml").write_text(text)
    return device


def steady(text: str, conn: Connection, directory: Path) -> str:
    """The text without what differs from run to run."""
    names = {str(directory): "DIRECTORY", str(ROOT): "ROOT", conn.info.dbname: "DATABASE", PROGRAM_VERSION: "VERSION"}
    for value, name in names.items():
        text = text.replace(value, name)
    for pattern, replacement in (UNSTEADY | SETTINGS).items():
        text = re.sub(pattern, replacement, text, flags=re.MULTILINE)
    return re.sub(rf"\b{re.escape(conn.info.user)}\b", "ROLE", text)


def replayed(session: str, conn: Connection, directory: Path) -> str:
    """The session with what the commands print now."""
    settings = {"JOBHOOKS_DATABASE_URL": conn.info.dsn, "JOBHOOKS_RECEIVERS_PATH": str(directory / "receivers")}
    found: list[str] = []
    for line in session.splitlines():
        if not line.startswith(("sql> ", "$ ")):
            continue
        found += ["", line] if found and not found[-1].startswith("sql> ") else [line]
        if line.startswith("sql> "):
            conn.execute(line.removeprefix("sql> ").encode())
        else:
            finished = jobhooks(*shlex.split(line.removeprefix("$ ")), cwd=directory, **settings)
            found += steady(finished.stdout, conn, directory).splitlines()
            found += [f"! {words}".rstrip() for words in steady(finished.stderr, conn, directory).splitlines()]
            found += [f"[{finished.returncode}]"] if finished.returncode else []
    return "\n".join(found) + "\n"


@pytest.mark.parametrize("name", sorted(path.stem for path in TEXTS.glob("*.txt")))
def test_a_session_with_the_command_line(
    ledger: Connection, tmp_path: Path, pytestconfig: pytest.Config, name: str
) -> None:
    file = TEXTS / f"{name}.txt"
    expected = file.read_text()
    found = replayed(expected, ledger, tmp_path)
    if pytestconfig.option.write_texts:
        file.write_text(found)
        return
    assert found.splitlines() == expected.splitlines()


def test_a_question_names_the_number_and_the_consequence(ledger: Connection) -> None:
    code, text = on_a_terminal("n\n", "delivery", "discard", "--hook", "first", "--database-url", ledger.info.dsn)
    assert code == 1
    assert text.splitlines() == [
        "n",
        "Gives up for good: 1 waiting, 1 blocked, 1 dead.",
        "Discard 3 deliveries? [y/N]: jobhooks: cancelled; nothing was changed",
    ]


JOB_RUN = """\
$ job run r.Reverts --change 1
change 1: update public.device id = 1
hook "hook of r.Reverts"
  attempt 1, TIME: success in N ms
    info: public.device id=1: reverting
"""


def test_a_job_run_shows_the_change_and_each_result(ledger: Connection, tmp_path: Path) -> None:
    ledger.execute("delete from jobhooks.job_hook")
    add_hook(ledger.info.dsn, tmp_path / "receivers", "r.Reverts")
    with Daemon(ledger.info.dsn, tmp_path / "receivers", tmp_path / "log").await_started():
        assert replayed(JOB_RUN, ledger, tmp_path) == JOB_RUN
