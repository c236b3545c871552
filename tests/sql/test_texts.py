"""The texts of the database: problems that the doctor finds, errors, and why a hook does not run.

Other tests assert on data: severity, subject and remedy of a problem, the class of an error. Each file in ``texts/`` is
a session on a database with a watched table ``public.device`` and jobs a.On and a.Off:

    > a statement
    rows of jobhooks, with | between columns; or the error and its hint

``pytest tests/sql/test_texts.py --write-texts`` writes what they are now; review the difference.
"""

import re
from pathlib import Path

import psycopg
import pytest

from conftest import Connection
from jobhooks.contract.job_settings import RULES

TEXTS = Path(__file__).with_name("texts")
TIME = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d(:\d\d(\.\d+)?)?([+-]\d\d(:?\d\d)?)?")


@pytest.fixture
def jobs(device: Connection) -> Connection:
    """The client, with a job that is on and one that is not."""
    device.execute("insert into jobhooks.job (class_path, enabled) values ('a.On', true), ('a.Off', false)")
    return device


def outcome(conn: Connection, statement: str) -> list[str]:
    """The rows of a statement, or its error."""
    try:
        cursor = conn.execute(statement.encode())
    except psycopg.Error as error:
        hint = error.diag.message_hint
        return [f"{error.sqlstate}: {error.diag.message_primary}", *([f"hint: {hint}"] if hint else [])]
    if " from jobhooks." not in statement or cursor.description is None:
        return []  # a function that acts
    return [" | ".join("" if value is None else str(value) for value in row).rstrip() for row in cursor]


def steady(text: str, conn: Connection) -> str:
    """The text without what differs from run to run."""
    text = TIME.sub("TIME", text).replace(conn.info.dbname, "DATABASE")
    text = text.replace(", ".join(RULES), "SETTINGS")  # so that a new setting of jobs changes no session
    return re.sub(rf"\b{re.escape(conn.info.user)}\b", "ROLE", text)


def replayed(session: str, conn: Connection) -> str:
    """The session with the present outcomes."""
    found: list[str] = []
    for line in session.splitlines():
        if line.startswith("> "):
            found += [line, *(steady(text, conn) for text in outcome(conn, line.removeprefix("> ")))]
        elif line.startswith("--"):
            found += ["", line] if found else [line]
    return "\n".join(found) + "\n"


@pytest.mark.parametrize("name", sorted(path.stem for path in TEXTS.glob("*.txt")))
def test_a_session_with_the_database(jobs: Connection, pytestconfig: pytest.Config, name: str) -> None:
    file = TEXTS / f"{name}.txt"
    expected = file.read_text()
    found = replayed(expected, jobs)
    if pytestconfig.option.write_texts:
        file.write_text(found)
        return
    assert found.splitlines() == expected.splitlines()
