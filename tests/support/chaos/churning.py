"""Writers and receivers for the oracle test: random changes, and receivers of each kind that fail and are slow."""

import random
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import psycopg
from psycopg import Connection
from psycopg.rows import TupleRow

from support.chaos.oracle import Promise
from support.hooking import add_hook, write_receivers

# What all receivers share. Chances are drawn again for each attempt.
SHARED = """
import zlib

def chance(receiver, change, word, one_in):
    drawn = f"{seed} {{word}} {{receiver.hook.id}} {{change.id}} {{receiver.attempt}}"
    return zlib.crc32(drawn.encode()) % one_in == 0

def is_slow(receiver, change):
    return chance(receiver, change, "slow", {slow_one_in})

def fails(receiver, change):
    return chance(receiver, change, "fail", {fail_one_in})

def values(change):
    before, after = change.prechange, change.postchange
    return (None if before is None else before["value"], None if after is None else after["value"])

async def record(receiver, change):
    await receiver.connection.execute(
        "insert into public.got (hook, change, before, after) values ($1, $2, $3, $4)",
        receiver.hook.id, change.id, *values(change),
    )
    if fails(receiver, change):
        raise ValueError("at random")
"""
RECEIVERS = """
import asyncio, time
from jobhooks import JobHookReceiver
from ._shared import fails, is_slow, record, values

class Writes(JobHookReceiver):
    class Meta:
        backoff, max_attempts = 0.02, 1000
    async def receive_job_hook(self, change):
        if is_slow(self, change):
            await asyncio.sleep(1.3)
        await record(self, change)

class WritesNow(JobHookReceiver):
    class Meta:
        backoff, max_attempts = 0.02, 1000
    def receive_job_hook(self, change):
        if is_slow(self, change):
            time.sleep(1.3)
        self.connection.execute(
            "insert into public.got (hook, change, before, after) values (%s, %s, %s, %s)",
            [self.hook.id, change.id, *values(change)],
        )
        if fails(self, change):
            raise ValueError("at random")

class WritesOutside(JobHookReceiver):
    class Meta:
        backoff, max_attempts = 0.02, 1000
    async def receive_job_hook(self, change):
        if is_slow(self, change):
            await asyncio.sleep(1.3)
        if fails(self, change):
            raise ValueError("at random")
        with open("outside", "ab", buffering=0) as file:
            file.write(b"%d\\n" % change.id)

class WritesBatches(JobHookReceiver):
    class Meta:
        batch_size, batch_wait, backoff, max_attempts = 20, 0.05, 0.02, 1000
    async def receive_job_hook_batch(self, changes):
        for change in changes:
            await record(self, change)

class Merges(Writes):
    class Meta(Writes.Meta):
        pass

class MergesAWhile(Writes):
    class Meta(Writes.Meta):
        pass

class MergesBatches(WritesBatches):
    class Meta(WritesBatches.Meta):
        pass

class WaitsForQuiet(Writes):
    class Meta(Writes.Meta):
        pass

class HasARate(Writes):
    class Meta(Writes.Meta):
        pass

class HasARateForEach(Writes):
    class Meta(Writes.Meta):
        pass

class Lags(JobHookReceiver):
    class Meta:
        backoff, max_attempts, concurrency = 0.02, 1000, 2
    async def receive_job_hook(self, change):
        await asyncio.sleep({lag_s})
        await record(self, change)

class Dies(JobHookReceiver):
    # Every 20th change fails two times of three.
    class Meta:
        backoff, max_attempts = 0.02, 2
    async def receive_job_hook(self, change):
        await record(self, change)
        if change.id % 20 == 0 and self.attempt % 3 != 0:
            raise ValueError("again and again")

class Skips(Writes):
    class Meta(Writes.Meta):
        on_failure = "skip"

class IsToggled(Writes):
    class Meta(Writes.Meta):
        pass
"""
VANISHING = """
from jobhooks import JobHookReceiver
from ._shared import record

class Vanishes(JobHookReceiver):
    class Meta:
        backoff, max_attempts = 0.02, 1000
    async def receive_job_hook(self, change):
        await record(self, change)
"""

# Random changes of rows with the keys from "low" up to "high", some of them more often; it returns how many rows it
# changed. No row has the key "hole".
FUNCTIONS = """
create function public.churn(name regclass, low integer, high integer, steps integer)
returns integer language plpgsql as $$
declare
    changed integer := 0;
    number integer;
    hole constant integer := -1 - low;
    what double precision;
    one integer;
    other integer;
begin
    for step in 1..steps loop
        what := random();
        one := low + floor(power(random(), 2) * (high - low));
        other := low + floor(random() * (high - low));
        if what < 0.8 then
            execute format('update %s set value = (value + $1) %% 6 where id = $2', name)
            using 1 + floor(random() * 5)::integer, one;
        elsif what < 0.9 then
            execute format('insert into %s values ($1, 0) on conflict do nothing', name) using one;
        elsif what < 0.92 then
            execute format('delete from %s where id = $1', name) using one;
        elsif what < 0.95 then
            execute format('update %s set id = $1 where id = $2 and not exists (select from %1$s where id = $1)', name)
            using other, one;
        else
            execute format('update %s set id = $1 where id = $2', name) using hole, one;
            get diagnostics number = row_count;
            changed := changed + number;
            execute format('update %s set id = $1 where id = $2', name) using one, other;
            get diagnostics number = row_count;
            changed := changed + number;
            execute format('update %s set id = $1 where id = $2', name) using other, hole;
        end if;
        get diagnostics number = row_count;
        changed := changed + number;
    end loop;
    return changed;
end
$$;
"""
TABLES: tuple[str, ...] = ("public.part", "public.bulk")


