"""Pending deliveries, as an operator sees and handles them beside a daemon; and replays of settled changes."""

import contextlib
import json
import subprocess
from collections.abc import Generator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psycopg
import pytest
from psycopg.conninfo import make_conninfo

from conftest import Connection
from support.daemon import LIMIT, Daemon, jobhooks, on_a_terminal, wait_until

USAGE, REFUSED = 2, 5
# Picky fails for bad names until a file exists; Patient is attempted again after an hour, others are dead immediately.
RECEIVERS = """
from pathlib import Path
from jobhooks import JobHookReceiver

class Picky(JobHookReceiver):
    class Meta:
        max_attempts = 1

    def receive_job_hook(self, change, action, changed_object):
        name = (change.postchange or change.prechange)["name"]
        self.log_info(f"saw {name}")
        if name.startswith("bad") and not Path("mended").exists():
            raise ValueError(f"{name} is refused")

class Patient(Picky):
    class Meta:
        backoff = 3600

class Skipping(Picky):
    class Meta:
        max_attempts = 1
        on_failure = "skip"

class Writer(JobHookReceiver):
    async def receive_job_hook(self, change, action, changed_object):
        await self.connection.execute("insert into public.seen (change_id) values ($1)", change.id)

class Waits(JobHookReceiver):
    def receive_job_hook(self, change, action, changed_object):
        self.connection.execute("insert into public.seen (change_id) values (%s)", (change.id,))
        self.connection.execute("select pg_advisory_xact_lock(42)")
"""


@pytest.fixture
def receivers(tmp_path: Path, device: Connection) -> Path:
    directory = tmp_path / "receivers"
    directory.mkdir()
    (directory / "some.py").write_text(RECEIVERS)
    device.execute("create table public.seen (id integer generated always as identity, change_id bigint)")
    return directory


@pytest.fixture
def log(tmp_path: Path) -> Path:
    return tmp_path / "daemon.log"


def add_hook(database: str, receivers: Path, job: str) -> None:
    """Have changes of the device table run a receiver, by a hook called "hook of" it."""
    settings = {"JOBHOOKS_DATABASE_URL": database, "JOBHOOKS_RECEIVERS_PATH": str(receivers)}
    events = ["--content-type", "public.device", "--events", "create,update,delete"]
    for arguments in (
        ["job", "enable", f"some.{job}"],
        ["hook", "add", f"hook of {job}", *events, "--job", f"some.{job}"],
    ):
        finished = jobhooks(*arguments, **settings)
        assert finished.returncode == 0, finished.stderr


def debts(conn: Connection) -> list[tuple[object, ...]]:
    """List change, hook, status and attempts of pending deliveries."""
    return conn.execute(
        "select change_id, hook_id, status, attempts from jobhooks.delivery order by change_id, hook_id"
    ).fetchall()


def results(conn: Connection) -> list[tuple[object, ...]]:
    """List change, attempt and status of results, in order of time."""
    return conn.execute("select change_id, attempt, status from jobhooks.job_result order by finished_at").fetchall()


def done(finished: subprocess.CompletedProcess[str]) -> str:
    assert finished.returncode == 0, finished.stderr
    return finished.stdout + finished.stderr


def rename(conn: Connection, *names: str) -> None:
    for name in names:
        conn.execute("update public.device set name = %s where id = 1", [name])


@contextlib.contextmanager
def broken(conn: Connection, database: str, receivers: Path, log: Path, *jobs: str) -> Generator[Daemon]:
    """Run a daemon whose hooks have failed for change 1, so that changes 2 and 3 of the same row are behind it."""
    for job in jobs or ("Picky",):
        add_hook(database, receivers, job)
    with Daemon(database, receivers, log).await_started() as daemon:
        rename(conn, "bad")
        wait_until("all have failed", lambda: [attempts for *_, attempts in debts(conn)] == [1] * len(jobs or "P"))
        rename(conn, "b", "c")
        wait_until("all is owed", lambda: len(debts(conn)) == 3 * len(jobs or "P"))
        yield daemon


