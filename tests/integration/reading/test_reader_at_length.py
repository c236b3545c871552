"""Reading the changes of many concurrent sessions: each once, in each object's order, at a steady cost."""

import random
import re
import threading
import time
from collections.abc import Generator
from contextlib import ExitStack, contextmanager, suppress

import psycopg
import pytest

from conftest import Connection
from jobhooks.contract.change import Change
from jobhooks.engine.delivery.cursor import NO_LIMIT
from jobhooks.store.queries import find_query
from support.engine.reading import open_reader

WRITERS = 8
OBJECTS = 200
ROWS_AT_ONCE = 40  # of one statement, at most


class Writers:
    """Sessions that write at random, each in a thread: short transactions and long ones, savepoints, rollbacks, pauses.

    Each update writes the next value of its row, so the values of an object are in order by themselves.
    """

    def __init__(self, database: str, changes: int, seed: int) -> None:
        self._database = database
        self._left = changes
        self._lock = threading.Lock()
        self._threads = [threading.Thread(target=self._write, args=[seed + number]) for number in range(WRITERS)]
        self.failures: list[BaseException] = []

    @contextmanager
    def running(self) -> Generator[None]:
        """Run them; at the end of the block they have ended."""
        for thread in self._threads:
            thread.start()
        try:
            yield
        finally:
            for thread in self._threads:
                thread.join()

    @property
    def run(self) -> bool:
        """Whether one of them still does."""
        return any(thread.is_alive() for thread in self._threads)

    def _write(self, seed: int) -> None:
        rng = random.Random(seed)
        try:
            with psycopg.connect(self._database) as conn:
                while self._take(rng.randint(1, 5) * ROWS_AT_ONCE // 2):
                    self._transaction(conn, rng)
        except BaseException as exc:
            self.failures.append(exc)
            raise

    def _take(self, changes: int) -> bool:
        with self._lock:
            self._left -= changes
            return self._left > 0

    def _transaction(self, conn: psycopg.Connection, rng: random.Random) -> None:
        """Make one; rows are locked in order of id, so that no two wait for each other."""
        first = 1
        for _ in range(rng.randint(1, 5)):
            if first > OBJECTS:
                break
            last = min(OBJECTS, first + rng.randint(0, ROWS_AT_ONCE))
            with suppress(psycopg.Rollback), conn.transaction():
                conn.execute(
                    "update public.device set serial = serial::integer + 1 where id in"
                    " (select id from public.device where id between %s and %s order by id for update)",
                    [first, last],
                )
                if rng.random() < 0.2:
                    raise psycopg.Rollback
            first = last + 1
            if rng.random() < 0.05:
                time.sleep(rng.random() / 10)  # a transaction that others overtake
        if rng.random() < 0.2:
            conn.rollback()
        else:
            conn.commit()


@pytest.mark.parametrize(
    "changes",
    [
        pytest.param(20_000, id="some"),
        pytest.param(1_500_000, id="a million", marks=[pytest.mark.nightly, pytest.mark.timeout(3600)]),
    ],
)
async def test_what_many_sessions_write_at_once_is_read_once_and_in_order(
    device: Connection, database: str, changes: int, seed: int
) -> None:
    """While a reader reads, that is thrown away in the middle now and then, pages that it has not saved with it."""
    device.execute("insert into public.device (name, serial) select 'd', '0' from generate_series(2, %s)", [OBJECTS])
    device.execute("update public.device set serial = '0'")
    async with open_reader(database, 1000) as reader:
        while await reader.next_page():
            await reader.save()
    (last_id,) = device.execute("select max(id) from jobhooks.object_change").fetchone() or (0,)
    values = [0] * (OBJECTS + 1)
    count = 0
    rng = random.Random(seed)
    writers = Writers(database, changes, seed)
    with writers.running():
        while True:
            all_is_written = not writers.run  # before the look that finds nothing
            unsaved: list[Change] = []
            async with open_reader(database, rng.randint(1, 1000)) as reader:
                for _ in range(rng.randint(1, 30)):
                    unsaved += await reader.next_page(called=rng.random() < 0.5)
                    if rng.random() < 0.7:
                        await reader.save()
                        count += _in_order(unsaved, values)
                        unsaved = []
            if all_is_written and not unsaved and await _nothing_is_left(database):
                break
    assert not writers.failures
    committed = device.execute("select count(*) from jobhooks.object_change where id > %s", [last_id]).fetchone()
    assert committed == (count,)
    assert count >= changes * 2 // 3
    assert values[1:] == [value for (value,) in device.execute("select serial::integer from public.device order by id")]


def _in_order(changes: list[Change], values: list[int]) -> int:
    """Check that each change follows the one before of its object; return how many there were."""
    for change in changes:
        row = change.postchange or {}
        number = int(str(row["id"]))
        values[number] += 1
        assert int(str(row["serial"])) == values[number], change.id
    return len(changes)


async def _nothing_is_left(database: str) -> bool:
    async with open_reader(database, 10) as reader:
        return not await reader.next_page()


def test_a_page_costs_the_same_whatever_the_size_of_the_log_and_whoever_has_not_ended(
    device: Connection, database: str
) -> None:
    """Counted in pages of memory that are touched, which no other load changes."""
    device.execute("insert into public.device (name) select 'd' || i from generate_series(1, 2000) as i")
    few = _buffers_of_a_page(device)
    with ExitStack() as stack:
        for number in range(30):
            writer = stack.enter_context(psycopg.connect(database))
            writer.execute("update public.device set name = 'held' where id = %s", [number + 1])
        device.execute("insert into public.device (name) select 'd' || i from generate_series(1, 60000) as i")
        many = _buffers_of_a_page(device)
    # For each transaction in progress one look into the index, whose depth is at most one more.
    assert many < few + 30 * 8


def _buffers_of_a_page(conn: Connection) -> int:
    """Return how many buffers it takes to read the last hundred changes, with those stragglers that there are."""
    (snapshot, last_id) = conn.execute(
        "select pg_current_snapshot()::text, (select max(id) from jobhooks.object_change)"
    ).fetchone() or ("", 0)
    with psycopg.connect(conn.info.dsn, cursor_factory=psycopg.RawCursor) as raw:
        raw.execute("set plan_cache_mode = force_generic_plan")
        query = find_query("read_page")
        parameters = query.arguments(
            {
                "seen": snapshot,
                "horizon": None,
                "seen_low_water_id": last_id - 100,
                "after_id": 0,
                "limit": 100,
                "max_bytes": 16_000_000,
                "last_id": NO_LIMIT,
                "content_type_ids": None,
            }
        )
        explain = f"explain (analyze, buffers, costs off, timing off, summary off) {query.text}".encode()
        raw.execute(explain, parameters)
        plan = raw.execute(explain, parameters).fetchall()
    hit = re.search(r"Buffers: shared hit=(\d+)", "\n".join(line for (line,) in plan))
    assert hit is not None, plan
    return int(hit[1])
