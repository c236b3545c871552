"""Backlog rows: how a delivery becomes a row, and when a failed one is due."""

from dataclasses import replace
from math import inf

import pytest

from jobhooks.contract.choices import FailurePolicy, JobResultStatus
from jobhooks.engine.delivery.backlog_row import failed_row, row_of
from jobhooks.engine.delivery.delivery import deliveries_of
from support.making import make_change, make_delivery, make_hook, make_move, make_outcome, make_truncate

FAILURE = make_outcome(JobResultStatus.FAILURE, error="x", raised=True)


def test_a_row_has_what_identifies_its_delivery() -> None:
    row = row_of(make_delivery(5, hook=make_hook(3), attempts=2, failures=1), due=9.0)
    assert (row.change_id, row.hook_id, row.content_type_id, row.transaction_id) == (5, 3, 1, 1)
    assert (row.attempts, row.failures, row.due) == (2, 1, 9.0)


def test_rows_of_one_request_have_one_number() -> None:
    """A change without a request id has none, nor has one with an empty id."""
    one, same, other, empty, without = (
        row_of(deliveries_of(replace(make_change(1), request_id=request), [make_hook()])[0], 0.0).request
        for request in ("r-1", "r-1", "r-2", "", None)
    )
    assert one is not None
    assert (one, one == other) == (same, False)
    assert (empty, without) == (None, None)


def test_a_new_row_blocks_and_is_neither_written_nor_loaded() -> None:
    """It blocks even if failures of its hook do not: it waits for a delivery, and younger ones wait for it."""
    row = row_of(make_delivery(1, hook=make_hook(on_failure=FailurePolicy.SKIP)), due=0.0)
    assert row.blocks
    assert not row.written
    assert not row.loaded
    assert not row.is_dead


def test_a_row_has_the_lanes_of_its_delivery() -> None:
    one, moved, all_rows = (row_of(each, 0.0) for each in (make_delivery(1, 7), make_move(2, 7, 8), make_truncate(3)))
    assert one.lane is not None
    assert one.other_lane is None
    assert (moved.lane, moved.other_lane) == (one.lane, row_of(make_delivery(4, 8), 0.0).lane)
    assert (all_rows.lane, all_rows.other_lane) == (None, None)


def test_a_cancelled_delivery_is_dead_at_once() -> None:
    """An operator who ends a run does not want it again after a second."""
    cancelled = make_outcome(JobResultStatus.FAILURE, error="x", raised=True, cancelled=True)
    row = failed_row(make_delivery(1, hook=make_hook(max_attempts=15)), cancelled, now=100.0)
    assert (row.attempts, row.failures, row.is_dead) == (1, 1, True)


def test_a_failure_is_counted_and_due_after_its_backoff() -> None:
    row = failed_row(make_delivery(1, hook=make_hook(backoff=1.0), attempts=4, failures=1), FAILURE, now=100.0)
    assert (row.attempts, row.failures, row.blocks) == (5, 2, True)
    assert 101.6 <= row.due <= 102.4


def test_a_receiver_may_say_when() -> None:
    outcome = make_outcome(JobResultStatus.FAILURE, error="x", raised=True, retry_after=7.0)
    assert failed_row(make_delivery(1), outcome, now=100.0).due == 107.0


@pytest.mark.parametrize(("failures", "is_dead"), [(0, False), (1, True), (2, True)])
def test_the_last_failure_is_dead(failures: int, is_dead: bool) -> None:
    row = failed_row(make_delivery(1, hook=make_hook(max_attempts=2), failures=failures), FAILURE, now=100.0)
    assert row.is_dead == is_dead
    assert (row.due == inf) == is_dead


def test_a_failure_blocks_unless_the_job_skips_failures() -> None:
    delivery = make_delivery(1, hook=make_hook(on_failure=FailurePolicy.SKIP))
    assert not failed_row(delivery, FAILURE, now=0.0).blocks
