"""Random tables for the fuzz test of the capture: names, column types, keys, partitions."""

import string
from collections.abc import Sequence
from dataclasses import dataclass, field
from random import Random
from typing import TypeVar

T = TypeVar("T")
SCHEMAS = ("one", 'Schema "two"')

# Shared by all examples and made once per database. The user's trigger functions report their input with notices, which
# are compared like everything else. touch updates rows that the same statement has written, or is about to write.
PRELUDE = r"""
create schema kinds;
grant usage on schema kinds to public;
create type kinds.mood as enum ('bad', 'so so', 'it''s "good"');
create domain kinds.plain as text;
create domain kinds.positive as integer check (value > 0);
create domain kinds.list as integer [];
create domain kinds.present as text not null default 'there';
create type kinds.pair as (a integer, "B ""b" text, c timestamptz);
create type kinds.nested as (pair kinds.pair, positive kinds.positive, moods kinds.mood []);
create domain kinds.ordered as kinds.pair check ((value).a > 0);
create type kinds.floats as range (subtype = float8);
create type kinds.angry as enum ('x', 'y');
create function kinds.angry_json(kinds.angry) returns json language plpgsql as
    'begin raise exception ''no json of %'', $1 using errcode = ''XX001''; end';
create cast (kinds.angry as json) with function kinds.angry_json(kinds.angry);

create function kinds.shout() returns trigger language plpgsql as $$
begin
    raise notice '% % % % %: % -> %', tg_name, tg_when, tg_op, tg_table_name, pg_trigger_depth(), old, new;
    return case when tg_op = 'DELETE' then old else new end;
end $$;
create function kinds.refuse() returns trigger language plpgsql as $$
declare id integer;
begin
    execute format('select ($1).%I', tg_argv[0]) into id using case when tg_op = 'DELETE' then old else new end;
    if id % 7 = 6 then return null; end if;
    if id % 9 = 8 then raise exception 'refused %', id using errcode = 'P0009', hint = 'try another'; end if;
    return case when tg_op = 'DELETE' then old else new end;
end $$;
create function kinds.touch() returns trigger language plpgsql as $$
begin
    if pg_trigger_depth() < 3 then
        execute format('update %I.%I set %3$I = %3$I + 1 where %3$I in (($1).%3$I, ($1).%3$I + 2)',
            tg_argv[1], tg_argv[2], tg_argv[0]) using new;
    end if;
    return null;
end $$;
create function kinds.remove() returns trigger language plpgsql as $$
begin
    if pg_trigger_depth() < 3 then
        execute format('delete from %I.%I where %3$I = ($1).%3$I + 1', tg_argv[1], tg_argv[2], tg_argv[0]) using new;
    end if;
    return null;
exception when others then
    raise notice 'could not remove: %', sqlerrm;
    return null;
end $$;
create function kinds.tally() returns trigger language plpgsql as $$
begin
    raise notice '% %: % rows', tg_name, tg_op, (select count(*) from written);
    return null;
end $$;

-- What a caller's search path may put before the server's own: code of ours that names it unqualified would fail.
create schema shadow;
grant usage on schema shadow to public;
create function shadow.evil(text, text) returns boolean language plpgsql as 'begin raise exception ''evil''; end';
create function shadow.evil(json, text) returns json language plpgsql as 'begin raise exception ''evil''; end';
create operator shadow.<> (function = shadow.evil, leftarg = text, rightarg = text);
create operator shadow.-> (function = shadow.evil, leftarg = json, rightarg = text);
create function shadow.concat(variadic text []) returns text language plpgsql as 'begin raise ''evil''; end';
create function shadow.starts_with(text, text) returns boolean language plpgsql as 'begin raise ''evil''; end';
create function shadow.current_setting(text, boolean) returns text language plpgsql as 'begin raise ''evil''; end';
create function shadow.row_to_json(record) returns json language plpgsql as 'begin raise ''evil''; end';
create function shadow.octet_length(text) returns integer language plpgsql as 'begin raise ''evil''; end';
create function shadow.set_config(text, text, boolean) returns text language plpgsql as 'begin raise ''evil''; end';
create function shadow.pg_trigger_depth() returns integer language plpgsql as 'begin raise ''evil''; end';
create domain shadow.json as text check (shadow.evil(value, ''));
"""


@dataclass(frozen=True)
class Kind:
    """A column type: its values (the last one may be null), and whether it has an order.

    exact: the JSON of a value exists and does not depend on the session's settings.
    """

    sql: str
    values: tuple[str, ...]
    ordered: bool = True
    exact: bool = True