def test_what_is_owed_is_listed_and_shown(device: Connection, database: str, receivers: Path, log: Path) -> None:
    """At night an operator must see the failure, its cause, the blocked deliveries, and the next attempt."""
    url = {"JOBHOOKS_DATABASE_URL": database}
    with broken(device, database, receivers, log, "Picky", "Patient"):
        listed = json.loads(done(jobhooks("delivery", "list", "--json", **url)))
        assert [(debt["change_id"], debt["hook"], debt["status"]) for debt in listed] == [
            (1, "hook of Picky", "dead"),
            (1, "hook of Patient", "waiting"),
            (2, "hook of Picky", "blocked"),
            (2, "hook of Patient", "blocked"),
            (3, "hook of Picky", "blocked"),
            (3, "hook of Patient", "blocked"),
        ]
        assert listed[0]["error"] == "ValueError: bad is refused" and listed[2]["error"] is None
        assert listed[0]["due_in_s"] is None and 2000 < listed[1]["due_in_s"] < 4400
        lines = done(jobhooks("delivery", "list", **url)).splitlines()
        assert len(lines) == 7
        words = "1 hook of Picky public.device update dead 1 - ValueError: bad is refused"
        assert lines[1].split() == words.split()
        assert "blocked" in lines[-1]

        text = done(jobhooks("delivery", "show", "1", **url))
        assert text.splitlines()[0] == "change 1: update public.device id = 1"
        for words in (
            '  + name: "bad"',
            'hook "hook of Picky": dead, after 1 attempt: kept until you retry or discard it',
            'hook "hook of Patient": waiting, due in ',
            "failure in ",
            "ValueError: bad is refused",
            "    info: saw bad",
            "    Traceback (most recent call last):",
        ):
            assert words in text, text
        text = done(jobhooks("delivery", "show", "3", "--hook", "hook of Picky", **url))
        assert 'hook "hook of Picky": blocked, behind change 1, which is dead, and 1 other' in text
        assert "Patient" not in text and "  not attempted yet" in text
        shown = json.loads(done(jobhooks("delivery", "show", "1", "--json", **url)))
        assert shown["change"]["added"] == {"name": "bad"}
        assert [debt["results"][0]["log"][0]["message"] for debt in shown["deliveries"]] == ["saw bad"] * 2
        remedy = "jobhooks delivery list --status dead --hook 'hook of Picky'"
        assert f"  Try: {remedy}" in jobhooks("doctor", **url).stdout


@pytest.fixture
def ledger(device: Connection) -> Connection:
    """The client of a log with debts of all kinds, and no daemon."""
    device.execute("create table public.site (id integer primary key)")
    device.execute("select jobhooks.watch('public.site')")
    rename(device, "a", "b", "c")
    device.execute("insert into public.site values (1)")
    device.execute("update jobhooks.object_change set time = now() - interval '2 hours' where id = 1")
    device.execute("insert into jobhooks.job (class_path, enabled) values ('a.B', true)")
    for name, table in (("first", "device"), ("second", "site")):
        device.execute(f"select jobhooks.add_hook('{name}', '{{public.{table}}}', '{{create,update}}', 'a.B')".encode())
    device.execute(
        "insert into jobhooks.delivery (change_id, hook_id, content_type_id, lane, status, attempts, due_at) values"
        " (1, 1, 1, 7, 'dead', 2, null), (2, 1, 1, 7, 'blocked', 0, null), (3, 1, 1, 8, 'waiting', 1, now()),"
        " (4, 2, 2, 9, 'waiting', 0, now() + interval '1 hour')"
    )
    device.execute(
        "insert into jobhooks.job_result (change_id, hook_id, job_id, attempt, status, started_at, error) values"
        " (1, 1, 1, 1, 'failure', now(), 'Timeout'), (1, 1, 1, 2, 'failure', now(), e'Key\\tError: \x1b[31m100%'),"
        " (3, 1, 1, 1, 'failure', now(), 'Timeout after 5 s')"
    )
    return device


