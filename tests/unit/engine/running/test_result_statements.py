"""The statements that begin runs, record results and commit: their text and their parameters."""

import json
from dataclasses import replace

import pytest

from jobhooks.contract.choices import JobResultStatus
from jobhooks.contract.log import ReceiverLog
from jobhooks.contract.run import DeliveryIdentity
from jobhooks.engine.delivery.outcome import Outcome
from jobhooks.engine.running.result_statements import (
    begin_run,
    end_results,
    end_runs,
    join_run,
    results_parameters,
    says_only_success,
)
from support.making import make_change

ONE, TWO = DeliveryIdentity(7, 3, 1), DeliveryIdentity(8, 3, 2)
SUCCESS = Outcome(1.5, 2.25, JobResultStatus.SUCCESS)


def flat(statements: str) -> str:
    """Without comments and line breaks."""
    return " ".join(line.strip() for line in statements.splitlines() if not line.startswith("--"))


@pytest.mark.parametrize(
    ("outcome", "only"),
    [
        (SUCCESS, True),
        (Outcome(1, 2, JobResultStatus.SUCCESS, value="1"), False),
        (Outcome(1, 2, JobResultStatus.FAILURE, error="no"), False),
    ],
)
def test_only_a_success_without_text_is_sent_with_the_commit(outcome: Outcome, only: bool) -> None:
    assert says_only_success(outcome) is only
    log = ReceiverLog()
    log.info("a line")
    assert not says_only_success(Outcome(1, 2, JobResultStatus.SUCCESS, tuple(log.entries)))


def test_a_transaction_is_marked_as_the_run_that_begins_it() -> None:
    assert flat(begin_run(ONE)).rstrip().endswith("; set local jobhooks.delivery = '7:3:1';")


def test_its_writes_get_the_user_and_the_request_of_its_change() -> None:
    change = replace(make_change(7), user_name="o'hara", request_id="r 1")
    said = "set local jobhooks.user_name = E'o\\x27hara'; set local jobhooks.request_id = E'r 1'"
    assert flat(begin_run(ONE, "", [change])).endswith(said)
    assert flat(join_run(TWO, "", [change], is_second=True)).endswith(said)


def test_the_writes_of_a_run_in_a_chain_are_one_deeper_than_the_deepest_of_its_changes() -> None:
    changes = [replace(make_change(number), depth=depth) for number, depth in ((7, 1), (8, 3), (9, 0))]
    assert "jobhooks.delivery = '7:3:1:4'" in begin_run(ONE, "", changes)
    assert "jobhooks.delivery = '8:3:2:4'" in join_run(TWO, "", changes, is_second=True)
    assert "jobhooks.delivery = '7:3:1';" in begin_run(ONE, "", [make_change(7)])


def test_each_run_that_joins_has_its_own_mark_and_one_savepoint() -> None:
    second, third = flat(join_run(TWO, is_second=True)), flat(join_run(TWO, is_second=False))
    assert second.startswith("savepoint jobhooks;") and "'8:3:2'" in second
    assert third == f"release savepoint jobhooks; {second}"


def test_one_result_and_the_commit_are_one_message() -> None:
    text = flat(end_results([ONE], 5, SUCCESS, 99))
    assert "record_result(7, 3, 5, 1, 'success', 1.5, 2.25, null, null, null, 99)" in text and text.endswith("; commit")


def test_many_results_and_the_commit_are_one_message() -> None:
    text = flat(end_runs([(ONE, 5, SUCCESS), (TWO, 5, SUCCESS)], None))
    assert "record_successes('{7,8}', 3, 5, '{1,2}', '{1.5,1.5}', '{2.25,2.25}', null)" in text
    assert text.endswith("; commit")
    assert flat(end_results([ONE, TWO], 5, SUCCESS, None)) == text


def test_an_outcome_with_text_is_recorded_by_parameters() -> None:
    log = ReceiverLog()
    log.warning("é", "a line")
    outcome = Outcome(1, 2, JobResultStatus.FAILURE, tuple(log.entries), error="→", value='"→"')
    parameters = results_parameters([ONE, TWO], 5, outcome, 99, "LATIN1")
    (line,) = json.loads(str(parameters.pop("log_entries")))
    assert parameters == {
        "change_ids": [7, 8],
        "hook_id": 3,
        "job_id": 5,
        "attempts": [1, 2],
        "status": "failure",
        "started_at": 1,
        "finished_at": 2,
        "error": "\\u2192",
        "value": '"\\u2192"',
        "version": 99,
    }
    assert (line["level"], line["object"], line["message"]) == ("warning", "\\xe9", "a line")


def test_an_outcome_without_lines_has_no_log() -> None:
    parameters = results_parameters([ONE], 5, SUCCESS, None, "UTF8")
    assert (parameters["log_entries"], parameters["value"], parameters["error"]) == (None, None, None)
