"""Bytes that are no characters, in a session's settings, a role's name or a row: all of it is delivered and shown."""

import contextlib
import json
from collections.abc import Generator
from pathlib import Path

import psycopg
import pytest

from conftest import Connection
from jobhooks.schema.install import install
from jobhooks.store.connections import connect
from jobhooks.store.undecodable_text import decoded
from support.capturing import client_with
from support.daemon import Daemon, jobhooks, wait_until
from support.hooking import add_hook, write_receivers
from support.postgres.servers import Server, drop_database

RECEIVERS = """
from jobhooks import JobHookReceiver

class Tells(JobHookReceiver):
    def receive_job_hook(self, change):
        self.log_info(f"{change.user_name} {ascii(change.postchange['name'])}")

class Reads(JobHookReceiver):
    async def receive_job_hook(self, change, changed_object):
        self.log_info(f"{changed_object.name}")
"""
SHIFTED = "ol\N{REPLACEMENT CHARACTER}e9"


def lines(conn: Connection, hook: str) -> list[str]:
    """List the log lines of a hook's receiver, by change."""
    return [
        line
        for (line,) in conn.execute(
            "select message from jobhooks.job_log_entry join jobhooks.job_hook as hook on hook.id = hook_id"
            " where hook.name = %s order by change_id",
            [hook],
        )
    ]


@pytest.mark.parametrize(
    ("value", "encoding", "text"),
    [
        (b"ol\xc3\xa9", "UTF8", "olé"),
        (b"ol\xe9", "UTF8", SHIFTED),
        (b'{"a":"\xe9\xe8"}', "SQL_ASCII", '{"a":"\N{REPLACEMENT CHARACTER}e9\N{REPLACEMENT CHARACTER}e8"}'),
        (b"\x81\xe9", "WIN1252", "\N{REPLACEMENT CHARACTER}81é"),
        (b"\xa4\xa2", "EUC_JP", "あ"),
        (b"a\xe9", "MULE_INTERNAL", "a\N{REPLACEMENT CHARACTER}e9"),
    ],
)
def test_a_byte_that_is_no_character_is_read_as_its_number(value: bytes, encoding: str, text: str) -> None:
    """So that bytes that differ stay different, and JSON stays JSON."""
    assert decoded(value, encoding) == text


def test_a_log_that_holds_what_is_no_text_is_read_all_the_same(
    device: Connection, database: str, tmp_path: Path
) -> None:
    """Recorded by an earlier version, or for a role that a database of another encoding has named."""
    with client_with(device, b"-c test.bad=ol\xe9") as writer:
        for _ in range(2):
            writer.execute("update public.device set name = name || '!'")
        writer.execute(
            "update jobhooks.object_change"
            " set context = ('{\"user_name\":\"' || current_setting('test.bad') || '\"}')::json"
            " where id = (select max(id) from jobhooks.object_change)"
        )
        writer.execute(
            "update jobhooks.object_change set session_role = current_setting('test.bad') where context is null"
        )
    add_hook(database, write_receivers(tmp_path / "receivers", RECEIVERS), "r.Tells")
    device.execute("update jobhooks.job_hook set enabled_since = '1:1:'")
    device.execute("update public.device set name = 'last'")
    with Daemon(database, tmp_path / "receivers", tmp_path / "log") as daemon:
        wait_until("all are delivered", lambda: len(lines(device, "hook of r.Tells")) == 3)
        assert "Traceback" not in daemon.words()
    assert [line.split()[0] for line in lines(device, "hook of r.Tells")[:2]] == [SHIFTED] * 2
    told = jobhooks("change", "list", "--json", "--database-url", database)
    assert [change["user"] for change in json.loads(told.stdout)][:2] == [SHIFTED] * 2
    for arguments in (["change", "show", "2"], ["doctor"]):
        finished = jobhooks(*arguments, "--database-url", database)
        assert "Traceback" not in finished.stderr and finished.returncode in (0, 1, 7), finished


@pytest.fixture
def ascii_database(server: Server) -> Generator[str]:
    """The URL of a database that takes any bytes for text."""
    name = "jobhooks_test_sql_ascii"
    drop_database(server, name)
    with psycopg.connect(server.admin_url, autocommit=True) as conn:
        conn.execute(f"create database {name} template template0 encoding 'SQL_ASCII' locale 'C'".encode())
    with contextlib.closing(connect(server.url(name))) as conn:
        install(conn)
    yield server.url(name)
    drop_database(server, name)


def test_rows_of_a_database_that_takes_any_bytes_are_delivered(ascii_database: str, tmp_path: Path) -> None:
    """In order, because an object's key is read the same way, with any other content. If the driver cannot read the
    live row, only that delivery fails.
    """
    with psycopg.connect(ascii_database, autocommit=True, client_encoding="utf8") as conn:
        conn.execute("create table public.device (id text primary key, name text)")
        conn.execute("select jobhooks.watch('public.device')")
        receivers = write_receivers(tmp_path / "receivers", RECEIVERS)
        add_hook(ascii_database, receivers, "r.Tells")
        with Daemon(ascii_database, receivers, tmp_path / "log") as daemon:
            daemon.await_started()
            conn.execute(rb"insert into public.device values (E'ol\xe9', 'plain'), ('b', E'ol\xc3\xa9')")
            conn.execute(rb"update public.device set name = E'ol\xe9' where id = 'b'")
            wait_until("all are delivered", lambda: len(lines(conn, "hook of r.Tells")) == 3)
            names = [line.partition(" ")[2] for line in lines(conn, "hook of r.Tells")]
            assert names == [ascii(name) for name in ("plain", "olé", SHIFTED)]
            add_hook(ascii_database, receivers, "r.Reads")
            conn.execute("insert into public.device values ('c', 'fine')")
            conn.execute("update public.device set name = 'known' where id = 'b'")
            conn.execute(rb"insert into public.device values ('d', E'ol\xe9')")
            wait_until("those that can be are", lambda: len(lines(conn, "hook of r.Reads")) == 2)
            wait_until(
                "the other is parked",
                lambda: conn.execute("select from jobhooks.delivery where attempts > 0").fetchall(),
            )
            assert daemon.process.poll() is None
        assert "SQL_ASCII" in str(conn.execute("select problem from jobhooks.problems()").fetchall())
        assert jobhooks("change", "list", "--database-url", ascii_database).returncode == 0
