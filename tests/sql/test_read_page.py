"""A page of the log: only up to an id, and only of some tables; by index, no matter how large the log is."""

from typing import Any

import psycopg
import pytest

from conftest import Connection
from jobhooks.engine.delivery.cursor import NO_LIMIT
from jobhooks.store.queries import find_query


@pytest.fixture
def log(device: Connection) -> tuple[Connection, dict[str, Any]]:
    """A log of two tables, and the parameters of a window: changes 1 and 2 are of a transaction that ended late."""
    device.execute("create table public.site (id integer primary key)")
    device.execute("select jobhooks.watch('public.site')")
    with psycopg.connect(device.info.dsn) as late:
        late.execute("insert into public.device (name) values ('late')")
        late.execute("insert into public.site values (0)")
        device.execute("insert into public.device (name) values ('before')")
        seen = device.execute("select pg_current_snapshot()::text").fetchone()
        late.commit()
    for number in range(1, 4):
        device.execute("insert into public.device (name) values ('after')")
        device.execute("insert into public.site values (%s)", [number])
    horizon = device.execute("select pg_current_snapshot()::text").fetchone()
    assert seen is not None
    assert horizon is not None
    window = {
        "seen": seen[0],
        "horizon": horizon[0],
        "seen_low_water_id": 3,
        "after_id": 0,
        "last_id": NO_LIMIT,
        "content_type_ids": None,
        "limit": 100,
        "max_bytes": 1_000_000,
    }
    return device, window


def read(conn: Connection, window: dict[str, Any], **changes: Any) -> list[int]:
    query = find_query("read_page")
    with psycopg.connect(conn.info.dsn, cursor_factory=psycopg.RawCursor) as raw:
        rows = raw.execute(query.encoded, query.arguments({**window, **changes})).fetchall()
    return [row[0] for row in rows if row[0] is not None]


Log = tuple[Connection, dict[str, Any]]


def test_a_window_has_what_was_not_seen(log: Log) -> None:
    assert read(*log) == [1, 2, 4, 5, 6, 7, 8, 9]


@pytest.mark.parametrize(
    ("last_id", "ids"), [(0, []), (1, [1]), (3, [1, 2]), (5, [1, 2, 4, 5]), (9, [1, 2, *range(4, 10)])]
)
def test_a_page_ends_at_an_id(log: Log, last_id: int, ids: list[int]) -> None:
    """A hook that reads alone goes as far as the others, within a window."""
    assert read(*log, last_id=last_id) == ids


def test_a_page_is_of_some_tables(log: Log) -> None:
    """A hook that reads alone needs only the changes of its tables."""
    assert read(*log, content_type_ids=[1]) == [1, 4, 6, 8]
    assert read(*log, content_type_ids=[2]) == [2, 5, 7, 9]
    assert read(*log, content_type_ids=[1, 2]) == read(*log)
    assert read(*log, content_type_ids=[]) == []
    assert read(*log, content_type_ids=[2], last_id=7, after_id=2) == [5, 7]


def test_a_page_that_is_not_full_is_the_last_of_its_tables(log: Log) -> None:
    assert read(*log, content_type_ids=[2], limit=3) == [2, 5, 7]
    assert read(*log, content_type_ids=[2], limit=3, after_id=7) == [9]


BOUNDS: tuple[dict[str, Any], ...] = (
    {},
    {"last_id": 30},
    {"content_type_ids": [2]},
    {"last_id": 30, "content_type_ids": [1, 2]},
)


@pytest.mark.parametrize("known", [False, True], ids=["unknown", "analyzed"])
def test_a_bounded_page_is_read_by_index(log: Log, known: bool) -> None:
    conn, window = log
    conn.execute("alter table jobhooks.object_change_1 set (autovacuum_enabled = off)")
    conn.execute("insert into public.device (name) select 'd' || i from generate_series(1, 20000) as i")
    if known:
        conn.execute("analyze jobhooks.object_change_1")
    query = find_query("read_page")
    explain = f"explain (analyze, costs off, timing off, summary off) {query.text}".encode()
    with psycopg.connect(conn.info.dsn, cursor_factory=psycopg.RawCursor) as raw:
        for bounds in BOUNDS:
            plan = raw.execute(explain, query.arguments({**window, **bounds, "limit": 50})).fetchall()
            text = "\n".join(line for (line,) in plan)
            assert "Seq Scan on object_change_1" not in text, (bounds, text)
            assert "object_change_1_transaction_id_idx" in text, (bounds, text)
            assert "object_change_1_pkey" in text, (bounds, text)
