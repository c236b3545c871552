"""Conditions that cannot be right for the columns of a hook's tables are refused; all others are taken."""

import pytest

from jobhooks.errors import InvalidConditions
from jobhooks.matching.cel_encoding import expression_of, positions_of
from jobhooks.matching.cel_kinds import ANY, BOOL, NUMBER, TEXT, joined, result_of
from jobhooks.matching.condition_kinds import check_kinds, why_wrong
from jobhooks.matching.conditions import compiled
from jobhooks.matching.logged_columns import Column, LoggedColumns, logged_columns

TABLE = "public.device"
# The kinds of jobhooks.logged_columns; tests/sql compares them with the log.
COLUMNS = {
    "id": ("integer", "number"),
    "price": ("numeric(10,2)", "numeric"),
    "weight": ("double precision", "numeric"),
    "status": ("text", "text"),
    "state": ("device_state", "text"),
    "mail": ("citext", "text"),
    "uuid": ("uuid", "text"),
    "due": ("timestamp with time zone", "text"),
    "period": ("tstzrange", "text"),
    "active": ("boolean", "bool"),
    "tags": ("text[]", "list"),
    "place": ("place", "map"),
    "data": ("jsonb", "json"),
    "Serial No": ("text", "text"),
}
ROWS = [(TABLE, name, type_, kind, False) for name, (type_, kind) in COLUMNS.items()]
EXCLUDED = (TABLE, "secret", "text", "text", True)


def columns() -> LoggedColumns:
    found = logged_columns([TABLE], [*ROWS, EXCLUDED])
    assert found is not None
    return found


RIGHT = """
true
new.active
!new.active
old.status != "active" && new.status == "active"
changed("serial_of_no_column" + "") || changed("status")
changed("status", "price") && unchanged("id")
has(new.status) && has(new.data.vlan) && new.data.vlan != null
new.price > 100
new.price == "NaN" || new.price > 1.5 || double(new.price) * 1.1 > 2.0
new.weight == "Infinity" || new.weight < 3
old.id + 1 == new.id && new.id % 2 == 0 && -new.id < 0
new.id in [1, 2, "a"]
new.status in ["active", "staged"]
new.status in []
new.status == null || new.id != null || new.tags == null || new.place == null
new.id == new.status
new.id == old.price
new == null || old != null
old == new
new.state == "up" && new.mail.endsWith("@example.org") && new.uuid.startsWith("00")
new.period.contains("2026") && new.due > "2026"
timestamp(new.due) < timestamp("2027-01-01T00:00:00Z")
timestamp(new.due) - timestamp(old.due) > duration("1h")
timestamp(new.due) + duration("1h") > timestamp(old.due)
timestamp(new.due).getHours() > 8
"urgent" in new.tags
new.tags[0] == "a" && new.tags[0] > 3
new.tags.exists(tag, tag == "urgent") && new.tags.all(tag, tag != "x") && new.tags.exists_one(t, t == 1)
new.tags.filter(tag, tag.startsWith("a")).size() > 1
[new.status, old.status].exists(status, status == "active")
["a", "b"].exists(name, new.status.startsWith(name))
[1, 2].exists(new, new == 1)
[{"foo": 1}].exists(new, new.foo == 1)
new.exists(name, name == "status")
"status" in new
new[user] == 5
new["Serial No"] == "" && request_id != null && changed("Serial No")
size(new.tags) > 1 && new.tags.size() > 1 && size(new.status) > 3 && size(new.place) > 0
new.place.city == "Delft" && new.place.zip > 3
new.data == 5 && new.data > "a" && new.data.a.b[0].c == true && new.data[0] == null
new.data ? true : false
new.data
new.data.exists(x, x > 1)
new.active ? new.id > 5 : new.status == "a"
new.id > 5 ? new.active : new.data
(new.active ? new.id : new.status) == "a"
table == "public.device" ? changed("status") : user.startsWith("etl_")
role.startsWith("a") && action == "create" && role in ["a", "b"]
type(new.id) == int
type(new.price) == string
string(new.id) == "5" && int(new.status) == 5 && double(new.status) > 1.0
dyn(new.id) == "5"
new.status + "x" == "activex" && new.tags + ["a"] == ["a"]
new.status.matches("^a") && new.status > "a"
new.active == true && new.active != old.active && new.active > false
{"a": 1}["a"] == 1 && {"a": new.id}.a == 1
.new.status == "active"
""".strip().splitlines()

