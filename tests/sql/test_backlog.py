"""The backlog: which deliveries are due, after any sequence of arrivals, failures, settling, discards and replays."""

import json
import random
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import psycopg
import pytest

from conftest import Connection
from jobhooks.store.queries import queries
from support.daemon import LIMIT, wait_until

Row = dict[str, Any]
Key = tuple[int, int]  # change and hook
HOOKS = (1, 2)
CHANGES = 40


@pytest.fixture
def ledger(device: Connection) -> Connection:
    """The client, with changes 1 to 40 in the log and two hooks."""
    for number in range(CHANGES):
        device.execute("update public.device set serial = %s", [str(number)])
    device.execute("insert into jobhooks.job (class_path, enabled) values ('a.B', true), ('c.D', true)")
    for name, job in (("one", "a.B"), ("two", "c.D")):
        device.execute("select jobhooks.add_hook(%s, '{public.device}', '{update}', %s)", [name, job])
    return device


def settle(conn: Connection, **rest: list[Row]) -> None:
    told = json.dumps(rest) if rest else None
    conn.execute("select jobhooks.settle(0, '{}', '{}', '{}', '{}', '{}', '{}', %s)", [told])


def parked(change_id: int, lane: int | None = None, other_lane: int | None = None, **changes: object) -> Row:
    """A delivery to park, as settle takes it; by default never attempted, and due if no older one is before it."""
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


def failed(delivery: Row, **changes: object) -> dict[str, list[Row]]:
    """Make the arguments of settle for a failed attempt, with the next one in an hour."""
    number = delivery["attempts"] + 1
    counted = {"attempted": True, "attempts": number, "failures": delivery["failures"] + 1}
    failed_one = {**delivery, **counted, "status": "waiting", "due_in": 3600, **changes}
    result = {"change_id": delivery["change_id"], "hook_id": delivery["hook_id"], "job_id": 1, "attempt": number}
    return {
        "parked": [failed_one],
        "results": [{**result, "status": "failure", "started_at": 1, "finished_at": 2, "error": "x"}],
    }


def done(delivery: Row) -> Row:
    return {"change_id": delivery["change_id"], "hook_id": delivery["hook_id"], "attempt": delivery["attempts"] + 1}


def statuses(conn: Connection) -> dict[int, str]:
    return dict(conn.execute("select change_id, status from jobhooks.delivery order by change_id").fetchall())


def test_what_is_behind_a_truncate_is_due_once_that_is_settled(ledger: Connection) -> None:
    """The first of each object, up to the next truncate. No other event would make them due, even an hour later."""
    first, last = parked(10), parked(20)
    settle(ledger, parked=[first, parked(11, 1), parked(12, 1), parked(13, 2), last, parked(21, 1)])
    assert statuses(ledger) == {10: "waiting"} | dict.fromkeys((11, 12, 13, 20, 21), "blocked")
    settle(ledger, paid=[done(first)])
    assert statuses(ledger) == {11: "waiting", 12: "blocked", 13: "waiting", 20: "blocked", 21: "blocked"}
    ledger.execute("select jobhooks.discard_deliveries('{11, 12, 13}', '{1, 1, 1}')")
    assert statuses(ledger) == {20: "waiting", 21: "blocked"}
    ledger.execute("select jobhooks.discard_deliveries('{20}', '{1}')")
    assert statuses(ledger) == {21: "waiting"}


@pytest.mark.parametrize(
    ("younger", "older"),
    [
        (parked(5, 7), parked(3, 7)),
        (parked(5, 7, 8), parked(3, 8)),
        (parked(5, 8), parked(3, 7, 8)),
        (parked(5, 7, 8), parked(3, 9, 8)),
        (parked(5), parked(3, 7)),
        (parked(5, 7), parked(3)),
        (parked(5), parked(3)),
    ],
)
def test_what_was_due_waits_for_an_older_one_that_fails(ledger: Connection, younger: Row, older: Row) -> None:
    """It was parked while the older one ran, and must not overtake it now."""
    settle(ledger, parked=[younger])
    assert statuses(ledger) == {5: "waiting"}
    settle(ledger, **failed(older))
    assert statuses(ledger) == {3: "waiting", 5: "blocked"}
    settle(ledger, paid=[done({**older, "attempts": 1})])
    assert statuses(ledger) == {5: "waiting"}


