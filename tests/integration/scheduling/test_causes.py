"""A receiver's writes are recorded with the user and the request of the change that caused them."""

import contextlib
from pathlib import Path

import pytest

from conftest import Connection
from jobhooks.operations import tables
from jobhooks.operations.configuration import hooks
from jobhooks.store.connections import connect
from support.daemon import Daemon, wait_until
from support.hooking import add_hook, write_receivers

SOURCE = """
import os
from pathlib import Path
import psycopg
from jobhooks import JobHookReceiver
from jobhooks.store.connections import asyncpg_arguments, connect_async

class Now(JobHookReceiver):
    def receive_job_hook(self, change):
        self.connection.execute("insert into public.noted (change) values (%s)", [change.id])

class Later(JobHookReceiver):
    async def receive_job_hook(self, change):
        await self.connection.execute("insert into public.noted (change) values ($1)", change.id)

class Fails(JobHookReceiver):
    # Its first attempt fails after it has written, in the middle of a group.
    class Meta:
        backoff = 0.05
    async def receive_job_hook(self, change):
        await self.connection.execute("insert into public.noted (change) values ($1)", change.id)
        if self.attempt == 1 and change.id % 3 == 0:
            raise ValueError("at first")

class Batches(JobHookReceiver):
    class Meta:
        batch_size, batch_wait = 3, 60
    def receive_job_hook_batch(self, changes):
        for change in changes:
            self.connection.execute("insert into public.noted (change) values (%s)", [change.id])

class Marks(JobHookReceiver):
    def receive_job_hook(self, change):
        with psycopg.connect(DATABASE) as own:
            self.mark(own)
            own.execute("insert into public.noted (change) values (%s)", [change.id])

class MarksLater(JobHookReceiver):
    async def receive_job_hook(self, change):
        with psycopg.connect(DATABASE) as found:
            own = await connect_async(asyncpg_arguments(found))
        async with own.transaction():
            await self.mark(own)
            await own.execute("insert into public.noted (change) values ($1)", change.id)
        await own.close()
"""
ODD = 'o\'hara \\ %s :x ? $1 "é" 😀\nnext'
WRITES = 12


@pytest.fixture
def receivers(tmp_path: Path, database: str, device: Connection) -> Path:
    device.execute("create table public.noted (id serial primary key, change bigint)")
    with contextlib.closing(connect(database)) as admin:
        tables.watch(admin, "public.noted")
    return write_receivers(tmp_path / "receivers", f"DATABASE = {database!r}\n{SOURCE}")


def write(conn: Connection, number: int, user: str | None, request: str | None) -> None:
    with conn.transaction():
        conn.execute(
            "select set_config('jobhooks.user_name', %s, true), set_config('jobhooks.request_id', %s, true)",
            [user or "", request or ""],
        )
        conn.execute("insert into public.device (name) values (%s)", [str(number)])


def caused(conn: Connection) -> list[tuple[object, ...]]:
    """The recorded cause of each receiver's write: the change it is for, user and request."""
    return conn.execute(
        "select (postchange ->> 'change')::int, context ->> 'user_name', context ->> 'request_id'"
        " from jobhooks.object_change where not triggering order by 1"
    ).fetchall()


@pytest.mark.parametrize("job", ["r.Now", "r.Later", "r.Fails", "r.Marks", "r.MarksLater"])
def test_each_write_has_the_user_and_request_of_its_change(
    device: Connection, database: str, receivers: Path, log: Path, job: str
) -> None:
    """Runs that share a transaction have separate causes, as a repeated run has. Without a user it is the role."""
    add_hook(database, receivers, job)
    said = [(ODD, "req 1"), ("ada", None), (None, "req-3"), (None, None)]
    for number in range(WRITES):
        write(device, number + 100, *said[number % len(said)])
    with Daemon(database, receivers, log):
        wait_until("all have run", lambda: len(caused(device)) == WRITES)
    (role,) = device.execute("select session_user::text").fetchone() or ("",)
    assert caused(device) == [
        (number + 1, said[number % 4][0] or role, said[number % 4][1]) for number in range(WRITES)
    ]


def test_a_batch_has_what_its_changes_share(device: Connection, database: str, receivers: Path, log: Path) -> None:
    """No single one of several users wrote all of it."""
    add_hook(database, receivers, "r.Batches")
    for number, user in enumerate(["ada", "bob", "ada"]):
        write(device, number + 100, user, "nightly")
    with Daemon(database, receivers, log):
        wait_until("the batch has run", lambda: len(caused(device)) == 3)
        for number in range(3):
            write(device, number + 200, "eve", f"r{number}")
        wait_until("the second batch has run", lambda: len(caused(device)) == 6)
    assert [row[1:] for row in caused(device)] == [(None, "nightly")] * 3 + [("eve", None)] * 3


def test_merged_changes_have_the_user_of_the_last_one(
    device: Connection, database: str, receivers: Path, log: Path
) -> None:
    """As the change that the receiver gets."""
    add_hook(database, receivers, "r.Now")
    with contextlib.closing(connect(database)) as admin:
        hooks.edit_hook(admin, "hook of r.Now", {"coalesce_s": 1.0})
    for user in ("ada", "bob"):
        with device.transaction():
            device.execute("select set_config('jobhooks.user_name', %s, true)", [user])
            device.execute("update public.device set name = %s where id = 1", [user])
    with Daemon(database, receivers, log):
        wait_until("they have run", lambda: len(caused(device)) == 1)
    assert caused(device) == [(2, "bob", None)]
