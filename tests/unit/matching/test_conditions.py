"""Conditions in CEL: their decisions, errors with their place, and that no text and no row ends the daemon."""

import datetime
import json
import math
import re
import threading
import time
from dataclasses import replace

import pytest
from hypothesis import given, settings, strategies as st

from jobhooks.contract.change import Change
from jobhooks.contract.choices import ObjectChangeActionChoices as Action
from jobhooks.contract.content_type import ContentType
from jobhooks.contract.snapshots import Row, differences
from jobhooks.errors import InvalidConditions
from jobhooks.matching import cel_cost, conditions
from jobhooks.matching.conditions import ConditionFailed, Conditions, check_conditions, compiled, why_invalid
from support.generated import ROOT
from support.random_texts import texts

DEVICE = ContentType(1, "public.device", "public", "device", ("id",), ("integer",))
OLD: Row = {"id": 1, "serial": "A-1", "status": "planned", "site": None, "tags": ["a"], "price": 10, "Odd Name": 1}
NEW: Row = {**OLD, "serial": "B-2", "status": "active", "site": {"name": "ams"}, "tags": ["a", "b"]}
UPDATE = Change(
    id=7,
    transaction_id=100,
    time=datetime.datetime.now(datetime.UTC),
    content_type=DEVICE,
    action=Action.ACTION_UPDATE,
    user_name="alice",
    request_id=None,
    prechange_json=json.dumps(OLD),
    postchange_json=json.dumps(NEW),
    session_role="app",
)
CREATE = replace(UPDATE, action=Action.ACTION_CREATE, prechange_json=None)
DELETE = replace(UPDATE, action=Action.ACTION_DELETE, postchange_json=None)
TRUNCATE = replace(UPDATE, action=Action.ACTION_TRUNCATE, prechange_json=None, postchange_json=None)


def hold(text: str, change: Change = UPDATE) -> bool:
    return Conditions(text).hold(change)


def updated(before: str, after: str) -> Change:
    """An update of the column ``a`` from one JSON text to another."""
    return replace(UPDATE, prechange_json=f'{{"a":{before}}}', postchange_json=f'{{"a":{after}}}')


def refusal(text: str) -> str:
    with pytest.raises(InvalidConditions) as refused:
        check_conditions(text)
    return str(refused.value)


def failure(text: str, change: Change = UPDATE) -> ConditionFailed:
    with pytest.raises(ConditionFailed) as failed:
        Conditions(text).hold(change)
    return failed.value


# Decisions.


@pytest.mark.parametrize(
    "text",
    [
        'changed("serial")',
        'changed("price", "serial")',
        '!changed("price")',
        'unchanged("price") && unchanged("price", "id")',
        'role == "app" && user != role',
        'old.status == "planned" && new.status == "active"',
        "old.status != new.status",
        'new.status in ["active", "staged"]',
        "old.site == null && new.site != null",
        'new.site.name == "ams"',
        'new.site["name"].startsWith("am")',
        'new["Odd Name"] == 1',
        "new.price >= 10 && new.price < 10.5",
        "size(new.tags) > size(old.tags)",
        'new.tags.exists(tag, tag == "b") && !old.tags.exists(tag, tag == "b")',
        'new.serial.matches("^[A-Z]-[0-9]+$")',
        'action == "update" && user == "alice" && table == "public.device" && request_id == null',
        'has(new.serial) && !has(new.nothing) && "serial" in new && old != new',
        '[1].exists(new, new == 1) && .new.serial == "B-2"',
        'new.nothing == 1 || new.status == "active"',
        "  // a comment\n  true\n",
    ],
)
def test_what_holds(text: str) -> None:
    assert hold(text)
    assert not hold(f"!({text}\n)")