@dataclass(frozen=True)
class Mix:
    """How much happens. ``steps``: of each writer, in each table; ``keys``: of each writer; ``mishaps``: how often.

    One in ``slow_one_in`` runs takes more than a second, one in ``fail_one_in`` fails. One in ``truncate_one_in``
    transactions begins with a truncate. ``lag_s``: of the slow hook.
    """

    writers: int
    steps: tuple[int, int]
    keys: int
    pause_s: float
    mishaps: int
    slow_one_in: int
    fail_one_in: int
    truncate_one_in: int
    lag_s: float
    page_sizes: tuple[int, ...]
    limit_s: float


# Each receiver has one hook. These get the changes of both tables, the others those of the first one.
BULK = ("Writes", "WritesOutside")
MERGES = {"Merges": 0.0, "MergesAWhile": 0.2, "MergesBatches": 0.0, "WaitsForQuiet": 0.2}
SETTINGS = {  # of hooks, in SQL
    **{kind: f"coalesce_s = {seconds}" for kind, seconds in MERGES.items()},
    "WaitsForQuiet": "debounce_s = 0.2, longest_wait_s = 1",
    "HasARate": "rate = '1000/s'",
    "HasARateForEach": "rate = '20/s', rate_per = '{object}'",
}
RECEIVING = (
    *("r.Writes", "r.WritesNow", "r.WritesOutside", "r.WritesBatches", "r.Merges", "r.MergesAWhile"),
    *("r.MergesBatches", "r.Lags", "r.Dies", "r.Skips", "r.IsToggled", "vanishing.Vanishes"),
    *("r.WaitsForQuiet", "r.HasARate", "r.HasARateForEach"),
)


def make_tables(conn: Connection[TupleRow], mix: Mix) -> None:
    """Make the tables that change, with half of the rows that they may have, and the table of records."""
    for name in TABLES:
        conn.execute(f"create table {name} (id integer primary key, value integer not null)".encode())
        conn.execute(
            f"insert into {name} select i * 2, 0 from generate_series(0, %s) as i".encode(),
            [mix.writers * mix.keys // 2 - 1],
        )
        conn.execute("select jobhooks.watch(%s)", [name])
    conn.execute("create table public.got (n bigserial, hook integer, change bigint, before integer, after integer)")
    conn.execute(FUNCTIONS)


def write_all_receivers(directory: Path, mix: Mix, seed: int, note: str = "") -> None:
    """Write the modules of the receivers. ``note``: a comment, so that they count as changed."""
    values = {"seed": seed, "slow_one_in": mix.slow_one_in, "fail_one_in": mix.fail_one_in, "lag_s": mix.lag_s}
    for module, text in (("_shared", SHARED), ("r", RECEIVERS), ("vanishing", VANISHING)):
        write_receivers(directory, text.format(**values) + f"# {note}\n", module)


def add_all_hooks(
    conn: Connection[TupleRow],
    database: str,
    directory: Path,
    receiving: Sequence[str] = RECEIVING,
    bulk: Sequence[str] = BULK,
) -> dict[int, Promise]:
    """Hook each receiver, those of ``bulk`` to both tables; the promises, by the hook's id."""
    rows = conn.execute("select name, id from jobhooks.content_type").fetchall()
    tables: dict[str, int] = dict(rows)
    promises: dict[int, Promise] = {}
    for hook_id, job in enumerate(receiving, 1):
        kind = job.partition(".")[2]
        hooked = TABLES if kind in bulk else TABLES[:1]
        add_hook(database, directory, job, ["create", "update", "delete", "truncate"], *hooked)
        if kind in SETTINGS:
            conn.execute(f"update jobhooks.job_hook set {SETTINGS[kind]} where id = {hook_id}".encode())
        promises[hook_id] = Promise(
            kind,
            frozenset(tables[name] for name in hooked),
            is_ordered=kind != "Skips",
            is_complete=kind != "IsToggled",
            repeats=kind == "WritesOutside",
            merges=None if kind not in MERGES else "time" if MERGES[kind] else "transaction",
        )
    return promises


class Writer(threading.Thread):
    """Changes rows of both tables in transactions of all sizes. Some take long, some are rolled back."""

    def __init__(self, database: str, mix: Mix, number: int, seed: int) -> None:
        super().__init__(daemon=True)
        self._database = database
        self._mix = mix
        self._low = number * mix.keys
        self._rng = random.Random(seed + number)
        self.error: BaseException | None = None

    def run(self) -> None:
        """Write until all steps are done."""
        try:
            with psycopg.connect(self._database, autocommit=True) as conn:
                conn.execute("select setseed(%s)", [self._rng.random()])
                left = dict(zip(TABLES, self._mix.steps, strict=True))
                while any(left.values()):
                    table = self._rng.choice([table for table, steps in left.items() if steps])
                    left[table] -= self._transaction(conn, table, left[table])
                    time.sleep(self._rng.random() * self._mix.pause_s)
        except psycopg.Error as exc:
            self.error = exc

    def _transaction(self, conn: Connection[TupleRow], table: str, most: int) -> int:
        rng = self._rng
        steps = min(most, rng.choice([1, 1, 2, 5, 20, 100]))
        with conn.transaction():
            if rng.random() * self._mix.truncate_one_in < 1:
                conn.execute(f"truncate {table}".encode())
            conn.execute("select public.churn(%s, %s, %s, %s)", [table, self._low, self._low + self._mix.keys, steps])
            if rng.random() < 0.05:
                time.sleep(rng.random() * 0.3)
            if rng.random() < 0.03:
                raise psycopg.Rollback
        return steps
