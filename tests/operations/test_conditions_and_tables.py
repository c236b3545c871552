"""Conditions are compared with the columns of the tables when a hook is saved, and again by the doctor."""

import contextlib
from collections.abc import Generator
from pathlib import Path

import pytest

from conftest import Connection
from jobhooks.discovery.loading import find_receivers
from jobhooks.errors import InvalidConditions
from jobhooks.matching.condition_kinds import why_wrong
from jobhooks.matching.hook_settings import HookSettings
from jobhooks.matching.logged_columns import OF_COLUMNS, logged_columns
from jobhooks.operations import doctor, tables
from jobhooks.operations.configuration import hooks, receivers
from jobhooks.operations.configuration.hook_plan import carry_out, editing, plan, take
from jobhooks.store.connections import SyncConnection, call, connect
from support.hooking import write_receivers

RECEIVERS = """
from jobhooks import JobHookReceiver

class One(JobHookReceiver):
    pass
"""
HOOK = HookSettings("h", ["public.device"], "r.One", ["update"], conditions='new.serial == "1"')
# A type, a value that is not null, and the JSON types that a value may have.
TYPES = {
    "smallint": ("1", "number"),
    "bigint": ("9223372036854775807", "number"),
    "numeric(8,2)": ("1.5", "numeric"),
    "numeric": ("'NaN'", "numeric"),
    "real": ("'Infinity'", "numeric"),
    "boolean": ("true", "bool"),
    "text": ("'a'", "text"),
    "character(3)": ("'a'", "text"),
    "uuid": ("gen_random_uuid()", "text"),
    "bytea": (r"'\x00'", "text"),
    "timestamptz": ("now()", "text"),
    "date": ("now()", "text"),
    "interval": ("'1 day'", "text"),
    "inet": ("'::1'", "text"),
    "money": ("1", "text"),
    "oid": ("1", "text"),
    "tstzrange": ("'empty'", "text"),
    "int4multirange": ("'{}'", "text"),
    "public.mood": ("'good'", "text"),
    "public.mail": ("'a@b'", "text"),
    "public.small": ("3", "number"),
    "public.smaller": ("3", "number"),
    "public.names": ("'{a}'", "list"),
    "integer[]": ("'{1}'", "list"),
    "public.mood[]": ("'{good}'", "list"),
    "public.place": ("row(1, 'a')", "map"),
    "json": ("'3'", "json"),
    "jsonb": ("'{}'", "json"),
    "public.document": ("'[]'", "json"),
}
JSON_TYPES = {
    "number": {"number"},
    "numeric": {"number", "string"},
    "bool": {"boolean"},
    "text": {"string"},
    "list": {"array"},
    "map": {"object"},
    "json": {"number", "string", "boolean", "array", "object"},
}


@pytest.fixture
def conn(device: Connection, database: str, tmp_path: Path) -> Generator[SyncConnection]:
    """A connection to a database with a job that is enabled."""
    registry = find_receivers([write_receivers(tmp_path / "receivers", RECEIVERS)])
    with contextlib.closing(connect(database)) as conn:
        receivers.register(conn, registry, complete=True)
        receivers.enable(conn, registry, "r.One")
        yield conn


def broken(conn: SyncConnection) -> list[tuple[str, str, str]]:
    """The doctor's problems with conditions that do not fit the tables."""
    found = doctor.problems(conn, 30)
    return [(each.severity, each.subject, each.problem) for each in found if "do not fit" in each.problem]


def test_kinds_of_columns_are_those_of_the_log(conn: SyncConnection, device: Connection) -> None:
    """The log shows the JSON of each type; otherwise right conditions would be refused."""
    for statement in (
        "create type public.mood as enum ('good', 'bad')",
        "create domain public.mail as text check (value like '%@%')",
        "create domain public.small as integer",
        "create domain public.smaller as public.small",
        "create domain public.names as text[]",
        "create domain public.document as jsonb",
        "create type public.place as (zip integer, city text)",
        "create table public.typed (id integer primary key, "
        + ", ".join(f"c{number} {type_}" for number, type_ in enumerate(TYPES))
        + ")",
    ):
        device.execute(statement.encode())
    tables.watch(conn, "public.typed")
    values = ", ".join(value for value, _ in TYPES.values())
    device.execute(f"insert into public.typed values (1, {values})".encode())
    rows = {row[1]: row[3] for row in call(conn, "logged_columns", tables=["public.typed"])}
    assert set(rows.values()) <= {*OF_COLUMNS, "json"}
    logged = dict(
        device.execute(
            "select key, jsonb_typeof(value) from jobhooks.object_change as change,"
            " jsonb_each(change.postchange::jsonb)"
        ).fetchall()
    )
    for number, (type_, (_, kind)) in enumerate(TYPES.items()):
        assert rows[f"c{number}"] == kind, type_
        assert logged[f"c{number}"] in JSON_TYPES[kind], type_