@pytest.mark.parametrize(
    ("arguments", "ids"),
    [
        ([], [1, 2, 3, 4]),
        (["3", "1"], [1, 3]),
        (["1", "--status", "dead"], [1]),
        (["--hook", "first"], [1, 2, 3]),
        (["--table", "public.site"], [4]),
        (["--status", "waiting"], [3, 4]),
        (["--status", "waiting", "--hook", "second"], [4]),
        (["--since", "1h"], [2, 3, 4]),
        (["--until", "1h"], [1]),
        (["--error", "timeout"], [3]),
        (["--error", "100%"], [1]),
        (["--limit", "2"], [3, 4]),
    ],
)
def test_debts_are_chosen_by_filters(ledger: Connection, database: str, arguments: list[str], ids: list[int]) -> None:
    """The same filters select deliveries for retry and discard, so a wrong one would discard the wrong deliveries."""
    finished = jobhooks("delivery", "list", "--json", *arguments, "--database-url", database)
    assert [debt["change_id"] for debt in json.loads(done(finished))] == ids
    if not arguments:
        assert "\x1b" not in done(jobhooks("delivery", "list", "--database-url", database))
    if "--limit" not in arguments:
        means = arguments or ["--all"]
        said = done(jobhooks("delivery", "discard", *means, "--yes", "--database-url", database))
        assert said == f"discarded {len(ids)} {'delivery' if len(ids) == 1 else 'deliveries'}\n"
        assert [change for change, *_ in debts(ledger)] == [id_ for id_ in (1, 2, 3, 4) if id_ not in ids]


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["delivery", "list", "one"], USAGE, "CHANGE"),
        (["delivery", "list", "--hook", "none"], REFUSED, 'there is no hook "none"'),
        (["delivery", "list", "--table", "public.none"], REFUSED, "public.none is not watched"),
        (["delivery", "list", "--status", "lost"], USAGE, "lost"),
        (["delivery", "list", "--since", "yesterday"], USAGE, "neither a duration"),
        (["delivery", "show", "99"], REFUSED, "change 99 has no pending delivery. Try: jobhooks delivery list"),
        (
            ["delivery", "show", "1", "--hook", "second"],
            REFUSED,
            'change 1 has no pending delivery to the hook "second"',
        ),
        (["delivery", "show", "one"], USAGE, "CHANGE"),
        (["delivery", "retry"], USAGE, "choose deliveries by ids of changes"),
        (["delivery", "retry", "--yes"], USAGE, "choose deliveries by ids of changes"),
        (["delivery", "discard", "1", "--all"], USAGE, "choose deliveries by ids of changes"),
        (["delivery", "retry", "99", "--yes"], REFUSED, "no pending delivery matches"),
        (["delivery", "retry", str(2**63)], USAGE, "CHANGE"),
        (["delivery", "discard", "1", "--hook", "second", "--yes"], REFUSED, "no pending delivery matches"),
        (["delivery", "retry", "1"], REFUSED, "will not retry 1 delivery without confirmation"),
        (["delivery", "discard", "--all"], REFUSED, "will not discard 4 deliveries without confirmation"),
        (["replay"], USAGE, "--hook"),
        (["replay", "--hook", "none"], REFUSED, 'there is no hook "none"'),
        (["replay", "--hook", "first", "--table", "public.none"], REFUSED, "public.none is not watched"),
        (["replay", "--hook", "first", "--table", "public.site"], REFUSED, "nothing to replay"),
        (["replay", "--hook", "first", "--change", "3"], REFUSED, "nothing to replay"),
        (["replay", "--hook", "first", "--until", "soon"], USAGE, "neither a duration"),
    ],
)
def test_what_cannot_be_done_to_deliveries(
    ledger: Connection, database: str, arguments: list[str], code: int, words: str
) -> None:
    """A slip must neither change anything nor look like our bug."""
    before = debts(ledger)
    finished = jobhooks(*arguments, "--database-url", database)
    assert finished.returncode == code and words in finished.stderr, finished.stderr
    assert "Traceback" not in finished.stderr and finished.stdout == ""
    assert code == USAGE or len(finished.stderr.splitlines()) == 1
    assert debts(ledger) == before


def test_a_person_is_told_how_many_and_asked(ledger: Connection, database: str) -> None:
    """A filter can mean more than one thinks."""
    before = debts(ledger)
    discard = ["delivery", "discard", "--hook", "first", "--database-url", database]
    code, said = on_a_terminal("n\n", *discard)
    assert code == 1 and "Gives up for good: 1 waiting, 1 blocked, 1 dead." in said
    assert "Discard 3 deliveries? [y/N]" in said and debts(ledger) == before
    code, said = on_a_terminal("y\n", *discard)
    assert code == 0 and "discarded 3 deliveries" in said
    assert [change for change, *_ in debts(ledger)] == [4]


