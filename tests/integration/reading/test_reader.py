"""Reading with two snapshots: each committed change once, in the order of each object, for any order of commits."""

import asyncio
import contextlib
import random
import threading
from collections import defaultdict

import asyncpg
import psycopg
import pytest
from hypothesis import HealthCheck, given, settings, strategies as st

from conftest import Connection
from jobhooks.contract.change import Change
from jobhooks.engine.delivery.cursor import NO_LIMIT
from jobhooks.engine.reading.reader import PageReader
from jobhooks.store.connections import AsyncConnection
from jobhooks.store.queries import find_query, query
from support.engine.reading import Pages, open_reader, read_all


async def test_a_transaction_that_took_its_id_first_and_commits_last_is_read(device: Connection, database: str) -> None:
    """ "Greater than the last id" would lose it, and waiting for it would stall everything behind it."""
    device.execute("insert into public.device (name) values ('edge-2')")
    async with open_reader(database) as reader:
        await read_all(reader)
        with psycopg.connect(database) as slow:
            slow.execute("update public.device set name = 'slow' where id = 1")
            device.execute("update public.device set name = 'fast' where id = 2")
            (fast,) = await read_all(reader)
            assert await read_all(reader) == []
            slow.commit()
        (late,) = await read_all(reader)
    assert (fast.postchange or {})["name"] == "fast"
    assert (late.postchange or {})["name"] == "slow"
    assert late.id < fast.id


async def test_a_writer_that_is_younger_than_any_that_has_ended_is_read(device: Connection, database: str) -> None:
    """A snapshot does not name it: its transaction id is at or above the xmax, though it has written long ago."""
    device.execute("insert into public.device (name) values ('edge-2')")
    async with open_reader(database) as reader:
        await read_all(reader)
        with psycopg.connect(database) as older, psycopg.connect(database) as younger:
            older.execute("select pg_current_xact_id()")
            younger.execute("update public.device set name = 'younger' where id = 1")
            older.execute("update public.device set name = 'older' where id = 2")
            older.commit()
            (first,) = await reader.next_page()
            younger.commit()
        (second,) = await read_all(reader)
    assert [(change.postchange or {})["name"] for change in (first, second)] == ["older", "younger"]
    assert second.id < first.id


async def test_the_first_change_ever_is_read(device: Connection, database: str) -> None:
    """The sequence says 1 before its first value is taken as well as after."""
    async with open_reader(database) as reader:
        assert await read_all(reader) == []
        device.execute("update public.device set name = 'first'")
        assert [change.id for change in await read_all(reader)] == [1]