def test_a_delivery_stays_in_the_lanes_where_it_was_parked(ledger: Connection) -> None:
    """With a new key of its table the daemon puts it into other lanes, but its followers are in the old ones."""
    settle(ledger, parked=[parked(1, 7), parked(2, 7), parked(3, 7)])
    settle(ledger, **failed(parked(1, 8)))
    assert statuses(ledger) == {1: "waiting", 2: "blocked", 3: "blocked"}
    settle(ledger, paid=[done(parked(1, 8, attempts=1))])
    assert statuses(ledger) == {2: "waiting", 3: "blocked"}
    ledger.execute("select jobhooks.retry_deliveries('{2}', '{1}')")
    settle(ledger, paid=[done(parked(2, 8))])
    assert statuses(ledger) == {3: "waiting"}


def test_what_does_not_block_waits_for_nothing(ledger: Connection) -> None:
    """A delivery that later ones may pass is due, regardless of others: no later event would make it due."""
    settle(ledger, parked=[parked(1, 7)])
    settle(ledger, **failed(parked(2, 7), blocks=False))
    settle(ledger, parked=[parked(3, 7), parked(2, 7, attempts=1, failures=1, blocks=False)])
    assert statuses(ledger) == {1: "waiting", 2: "waiting", 3: "blocked"}
    settle(ledger, paid=[done(parked(1, 7))])
    assert statuses(ledger) == {2: "waiting", 3: "waiting"}


def test_a_requeued_delivery_survives_the_end_of_an_earlier_attempt(ledger: Connection) -> None:
    """An operator discarded it while it ran, and replayed it: the end of that run settles only the former delivery."""
    running = parked(1, 7, status="waiting")
    settle(ledger, parked=[running])
    ledger.execute("select jobhooks.discard_deliveries('{1}', '{1}')")
    again = json.dumps([{"change_id": 1, "hook_id": 1, "content_type_id": 1, "lane": 7, "other_lane": None}])
    ledger.execute("select jobhooks.requeue(%s)", [again])
    due_at = "select due_at from jobhooks.delivery where status = 'waiting' and attempts = 1"
    before = ledger.execute(due_at).fetchone()
    for end in ({"paid": [done(running)]}, failed(running), {"parked": [parked(1, 7)]}):
        settle(ledger, **end)
        after = ledger.execute(due_at).fetchone()
        # The daemon held the former delivery, and searches for due ones after the last it has seen.
        assert before is not None and after is not None and after[0] > before[0]
        before = after
    settle(ledger, paid=[done({**running, "attempts": 1})])
    assert statuses(ledger) == {}


@pytest.mark.parametrize("known", [False, True])
def test_a_batch_costs_the_same_for_any_backlog(ledger: Connection, known: bool) -> None:
    """With a backlog of 50,000 each of these reads a few rows, with and without statistics for the planner.

    Of one object 20,000 are pending, 10,000 of others, 10,000 of a table without a key; 10,000 are behind a truncate.
    """
    ledger.execute("alter table jobhooks.delivery set (autovacuum_enabled = off)")
    backlog = (
        parked(1, 7),
        parked(100_000, 30_000),
        parked(200_000, content_type_id=2),
        parked(300_000, content_type_id=3),
    )
    settle(ledger, parked=list(backlog))  # so that it is planned while there are hardly any
    ledger.execute(
        "insert into jobhooks.delivery (change_id, hook_id, content_type_id, lane, status, due_at)"
        " select id, 1, 1, 7, 'blocked', null::timestamptz from generate_series(2, 20000) as id"
        " union all select 100000 + id, 1, 1, 30000 + id, 'waiting', now() from generate_series(1, 10000) as id"
        " union all select 200000 + id, 1, 2, null, 'blocked', null from generate_series(1, 10000) as id"
        " union all select 300000 + id, 1, 3, id % 5000, 'blocked', null from generate_series(1, 10000) as id"
    )
    if known:
        ledger.execute("analyze jobhooks.delivery")
    steps: list[dict[str, list[Row]]] = [
        *[failed(delivery) for delivery in backlog[:3]],
        *[{"paid": [done({**delivery, "attempts": 1})]} for delivery in backlog[:3]],
        {"parked": [parked(400_000, 40_000), parked(400_001, 40_000, 7), parked(400_002, content_type_id=4)]},
    ]
    for step in steps:
        with ledger.transaction():
            settle(ledger, **step)
            read = _rows_read(ledger)
        assert read[0] == 0 and read[1] < 50, (step, read)


