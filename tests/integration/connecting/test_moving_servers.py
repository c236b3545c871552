"""Moves and copies between servers, with PostgreSQL's own programs: pg_upgrade, dump and restore, base backups."""

import contextlib
import os
import tempfile
from collections.abc import Generator
from pathlib import Path

import psycopg
import pytest

from conftest import Connection
from jobhooks.contract.job_settings import JobSettings
from jobhooks.embedded import run_server, server_account
from jobhooks.matching.hook_settings import HookSettings
from jobhooks.operations import adopting, tables
from jobhooks.operations.configuration import hooks, jobs
from jobhooks.operations.configuration.jobs import FoundJob
from jobhooks.schema.install import install
from jobhooks.store.connections import call, connect
from support.daemon import jobhooks
from support.engine.observing import Recorder, sessions
from support.postgres.clusters import compress_as_all_servers_can, new_cluster, upgrade, versions
from support.postgres.moving import RUNS, Counts, deliver_all, insert, make_shop, work, write_here

pytestmark = pytest.mark.nightly


@pytest.fixture
def directory() -> Generator[Path]:
    """A directory with a short name, for sockets, that the server's account may write to."""
    with tempfile.TemporaryDirectory(prefix="jh-", dir="/tmp") as name:
        account = server_account()
        if account.uid is not None and account.gid is not None:
            os.chown(name, account.uid, account.gid)
        yield Path(name)


def open_shop(url: str, stack: contextlib.ExitStack) -> Connection:
    """Install jobhooks in a new database of a server, with hooks; return a client."""
    with psycopg.connect(url.replace("/shop", "/postgres"), autocommit=True) as admin:
        admin.execute("create database shop")
    conn = stack.enter_context(psycopg.connect(url, autocommit=True))
    conn.execute(
        "create table public.device (id integer generated always as identity primary key, name text, serial text)"
    )
    with contextlib.closing(connect(url)) as admin:
        install(admin)
        tables.watch(admin, "public.device")
        jobs.register_jobs(admin, [FoundJob("m.C", JobSettings(name="C"))], complete=True)
        jobs.enable_job(admin, "m.C")
        hooks.add_hook(admin, HookSettings("h", ["public.device"], "m.C", ["create", "update", "delete", "truncate"]))
    make_shop(conn, url)
    compress_as_all_servers_can(conn)
    return conn


def use_up_ids(url: str, thousands: int) -> None:
    with contextlib.closing(connect(url)) as admin:
        for _ in range(thousands):
            call(admin, "use_up_transaction_ids")


async def adopt_and_deliver(url: str, *, survived: bool) -> None:
    refused = jobhooks("run", "--database-url", url)
    assert refused.returncode == 4 and "jobhooks adopt --moved" in refused.stderr, refused
    with psycopg.connect(url, autocommit=True) as conn:
        write_here(conn)
        with contextlib.closing(connect(url)) as admin:
            assert adopting.plan_adoption(admin).ids_survived is survived
            assert adopting.adopt_moved(admin) is survived
        insert(conn, "device", 5)
        await deliver_all(conn, url)


async def test_pg_upgrade(directory: Path) -> None:
    old, new = (new_cluster(directory, name, each) for name, each in zip(("old", "new"), versions(), strict=True))
    old.initialise()
    new.initialise()
    with old.running(), contextlib.ExitStack() as stack:
        conn = open_shop(old.url, stack)
        use_up_ids(old.url, 5)
        await work(conn, old.url)
    upgrade(old, new)
    with new.running():
        await adopt_and_deliver(new.url, survived=True)


@pytest.mark.parametrize("unread", [0, 2000])
async def test_dump_and_restore(directory: Path, unread: int) -> None:
    """Also with more unread transactions than the new server has handed out ids."""
    old, new = (new_cluster(directory, name, each) for name, each in zip(("old", "new"), versions(), strict=True))
    old.initialise()
    with run_server(new.binaries) as server, old.running(), contextlib.ExitStack() as stack:
        conn = open_shop(old.url, stack)
        use_up_ids(old.url, 20)
        await work(conn, old.url)
        one = "insert into public.device (name) values ('n'); commit;"
        conn.execute(f"do $$ begin for i in 1..{unread} loop {one} end loop; end $$".encode())
        with psycopg.connect(server.url(), autocommit=True) as admin:
            admin.execute("create database shop")
        new.restore(old.url, server.url("shop"), directory / "dump")
        await adopt_and_deliver(server.url("shop"), survived=False)


async def test_base_backup(directory: Path) -> None:
    """The copy delivers nothing of the original, and each goes on with its own changes."""
    _, binaries = versions()
    original, copy = new_cluster(directory, "one", binaries), new_cluster(directory, "two", binaries)
    original.initialise()
    with original.running(), contextlib.ExitStack() as stack:
        conn = open_shop(original.url, stack)
        RUNS.clear()
        insert(conn, "device", 10)
        recorder = Recorder()
        async with sessions(original.url, Counts, recorder):
            await recorder.until_event("settled", count=10)
        insert(conn, "device", 5)
        copy.program(
            "pg_basebackup", "-D", str(copy.data), "-h", str(original.directory), "-U", "postgres", "-c", "fast"
        )
        with copy.running(), psycopg.connect(copy.url, autocommit=True) as theirs:
            refused = jobhooks("run", "--database-url", copy.url)
            assert refused.returncode == 4 and f"{copy.directory} on" in refused.stderr, refused
            assert f"{original.directory} on" in refused.stderr, refused
            adopted = jobhooks("adopt", "--copy", "--yes", "--database-url", copy.url)
            assert adopted.returncode == 0 and "5 unread" in adopted.stderr, adopted
            insert(theirs, "device", 2)
            recorder = Recorder()
            async with sessions(copy.url, Counts, recorder):
                await recorder.until_event("settled", count=2)
            assert sum(RUNS.values()) == 12
        recorder = Recorder()
        async with sessions(original.url, Counts, recorder):
            await recorder.until_event("settled", count=5)
    assert sum(RUNS.values()) == 17
