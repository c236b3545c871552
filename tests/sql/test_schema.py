"""Properties of the installed schema that the catalogue shows."""

import os

import pytest

from conftest import Connection
from jobhooks.store.queries import QUERY_NAME, SQL
from support import generated

# These put statements together from lists, each part quoted by itself, which plpgsql_check cannot see.
QUOTED_OTHERWISE = (
    '{"jobhooks.watch(regclass,text[],boolean,boolean,text[],text[],boolean,boolean,json)","jobhooks.use_segment(integer)",'
    '"jobhooks.save_hook(text,jsonb)",'
    '"jobhooks_capture.snapshot(record,text)","jobhooks_capture.shaped_snapshot(record,text,text[],json,oid,text)"}'
)
SCHEMAS = "('jobhooks'::regnamespace, 'jobhooks_capture'::regnamespace)"
OWN_FUNCTIONS = f"select oid, oid::regprocedure::text as signature from pg_proc where pronamespace in {SCHEMAS}"


def test_every_function_pins_its_search_path(conn: Connection) -> None:
    """With an empty path, or without one, a caller's temporary table could replace a name in the function.

    Except those that run for each row, where that would double the cost: they qualify every name.
    """
    unpinned = conn.execute(
        f"select signature from ({OWN_FUNCTIONS}) as own join pg_proc using (oid)"
        " where proconfig is null or not 'search_path=pg_catalog, pg_temp' = any(proconfig) order by 1"
    ).fetchall()
    assert unpinned == [
        ("jobhooks_capture.former_lastval()",),
        ("jobhooks_capture.keep_lastval(numeric,boolean)",),
        ("jobhooks_capture.lastval_to_keep(oid,text)",),
        ("jobhooks_capture.record_change(integer,jobhooks.action,json,json)",),
        ("jobhooks_capture.set_lastval(bigint,boolean)",),
        ("jobhooks_capture.snapshot(record,text)",),
    ]


def test_only_these_functions_run_as_their_owner(conn: Connection) -> None:
    """Each security definer function is a way to the owner's rights, so each one must be necessary."""
    definers = conn.execute(
        f"select signature from ({OWN_FUNCTIONS}) as own join pg_proc using (oid) where prosecdef order by 1"
    ).fetchall()
    assert definers == [
        ("jobhooks.advance_sequence()",),
        ("jobhooks.cancel_deliveries(bigint[],integer[],text)",),
        ("jobhooks.capture_change()",),
        ("jobhooks.changes_of_object(bigint,boolean,integer,integer)",),
        ("jobhooks.check_hook_targets()",),
        ("jobhooks.discard_deliveries(bigint[],integer[],text)",),
        ("jobhooks.drop_old_history(interval)",),
        ("jobhooks.forget_chain_end()",),
        ("jobhooks.forget_condition_failures()",),
        ("jobhooks.forget_loop()",),
        ("jobhooks.forget_rate()",),
        ("jobhooks.give_up_position()",),
        ("jobhooks.greatest_change_id()",),
        ("jobhooks.maintain_log(interval,bigint)",),
        ("jobhooks.may_mark()",),
        ("jobhooks.note_condition_verdicts(json)",),
        ("jobhooks.note_configuration()",),
        ("jobhooks.note_data_verdicts(json)",),
        ("jobhooks.pause_loop(bigint,integer,text)",),
        ("jobhooks.previous_change(bigint,integer)",),
        ("jobhooks.record_configuration()",),
        ("jobhooks.requeue(json)",),
        ("jobhooks.retry_deliveries(bigint[],integer[])",),
        ("jobhooks.skip_replicated()",),
        ("jobhooks_capture.keep_lastval(numeric,boolean)",),
        ("jobhooks_capture.moved_row_position(text)",),
        ("jobhooks_capture.record_change(integer,jobhooks.action,json,json)",),
        ("jobhooks_capture.record_partition_change(integer,jobhooks.action,json,json,text)",),
        ("jobhooks_capture.record_truncate()",),
        ("jobhooks_capture.set_lastval(bigint,boolean)",),
    ]


