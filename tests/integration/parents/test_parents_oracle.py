"""An oracle judges the deliveries of parents: each change of a parent or a child once for each row, in an order that is
right, while sessions write at the same time, receivers fail and daemons are killed.

Sessions that write children do not lock the parent, so ids of a row are not always in the order of commits. What must
hold: if one transaction has committed before another one writes, its changes come first. Transactions that lock the
parents first are in the order of their ids.
"""

import contextlib
import random
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Generator
from dataclasses import dataclass, field
from pathlib import Path

import psycopg
import pytest

from conftest import Connection
from jobhooks.operations import tables
from jobhooks.store.connections import connect
from support.daemon import Daemon, await_no_session, wait_until
from support.hooking import add_hook, write_receivers

DEVICES = range(1, 7)
TAGS = "abcd"
WRITERS = 3
RECEIVERS = """
import asyncio, random
from jobhooks import JobHookReceiver

def fails(self, change):
    return random.Random(f"SEED {change.id} {self.attempt}").random() < 0.1

async def record(self, change):
    await self.connection.execute(
        "insert into public.got (hook, change, device) values ($1, $2, $3)", self.hook.id, change.id,
        change.changed_object_id,
    )

class Stumbles(JobHookReceiver):
    class Meta:
        backoff, max_attempts, concurrency = 0.05, 1000, 20
    async def receive_job_hook(self, change):
        await record(self, change)
        if fails(self, change):
            raise ValueError("at random")

class StumblesNow(JobHookReceiver):
    class Meta:
        backoff, max_attempts = 0.05, 1000
    def receive_job_hook(self, change):
        self.connection.execute(
            "insert into public.got (hook, change, device) values (%s, %s, %s)",
            [self.hook.id, change.id, change.changed_object_id],
        )
        if fails(self, change):
            raise ValueError("at random")

class Batches(JobHookReceiver):
    class Meta:
        batch_size, backoff, max_attempts = 20, 0.05, 1000
    async def receive_job_hook_batch(self, changes):
        for change in changes:
            await record(self, change)
        if fails(self, changes[0]):
            raise ValueError("at random")

class Lags(JobHookReceiver):
    class Meta:
        concurrency = 2
    async def receive_job_hook(self, change):
        await asyncio.sleep(0.01)
        await record(self, change)
"""
JOBS = ["Stumbles", "StumblesNow", "Batches", "Lags"]


@dataclass
class Written:
    """A transaction: when it began to write and had committed, and whether it had locked all devices before."""

    began: float
    ended: float
    is_locked: bool


@dataclass
class Writer:
    """A session that writes devices, their tags, and the cables between them."""

    database: str
    rng: random.Random
    transactions: int
    written: dict[int, Written] = field(default_factory=dict[int, Written])
    error: BaseException | None = None

    def run(self) -> None:
        try:
            with psycopg.connect(self.database, autocommit=True) as conn:
                for _ in range(self.transactions):
                    with contextlib.suppress(
                        psycopg.errors.UniqueViolation,
                        psycopg.errors.ForeignKeyViolation,
                        psycopg.errors.DeadlockDetected,
                    ):
                        self._transaction(conn)
        except BaseException as exc:  # noqa: BLE001 - the test raises it
            self.error = exc

    def _transaction(self, conn: psycopg.Connection[tuple[object, ...]]) -> None:
        rng = self.rng
        is_locked = rng.random() < 0.5
        devices = sorted(rng.sample(DEVICES, 3))
        with conn.transaction():
            if is_locked:
                # A device that is deleted and inserted again while this waits for it is left out.
                locked = conn.execute("select from public.device order by id for no key update").rowcount
                is_locked = locked == len(DEVICES)
            began = time.monotonic()
            for _ in range(rng.randint(1, 3)):
                self._statement(conn, *rng.sample(devices, 3))
            if rng.random() < 0.1:
                time.sleep(0.05)
            ((transaction_id,),) = conn.execute("select pg_current_xact_id()::text::bigint").fetchall()
        assert isinstance(transaction_id, int)
        self.written[transaction_id] = Written(began, time.monotonic(), is_locked)

    def _statement(self, conn: psycopg.Connection[tuple[object, ...]], one: int, other: int, third: int) -> None:
        rng = self.rng
        tag, number = rng.choice(TAGS), rng.randint(1, 6)
        kind = rng.random()
        if kind < 0.25:
            conn.execute("update public.device set name = name || 'x' where id = %s", [one])
        elif kind < 0.45:
            conn.execute("insert into public.device_tag values (%s, %s) on conflict do nothing", [one, tag])
        elif kind < 0.6:
            conn.execute("delete from public.device_tag where device_id = %s and tag = %s", [one, tag])
        elif kind < 0.7:
            conn.execute("update public.device_tag set device_id = %s where device_id = %s", [other, one])
        elif kind < 0.9:
            conn.execute(
                "insert into public.cable values (%s, %s, %s) on conflict (id) do update set a_id = excluded.a_id,"
                " b_id = excluded.b_id",
                [number, one, rng.choice([other, third, None])],
            )
        elif kind < 0.95:
            conn.execute("truncate public.cable")
        else:
            conn.execute("delete from public.device where id = %s", [one])
            conn.execute("insert into public.device values (%s, 'again')", [one])