@pytest.mark.parametrize(
    "row", [(1, 50_000, 50_001), (1, 7, None), (2, None, None), (4, None, None), (4, 60_000, None)]
)
def test_the_backlog_is_searched_by_index(ledger: Connection, row: tuple[int | None, ...]) -> None:
    """While a hook has a backlog, each of its new deliveries is compared with it."""
    ledger.execute(
        "insert into jobhooks.delivery (change_id, hook_id, content_type_id, lane, status, due_at)"
        " select id, 1, 1, id, 'waiting', now() from generate_series(1, 20000) as id"
        " union all select 100000 + id, 1, 2, null, 'blocked', null from generate_series(1, 20000) as id"
    )
    with psycopg.connect(ledger.info.dsn, cursor_factory=psycopg.RawCursor) as raw:
        query = queries()["blocked_deliveries"]
        content_type_id, lane, other_lane = row
        arguments = query.arguments(
            {
                "hook_id": 1,
                "change_ids": [300_000],
                "content_type_ids": [content_type_id],
                "lanes": [lane],
                "other_lanes": [other_lane],
            }
        )
        found = raw.execute(query.encoded, arguments).fetchall()
        assert found == ([(300_000,)] if row[0] == 2 or row[1] == 7 else [])
        read = _rows_read(raw)
    assert read[0] == 0 and read[1] < 10, read


def _rows_read(conn: Connection) -> tuple[int, int]:
    """Return how many scans of the whole table there were in this transaction, and how many rows the indexes led to."""
    row = conn.execute(
        "select seq_scan, coalesce(idx_tup_fetch, 0) from pg_stat_xact_user_tables"
        " where relid = 'jobhooks.delivery'::regclass"
    ).fetchone()
    assert row is not None
    return row[0], row[1]


def test_a_new_leader_waits_for_what_the_former_one_is_settling(ledger: Connection) -> None:
    """Otherwise it would read the backlog without the rows being written, and deliver their followers."""
    dsn = ledger.info.dsn
    with psycopg.connect(dsn) as former, psycopg.connect(dsn) as new, ThreadPoolExecutor(1) as pool:
        settle(former, **failed(parked(1, 7)))
        taking = pool.submit(new.execute, "select jobhooks.acquire_leadership()")
        waits = "select from pg_stat_activity where wait_event_type = 'Lock' and pid = %s"
        wait_until("it waits", lambda: ledger.execute(waits, [new.info.backend_pid]).fetchone() is not None)
        former.commit()
        assert taking.result(LIMIT).fetchone() == (1,)
        assert statuses(new) == {1: "waiting"}
        settling = pool.submit(settle, former)
        wait_until("it waits", lambda: ledger.execute(waits, [former.info.backend_pid]).fetchone() is not None)
        new.commit()
        with pytest.raises(psycopg.Error):
            settling.result(LIMIT)