LONG = "é" * 3000
JSONS = ('{"a": 1, "a": {"b": [1.10, "x"]}}', r'["\ud83d\ude00", "\u0001"]', '""', "{", "[1e400, -0.0]")
KINDS = (
    Kind("text", ("", "a", "it's", 'b\\"{},', "日本\n\t", LONG, "\x01")),
    Kind("integer", ("0", "-1", "2147483647", "7", "2147483648")),
    Kind("numeric", ("NaN", "1.10", "1.1", "-" + "9" * 40 + ".5", "Infinity", "x")),
    Kind("json", JSONS, ordered=False),
    Kind("jsonb", JSONS),
    Kind("kinds.mood", ("bad", "so so", 'it\'s "good"', "none")),
    Kind("timestamptz", ("2024-02-29 12:00:00.123456+05:30", "infinity", "0044-03-15 00:00:00 BC", "2024-07-01")),
    Kind("double precision", ("0.1", "-0", "NaN", "1e300", "0.30000000000000004", "1e999")),
    Kind("integer[]", ("{}", "{1,NULL,3}", "[0:1]={1,2}", "{{1,2},{3,4}}", "{1")),
    Kind("kinds.pair", ('(1,"x, ""y""",2024-01-01)', "(,,)", '(2,NULL,"infinity")')),
    Kind("daterange", ("[2024-02-01,2024-03-05)", "empty", "(,)", "[2024-01-01,2023-01-01]")),
    Kind("kinds.positive", ("1", "5", "0", "-3")),
    Kind("bytea", ("\\x", "\\x00ff5c", "abc", "\\xzz")),
    Kind("kinds.angry", ("x", "y"), exact=False),
    Kind("kinds.present", ("here", "")),
    Kind("bigint", ("9223372036854775807", "0", "-1")),
    Kind("smallint", ("1", "-1", "40000")),
    Kind("numeric(10,2)", ("1.005", "-0.001", "123456789")),
    Kind("real", ("0.1", "-Infinity", "16777217")),
    Kind("boolean", ("t", "f", "maybe")),
    Kind("varchar(5)", ("", "abcde", "abcdef", "ab     ")),
    Kind("char(4)", ("", "ab", "abcde")),
    Kind('"char"', ("", "a", "b")),
    Kind("name", ("a", "é" * 40)),
    Kind("date", ("2024-02-29", "-infinity", "2024-02-30", "03/04/2024", "4714-11-24 BC")),
    Kind("timestamp", ("2024-02-29 12:00:00", "infinity", "294276-12-31 23:59:59.999999")),
    Kind("timestamp(0)", ("2024-02-29 12:00:00.5", "epoch")),
    Kind("time", ("24:00", "12:34:56.789", "25:00")),
    Kind("timetz", ("12:00+03", "00:00:00.1-15:59")),
    Kind("interval", ("1 mon -1 day 2 hours", "-1 day -2 hours", "1 year 2.5 seconds", "30 days", "1 mon")),
    Kind("uuid", ("00000000-0000-0000-0000-000000000001", "{A0EEBC99-9C0B4EF8-BB6D6BB9-BD380A11}", "0")),
    Kind("inet", ("10.0.0.1/8", "::1", "10.0.0.256")),
    Kind("cidr", ("10.0.0.0/8", "10.0.0.1/8")),
    Kind("macaddr", ("08:00:2b:01:02:03", "x")),
    Kind("bit(3)", ("101", "10")),
    Kind("varbit", ("", "1", "0101")),
    Kind("money", ("1.50", "-0.01", "x"), exact=False),
    Kind("oid", ("0", "4294967295")),
    Kind("regclass", ("pg_class", "0", "no_such_table"), ordered=False, exact=False),
    Kind("xid8", ("1", "18446744073709551615")),
    Kind("pg_lsn", ("0/0", "16/B374D848")),
    Kind("tsvector", ("a:1 b:2A 'c d'", "")),
    Kind("tsquery", ("a & !b", "")),
    Kind("jsonpath", ('$."a"[*] ? (@ > 1)', "$"), ordered=False),
    Kind("point", ("(1,-0)", "(NaN,0.1)"), ordered=False),
    Kind("polygon", ("((0,0),(1,1),(1,0))",), ordered=False),
    Kind("circle", ("<(0,0),0.1>",), ordered=False),
    Kind("int4range", ("[1,5)", "(1,5]", "empty")),
    Kind("numrange", ("[1.10,)", "(,NaN]")),
    Kind("tstzrange", ("[2024-01-01 00:00+00,2024-07-01 00:00+00)",), exact=False),
    Kind("kinds.floats", ("[0.1,0.30000000000000004)", "empty")),
    Kind("int4multirange", ("{}", "{[1,3),[7,9]}")),
    Kind("text[]", ("{}", '{"a,b",NULL,"NULL"}', '{"\\"q\\""}')),
    Kind("timestamptz[]", ("{infinity,2024-01-01}",)),
    Kind("json[]", ('{"{\\"a\\": 1}","null"}', "{NULL}"), ordered=False),
    Kind("bytea[]", ('{"\\\\x00"}',)),
    Kind("kinds.mood[]", ("{bad,NULL}", "{}")),
    Kind("kinds.pair[]", ('{"(1,x,)","(,,)"}', "{NULL}")),
    Kind("kinds.nested", ('("(1,x,)",1,"{bad}")', "(,,)", '("(1,x,)",-1,{})')),
    Kind("kinds.plain", ("x", "")),
    Kind("kinds.list", ("{1}", "{}")),
    Kind("kinds.ordered", ("(1,x,)", "(0,x,)")),
)
TELLING = 15  # of these: the first ones, which have found the most bugs
NAMES = (
    *(
        "a",
        "b",
        "name",
        "Mixed Case",
        'quo"te',
        "it's",
        "é" * 31 + "x",
        "x" * 63,
        "select",
        "old",
        "new",
        "object",
        "value",
    ),
    *(
        "日本",
        "%s %L",
        "$1",
        "tab\tname",
        "key",
        "before",
        "after",
        "action",
        "context",
        "a.b",
        "{x}",
        "\\",
        "id",
        "json",
        "😀",
    ),
    *("content_type_id", "snapshot", "computed", "object_change", "text", "tableoid2"),
)


