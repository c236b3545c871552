"""Without one of its rules, the design breaks: the explorer finds a counterexample.

A model that no missing rule breaks would prove nothing. ``pytest tests/model -rP -k NAME`` prints the counterexamples.
"""

from dataclasses import replace

import pytest

from model.explorer import UNDELIVERABLE, Exploration, explore
from model.scenario import Budget, Rule, Scenario, changes

ONE = changes("a")
TWO = changes("a a")
TOO_EARLY = "runs before"
OUT_OF_ORDER = "succeeds after change"
AGAIN = "runs again"
UNSAFE_POSITION = "the saved position passes"
DIFFERENT_ROWS = "the backlog has the rows"

# For each rule: a scenario that needs it, and the property that breaks without it.
BROKEN = {
    Rule.BLOCK_BOTH_KEYS: (Scenario(changes("a ab b"), Budget(failures=1)), TOO_EARLY),
    Rule.BLOCK_BEFORE_AWAIT: (Scenario(TWO, Budget(failures=1)), TOO_EARLY),
    Rule.PARK_FOLLOWERS: (Scenario(changes("a ab b"), Budget(failures=1)), TOO_EARLY),
    Rule.LOAD_COVERED: (
        Scenario(changes("a b ab", (1, 1, 1)), Budget(failures=1, crashes=1), page_size=3, connections=False),
        TOO_EARLY,
    ),
    Rule.LOAD_AFTER_OLDER: (Scenario(TWO, Budget(failures=1)), TOO_EARLY),
    Rule.CHECK_AFTER_FETCH: (
        Scenario(changes("a b ab", (1, 1, 1)), Budget(failures=2), page_size=3, connections=False),
        TOO_EARLY,
    ),
    Rule.MEMORY_BEFORE_LOOKUP: (Scenario(ONE, Budget(leaves=1)), AGAIN),
    Rule.RECOGNISE_IN_MEMORY: (Scenario(ONE, Budget(leaves=1, crashes=1)), UNSAFE_POSITION),
    Rule.ADMIT_IN_PLACE: (Scenario(TWO, Budget(leaves=2)), UNSAFE_POSITION),
    Rule.SAVE_SETTLED: (Scenario(ONE, Budget(crashes=1)), UNSAFE_POSITION),
    Rule.KEEP_ROW_WHILE_DRAINING: (Scenario(ONE, Budget(crashes=1, leaves=1)), UNSAFE_POSITION),
    Rule.JOIN_AT_EQUAL: (Scenario(changes("a b"), Budget(leaves=1)), UNSAFE_POSITION),
    Rule.GO_ON_AFTER_COMMIT: (Scenario(TWO, Budget(crashes=1)), TOO_EARLY),
    Rule.END_GROUP_AT_FAILURE: (Scenario(changes("a a a"), Budget(failures=1), most_in_group=3), OUT_OF_ORDER),
    Rule.GIVE_WAY_AFTER_REPORT: (Scenario(TWO, Budget(crashes=1), most_in_group=2), OUT_OF_ORDER),
    Rule.REPORT_AFTER_GROUP: (Scenario(TWO, Budget(give_backs=1), most_in_group=2), OUT_OF_ORDER),
    Rule.COMPARE_AFTER_REFUSAL: (Scenario(ONE, Budget(failures=2, discards=1)), DIFFERENT_ROWS),
    Rule.STALE_STOPS: (Scenario(TWO, Budget(failures=1, takeovers=1)), OUT_OF_ORDER),
    Rule.HOOKS_LEAVE: (Scenario(TWO, Budget(), hooks=2, standing=frozenset({1}), most_open=1), UNDELIVERABLE),
}
# No counterexample is known for these: other rules imply them in the scenarios of the test below.
IMPLIED = {Rule.BLOCK_FOR_YOUNGER}


def without(rule: Rule, scenario: Scenario) -> Exploration:
    return explore(replace(scenario, without=frozenset({rule})))


@pytest.mark.parametrize("rule", BROKEN, ids=lambda rule: rule.name.lower())
def test_a_missing_rule_is_found(rule: Rule) -> None:
    """The counterexample comes from the missing rule: with it, the same scenario holds."""
    scenario, violated = BROKEN[rule]
    found = without(rule, scenario)
    print(f"without the rule that {rule.value}:\n{found}")
    assert violated in found.problem
    assert found.trace or violated == UNDELIVERABLE
    assert not explore(scenario).problem


def test_every_rule_has_a_broken_variant() -> None:
    assert BROKEN.keys() | IMPLIED == set(Rule)


@pytest.mark.parametrize(
    "scenario",
    [
        pytest.param(Scenario(TWO, Budget(failures=1, leaves=1)), id="one row"),
        pytest.param(
            Scenario(changes("a b ab"), Budget(failures=1, leaves=1, long_runs=1), page_size=3, connections=False),
            id="two keys",
            marks=[pytest.mark.nightly, pytest.mark.timeout(1800)],
        ),
        pytest.param(
            Scenario(changes("a b ab"), Budget(failures=1, crashes=1)),
            id="crash",
            marks=[pytest.mark.nightly, pytest.mark.timeout(1800)],
        ),
    ],
)
def test_no_counterexample_is_known_for_younger_rows(scenario: Scenario) -> None:
    """The rule is a second safeguard: a younger row waits until the hook has read everything up to it.

    Then each older delivery with one of its keys is in the lanes before it, or a row. If this test fails, the rule has
    become necessary: move it to BROKEN with this scenario.
    """
    found = without(Rule.BLOCK_FOR_YOUNGER, scenario)
    assert not found.problem, str(found)
