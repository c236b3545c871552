"""Tables of a file: planned, tried without a lock, watched one by one, and unwatched only if that is asked for."""

import psycopg
import pytest

from conftest import Connection
from jobhooks.errors import Refused, UnknownTable, UnwatchableTable
from jobhooks.matching.hook_settings import HookSettings
from jobhooks.operations.configuration import hook_plan, hooks, table_plan
from jobhooks.operations.configuration.table_file import TableEntry
from jobhooks.operations.tables import watch, watched_tables
from jobhooks.store.connections import SyncConnection

WANTED = [TableEntry(name="site", exclude=["secret"]), TableEntry(name="public.note", key=[])]


@pytest.fixture
def made(device: Connection) -> Connection:
    device.execute("create table public.site (id integer primary key, secret text, seen timestamptz)")
    device.execute("create table public.note (text text)")
    device.execute("insert into jobhooks.job (class_path, enabled) values ('a.B', true)")
    return device


def test_tables_are_watched_as_the_file_says(made: Connection, admin: SyncConnection) -> None:
    plan = table_plan.plan(admin, WANTED)
    assert [(step.table, step.outcome.value) for step in plan.steps] == [
        ("public.site", "watched"),
        ("public.note", "watched"),
    ]
    assert plan.others == ["public.device"]
    table_plan.carry_out(admin, plan)
    assert table_plan.plan(admin, WANTED).steps == []
    assert [(entry.name, entry.key, entry.exclude) for entry in table_plan.exported(admin)] == [
        ("public.device", None, []),
        ("public.note", [], []),
        ("public.site", None, ["secret"]),
    ]
    assert table_plan.plan(admin, table_plan.exported(admin)).steps == []
    # Unlike a pattern, a file says all: an option that it does not have is taken away.
    (step,) = table_plan.plan(admin, [TableEntry(name="public.site", ignore=["seen"])]).steps
    assert [(one.setting, one.before, one.after) for one in table_plan.differences(step)] == [
        ("exclude", ["secret"], []),
        ("ignore", [], ["seen"]),
    ]


def test_parents_come_after_all_tables_are_watched(made: Connection, admin: SyncConnection) -> None:
    """Two tables can be the parents of each other; one with a foreign key is in the file without columns."""
    made.execute("create table public.port (id integer primary key, site_id integer references public.site)")
    made.execute("alter table public.site add uplink integer references public.port")
    wanted = [
        TableEntry(name="site", parents=["public.port=uplink"]),
        TableEntry(name="port", parents=["public.site"]),
    ]
    plan = table_plan.plan(admin, wanted)
    hook_plan.carry_out(admin, [], [], keep=False, first=lambda: table_plan.pretend(admin, plan))
    table_plan.carry_out(admin, plan)
    assert [(entry.name, entry.parents) for entry in table_plan.exported(admin)] == [
        ("public.device", []),
        ("public.port", ["public.site=site_id"]),
        ("public.site", ["public.port=uplink"]),
    ]
    assert table_plan.plan(admin, wanted).steps == []
    wrong = table_plan.plan(admin, [TableEntry(name="site", parents=["public.device=secret"])])
    with pytest.raises(UnwatchableTable, match="its column secret is of the type text"):
        hook_plan.carry_out(admin, [], [], keep=False, first=lambda: table_plan.pretend(admin, wrong))
    table_plan.carry_out(admin, table_plan.plan(admin, [TableEntry(name="site")]))
    assert [entry.parents for entry in table_plan.exported(admin)] == [[], ["public.site=site_id"], []]


def test_a_trial_locks_no_table_and_knows_tables_that_are_not_watched_yet(
    made: Connection, admin: SyncConnection, database: str
) -> None:
    """The hooks of a file can be for tables that it watches first; a writer must not wait for a question."""
    plan = table_plan.plan(admin, WANTED)
    seen = hooks.hooks(admin)
    steps = hook_plan.plan(admin, seen, [HookSettings("h", ["public.site"], "a.B", ["create"], columns=["seen"])])
    with psycopg.connect(database) as other:
        other.execute("lock table public.site in access exclusive mode")
        hook_plan.carry_out(admin, seen, steps, keep=False, first=lambda: table_plan.pretend(admin, plan))
    assert [table.table for table in watched_tables(admin)] == ["public.device"]
    with pytest.raises(Refused):
        hook_plan.carry_out(admin, seen, steps, keep=False)
    wrong = table_plan.plan(admin, [TableEntry(name="public.site", ignore=["no"])])
    with pytest.raises(UnwatchableTable):
        hook_plan.carry_out(admin, seen, [], keep=False, first=lambda: table_plan.pretend(admin, wrong))


def test_a_table_that_cannot_be_watched_is_an_error(made: Connection, admin: SyncConnection, database: str) -> None:
    for wrong, error in (
        ([TableEntry(name="public.note")], UnwatchableTable),
        ([TableEntry(name="public.nota")], UnknownTable),
        ([TableEntry(name="site"), TableEntry(name="public.site")], UnwatchableTable),
    ):
        with pytest.raises(error):
            table_plan.plan(admin, wrong)
    with psycopg.connect(database) as other:
        other.execute("lock table public.site in access exclusive mode")
        with pytest.raises(Refused, match="1 of 2 tables"):
            table_plan.carry_out(admin, table_plan.plan(admin, WANTED))


def test_a_name_that_means_another_table_since_is_refused(made: Connection, admin: SyncConnection) -> None:
    """Its table was dropped, and another schema has one of that name: the author of the file did not mean that one."""
    entry = TableEntry(name="site")
    table_plan.carry_out(admin, table_plan.plan(admin, [entry]))
    hook = HookSettings("h", ["site"], "a.B", ["create"])
    assert hook_plan.in_file(admin, hook).content_types == ["public.site"]
    made.execute("drop table public.site; create schema other; create table other.site (id integer primary key)")
    words = "site was public.site, which was dropped, and now means other.site"
    with pytest.raises(UnknownTable, match=words):
        table_plan.plan(admin, [entry])
    with pytest.raises(UnknownTable, match=words):
        hook_plan.in_file(admin, hook)
    (step,) = table_plan.plan(admin, [TableEntry(name="other.site")]).steps
    assert step.table == "other.site"
    made.execute("create table public.site (id integer primary key)")
    assert [step.table for step in table_plan.plan(admin, [entry]).steps] == ["public.site"]
    made.execute("drop table public.site")
    table_plan.unwatch(admin, ["public.site"])
    assert [step.table for step in table_plan.plan(admin, [entry]).steps] == ["other.site"]


def test_other_tables_are_unwatched_by_name(made: Connection, admin: SyncConnection) -> None:
    watch(admin, "public.site")
    table_plan.unwatch(admin, table_plan.plan(admin, [TableEntry(name="public.site")]).others)
    assert [table.table for table in watched_tables(admin) if table.state == "watched"] == ["public.site"]
