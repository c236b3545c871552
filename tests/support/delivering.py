"""Shared code of the daemon's tests: receivers that act on a row's name, and checks of their effects."""

from collections.abc import Callable

from psycopg import Connection
from psycopg.rows import TupleRow

# The row's name selects the action; the receiver records it in the table "seen", through the run's connection.
RECEIVERS = """
import asyncio, ctypes, os, time
from pathlib import Path
from jobhooks import Discard, JobHookReceiver, Retry, SoftTimeLimitExceeded

async def see(self, change, word=""):
    row = change.postchange or change.prechange or {}
    await self.connection.execute(
        "insert into public.seen (receiver, object, value, word) values ($1, $2, $3, $4)",
        type(self).__name__, row.get("id"), row.get("serial"), word,
    )

def see_now(self, change, word=""):
    row = change.postchange or change.prechange or {}
    self.connection.execute(
        "insert into public.seen (receiver, object, value, word) values (%s, %s, %s, %s)",
        [type(self).__name__, row.get("id"), row.get("serial"), word],
    )

class Sees(JobHookReceiver):
    async def receive_job_hook(self, change):
        await see(self, change)

class SeesNow(JobHookReceiver):
    def receive_job_hook(self, change):
        see_now(self, change)

class TurnsSlow(JobHookReceiver):
    def receive_job_hook(self, change):
        see_now(self, change)
        if change.postchange["name"] == "slow":
            time.sleep(0.3)

class Fails(JobHookReceiver):
    # Until the table "mended" has a row of the object.
    class Meta:
        backoff = 0.05
    async def receive_job_hook(self, change):
        await see(self, change)
        row = change.postchange or change.prechange or {}
        if row.get("name") == "bad" and not await self.connection.fetchval(
            "select exists (select from public.mended where id = $1)", row["id"]
        ):
            raise ValueError(f"cannot work on {row['id']}")

class FailsAndSkips(Fails):
    class Meta(Fails.Meta):
        on_failure = "skip"
        backoff = 3600

class FailsOnceAndSkips(JobHookReceiver):
    # What is called slow runs until the table "mended" has a row.
    class Meta:
        on_failure = "skip"
        backoff = 0.1
    async def receive_job_hook(self, change):
        if change.postchange["name"] == "bad" and self.attempt == 1:
            raise ValueError("at first")
        while change.postchange["name"] == "slow" and not await self.connection.fetchval(
            "select exists (select from public.mended)"
        ):
            await asyncio.sleep(0.05)
        await see(self, change)

class GivesUp(Fails):
    class Meta(Fails.Meta):
        max_attempts = 3

class FailsAtRandom(JobHookReceiver):
    class Meta:
        backoff = 0.01
        max_attempts = 100
    async def receive_job_hook(self, change):
        import random
        await see(self, change)
        if random.Random(f"SEED {change.id} {self.attempt}").random() < 0.3:
            raise ValueError("at random")

class Asks(JobHookReceiver):
    async def receive_job_hook(self, change):
        if change.postchange["name"] == "later" and self.attempt < 2:
            raise Retry(0.05, "not yet")
        if change.postchange["name"] == "never":
            raise Discard("not for us")
        await see(self, change)

class AsksForNonsense(JobHookReceiver):
    # "serial" says after how many seconds.
    class Meta:
        backoff = 3600
    async def receive_job_hook(self, change):
        if change.postchange["name"] == "asks":
            raise Retry(float(change.postchange["serial"]))

class AsksForNonsenseNow(JobHookReceiver):
    class Meta(AsksForNonsense.Meta):
        pass
    def receive_job_hook(self, change):
        if change.postchange["name"] == "asks":
            raise Retry(float(change.postchange["serial"]))

class Sleeps(JobHookReceiver):
    async def receive_job_hook(self, change):
        await asyncio.sleep(1)

class SleepsNow(JobHookReceiver):
    def receive_job_hook(self, change):
        time.sleep(1)

class Waits(JobHookReceiver):
    # Says by the file "runs" that it runs, with its connection in use, and ends when there is the file "go on".
    class Meta:
        backoff = 0.1
    async def receive_job_hook(self, change):
        await self.connection.execute("select 1")
        if change.postchange["name"] == "waits":
            Path("runs").touch()
            while not Path("go on").exists():
                await asyncio.sleep(0.01)
        await see(self, change)

class WaitsToo(Waits):
    pass

class Limited(JobHookReceiver):
    class Meta:
        soft_time_limit, time_limit, max_attempts = 0.8, 1.6, 1  # its write must not take as long
    def receive_job_hook(self, change):
        see_now(self, change)
        match change.postchange["name"]:
            case "soft":
                time.sleep(60)
            case "hard":
                while True:
                    try:
                        time.sleep(60)
                    except SoftTimeLimitExceeded:
                        pass
            case "loop":
                while True:
                    try:
                        while True:
                            pass
                    except SoftTimeLimitExceeded:
                        pass

class LimitedAsync(JobHookReceiver):
    class Meta:
        soft_time_limit, time_limit, max_attempts = 0.3, 1, 1
    async def receive_job_hook(self, change):
        await see(self, change)
        match change.postchange["name"]:
            case "soft":
                await asyncio.sleep(60)
            case "hard":
                while True:
                    try:
                        await asyncio.sleep(60)
                    except SoftTimeLimitExceeded:
                        pass

class LimitedAlone(JobHookReceiver):
    class Meta:
        soft_time_limit, time_limit, max_attempts, concurrency = 0.1, 0.3, 1, 1
    async def receive_job_hook(self, change):
        while change.postchange["name"] == "hangs":
            try:
                await asyncio.sleep(60)
            except SoftTimeLimitExceeded:
                pass

class BlocksTheLoop(JobHookReceiver):
    async def receive_job_hook(self, change):
        if change.postchange["name"] == "hangs":
            time.sleep(0.8)
        if change.postchange["name"] == "blocks":
            time.sleep(2)

class CommitsSlowly(JobHookReceiver):
    # With a deferred trigger that takes long.
    class Meta:
        time_limit = 1.5
    def receive_job_hook(self, change):
        see_now(self, change)
        if change.postchange["serial"] == "1":
            time.sleep(0.8)

class Crashes(JobHookReceiver):
    class Meta:
        max_attempts = 1
    def receive_job_hook(self, change):
        see_now(self, change)
        match change.postchange["name"]:
            case "segfault":
                ctypes.string_at(0)
            case "exit":
                os._exit(3)
            case "memory":
                bytearray(2_000_000_000)
"""


