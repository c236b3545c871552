"""``jobhooks result``: filters, exports and pages, among very many results; the texts are in test_texts.py."""

import contextlib
import csv
import io
import json
import os
import pty
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import psycopg
import pytest
from psycopg.conninfo import make_conninfo

from conftest import Connection
from jobhooks.operations.delivering.results import ResultFilter, newest_lines, newest_results
from jobhooks.operations.lookup.object_keys import object_key
from jobhooks.store.connections import connect
from jobhooks.store.queries import find_query
from support.daemon import LIMIT, Command, environment, jobhooks

REFUSED = 5
# Parameters of queries: a result, results, and the filters of results.
RESULT = {"change_id": 20_000, "hook_id": 1, "attempt": 1, "limit": 2000}
RESULTS = {"change_ids": [1, 2], "hook_ids": [1, 1], "attempts": [1, 1]}
RESULT_FILTERS = dict.fromkeys(
    ("job_ids", "status", "content_type_ids", "since", "until", "least_version", "greatest_version")
)


@pytest.fixture
def ledger(device: Connection) -> Connection:
    """The client of a log with results of two hooks and two tables; the first change is two hours old."""
    device.execute("create table public.link (a integer, b text, primary key (a, b))")
    device.execute("select jobhooks.watch('public.link')")
    device.execute("""update public.device set name = 'a', serial = e'"17"\n' where id = 1""")
    device.execute("alter table public.device alter column id drop identity")
    device.execute("insert into public.device (id, name) values (17, 'b')")
    device.execute("update public.device set id = 18 where id = 17")
    device.execute("insert into public.link values (1, 'x=y\u00e9')")
    device.execute("update jobhooks.object_change set time = now() - interval '2 hours' where id = 1")
    device.execute("insert into jobhooks.job (class_path, enabled) values ('a.B', true), ('a.C', true)")
    for name, table, job in (("first", "device", "B"), ("second", "link", "C")):
        statement = f"select jobhooks.add_hook('{name}', '{{public.{table}}}', '{{create,update}}', 'a.{job}')"
        device.execute(statement.encode())
    device.execute(
        "insert into jobhooks.job_result"
        " (change_id, hook_id, job_id, attempt, status, started_at, finished_at, error, traceback, value) values"
        " (1, 1, 1, 1, 'failure', now(), now() + interval '25 ms', e'Key\\tError: \x1b[31m100%', 'T', null),"
        " (1, 1, 1, 2, 'success', now(), now() + interval '5 ms', null, null, '{\"n\": 1.10}'),"
        " (2, 1, 1, 1, 'discarded', now(), now(), 'not needed', null, null),"
        " (3, 1, 1, 1, 'success', now(), now(), null, null, null),"
        " (4, 2, 2, 1, 'failure', now(), now(), 'Timeout', null, null)"
    )
    device.execute(
        "insert into jobhooks.job_log_entry (line, level, time, object, message, change_id, hook_id, attempt) values"
        " (1, 'debug', now(), null, 'begins', 1, 1, 1), (2, 'failure', now(), 'device 1', e'bad\n\x1b[31m', 1, 1, 1),"
        " (1, 'info', now(), null, 'again', 1, 1, 2), (1, 'warning', now(), null, 'slow', 4, 2, 1)"
    )
    return device


def done(finished: subprocess.CompletedProcess[str]) -> str:
    assert finished.returncode == 0, finished.stderr
    return finished.stdout


@pytest.mark.parametrize(
    ("arguments", "found"),
    [
        (["--hook", "first"], ["1/1", "1/2", "2/1", "3/1"]),
        (["--job", "a.C"], ["4/1"]),
        (["--status", "success"], ["1/2", "3/1"]),
        (["--table", "public.link"], ["4/1"]),
        (["--since", "1h", "--object", "id=17"], ["2/1", "3/1"]),
        (["--until", "1h"], ["1/1", "1/2"]),
    ],
)
def test_flags_choose_what_is_listed_and_exported(
    ledger: Connection, database: str, arguments: list[str], found: list[str]
) -> None:
    """``tests/operations/test_results.py`` has the combinations."""
    url = {"JOBHOOKS_DATABASE_URL": database}
    listed = json.loads(done(jobhooks("result", "list", "--json", *arguments, **url)))
    assert [f"{result['change_id']}/{result['attempt']}" for result in listed] == found
    exported = done(jobhooks("result", "export", "--format", "jsonl", *arguments, **url)).splitlines()
    assert [f"{line['change_id']}/{line['attempt']}" for line in map(json.loads, exported)] == found


@pytest.mark.parametrize(
    ("texts", "found"),
    [
        (["17"], ["2/1", "3/1"]),
        (["id=18"], ["3/1"]),
        (["a=1"], ["4/1"]),
        (["b=x=y\u00e9", "a=1"], ["4/1"]),
        (["a=1", "b=other"], []),
        (["7"], []),
    ],
)
def test_results_are_found_by_the_key_of_an_object(
    ledger: Connection, database: str, texts: list[str], found: list[str]
) -> None:
    """By its key before and after a change of the key, and by parts of a key."""
    with contextlib.closing(connect(database)) as conn:
        results = newest_results(conn, ResultFilter(key=object_key(texts)), 50)
    assert [f"{result.change_id}/{result.attempt}" for result in results] == found