@pytest.fixture
def plant(conn: Connection, database: str) -> Generator[Connection]:
    """The client's connection."""
    conn.execute(
        "create table public.device (id integer primary key, name text);"
        " create table public.device_tag (device_id integer references public.device on delete cascade, tag text,"
        "  primary key (device_id, tag));"
        " create table public.cable (id integer primary key, a_id integer references public.device on delete set null,"
        "  b_id integer references public.device on delete set null);"
        " create table public.got (n bigserial primary key, hook integer, change bigint, device integer)"
    )
    conn.cursor().executemany("insert into public.device values (%s, '')", [(number,) for number in DEVICES])
    with contextlib.closing(connect(database)) as admin:
        tables.watch(admin, "public.device")
        tables.watch(admin, "public.device_tag", parents=["public.device"])
        tables.watch(admin, "public.cable", parents=["public.device=a_id", "public.device=b_id"])
    yield conn
    await_no_session(conn)


@dataclass
class Log:
    """The content of the log: by change the devices that it updates, and its transaction.

    The effects of a deletion on children after it are no updates.
    """

    devices: dict[int, set[int]]
    transactions: dict[int, int]


def read_log(conn: Connection) -> Log:
    """Read the log by rules of the test's own, not by those of the daemon."""
    log = Log({}, {})
    deleted: set[tuple[int, int]] = set()
    rows = conn.execute(
        "select change.id, change.transaction_id::text::bigint, type.name, change.action::text, change.prechange,"
        " change.postchange from jobhooks.object_change as change"
        " join jobhooks.content_type as type on type.id = change.content_type_id order by change.id"
    ).fetchall()
    for id_, transaction_id, table, action, before, after in rows:
        columns = {"public.device": ["id"], "public.device_tag": ["device_id"], "public.cable": ["a_id", "b_id"]}[table]
        found = {row[name] for row in (before, after) if row for name in columns} - {None}
        log.transactions[id_] = transaction_id
        undelivered: set[int] = set()
        if table == "public.device":
            deleted.discard((transaction_id, *found))
            if action == "delete":
                deleted.add((transaction_id, *found))
        else:
            undelivered = {each for each in found if (transaction_id, each) in deleted}
        log.devices[id_] = found - undelivered
    return log


def is_delivered(conn: Connection, log: Log) -> bool:
    expected = sum(map(len, log.devices.values())) * len(JOBS)
    row = conn.execute(
        "select (select count(*) from public.got) >= %s and not exists (select from jobhooks.delivery)", [expected]
    ).fetchone()
    return row == (True,)


def faults_of(order: list[int], log: Log, written: dict[int, Written]) -> list[str]:
    """The faults in the order of the deliveries of one device's changes to one hook."""
    found: list[str] = []
    for place, later in enumerate(order):
        for earlier in order[:place]:
            mine, others = written[log.transactions[later]], written[log.transactions[earlier]]
            if later > earlier:
                continue
            if mine is others or (mine.is_locked and others.is_locked) or mine.ended < others.began:
                found.append(f"{later} after {earlier}")
    return found


@pytest.mark.parametrize(("kills", "transactions"), [(0, 50), (2, 50), pytest.param(4, 200, marks=pytest.mark.nightly)])
def test_each_row_is_updated_once_by_each_change_and_in_order(
    plant: Connection, database: str, tmp_path: Path, log: Path, kills: int, transactions: int, seed: int
) -> None:
    receivers = write_receivers(tmp_path / "receivers", RECEIVERS.replace("SEED", str(seed)))
    for job in JOBS:
        add_hook(database, receivers, f"r.{job}", ["create", "update", "delete"])
    writers = [Writer(database, random.Random(f"{seed} {number}"), transactions) for number in range(WRITERS)]
    threads = [threading.Thread(target=writer.run) for writer in writers]
    with contextlib.ExitStack() as daemons:
        daemon = daemons.enter_context(Daemon(database, receivers, log).await_started())
        for thread in threads:
            thread.start()
        for number in range(kills):
            least = 100 * (number + 1)
            wait_until(
                "some are delivered",
                lambda least=least: len(plant.execute("select from public.got").fetchall()) > least,
            )
            daemon.kill()
            daemon = daemons.enter_context(Daemon(database, receivers, log).await_started())
        for thread in threads:
            thread.join()
        assert [writer.error for writer in writers if writer.error is not None] == []
        captured = read_log(plant)
        wait_until("all is delivered", lambda: is_delivered(plant, captured), 90)
    written = {id_: each for writer in writers for id_, each in writer.written.items()}
    got: dict[int, list[tuple[int, int]]] = defaultdict(list)
    for hook, change, device in plant.execute("select hook, change, device from public.got order by n").fetchall():
        got[hook].append((change, device))
    assert len(got) == len(JOBS)
    for delivered in got.values():
        expected = Counter((change, device) for change, devices in captured.devices.items() for device in devices)
        assert expected - Counter(delivered) == Counter()
        assert Counter(delivered) - expected == Counter()
        for device in DEVICES:
            order = [change for change, of in delivered if of == device]
            assert faults_of(order, captured, written) == []