def make_seen(conn: Connection[TupleRow]) -> None:
    """Make the tables that the receivers use, beside ``public.device``, and empty that."""
    conn.execute("create table public.seen (n bigserial, receiver text, object integer, value text, word text)")
    conn.execute("create table public.mended (id integer primary key)")
    # So that the first change is number 1: this call records no change.
    conn.execute("set session_replication_role = replica; truncate public.device restart identity")
    conn.execute("set session_replication_role = origin")


def write(conn: Connection[TupleRow], name: str, serial: object) -> int:
    """Insert a device and return its id."""
    row = conn.execute(
        "insert into public.device (name, serial) values (%s, %s) returning id", [name, str(serial)]
    ).fetchone()
    assert row is not None
    return row[0]


def seen_by(conn: Connection[TupleRow], receiver: str) -> list[tuple[object, ...]]:
    return conn.execute("select object, value from public.seen where receiver = %s order by n", [receiver]).fetchall()


def statuses(conn: Connection[TupleRow]) -> list[tuple[object, ...]]:
    return conn.execute(
        "select change_id, attempt, status from jobhooks.job_result order by change_id, attempt"
    ).fetchall()


def backlog(conn: Connection[TupleRow]) -> list[tuple[object, ...]]:
    return conn.execute(
        "select change_id, status, attempts from jobhooks.delivery_states() order by change_id"
    ).fetchall()


def settled(conn: Connection[TupleRow], count: int) -> Callable[[], bool]:
    """Make a condition: that number of results, and an empty backlog."""

    def look() -> bool:
        row = conn.execute(
            "select (select count(*) from jobhooks.job_result where status <> 'failure'),"
            " (select count(*) from jobhooks.delivery)"
        ).fetchone()
        return row == (count, 0)

    return look


def reads_alone(conn: Connection[TupleRow]) -> list[int]:
    """The ids of the hooks that have a position for themselves."""
    return [row[0] for row in conn.execute("select hook_id from jobhooks.hook_position order by hook_id")]


def read_by_others(conn: Connection[TupleRow]) -> Callable[[], bool]:
    """Make a condition: the hooks that read together are past all changes, and another hook reads alone."""
    read = read_to_the_end(conn)
    return lambda: read() and bool(reads_alone(conn))


def read_to_the_end(conn: Connection[TupleRow]) -> Callable[[], bool]:
    """Make a condition: the saved position of the hooks that read together is behind all changes."""

    def look() -> bool:
        row = conn.execute(
            "select pg_visible_in_snapshot("
            " (select max(transaction_id::text::bigint)::text::xid8 from jobhooks.object_change), seen"
            ") from jobhooks.cursor"
        ).fetchone()
        return row == (True,)

    return look
