"""Lines and texts of a receiver are bounded before they are held, however many and long they are."""

import tracemalloc

from jobhooks.contract import log
from jobhooks.contract.log import LONGEST_TEXT, MOST_CHARACTERS, MOST_LINES, NO_MORE, ReceiverLog
from jobhooks.engine.delivery.outcome import LONGEST_TRACEBACK, Clock, failed

HUGE = 20_000_000


def test_a_run_keeps_a_limited_number_of_lines_and_says_so_once() -> None:
    lines = ReceiverLog()
    for number in range(MOST_LINES + 1000):
        lines.info(f"line {number}")
    assert len(lines.entries) == MOST_LINES + 1
    assert lines.entries[-2].message == f"line {MOST_LINES - 1}"
    assert lines.entries[-1].message == NO_MORE


def test_a_run_keeps_a_limited_number_of_characters() -> None:
    lines = ReceiverLog()
    for _ in range(1000):
        lines.info("object", LONGEST_TEXT * "x")
    kept = sum(len(entry.message) for entry in lines.entries)
    assert MOST_CHARACTERS <= kept < MOST_CHARACTERS + 2 * LONGEST_TEXT


def test_a_failure_counts_when_no_more_lines_are_kept() -> None:
    lines = ReceiverLog()
    for _ in range(MOST_LINES + 1):
        lines.info("line")
    lines.failure("it failed")
    assert lines.failure_message() == "it failed"
    assert len(lines.entries) == MOST_LINES + 1


def test_a_long_line_is_cut() -> None:
    assert log.clean_text(HUGE * "x") == LONGEST_TEXT * "x" + f"... ({HUGE - LONGEST_TEXT} more characters)"


def test_a_long_error_is_cut_with_little_memory() -> None:
    """Also that of the error that it comes from. The text itself is the receiver's."""
    text = HUGE * "x"
    try:
        try:
            raise LookupError(text)
        except LookupError as exc:
            raise ValueError(text) from exc
    except ValueError as exc:
        tracemalloc.start()
        outcome = failed(0.0, Clock(), ReceiverLog(), exc)
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
    assert outcome.error is not None and len(outcome.error) < LONGEST_TEXT + 100
    assert outcome.traceback is not None and len(outcome.traceback) < LONGEST_TRACEBACK
    assert "LookupError: xxx" in outcome.traceback and "ValueError: xxx" in outcome.traceback
    assert peak < 2.5 * HUGE
