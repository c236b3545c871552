"""The parts of conditions, each with its outcome and what it saw."""

import json
from dataclasses import replace

import pytest

from jobhooks.contract.change import Change
from jobhooks.matching.conditions import ConditionFailed, compiled
from jobhooks.matching.conjuncts import Conjunct, conjuncts, split
from unit.matching.test_conditions import CREATE, DELETE, UPDATE

WHOLE = [
    "new.id == 1 && new.price > 5 || user == 'bob'",
    "new.id == 1 ? user == 'bob' && role == 'app' : true",
    "changed('a', 'b')",
    "['a && b'].exists(text, text == role && role == user)",
]


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("a && b", ["a", "b"]),
        ("((a && (b && c)))", ["a", "(b && c)"]),
        ("(a || b) && (c)", ["(a || b)", "(c)"]),
        ("(a) && (b)", ["(a)", "(b)"]),
        ("x == '&&' && y", ["x == '&&'", "y"]),
        (r"x == 'it\'s && ' && y", [r"x == 'it\'s && '", "y"]),
        (r"x == r'\' && y", [r"x == r'\'", "y"]),
        ("x == '''it's && ''' && y", ["x == '''it's && '''", "y"]),
        ('"a" in new.tags && b', ['"a" in new.tags', "b"]),
        ("// c && d\na && b", ["// c && d\na", "b"]),
        ("(a && b", ["(a && b"]),
        ("a && 'b", ["a && 'b"]),
        *((text, [text]) for text in WHOLE),
    ],
)
def test_only_what_binds_the_whole_is_split(text: str, parts: list[str]) -> None:
    assert split(text) == parts


def test_a_part_says_what_it_saw() -> None:
    found = conjuncts("new.serial == 'B-2' && new.price > 30 && changed('serial') && user != 'alice'", UPDATE)
    assert found == [
        Conjunct("new.serial == 'B-2'", True, None, {"new.serial": '"B-2"'}),
        Conjunct("new.price > 30", False, None, {"new.price": "10"}),
        Conjunct("changed('serial')", True, None, {}),
        Conjunct("user != 'alice'", False, None, {"user": '"alice"'}),
    ]


def test_a_part_that_fails_has_its_error() -> None:
    wrong, row = conjuncts("int(new.serial) > 3 && old.serial == 'x'", CREATE)
    assert wrong.outcome is None and wrong.error is not None and wrong.saw == {"new.serial": '"B-2"'}
    assert row.outcome is None and row.saw == {"old": "null"}


def test_whole_rows_and_long_values_are_not_repeated() -> None:
    (whole, long) = conjuncts(f"new != old && role != '{'x' * 200}'", UPDATE)
    assert whole.saw == {} and long.saw == {"role": '"app"'}
    (cut,) = conjuncts(f"'{'y' * 200}' != new.name", replace(UPDATE, postchange_json=json.dumps({"name": "z" * 200})))
    assert len(cut.saw["new.name"]) == 60 and cut.saw["new.name"].endswith("...")


@pytest.mark.parametrize("change", [CREATE, UPDATE, DELETE], ids=lambda change: change.action.value)
@pytest.mark.parametrize(
    "text",
    [
        "new.serial == 'B-2' && old.serial == 'A-1'",
        "int(new.serial) > 3 && user == 'bob'",
        "user == 'alice' && int(new.serial) > 3",
        "(action == 'update' && changed('serial')) && role == 'app'",
        *WHOLE,
    ],
)
def test_the_parts_explain_the_whole(text: str, change: Change) -> None:
    """As CEL joins them: false if one is, else a failure if one fails."""
    outcomes = [part.outcome for part in conjuncts(text, change)]
    try:
        whole = compiled(text).hold(change)
    except ConditionFailed:
        whole = None
    assert (False if False in outcomes else None if None in outcomes else True) is whole