@pytest.mark.parametrize(("limit", "found"), [(0, []), (2, [3, 4]), (3, [2, 3, 4])])
def test_a_limit_keeps_the_newest(ledger: Connection, database: str, limit: int, found: list[int]) -> None:
    with contextlib.closing(connect(database)) as conn:
        assert [result.change_id for result in newest_results(conn, ResultFilter(), limit)] == found


LEVELS: list[tuple[ResultFilter, int, str, list[str]]] = [
    (ResultFilter(), 50, "debug", ["begins", "bad\n\x1b[31m", "again", "slow"]),
    (ResultFilter(), 50, "info", ["bad\n\x1b[31m", "again", "slow"]),
    (ResultFilter(), 50, "warning", ["bad\n\x1b[31m", "slow"]),
    (ResultFilter(), 50, "failure", ["bad\n\x1b[31m"]),
    (ResultFilter(hooks=["second"]), 50, "warning", ["slow"]),
    (ResultFilter(key=object_key(["1"])), 2, "debug", ["bad\n\x1b[31m", "again"]),
    (ResultFilter(), 0, "debug", []),
]


@pytest.mark.parametrize(("chosen", "limit", "level", "messages"), LEVELS)
def test_what_was_logged_is_read_over_results(
    ledger: Connection, database: str, chosen: ResultFilter, limit: int, level: str, messages: list[str]
) -> None:
    with contextlib.closing(connect(database)) as conn:
        assert [line.message for line in newest_lines(conn, chosen, limit, level)] == messages


@pytest.mark.parametrize(
    ("arguments", "messages"),
    [
        (["--level", "warning", "--hook", "second"], ["slow"]),
        (["--level", "critical"], []),
        (["--status", "success"], ["again"]),
        (["--object", "1", "--limit", "2"], ["bad\n\x1b[31m", "again"]),
        (["--since", "1h"], ["slow"]),
    ],
)
def test_flags_choose_what_was_logged(
    ledger: Connection, database: str, arguments: list[str], messages: list[str]
) -> None:
    finished = jobhooks("result", "logs", "--json", *arguments, "--database-url", database)
    assert [line["message"] for line in json.loads(done(finished))] == messages


def test_an_export_is_whole(ledger: Connection, database: str) -> None:
    url = {"JOBHOOKS_DATABASE_URL": database}
    rows = list(csv.DictReader(io.StringIO(done(jobhooks("result", "export", "--format", "csv", **url)))))
    first = rows[0]
    assert (first["change_id"], first["hook"], first["job"], first["status"]) == ("1", "first", "a.B", "failure")
    assert first["error"] == "Key\tError: \x1b[31m100%" and first["traceback"] == "T" and first["value"] == ""
    assert json.loads(first["object_key"]) == {"id": 1}
    assert [entry["message"] for entry in json.loads(first["log"])] == ["begins", "bad\n\x1b[31m"]
    assert json.loads(rows[1]["value"]) == {"n": 1.1} and '"n": 1.10' in rows[1]["value"]
    lines = done(jobhooks("result", "export", "--format", "jsonl", **url)).splitlines()
    assert len(lines) == 5 and json.loads(lines[1])["value"] == {"n": 1.1}
    # One name and one form for a field, whichever way it is read.
    same = json.loads(lines[0])
    assert list(same) == list(first)
    for name in ("started_at", "next_attempt_at", "hook_deleted", "dead", "attempt"):
        assert first[name] == ("" if same[name] is None else json.dumps(same[name]).strip('"'))
    # Nothing to export is no error, and a table of nothing has headings.
    assert done(jobhooks("result", "export", "--format", "csv", "--object", "7", **url)).startswith("change_id,hook,")
    assert done(jobhooks("result", "export", "--format", "jsonl", "--object", "7", **url)) == ""


MANY = 30_000


@pytest.fixture
def many(ledger: Connection) -> Connection:
    """The same with very many results more, of changes that are gone, and lines."""
    ledger.execute(
        "insert into jobhooks.job_result (change_id, hook_id, job_id, attempt, status, started_at)"
        f" select 100 + i, 1, 1, 1, 'success', now() from generate_series(1, {MANY}) as i".encode()
    )
    ledger.execute(
        "insert into jobhooks.job_log_entry (change_id, hook_id, attempt, line, level, time, message)"
        f" select 100 + i, 1, 1, 1, 'info', now(), 'm' from generate_series(1, {MANY}) as i".encode()
    )
    ledger.execute("select jobhooks.advance_sequence()")
    ledger.execute("vacuum analyze jobhooks.job_result, jobhooks.job_log_entry")
    return ledger


