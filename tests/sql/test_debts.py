"""Debts: which of them are due, whatever comes, fails, is paid, given up and owed anew, and in whatever order."""

import json
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import psycopg
import pytest

from conftest import Connection
from support.daemon import LIMIT, wait_until

Row = dict[str, Any]
CHANGES = 40


@pytest.fixture
def books(device: Connection) -> Connection:
    """The client, with changes 1 to 40 in the log and two hooks."""
    for number in range(CHANGES):
        device.execute("update public.device set serial = %s", [str(number)])
    device.execute("insert into jobhooks.job (class_path, name) values ('a.B', 'B')")
    for name in ("one", "two"):
        device.execute("select jobhooks.add_hook(%s, '{public.device}', '{update}', 'a.B')", [name])
    return device


def settle(conn: Connection, **rest: list[Row]) -> None:
    told = json.dumps(rest) if rest else None
    conn.execute("select jobhooks.settle(0, '{}', '{}', '{}', '{}', '{}', '{}', %s)", [told])


def parked(change_id: int, lane: int | None = None, other_lane: int | None = None, **changes: object) -> Row:
    """Return a debt as settle takes it; by default one that was never attempted, and is due if nothing is before it."""
    return {
        "change_id": change_id,
        "hook_id": 1,
        "content_type_id": 1,
        "lane": lane,
        "other_lane": other_lane,
        "attempts": 0,
        "failures": 0,
        "attempted": False,
        "blocks": True,
        "status": "blocked",
        "due_in": 0,
        **changes,
    }


def failed(debt: Row, **changes: object) -> dict[str, list[Row]]:
    """Return what settle is told of a failed attempt at it, which is made again after an hour."""
    number = debt["attempts"] + 1
    counted = {"attempted": True, "attempts": number, "failures": debt["failures"] + 1}
    owed = {**debt, **counted, "status": "waiting", "due_in": 3600, **changes}
    result = {"change_id": debt["change_id"], "hook_id": debt["hook_id"], "job_id": 1, "attempt": number}
    return {
        "parked": [owed],
        "results": [{**result, "status": "failure", "started_at": 1, "finished_at": 2, "error": "x"}],
    }


def statuses(conn: Connection) -> dict[int, str]:
    return dict(conn.execute("select change_id, status from jobhooks.delivery order by change_id").fetchall())


def test_a_new_leader_waits_for_what_the_former_one_is_settling(books: Connection) -> None:
    """Else it would read the debts without those that are being written, and deliver what is behind them."""
    dsn = books.info.dsn
    with psycopg.connect(dsn) as former, psycopg.connect(dsn) as new, ThreadPoolExecutor(1) as pool:
        settle(former, **failed(parked(1, 7)))
        taking = pool.submit(new.execute, "select jobhooks.take_the_lead()")
        waits = "select from pg_stat_activity where wait_event_type = 'Lock' and pid = %s"
        wait_until("it waits", lambda: books.execute(waits, [new.info.backend_pid]).fetchone() is not None)
        former.commit()
        assert taking.result(LIMIT).fetchone() == (1,)
        assert statuses(new) == {1: "waiting"}
        settling = pool.submit(settle, former)
        wait_until("it waits", lambda: books.execute(waits, [former.info.backend_pid]).fetchone() is not None)
        new.commit()
        with pytest.raises(psycopg.Error, match="another daemon leads"):
            settling.result(LIMIT)
