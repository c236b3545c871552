"""The rows of a settle batch: results, log lines, and changes of the backlog."""

from math import inf

import pytest

from jobhooks.contract.choices import JobResultStatus
from jobhooks.contract.log import ReceiverLog
from jobhooks.engine.delivery.backlog_row import failed_row, row_of
from jobhooks.engine.delivery.delivery import Delivery
from jobhooks.engine.delivery.outcome import Outcome
from jobhooks.engine.delivery.settle_batch import SettleBatch
from jobhooks.engine.settling.rows import NO_SUCCESSES, Row, backlog_row, other_rows, success_columns
from support.making import make_delivery, make_hook, make_outcome, make_row

NOW = 50.0  # by the monotonic clock
FAILURE = make_outcome(JobResultStatus.FAILURE, error="ValueError: é", raised=True)


def rest(batch: SettleBatch, encoding: str = "UTF8") -> dict[str, list[Row]]:
    return other_rows(batch, encoding, NOW)


def failure(delivery: Delivery, outcome: Outcome = FAILURE) -> SettleBatch:
    """A batch with a failed attempt, and the row that it leaves."""
    row = failed_row(delivery, outcome, NOW)
    return SettleBatch(failures=[(delivery, outcome)], rows={(row.change_id, row.hook_id): row})


def columns(batch: SettleBatch) -> list[list[float | None]]:
    return [list(column) for column in success_columns(batch).values()]


def test_successes_are_columns_of_numbers() -> None:
    first, second = make_delivery(1), make_delivery(2, attempts=3)
    first.version = 2**48 - 1
    batch = SettleBatch(successes=[(first, make_outcome()), (second, make_outcome())])
    assert columns(batch) == [[1, 2], [1, 1], [11, 11], [1, 4], [100.0, 100.0], [101.0, 101.0], [2**48 - 1, None]]
    assert rest(batch) == {}


@pytest.mark.parametrize("version", [None, 2**48 - 1])
def test_one_version_of_all_successes_is_sent_once(version: int | None) -> None:
    first, second = make_delivery(1), make_delivery(2)
    first.version = second.version = version
    assert columns(SettleBatch(successes=[(first, make_outcome()), (second, make_outcome())]))[-1] == [version]


def test_an_empty_batch_has_seven_empty_columns() -> None:
    assert success_columns(SettleBatch()) == NO_SUCCESSES
    assert len(NO_SUCCESSES) == 7


def test_a_success_with_a_value_is_a_row() -> None:
    batch = SettleBatch(successes=[(make_delivery(1), make_outcome(value='{"a":1}'))])
    assert success_columns(batch) == NO_SUCCESSES
    (result,) = rest(batch)["results"]
    assert (result["change_id"], result["status"], result["value"]) == (1, "success", '{"a":1}')


def test_a_row_that_is_done_is_deleted() -> None:
    """By the attempt that ended it: a row with more attempts is of a later delivery."""
    batch = SettleBatch(done=[make_delivery(1, has_row=True, attempts=1), make_delivery(2, has_row=True)])
    assert rest(batch) == {
        "done": [{"change_id": 1, "hook_id": 1, "attempt": 2}, {"change_id": 2, "hook_id": 1, "attempt": 1}]
    }


def test_a_failure_has_a_result_and_a_row() -> None:
    rows = rest(failure(make_delivery(1)))
    assert sorted(rows) == ["parked", "results"]
    assert rows["results"][0]["error"] == "ValueError: é"
    (parked,) = rows["parked"]
    assert (parked["status"], parked["attempts"], parked["failures"]) == ("waiting", 1, 1)


def test_only_the_row_of_a_failed_attempt_depends_on_its_result() -> None:
    """If another session has discarded the delivery, its result exists, and the row is not written."""
    batch = failure(make_delivery(1))
    batch.extend(SettleBatch(rows={(2, 1): make_row(2)}, parked=[make_delivery(2)]))
    logged = make_outcome(JobResultStatus.FAILURE, error="logged")
    batch.extend(SettleBatch(failures=[(make_delivery(3), logged)], rows={(3, 1): make_row(3)}))
    assert {row["change_id"]: row["attempted"] for row in rest(batch)["parked"]} == {1: True, 2: False, 3: False}


def test_a_failure_that_kept_its_writes_is_no_row() -> None:
    """A failure that was logged: the run has committed, so it is not attempted again."""
    logged = make_outcome(JobResultStatus.FAILURE, error="logged", recorded=True)
    batch = SettleBatch(failures=[(make_delivery(1), logged)], done=[make_delivery(1)])
    assert sorted(rest(batch)) == ["done"]


def test_texts_are_in_characters_of_the_server() -> None:
    rows = rest(failure(make_delivery(1)), "LATIN2")
    assert rows["results"][0]["error"] == "ValueError: \\xe9"


def test_log_lines_are_numbered_by_attempt() -> None:
    log = ReceiverLog()
    log.info("first")
    log.info("second")
    outcome = make_outcome(log=tuple(log.entries))
    rows = rest(SettleBatch(successes=[(make_delivery(1, attempts=1), outcome)]))
    assert [(row["attempt"], row["line"], row["message"]) for row in rows["log"]] == [(2, 1, "first"), (2, 2, "second")]
    recorded = make_outcome(log=tuple(log.entries), recorded=True)
    assert rest(SettleBatch(successes=[(make_delivery(1), recorded)])) == {}


def test_a_row_is_stored_with_its_keys_and_counts() -> None:
    row = make_row(5, 7, 8, table=3, attempts=2, failures=1, blocks=False, hook_id=4)
    assert backlog_row(row, False, NOW) == {
        "change_id": 5,
        "hook_id": 4,
        "content_type_id": 3,
        "lane": 7,
        "other_lane": 8,
        "attempts": 2,
        "failures": 1,
        "lasting": False,
        "attempted": False,
        "blocks": False,
        "status": "waiting",
        "due_in": 0.0,
    }


@pytest.mark.parametrize(
    ("due", "status", "due_in"),
    [(NOW + 7, "waiting", 7.0), (NOW - 7, "waiting", 0.0), (0.0, "waiting", 0.0), (inf, "dead", None)],
)
def test_a_time_is_stored_as_seconds_from_now(due: float, status: str, due_in: float | None) -> None:
    """The database has another clock. A row that is late is due now; a dead one has no time."""
    row = backlog_row(make_row(1, due=due), False, NOW)
    assert (row["status"], row["due_in"]) == (status, due_in)


def test_the_last_failure_is_stored_as_dead() -> None:
    batch = failure(make_delivery(1, hook=make_hook(max_attempts=1)))
    assert [(row["status"], row["due_in"]) for row in rest(batch)["parked"]] == [("dead", None)]


def test_a_row_without_an_attempt_is_due_when_it_says() -> None:
    """For example because the hook merges changes."""
    row = row_of(make_delivery(1), due=NOW + 5)
    assert backlog_row(row, False, NOW)["due_in"] == 5.0
