"""Outcomes of attempts, and the text of them that a database can store: no database is needed for either."""

import json
import math
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, strategies as st

from jobhooks.contract.choices import JobResultStatus, LogLevel
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
from jobhooks.store.storable_text import storable, storable_json, storable_log

CLOCK = Clock()


def log_with(*messages: str) -> ReceiverLog:
    log = ReceiverLog()
    for message in messages:
        log.info(message)
    return log


def raised(exc: BaseException, *, sensitive: bool = False) -> Outcome:
    try:
        raise exc
    except BaseException as caught:  # noqa: BLE001 - SystemExit included
        return failed(1.0, CLOCK, log_with("before"), caught, sensitive=sensitive)


def test_a_receiver_that_returns_has_succeeded() -> None:
    outcome = completed(1.0, CLOCK, ReceiverLog(), {"a": [1, None]})
    assert (outcome.status, outcome.value, outcome.error) == (JobResultStatus.SUCCESS, '{"a":[1,null]}', None)
    assert outcome.started_at == 1.0 < outcome.finished_at and not outcome.undone


def test_the_last_failure_that_it_logged_makes_it_a_failure_that_is_kept() -> None:
    log = log_with("fine")
    log.failure("first")
    log.failure("last")
    outcome = completed(1.0, CLOCK, log)
    assert (outcome.status, outcome.error) == (JobResultStatus.FAILURE, "last")
    assert not outcome.raised and not outcome.undone
    assert [entry.message for entry in outcome.log] == ["fine", "first", "last"]


@pytest.mark.parametrize(
    "value",
    [object(), Decimal("nan"), {1: object()}, "x" * LARGEST_VALUE, 1 << 100_000],
    ids=lambda value: type(value).__name__,
)
def test_a_value_that_cannot_be_stored_leaves_a_warning(value: object) -> None:
    outcome = completed(1.0, CLOCK, ReceiverLog(), value)
    assert outcome.value is None and outcome.status is JobResultStatus.SUCCESS
    assert [entry.level for entry in outcome.log] == [LogLevel.WARNING]


def test_a_sensitive_value_is_not_stored() -> None:
    assert completed(1.0, CLOCK, ReceiverLog(), "secret", sensitive=True).value is None


def test_a_receiver_that_raises_has_failed_with_its_traceback() -> None:
    outcome = raised(ValueError("password=hunter2"))
    assert (outcome.status, outcome.error) == (JobResultStatus.FAILURE, "ValueError: password=***")
    assert outcome.raised and outcome.undone and outcome.retry_after is None
    assert "raise exc" in (outcome.traceback or "") and "hunter2" not in (outcome.traceback or "")
    assert [entry.message for entry in outcome.log] == ["before"]
    assert raised(KeyError()).error == "KeyError"
    assert raised(SystemExit(2)).error == "SystemExit: 2"


def test_of_a_sensitive_failure_only_the_type_and_the_places_are_kept() -> None:
    outcome = raised(ValueError("Ann"), sensitive=True)
    assert outcome.error == "ValueError" and "Ann" not in (outcome.traceback or "")
    assert "in raised" in (outcome.traceback or "")


def test_a_retry_has_its_delay_and_no_traceback() -> None:
    outcome = raised(Retry(after=7.5, reason="not yet"))
    assert (outcome.status, outcome.retry_after, outcome.traceback) == (JobResultStatus.FAILURE, 7.5, None)
    assert outcome.raised and outcome.error == "Retry: not yet"
    assert raised(Retry()).retry_after is None


def test_a_discard_is_undone_and_not_raised() -> None:
    outcome = raised(Discard("not for us"))
    assert (outcome.status, outcome.error, outcome.raised) == (JobResultStatus.DISCARDED, "not for us", False)
    assert outcome.undone and outcome.traceback is None
    assert "secret" not in (raised(Discard("secret"), sensitive=True).error or "")


def test_changes_that_cancel_each_other_out_are_discarded() -> None:
    outcome = nothing_to_do(CLOCK)
    assert outcome.status is JobResultStatus.DISCARDED and not outcome.raised
    assert outcome.started_at == outcome.finished_at


def test_a_result_that_cannot_be_recorded_is_a_failure_with_the_same_lines() -> None:
    done = completed(1.0, CLOCK, log_with("a", "b"))
    outcome = failed_after(done, CLOCK, ValueError("no room"))
    assert (outcome.status, outcome.error, outcome.started_at) == (JobResultStatus.FAILURE, "ValueError: no room", 1.0)
    assert outcome.log == done.log and outcome.raised


def test_a_clock_is_ahead_by_its_offset() -> None:
    assert math.isclose(Clock(3600).now() - Clock().now(), 3600, abs_tol=60)


def test_a_database_in_utf8_gets_text_as_it_is() -> None:
    log = tuple(log_with("→").entries)
    assert (storable("→", "UTF8"), storable_json('"→"', "UTF8")) == ("→", '"→"')
    assert storable_log(log, "UTF8") == list(log)


@given(st.text(st.characters(exclude_categories=["Cs"])))
def test_text_for_another_encoding_is_ascii_and_json_stays_equal(text: str) -> None:
    escaped = storable(text, "LATIN1")
    assert escaped is not None and escaped.isascii()
    assert escaped == text or not text.isascii()
    value = json.dumps({"a": text}, ensure_ascii=False)
    encoded = storable_json(value, "LATIN1")
    assert encoded is not None and encoded.isascii() and json.loads(encoded) == {"a": text}


def test_nothing_stays_nothing_and_log_lines_keep_their_rest() -> None:
    assert storable(None, "LATIN1") is None and storable_json(None, "LATIN1") is None
    log = ReceiverLog()
    log.warning("é", "→")
    (line,) = storable_log(tuple(log.entries), "LATIN1")
    assert (line.object, line.message) == ("\\xe9", "\\u2192")
    assert (line.level, line.time) == (log.entries[0].level, log.entries[0].time)


def test_every_field_of_an_outcome_has_a_default_but_times_and_status() -> None:
    """Outcomes travel between processes of one version, and are built on the hot path."""
    minimal: Any = Outcome(1.0, 2.0, JobResultStatus.SUCCESS)
    assert not minimal.recorded and not minimal.raised and not minimal.unsure and minimal.log == ()