def test_a_viewer_may_look_and_an_operator_decide(ledger: Connection, database: str, role: str) -> None:
    """Least privilege: who is on call for an application needs no right to its tables, nor to write to the ledger."""
    ledger.execute("delete from jobhooks.delivery where change_id = 2")
    ledger.execute("update jobhooks.cursor set seen = pg_current_snapshot()")
    for group in ("viewer", "operator"):
        ledger.execute(f"grant jobhooks_{group} to {role}".encode())
        url = {"JOBHOOKS_DATABASE_URL": make_conninfo(database, user=role)}
        assert len(json.loads(done(jobhooks("delivery", "list", "--json", **url)))) == 3
        done(jobhooks("delivery", "show", "1", **url))
        for arguments in (["delivery", "retry", "1"], ["delivery", "discard", "3"], ["replay", "--hook", "first"]):
            finished = jobhooks(*arguments, "--yes", **url)
            if group == "operator":
                done(finished)
            else:
                assert finished.returncode == REFUSED and len(finished.stderr.splitlines()) == 1
                assert "permission denied" in finished.stderr
    discarded = ledger.execute("select change_id, error from jobhooks.job_result where status = 'discarded'").fetchall()
    assert discarded == [(3, f"discarded by {role}")]


def test_a_retry_by_number_lets_what_is_behind_go_on_in_order(
    device: Connection, database: str, receivers: Path, log: Path
) -> None:
    """The fault is fixed: the dead one runs, as attempt 2, and then its followers."""
    with broken(device, database, receivers, log):
        (receivers / "mended").touch()
        said = done(jobhooks("delivery", "retry", "1", "99", "--yes", "--database-url", database))
        assert said.splitlines() == [
            "passed over, because no pending delivery of it matches: change 99",
            "retried 1 delivery",
        ]
        wait_until("nothing is owed", lambda: not debts(device))
    assert results(device) == [(1, 1, "failure"), (1, 2, "success"), (2, 1, "success"), (3, 1, "success")]


def test_a_retry_begins_to_count_failures_anew(device: Connection, database: str, receivers: Path, log: Path) -> None:
    """Else one that died by its limit would be retried in vain; attempts go on, since they number the results."""
    with broken(device, database, receivers, log, "Patient"):
        device.execute("update jobhooks.delivery set failures = 13 where change_id = 1")
        for attempts in (2, 3):
            done(jobhooks("delivery", "retry", "--status", "waiting", "--yes", "--database-url", database))
            wait_until("it has failed again", lambda attempts=attempts: debts(device)[0][3] == attempts)
        row = device.execute("select status, failures, attempts from jobhooks.delivery where change_id = 1").fetchone()
        assert row == ("waiting", 1, 3)
    assert [change for change, *_ in results(device)] == [1, 1, 1], "what is behind it still waits"


def test_a_retry_puts_an_object_back_in_order_that_was_skipped(
    device: Connection, database: str, receivers: Path, log: Path
) -> None:
    """Two failed changes of one row are retried together: they run one after the other, in order."""
    add_hook(database, receivers, "Skipping")
    with Daemon(database, receivers, log).await_started():
        rename(device, "bad 1", "b", "bad 2")
        wait_until("two are dead, and one has passed", lambda: len(results(device)) == 3)
        assert debts(device) == [(1, 1, "dead", 1), (3, 1, "dead", 1)]
        (receivers / "mended").touch()
        done(jobhooks("delivery", "retry", "--all", "--yes", "--database-url", database))
        wait_until("nothing is owed", lambda: not debts(device))
    assert results(device)[3:] == [(1, 2, "success"), (3, 2, "success")]


def test_a_discarded_delivery_has_a_result_and_lets_the_others_go_on(
    device: Connection, database: str, receivers: Path, log: Path
) -> None:
    """It stays visible who gave up which delivery, and why; and one bad change does not block an object forever."""
    with broken(device, database, receivers, log, "Picky", "Patient"):
        arguments = ["--hook", "hook of Picky", "--error", "REFUSED", "--reason", "known to be bad"]
        said = done(jobhooks("delivery", "discard", *arguments, "--yes", "--database-url", database))
        assert said == "discarded 1 delivery\n"
        wait_until("only the other hook is owed something", lambda: {hook for _, hook, *_ in debts(device)} == {2})
    rows = device.execute(
        "select change_id, attempt, status, error from jobhooks.job_result where hook_id = 1 order by finished_at"
    ).fetchall()
    assert rows == [
        (1, 1, "failure", "ValueError: bad is refused"),
        (1, 2, "discarded", "known to be bad"),
        (2, 1, "success", None),
        (3, 1, "success", None),
    ]
    assert [status for _, _, status, _ in debts(device)] == ["waiting", "blocked", "blocked"]


