"""When a failed delivery is attempted again."""

import pytest

from jobhooks.contract.job_settings import FUNCTION, JobLimits
from jobhooks.engine.delivery.retry import LONGEST, Backoff, next_step


@pytest.mark.parametrize(
    ("failures", "expected"), [(1, 1), (2, 2), (3, 4), (10, 512), (12, 2048), (13, 3600), (14, 3600)]
)
def test_the_delay_doubles_up_to_an_hour(failures: int, expected: float) -> None:
    """The numbers that the docs give, give or take a fifth."""
    due_in = next_step(failures, JobLimits()).due_in
    assert due_in is not None and 0.8 * expected <= due_in <= 1.2 * expected


def test_the_last_attempt_leaves_a_dead_delivery() -> None:
    assert next_step(15, JobLimits()).due_in is None
    assert next_step(1, JobLimits(max_attempts=1), retry_after=5).due_in is None


def test_a_receiver_says_itself_when_it_wants_to_be_run_again() -> None:
    assert next_step(3, JobLimits(), retry_after=90.0).due_in == 90.0


@pytest.mark.parametrize(("failures", "expected"), [(1, 1), (2, 10), (3, 60), (4, 60), (9, 60)])
def test_a_list_gives_the_pauses_one_by_one(failures: int, expected: float) -> None:
    """The last one repeats. A pause may be longer than an hour."""
    due_in = next_step(failures, JobLimits(backoff=(1.0, 10.0, 60.0))).due_in
    assert due_in is not None and 0.8 * expected <= due_in <= 1.2 * expected
    (long,) = (next_step(1, JobLimits(backoff=(86_400.0,))).due_in,)
    assert long is not None and long > 60_000


def test_a_function_that_gave_no_pause_leaves_the_usual_one() -> None:
    due_in = next_step(3, JobLimits(backoff=FUNCTION)).due_in
    assert due_in is not None and 3.2 <= due_in <= 4.8


def test_an_error_that_lasts_twice_leaves_a_dead_delivery() -> None:
    assert next_step(2, JobLimits(), lasts=True).due_in is None
    assert next_step(2, JobLimits(), retry_after=5, lasts=True).due_in is None


def test_many_failures_overflow_nothing() -> None:
    due_in = next_step(100_000, JobLimits(max_attempts=100_001, backoff=1e9)).due_in
    assert due_in is not None and due_in <= 1.2 * LONGEST


def test_a_database_that_is_gone_is_asked_for_every_other_second() -> None:
    backoff = Backoff()
    waits = [backoff.next() for _ in range(10)]
    assert waits[0] < 0.3 and all(1.6 <= wait <= 2.4 for wait in waits[4:])
    backoff.reset()
    assert backoff.next() < 0.3


def test_a_server_that_refuses_is_asked_less_and_less_often() -> None:
    """A wrong password is not right two seconds later, and each attempt is a line in the server's log."""
    backoff = Backoff()
    waits = [backoff.next(refused=True) for _ in range(12)]
    assert waits[0] < 0.3 and all(24 <= wait <= 30 for wait in waits[9:])
    assert backoff.next() <= 2.0
