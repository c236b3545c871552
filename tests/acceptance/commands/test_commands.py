"""The commands as a person runs them: the doctor, the watched tables, and the log listed, shown and followed."""

import contextlib
import json
import os
import random
import re
import signal
from collections.abc import Generator, Sequence
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg.conninfo import make_conninfo

from conftest import Connection
from jobhooks.operations.changes import ChangeFilter, Follower
from jobhooks.store.connections import connect
from support.daemon import Command, jobhooks, on_a_terminal, wait_until
from support.ledger import fill_ledger

ROOT = Path(__file__).parents[3]
MISMATCH, REFUSED = 4, 5


def values(conn: Connection, statement: str) -> list[object]:
    return [value for (value,) in conn.execute(statement.encode())]


def problems(database: str, code: int, **settings: str) -> list[dict[str, str]]:
    """What the doctor finds; ``code``: its exit code."""
    finished = jobhooks("doctor", "--json", "--database-url", database, **settings)
    assert finished.returncode == code, finished
    return json.loads(finished.stdout)


def test_the_doctor_tells_what_is_wrong_by_its_exit_code_too(device: Connection, database: str) -> None:
    assert problems(database, 0) == []
    device.execute("alter table public.device rename column id to number")
    (problem,) = problems(database, 1)
    assert list(problem) == ["severity", "subject", "problem", "remedy"]
    assert (problem["severity"], problem["subject"]) == ("error", "public.device")
    assert problem["remedy"] == "jobhooks table watch public.device"
    device.execute(
        "alter table public.device rename column number to id; update jobhooks.content_type set triggers = '{}'"
    )
    assert [problem["severity"] for problem in problems(database, 0)] == ["warning"], "a warning is no error"


def test_the_doctor_reports_sql_of_another_version(database: str, conn: Connection) -> None:
    conn.execute("update jobhooks.installation set program_version = '0.0.1', functions_digest = '0'")
    (older,) = problems(database, 1)
    assert "0.0.1" in older["problem"] and older["remedy"] == "jobhooks install"
    conn.execute("insert into jobhooks.migration (version, name) values (9999, 'from_the_future')")
    conn.execute("drop function jobhooks.problems")
    newer, unknown = problems(database, 1)
    assert (newer["severity"], unknown["severity"]) == ("error", "note"), "it cannot look further"
    assert "9999" in newer["problem"]


def test_the_doctor_reports_a_copy_and_does_not_fail(database: str, conn: Connection) -> None:
    conn.execute("update jobhooks.cursor set database_oid = 1")
    (copied,) = problems(database, 1)
    assert "jobhooks adopt --moved" in copied["remedy"] and "jobhooks adopt --copy" in copied["remedy"]


def test_the_doctor_goes_by_the_retention_of_the_settings(device: Connection, database: str) -> None:
    device.execute("select jobhooks.add_segment()")
    device.execute("update jobhooks.log_segment set created_at = now() - interval '2 days'")
    (overdue,) = problems(database, 0, JOBHOOKS_RETENTION_DAYS="1")
    assert (overdue["severity"], overdue["subject"]) == ("warning", "the log")
    assert problems(database, 0) == []


def test_the_doctor_needs_a_viewers_rights_and_jobhooks(database: str, empty_database: str, role: str) -> None:
    assert jobhooks("doctor", "--database-url", empty_database).returncode == MISMATCH
    stranger = make_conninfo(database, user=role)
    assert jobhooks("doctor", "--database-url", stranger).returncode == REFUSED
    with psycopg.connect(database, autocommit=True) as conn:
        conn.execute(f"grant jobhooks_receiver to {role}".encode())
        assert jobhooks("doctor", "--database-url", stranger).returncode == REFUSED
        conn.execute(f"grant jobhooks_viewer to {role}".encode())
    assert jobhooks("doctor", "--database-url", stranger).returncode == 0