def test_a_delivery_that_is_discarded_while_it_runs_leaves_nothing(
    device: Connection, database: str, receivers: Path, log: Path
) -> None:
    """The result that discards it is the acknowledgement: the receiver's writes are rolled back."""
    add_hook(database, receivers, "Waits")
    with psycopg.connect(database, autocommit=True) as gate, Daemon(database, receivers, log).await_started() as daemon:
        gate.execute("select pg_advisory_lock(42)")
        rename(device, "a", "b")
        wait_until("it takes long, and is parked", lambda: len(debts(device)) == 2)
        assert done(jobhooks("delivery", "discard", "1", "--yes", "--database-url", database))
        gate.execute("select pg_advisory_unlock(42)")
        daemon.await_event("delivery_already_settled")
        wait_until("nothing is owed", lambda: not debts(device))
    assert results(device) == [(1, 1, "discarded"), (2, 1, "success")]
    assert device.execute("select change_id from public.seen").fetchall() == [(2,)]


def test_a_delivery_that_is_given_up_while_it_runs_and_replayed_runs_again(
    device: Connection, database: str, receivers: Path, log: Path
) -> None:
    """The end of the discarded run must not settle the new delivery."""
    add_hook(database, receivers, "Waits")
    with psycopg.connect(database, autocommit=True) as gate, Daemon(database, receivers, log).await_started() as daemon:
        gate.execute("select pg_advisory_lock(42)")
        rename(device, "a")
        wait_until("it takes long, and is parked", lambda: len(debts(device)) == 1)
        assert done(jobhooks("delivery", "discard", "1", "--yes", "--database-url", database))
        assert done(jobhooks("replay", "--hook", "hook of Waits", "--yes", "--database-url", database))
        assert debts(device) == [(1, 1, "waiting", 1)]
        gate.execute("select pg_advisory_unlock(42)")
        daemon.await_event("delivery_already_settled")
        wait_until("nothing is owed", lambda: not debts(device))
    assert results(device) == [(1, 1, "discarded"), (1, 2, "success")]
    assert device.execute("select change_id from public.seen").fetchall() == [(1,)]


def test_what_was_settled_is_replayed_once_more_with_the_next_number(
    device: Connection, database: str, receivers: Path, log: Path
) -> None:
    """A receiver had a bug that did not fail: its changes run again, in order, with new attempt numbers."""
    replay = ["replay", "--hook", "hook of Writer", "--database-url", database]
    rename(device, "before there was a hook")
    add_hook(database, receivers, "Writer")
    with Daemon(database, receivers, log).await_started():
        rename(device, "a", "b", "c")
        wait_until("all is delivered", lambda: len(results(device)) == 3)
        finished = jobhooks(*replay)
        assert finished.returncode == REFUSED
        assert 'will not deliver 4 changes to the hook "hook of Writer" again without confirmation' in finished.stderr
        assert done(jobhooks(*replay, "--yes")) == "queued 4 deliveries\n"
        wait_until("all is delivered again", lambda: len(results(device)) == 7 and not debts(device))
        assert done(jobhooks(*replay, "--change", "3", "--change", "99", "--yes")).splitlines() == [
            "passed over, because it cannot be replayed: change 99",
            "queued 1 delivery",
        ]
        wait_until("one is delivered again", lambda: len(results(device)) == 8 and not debts(device))
        device.execute("update jobhooks.object_change set time = now() - interval '2 hours' where id < 3")
        arguments = ["--since", "3h", "--until", "1h", "--table", "public.device"]
        assert done(jobhooks(*replay, *arguments, "--yes")) == "queued 2 deliveries\n"
        wait_until("two are delivered again", lambda: len(results(device)) == 10 and not debts(device))
    assert [(change, attempt) for change, attempt, _ in results(device)] == [
        *[(2, 1), (3, 1), (4, 1)],
        *[(1, 1), (2, 2), (3, 2), (4, 2)],
        (3, 3),
        *[(1, 2), (2, 3)],
    ]
    seen = device.execute("select change_id from public.seen order by id").fetchall()
    assert [change for (change,) in seen] == [2, 3, 4, 1, 2, 3, 4, 3, 1, 2]


