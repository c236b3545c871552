"""``jobhooks delivery`` and ``jobhooks replay``: flags, confirmation and rights; the texts are in test_texts.py."""

import json
import subprocess

import pytest
from psycopg.conninfo import make_conninfo

from conftest import Connection
from support.daemon import jobhooks, on_a_terminal
from support.ledger import fill_ledger

REFUSED = 5


@pytest.fixture
def ledger(device: Connection) -> Connection:
    """The client of a log with deliveries of all kinds, and no daemon."""
    fill_ledger(device)
    device.execute("update jobhooks.job_result set error = 'KeyError: 100%' where attempt = 2")
    return device


def pending(conn: Connection) -> list[tuple[int, str]]:
    """Change and status of pending deliveries."""
    return conn.execute(
        "select change_id, status from jobhooks.delivery_states() order by change_id, hook_id"
    ).fetchall()


def done(finished: subprocess.CompletedProcess[str]) -> str:
    assert finished.returncode == 0, finished.stderr
    return finished.stdout


@pytest.mark.parametrize(
    ("arguments", "ids"),
    [
        ([], [1, 2, 3, 4]),
        (["3", "1"], [1, 3]),
        (["1", "--state", "dead"], [1]),
        (["--hook", "first"], [1, 2, 3]),
        (["--table", "public.site"], [4]),
        (["--state", "waiting"], [3, 4]),
        (["--status", "waiting", "--hook", "second"], [4]),  # the former name
        (["--status", "dead", "--state", "waiting"], [1, 3, 4]),
        (["--since", "1h"], [2, 3, 4]),
        (["--until", "1h"], [1]),
        (["--error", "timeout"], [3]),
        (["--error", "100%"], [1]),
        (["--limit", "2"], [3, 4]),
    ],
)
def test_deliveries_are_chosen_by_filters(
    ledger: Connection, database: str, arguments: list[str], ids: list[int]
) -> None:
    """The same filters select deliveries for retry and discard, so a wrong one would discard the wrong deliveries."""
    finished = jobhooks("delivery", "list", "--json", *arguments, "--database-url", database)
    assert [delivery["change_id"] for delivery in json.loads(done(finished))] == ids
    if "--limit" not in arguments:
        discard = ["delivery", "discard", *(arguments or ["--all"]), "--yes", "--json", "--database-url", database]
        assert json.loads(done(jobhooks(*discard)))["changed"] == len(ids)
        assert [change_id for change_id, _ in pending(ledger)] == [id_ for id_ in (1, 2, 3, 4) if id_ not in ids]


@pytest.mark.parametrize("arguments", [["retry", "1"], ["discard", "--all"], ["discard", "1", "--hook", "first"]])
def test_without_confirmation_nothing_changes(ledger: Connection, database: str, arguments: list[str]) -> None:
    """In a pipe no person can be asked."""
    before = pending(ledger)
    assert jobhooks("delivery", *arguments, "--database-url", database).returncode == REFUSED
    assert pending(ledger) == before


def test_a_person_is_asked(ledger: Connection, database: str) -> None:
    """A filter can mean more than one thinks."""
    before = pending(ledger)
    discard = ["delivery", "discard", "--hook", "first", "--database-url", database]
    code, _ = on_a_terminal("n\n", *discard)
    assert (code, pending(ledger)) == (1, before)
    code, _ = on_a_terminal("y\n", *discard)
    assert (code, pending(ledger)) == (0, [(4, "waiting")])


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
            assert finished.returncode == (0 if group == "operator" else REFUSED), finished.stderr
    discarded = ledger.execute("select change_id, error from jobhooks.job_result where status = 'discarded'").fetchall()
    assert discarded == [(3, f"discarded by {role}")]


@pytest.fixture
def interrupted(ledger: Connection) -> Connection:
    """The same log; the daemon was killed while it ran change 3 for the second time."""
    ledger.execute(
        "insert into jobhooks.running_delivery (change_id, hook_id, attempt, job_id, started_at, leader, host, pid)"
        " values (3, 1, 2, 1, now(), 0, 'h', 7)"
    )
    return ledger


def test_an_operator_cancels(interrupted: Connection, database: str, role: str) -> None:
    """The result names the person, and the delivery is not attempted again."""
    cancel = ["delivery", "cancel", "3", "1", "--reason", "too slow", "--yes", "--json"]
    for group in ("viewer", "operator"):
        interrupted.execute(f"grant jobhooks_{group} to {role}".encode())
        finished = jobhooks(*cancel, JOBHOOKS_DATABASE_URL=make_conninfo(database, user=role))
        assert finished.returncode == (0 if group == "operator" else REFUSED), finished.stderr
    assert json.loads(finished.stdout) == {"cancelled": 1, "ended_before": 0, "still_running": 0, "passed_over": [1]}
    ((error,),) = interrupted.execute("select error from jobhooks.job_result where change_id = 3 and attempt = 2")
    assert error.startswith(f"Cancelled: by {role} at ") and error.endswith(": too slow")
    assert (3, "dead") in pending(interrupted)


def test_a_cancel_is_confirmed(interrupted: Connection, database: str) -> None:
    before = pending(interrupted)
    assert jobhooks("delivery", "cancel", "--all", "--database-url", database).returncode == REFUSED
    assert jobhooks("delivery", "cancel", "1", "--yes", "--database-url", database).returncode == REFUSED
    assert pending(interrupted) == before


@pytest.mark.parametrize(
    ("states", "ids"), [(["dead"], [1]), (["interrupted"], [3]), (["interrupted", "dead"], [1, 3]), (["running"], [])]
)
def test_deliveries_are_chosen_by_state(
    interrupted: Connection, database: str, states: list[str], ids: list[int]
) -> None:
    flags = [word for state in states for word in ("--state", state)]
    finished = jobhooks("delivery", "list", "--json", *flags, "--database-url", database)
    assert [(delivery["change_id"], delivery["state"]) for delivery in json.loads(done(finished))] == [
        (id_, "dead" if id_ == 1 else "interrupted") for id_ in ids
    ]


def test_a_replay_is_confirmed_and_reported(ledger: Connection, database: str) -> None:
    ledger.execute("delete from jobhooks.delivery")
    replay = ["replay", "--hook", "first", "--table", "public.device", "--since", "1h", "--database-url", database]
    assert jobhooks(*replay).returncode == REFUSED
    assert pending(ledger) == []
    chosen = ["--change", "1", "--change", "2", "--change", "99", "--until", "0s"]
    assert json.loads(done(jobhooks(*replay, *chosen, "--yes", "--json"))) == {
        "hook": "first",
        "queued": 1,
        "runs": True,
        "passed_over": [1, 99],
    }
    assert pending(ledger) == [(2, "waiting")]
