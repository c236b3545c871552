"""``jobhooks status``, once and again and again; its texts: test_texts.py and tests/unit/cli/test_status_view.py."""

import contextlib
import json
import os
import pty
import signal
import subprocess
from collections.abc import Generator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg.conninfo import make_conninfo

from conftest import Connection
from jobhooks.operations.status import status
from jobhooks.runtime.settings import load
from jobhooks.store.connections import connect
from jobhooks.store.queries import find_query
from support.daemon import Command, Daemon, jobhooks, wait_until

MISMATCH, UNREACHABLE, REFUSED, INTERRUPTED = 4, 3, 5, 130


@pytest.fixture
def ledger(device: Connection) -> Connection:
    """The client of a database with results, pending deliveries and problems, and no daemon."""
    device.execute("insert into jobhooks.job (class_path, enabled) values ('a.B', true), ('a.C', true)")
    device.execute("select jobhooks.add_hook('first', '{public.device}', '{update}', 'a.B')")
    device.execute("select jobhooks.add_hook('gone by now', '{public.device}', '{update}', 'a.C')")
    for name in "abcd":
        device.execute("update public.device set name = %s", [name])
    device.execute("update jobhooks.object_change set time = now() - interval '90 seconds'")
    device.execute(
        "insert into jobhooks.delivery (change_id, hook_id, content_type_id, lane, status, due_at) values"
        " (1, 1, 1, 7, 'dead', null), (2, 1, 1, 7, 'waiting', now()), (3, 1, 1, 8, 'waiting', now() + '1 hour'),"
        " (4, 1, 1, 9, 'waiting', now() - '5 minutes'::interval), (4, 2, 1, 9, 'waiting', now() + '2 hours')"
    )
    device.execute("delete from jobhooks.job_hook where id = 2")
    device.execute(
        "insert into jobhooks.job_result (change_id, hook_id, job_id, attempt, status, started_at, finished_at, error)"
        " values (1, 1, 1, 1, 'failure', now(), now(), 'no'), (2, 1, 1, 1, 'discarded', now(), now(), 'no'),"
        " (3, 1, 1, 1, 'success', now(), now() - interval '30 seconds', null),"
        " (4, 1, 1, 1, 'success', now(), now() - interval '5 minutes', null),"
        " (4, 1, 1, 2, 'success', now(), now() - interval '2 hours', null)"
    )
    return device


def read(finished: subprocess.CompletedProcess[str], code: int = 0) -> dict[str, Any]:
    assert finished.returncode == code and finished.stderr == "", finished
    return json.loads(finished.stdout)


def test_no_leader_and_many_pending_deliveries(ledger: Connection, database: str) -> None:
    told = read(jobhooks("status", "--json", "--database-url", database), 1)
    assert (told["leader"], told["standbys"]) == (None, [])
    assert told["database"] == ledger.info.dbname and told["retention_days"] == 30
    unread, hour, log, problems = (told[name] for name in ("unread", "last_hour", "log", "problems"))
    assert unread["changes"] == 4 and 80 < unread["oldest_age_s"] < 200
    pending = [[row[name] for name in ("hook", "waiting", "blocked", "dead")] for row in told["deliveries"]]
    assert pending == [["first", 2, 1, 1], [None, 1, 0, 0]]
    assert -400 < told["deliveries"][0]["oldest_due_in_s"] < -290
    counts = [hour[name] for name in ("results", "success", "failure", "discarded")]
    assert counts == [4, 2, 1, 1] and hour["per_second_in_the_last_minute"] == pytest.approx(3 / 60, abs=1e-3)
    assert hour["p95_delay_s"] == pytest.approx(60, abs=20)
    assert (log["segments"], log["changes"]) == (1, 4) and log["log_bytes"] > 8000
    assert problems[0]["severity"] == "error"


def test_who_leads_and_who_stands_by(device: Connection, database: str, tmp_path: Path) -> None:
    url = {"JOBHOOKS_DATABASE_URL": database}
    with Daemon(database, tmp_path, tmp_path / "one", PGAPPNAME="one").await_started() as first:
        with Daemon(database, tmp_path, tmp_path / "two", PGAPPNAME="two") as second:
            second.await_event("standing_by")

            def seen() -> list[Any]:
                """It does not wait at each moment, nor sleep at first."""
                told = read(jobhooks("status", "--json", **url))
                leader = told["leader"]
                assert leader["application_name"] == "one" and leader["leads_since"]
                return told["standbys"] if leader["asleep"] else []

            standbys = wait_until("both are seen", seen)
            assert [standby["application_name"] for standby in standbys] == ["two"]
        assert first.terminate() == 0
    assert jobhooks("status", **url).returncode == 1


def test_read_changes_are_neither_unread_nor_pending(device: Connection, database: str, tmp_path: Path) -> None:
    """The daemon also has to read changes that no hook wants."""
    with Daemon(database, tmp_path, tmp_path / "log").await_started():
        device.execute("update public.device set name = 'new'")

        def nothing_is_unread() -> bool:
            with contextlib.closing(connect(database)) as conn:
                return status(conn, load(None, database_url=database)).unread.changes == 0

        wait_until("all is read", nothing_is_unread)


def test_a_viewer_sees_enough(device: Connection, database: str, role: str, tmp_path: Path) -> None:
    """Except the program of the daemon's session, which also needs pg_read_all_stats."""
    url = make_conninfo(database, user=role)
    assert jobhooks("status", "--database-url", url).returncode == REFUSED
    device.execute(f"grant jobhooks_receiver to {role}".encode())
    assert jobhooks("status", "--database-url", url).returncode == REFUSED
    device.execute(f"grant jobhooks_viewer to {role}".encode())
    with Daemon(database, tmp_path, tmp_path / "log").await_started():
        leader = read(jobhooks("status", "--json", "--database-url", url))["leader"]
        assert leader["role"] == device.info.user
        assert leader["client"] is None and leader["since"] is None and leader["leads_since"]