def test_a_table_is_watched_without_a_column_and_shown(device: Connection, database: str) -> None:
    url = {"JOBHOOKS_DATABASE_URL": database}
    device.execute(
        "alter table public.device add column secret text, add column seen timestamptz, add column hits integer"
    )
    ignored = ["--ignore", "seen", "--ignore", "hits"]
    finished = jobhooks("table", "watch", "public.device", "--exclude", "secret", *ignored, "--always", **url)
    assert finished.returncode == 0, finished.stderr
    device.execute("update public.device set seen = now(); update public.device set name = 'new', secret = 'xyzzy'")
    (listed,) = json.loads(jobhooks("table", "list", "--json", **url).stdout)
    assert listed == {
        "table": "public.device",
        "state": "watched",
        "key": ["id"],
        "always": True,
        "keep_lastval": None,
        "exclude": ["secret"],
        "ignore": ["seen", "hits"],
        "parents": [],
    }
    shown = json.loads(jobhooks("table", "show", "public.device", "--json", **url).stdout)
    assert {name: shown[name] for name in listed} == listed
    assert [trigger["state"] for trigger in shown["triggers"]] == ["always"] * 4
    assert (shown["changes"], shown["last_change_id"], shown["problems"]) == (1, 1, [])
    assert "xyzzy" not in jobhooks("table", "show", "device", **url).stdout
    assert jobhooks("table", "watch", "public.device", "--exclude", "none", **url).returncode == REFUSED
    assert jobhooks("table", "show", "public.none", **url).returncode == REFUSED


def test_many_tables_are_watched_by_a_pattern(device: Connection, database: str) -> None:
    """The first hour of a large schema: one command, and an exit code that says whether all are watched."""
    url = {"JOBHOOKS_DATABASE_URL": database}
    device.execute("create table public.site (id integer primary key, seen timestamptz)")
    device.execute("create table public.note (text text)")
    command = ["table", "watch", "public.*", "--ignore", "seen", "--json"]
    planned = jobhooks(*command, "--dry-run", **url)
    assert planned.returncode == REFUSED
    assert [table["table"] for table in json.loads(jobhooks("table", "list", "--json", **url).stdout)] == [
        "public.device"
    ]
    finished = jobhooks(*command, **url)
    assert finished.returncode == REFUSED and json.loads(finished.stdout) == json.loads(planned.stdout)
    found = {table["table"]: table for table in json.loads(finished.stdout)}
    assert {name: table["outcome"] for name, table in found.items()} == {
        "public.device": "unchanged",
        "public.note": "refused",
        "public.site": "watched",
    }
    assert found["public.site"]["ignore"] == ["seen"] and found["public.note"]["remedy"] is not None
    assert jobhooks(*command, "--except", "public.note", **url).returncode == 0
    assert jobhooks("table", "watch", "public.*", "--key", "id", **url).returncode == 2


def test_hooks_and_tables_are_named_alike(device: Connection, database: str) -> None:
    url = {"JOBHOOKS_DATABASE_URL": database}
    device.execute("create schema inventory; create table inventory.rack (id integer primary key)")
    device.execute("insert into jobhooks.job (class_path, enabled) values ('a.B', true)")
    assert jobhooks("table", "watch", "rack", **url).returncode == 0
    hook = ["--content-type", "rack", "--content-type", "device", "--events", "create", "--job", "a.B"]
    assert jobhooks("hook", "add", "both", *hook, **url).returncode == 0
    (shown,) = json.loads(jobhooks("hook", "list", "--json", **url).stdout)
    assert shown["content_types"] == ["inventory.rack", "public.device"]
    assert json.loads(jobhooks("table", "show", "rack", "--json", **url).stdout)["table"] == "inventory.rack"
    assert jobhooks("change", "list", "--table", "rack", **url).returncode == 0


def test_a_table_is_explained(device: Connection, database: str) -> None:
    url = {"JOBHOOKS_DATABASE_URL": database}
    explained = json.loads(jobhooks("table", "explain", "public.device", "--json", **url).stdout)
    text = " ".join(jobhooks("table", "explain", "device", **url).stdout.split())
    statements = [" ".join(trigger["statement"].split()) for trigger in explained["triggers"]]
    assert len(statements) == 4 and all(statement in text for statement in statements)
    assert explained["switch_off"][0]["statement"] in text and explained["check_it_is_gone"] in text