def test_on_create_and_delete_there_is_one_row_and_changed_means_that_it_has_a_value() -> None:
    assert hold('old == null && new.serial == "B-2" && changed("serial") && changed("site")', CREATE)
    assert hold('new == null && old.serial == "A-1" && changed("serial") && !changed("site")', DELETE)
    assert hold('old == null && null == new && !changed("serial")', TRUNCATE)
    assert hold('action == "create" || old.status != new.status', CREATE)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("1.0", "1.00"),
        ("1", "true"),
        ("null", "0"),
        ("[1,2]", "[2,1]"),
        ('{"x":1,"y":[2]}', '{"y": [2], "x": 1}'),
        ('"\\u0041"', '"A"'),
        ('"\\ud800"', '"\\ud801"'),
        ('"\\ud800"', '"\\uD800"'),
        ("1" * 5_000, "1" * 5_000),
        ("1" * 5_000, "1" * 4_999 + "2"),
        ("[" * 3_000 + "]" * 3_000, "[" * 3_000 + "]" * 3_000),
    ],
)
def test_changed_says_what_the_differences_say(before: str, after: str) -> None:
    """A receiver sees the same columns in get_snapshots(), however the values are written."""
    change = updated(before, after)
    different = before != after if before.startswith("[[[") else change.get_snapshots()["differences"]["added"] != {}
    assert hold('changed("a")', change) == different


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | texts(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts(), inner, max_size=3),
    max_leaves=6,
)


@given(json_values, json_values)
def test_changed_says_what_the_differences_say_of_any_value(one: object, other: object) -> None:
    for before, after in [(one, other), (one, one)]:
        change = updated(json.dumps(before), json.dumps(after))
        added = differences(change.prechange, change.postchange)["added"]
        assert hold('changed("a")', change) == bool(added)


def test_an_ignored_column_never_changed() -> None:
    """As in the differences; its value can be read."""
    change = replace(UPDATE, content_type=replace(DEVICE, ignored_columns=frozenset({"serial"})))
    assert hold('!changed("serial") && changed("serial", "status") && new.serial == "B-2"', change)
    assert hold('!changed("serial")', replace(change, action=Action.ACTION_CREATE, prechange_json=None))


# Numbers.


@pytest.mark.parametrize(
    ("number", "text"),
    [
        ("9223372036854775807", "new.a == 9223372036854775807 && new.a + 0 > 0"),
        ("9223372036854775808", "new.a == 9223372036854775808.0 && new.a + 0.5 > 1.0"),
        ("-9223372036854775809", "new.a < -9223372036854775808.0 || new.a == -9223372036854775808.0"),
        ("123456789012345678901234567890", "new.a > 1.2e29 && new.a < 1.3e29"),
        ("12.50", "new.a == 12.5 && new.a > 12 && old.a == new.a"),
        ("5.00", "new.a == 5"),
        ("1e400", "new.a > 1.7e308"),
        ("9" * 400, "new.a > 1.7e308"),
        ("-" + "9" * 5_000, "new.a < -1.7e308"),
        ('[17,"\\\\u0000"]', "new.a[0] == 17 && size(new.a[1]) == 6"),
        ("[[123456789012345678901234567890]]", "new.a[0][0] > 1.2e29"),
    ],
)
def test_a_number_is_an_integer_of_64_bits_or_a_double(number: str, text: str) -> None:
    assert hold(text, updated(number, number))


# Conditions that fail.


@pytest.mark.parametrize(
    "text",
    [
        "new.nothing == 1",
        'changed("nothing")',
        "new.serial > 3",
        "new.price + 0.5 > 1.0",
        'old.site.name == "ams"',
        'old.site["name"] == "ams"',
        "new.price / 0 == 1",
        "new.serial",
        "int(new.serial) == 1",
    ],
)
def test_a_failure_without_data_of_the_row_is_public(text: str) -> None:
    failed = failure(text)
    assert failed.public == str(failed)


def test_a_row_that_is_not_there_has_no_columns() -> None:
    assert "old" in str(failure('old.status == "planned"', CREATE))
    assert "new" in str(failure('new.status == "planned"', DELETE))


def test_rows_that_could_not_be_written_down_are_not_null() -> None:
    """Else conditions would take an update for something that had no rows."""
    unbuilt = replace(UPDATE, prechange_json=None, postchange_json=None, snapshot_error="value out of range")
    for text in ("old == null", 'changed("serial")'):
        assert "value out of range" not in failure(text, unbuilt).public
    assert hold('action == "update"', unbuilt)