@pytest.mark.parametrize(
    ("name", "parameters", "bad"),
    [
        ("recent_results", {"limit": 50_000, "seconds": 3600.0, "timed_limit": 10_000}, "Seq Scan on job_result"),
        ("unread_changes", {"limit": 10_000}, "Seq Scan on object_change_1"),
        ("extent_of_log", {}, "Seq Scan on object_change_1"),
    ],
)
def test_it_is_cheap_however_much_there_is(
    device: Connection, name: str, parameters: dict[str, object], bad: str
) -> None:
    device.execute("insert into public.device (name) select 'd' from generate_series(1, 60000)")
    device.execute(
        "insert into jobhooks.job_result (change_id, hook_id, job_id, attempt, status, started_at)"
        " select i, 1, 1, 1, 'success', now() from generate_series(1, 60000) as i"
    )
    device.execute("vacuum analyze jobhooks.job_result, jobhooks.object_change_1")
    with psycopg.connect(device.info.dsn, cursor_factory=psycopg.RawCursor) as raw:
        query = find_query(name)
        plan = raw.execute(b"explain (costs off) " + query.encoded, query.arguments(parameters)).fetchall()
    text = "\n".join(line for (line,) in plan)
    # But for the delays, whose sample of the log may be joined as suits best.
    assert bad not in text.replace("Seq Scan on object_change_1 change", ""), text
    with contextlib.closing(connect(device.info.dsn)) as conn:
        hour = status(conn, load(None, database_url=device.info.dsn)).last_hour
    assert hour.results == 50_000 and hour.median_delay_s is not None


@contextlib.contextmanager
def watching(database: str, *arguments: str, terminal: bool) -> Generator[tuple[Command, int]]:
    """Run ``status --watch`` on a terminal or in a pipe; yield it with a reader of its output."""
    ours, theirs = pty.openpty() if terminal else os.pipe()
    watch = ["status", "--watch", "--interval", "0.1", *arguments, "--database-url", database]
    with Command(*watch, stdout=theirs, TERM="xterm", PGAPPNAME="watching") as command:
        os.close(theirs)
        try:
            yield command, ours
        finally:
            os.close(ours)


def read_until(reader: int, words: bytes, times: int) -> bytes:
    text = b""
    while text.count(words) < times:
        part = os.read(reader, 65536)
        assert part, text
        text += part
    return text


def rest(reader: int) -> bytes:
    text = b""
    with contextlib.suppress(OSError):  # which Linux raises once the other side is closed
        while part := os.read(reader, 65536):
            text += part
    return text


def test_watching_refreshes_in_place_and_ends_with_an_interrupt(ledger: Connection, database: str) -> None:
    with watching(database, terminal=True) as (command, screen):
        text = read_until(screen, b"problems", 3)
        assert b"\x1b[?25l" in text and b"\x1b[1A" in text, "no cursor, and each over the one before"
        command.send_signal(signal.SIGINT)
        assert b"\x1b[?25h" in rest(screen), "the cursor is back"
        assert command.end() == (INTERRUPTED, b"")


def test_watching_in_a_pipe_is_one_look_after_another(ledger: Connection, database: str) -> None:
    with watching(database, terminal=False) as (_, reader):
        text = read_until(reader, b"\n\njobhooks   ", 2)
        assert b"\x1b" not in text
    with watching(database, "--json", terminal=False) as (command, reader):
        text = read_until(reader, b"\n", 2)
        assert [json.loads(line)["leader"] for line in text.splitlines()[:2]] == [None, None]
        assert command.end(signal.SIGINT) == (INTERRUPTED, b"")


def test_watching_ends_when_nobody_reads(ledger: Connection, database: str) -> None:
    with watching(database, "--interval", "60", terminal=False) as (command, reader):
        read_until(reader, b"problems", 1)
        os.dup2(os.open(os.devnull, os.O_RDONLY), reader)  # which closes our end of the pipe
        assert command.end() == (1, b"")


def test_watching_awaits_a_database_that_goes_away(ledger: Connection, database: str) -> None:
    """At night the database is often what restarts, and the screen should come back with it."""
    with watching(database, "--json", terminal=False) as (_, reader):
        read_until(reader, b"\n", 1)
        ledger.execute("select pg_terminate_backend(pid) from pg_stat_activity where application_name = 'watching'")
        text = read_until(reader, b'{"error":', 1)
        if not text.endswith(b"\n"):
            text += read_until(reader, b"\n", 1)
        assert json.loads(read_until(reader, b"\n", 2).splitlines()[0])["leader"] is None


@pytest.mark.parametrize("arguments", [[], ["--watch"], ["--json"]])
def test_a_database_that_cannot_be_told_of(empty_database: str, tmp_path: Path, arguments: list[str]) -> None:
    finished = jobhooks("status", *arguments, "--database-url", empty_database)
    assert (finished.returncode, finished.stdout) == (MISMATCH, "")
    assert finished.stderr.endswith("jobhooks install\n") and len(finished.stderr.splitlines()) == 1
    finished = jobhooks("status", *arguments, "--database-url", f"postgresql:///x?host={tmp_path}")
    assert (finished.returncode, finished.stdout) == (UNREACHABLE, "") and len(finished.stderr.splitlines()) == 1


def test_wrong_intervals_are_wrong_usage(database: str) -> None:
    for interval in ("0", "-1", "often"):
        assert jobhooks("status", "--watch", "--interval", interval, "--database-url", database).returncode == 2