def test_a_table_that_is_gone_can_be_unwatched_by_its_name(device: Connection, database: str) -> None:
    device.execute("drop table public.device")
    assert jobhooks("table", "unwatch", "public.device", "--database-url", database).returncode == 0
    assert jobhooks("table", "unwatch", "public.device", "--database-url", database).returncode == REFUSED


@pytest.fixture
def log(device: Connection) -> Connection:
    """The client of a table with some history: two users, four actions, one of it two hours ago."""
    device.execute("insert into public.device (name, serial) values ('edge-2', 'old')")
    device.execute("update jobhooks.object_change set time = now() - interval '2 hours'")
    with device.transaction():
        device.execute("set local jobhooks.user_name = 'alice'; set local jobhooks.request_id = 'req-42'")
        device.execute("set local jobhooks.message = 'the rack moved'")
        device.execute("update public.device set name = e'edge-1\n\x1b[31m', serial = null where id = 1")
        device.execute("delete from public.device where id = 2")
    device.execute("truncate public.device")
    return device


@pytest.mark.parametrize(
    ("arguments", "ids"),
    [
        (["--limit", "2"], [3, 4]),
        (["--action", "delete", "--action", "create"], [1, 3]),
        (["--user", "alice"], [2, 3]),
        (["--request", "req-42", "--action", "update"], [2]),
        (["--since", "90m"], [2, 3, 4]),
        (["--until", "1.5h"], [1]),
        (["--since", "2026-01-01", "--until", "2026-01-02 08:00:00+02"], []),
        (["--table", "public.device", "--since", "1d"], [1, 2, 3, 4]),
    ],
)
def test_changes_are_listed_as_asked_for(log: Connection, database: str, arguments: list[str], ids: list[int]) -> None:
    finished = jobhooks("change", "list", "--json", *arguments, "--database-url", database)
    assert finished.returncode == 0, finished.stderr
    assert [change["id"] for change in json.loads(finished.stdout)] == ids


def test_a_change_is_shown_with_who_and_why_and_what_came_of_it(log: Connection, database: str) -> None:
    log.execute("insert into jobhooks.job (class_path, enabled) values ('a.B', true)")
    log.execute("select jobhooks.add_hook('Check', '{public.device}', '{update}', 'a.B')")
    log.execute(
        "insert into jobhooks.job_result (change_id, hook_id, job_id, attempt, status, started_at, error, traceback)"
        " values (2, 1, 1, 1, 'failure', now() - interval '1 second', 'ValueError: no', 'T...')"
    )
    log.execute("insert into jobhooks.job_log_entry values ('1', 'info', now(), null, 'looking', 2, 1, 1)")
    log.execute(
        "insert into jobhooks.delivery (change_id, hook_id, content_type_id, status, attempts)"
        " values (2, 1, 1, 'dead', 1)"
    )
    shown = json.loads(jobhooks("change", "show", "2", "--json", "--database-url", database).stdout)
    assert shown["results"][0]["error"] == "ValueError: no" and shown["deliveries"][0]["status"] == "dead"
    assert (shown["user"], shown["session_role"], shown["request_id"]) == ("alice", log.info.user, "req-42")
    assert shown["message"] == "the rack moved"
    assert shown["results"][0]["log"][0]["message"] == "looking"
    assert shown["prechange"] == {"id": 1, "name": "edge-1", "serial": "FX2024-00017"}


def test_a_change_that_a_receiver_made_shows_its_cause(log: Connection, database: str) -> None:
    log.execute("insert into jobhooks.job (class_path, enabled) values ('a.B', true)")
    log.execute("select jobhooks.add_hook('Check', '{public.device}', '{update}', 'a.B')")
    with log.transaction():
        log.execute("set local jobhooks.delivery = '2:1:3'")
        log.execute("insert into public.device (name) values ('made')")
    shown = json.loads(jobhooks("change", "show", "5", "--json", "--database-url", database).stdout)
    assert shown["caused_by"] == {"change": 2, "hook": "Check", "attempt": 3}
    assert not shown["triggering"]


