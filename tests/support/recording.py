"""Receivers that record each delivery, and the check that each was made once and in order per object."""

from psycopg import Connection
from psycopg.rows import TupleRow

RECEIVERS = """
import asyncio, random
from pathlib import Path
from jobhooks import JobHookReceiver

async def record(self, change):
    await self.connection.execute("insert into public.got (hook, change) values ($1, $2)", self.hook.id, change.id)

class Records(JobHookReceiver):
    async def receive_job_hook(self, change):
        await record(self, change)

class RecordsNow(JobHookReceiver):
    def receive_job_hook(self, change):
        self.connection.execute("insert into public.got (hook, change) values (%s, %s)", [self.hook.id, change.id])

class RecordsSlowly(JobHookReceiver):
    async def receive_job_hook(self, change):
        await asyncio.sleep(0.01)
        await record(self, change)

class RecordsBatches(JobHookReceiver):
    class Meta:
        batch_size, backoff, max_attempts = 50, 0.1, 1000
    async def receive_job_hook_batch(self, changes):
        for change in changes:
            await record(self, change)
        if random.Random(f"SEED {changes[0].id} {self.attempt}").random() < 0.1:
            raise ValueError("at random")

class Counts(JobHookReceiver):
    # All runs change the same row, so they wait for each other's locks.
    class Meta:
        backoff, max_attempts = 0.1, 1000
    async def receive_job_hook(self, change):
        await record(self, change)
        await self.connection.execute("update public.counted set n = n + 1")

class Stumbles(JobHookReceiver):
    class Meta:
        backoff, max_attempts = 0.1, 1000
    async def receive_job_hook(self, change):
        await record(self, change)
        if random.Random(f"SEED {change.id} {self.attempt}").random() < 0.1:
            raise ValueError("at random")

class Dawdles(JobHookReceiver):
    class Meta:
        backoff, max_attempts, concurrency = 0.1, 1000, 100
    async def receive_job_hook(self, change):
        chance = random.Random(f"SEED {change.id} {self.attempt}")
        await asyncio.sleep(chance.random() * 2)
        await record(self, change)
        if chance.random() < 0.3:
            raise ValueError("at random")

class FailsUntilMended(JobHookReceiver):
    # What is called bad fails until the table "mended" has a row.
    class Meta:
        backoff, max_attempts = 0.05, 1000
    async def receive_job_hook(self, change):
        await record(self, change)
        row = change.postchange or change.prechange
        if row["name"] == "bad" and not await self.connection.fetchval("select exists (select from public.mended)"):
            raise ValueError("not mended")

class FailsFirst(JobHookReceiver):
    # What is called bad fails once, and then waits for an operator.
    class Meta:
        backoff = 3600
    async def receive_job_hook(self, change):
        await record(self, change)
        if change.postchange["name"] == "bad" and self.attempt == 1:
            raise ValueError("the first attempt fails")

class FallsBehind(JobHookReceiver):
    # One in twenty changes fails at first.
    class Meta:
        backoff, concurrency = 0.1, 2
    async def receive_job_hook(self, change):
        await asyncio.sleep(0.01)
        await record(self, change)
        if self.attempt == 1 and change.id % 20 == 0:
            raise ValueError("the first attempt fails")

class FailsBriefly(JobHookReceiver):
    # Each change fails twice.
    class Meta:
        backoff = 0.05
    async def receive_job_hook(self, change):
        await record(self, change)
        if self.attempt < 3:
            raise ValueError("fails twice")

class FailsThenWaits(JobHookReceiver):
    # What is called bad fails once, and is due again in some seconds.
    class Meta:
        backoff = 3
    async def receive_job_hook(self, change):
        await record(self, change)
        if change.postchange["name"] == "bad" and self.attempt == 1:
            raise ValueError("the first attempt fails")

class Holds(JobHookReceiver):
    # What is called bad runs until there is the file "go on".
    async def receive_job_hook(self, change):
        await record(self, change)
        if change.postchange is not None and change.postchange["name"] == "bad":
            Path("runs").touch()
            while not Path("go on").exists():
                await asyncio.sleep(0.01)
"""

# Per hook and object, each change that was delivered before an older one. Two transactions can insert into a table
# without a key at the same time, so the order of the ids is not that of the commits there.
OUT_OF_ORDER = """
with delivered as (
    select
        got.n, got.hook, got.change, change.content_type_id, key.part
    from public.got
    inner join jobhooks.object_change as change on change.id = got.change
    inner join jobhooks.content_type on content_type.id = change.content_type_id
    cross join lateral (
        select array(select change.prechange ->> name from unnest(content_type.key_columns) as key (name))
        where change.prechange is not null
        union
        select array(select change.postchange ->> name from unnest(content_type.key_columns) as key (name))
        where change.postchange is not null
    ) as key (part)
    where content_type.key_columns <> '{}'
)
select hook, before, change
from (
    select *, lag(change) over (partition by hook, content_type_id, part order by n) as before
    from delivered
) as pair
where before >= change
order by hook, change
"""
# Each hook with a change that it did not get once.
NOT_ONCE = """
select hook.id, change.id, (select count(*) from public.got where got.hook = hook.id and got.change = change.id)
from jobhooks.job_hook as hook
cross join jobhooks.object_change as change
where change.triggering
    and 1 <> (select count(*) from public.got where got.hook = hook.id and got.change = change.id)
order by hook.id, change.id
"""
SETTLED = """
select count(*) = (
    select count(*)
    from jobhooks.object_change as change
    cross join jobhooks.job_hook
    where change.triggering
)
from jobhooks.job_result
where status = 'success'
"""


def make_got(conn: Connection[TupleRow]) -> None:
    """Make the tables that the receivers write and read."""
    conn.execute("create table public.got (n bigserial, hook integer, change bigint)")
    conn.execute("create index on public.got (change, hook)")
    conn.execute("create table public.mended (id integer)")
    conn.execute("create table public.counted (n bigint); insert into public.counted values (0)")


def replace_devices(conn: Connection[TupleRow], rows: int) -> None:
    """Give ``public.device`` so many rows in place of its own, which is not recorded: the log stays empty."""
    conn.execute("set session_replication_role = replica; truncate public.device restart identity")
    conn.execute("insert into public.device (name, serial) select 'd', '' from generate_series(1, %s)", [rows])
    conn.execute("set session_replication_role = origin")


def all_delivered(conn: Connection[TupleRow]) -> bool:
    """Check that the number of successes is that of the changes for all hooks, and nothing waits."""
    ((done,),) = conn.execute(SETTLED).fetchall()
    return bool(done) and not conn.execute("select from jobhooks.delivery limit 1").fetchall()


def assert_once_and_in_order(conn: Connection[TupleRow]) -> None:
    """Assert that each hook got each change once, and the changes of an object in order."""
    assert conn.execute(OUT_OF_ORDER).fetchall() == []
    assert conn.execute(NOT_ONCE).fetchall() == []