def test_what_a_row_holds_is_not_in_the_public_reason() -> None:
    """Reasons are logged, and readers of logs may not see rows."""
    change = updated('{"key":"secret (","map":{}}', "null")
    for text in ("old.a.map[old.a.key] == 1", '"x".matches(old.a.key)', "old.a.map[old.a.key + old.a.key]"):
        failed = failure(text, change)
        assert "secret" in str(failed)
        assert "secret" not in failed.public


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        ("[" * 900 + "]" * 900, "nested deeper"),
        ("[" * 50_000 + "]" * 50_000, "nested deeper"),
        ('"\\ud800"', "surrogate"),
        ('{"\\ud800":1}', "surrogate"),
        ('"x\\u0000y"', "NUL"),
        ('[{"x\\u0000y":1}]', "NUL"),
    ],
)
def test_a_column_that_cel_cannot_have_is_a_failure_and_no_crash(value: str, reason: str) -> None:
    assert reason in str(failure("new.a == 1", updated("1", value)))
    assert hold("old.a == 1", updated("1", value)), "only what is named is read"


@given(json_values, json_values)
def test_no_row_ends_the_daemon(one: object, other: object) -> None:
    change = updated(json.dumps(one), json.dumps(other))
    for text in ("old.a == new.a", "old == new", "old.a < new.a", "new.a.b.c", 'old.a in new.a || changed("a")'):
        try:
            assert hold(text, change) in (True, False)
        except ConditionFailed as exc:
            assert str(exc)


# Only the named columns are decoded, with the same result.


@pytest.mark.parametrize(
    ("text", "columns"),
    [
        ("new.a == 1", {"new": {"a"}}),
        ('old["b c"] == new.a || new.a.b > 1', {"old": {"b c"}, "new": {"a"}}),
        ("has(new.a) && new != null && null == old", {"new": {"a"}, "old": set[str]()}),
        (".new.a.exists(new, new == .old.b)", {"new": None, "old": {"b"}}),
        ('"a" in new', {"new": None}),
        ("new[action] == 1", {"new": None}),
        ("old == new", {"old": None, "new": None}),
        ('{"x": [new.a]}["x"][0] == dyn(old).b', {"new": {"a"}, "old": None}),
        ('changed("a") && action == "update"', dict[str, set[str]]()),
    ],
)
def test_the_columns_that_an_expression_names_are_known(text: str, columns: dict[str, set[str] | None]) -> None:
    compiled_text = conditions._environment.compile(text).serialize()  # pyright: ignore[reportPrivateUsage] - no other way in
    assert cel_cost.uses_of(compiled_text).columns == columns


legible_values = json_values.filter(lambda value: "\\u0000" not in json.dumps(value))
names = st.sampled_from(["a", "b", "c"])
terms = st.one_of(
    st.builds("{}.{}".format, st.sampled_from(["old", "new", ".new"]), names),
    st.builds('{}["{}"]'.format, st.sampled_from(["old", "new"]), names),
    st.sampled_from(["old", "new", "null", "1", '"x"', "[new.a, 1]", '{"k": old.b}', 'old["a"].k', "action"]),
)
comparisons = st.one_of(
    st.builds("{} {} {}".format, terms, st.sampled_from(["==", "!=", "in", "<"]), terms),
    st.builds('changed("{}")'.format, names),
    st.builds("has(new.{})".format, names),
    st.builds(
        "[1, 2].exists({}, {} == {})".format, st.sampled_from(["new", "x"]), st.sampled_from(["x", "new"]), terms
    ),
    st.builds('"{}" in {}'.format, names, st.sampled_from(["old", "new"])),
)
expressions = st.recursive(
    comparisons,
    lambda inner: (
        st.builds("({} {} {})".format, inner, st.sampled_from(["&&", "||"]), inner)
        | st.builds("!({})".format, inner)
        | st.builds("({} ? {} : {})".format, inner, inner, inner)
    ),
    max_leaves=5,
)
rows = st.none() | st.dictionaries(names, legible_values)


