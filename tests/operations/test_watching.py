"""Watching many tables in one command: by patterns, each in a separate transaction, and without losing an option."""

from collections.abc import Sequence

import psycopg
import pytest

from conftest import Connection
from jobhooks.errors import Refused, UnknownTable, WrongUsage
from jobhooks.operations import watching
from jobhooks.operations.tables import WatchedTable, unwatch, watch, watched_tables
from jobhooks.operations.watching import TableStep, WatchOptions
from jobhooks.store.connections import SyncConnection

TABLES = """
create table public.dcim_site (id integer primary key, name text, last_updated timestamptz);
create table public.dcim_tag (id integer primary key, secret text);
create table public.dcim_keyless (name text);
create table public.django_session (id integer primary key);
create table public."Dcim_Odd Name" (id integer primary key);
create table public.dcim_log (id integer, year integer, primary key (id, year)) partition by list (year);
create table public.dcim_log_2024 partition of public.dcim_log for values in (2024);
create view public.dcim_view as select 1 as id;
create temporary table dcim_temporary (id integer primary key);
create schema inventory;
create table inventory.dcim_rack (id integer primary key);
create table inventory.shelf (id integer primary key);
"""


@pytest.fixture
def many(conn: Connection) -> Connection:
    conn.execute(TABLES.encode())
    return conn


def outcomes(steps: Sequence[TableStep]) -> dict[str, str]:
    return {step.table: step.outcome.value for step in steps}


def run(
    conn: SyncConnection, *names: str, excepted: Sequence[str] = (), options: WatchOptions | None = None
) -> dict[str, str]:
    """Plan and carry out; each step of the plan must be in the result."""
    chosen = options or WatchOptions()
    plan = watching.plan(conn, names, excepted, chosen)
    done = list(watching.carry_out(conn, plan.steps, allow_casts=chosen.allow_casts))
    assert sorted(step.table for step in done) == sorted(step.table for step in plan.steps)
    return outcomes(done)


def watched(conn: SyncConnection, table: str) -> WatchedTable:
    return next(one for one in watched_tables(conn) if one.table == table)


def test_a_pattern_watches_what_it_can_and_names_the_rest(many: Connection, admin: SyncConnection) -> None:
    """One table without a key must not keep 231 others from being watched; partitions are covered by their root."""
    assert run(admin, "public.*", excepted=["public.django_*", "nothing"]) == {
        'public."Dcim_Odd Name"': "watched",
        "public.dcim_keyless": "refused",
        "public.dcim_log": "watched",
        "public.dcim_site": "watched",
        "public.dcim_tag": "watched",
    }
    assert [table.table for table in watched_tables(admin) if table.state == "watched"] == [
        'public."Dcim_Odd Name"',
        "public.dcim_log",
        "public.dcim_site",
        "public.dcim_tag",
    ]


def test_a_column_applies_to_the_tables_that_have_it(many: Connection, admin: SyncConnection) -> None:
    run(admin, "public.dcim_*", options=WatchOptions(ignore=["last_updated"], exclude=["secret"]))
    assert watched(admin, "public.dcim_site").ignore == ["last_updated"]
    assert watched(admin, "public.dcim_tag").ignore == []
    assert watched(admin, "public.dcim_tag").exclude == ["secret"]
    with pytest.raises(Refused, match="last_updated"):
        watching.plan(admin, ["public.dcim_*"], [], WatchOptions(ignore=["last_update"]))


def test_a_pattern_takes_no_option_away(many: Connection, admin: SyncConnection) -> None:
    """`table watch 'public.*'` must not bring an excluded password into the log: neither now nor after an unwatch."""
    watch(admin, "public.dcim_tag", exclude=["secret"], keep_lastval=True)
    assert run(admin, "public.dcim_tag*") == {"public.dcim_tag": "unchanged"}
    assert run(admin, "public.dcim_tag*", options=WatchOptions(ignore=["id"])) == {"public.dcim_tag": "changed"}
    unwatch(admin, "public.dcim_tag")
    assert run(admin, "public.dcim_tag*") == {"public.dcim_tag": "watched"}
    now = watched(admin, "public.dcim_tag")
    assert (now.exclude, now.ignore, now.keep_lastval) == (["secret"], ["id"], True)


def test_a_table_keeps_the_key_by_which_it_is_watched(many: Connection, admin: SyncConnection) -> None:
    watch(admin, "public.dcim_site", ["name"])
    watch(admin, "public.dcim_tag", keyless=True)
    assert run(admin, "public.dcim_site", "public.dcim_tag") == {
        "public.dcim_site": "unchanged",
        "public.dcim_tag": "unchanged",
    }


def test_keyless_is_for_those_without_a_primary_key(many: Connection, admin: SyncConnection) -> None:
    run(admin, "public.dcim_[kt]*", options=WatchOptions(keyless=True))
    assert watched(admin, "public.dcim_keyless").key == []
    assert watched(admin, "public.dcim_tag").key == ["id"]
    unwatch(admin, "public.dcim_keyless")
    assert run(admin, "public.dcim_keyless", "public.dcim_tag")["public.dcim_keyless"] == "watched"


def test_a_partition_by_itself_is_refused_with_its_root(many: Connection, admin: SyncConnection) -> None:
    (step,) = watching.plan(admin, ["public.dcim_log_*"], [], WatchOptions()).steps
    assert step.outcome is watching.Outcome.REFUSED
    assert step.remedy is not None and "jobhooks table watch public.dcim_log," in step.remedy


def test_a_pattern_without_a_schema_goes_by_the_search_path(many: Connection, admin: SyncConnection) -> None:
    assert "inventory.dcim_rack" not in outcomes(watching.plan(admin, ["dcim_*"], [], WatchOptions()).steps)
    assert outcomes(watching.plan(admin, ["shel*"], [], WatchOptions()).steps) == {"inventory.shelf": "watched"}
    with pytest.raises(Refused):
        watching.plan(admin, ["public.nothing_*"], [], WatchOptions())
    with pytest.raises(UnknownTable):
        watching.plan(admin, ["public.dcim_*", "public.dcim_siet"], [], WatchOptions())


def test_a_pattern_needs_a_part_for_tables(many: Connection, admin: SyncConnection) -> None:
    with pytest.raises(WrongUsage):
        watching.plan(admin, ["public*."], [], WatchOptions())


def test_a_locked_table_is_refused_and_holds_up_no_other(
    many: Connection, admin: SyncConnection, database: str
) -> None:
    with psycopg.connect(database) as other:
        other.execute("lock table public.dcim_site in access exclusive mode")
        done = list(watching.carry_out(admin, watching.plan(admin, ["public.dcim_[ts]*"], [], WatchOptions()).steps))
    assert outcomes(done) == {"public.dcim_site": "refused", "public.dcim_tag": "watched"}
    assert done[-1].table == "public.dcim_site"
    assert run(admin, "public.dcim_[ts]*") == {"public.dcim_site": "watched", "public.dcim_tag": "unchanged"}


def test_a_name_without_a_schema_means_the_only_table_of_that_name(many: Connection, admin: SyncConnection) -> None:
    assert watch(admin, "shelf").table == "inventory.shelf"
    many.execute("create table public.dcim_rack (id integer primary key)")
    assert watch(admin, "dcim_rack").table == "public.dcim_rack"  # by the search_path, as for PostgreSQL
    many.execute("create schema other; create table other.shelf (id integer primary key)")
    with pytest.raises(UnknownTable, match=r"inventory\.shelf, other\.shelf"):
        watch(admin, "shelf")
