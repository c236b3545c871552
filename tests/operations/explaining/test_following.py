"""Following results: each that is recorded from then on, once, whenever it commits."""

import psycopg
import pytest

from conftest import Connection
from jobhooks.errors import UnknownHook
from jobhooks.operations.delivering.following import ResultFollower
from jobhooks.operations.delivering.results import ResultFilter
from jobhooks.store.connections import SyncConnection

RESULT = (
    "insert into jobhooks.job_result (change_id, hook_id, job_id, attempt, status, error, started_at, finished_at)"
    " values (%s, 1, 1, %s, %s, %s, clock_timestamp(), clock_timestamp())"
)


def found(follower: ResultFollower) -> list[tuple[int, int]]:
    return [(result.change_id, result.attempt) for result in follower.new_results()]


def test_results_come_once_in_the_order_of_their_ends(ledger: Connection, admin: SyncConnection, database: str) -> None:
    follower = ResultFollower(admin, ResultFilter(), 2)
    assert [(result.change_id, result.attempt) for result in follower.first] == [(3, 1), (4, 1)]
    assert found(follower) == []
    with psycopg.connect(database) as late:
        late.execute(RESULT, [2, 1, "success", None])
        ledger.execute(RESULT, [4, 7, "success", None])
        ledger.execute(RESULT, [1, 7, "failure", "KeyError"])
        assert found(follower) == [(4, 7), (1, 7)]
        late.commit()
    assert found(follower) == [(2, 1)], "which ended before, and committed later"
    assert found(follower) == []


def test_a_filter_applies_to_new_results(ledger: Connection, admin: SyncConnection) -> None:
    follower = ResultFollower(admin, ResultFilter(["first"], status="failure"))
    ledger.execute(RESULT, [2, 1, "success", None])
    ledger.execute(RESULT, [1, 7, "failure", "KeyError"])
    assert (follower.first, found(follower)) == ([], [(1, 7)])
    with pytest.raises(UnknownHook):
        ResultFollower(admin, ResultFilter(["none"]))


def test_the_clock_of_the_daemon_counts(ledger: Connection, admin: SyncConnection) -> None:
    """It may be hours behind that of the server, by which the command would miss everything."""
    ledger.execute("update jobhooks.job_result set started_at = '2001-01-01', finished_at = '2001-01-01'")
    follower = ResultFollower(admin, ResultFilter())
    ledger.execute(RESULT.replace("clock_timestamp()", "timestamptz '2001-01-01 00:00:05'"), [2, 1, "success", None])
    assert found(follower) == [(2, 1)]


def test_an_installation_without_results_is_followed(device: Connection, admin: SyncConnection) -> None:
    follower = ResultFollower(admin, ResultFilter(), 5)
    assert (follower.first, found(follower)) == ([], [])
