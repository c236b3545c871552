"""Named parameters: which colons in SQL are parameters, and that every call names those that a query has."""

import ast
import re
from collections import Counter
from pathlib import Path

import pytest

from jobhooks.store.queries import QUERY_NAME, SQL, filled, find_query, parse, query, query_texts

REPOSITORY = Path(__file__).parents[2]
CALLS = ("call", "call_async", "call_readable", "call_readable_async", "call_with_lock", "filled")
CALL = re.compile(rf"\b(?:{'|'.join(CALLS)})\(")


@pytest.mark.parametrize(
    ("text", "sent", "parameters"),
    [
        ("select 1", "select 1", ()),
        ("select :a, :b_2, :a", "select $1, $2, $1", ("a", "b_2")),
        ("select f(:a,:b)", "select f($1,$2)", ("a", "b")),
        ("select array[:a, :b]", "select array[$1, $2]", ("a", "b")),
        ("select :a::text::regclass", "select $1::text::regclass", ("a",)),
        ("select 1::bigint, x::text []", "select 1::bigint, x::text []", ()),
        ("select f(name => :name)", "select f(name => $1)", ("name",)),
        ("f(name := 1); x :=y", "f(name := 1); x :=y", ()),
        ("select x[1:last], x[low:high], f(x)[i]:j, x[:a]", "select x[1:last], x[low:high], f(x)[i]:j, x[$1]", ("a",)),
        ("select ':a', 'it''s :a', :b", "select ':a', 'it''s :a', $1", ("b",)),
        (r"select e'\':a', E'\\', :b", r"select e'\':a', E'\\', $1", ("b",)),
        (r"select name'\', :b, ':c'", r"select name'\', $1, ':c'", ("b",)),
        ('select ":a", "x"":a", :b', 'select ":a", "x"":a", $1', ("b",)),
        ("-- it's :a\nselect :b -- ':c\n, :d", "select $1 \n, $2", ("b", "d")),
        ("/* it's :a\n:b */ select :c", "/* it's :a\n:b */ select $1", ("c",)),
        (
            "do $body$ begin x := ':a'; perform :b; end $body$",
            "do $body$ begin x := ':a'; perform $1; end $body$",
            ("b",),
        ),
        ("select a - :b / :c", "select a - $1 / $2", ("b", "c")),
    ],
)
def test_parameters_are_numbered_in_order_of_appearance(text: str, sent: str, parameters: tuple[str, ...]) -> None:
    found = parse("q", text)
    assert (found.text, found.parameters) == (sent, parameters)
    assert found.encoded == sent.encode()


def test_arguments_are_put_into_the_order_of_the_numbers() -> None:
    found = parse("q", "select :b, :a, :b")
    assert found.arguments({"a": 1, "b": None}) == (None, 1)
    assert parse("q", "select").arguments({}) == ()


@pytest.mark.parametrize(
    ("values", "wrong"),
    [
        ({"a": 1}, ["b"]),
        ({"a": 1, "b": 2, "c": 3}, ["c"]),
        ({"a": 1, "c": 3}, ["b", "c"]),
        ({}, ["a", "b"]),
    ],
)
def test_a_missing_or_an_unknown_parameter_is_refused(values: dict[str, object], wrong: list[str]) -> None:
    found = parse("q", "select :a, :b")
    texts = {name: str(value) for name, value in values.items()}
    for refused in (lambda: found.arguments(values), lambda: found.filled(texts)):
        with pytest.raises(TypeError) as caught:
            refused()
        assert re.findall(r":(\w)", str(caught.value)) == wrong


def test_text_is_filled_in_as_it_is() -> None:
    """A filled-in text is not searched for parameters: it may be a complete script."""
    found = parse("q", "select :a; :b; '100%'; :a % 2")
    assert found.filled({"a": "':b'", "b": "do $$:a$$"}) == "select ':b'; do $$:a$$; '100%'; ':b' % 2"
    statements = filled("next_run", mark="'m'", set_again="", cause="set local a = 1")
    assert statements.endswith("set local jobhooks.delivery = 'm';\nset local a = 1")


def test_all_queries_have_names_of_their_own_and_no_numbered_parameters() -> None:
    names = Counter(name for path in (SQL / "queries").rglob("*.sql") for name in QUERY_NAME.findall(path.read_text()))
    assert set(names) == set(query_texts())
    assert [name for name, number in names.items() if number > 1] == []
    assert query("commit") == "commit"
    numbered = [name for name in names if "$1" in find_query(name).template]
    assert numbered == []


def test_every_call_gives_its_query_the_parameters_that_it_has() -> None:
    """The type checker cannot know them, and many calls are made in rare cases only."""
    wrong: list[str] = []
    seen = 0
    for path in [path for folder in ("daemon", "tests", "bench") for path in (REPOSITORY / folder).rglob("*.py")]:
        text = path.read_text("utf-8")
        for node in ast.walk(ast.parse(text)) if CALL.search(text) else ():  # to parse all files takes a second
            if isinstance(node, ast.Call) and (name := _called_query(node)):
                seen += 1
                wrong += [f"{path}:{node.lineno}: {problem}" for problem in _problems(node, name)]
    assert wrong == []
    assert seen > 100


def _called_query(node: ast.Call) -> str | None:
    """Return the name of the query, if the call is that of one, by name."""
    function, literals = node.func, [arg.value for arg in node.args[:2] if isinstance(arg, ast.Constant)]
    if not isinstance(function, ast.Name) or function.id not in CALLS or len(literals) != 1:
        return None
    return str(literals[0])


def _problems(node: ast.Call, name: str) -> list[str]:
    if name not in query_texts():
        return [f"there is no query {name}"]
    problems: list[str] = []
    if len(node.args) > (1 if isinstance(node.args[0], ast.Constant) else 2):
        problems.append(f"{name} is called with a value that has no name")
    given = {keyword.arg for keyword in node.keywords if keyword.arg is not None}
    parameters = set(find_query(name).parameters)
    if any(keyword.arg is None for keyword in node.keywords):
        parameters &= given  # the others are in a mapping
    if given != parameters:
        problems.append(f"{name} has the parameters {sorted(parameters)}, not {sorted(given)}")
    return problems