def decided(condition: Conditions, change: Change) -> bool | str:
    try:
        return condition.hold(change)
    except ConditionFailed as exc:
        return str(exc)


@given(expressions, rows, rows)
def test_only_the_named_columns_decide_as_whole_rows_do(text: str, before: Row | None, after: Row | None) -> None:
    """The omitted columns were never needed."""
    change = replace(
        UPDATE,
        prechange_json=None if before is None else json.dumps(before),
        postchange_json=None if after is None else json.dumps(after),
    )
    try:
        condition = Conditions(text)
    except InvalidConditions:
        return
    whole = Conditions(f"({text}) || old == new && false || new == old && false")
    assert decided(condition, change) == decided(whole, change)


# Refused expressions.


@pytest.mark.parametrize(
    ("text", "where"),
    [
        ("new.status ==", (1, 14)),
        ("new.status = 1", (1, 12)),
        ("new.a == 1 and new.b == 2", (1, 12)),
        ("new.a == 1 OR new.b == 2", (1, 12)),
        ('not changed("a")', (1, 5)),
        ("new.a <> 1", (1, 8)),
        ("new.a is null", (1, 7)),
        ("new.a == NULL", (1, 10)),
        ('new.a like "x"', (1, 7)),
        ("serial == 1", (1, 1)),
        ("new.a == 1 &&\n  foo(3)", (2, 6)),
        ("changed()", (1, 8)),
        ("changed(new.a, 1)", (1, 8)),
        ("[1].map(x, x) == [1]", (1, 8)),
        ("(new.a == 1", (1, 12)),
        ("new.a == 1)", (1, 11)),
        ("new.a == 'x", (1, 10)),
        ('1 + "a" == 2', (1, 3)),
        ("new.a == 'x\0'", (1, 12)),
        ("new.a ==\n'\ud800'", (2, 2)),
        ("'x'", (1, 1)),
        ("size(new)", (1, 1)),
        ("has(new)", (1, 5)),
    ],
)
def test_a_refusal_says_where(text: str, where: tuple[int, int]) -> None:
    line, column = where
    first, shown, mark = refusal(text).split("\n")
    assert f"line {line}, column {column}: " in first
    assert mark.endswith("^")
    assert len(mark) - 1 == 4 + column - 1
    assert shown.strip() in text.replace("\0", " ").replace("\ud800", " ")


def test_the_mark_is_below_what_is_meant_though_letters_are_wide_or_the_line_is_long() -> None:
    _, shown, mark = refusal('new.a == "\u4e2d\u6587" && x').split("\n")
    assert (shown, mark) == ('    new.a == "\u4e2d\u6587" && x', "    " + " " * 19 + "^")
    _, shown, mark = refusal("true && " * 50 + "x" + " || true" * 50).split("\n")
    assert len(shown) < 120
    assert shown[len(mark) - 1] == "x"


@pytest.mark.parametrize(
    ("text", "numbers"),
    [
        ("", []),
        (" \n\t", []),
        ("true" + " " * 10_000, ["10004", "10000"]),
        ("(" * 33 + "true" + ")" * 33, ["32"]),
        ("new" + ".a" * 40, ["32"]),
        ("new.a == 1" + " + 1" * 40, ["32"]),
    ],
)
def test_what_is_refused_as_a_whole(text: str, numbers: list[str]) -> None:
    assert re.findall(r"\d+", refusal(text)) == numbers
    assert "\n" not in refusal(text)


@pytest.mark.parametrize("text", ["!" * 9_996 + "true", "true" + "&&true" * 1_600, "new.a in [" + "1," * 4_900 + "1]"])
def test_what_is_long_is_no_problem(text: str) -> None:
    check_conditions(text)


NESTING = [
    "(",
    "[",
    "{",
    "[1].exists(x,",
    "changed(",
    "true?",
    "-",
    "!",
    "{1:",
    "new[",
    "'",
    '"""',
    "new.",
    "r'",
    "\\",
    "/*",
]