@dataclass
class Oracle:
    """Computes which deliveries must wait from the whole backlog."""

    backlog: dict[Key, Row] = field(default_factory=dict[Key, Row])

    def status(self, delivery: Row) -> str:
        if delivery["status"] == "dead":
            return "dead"
        return (
            "blocked"
            if delivery["blocks"] and any(_is_before(other, delivery) for other in self.backlog.values())
            else "waiting"
        )

    def check(self, conn: Connection, what: object) -> None:
        rows = conn.execute(
            "select change_id, hook_id, status, attempts, blocks from jobhooks.delivery order by 1, 2"
        ).fetchall()
        expected = [
            (*key, self.status(delivery), delivery["attempts"], delivery["blocks"])
            for key, delivery in sorted(self.backlog.items())
        ]
        assert rows == expected, (what, self.backlog)

    def of_status(self, status: str) -> list[Row]:
        return [delivery for delivery in self.backlog.values() if self.status(delivery) == status]


def _is_before(older: Row, delivery: Row) -> bool:
    if not older["blocks"] or older["hook_id"] != delivery["hook_id"] or older["change_id"] >= delivery["change_id"]:
        return False
    if older["content_type_id"] != delivery["content_type_id"]:
        return False
    return older["lane"] is None or delivery["lane"] is None or bool(_lanes(older) & _lanes(delivery))


def _lanes(delivery: Row) -> set[int]:
    return {delivery["lane"], delivery["other_lane"]} - {None}


