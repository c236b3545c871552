"""The outcome of an attempt, from the receiver's return value, log lines or exception."""

import json
from decimal import Decimal

import pytest

from jobhooks.contract.choices import JobResultStatus
from jobhooks.contract.control import Discard, Retry
from jobhooks.contract.log import ReceiverLog
from jobhooks.engine.delivery.outcome import (
    LARGEST_VALUE,
    Clock,
    Outcome,
    completed,
    failed,
    failed_after,
    nothing_to_do,
)

CLOCK = Clock(3600)


def raised(exc: Exception, *, sensitive: bool = False) -> Outcome:
    with pytest.raises(type(exc)) as caught:
        raise exc
    return failed(1.0, CLOCK, ReceiverLog(), caught.value, sensitive=sensitive)


def test_a_receiver_that_returns_has_succeeded() -> None:
    outcome = completed(1.0, CLOCK, ReceiverLog(), {"price": Decimal("1.10")})
    assert (outcome.status, outcome.error, outcome.undone) == (JobResultStatus.SUCCESS, None, False)
    assert outcome.value is not None and json.loads(outcome.value) == {"price": 1.10}
    assert outcome.finished_at > outcome.started_at
    assert completed(1.0, CLOCK, ReceiverLog()).value is None


def test_a_failure_that_was_logged_keeps_what_was_written() -> None:
    log = ReceiverLog()
    log.failure("not good")
    outcome = completed(1.0, CLOCK, log)
    assert outcome.status is JobResultStatus.FAILURE and not outcome.undone
    assert "not good" in (outcome.error or "")


@pytest.mark.parametrize("value", ["x" * LARGEST_VALUE, object(), Decimal("NaN")], ids=["large", "object", "NaN"])
def test_a_value_that_cannot_be_stored_is_a_warning(value: object) -> None:
    outcome = completed(1.0, CLOCK, ReceiverLog(), value)
    assert (outcome.status, outcome.value, len(outcome.log)) == (JobResultStatus.SUCCESS, None, 1)


def test_a_receiver_that_raises_has_failed_and_is_undone() -> None:
    outcome = raised(ValueError("password=hunter2"))
    assert (outcome.status, outcome.undone, outcome.raised) == (JobResultStatus.FAILURE, True, True)
    assert outcome.error == "ValueError: password=***" and "hunter2" not in (outcome.traceback or "")
    sensitive = raised(ValueError("a secret"), sensitive=True)
    assert sensitive.error == "ValueError" and "a secret" not in (sensitive.traceback or "")
    assert "raised" in (sensitive.traceback or "")


def test_retry_and_discard_are_decisions_and_no_errors() -> None:
    again = raised(Retry(5, "not yet"))
    assert (again.status, again.retry_after, again.traceback) == (JobResultStatus.FAILURE, 5, None)
    given_up = raised(Discard("not for us"))
    assert (given_up.status, given_up.error, given_up.undone) == (JobResultStatus.DISCARDED, "not for us", True)
    assert raised(Discard("")).error


def test_an_outcome_whose_result_cannot_commit_keeps_its_log() -> None:
    log = ReceiverLog()
    log.info("one")
    outcome = failed_after(completed(1.0, CLOCK, log), CLOCK, ValueError("no"))
    assert (outcome.status, outcome.error, outcome.started_at) == (JobResultStatus.FAILURE, "ValueError: no", 1.0)
    assert [entry.message for entry in outcome.log] == ["one"]


def test_merged_changes_that_come_to_nothing_are_discarded() -> None:
    assert nothing_to_do(CLOCK).status is JobResultStatus.DISCARDED