@pytest.mark.parametrize("opening", NESTING)
def test_no_depth_of_nesting_ends_the_process(opening: str) -> None:
    """The stack of a thread is smaller than the first one's."""
    failed: list[BaseException] = []

    def look() -> None:
        for many in (10, 33, 500, 10_000 // len(opening)):
            for closing in ("", "1", ")", "1" + ")" * many, "true" + ":true" * many, "1" + "]" * many):
                try:
                    check_conditions((opening * many + closing)[:10_000])
                except InvalidConditions:
                    continue
                except BaseException as exc:  # noqa: BLE001 - a thread's own would be lost
                    failed.append(exc)

    thread = threading.Thread(target=look)
    thread.start()
    thread.join()
    assert not failed


words = st.sampled_from(
    [
        *(
            "old",
            "new",
            "old.",
            "new.",
            ".a",
            ".",
            "x",
            "action",
            "user",
            "table",
            "null",
            "true",
            "1",
            "1u",
            "0x1f",
            "1.5e9",
        ),
        *(
            "[",
            "]",
            "(",
            ")",
            "{",
            "}",
            ",",
            ":",
            "?",
            "!",
            "-",
            "+",
            "*",
            "/",
            "%",
            "==",
            "!=",
            "<",
            "<=",
            "in",
            "&&",
            "||",
        ),
        *('"x"', "'y'", "b'z'", r"r'\'", '"', "'", "`", "\n", "//", "\0", "\\u", "$", "\u00e9", "\U0001f600"),
        *(
            "changed(",
            "has(",
            "size(",
            "matches(",
            ".exists(",
            ".all(",
            ".filter(",
            ".map(",
            "type(",
            "timestamp(",
            "duration(",
        ),
    ]
)


@settings(max_examples=400)
@given(texts(60) | st.lists(words, max_size=30).map("".join) | st.lists(words, max_size=30).map(" ".join))
def test_no_text_does_worse_than_to_be_refused(text: str) -> None:
    """A role that may write a hook may write any text there."""
    began = time.monotonic()
    try:
        condition = Conditions(text)
    except InvalidConditions as exc:
        assert str(exc).startswith("invalid conditions")
        assert str(exc).count("\n") in (0, 2)
    else:
        for change in (UPDATE, CREATE, DELETE, TRUNCATE):
            decided(condition, change)
    assert time.monotonic() - began < 5, "hangs"


NINE = "[1,1,1,1,1,1,1,1,1]"


@pytest.mark.parametrize(
    "text",
    [
        f"{NINE}.all(x, " * 4 + "true" + ")" * 4,
        f"{NINE}.all(x, " * 2 + " && ".join(['new.serial.matches("a*")'] * 300) + "))",
        "[" + "1," * 1_000 + "1].all(x, " + " && ".join(['new.serial + "x" != ""'] * 300) + ")",
        "new.a.all(x, new.b.all(y, new.c.exists(z, z == x)))",
    ],
)
def test_what_could_take_long_is_refused(text: str) -> None:
    """While a condition runs for a second, nothing else is delivered."""
    assert "steps" in refusal(text)


@pytest.mark.parametrize(
    "text",
    [
        'new.tags.exists(tag, tag == "b") && !old.tags.exists(tag, tag == "b")',
        'new.a.exists(m, m.roles.exists(r, r == "admin" && m.active && m.name.startsWith("x") && r != old.role))',
        'new.a.exists_one(x, x.price * 2 > 10 && x.name + "-" + x.kind in ["a-b", "c-d"])',
        "new.tags.filter(x, x != 'a').filter(x, x != 'b').size() == 0",
        '["a", "b", "c"].exists(word, new.serial.matches(".*" + word + ".*") || old.serial.contains(word))',
    ],
)
def test_what_people_ask_of_lists_is_taken(text: str) -> None:
    check_conditions(text)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (list(range(9_000)), "new.a.all(x, new.a.exists(y, y == x))"),
        (list(range(9_000)), "new.a.all(x, x in new.a)"),
        ({"l": [1] * 200, "t": "x" * 100_000}, 'new.a.l.all(x, new.a.t + "x" != "" && new.a.t.matches(".*y?"))'),
        ("x" * 10_000_000, f'{NINE}.all(x, new.a + new.a != "")'),
    ],
)
def test_lists_that_are_too_long_are_a_failure(value: object, text: str) -> None:
    """A loop over a list, or data kept by each round, could use all memory."""
    change = updated("1", json.dumps(value))
    failed = failure(text, change)
    assert failed.public == str(failed)
    assert hold("new.a != null", change), "what goes through no list may be as large as it likes"
    assert hold("[1].exists(x, x == old.a)", change), "only what is named is weighed"