WRONG = {
    'new.statsu == "active"': (1, "none of its tables has a column statsu. Did you mean status?"),
    'true || old.xyzzy == "active"': (9, "none of its tables has a column xyzzy"),
    "has(new.statsu)": (5, "none of its tables has a column statsu. Did you mean status?"),
    'new["Serial no"] == ""': (1, "none of its tables has a column Serial no. Did you mean Serial No?"),
    'changed("status", "pric")': (19, "none of its tables has a column pric. Did you mean price?"),
    'unchanged("pric")': (11, "none of its tables has a column pric. Did you mean price?"),
    "new.tags.exists(tag, tag == new.statsu)": (29, "none of its tables has a column statsu. Did you mean status?"),
    'new.secret == "a"': (1, "the column secret is excluded, so the log does not have it"),
    'changed("secret")': (9, "the column secret is excluded, so the log does not have it"),
    'new.id == "5"': (
        8,
        "new.id (integer) never equals a text: int(...) and double(...) make a text a number",
    ),
    "new.status != 5": (
        12,
        "new.status (text) never equals a number: int(...) and double(...) make a text a number",
    ),
    'new.active == "true"': (12, "new.active (boolean) never equals a text"),
    'new.tags == "urgent"': (10, "new.tags (text[]) never equals a text"),
    "new.active == 1": (12, "new.active (boolean) never equals a number"),
    'new.id in ["1", "2"]': (8, "new.id (integer) never equals an element of this list"),
    '"a" in new.status': (5, "in does not take a text and new.status (text)"),
    "new.status > 5": (
        12,
        "> does not take new.status (text) and a number: int(...) and double(...) make a text a number",
    ),
    'new.due < timestamp("2027-01-01T00:00:00Z")': (
        9,
        "< does not take new.due (timestamp with time zone) and a timestamp: timestamp(...) makes a text a time",
    ),
    "new.tags > old.tags": (10, "> does not take new.tags (text[]) and old.tags (text[])"),
    'new.id.startsWith("1")': (18, "startsWith does not take new.id (integer) and a text"),
    "new.due.getHours() > 8": (17, "getHours does not take new.due (timestamp with time zone)"),
    "size(new.id) > 1": (5, "size does not take new.id (integer)"),
    'new.id + "a" == "1a"': (8, "+ does not take new.id (integer) and a text"),
    "new.status": (1, "it is no true or false, but new.status (text)"),
    "new.active ? new.id : null": (1, "it is no true or false, but a number or null"),
    "new.active ? new.id : new.status": (1, "it is no true or false, but a number or a text or null"),
    "new.status && new.active": (12, "&& does not take new.status (text) and new.active (boolean)"),
    "!new.id": (1, "! does not take new.id (integer)"),
    "new.status ? true : false": (12, "new.status (text) before ? is no true or false"),
    'new.status.name == "a"': (11, "new.status (text) has no fields, so no name"),
    "new.status[0] == 1": (11, "new.status (text) has no elements"),
    "new.status.exists(x, x == 1)": (4, "new.status (text) is no list to go through"),
    'new.status.matches("[a")': (20, "invalid regular expression: missing ]: [a"),
    'new.status.matches("(?=a)")': (20, "invalid regular expression: invalid perl operator: (?="),
    'timestamp(new.due) < timestamp("2027-01-01")': (
        32,
        'timestamp does not take "2027-01-01": a time is written as "2027-01-01T00:00:00Z"',
    ),
    'duration("1 day") > duration("1h")': (
        10,
        'duration does not take "1 day": a duration is written as "90s" or "1h30m"',
    ),
    'new.id == int("1.5")': (15, 'int does not take "1.5"'),
    'action == "created"': (11, "there is no action created. Did you mean create?"),
    '"insert" != action': (1, "there is no action insert. There are create, update, delete and truncate"),
    'action in ["create", "updated"]': (22, "there is no action updated. Did you mean update?"),
    'true &&\n  new.statsu == "active"': (3, "none of its tables has a column statsu. Did you mean status?"),
}


@pytest.mark.parametrize("text", RIGHT)
def test_conditions_that_can_be_right_are_taken(text: str) -> None:
    assert why_wrong(text, columns()) is None


@pytest.mark.parametrize("text", WRONG)
def test_conditions_that_cannot_be_right_are_refused(text: str) -> None:
    column, reason = WRONG[text]
    line = 1 + text.count("\n")
    assert why_wrong(text, columns()) == f"invalid conditions, line {line}, column {column}: {reason}"


def test_an_error_points_to_its_place() -> None:
    with pytest.raises(InvalidConditions) as caught:
        check_kinds('"é" == user || new.statsu == "a"', columns())
    shown = caught.value.message.splitlines()[1:]
    assert shown[0][shown[1].index("^") :].startswith("new.statsu")


def test_a_column_of_one_of_several_tables_is_known() -> None:
    """Its values can be those of each table that has it."""
    rows = [*ROWS, EXCLUDED, ("public.site", "status", "integer", "number", False)]
    rows += [("public.site", "secret", "text", "text", False), ("public.other", "nothing", "text", "text", False)]
    both = logged_columns([TABLE, "public.site"], rows)
    assert both is not None and both.columns["status"].type == "text or integer"
    for text in ("new.id == 1", "new.status == 5", 'new.status == "a"', 'new.secret == "a"'):
        assert why_wrong(text, both) is None
    assert "status (text or integer) never equals a bool" in str(why_wrong("new.status == true", both))
    assert "no column nothing" not in str(why_wrong("new.id == 1", both))
    assert "has a column nothing" in str(why_wrong("new.nothing == 1", both))


def test_tables_that_are_not_known_say_nothing() -> None:
    """A dropped table has no columns, so nothing is certain."""
    assert logged_columns([], ROWS) is None
    assert logged_columns([TABLE, "public.dropped"], ROWS) is None


def test_conditions_that_do_not_compile_say_why() -> None:
    assert "&&" in str(why_wrong("new.active and true", columns()))


def test_each_part_of_nested_lists_is_visited_once() -> None:
    """To visit them twice at each level would let an author of conditions keep the daemon busy."""
    text = "new.active"
    for _ in range(10):
        text = f"true in [{text}]"
    visits: list[str] = []

    class Columns(dict[str, Column]):
        def get(self, key: str, default: Column | None = None) -> Column | None:  # pyright: ignore[reportIncompatibleMethodOverride] - called in this way alone
            visits.append(key)
            return super().get(key, default)

    check_kinds(text, LoggedColumns(Columns(columns().columns), frozenset()))
    assert visits == ["active"]


def test_kinds_of_results() -> None:
    assert result_of("_+_", [NUMBER, ANY]) == NUMBER
    assert result_of("unknown", [NUMBER]) == ANY
    assert joined([TEXT, BOOL]) == TEXT | BOOL and joined([]) == frozenset()


def test_places_are_those_of_the_text() -> None:
    serialized = compiled("new.active").serialized()
    assert expression_of(serialized) and sorted(positions_of(serialized).values()) == [0, 3]