async def test_what_commits_between_the_floor_and_the_snapshot_is_read_next_time(
    device: Connection, database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The critical moment of opening a window: a change that is in neither must be above the floor."""
    async with open_reader(database) as reader:
        from jobhooks.engine.reading import reader as module

        original = module.call_async

        async def write_after(conn: AsyncConnection, name: str, **parameters: object) -> list[asyncpg.Record]:
            rows = await original(conn, name, **parameters)
            if name in ("log_position", "begin_window", "read_page"):
                device.execute("update public.device set name = name || '.'")
            return rows

        with monkeypatch.context() as patched:
            patched.setattr(module, "call_async", write_after)
            read = await read_all_but_at_most(reader, 10)
        read += await read_all(reader)
    written = device.execute("select id from jobhooks.object_change order by id").fetchall()
    assert [change.id for change in read] == [id for (id,) in written]


async def read_all_but_at_most(reader: Pages, pages: int) -> list[Change]:
    changes: list[Change] = []
    for _ in range(pages):
        changes += await reader.next_page()
    return changes


async def test_a_restarted_reader_goes_on_where_the_saved_cursor_is(device: Connection, database: str) -> None:
    """Also in the middle of a window."""
    device.execute("insert into public.device (name) select 'd' || i from generate_series(1, 10) as i")
    async with open_reader(database, page_size=4) as reader:
        first = await reader.next_page()
        await reader.save()
        await reader.next_page()  # read, and not saved
    async with open_reader(database, page_size=4) as reader:
        rest = await read_all(reader)
    assert [change.id for change in first + rest] == list(range(1, 11))


async def test_what_receivers_wrote_is_passed_over(device: Connection, database: str) -> None:
    with device.transaction():
        device.execute("set local jobhooks.delivery = '1:1:1'")
        device.execute("update public.device set name = 'marked'")
    device.execute("update public.device set name = 'not marked'")
    async with open_reader(database) as reader:
        assert [(change.postchange or {})["name"] for change in await read_all(reader)] == ["not marked"]


async def test_a_few_tables_are_read_slice_by_slice(
    device: Connection, database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between two changes of a table there can be millions of others, which no single statement may search."""
    monkeypatch.setattr("jobhooks.engine.reading.reader.SLICE", 4)
    device.execute("create table public.part (id integer primary key); select jobhooks.watch('public.part')")
    device.execute("insert into public.device (name) values ('edge-2')")
    async with open_reader(database) as pages:
        position = await pages.reader.load()
        with psycopg.connect(database) as slow:
            slow.execute("update public.device set name = 'slow' where id = 1")
            device.execute("insert into public.part select generate_series(1, 30)")
            device.execute("update public.device set name = 'fast' where id = 2")
            device.execute("insert into public.part select generate_series(31, 60)")
            expected = [change.id for change in await read_all(pages) if change.content_type.table == "device"]
            slow.commit()
        device.execute("update public.device set name = 'last'; insert into public.part select generate_series(61, 90)")
        expected += [change.id for change in await read_all(pages) if change.content_type.table == "device"]
        device.execute("insert into public.part select generate_series(91, 120)")
        alone = PageReader(pages.conn, 100)
        found: list[int] = []
        statements = 0
        while position != pages.position:
            window, up_to = position.towards(pages.position)
            reading = await alone.read_tables(window, up_to=up_to, content_type_ids=[1])
            assert reading.after.last_id <= max(window.last_id, window.seen_low_water_id) + 4
            position, statements = reading.after, statements + 1
            found += [change.id for change in reading.changes]
    assert sorted(found) == sorted(expected) and len(found) == 5
    assert statements >= 90 / 4


async def test_a_renamed_table_is_read_by_its_new_name(device: Connection, database: str) -> None:
    async with open_reader(database) as reader:
        device.execute("update public.device set name = 'a'")
        device.execute("alter table public.device rename to machine")
        (change,) = await read_all(reader)
    assert (change.changed_object_type, change.content_type.table) == ("public.machine", "machine")


def read_a_random_history(database: str, device: Connection, seed: int, page_size: int) -> None:
    asyncio.run(_random_history(database, device, random.Random(seed), page_size))


history = given(seed=st.integers(0, 2**32), page_size=st.integers(1, 7))
relaxed = settings(suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])


@settings(relaxed, max_examples=25)
@history
def test_random_overlapping_transactions_are_read_once_and_in_order(
    database: str, device: Connection, seed: int, page_size: int
) -> None:
    """Against an oracle: writers that overlap, roll back, use savepoints, and a reader that restarts now and then."""
    read_a_random_history(database, device, seed, page_size)


@pytest.mark.nightly
@pytest.mark.timeout(1800)
@settings(relaxed, max_examples=2000)
@history
def test_many_random_histories_are_read_once_and_in_order(
    database: str, device: Connection, seed: int, page_size: int
) -> None:
    """The same at length."""
    read_a_random_history(database, device, seed, page_size)


