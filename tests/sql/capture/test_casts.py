"""Columns whose type's owner can run code as each role that writes, with a cast to json."""

import contextlib
from collections.abc import Generator

import pytest

from conftest import Connection
from jobhooks.errors import UnwatchableTable
from jobhooks.operations import tables
from jobhooks.store.connections import SyncConnection, connect

COLUMNS = {
    "the type": "t.mood",
    "its array": "t.mood[]",
    "a domain": "t.mood_domain",
    "an array of a domain": "t.mood_domain[]",
    "a field": "t.holder",
    "a field of a domain over a composite type": "t.holder_domain",
    "an array of a field": "t.holder[]",
    "a range": "t.span",
}


@pytest.fixture
def admin(database: str) -> Generator[SyncConnection]:
    with contextlib.closing(connect(database)) as connection:
        yield connection


@pytest.fixture
def types(conn: Connection, role: str) -> Connection:
    """The types of ``role``: an enum and a range with a cast to json, and others that contain the enum."""
    conn.execute(f'create schema t authorization "{role}"'.encode())
    conn.execute("grant usage on schema t to public")
    conn.execute(
        f'set role "{role}";'
        "create type t.mood as enum ('good');"
        "create domain t.mood_domain as t.mood;"
        "create type t.holder as (n integer, mood t.mood_domain);"
        "create domain t.holder_domain as t.holder;"
        "create type t.span as range (subtype = integer);"
        "create function t.json(t.mood) returns json language sql as $$ select '\"code\"'::json $$;"
        "create function t.json(t.span) returns json language sql as $$ select '\"code\"'::json $$;"
        "create function t.json(t.holder) returns json language sql as $$ select '\"code\"'::json $$;"
        "create cast (t.holder as json) with function t.json(t.holder);"
        "reset role".encode()
    )
    return conn


def add_casts(conn: Connection, role: str) -> None:
    conn.execute(
        f'set role "{role}"; create cast (t.mood as json) with function t.json(t.mood);'
        " create cast (t.span as json) with function t.json(t.span); reset role".encode()
    )


def casts(conn: Connection) -> list[tuple[object, ...]]:
    return conn.execute("select severity, subject, remedy from jobhooks.problems_of_casts()").fetchall()


@pytest.mark.parametrize("column", COLUMNS.values(), ids=COLUMNS)
def test_a_column_with_code_of_a_types_owner_is_refused(
    types: Connection, admin: SyncConnection, role: str, column: str
) -> None:
    """The code would run as each role that writes; this is how one became superuser."""
    add_casts(types, role)
    types.execute(f"create table public.a (id integer primary key, mood {column})".encode())
    with pytest.raises(UnwatchableTable, match=role) as refused:
        tables.watch(admin, "public.a")
    assert "--allow-casts" in (refused.value.remedy or "")
    with pytest.raises(UnwatchableTable):
        tables.watch_as_before(admin, "public.a")
    assert tables.watched_tables(admin) == []
    tables.watch(admin, "public.a", exclude=["mood"])
    assert casts(types) == []
    tables.unwatch(admin, "public.a")
    tables.watch(admin, "public.a", allow_casts=True)
    tables.watch(admin, "public.a")  # as the remedies of the doctor say
    ((severity, subject, remedy),) = casts(types)
    assert (severity, subject) == ("warning", "public.a")
    assert "jobhooks table watch public.a --exclude mood" in str(remedy)


@pytest.mark.parametrize("column", COLUMNS.values(), ids=COLUMNS)
def test_a_cast_that_is_newer_than_the_watching_is_named(
    types: Connection, admin: SyncConnection, role: str, column: str
) -> None:
    types.execute(f"create table public.a (id integer primary key, mood {column})".encode())
    tables.watch(admin, "public.a")
    assert casts(types) == []
    add_casts(types, role)
    assert [problem[:2] for problem in casts(types)] == [("warning", "public.a")]


def test_code_of_a_superuser_or_an_extension_is_watched(types: Connection, admin: SyncConnection, role: str) -> None:
    """Both can do anything already. And row_to_json does not use the cast of a composite type."""
    add_casts(types, role)
    types.execute("create table public.a (id integer primary key, mood t.mood, span t.span, holder t.holder)")
    types.execute("alter function t.json(t.mood) owner to current_user")
    types.execute("alter function t.json(t.span) owner to current_user")
    tables.watch(admin, "public.a")
    types.execute("insert into public.a values (1, 'good', '[1,2)', row(1, 'good'))")
    assert types.execute("select postchange from jobhooks.object_change").fetchall() == [
        ({"id": 1, "mood": "code", "span": "code", "holder": {"n": 1, "mood": "code"}},)
    ]
    assert casts(types) == []