def test_colours_are_for_terminals_that_want_them(log: Connection, database: str) -> None:
    def shown(**settings: str) -> str:
        code, text = on_a_terminal("", "change", "show", "2", "--database-url", database, **settings)
        assert code == 0
        return text

    assert '\x1b[31m  - name: "edge-1"\x1b[0m' in shown()
    assert "\x1b" not in shown(NO_COLOR="1")


def test_numbers_and_odd_json_are_shown_as_they_are(device: Connection, database: str) -> None:
    """A float would be a lie, and half of a surrogate pair, which a json column may hold, no reason to fail."""
    device.execute("alter table public.device add column amount numeric, add column doc json")
    device.execute(
        b"update public.device set amount = 1.10000000000000000000000000000000000001,"
        b""" doc = ('{"half": "\\ud800",\n "deep": '"""
        b" || repeat('[', 3000) || repeat(']', 3000) || '}')::json"
    )
    shown = jobhooks("change", "show", "1", "--database-url", database)
    assert shown.returncode == 0 and "1.10000000000000000000000000000000000001" in shown.stdout, shown.stderr
    assert "\\ud800" in shown.stdout
    for command in (["list"], ["list", "--json"], ["show", "1", "--json"]):
        finished = jobhooks("change", *command, "--database-url", database)
        assert finished.returncode == 0, finished.stderr


class Tail:
    """``jobhooks change tail --json`` with its output so far."""

    def __init__(self, command: Command) -> None:
        self.command = command
        os.set_blocking(command.stdout.fileno(), False)
        self._text = b""

    def ids(self) -> list[int]:
        return self.values("id")

    def values(self, field: str) -> list[Any]:
        while part := self.command.stdout.read():
            self._text += part
        return [json.loads(line)[field] for line in self._text.splitlines()]

    def end(self) -> tuple[int, bytes]:
        return self.command.end(signal.SIGINT)


@contextlib.contextmanager
def following(
    conn: Connection, database: str, *arguments: str, command: Sequence[str] = ("change", "tail")
) -> Generator[Tail]:
    tail = [*command, "--json", *arguments, "--database-url", database]
    with Command(*tail, PGAPPNAME="tail") as followed:
        wait_until(
            "it follows",
            lambda: values(
                conn,
                "select pid from pg_stat_activity"
                " where application_name = 'tail' and state = 'idle' and query ~ 'pg_current_snapshot|finished_at >'",
            ),
        )
        yield Tail(followed)


def test_tail_prints_each_change_once_however_late_it_commits(device: Connection, database: str) -> None:
    device.execute("update public.device set name = 'before'")
    with following(device, database) as tail, psycopg.connect(database) as late, psycopg.connect(database) as never:
        late.execute("insert into public.device (name) values ('late')")
        never.execute("insert into public.device (name) values ('never')")
        device.execute("insert into public.device (name) values ('prompt')")
        wait_until("the prompt one is told", lambda: tail.ids() == [4])
        never.rollback()
        late.commit()
        wait_until("the late one is told", lambda: tail.ids() == [4, 2])
        device.execute("insert into public.device (name) select 'many' from generate_series(1, 1200)")
        wait_until("many are told", lambda: tail.ids() == [4, 2, *range(5, 1205)])
        assert tail.end() == (130, b"")


def test_tail_begins_and_filters_as_asked_for(device: Connection, database: str) -> None:
    for name in ("a", "b", "c"):
        device.execute("update public.device set name = %s", [name])
    arguments = ["--limit", "2", "--table", "public.device", "--action", "update", "--action", "delete"]
    with following(device, database, *arguments) as tail:
        wait_until("it tells the newest", lambda: tail.ids() == [2, 3])
        device.execute("insert into public.device (name) values ('not asked for')")
        device.execute("delete from public.device")
        wait_until("it tells what is asked for", lambda: tail.ids() == [2, 3, 5, 6])