def test_a_replay_asks_what_the_hook_asks(device: Connection, database: str, receivers: Path, log: Path) -> None:
    """The current columns and conditions, so that missed changes can be delivered after a fix."""
    replay = ["replay", "--hook", "hook of Writer", "--database-url", database]
    rename(device, "a", "b", "c")
    device.execute("update public.device set serial = 'other'")
    add_hook(database, receivers, "Writer")
    device.execute(
        "update jobhooks.job_hook set columns = '{name}', conditions = 'new.name != \"b\" && old.size == null'"
    )
    with Daemon(database, receivers, log).await_started():
        finished = jobhooks(*replay, "--yes")
        assert finished.returncode == REFUSED
        assert finished.stderr.splitlines() == [
            'jobhooks: nothing to replay: the hook "hook of Writer" matches none of 4 changes; for 2 its conditions'
            " failed: there is no \"size\". Try: jobhooks hook show 'hook of Writer'",
        ]
        device.execute("update jobhooks.job_hook set conditions = 'new.name != \"b\"'")
        assert done(jobhooks(*replay, "--yes")) == "queued 2 deliveries\n"
        wait_until("two are delivered", lambda: [change for change, _, _ in results(device)] == [1, 3])
        device.execute("update jobhooks.job_hook set conditions = 'new.name !='")
        finished = jobhooks(*replay, "--yes")
        assert finished.returncode == REFUSED
        assert finished.stderr.startswith("jobhooks: invalid conditions, line 1, column 12: it ends too early")


def test_a_replay_knows_which_columns_are_ignored(device: Connection, database: str, receivers: Path) -> None:
    """As for the daemon, an ignored column never changes."""
    device.execute("select jobhooks.watch('public.device', ignore => '{serial}')")
    device.execute("update public.device set name = 'b', serial = 'other'")
    add_hook(database, receivers, "Writer")
    device.execute("update jobhooks.job_hook set conditions = 'changed(\"serial\")'")
    replay = ["replay", "--hook", "hook of Writer", "--yes", "--database-url", database]
    finished = jobhooks(*replay)
    assert finished.returncode == REFUSED and "matches none of 1 change" in finished.stderr
    device.execute("update jobhooks.job_hook set conditions = 'changed(\"name\")'")
    assert done(jobhooks(*replay)) == "queued 1 delivery\n"


def test_what_is_yet_to_be_delivered_is_not_replayed(
    device: Connection, database: str, receivers: Path, log: Path
) -> None:
    """It will be delivered anyway, and would come twice. The same holds for a hook that is off for the moment."""
    replay = ["replay", "--hook", "hook of Writer", "--yes", "--database-url", database]
    add_hook(database, receivers, "Writer")
    rename(device, "a", "b")
    with device.transaction():
        device.execute("set local jobhooks.delivery = '1:1:1'")
        rename(device, "made by a receiver")
    finished = jobhooks(*replay)
    assert finished.returncode == REFUSED and "nothing to replay" in finished.stderr
    device.execute("update jobhooks.job_hook set enabled = false")
    device.execute("update jobhooks.job_hook set enabled = true")  # which is when it begins to want changes
    done(jobhooks("job", "disable", "some.Writer", "--database-url", database))
    said = done(jobhooks(*replay))
    assert said.startswith("queued 2 deliveries; they run once the hook and its job some.Writer are both enabled")
    finished = jobhooks(*replay)
    assert finished.returncode == REFUSED and "nothing to replay" in finished.stderr, "they are owed already"
    with Daemon(database, receivers, log).await_started():
        device.execute("update jobhooks.job set enabled = true")
        wait_until("all is delivered", lambda: len(results(device)) == 2 and not debts(device))
    assert results(device) == [(1, 1, "success"), (2, 1, "success")]