def test_a_list_of_a_thousand_elements_is_no_problem() -> None:
    change = updated("1", json.dumps([f"tag-{number}" for number in range(1_000)]))
    assert hold('new.a.exists(tag, tag == "tag-999") && new.a.all(tag, tag in new.a)', change)


@pytest.mark.parametrize(
    "text",
    [
        f"{NINE}.all(x, " * 3 + "true" + ")" * 3,
        '"' + "a" * 2_000 + '".matches("(a*)*(a*)*(a*)*b")',
        '"a".matches("' + "(" * 1_000 + "a{1000}" + "){1000}" * 1_000 + '")',
        "new.tags" + ".filter(x, true)" * 9 + ".size() == 2",
    ],
)
def test_no_evaluation_takes_long(text: str) -> None:
    """Lists within lists, and regular expressions that others would go back and forth in."""
    began = time.monotonic()
    decided(Conditions(text), UPDATE)
    assert time.monotonic() - began < 5, "hangs"


def test_an_expression_is_compiled_once() -> None:
    assert compiled('changed("serial")') is compiled('changed("serial")')


def test_threads_ask_about_changes_of_their_own() -> None:
    """changed() is not handed the change that it is asked of."""
    condition = Conditions('changed("a") == (old.a != new.a)')
    wrong: list[int] = []

    def ask(number: int) -> None:
        change = updated("0", str(number))
        wrong.extend(number for _ in range(2_000) if not condition.hold(change))

    threads = [threading.Thread(target=ask, args=[number]) for number in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


def test_a_double_is_the_nearest_there_is() -> None:
    row = conditions._Columns(None).read('{"a":0.1,"b":1e400}')  # pyright: ignore[reportPrivateUsage] - what CEL gets
    assert row == {"a": 0.1, "b": math.inf}


def test_the_examples_in_the_manual_are_right() -> None:
    """Each can be saved, and gives true or false for a row as the manual has it in mind."""
    text = (ROOT / "docs/reference/hooks.md").read_text()
    (block,) = re.findall(r"```cel\n(.*?)```", text, re.DOTALL)
    row = {
        "serial": "A",
        "name": "edge-1",
        "status": "active",
        "owner": "x",
        "price": 1.5,
        "tags": ["urgent"],
        "site": {"country": "NL", "city": "Delft"},
        "members": [{"active": True}],
        "data": {"vlan": 4},
        "due": "2026-11-25T08:00:00.123+02:00",
        "Serial No": "",
    }
    examples = block.strip().split("\n")
    assert len(examples) >= 12
    change = replace(UPDATE, prechange_json=json.dumps(row), postchange_json=json.dumps(row))
    for example in examples:
        assert hold(example, change) in (True, False), example
    assert hold('timestamp(new.due) < timestamp("2026-11-25T06:00:01Z")', change)


def test_a_column_may_be_called_like_a_word_of_the_language() -> None:
    words = ["in", "if", "for", "package", "null", "true", "map", "size", "old", "a b", "\u00e4", 'a"b', "a\\b"]
    for word in words:
        row = json.dumps({word: 1}, ensure_ascii=False)
        change = replace(UPDATE, prechange_json=row, postchange_json=row)
        assert hold(f"new[{json.dumps(word)}] == 1 && !changed({json.dumps(word)})", change)


def test_invalid_conditions_are_compiled_once() -> None:
    """The daemon looks at them every few seconds while conditions do not fit their tables."""
    text = "new.serial == 'compiled once' ("
    first = why_invalid(text)
    hits = why_invalid.cache_info().hits
    assert first is not None and why_invalid(text) == first
    assert why_invalid.cache_info().hits == hits + 1
