"""The computed status of the backlog's rows, against a comparison of each row with all others."""

import json
import random
from typing import Any

import pytest

from conftest import Connection

Row = dict[str, Any]
PENDING = "select change_id, hook_id, status, behind, due_at is null from jobhooks.delivery_states(%s) order by 1, 2"


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
    assert conn.execute("select count(*) from jobhooks.delivery_states(null, 7)").fetchall() == [(7,)]


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
            "select status, count(*) from jobhooks.delivery_states(%s) group by 1 order by 1", [hook_ids]
        )
        assert counts.fetchall() == [("blocked", 20000), ("waiting", 20000)]


WAITS = "select waits_for, due_at > clock_timestamp(), status, state from jobhooks.delivery_states()"
SETTINGS = {"name": "h", "content_types": ["public.device"], "job": "a.B", "events": ["update"]}
USED_UP = "insert into jobhooks.rate_bucket (hook_id, key, full_at) values (1, %s, now() + interval '1 hour')"


def one_delivery(conn: Connection, due: str, settings: dict[str, object], attempts: int = 0) -> None:
    """A delivery of a hook with these settings, due at this interval from now."""
    conn.execute("insert into jobhooks.job (class_path, enabled, installed) values ('a.B', true, true)")
    conn.execute("select jobhooks.save_hook(null, %s)", [json.dumps({**SETTINGS, **settings})])
    conn.execute(
        "insert into jobhooks.delivery (change_id, hook_id, content_type_id, lane, status, due_at, attempts, failures)"
        " values (1, 1, 1, 7, 'waiting', clock_timestamp() + %s::interval, %s, %s)",
        [due, attempts, attempts],
    )


@pytest.mark.parametrize(
    ("settings", "due", "attempts", "waits_for", "in_future", "state"),
    [
        ({}, "-1 minute", 0, None, False, "waiting"),
        ({}, "1 minute", 1, "retry", True, "retrying"),
        ({}, "-1 minute", 1, None, False, "retrying"),
        ({"enabled": False}, "-1 minute", 0, "hook", False, "waiting"),
        ({"paused": True}, "-1 minute", 0, "hook", False, "paused"),
        ({"debounce_s": 5}, "5 seconds", 0, "debounce", True, "waiting"),
        ({"debounce_s": 5}, "-1 minute", 0, None, False, "waiting"),
        ({"coalesce_s": 5}, "5 seconds", 0, "coalesce", True, "waiting"),
        ({"rate": "1/h"}, "5 seconds", 0, "rate", True, "waiting"),
        ({"rate": "1/h"}, "-1 minute", 0, None, False, "waiting"),
    ],
)
def test_what_a_delivery_waits_for(
    device: Connection,
    settings: dict[str, object],
    due: str,
    attempts: int,
    waits_for: str | None,
    in_future: bool,
    state: str,
) -> None:
    """Without it, a delivery that waits for a setting of its hook would look late."""
    one_delivery(device, due, settings, attempts)
    assert device.execute(WAITS).fetchall() == [(waits_for, in_future, "waiting", state)]


@pytest.mark.parametrize(("job", "reason"), [("enabled", None), ("installed", None), (None, "channel: is missing")])
def test_a_delivery_waits_for_job_receiver_and_data(device: Connection, job: str | None, reason: str | None) -> None:
    one_delivery(device, "-1 minute", {})
    if job is not None:
        device.execute(f"update jobhooks.job set {job} = false".encode())
    device.execute(
        "insert into jobhooks.data_verdict (hook_id, job_id, data, error)"
        " select id, job_id, data, %s from jobhooks.job_hook",
        [reason],
    )
    assert device.execute(WAITS).fetchall() == [("hook", False, "waiting", "waiting")]


def test_a_rate_that_is_used_up_makes_no_delivery_late(device: Connection) -> None:
    """If all share it, the time is known. If keys have it for themselves, the delivery may be of another one."""
    one_delivery(device, "-2 hours", {"rate": "1/day"})
    device.execute(USED_UP, [0])
    assert device.execute(WAITS).fetchall() == [("rate", True, "waiting", "waiting")]
    device.execute("select jobhooks.save_hook('h', '{\"rate_per\": [\"object\"]}')")
    device.execute(USED_UP, [42])
    assert device.execute(WAITS).fetchall() == [("rate", None, "waiting", "waiting")]
    problems = device.execute("select problem from jobhooks.problems_of_deliveries()").fetchall()
    assert problems == []
    device.execute("delete from jobhooks.rate_bucket")
    ((problem,),) = device.execute("select problem from jobhooks.problems_of_deliveries()").fetchall()
    assert problem.startswith("1 delivery should have been attempted")


def test_an_object_is_quiet_when_its_last_change_is(device: Connection) -> None:
    """The first row has the time, and those behind it are blocked."""
    one_delivery(device, "-1 second", {"debounce_s": 5})
    device.execute(
        "insert into jobhooks.delivery (change_id, hook_id, content_type_id, lane, status, due_at)"
        " values (2, 1, 1, 7, 'waiting', clock_timestamp() + interval '1 minute')"
    )
    assert sorted(device.execute(WAITS).fetchall(), key=str) == [
        ("debounce", True, "waiting", "waiting"),
        (None, None, "blocked", "blocked"),
    ]


def test_the_view_of_the_backlog_has_states_and_statuses(device: Connection) -> None:
    one_delivery(device, "1 minute", {}, 1)
    seen = "select hook, status, state, changes from jobhooks.backlog where hook is not null"
    assert device.execute(seen).fetchall() == [("h", "waiting", "retrying", 1)]