def literal(value: str) -> str:
    """Return a string as an SQL literal that no setting of the session reads differently."""
    return ("E" if "\\" in value else "") + "'" + value.replace("\\", "\\\\").replace("'", "''") + "'"


def identifier(name: str) -> str:
    """Return a name quoted."""
    return '"' + name.replace('"', '""') + '"'


class Choices:
    """Random choices."""

    def __init__(self, seed: int) -> None:
        self._random = Random(seed)

    def number(self, least: int, most: int) -> int:
        return self._random.randint(least, most)

    def pick(self, choices: Sequence[T]) -> T:
        return self._random.choice(choices)

    def one_in(self, n: int) -> bool:
        return self._random.randrange(n) == 0

    def some(self, choices: Sequence[T], n: int = 2) -> list[T]:
        """Return each of the choices with a chance of one in n."""
        return [choice for choice in choices if self.one_in(n)]


@dataclass
class Column:
    """A column as it is now. generated: how it gets its value, if not from who writes."""

    name: str
    kind: Kind
    generated: str = ""
    constraints: str = ""

    def definition(self) -> str:
        return f"{identifier(self.name)} {self.kind.sql} {self.generated} {self.constraints}"


INTEGER = Kind("integer", tuple(map(str, range(20))))


@dataclass
class Table:
    """A table as it is now, if nothing that altered it has failed. Its first column is an integer, called id here."""

    schema: str
    name: str
    columns: list[Column]
    key: list[str] = field(default_factory=list[str])
    partitioned_by: str = ""
    partitions: list[tuple[str, str]] = field(default_factory=list[tuple[str, str]])  # name, bounds
    parent: "Table | None" = None
    triggers: list[str] = field(default_factory=list[str])

    @property
    def sql(self) -> str:
        return f"{identifier(self.schema)}.{identifier(self.name)}"

    @property
    def id(self) -> str:
        return identifier(self.columns[0].name)

    def partition(self, name: str) -> str:
        return f"{identifier(self.schema)}.{identifier(name)}"


def draw_kind(choose: Choices) -> Kind:
    """Draw a column type."""
    return choose.pick(KINDS[:TELLING] if choose.one_in(2) else KINDS)


