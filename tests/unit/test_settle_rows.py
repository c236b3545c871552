"""The rows of a settle batch: results, log lines, and changes of the backlog."""

import msgspec

from jobhooks.contract.choices import FailurePolicy, JobResultStatus
from jobhooks.contract.log import ReceiverLog
from jobhooks.engine.delivery.settle_batch import SettleBatch
from jobhooks.engine.settling.rows import NO_SUCCESSES, REQUEUED_S, failed_row, other_rows, parked_row, success_columns
from support.making import make_delivery, make_hook, make_outcome

FAILURE = make_outcome(JobResultStatus.FAILURE, error="ValueError: é", raised=True)


def columns(batch: SettleBatch) -> list[list[float]]:
    return [list(column) for column in success_columns(batch).values()]


def test_successes_are_columns_of_numbers() -> None:
    batch = SettleBatch(successes=[(make_delivery(1), make_outcome()), (make_delivery(2, attempts=3), make_outcome())])
    assert columns(batch) == [[1, 2], [1, 1], [11, 11], [1, 4], [100.0, 100.0], [101.0, 101.0]]
    assert other_rows(batch, "UTF8") == {}


def test_an_empty_batch_has_six_empty_columns() -> None:
    assert success_columns(SettleBatch()) == NO_SUCCESSES
    assert len(NO_SUCCESSES) == 6


def test_a_success_with_a_value_is_a_row() -> None:
    batch = SettleBatch(successes=[(make_delivery(1), make_outcome(value='{"a":1}'))])
    assert success_columns(batch) == NO_SUCCESSES
    (result,) = other_rows(batch, "UTF8")["results"]
    assert (result["change_id"], result["status"], result["value"]) == (1, "success", '{"a":1}')


def test_a_success_deletes_its_backlog_entry() -> None:
    batch = SettleBatch(successes=[(make_delivery(1, parked=True, attempts=1), make_outcome())])
    assert other_rows(batch, "UTF8") == {"paid": [{"change_id": 1, "hook_id": 1, "attempt": 2}]}


def test_a_recorded_result_only_deletes_the_entry() -> None:
    batch = SettleBatch(done=[make_delivery(1, parked=True), make_delivery(2)])
    assert [row["change_id"] for row in other_rows(batch, "UTF8")["paid"]] == [1]


def test_a_failure_has_a_result_and_an_entry() -> None:
    rows = other_rows(SettleBatch(failures=[(make_delivery(1), FAILURE)]), "UTF8")
    assert sorted(rows) == ["parked", "results"]
    assert rows["results"][0]["error"] == "ValueError: é"
    assert rows["parked"][0]["status"] == "waiting"


def test_a_failure_that_kept_its_writes_is_done() -> None:
    """A failure that was logged: the run has committed, so it is not attempted again."""
    logged = make_outcome(JobResultStatus.FAILURE, error="logged", recorded=True)
    rows = other_rows(SettleBatch(failures=[(make_delivery(1, parked=True), logged)]), "UTF8")
    assert sorted(rows) == ["paid"]


def test_texts_are_in_characters_of_the_server() -> None:
    rows = other_rows(SettleBatch(failures=[(make_delivery(1), FAILURE)]), "LATIN2")
    assert rows["results"][0]["error"] == "ValueError: \\xe9"


def test_log_lines_are_numbered_by_attempt() -> None:
    log = ReceiverLog()
    log.info("first")
    log.info("second")
    outcome = make_outcome(log=tuple(log.entries))
    rows = other_rows(SettleBatch(successes=[(make_delivery(1, attempts=1), outcome)]), "UTF8")
    assert [(row["attempt"], row["line"], row["message"]) for row in rows["log"]] == [(2, 1, "first"), (2, 2, "second")]
    recorded = make_outcome(log=tuple(log.entries), recorded=True)
    assert other_rows(SettleBatch(successes=[(make_delivery(1), recorded)]), "UTF8") == {}


def test_a_delivery_that_waits_is_blocked_and_a_running_one_is_due() -> None:
    assert parked_row(make_delivery(1))["status"] == "blocked"
    running = parked_row(make_delivery(1, running=True))
    assert (running["status"], running["due_in"], running["attempted"]) == ("waiting", 0, False)


def test_an_entry_that_blocks_none_comes_back_after_a_pause() -> None:
    """Otherwise it would be loaded and parked again all the time, behind a younger one that runs for long."""
    row = parked_row(make_delivery(1, hook=make_hook(on_failure=FailurePolicy.SKIP), failures=1))
    assert (row["status"], row["due_in"], row["blocks"]) == ("waiting", REQUEUED_S, False)


def test_the_last_failure_is_dead() -> None:
    hook = make_hook(max_attempts=2, backoff=1.0)
    first = failed_row(make_delivery(1, hook=hook), FAILURE)
    last = failed_row(make_delivery(1, hook=hook, attempts=1, failures=1), FAILURE)
    assert (first["status"], last["status"], last["due_in"]) == ("waiting", "dead", None)
    assert isinstance(first["due_in"], float)
    assert 0.8 <= first["due_in"] <= 1.2


def test_a_receiver_may_say_when() -> None:
    row = failed_row(make_delivery(1), msgspec.structs.replace(FAILURE, retry_after=7.0))
    assert row["due_in"] == 7.0


def test_an_object_whose_key_changed_has_two_lanes() -> None:
    delivery = make_delivery(1)
    (lane,) = delivery.lanes
    moved = make_delivery(2)
    moved.lanes = (lane, (lane[0], lane[1], b"[2]"))
    one, two = parked_row(delivery), parked_row(moved)
    assert one["other_lane"] is None
    assert two["lane"] == one["lane"]
    assert two["other_lane"] not in (None, two["lane"])
    whole_table = make_delivery(3)
    whole_table.lanes = ((lane[0], lane[1], None),)
    assert parked_row(whole_table)["lane"] is None
