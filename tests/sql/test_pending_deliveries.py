"""The computed status of the backlog's rows, against a comparison of each row with all others."""

import random
from typing import Any

import pytest

from conftest import Connection

Row = dict[str, Any]
PENDING = "select change_id, hook_id, status, behind, due_at is null from jobhooks.pending_deliveries(%s) order by 1, 2"


def rows(seed: int) -> list[Row]:
    """Random rows of two hooks and two tables: objects, changed keys, whole tables, dead and non-blocking ones."""
    rng = random.Random(seed)
    made: list[Row] = []
    for change_id in range(1, 60):
        for hook_id in rng.choice([(), (1,), (2,), (1, 2)]):
            table = rng.choice([1, 1, 2])
            lane, other_lane = (10 * table + number for number in rng.sample(range(8), 2))
            kind = rng.choices(["one", "two", "table"], [12, 4, 1])[0]
            status = rng.choice(["waiting", "waiting", "waiting", "dead"])
            made.append(
                {
                    "change_id": change_id,
                    "hook_id": hook_id,
                    "content_type_id": table,
                    "lane": None if kind == "table" else lane,
                    "other_lane": other_lane if kind == "two" else None,
                    "blocks": rng.random() < 0.8,
                    "status": status,
                }
            )
    return made


def expected(row: Row, others: list[Row]) -> tuple[str, int | None]:
    older = [other["change_id"] for other in others if is_before(other, row)]
    if row["status"] == "dead" or not row["blocks"] or not older:
        return row["status"], None
    return "blocked", min(older)


def is_before(older: Row, row: Row) -> bool:
    if not older["blocks"] or older["change_id"] >= row["change_id"]:
        return False
    if (older["hook_id"], older["content_type_id"]) != (row["hook_id"], row["content_type_id"]):
        return False
    lanes, theirs = ({each["lane"], each["other_lane"]} - {None} for each in (row, older))
    return older["lane"] is None or row["lane"] is None or bool(lanes & theirs)


def insert(conn: Connection, made: list[Row]) -> None:
    with conn.cursor() as cursor:
        cursor.executemany(
            "insert into jobhooks.delivery"
            " (change_id, hook_id, content_type_id, lane, other_lane, blocks, status, due_at) values"
            " (%(change_id)s, %(hook_id)s, %(content_type_id)s, %(lane)s, %(other_lane)s, %(blocks)s, %(status)s,"
            " case when %(status)s = 'waiting' then now() end)",
            made,
        )


@pytest.mark.parametrize("turn", range(10))
def test_a_delivery_is_blocked_if_an_older_one_has_one_of_its_lanes(conn: Connection, seed: int, turn: int) -> None:
    """Lists, status and doctor show it, and a blocked delivery has no time at which it is due."""
    made = rows(seed + turn)
    insert(conn, made)
    for hook_ids in (None, [1], [2], [1, 2], [3]):
        chosen = [row for row in made if hook_ids is None or row["hook_id"] in hook_ids]
        wanted = [(row, *expected(row, made)) for row in chosen]
        assert conn.execute(PENDING, [hook_ids]).fetchall() == [
            (row["change_id"], row["hook_id"], status, behind, status != "waiting") for row, status, behind in wanted
        ]


def test_a_limit_bounds_the_rows_that_are_looked_at(conn: Connection) -> None:
    insert(conn, rows(1))
    assert conn.execute("select count(*) from jobhooks.pending_deliveries(null, 7)").fetchall() == [(7,)]


@pytest.mark.parametrize("known", [False, True])
def test_the_plan_has_no_join_that_compares_a_hook_with_all_of_its_lanes(conn: Connection, known: bool) -> None:
    """However the planner estimates the backlog: 20,000 lanes of one hook would be 400 million comparisons."""
    conn.execute("alter table jobhooks.delivery set (autovacuum_enabled = off)")
    conn.execute(
        "insert into jobhooks.delivery (change_id, hook_id, content_type_id, lane, status, due_at)"
        " select id, 1, 1, id % 20000, 'waiting', now() from generate_series(1, 40000) as id"
    )
    if known:
        conn.execute("analyze jobhooks.delivery")
    conn.execute("set statement_timeout = '20s'")
    for hook_ids in (None, [1]):
        counts = conn.execute(
            "select status, count(*) from jobhooks.pending_deliveries(%s) group by 1 order by 1", [hook_ids]
        )
        assert counts.fetchall() == [("blocked", 20000), ("waiting", 20000)]