async def _random_history(database: str, device: Connection, rng: random.Random, page_size: int) -> None:
    device.execute("truncate public.device restart identity")
    device.execute("insert into public.device (name, serial) select 'd', '0' from generate_series(1, 4)")
    expected: dict[int, list[int]] = defaultdict(list)  # object -> the values committed to it, in order
    read: dict[int, list[int]] = defaultdict(list)
    value = 0
    async with open_reader(database, page_size) as reader, contextlib.AsyncExitStack() as stack:
        await read_all(reader)
        writers = [stack.enter_context(psycopg.connect(database)) for _ in range(3)]
        pending: list[list[tuple[int, int]]] = [[] for _ in writers]
        locked: dict[int, int] = {}
        for _ in range(rng.randint(5, 40)):
            number = rng.randrange(len(writers))
            writer, step = writers[number], rng.random()
            if step < 0.6:
                row = rng.randint(1, 4)
                if locked.get(row, number) != number:
                    continue  # it would wait, and this test has one thread
                locked[row] = number
                value += 1
                keep = rng.random() < 0.8
                writer.execute("select")  # in a transaction, so that the next block is a savepoint
                with contextlib.suppress(psycopg.Rollback), writer.transaction():
                    writer.execute("update public.device set serial = %s where id = %s", [str(value), row])
                    if not keep:
                        raise psycopg.Rollback
                if keep:
                    pending[number].append((row, value))
            elif step < 0.9:
                if rng.random() < 0.8:
                    writer.commit()
                    for row, written in pending[number]:
                        expected[row].append(written)
                else:
                    writer.rollback()
                pending[number] = []
                locked = {row: owner for row, owner in locked.items() if owner != number}
            else:
                _note(read, await _read_some(reader, rng))
        for writer in writers:
            writer.rollback()
    async with open_reader(database, page_size) as reader:
        _note(read, await read_all(reader))
    assert {row: values for row, values in read.items() if values} == dict(expected)


async def _read_some(reader: Pages, rng: random.Random) -> list[Change]:
    """Read until there is nothing more: on and on, as if NOTIFYs had come, or from where the saved cursor is."""
    if rng.random() < 0.5:
        await reader.reader.load()
    changes: list[Change] = []
    while page := await reader.next_page(called=rng.random() < 0.5):
        changes += page
        await reader.save()
    return changes


def _note(read: dict[int, list[int]], changes: list[Change]) -> None:
    for change in changes:
        row = change.postchange or {}
        read[int(str(row["id"]))].append(int(str(row["serial"])))


def test_a_page_is_read_by_index_and_without_sorting_the_log(device: Connection) -> None:
    """The cost of a page must not depend on the size of the log."""
    device.execute("insert into public.device (name) select 'd' || i from generate_series(1, 20000) as i")
    statement = find_query("read_page")
    arguments = {
        "seen_low_water_id": 0,
        "after_id": 0,
        "limit": 50,
        "max_bytes": 1_000_000,
        "last_id": NO_LIMIT,
        "content_type_ids": None,
    }
    snapshot = device.execute("select pg_current_snapshot()::text").fetchone()
    assert snapshot is not None
    # A straggler, so that the planner sees both kinds as they are.
    xmax = int(snapshot[0].split(":")[1])
    seen = f"{xmax - 1}:{xmax}:{xmax - 1}"
    with psycopg.connect(device.info.dsn, cursor_factory=psycopg.RawCursor) as raw:
        plan = raw.execute(
            f"explain (analyze, costs off, timing off, summary off) {statement.text}".encode(),
            statement.arguments({"seen": seen, "horizon": snapshot[0], **arguments}),
        ).fetchall()
    text = "\n".join(line for (line,) in plan)
    assert "Seq Scan on object_change_1" not in text, text
    assert "object_change_1_transaction_id_idx" in text, text
    assert "object_change_1_pkey" in text, text


def test_the_floor_is_never_ahead_of_the_ids_that_have_been_handed_out(device: Connection, database: str) -> None:
    """A sequence read as a table shows, for moments, an id 32 ahead: changes in between would be lost."""
    stop = threading.Event()
    hand_out = "perform nextval('jobhooks.object_change_id_seq')"

    def keep_handing_out() -> None:
        with psycopg.connect(database, autocommit=True) as conn:
            while not stop.is_set():
                conn.execute(f"do $$ begin for i in 1..1000 loop {hand_out}; end loop; end $$".encode())

    threads = [threading.Thread(target=keep_handing_out) for _ in range(3)]
    for thread in threads:
        thread.start()
    try:
        for _ in range(40):
            device.execute(
                f"""do $test$ declare floor bigint; begin
                    for i in 1..2000 loop
                        select w.id into floor from ({query("begin_window")}) as w (id, transaction_id);
                        assert nextval('jobhooks.object_change_id_seq') > floor;
                    end loop;
                end $test$""".encode()
            )
    finally:
        stop.set()
        for thread in threads:
            thread.join()
