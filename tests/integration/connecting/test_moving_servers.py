"""Moves and copies between servers, with PostgreSQL's own programs: pg_upgrade, dump and restore, base backups."""

import contextlib
import os
import subprocess
import tempfile
from collections.abc import Generator
from dataclasses import dataclass
from pathlib import Path

import psycopg
import pytest

from conftest import Connection
from jobhooks import embedded
from jobhooks.contract.job_settings import JobSettings
from jobhooks.embedded import Account, run_server, server_account, system_binaries, usable_binaries, wheel_binaries
from jobhooks.matching.hook_settings import HookSettings
from jobhooks.operations import adopting, tables
from jobhooks.operations.configuration import hooks, jobs
from jobhooks.operations.configuration.jobs import FoundJob
from jobhooks.schema.install import install
from jobhooks.store.connections import call, connect
from support.daemon import jobhooks
from support.moving import RUNS, Counts, deliver_all, insert, make_shop, work, write_here
from support.observing import Recorder, sessions

pytestmark = pytest.mark.nightly


@dataclass(frozen=True)
class Cluster:
    """A server whose data stay: its programs, its directory and the account that it runs as."""

    binaries: Path
    directory: Path
    account: Account

    def program(self, name: str, *arguments: str) -> str:
        """Run one of its programs."""
        return embedded.run([str(self.binaries / name), *arguments], self.account)

    @property
    def data(self) -> Path:
        return self.directory / "data"

    @property
    def url(self) -> str:
        return f"postgresql://postgres@/shop?host={self.directory}"

    @property
    def major(self) -> int:
        return int(self.program("postgres", "--version").split()[2].partition(".")[0])

    def initialise(self) -> None:
        checksums = ["--no-data-checksums"] if self.major >= 18 else []
        arguments = ["-D", str(self.data), "-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C", "--no-sync"]
        self.program("initdb", *arguments, *checksums)

    @contextlib.contextmanager
    def running(self) -> Generator[None]:
        options = f"-c listen_addresses= -c unix_socket_directories={self.directory} -c fsync=off"
        log = str(self.directory / "log")
        self.program("pg_ctl", "-D", str(self.data), "-w", "-l", log, "-o", options, "start")
        try:
            yield
        finally:
            self.program("pg_ctl", "-D", str(self.data), "-w", "-m", "fast", "stop")


@pytest.fixture
def directory() -> Generator[Path]:
    """A directory with a short name, for sockets, that the server's account may write to."""
    with tempfile.TemporaryDirectory(prefix="jh-", dir="/tmp") as name:
        account = server_account()
        if account.uid is not None and account.gid is not None:
            os.chown(name, account.uid, account.gid)
        yield Path(name)


def new_cluster(directory: Path, name: str, binaries: Path) -> Cluster:
    own = directory / name
    account = server_account()
    own.mkdir(mode=0o700)
    if account.uid is not None and account.gid is not None:
        os.chown(own, account.uid, account.gid)
    return Cluster(usable_binaries(binaries, own, account), own, account)


def versions() -> tuple[Path, Path]:
    """The programs of two servers, the older first: of two majors, if this machine has them."""
    found = [each for each in (system_binaries(), wheel_binaries()) if each is not None]
    assert found
    found.sort(key=lambda each: int(embedded.server_version(each, server_account()).partition(".")[0]))
    return found[0], found[-1]


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
    for segment in (
        "object_change",
        "object_change_1",
    ):  # the embedded server has no lz4, and the dump names the method
        for column in ("prechange", "postchange"):
            conn.execute(f"alter table jobhooks.{segment} alter {column} set compression pglz".encode())
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


def upgrade(old: Cluster, new: Cluster) -> None:
    """Run pg_upgrade."""
    sides = {"-b": old.binaries, "-B": new.binaries, "-d": old.data, "-D": new.data, "-s": new.directory}
    subprocess.run(
        [str(new.binaries / "pg_upgrade"), "-U", "postgres", *(str(part) for side in sides.items() for part in side)],
        check=True,
        cwd=new.directory,  # it writes a script there
        env=embedded.clean_environment(),
        user=new.account.uid,
        group=new.account.gid,
        extra_groups=new.account.extra_groups,
    )


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
        old_url, new_url = old.url.replace("/shop", "/postgres"), server.url()
        roles = new.program("pg_dumpall", "-d", old_url, "--roles-only")
        with psycopg.connect(new_url, autocommit=True) as admin:
            for line in roles.splitlines():
                if "jobhooks" in line:
                    admin.execute(line.encode())
            admin.execute("create database shop")
        new.program("pg_dump", "-Fc", "-f", str(directory / "dump"), old.url)
        new.program("pg_restore", "-d", server.url("shop"), str(directory / "dump"))
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