def test_an_unknown_column_is_refused_when_a_hook_is_saved(conn: SyncConnection) -> None:
    """By each way of saving, with the nearest name; nothing is changed."""
    with pytest.raises(InvalidConditions, match=r'cannot save hook "w".*a column seriall\. Did you mean serial\?'):
        hooks.add_hook(conn, HookSettings("w", ["device"], "r.One", ["update"], conditions="new.seriall == null"))
    hooks.add_hook(conn, HOOK)
    with pytest.raises(InvalidConditions, match="never equals a number"):
        hooks.edit_hook(conn, "h", {"conditions": "new.serial == 1"})
    with pytest.raises(InvalidConditions, match="no true or false"):
        take(conn, editing(conn, "h", {"conditions": "new.serial"}))
    seen = hooks.hooks(conn)
    wanted = [HookSettings("h", ["public.device"], "r.One", ["update"], conditions='changed("seriall")')]
    with pytest.raises(InvalidConditions, match=r'cannot save hook "h".*seriall'):
        carry_out(conn, seen, plan(conn, seen, wanted))
    assert [(hook.name, hook.conditions) for hook in hooks.hooks(conn)] == [("h", HOOK.conditions)]


def test_tables_that_an_apply_watches_first_are_known(conn: SyncConnection, device: Connection) -> None:
    """The conditions are compared with the tables as the same transaction leaves them."""
    device.execute("create table public.site (id integer primary key, code integer)")
    wanted = HookSettings("s", ["public.site"], "r.One", ["update"], conditions="new.code > 5")
    seen = hooks.hooks(conn)
    carry_out(conn, seen, plan(conn, seen, [wanted]), first=lambda: tables.watch(conn, "public.site"))
    assert [hook.name for hook in hooks.hooks(conn)] == ["s"]


def test_other_tables_are_checked_and_other_settings_are_not(conn: SyncConnection, device: Connection) -> None:
    """A hook that a table broke can still be changed; other tables need a new look at its conditions."""
    device.execute("create table public.site (id integer primary key, code integer)")
    tables.watch(conn, "public.site")
    hooks.add_hook(conn, HOOK)
    with pytest.raises(InvalidConditions, match="none of its tables has a column serial"):
        hooks.edit_hook(conn, "h", {"content_types": ["public.site"]})
    hooks.edit_hook(conn, "h", {"content_types": ["public.site", "public.device"]})
    device.execute("alter table public.device rename column serial to serial_number")
    hooks.edit_hook(conn, "h", {"description": "d", "conditions": HOOK.conditions})
    hooks.enable_hook(conn, "h", enabled=False)
    with pytest.raises(InvalidConditions, match="Did you mean serial_number"):
        hooks.edit_hook(conn, "h", {"conditions": HOOK.conditions + " "})


def test_the_doctor_finds_conditions_that_alter_table_broke(conn: SyncConnection, device: Connection) -> None:
    """A renamed column with the nearest name, a dropped one, another type; not of hooks that are disabled or gone."""
    hooks.add_hook(conn, HOOK)
    assert broken(conn) == []
    device.execute("alter table public.device rename column serial to serial_number")
    ((severity, subject, problem),) = broken(conn)
    assert (severity, subject) == ("warning", 'hook "h"')
    assert problem.endswith("none of its tables has a column serial. Did you mean serial_number?")
    assert hooks.hook_details(conn, "h").condition_state == "valid", "the daemon goes on"
    device.execute("alter table public.device rename column serial_number to serial")
    assert broken(conn) == []
    device.execute("alter table public.device alter column serial type integer using 1")
    assert broken(conn)[0][2].endswith("make a text a number")
    device.execute("alter table public.device drop column serial")
    assert "none of its tables has a column serial" in broken(conn)[0][2]
    hooks.enable_hook(conn, "h", enabled=False)
    assert broken(conn) == []
    hooks.enable_hook(conn, "h")
    device.execute("drop table public.device")
    assert broken(conn) == []


def test_an_excluded_column_is_named_as_such(conn: SyncConnection, device: Connection) -> None:
    hooks.add_hook(conn, HOOK)
    tables.watch(conn, "public.device", exclude=["serial"])
    assert broken(conn)[0][2].endswith("the column serial is excluded, so the log does not have it")
    with pytest.raises(InvalidConditions, match="serial is excluded"):
        hooks.edit_hook(conn, "h", {"conditions": 'changed("serial")'})


def test_a_viewer_may_look(conn: SyncConnection, device: Connection) -> None:
    """The function reads the catalogue alone."""
    device.execute("set role jobhooks_viewer")
    found = device.execute("select * from jobhooks.logged_columns('{public.device}')").fetchall()
    device.execute("reset role")
    columns = logged_columns(["public.device"], found)
    assert columns is not None and why_wrong("new.id == 1", columns) is None
