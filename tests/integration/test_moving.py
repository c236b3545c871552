"""A database that was moved: nothing that was unread or pending is lost, and nothing is delivered twice."""

import contextlib
from collections import Counter
from typing import Any

import psycopg
import pytest

from conftest import Connection
from jobhooks import Change, JobHookReceiver
from jobhooks.matching.hook_settings import HookSettings
from jobhooks.operations import adopting, tables
from jobhooks.operations.adopting import Owed
from jobhooks.operations.configuration import hooks
from jobhooks.store.connections import call, connect
from support.moving import as_restored
from support.observing import Recorder, sessions

POSITIONS = """
select seen::text, seen_floor, horizon::text, horizon_floor, last_id from jobhooks.cursor
union all select seen::text, seen_floor, horizon::text, horizon_floor, last_id from jobhooks.hook_position
union all select enabled_since::text, id, null, null, null from jobhooks.job_hook
"""
RUNS: Counter[tuple[str, int]] = Counter()  # that succeeded, by hook and change


class Counts(JobHookReceiver[Any]):
    bad_fails = True

    class Meta:
        backoff = 3600

    async def receive_job_hook(self, change: Change) -> None:
        if Counts.bad_fails and (change.postchange or {}).get("name") == "bad":
            raise ValueError("it is bad")
        RUNS[self.hook.name, change.id] += 1


@pytest.fixture
def shop(hooked: Connection, database: str) -> Connection:
    """The client's connection, with a second watched table whose hook can pause, and a third one without a hook."""
    hooked.execute("create table public.site (id integer generated always as identity primary key, name text)")
    hooked.execute("create table public.rack (id integer generated always as identity primary key, name text)")
    hooked.execute("create table public.unwatched (id integer)")
    with contextlib.closing(connect(database)) as admin:
        tables.watch(admin, "public.site")
        tables.watch(admin, "public.rack")
        hooks.add_hook(admin, HookSettings("of sites", ["public.site"], "m.C", ["create"]))
    return hooked


def insert(conn: Connection, table: str, number: int) -> None:
    conn.execute(f"insert into public.{table} (name) select 'n' || i from generate_series(1, {number}) as i".encode())


async def work(conn: Connection, database: str) -> None:
    """Leave every kind of position behind: late commits, a paused hook, a half-read window, a backlog, a new hook."""
    with psycopg.connect(database) as late:
        late.execute("insert into public.device (name) values ('late 1'), ('late 2')")
        insert(conn, "device", 30)
        conn.execute("insert into public.device (name) values ('bad')")
        conn.execute("update public.device set serial = 'behind' where name = 'bad'")
        insert(conn, "site", 5)
        recorder = Recorder()
        async with sessions(database, Counts, recorder):
            await recorder.until_event("settled", count=36)
            with contextlib.closing(connect(database)) as admin:
                hooks.pause_hooks(admin, ["of sites"])
            insert(conn, "site", 4)
            insert(conn, "device", 3)
            await recorder.until("3 more are settled", lambda: sum(RUNS.values()) == 38)
            insert(conn, "device", 250)
            await recorder.until("a part is settled", lambda: sum(RUNS.values()) > 130)
        late.execute("insert into public.device (name) values ('late 3')")
    insert(conn, "rack", 4)  # before the hook that is for later ones
    with contextlib.closing(connect(database)) as admin:
        hooks.add_hook(admin, HookSettings("of racks", ["public.rack"], "m.C", ["create"]))
    insert(conn, "rack", 2)


def write_here(conn: Connection) -> None:
    """Write before the database is adopted: an application does not wait for that."""
    insert(conn, "device", 3)
    with conn.transaction():
        conn.execute("insert into public.site (name) values ('one transaction')")
        with conn.transaction():
            conn.execute("insert into public.device (name) values ('in its savepoint')")
    insert(conn, "rack", 1)
    conn.execute("update public.device set serial = 'behind, too' where name = 'bad'")


async def deliver_all(conn: Connection, database: str) -> None:
    Counts.bad_fails = False
    expected = Counter(
        {
            ("h" if table == "device" else f"of {table}s", change_id): 1
            for change_id, table in conn.execute(
                "select change.id, split_part(content_type.name, '.', 2) from jobhooks.object_change as change"
                " join jobhooks.content_type on content_type.id = change.content_type_id"
                " where change.id not in (select id from jobhooks.object_change where content_type_id ="
                " (select id from jobhooks.content_type where name = 'public.rack') order by id limit 4)"
            ).fetchall()
        }
    )
    with contextlib.closing(connect(database)) as admin:
        hooks.pause_hooks(admin, ["of sites"], paused=False)
    conn.execute("update jobhooks.delivery set due_at = now()")
    recorder = Recorder()
    async with sessions(database, Counts, recorder):
        await recorder.until("all are delivered", lambda: len(RUNS) >= len(expected))
    assert expected == RUNS


@pytest.mark.parametrize("way", ["restored", "upgraded"])
async def test_a_moved_database_delivers_each_change_once(shop: Connection, database: str, way: str) -> None:
    """The ledger is exact: what ran before the move runs no more, and everything else runs once."""
    RUNS.clear()
    Counts.bad_fails = True
    await work(shop, database)
    if way == "restored":
        as_restored(shop)
    else:
        shop.execute("update jobhooks.cursor set system_identifier = 1")
    with psycopg.connect(database) as early:
        early.execute("insert into public.unwatched values (1)")  # it has its id, and many others get theirs
        with contextlib.closing(connect(database)) as admin:
            call(admin, "use_up_transaction_ids")
        write_here(shop)
        before = shop.execute(POSITIONS).fetchall()
        with contextlib.closing(connect(database)) as admin:
            found = {each.hook: each for each in adopting.plan_adoption(admin).hooks}
            assert adopting.adopt_moved(admin) is (way == "upgraded")
        assert (shop.execute(POSITIONS).fetchall() == before) is (way == "upgraded")
        insert(shop, "device", 5)
        early.execute("insert into public.device (name) values ('early')")
    of_device = sum(hook == "h" for hook, _ in RUNS)
    assert found["h"] == Owed("h", 291 - of_device, complete=True, waiting=2, dead=0)
    assert found["of sites"] == Owed("of sites", 5, complete=True, waiting=0, dead=0)
    assert found["of racks"] == Owed("of racks", 3, complete=True, waiting=0, dead=0)
    await deliver_all(shop, database)
