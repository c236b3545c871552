"""Failures of conditions are counted until they are written, and logged now and then."""

from dataclasses import replace

import pytest
from structlog.testing import capture_logs

from jobhooks.matching import condition_failures
from jobhooks.matching.condition_failures import ConditionFailures
from jobhooks.matching.hook_table import Failure, Hook
from support.making import make_change, make_hook

FIRST = replace(make_hook(1), conditions="new.a == 1")
OTHER = replace(make_hook(2), conditions="new.b == 1")


def failure(change_id: int | None, hook: Hook = FIRST) -> Failure:
    """A failure for a change, or one that no change has met yet."""
    change = None if change_id is None else make_change(change_id)
    return Failure(hook, change, f"the value of {change_id}", "public")


def counted(failures: ConditionFailures) -> dict[int, tuple[int, str]]:
    """Take the counts: by hook, the number of changes and the last error."""
    return {hook_id: (count.changes, count.last.error) for hook_id, count in failures.take().items()}


def test_failures_are_counted_by_hook_until_they_are_taken() -> None:
    failures = ConditionFailures()
    assert not failures
    for each in (failure(1), failure(2), failure(3, OTHER)):
        failures.count(each)
    assert failures
    assert counted(failures) == {1: (2, "the value of 2"), 2: (1, "the value of 3")}
    assert not failures


def test_invalid_conditions_that_no_change_has_met_count_no_change() -> None:
    failures = ConditionFailures()
    failures.count(failure(None))
    assert failures
    assert counted(failures) == {1: (0, "the value of None")}


def test_other_conditions_of_a_hook_are_counted_from_zero() -> None:
    failures = ConditionFailures()
    failures.count(failure(1))
    failures.count(failure(2, replace(FIRST, conditions="new.c == 1")))
    assert counted(failures) == {1: (1, "the value of 2")}


def test_counts_that_could_not_be_written_are_added_to_later_ones() -> None:
    failures = ConditionFailures()
    for change_id in (1, 2):
        failures.count(failure(change_id))
    unwritten = failures.take()
    failures.count(failure(3))
    failures.put_back(unwritten)
    assert counted(failures) == {1: (3, "the value of 3")}
    failures.put_back(unwritten)
    assert counted(failures) == {1: (2, "the value of 2")}


def test_counts_of_former_conditions_are_not_added() -> None:
    failures = ConditionFailures()
    failures.count(failure(1))
    former = failures.take()
    failures.count(failure(2, replace(FIRST, conditions="new.c == 1")))
    failures.put_back(former)
    assert counted(failures) == {1: (1, "the value of 2")}


def test_a_hook_is_logged_once_in_a_while_without_data(monkeypatch: pytest.MonkeyPatch) -> None:
    """A condition that fails fails often; and only the public reason may be logged."""
    failures = ConditionFailures()
    with capture_logs() as logs:
        for each in (failure(1), failure(2), failure(3), failure(4, OTHER)):
            failures.note(each)
        monkeypatch.setattr(condition_failures, "LOG_INTERVAL_S", 0.0)
        failures.note(failure(5))
    assert [(line["hook"], line["change"], line["more"]) for line in logs] == [("h1", 1, 0), ("h2", 4, 0), ("h1", 5, 2)]
    assert {(line["event"], line["log_level"], line["error"]) for line in logs} == {
        ("condition_failed", "warning", "public")
    }
    assert counted(failures)[1] == (4, "the value of 5"), "what is not logged is counted"


def test_invalid_conditions_are_another_event() -> None:
    with capture_logs() as logs:
        ConditionFailures().note(failure(None))
    assert [(line["event"], line["hook"], line["error"]) for line in logs] == [("condition_invalid", "h1", "public")]