def test_a_list_that_is_followed_begins_with_the_newest(device: Connection, database: str) -> None:
    for name in ("a", "b", "c"):
        device.execute("update public.device set name = %s", [name])
    listing = ("change", "list", "--follow")
    with following(device, database, "--limit", "2", command=listing) as followed:
        wait_until("it lists the newest", lambda: followed.ids() == [2, 3])
        device.execute("delete from public.device")
        wait_until("it goes on", lambda: followed.ids() == [2, 3, 4])
        assert followed.end() == (130, b"")
    refused = jobhooks(*listing, "--until", "1h", "--database-url", database)
    assert refused.returncode == 2 and "--until" in refused.stderr


def test_results_are_followed(device: Connection, database: str) -> None:
    """One object per line, with the fields of the list."""
    fill_ledger(device)
    listing = ("result", "list", "--follow")
    with following(device, database, "--limit", "0", command=listing) as followed:
        device.execute(
            "insert into jobhooks.job_result (change_id, hook_id, job_id, attempt, status, started_at, finished_at)"
            " values (2, 1, 1, 1, 'success', clock_timestamp(), clock_timestamp())"
        )
        wait_until("it tells the result", lambda: followed.values("change_id") == [2])
        assert followed.values("status") == ["success"]
        assert followed.end() == (130, b"")


def test_tail_ends_when_nobody_reads_it(device: Connection, database: str) -> None:
    """As in ``jobhooks change tail | head -1``, and although nothing more comes."""
    with following(device, database) as tail:
        tail.command.stdout.close()
        assert tail.command.end() == (1, b"")


def test_tail_says_so_when_the_database_is_gone(device: Connection, database: str) -> None:
    with following(device, database) as tail:
        device.execute("select pg_terminate_backend(pid) from pg_stat_activity where application_name = 'tail'")
        code, words = tail.command.end()
        assert (code, len(words.splitlines())) == (3, 1)


@pytest.mark.parametrize("turn", range(8))
def test_following_loses_and_doubles_nothing_whatever_overlaps(
    device: Connection, database: str, seed: int, turn: int
) -> None:
    """Transactions and savepoints that begin, write, commit and roll back in any order, and a look at any moment."""
    chance = random.Random(seed)
    with contextlib.ExitStack() as stack:
        clients = [stack.enter_context(psycopg.connect(database)) for _ in range(6)]
        follower = Follower(stack.enter_context(contextlib.closing(connect(database))), ChangeFilter())
        followed: list[int] = []
        for _ in range(300):
            client = chance.choice(clients)
            match chance.choice(["write", "write", "write", "savepoint", "commit", "rollback", "look"]):
                case "write":
                    client.execute("insert into public.device (name) values ('x')")
                case "savepoint":
                    with contextlib.suppress(psycopg.Rollback), client.transaction() as savepoint:
                        client.execute("insert into public.device (name) values ('y')")
                        if chance.random() < 0.5:
                            raise psycopg.Rollback(savepoint)
                case "commit":
                    client.commit()
                case "rollback":
                    client.rollback()
                case _:
                    followed += [change.id for change in follower.new_changes()]
        for client in clients:
            client.commit()
        followed += [change.id for change in follower.new_changes()]
    assert sorted(followed) == values(device, "select id from jobhooks.object_change order by id")


@pytest.mark.parametrize("group", ["", "table", "job", "hook", "change", "delivery", "result"])
def test_every_command_is_in_the_reference(group: str) -> None:
    reference = (ROOT / "docs" / "reference" / "command-line.md").read_text()
    listed = re.findall(r"^│ ([a-z]+) +", jobhooks(*group.split(), "--help").stdout, re.MULTILINE)
    assert listed
    for command in listed:
        assert re.search(rf"`{f'{group} {command}'.strip()}\b", reference), command
