"""Changes that are too deep in a chain are counted until they are written, and logged now and then."""

from dataclasses import replace

import pytest
from structlog.testing import capture_logs

from jobhooks.contract.change import Change
from jobhooks.engine.settling.chain_ends import ChainEnd, ChainEnds
from support.making import make_change, make_hook

HOOK = replace(make_hook(1), chain_depth=2)
OTHER = replace(make_hook(2), chain_depth=2)


def deep(change_id: int) -> Change:
    return replace(make_change(change_id), depth=3)


def test_they_are_counted_by_hook_until_they_are_taken() -> None:
    """A change that updates several parents is one."""
    ends = ChainEnds()
    assert not ends
    for hook, change_id in ((HOOK, 1), (OTHER, 1), (HOOK, 2), (HOOK, 2)):
        ends.note(hook.id, hook, deep(change_id))
    assert ends
    assert ends.take() == {1: ChainEnd(2, 2, 2), 2: ChainEnd(2, 1, 1)}
    assert not ends


def test_another_limit_is_counted_from_zero() -> None:
    ends = ChainEnds()
    ends.note(1, HOOK, deep(1))
    ends.note(1, replace(HOOK, chain_depth=1), deep(2))
    assert ends.take() == {1: ChainEnd(1, 1, 2)}


@pytest.mark.parametrize(("chain_depth", "changes"), [(2, 2), (1, 1)])
def test_counts_that_could_not_be_written_are_added_to_later_ones_of_the_same_limit(
    chain_depth: int, changes: int
) -> None:
    ends = ChainEnds()
    ends.note(1, HOOK, deep(1))
    unwritten = ends.take()
    ends.note(1, replace(HOOK, chain_depth=chain_depth), deep(2))
    ends.put_back(unwritten)
    assert ends.take() == {1: ChainEnd(chain_depth, changes, 2)}
    ends.put_back(unwritten)
    assert ends.take() == {1: ChainEnd(2, 1, 1)}


def test_a_hook_is_logged_once_in_a_while() -> None:
    ends = ChainEnds()
    with capture_logs() as lines:
        for number in range(3):
            ends.note(1, HOOK, deep(number))
    (line,) = lines
    assert (line["event"], line["hook"], line["change"], line["depth"], line["chain_depth"]) == (
        "chain_ended",
        "h1",
        0,
        3,
        2,
    )
