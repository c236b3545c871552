"""Moving a database: what a restore into another server does to the log, and a workload with an exact ledger."""

import contextlib
from collections import Counter
from typing import Any

import psycopg

from conftest import Connection
from jobhooks import Change, JobHookReceiver
from jobhooks.matching.hook_settings import HookSettings
from jobhooks.operations import tables
from jobhooks.operations.configuration import hooks
from jobhooks.store.connections import connect
from support.engine.observing import Recorder, sessions

HIGHER = 10_000_000  # by so many are the transaction ids of the former server above those of this one

RUNS: Counter[tuple[str, int]] = Counter()  # that succeeded, by hook and change
# A restore stores each table in one transaction, with the transaction ids of the former server in its rows.
SHIFT = """
create or replace function pg_temp.shifted(taken pg_snapshot) returns pg_snapshot language sql as $$
    select format(
        '%s:%s:%s', pg_snapshot_xmin(taken)::text::bigint + HIGHER, pg_snapshot_xmax(taken)::text::bigint + HIGHER,
        (
            select string_agg((id::text::bigint + HIGHER)::text, ',' order by id::text::bigint)
            from pg_snapshot_xip(taken) as id
        )
    )::pg_snapshot
$$;
begin;
update jobhooks.object_change set transaction_id = (transaction_id::text::bigint + HIGHER)::text::xid8;
update jobhooks.cursor set seen = pg_temp.shifted(seen), horizon = pg_temp.shifted(horizon), system_identifier = 1;
update jobhooks.hook_position set seen = pg_temp.shifted(seen), horizon = pg_temp.shifted(horizon);
update jobhooks.job_hook set enabled_since = pg_temp.shifted(enabled_since);
commit;
"""


def as_restored(conn: Connection) -> None:
    """Make a database look as if it had been dumped on another server and restored here."""
    conn.execute(SHIFT.replace("HIGHER", str(HIGHER)).encode())


class Counts(JobHookReceiver[Any]):
    """Counts its runs. It fails for a row called bad while ``bad_fails``."""

    bad_fails = True

    class Meta:
        backoff = 3600

    async def receive_job_hook(self, change: Change) -> None:
        if Counts.bad_fails and (change.postchange or {}).get("name") == "bad":
            raise ValueError("it is bad")
        RUNS[self.hook.name, change.id] += 1


def make_shop(conn: Connection, database: str) -> None:
    """Add a second watched table whose hook can pause, a third one without a hook, and one that is not watched."""
    conn.execute("create table public.site (id integer generated always as identity primary key, name text)")
    conn.execute("create table public.rack (id integer generated always as identity primary key, name text)")
    conn.execute("create table public.unwatched (id integer)")
    with contextlib.closing(connect(database)) as admin:
        tables.watch(admin, "public.site")
        tables.watch(admin, "public.rack")
        hooks.add_hook(admin, HookSettings("of sites", ["public.site"], "m.C", ["create"]))


def insert(conn: Connection, table: str, number: int) -> None:
    """Write rows in one transaction."""
    conn.execute(f"insert into public.{table} (name) select 'n' || i from generate_series(1, {number}) as i".encode())


async def work(conn: Connection, database: str) -> None:
    """Begin to count, and leave every kind of position behind.

    Late commits, a paused hook, a half-read window, a backlog, and a hook that is new.
    """
    RUNS.clear()
    Counts.bad_fails = True
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
    """Deliver the rest, and check that each delivery has run once since ``work`` began."""
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
