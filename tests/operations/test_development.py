"""Arranging a database for `jobhooks dev`: all tables watched, all receivers hooked; nothing that exists is changed."""

from pathlib import Path

import pytest

from conftest import Connection
from jobhooks.contract.job_settings import JobSettings
from jobhooks.errors import Refused, UnknownColumn
from jobhooks.operations.configuration.hooks import hooks
from jobhooks.operations.configuration.jobs import FoundJob, disable_job, register_jobs
from jobhooks.operations.development import (
    arrange,
    check_nobody_leads,
    modules_in,
    retry_failures,
    unwatched,
    why_it_looks_like_production,
)
from jobhooks.store.connections import SyncConnection


@pytest.fixture
def found(device: Connection, admin: SyncConnection) -> Connection:
    """Two tables that are not watched, and the jobs of two receivers; one comes with jobhooks."""
    device.execute("create table public.site (id integer primary key); create table public.note (text text)")
    register_jobs(
        admin,
        [FoundJob("shout.Shout", JobSettings(name="x")), FoundJob("other.Other", JobSettings(name="x"))],
        complete=True,
    )
    return device


def test_what_is_new_is_watched_enabled_and_hooked(found: Connection, admin: SyncConnection) -> None:
    assert unwatched(admin, ["public.note"]) == ["public.site"]
    first = arrange(admin, {"shout"}, ["public.note"])
    assert (first.watched, first.enabled, first.hooked) == (["public.site"], ["shout.Shout"], ["dev: shout.Shout"])
    (hook,) = hooks(admin)
    assert hook.runs and hook.content_types == ["public.device", "public.site"]
    again = arrange(admin, {"shout"}, ["public.note"])
    assert (again.watched, again.refused, again.enabled, again.hooked) == ([], [], [], [])
    found.execute("create table public.later (id integer primary key)")
    assert arrange(admin, {"shout"}, ["public.note"]).watched == ["public.later"]
    (hook,) = hooks(admin)
    assert hook.content_types == ["public.device", "public.later", "public.site"]
    # A table without a key is watched too: its changes come in order as a whole.
    assert arrange(admin, {"shout"}).watched == ["public.note"]


def test_a_receiver_that_cannot_be_hooked_stops_no_other_one(found: Connection, admin: SyncConnection) -> None:
    """As one that is ordered by a column that no table has yet."""
    ordered = FoundJob("by.Column", JobSettings(name="x", order_by=("site_id",)))
    register_jobs(admin, [ordered, FoundJob("shout.Shout", JobSettings(name="x"))], complete=True)
    first = arrange(admin, {"by", "shout"})
    assert [(one.job, type(one.error)) for one in first.unhooked] == [("by.Column", UnknownColumn)]
    assert first.hooked == ["dev: shout.Shout"]
    found.execute("create table public.rack (id integer primary key, site_id integer)")
    assert arrange(admin, {"by", "shout"}).hooked == ["dev: by.Column", "dev: shout.Shout"]


def test_failures_of_changed_receivers_are_tried_again(found: Connection, admin: SyncConnection) -> None:
    """Those of the hooks of dev only: a hook of the user is the user's."""
    found.execute("select jobhooks.enable_job('other.Other')")
    found.execute("select jobhooks.add_hook('own', '{public.device}', '{update}', 'other.Other')")
    arrange(admin, {"shout", "other"})
    found.execute(
        "insert into jobhooks.delivery (change_id, hook_id, content_type_id, lane, status, due_at, failures)"
        " select change_id, hook.id, 1, change_id, status, now() + due, failures from (values"
        " (1, 'dev: shout.Shout', 'dead', null, 2), (2, 'dev: shout.Shout', 'waiting', interval '1 h', 1),"
        " (3, 'dev: shout.Shout', 'waiting', '1 h', 0), (4, 'own', 'dead', null, 2)"
        ") as row (change_id, hook, status, due, failures) join jobhooks.job_hook as hook on hook.name = row.hook"
    )
    assert retry_failures(admin, ["other.Other", "new.New"]) == []
    assert retry_failures(admin, ["shout.Shout"]) == [1, 2]
    due = found.execute("select change_id from jobhooks.delivery where due_at <= now() order by change_id")
    assert due.fetchall() == [(1,), (2,)]


def test_a_receiver_with_a_hook_keeps_it_and_gets_no_other(found: Connection, admin: SyncConnection) -> None:
    found.execute("select jobhooks.enable_job('shout.Shout')")
    found.execute("select jobhooks.add_hook('own', '{public.device}', '{update}', 'shout.Shout')")
    disable_job(admin, "shout.Shout")
    arranged = arrange(admin, {"shout"})
    assert (arranged.enabled, arranged.hooked) == ([], [])
    assert [(hook.name, hook.content_types) for hook in hooks(admin)] == [("own", ["public.device"])]


def test_a_database_without_tables_is_no_error(conn: Connection, admin: SyncConnection) -> None:
    """As at the start with a throw-away database."""
    register_jobs(admin, [FoundJob("shout.Shout", JobSettings(name="x"))], complete=True)
    assert arrange(admin, {"shout"}).hooked == []


def test_modules_are_files_and_packages(tmp_path: Path) -> None:
    (tmp_path / "one.py").touch()
    (tmp_path / "text.md").touch()
    (tmp_path / "package").mkdir()
    (tmp_path / "package" / "__init__.py").touch()
    assert modules_in([tmp_path, tmp_path / "none"]) == {"one", "package"}


@pytest.mark.parametrize(
    ("environment", "looks"), [("", False), ("production", True), ("eu-prod", True), ("product", False), ("live", True)]
)
def test_what_looks_like_production(admin: SyncConnection, environment: str, looks: bool) -> None:
    assert (why_it_looks_like_production(admin, environment) is not None) is looks


def test_a_daemon_at_work_is_an_obstacle(conn: Connection, admin: SyncConnection) -> None:
    check_nobody_leads(admin)
    conn.execute("select pg_advisory_lock(5)")
    conn.execute("update jobhooks.cursor set leader_pid = pg_backend_pid(), leader_lock = 5")
    with pytest.raises(Refused):
        check_nobody_leads(admin)
