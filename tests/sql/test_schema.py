"""What the catalogue can tell about the installed schema."""

import os

import pytest

from conftest import Connection
from support import generated

# These put statements together from lists, each part quoted by itself, which plpgsql_check cannot see.
QUOTED_OTHERWISE = '{"jobhooks.object_key(record,text[])","jobhooks.watch(regclass,text[],boolean,boolean)"}'
OWN_FUNCTIONS = (
    "select oid, oid::regprocedure::text as signature from pg_proc where pronamespace = 'jobhooks'::regnamespace"
)


def test_every_function_pins_its_search_path(conn: Connection) -> None:
    """With an empty path, or none, a caller's temporary table could stand in for what the function means."""
    unpinned = conn.execute(
        f"select signature from ({OWN_FUNCTIONS}) as own join pg_proc using (oid)"
        " where proconfig is null or not 'search_path=pg_catalog, pg_temp' = any(proconfig)"
    ).fetchall()
    assert unpinned == []


def test_only_the_capture_and_its_check_run_as_their_owner(conn: Connection) -> None:
    """Each security definer function is a way to the owner's rights: there is none that need not be."""
    definers = conn.execute(
        f"select signature from ({OWN_FUNCTIONS}) as own join pg_proc using (oid) where prosecdef order by 1"
    ).fetchall()
    assert definers == [("jobhooks.capture_change()",), ("jobhooks.may_mark()",)]


def test_public_may_do_nothing(conn: Connection) -> None:
    """An application role needs no privilege in the schema, and has none."""
    assert conn.execute("select has_schema_privilege('public', 'jobhooks', 'usage')").fetchone() == (False,)
    executable = conn.execute(
        f"select signature from ({OWN_FUNCTIONS}) as own where has_function_privilege('public', oid, 'execute')"
    ).fetchall()
    assert executable == []
    readable = conn.execute(
        "select oid::regclass from pg_class where relnamespace = 'jobhooks'::regnamespace and relkind in ('r', 'p')"
        " and has_table_privilege('public', oid, 'select, insert, update, delete, truncate')"
    ).fetchall()
    assert readable == []


def test_every_table_and_function_says_what_it_is_for(conn: Connection) -> None:
    silent = conn.execute(
        f"select signature from ({OWN_FUNCTIONS}) as own where obj_description(oid, 'pg_proc') is null"
        " union all select oid::regclass::text from pg_class where relnamespace = 'jobhooks'::regnamespace"
        " and relkind in ('r', 'p') and obj_description(oid, 'pg_class') is null"
    ).fetchall()
    assert silent == []


def test_each_function_file_holds_the_function_it_is_named_for() -> None:
    """One object per file, with the sentence of its header as its comment."""
    for path in sorted((generated.ROOT / "sql" / "functions").glob("*.sql")):
        text = path.read_text()
        assert text.startswith(f"-- jobhooks.{path.stem}("), path.name
        assert text.count("create or replace function") == 1, path.name
        assert f"create or replace function jobhooks.{path.stem}(" in text, path.name
        assert f"comment on function jobhooks.{path.stem}(" in text, path.name


def test_plpgsql_check_finds_nothing(conn: Connection) -> None:
    """It reads the queries inside the functions, which nothing else looks at before they run."""
    available = conn.execute("select from pg_available_extensions where name = 'plpgsql_check'").fetchone()
    if available is None:
        assert "plpgsql_check" not in os.environ.get("JOBHOOKS_TEST_REQUIRE", "")
        pytest.skip("this server has no plpgsql_check")
    conn.execute("create extension plpgsql_check")
    conn.execute("create table public.device (id integer primary key)")
    # A trigger function is checked as a trigger of its own table, the capture as one of an application's.
    table = (
        "case when prorettype = 'trigger'::regtype then coalesce("
        "(select tgrelid from pg_trigger where tgfoid = own.oid limit 1), 'public.device'::regclass) else 0 end"
    )
    found = conn.execute(
        f"select signature, found.* from ({OWN_FUNCTIONS}) as own join pg_proc using (oid)"
        " join pg_language as language on language.oid = prolang and lanname = 'plpgsql'"
        f" cross join lateral plpgsql_check_function(own.oid, {table}, extra_warnings => true,"
        f" security_warnings => own.oid <> all ('{QUOTED_OTHERWISE}'::regprocedure[])) as found"
    ).fetchall()
    assert found == []


def test_the_committed_schema_is_current() -> None:
    """make generate was run after the last change of sql/; reviewers read schema.sql."""
    assert generated.SCHEMA.read_text() == generated.schema()