def test_replaying_beside_a_busy_daemon_loses_and_doubles_nothing(
    device: Connection, database: str, receivers: Path, log: Path
) -> None:
    """While changes are read, delivered and settled, some are replayed: each of them exactly as often as was said."""
    add_hook(database, receivers, "Writer")
    device.execute("insert into public.device (name) select 'x' from generate_series(2, 40)")
    with Daemon(database, receivers, log).await_started():
        queued = 0
        for number in range(15):
            device.execute("update public.device set name = %s || id", [str(number)])
            if number % 3:
                continue
            finished = jobhooks("replay", "--hook", "hook of Writer", "--yes", "--database-url", database)
            if finished.returncode == 0:
                queued += int(finished.stderr.split()[1])
        assert queued
        total = 39 + 15 * 40
        wait_until("all is delivered", lambda: len(results(device)) == total + queued and not debts(device))
    seen = device.execute("select count(*), count(distinct change_id) from public.seen").fetchone()
    assert seen == (total + queued, total)
    gaps = device.execute(
        "select change_id from jobhooks.job_result group by change_id having count(*) <> max(attempt)"
    ).fetchall()
    assert gaps == []
    disorder = device.execute(
        "select change_id from (select change_id, lag(result.finished_at) over (partition by object order by change_id)"
        " > result.finished_at as late from jobhooks.job_result as result join (select id, coalesce(postchange,"
        " prechange) ->> 'id' as object from jobhooks.object_change) as change on change.id = change_id"
        " where attempt = 1) as first where late"
    ).fetchall()
    assert disorder == []


def many(conn: Connection, count: int) -> None:
    """Make a large backlog of one object, with a dead delivery at its head."""
    conn.execute("insert into jobhooks.job (class_path, enabled) values ('a.B', true)")
    conn.execute("select jobhooks.add_hook('h', '{public.device}', '{update}', 'a.B')")
    conn.execute(
        "insert into jobhooks.delivery (change_id, hook_id, content_type_id, lane, status)"
        " select id, 1, 1, 7, case when id = 1 then 'dead' else 'blocked' end from generate_series(1, %s) as id",
        [count],
    )


def test_discarding_many_frees_none_of_them_on_the_way(device: Connection, database: str) -> None:
    """They go in batches: were the oldest to go first, a daemon would run one that the next batch gives up."""
    many(device, 2_500)
    device.execute(
        "create function public.refuse() returns trigger language plpgsql as $$ begin raise 'freed'; end $$;"
        " create trigger refuse before update on jobhooks.delivery for each row when (new.status = 'waiting')"
        " execute function public.refuse()"
    )
    said = done(jobhooks("delivery", "discard", "--all", "--yes", "--database-url", database))
    assert said == "discarded 2500 deliveries\n" and debts(device) == []


def test_retrying_many_makes_due_only_the_first_of_an_object(device: Connection, database: str) -> None:
    """Else those of a later batch could overtake one that fails again."""
    many(device, 2_500)
    said = done(jobhooks("delivery", "retry", "--all", "--yes", "--database-url", database))
    assert said == "retried 2500 deliveries\n"
    statuses = [status for _, _, status, _ in debts(device)]
    assert statuses[0] == "waiting" and set(statuses[1:]) == {"blocked"}


@pytest.mark.parametrize(
    "statement",
    [
        "select jobhooks.retry_deliveries('{1}', '{1}')",
        "select jobhooks.discard_deliveries('{1}', '{1}')",
        """select jobhooks.requeue('[{"change_id": 1, "hook_id": 1, "content_type_id": 1}]')""",
    ],
)
def test_debts_are_decided_about_between_two_batches_of_the_daemon(
    device: Connection, database: str, statement: str
) -> None:
    """Otherwise a batch that parks a delivery and a decision that releases one could miss each other."""
    many(device, 2)
    settle = b"select jobhooks.settle(0, '{}', '{}', '{}', '{}', '{}', '{}', null)"
    waiting = "select from pg_stat_activity where wait_event_type = 'Lock' and pid = %s"
    with psycopg.connect(database) as settling, psycopg.connect(database) as deciding, ThreadPoolExecutor(1) as pool:
        settling.execute(settle)
        decision = pool.submit(deciding.execute, statement.encode())
        wait_until("it waits", lambda: device.execute(waiting, [deciding.info.backend_pid]).fetchone() is not None)
        settling.commit()
        decision.result(LIMIT)
        settling.execute("set lock_timeout = '50ms'")
        with pytest.raises(psycopg.errors.LockNotAvailable):
            settling.execute(settle)