def draw_table(choose: Choices, taken: list[str], version: int) -> Table:
    """Draw a table. At most one of its columns is generated, and no column refers to another table yet."""
    names = list(NAMES)
    id_column = Column(names.pop(choose.number(0, len(names) - 1)), INTEGER)
    columns = [id_column]
    for _ in range(choose.number(1, 4)):
        columns.append(Column(names.pop(choose.number(0, len(names) - 1)), draw_kind(choose)))
        columns[-1].constraints = choose.pick(
            ("", "", "", "", "not null", f"default {literal(columns[-1].kind.values[0])}")
        )
    name = choose.pick([name for name in NAMES if name not in taken])
    table = Table(choose.pick(SCHEMAS), name, columns)
    if choose.one_in(3):
        table.partitioned_by = choose.pick(("range", "list", "hash"))
        table.partitions = _draw_partitions(choose, table.partitioned_by, len(taken))
    if choose.one_in(4):
        columns.append(_draw_generated(choose, names[0], id_column.name, version, bool(table.partitioned_by)))
    ordered = [column.name for column in columns if column.kind.ordered and not column.generated]
    if not choose.one_in(4):
        table.key = [id_column.name, *choose.some(ordered[1:2], 4)]
    elif choose.one_in(2):
        table.key = []
    elif not table.partitioned_by and len(ordered) > 1:
        columns[1].constraints += " unique" if columns[1].kind.ordered else ""
    return table


def _draw_generated(choose: Choices, name: str, id_name: str, version: int, partitioned: bool) -> Column:
    ways = ["always as ({0} * 2) stored", "always as ({0}::text || 'x') stored", "by default as identity"]
    if version >= 180000:
        # No expression that can fail: the server computes it for a trigger's WHEN, and the statement would fail.
        ways.append("always as ({0} * 2) virtual")
    if partitioned and version < 170000:
        ways.remove("by default as identity")
    way = choose.pick(ways)
    kind = Kind("text" if "text" in way else "integer", ("1",))
    return Column(name, kind, "generated " + way.format(identifier(id_name)))


def _draw_partitions(choose: Choices, way: str, number: int) -> list[tuple[str, str]]:
    """Draw partitions by name and bounds; ids go from 0 to 29, and not all of them have a partition."""
    letters = [f"{choose.pick(('p', 'P ', 'ö'))}{number}{letter}" for letter in string.ascii_lowercase]
    if way == "hash":
        return [(letters[n], f"for values with (modulus 3, remainder {n})") for n in range(3)]
    bounds = [(0, 6), (6, 12), (12, 20)]
    if way == "range":
        parts = [f"for values from ({least}) to ({most})" for least, most in bounds]
    else:
        parts = [f"for values in ({', '.join(map(str, range(*bound)))})" for bound in bounds]
    if not choose.one_in(4):
        parts.append("default")
    return list(zip(letters, parts, strict=False))


def create_statements(choose: Choices, table: Table) -> list[str]:
    """Make the statements that create the table; some partitions have other columns, or partitions below them."""
    parts = [column.definition() for column in table.columns]
    if table.key:
        parts.append(f"primary key ({', '.join(map(identifier, table.key))})")
    if table.parent is not None:
        parts.append(_draw_reference(choose, table))
    by = f" partition by {table.partitioned_by} ({table.id})" if table.partitioned_by else ""
    statements = [f"create table {table.sql} ({', '.join(parts)}){by}"]
    for number, (name, bounds) in enumerate(table.partitions):
        partition = table.partition(name)
        if number == 1 and choose.one_in(2):
            create = f"create table {partition} partition of {table.sql} {bounds}"
            statements.append(f"{create} partition by hash ({table.id})")
            for n in range(2):
                create = f"create table {table.partition(f'{name}{n}')} partition of {partition}"
                statements.append(f"{create} for values with (modulus 2, remainder {n})")
        elif number == 2 and choose.one_in(2):
            # Like an older table: a dropped column, and another order of columns. No column may be an identity.
            columns = ", ".join(_plain(column, table.key) for column in reversed(table.columns))
            statements += [
                f"create table {partition} (junk integer, {columns})",
                f"alter table {partition} drop column junk",
                f"alter table {table.sql} attach partition {partition} {bounds}",
            ]
        else:
            statements.append(f"create table {partition} partition of {table.sql} {bounds}")
    return statements


def _plain(column: Column, key: list[str]) -> str:
    """Define the column for a table that will become a partition."""
    definition = column.definition()
    if "identity" in column.generated:
        definition = f"{identifier(column.name)} {column.kind.sql} not null"
    return definition + (" not null" if column.name in key else "")


def _draw_reference(choose: Choices, table: Table) -> str:
    assert table.parent is not None
    actions = ("no action", "cascade", "set null", "set default", "restrict")
    deferred = choose.pick(("", "", " deferrable initially deferred"))
    column = table.columns[0] if table.columns[1].kind is not INTEGER else table.columns[1]
    return (
        f"foreign key ({identifier(column.name)}) references {table.parent.sql} ({table.parent.id})"
        f" on delete {choose.pick(actions)} on update {choose.pick(actions)}{deferred}"
    )