def test_pages_fit_together(many: Connection, database: str) -> None:
    """No result is skipped or repeated at the boundary of two pages."""
    url = {"JOBHOOKS_DATABASE_URL": database}
    exported = done(jobhooks("result", "export", "--format", "csv", **url))
    ids = [int(row["change_id"]) for row in csv.DictReader(io.StringIO(exported))]
    assert ids == [1, 1, 2, 3, 4, *range(101, 101 + MANY)]
    listed = json.loads(done(jobhooks("result", "list", "--json", "--limit", str(2 * MANY), **url)))
    assert [result["change_id"] for result in listed] == ids
    lines = json.loads(done(jobhooks("result", "logs", "--json", "--limit", str(2 * MANY), **url)))
    assert [line["change_id"] for line in lines] == [1, 1, 1, 4, *range(101, 101 + MANY)]
    # Rare results are found behind all others.
    listed = json.loads(done(jobhooks("result", "list", "--json", "--hook", "second", **url)))
    assert [result["change_id"] for result in listed] == [4]


BY_INDEX: list[tuple[str, Mapping[str, object], str]] = [
    ("result_ids_before", {**RESULT, "change_id": 2**63 - 1, "first_id": 0, "status": None}, "job_result_pkey"),
    ("result_ids_before", {**RESULT, "first_id": 0, "status": "failure"}, "job_result_unsuccessful"),
    ("result_ids_after", {**RESULT, "last_id": 2**63 - 1, "status": None}, "job_result_pkey"),
    (
        "result_ids_after",
        {**RESULT, "change_id": -1, "last_id": 2**63 - 1, "status": "discarded"},
        "job_result_unsuccessful",
    ),
    ("matching_results", {**RESULTS, **RESULT_FILTERS, "wanted_hook_ids": [1], "limit": 50}, "job_result_pkey"),
    ("results_by_identity", RESULTS, "job_result_pkey"),
    ("result_ids_of_change", {"change_id": 1, "hook_ids": [1], "attempt": None}, "job_result_pkey"),
    ("log_of_results", RESULTS, "job_log_entry_pkey"),
    ("log_levels_of_results", RESULTS, "job_log_entry_pkey"),
    ("log_lines_before", {**RESULT, "limit": 100, "line": 1, "first_id": 0, "levels": None}, "job_log_entry_pkey"),
    (
        "log_lines_before",
        {**RESULT, "limit": 100, "line": 1, "first_id": 0, "levels": ["warning", "failure"]},
        "job_log_entry_alarming",
    ),
    ("ends_of_results", {}, "job_result_pkey"),
]


def test_results_are_found_by_index(many: Connection) -> None:
    """There is a result per delivery, ever: no query may read all of them."""
    with psycopg.connect(many.info.dsn, cursor_factory=psycopg.RawCursor) as raw:
        for name, parameters, index in BY_INDEX:
            query = find_query(name)
            plan = raw.execute(b"explain (costs off) " + query.encoded, query.arguments(parameters)).fetchall()
            text = "\n".join(line for (line,) in plan)
            read_whole = {table for table in ("job_result", "job_log_entry") if f"Seq Scan on {table}" in text}
            assert not read_whole and index in text, (name, parameters, text)
            assert not ("Sort" in text and name.startswith("result_ids")), (name, parameters, text)


def test_an_export_ends_quietly_when_nobody_reads_it_any_more(many: Connection, database: str) -> None:
    """As in ``jobhooks result export ... | head -1``."""
    with Command("result", "export", "--format", "jsonl", "--database-url", database) as command:
        assert command.stdout.readline().startswith(b'{"change_id":1,')
        command.stdout.close()
        assert command.end() == (1, b"")


@pytest.mark.nightly
def test_an_export_shows_its_progress_on_a_terminal_only(many: Connection, database: str, tmp_path: Path) -> None:
    ours, theirs = pty.openpty()
    with (
        (tmp_path / "results").open("wb") as out,
        subprocess.Popen(
            [sys.executable, "-m", "jobhooks", "result", "export", "--format", "csv", "--database-url", database],
            stdout=out,
            stderr=theirs,
            env=environment(TERM="xterm"),
        ) as process,
    ):
        os.close(theirs)
        shown = b""
        try:
            while part := os.read(ours, 4096):
                shown += part
        except OSError:  # which Linux raises once the other side is closed
            pass
        assert process.wait(LIMIT) == 0
    os.close(ours)
    assert b"exporting" in shown and b"exporting" not in (tmp_path / "results").read_bytes()
    assert jobhooks("result", "export", "--format", "csv", "--database-url", database).stderr == ""


def test_a_viewer_may_look_at_results_and_a_stranger_may_not(ledger: Connection, database: str, role: str) -> None:
    url = make_conninfo(database, user=role)
    assert jobhooks("result", "list", "--database-url", url).returncode == REFUSED
    ledger.execute(f"grant jobhooks_viewer to {role}".encode())
    for arguments in (["list", "--object", "17"], ["show", "1"], ["logs"], ["export", "--format", "csv"]):
        assert done(jobhooks("result", *arguments, "--database-url", url)) != ""