def test_public_may_do_nothing(conn: Connection) -> None:
    """An application role needs no privilege in the schemas, and has none.

    The functions for its statements are bound to its tables' triggers. Neither it nor a role with privileges in the
    schema jobhooks can call them by name: they could record changes that never happened.
    """
    usable = conn.execute(
        "select nspname, rolname from pg_namespace cross join pg_roles"
        " where nspname like 'jobhooks%%' and rolname ~ '^(jobhooks_[a-z]+$|pg_database_owner)'"
        " and has_schema_privilege(rolname, pg_namespace.oid, 'usage')"
        " union all select nspname, 'public' from pg_namespace"
        " where nspname like 'jobhooks%%' and has_schema_privilege('public', oid, 'usage')"
    ).fetchall()
    assert sorted(role for schema, role in usable if schema == "jobhooks_capture") == [
        "jobhooks_capture",
        "jobhooks_owner",
    ]
    assert "public" not in [role for _, role in usable]
    executable = conn.execute(
        f"select signature from ({OWN_FUNCTIONS}) as own where has_function_privilege('public', oid, 'execute')"
        " order by 1"
    ).fetchall()
    assert [signature.partition("(")[0] for (signature,) in executable] == [
        "jobhooks_capture.differs",
        "jobhooks_capture.former_lastval",
        "jobhooks_capture.keep_lastval",
        "jobhooks_capture.lastval_to_keep",
        "jobhooks_capture.moved_row_position",
        "jobhooks_capture.note_lastval",
        "jobhooks_capture.record_change",
        "jobhooks_capture.record_partition_change",
        "jobhooks_capture.set_lastval",
        "jobhooks_capture.shaped_snapshot",
        "jobhooks_capture.snapshot",
        "jobhooks_capture.trigger_stub",
    ]
    readable = conn.execute(
        f"select oid::regclass from pg_class where relnamespace in {SCHEMAS} and relkind in ('r', 'p', 'v')"
        " and has_table_privilege('public', oid, 'select, insert, update, delete, truncate')"
    ).fetchall()
    assert readable == []


def test_every_table_and_function_says_what_it_is_for(conn: Connection) -> None:
    """And every column of the tables and views for people."""
    columns = conn.execute(
        "select attrelid::regclass || '.' || attname from pg_attribute where attnum > 0 and not attisdropped"
        " and attrelid = any ('{jobhooks.object_change,jobhooks.job_result,jobhooks.delivery,jobhooks.job,"
        "jobhooks.job_hook,jobhooks.content_type,jobhooks.job_log_entry,jobhooks.changes,jobhooks.hooks,"
        "jobhooks.results,jobhooks.backlog}'::regclass[]) and col_description(attrelid, attnum) is null"
    ).fetchall()
    assert columns == []
    silent = conn.execute(
        f"select signature from ({OWN_FUNCTIONS}) as own where obj_description(oid, 'pg_proc') is null"
        f" union all select oid::regclass::text from pg_class where relnamespace in {SCHEMAS}"
        " and relkind in ('r', 'p', 'v') and obj_description(oid, 'pg_class') is null"
        f" union all select nspname from pg_namespace where oid in {SCHEMAS}"
        " and obj_description(oid, 'pg_namespace') is null"
    ).fetchall()
    assert silent == []


def test_a_function_with_planner_settings_compiles_nothing(conn: Connection) -> None:
    """A disabled kind of plan has an enormous cost, for which the server would compile each small query with LLVM."""
    compiling = conn.execute(
        f"select signature from ({OWN_FUNCTIONS}) as own join pg_proc using (oid)"
        " where proconfig::text like '%enable_%' and 'jit=off' <> all (proconfig)"
    ).fetchall()
    assert compiling == []


def test_each_function_file_holds_the_function_it_is_named_for() -> None:
    """One object per file, with the sentence of its header as its comment."""
    for path in sorted((generated.ROOT / "sql" / "functions").rglob("*.sql")):
        text = path.read_text()
        capture = f"jobhooks_capture.{path.stem.removeprefix('capture_')}("
        function = capture if f"function {capture}" in text else f"jobhooks.{path.stem}("
        assert text.startswith(f"-- {function}"), path.name
        assert text.count("create or replace function") == 1, path.name
        assert f"create or replace function {function}" in text, path.name
        assert f"comment on function {function}" in text, path.name


def test_plpgsql_check_finds_nothing(conn: Connection) -> None:
    """It reads the queries inside the functions, which nothing else looks at before they run."""
    available = conn.execute("select from pg_available_extensions where name = 'plpgsql_check'").fetchone()
    if available is None:
        assert "plpgsql_check" not in os.environ.get("JOBHOOKS_TEST_REQUIRE", "")
        pytest.skip("this server has no plpgsql_check")
    conn.execute("create extension plpgsql_check")
    conn.execute("create table public.device (id integer primary key)")
    # A trigger function is checked as a trigger of its table, the capture function as one of an application's table.
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


def test_no_two_queries_have_the_same_name() -> None:
    """The second would be run in place of the first, with other columns."""
    texts = [path.read_text("utf-8") for path in sorted((SQL / "queries").rglob("*.sql"))]
    names = [name for text in texts for name in QUERY_NAME.findall(text)]
    assert sorted(names) == sorted(set(names))