class Life:
    """Random events of the backlog, applied to the database and to the oracle."""

    def __init__(self, conn: Connection, seed: int) -> None:
        self.conn = conn
        self.rng = random.Random(seed)
        self.oracle = Oracle()
        self.attempts: dict[Key, int] = {}
        self.lanes = {change_id: self._lanes() for change_id in range(1, CHANGES + 1)}

    def _lanes(self) -> Row:
        table = self.rng.choice([1, 1, 2])
        lane, other_lane = (10 * table + number for number in self.rng.sample(range(4), 2))
        kind = self.rng.choices(["one", "two", "table"], [6, 2, 1])[0]
        return {
            "content_type_id": table,
            "lane": None if kind == "table" else lane,
            "other_lane": other_lane if kind == "two" else None,
        }

    def new(self) -> list[Row]:
        """A few deliveries that are not parked."""
        keys = [(change_id, hook_id) for change_id in self.lanes for hook_id in HOOKS]
        free = [key for key in keys if key not in self.oracle.backlog]
        return [
            parked(
                change_id, **self.lanes[change_id], hook_id=hook_id, attempts=self.attempts.get((change_id, hook_id), 0)
            )
            for change_id, hook_id in self.rng.sample(free, min(len(free), self.rng.randint(1, 6)))
        ]

    def some(self, deliveries: list[Row]) -> list[Row]:
        return self.rng.sample(deliveries, min(len(deliveries), self.rng.randint(1, 4)))

    def batch(self) -> None:
        """Settle a batch: different deliveries of it are parked, returned, failed and done."""
        waiting = self.some(self.oracle.of_status("waiting"))
        rest: dict[str, list[Row]] = {"parked": [], "results": [], "paid": []}
        news = self.new() if self.rng.random() < 0.7 else []
        for delivery in news:
            if self.rng.random() < 0.4:
                self._fail(delivery, rest)
            else:
                delivery["status"] = self.rng.choice(["blocked", "blocked", "waiting"])
                rest["parked"].append(delivery)
                self._park(delivery)
        for delivery in waiting:
            end = self.rng.random()
            if end < 0.4:
                rest["paid"].append(done(delivery))
                self._settled(delivery)
            elif end < 0.8:
                self._fail(self._moved(delivery), rest)
            else:
                status = "blocked" if delivery["blocks"] else "waiting"
                rest["parked"].append({**self._moved(delivery), "status": status})
        self.rng.shuffle(rest["parked"])
        settle(self.conn, **{name: rows for name, rows in rest.items() if rows})

    def _moved(self, delivery: Row) -> Row:
        """Now and then put it into other lanes, as after a change of its table's key."""
        return (
            delivery
            if self.rng.random() < 0.8
            else {**delivery, "lane": 10 * delivery["content_type_id"], "other_lane": None}
        )

    def _fail(self, delivery: Row, rest: dict[str, list[Row]]) -> None:
        status = self.rng.choice(["waiting", "waiting", "waiting", "dead"])
        of_it = failed(delivery, blocks=self.rng.random() < 0.7, status=status, due_in=self.rng.choice([0, 3600]))
        rest["parked"] += of_it["parked"]
        rest["results"] += of_it["results"]
        self._park(of_it["parked"][0])

    def _park(self, delivery: Row) -> None:
        key = (delivery["change_id"], delivery["hook_id"])
        former = self.oracle.backlog.get(key, delivery)
        self.attempts[key] = max(self.attempts.get(key, 0), delivery["attempts"])
        self.oracle.backlog[key] = {**delivery, "lane": former["lane"], "other_lane": former["other_lane"]}

    def _settled(self, delivery: Row) -> None:
        key = (delivery["change_id"], delivery["hook_id"])
        del self.oracle.backlog[key]
        self.attempts[key] = delivery["attempts"] + 1

    def retry(self) -> None:
        """Have some attempted again by hand."""
        chosen = self.some(list(self.oracle.backlog.values()))
        for delivery in chosen:
            delivery.update(blocks=True, failures=0, status="blocked")
        self._decide("retry_deliveries", chosen)

    def discard(self) -> None:
        """Discard some. They have a result, so a replay gets the next attempt number."""
        chosen = self.some(list(self.oracle.backlog.values()))
        self._decide("discard_deliveries", chosen)
        for delivery in chosen:
            self._settled(delivery)

    def _decide(self, function: str, chosen: list[Row]) -> None:
        keys = [delivery["change_id"] for delivery in chosen], [delivery["hook_id"] for delivery in chosen]
        self.conn.execute(f"select jobhooks.{function}(%s, %s)".encode(), keys)

    def replay(self) -> None:
        """Replay some that were settled or never due. Nothing changes for pending ones."""
        chosen = [*self.new(), *self.some(list(self.oracle.backlog.values()))]
        self.conn.execute("select jobhooks.requeue(%s)", [json.dumps(chosen)])
        for delivery in chosen:
            key = (delivery["change_id"], delivery["hook_id"])
            # Numbered on from its last result, which a payment here has not written.
            row = self.conn.execute(
                "select attempts from jobhooks.delivery where change_id = %s and hook_id = %s", key
            ).fetchone()
            assert row is not None
            if key not in self.oracle.backlog:
                self._park({**delivery, "attempts": row[0], "status": "blocked"})

    def end(self) -> None:
        """Settle everything in any order that is due, and decide about the dead ones."""
        while self.oracle.backlog:
            waiting, dead = self.oracle.of_status("waiting"), self.oracle.of_status("dead")
            if waiting and (not dead or self.rng.random() < 0.8):
                delivery = self.rng.choice(waiting)
                settle(self.conn, paid=[done(delivery)])
                del self.oracle.backlog[delivery["change_id"], delivery["hook_id"]]
            else:
                assert dead, "nothing is due, and nothing is dead: nobody will ever be"
                delivery = self.rng.choice(dead)
                delivery.update(blocks=True, failures=0, status="blocked")
                self._decide("retry_deliveries", [delivery])
            self.oracle.check(self.conn, "end")


@pytest.mark.parametrize("turn", range(8))
def test_exactly_the_deliveries_that_must_wait_do(ledger: Connection, seed: int, turn: int) -> None:
    """Random lanes, changed keys, truncates, jobs that skip: after each step a delivery is due unless an
    older one blocks it.

    So no delivery overtakes another, and each becomes due in the end.
    """
    life = Life(ledger, seed)
    steps = [life.batch, life.batch, life.batch, life.retry, life.discard, life.replay]
    for number in range(60):
        step = life.rng.choice(steps)
        step()
        life.oracle.check(ledger, (number, step))
    life.end()
