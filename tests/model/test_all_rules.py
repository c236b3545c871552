"""With all rules in force, every property holds in every state of these scenarios.

Each names its changes by their keys: "a ab b" is a change of row a, a change of its key to b, and a change of row b.
"""

import pytest

from model.explorer import explore
from model.scenario import Budget, Scenario, changes

TWO = changes("a a")
KEY_CHANGE = changes("a ab b")
TO_TAKEN_KEY = changes("a b ab")
THREE = changes("a a a")

SMALL = {
    "fails, leaves, crashes": Scenario(TWO, Budget(crashes=1, failures=1, leaves=1)),
    "runs for long, fails, crashes": Scenario(TWO, Budget(crashes=1, failures=1, long_runs=1)),
    "crashes while a hook leaves again": Scenario(changes("a"), Budget(crashes=1, leaves=3)),
    "key change fails": Scenario(KEY_CHANGE, Budget(failures=1), most_in_group=3),
    "key change in one page leaves": Scenario(
        changes("a ab b", (1, 1, 2)), Budget(failures=1, leaves=1), page_size=3, connections=False
    ),
    "truncate fails": Scenario(changes("a * b"), Budget(failures=1)),
    "late commit of an early id": Scenario(changes("a b b", (2, 1, 3)), Budget(leaves=1), page_size=3, reports=False),
    "two hooks": Scenario(changes("a"), Budget(crashes=1, failures=1, leaves=1), hooks=2, reports=False),
    "a hook that stands still": Scenario(TWO, Budget(), hooks=2, standing=frozenset({1}), most_open=1),
    "failures are skipped": Scenario(TWO, Budget(crashes=1, failures=2), skip=True),
    "discard while it fails": Scenario(TWO, Budget(crashes=1, failures=1, discards=1)),
    "dead, retried, discarded": Scenario(TWO, Budget(failures=1, deaths=1, discards=1, retries=1)),
    "replay": Scenario(TWO, Budget(crashes=1, failures=1, replays=1)),
    "takeover": Scenario(TWO, Budget(takeovers=1, failures=1), reports=False),
    "group fails and runs for long": Scenario(TWO, Budget(failures=1, long_runs=1, give_backs=1), most_in_group=2),
    "group with a key change crashes": Scenario(changes("a ab b b"), Budget(crashes=1), most_in_group=3),
    "group of two keys crashes": Scenario(TO_TAKEN_KEY, Budget(crashes=1), most_in_group=3),
}
LARGE = {
    "fails, leaves twice": Scenario(TWO, Budget(failures=1, leaves=2)),
    "fails, leaves, runs for long, crashes": Scenario(TWO, Budget(crashes=1, failures=1, leaves=1, long_runs=1)),
    "fails, is given back, leaves, crashes": Scenario(TWO, Budget(crashes=1, failures=1, give_backs=1, leaves=1)),
    "crashes twice": Scenario(TWO, Budget(crashes=2, failures=1)),
    "leaves twice, crashes": Scenario(changes("a b"), Budget(crashes=1, leaves=2), connections=False),
    "key change fails, leaves": Scenario(KEY_CHANGE, Budget(failures=1, leaves=1)),
    "truncate fails, crashes": Scenario(changes("a * b"), Budget(crashes=1, failures=1)),
    "pages of two": Scenario(KEY_CHANGE, Budget(crashes=1, leaves=1), page_size=2),
    "late commit, leaves, crashes": Scenario(
        changes("a b b", (2, 1, 3)), Budget(crashes=1, leaves=1), connections=False
    ),
    "late commit, two rows": Scenario(
        changes("a b b a", (1, 2, 1, 3)), Budget(failures=1, leaves=1), connections=False
    ),
    "two hooks leave": Scenario(TWO, Budget(leaves=1), hooks=2),
    "two hooks leave, crash": Scenario(TWO, Budget(crashes=1, leaves=1), hooks=2, connections=False),
    "takeover, leaves": Scenario(TWO, Budget(failures=1, takeovers=1, leaves=1)),
    "takeover, runs for long": Scenario(TWO, Budget(failures=1, takeovers=1, long_runs=1)),
    "failures are skipped, leaves": Scenario(TWO, Budget(crashes=1, failures=1, leaves=1, long_runs=1), skip=True),
    "group fails, leaves, crashes": Scenario(
        TWO, Budget(crashes=1, failures=1, give_backs=1, leaves=1), most_in_group=2
    ),
    "group of three fails": Scenario(THREE, Budget(failures=1, give_backs=1), most_in_group=3),
    "group of three fails, crashes": Scenario(THREE, Budget(crashes=1, failures=1), most_in_group=3),
    "group of two rows": Scenario(changes("a a b"), Budget(crashes=1, failures=1), most_in_group=3),
    "group with a key change fails": Scenario(TO_TAKEN_KEY, Budget(failures=1, give_backs=1), most_in_group=3),
}


@pytest.mark.parametrize("scenario", SMALL.values(), ids=SMALL.keys())
def test_all_rules_hold(scenario: Scenario) -> None:
    """A model that a small scenario refutes has a fault of the design, or the design lacks a rule."""
    found = explore(scenario)
    assert not found.problem, str(found)


@pytest.mark.nightly
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("scenario", LARGE.values(), ids=LARGE.keys())
def test_all_rules_hold_at_length(scenario: Scenario) -> None:
    """Combinations of harm need more states, and found faults that single ones did not."""
    found = explore(scenario)
    assert not found.problem, str(found)
