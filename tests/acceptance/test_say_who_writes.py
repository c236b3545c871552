"""The recipes of docs/how-to/say-who-writes.md: each change has the user and the request id."""

import re
import subprocess
import sys
from pathlib import Path

from conftest import Connection
from support.daemon import environment

RECIPES = Path(__file__).parents[2] / "docs" / "how-to" / "say-who-writes.md"
WRITTEN = """
select coalesce(change.action::text, '') || ' ' || coalesce(context ->> 'user_name', '-') || ' '
    || coalesce(context ->> 'request_id', '-') || coalesce(': ' || (context ->> 'message'), '')
from jobhooks.object_change as change order by id
"""
SQLALCHEMY = """
import sys
from sqlalchemy import create_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column

engine = create_engine("postgresql+psycopg://", creator=lambda: __import__("psycopg").connect(sys.argv[1]))
say_who_writes(engine)


class Base(DeclarativeBase):
    pass


class Device(Base):
    __tablename__ = "device"
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str]


who.set(("alice", "r-1"))
with Session(engine) as session:
    session.add(Device(name="orm"))
    session.commit()
with engine.begin() as connection:
    connection.execute(text("update device set name = 'core' where name = 'orm'"))
who.set(("", ""))
with Session(engine) as session:  # the same connection, from the pool
    session.add(Device(name="after"))
    session.commit()
engine.dispose()
"""
PSYCOPG = """
import sys
import psycopg

with psycopg.connect(sys.argv[1], autocommit=True) as conn:
    with conn.transaction():
        say_who_writes(conn, "alice", "r-1")
        conn.execute("insert into device (name) values ('a')")
    with conn.transaction():
        say_who_writes(conn, "alice", "r-2", "it's new")
        conn.execute("insert into device (name) values ('b')")
    conn.execute("insert into device (name) values ('after')")
"""


def recipe(heading: str, language: str = "python") -> str:
    """The code below a heading."""
    section = RECIPES.read_text().partition(f"## {heading}\n")[2].partition("\n## ")[0]
    (code,) = re.findall(rf"^```{language}\n(.*?)^```$", section, re.MULTILINE | re.DOTALL)
    return code


def run(code: str, database: str, tmp_path: Path) -> None:
    """Run it as an application would be run: in another process, without an import of jobhooks."""
    script = tmp_path / "application.py"
    script.write_text(code)
    finished = subprocess.run(
        [sys.executable, "-W", "error", str(script), database],
        env=environment(),
        check=False,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert finished.returncode == 0, finished.stderr


def written(device: Connection) -> list[str]:
    return [text for (text,) in device.execute(WRITTEN.encode())]


def test_sqlalchemy_says_who_writes_in_the_orm_and_in_core(device: Connection, database: str, tmp_path: Path) -> None:
    run(recipe("SQLAlchemy") + SQLALCHEMY, database, tmp_path)
    assert written(device) == ["create alice r-1", "update alice r-1", "create - -"]


def test_psycopg_says_who_writes(device: Connection, database: str, tmp_path: Path) -> None:
    run(recipe("Python with psycopg") + PSYCOPG, database, tmp_path)
    assert written(device) == ["create alice r-1", "create alice r-2: it's new", "create - -"]


def test_a_script_says_who_writes(device: Connection) -> None:
    device.execute(recipe("psql and scripts", "sql").encode())
    assert written(device) == ["update alice ticket-4711: the rack moved to the second floor"]
