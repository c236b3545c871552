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
    """Make the arguments of settle for a failed attempt, with the next one in an hour."""
    number = debt["attempts"] + 1
    counted = {"attempted": True, "attempts": number, "failures": debt["failures"] + 1}
    owed = {**debt, **counted, "status": "waiting", "due_in": 3600, **changes}
    result = {"change_id": debt["change_id"], "hook_id": debt["hook_id"], "job_id": 1, "attempt": number}
    return {
        "parked": [owed],
        "results": [{**result, "status": "failure", "started_at": 1, "finished_at": 2, "error": "x"}],
    }


def paid(debt: Row) -> Row:
    return {"change_id": debt["change_id"], "hook_id": debt["hook_id"], "attempt": debt["attempts"] + 1}


def statuses(conn: Connection) -> dict[int, str]:
    return dict(conn.execute("select change_id, status from jobhooks.delivery order by change_id").fetchall())


def test_what_is_behind_a_truncate_is_due_once_that_is_settled(ledger: Connection) -> None:
    """The first of each object, up to the next truncate. No other event would make them due, even an hour later."""
    first, last = parked(10), parked(20)
    settle(ledger, parked=[first, parked(11, 1), parked(12, 1), parked(13, 2), last, parked(21, 1)])
    assert statuses(ledger) == {10: "waiting"} | dict.fromkeys((11, 12, 13, 20, 21), "blocked")
    settle(ledger, paid=[paid(first)])
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
    settle(ledger, paid=[paid({**older, "attempts": 1})])
    assert statuses(ledger) == {5: "waiting"}


def test_a_debt_stays_in_the_lanes_in_which_it_was_parked(ledger: Connection) -> None:
    """With a new key of its table the daemon puts it into other lanes, but its followers are in the old ones."""
    settle(ledger, parked=[parked(1, 7), parked(2, 7), parked(3, 7)])
    settle(ledger, **failed(parked(1, 8)))
    assert statuses(ledger) == {1: "waiting", 2: "blocked", 3: "blocked"}
    settle(ledger, paid=[paid(parked(1, 8, attempts=1))])
    assert statuses(ledger) == {2: "waiting", 3: "blocked"}
    ledger.execute("select jobhooks.retry_deliveries('{2}', '{1}')")
    settle(ledger, paid=[paid(parked(2, 8))])
    assert statuses(ledger) == {3: "waiting"}


def test_what_does_not_block_waits_for_nothing(ledger: Connection) -> None:
    """A delivery that later ones may pass is due, regardless of others: no later event would make it due."""
    settle(ledger, parked=[parked(1, 7)])
    settle(ledger, **failed(parked(2, 7), blocks=False))
    settle(ledger, parked=[parked(3, 7), parked(2, 7, attempts=1, failures=1, blocks=False)])
    assert statuses(ledger) == {1: "waiting", 2: "waiting", 3: "blocked"}
    settle(ledger, paid=[paid(parked(1, 7))])
    assert statuses(ledger) == {2: "waiting", 3: "waiting"}


def test_what_is_owed_anew_is_not_paid_by_an_attempt_from_before(ledger: Connection) -> None:
    """Someone gave it up while it ran, and had it delivered again: the end of that run settles the former debt."""
    running = parked(1, 7, status="waiting")
    settle(ledger, parked=[running])
    ledger.execute("select jobhooks.discard_deliveries('{1}', '{1}')")
    again = json.dumps([{"change_id": 1, "hook_id": 1, "content_type_id": 1, "lane": 7, "other_lane": None}])
    ledger.execute("select jobhooks.requeue(%s)", [again])
    due_at = "select due_at from jobhooks.delivery where status = 'waiting' and attempts = 1"
    before = ledger.execute(due_at).fetchone()
    for end in ({"paid": [paid(running)]}, failed(running), {"parked": [parked(1, 7)]}):
        settle(ledger, **end)
        after = ledger.execute(due_at).fetchone()
        # The daemon held the former delivery, and searches for due ones after the last it has seen.
        assert before is not None and after is not None and after[0] > before[0]
        before = after
    settle(ledger, paid=[paid({**running, "attempts": 1})])
    assert statuses(ledger) == {}


@pytest.mark.parametrize("known", [False, True])
def test_a_batch_costs_the_same_however_much_is_owed(ledger: Connection, known: bool) -> None:
    """With 50,000 debts each of these looks at a few, whether the planner has heard of them or not.

    Of one object 20,000 are owed, 10,000 of others, 10,000 of a table without a key; 10,000 are behind a truncate.
    """
    ledger.execute("alter table jobhooks.delivery set (autovacuum_enabled = off)")
    debts = (
        parked(1, 7),
        parked(100_000, 30_000),
        parked(200_000, content_type_id=2),
        parked(300_000, content_type_id=3),
    )
    settle(ledger, parked=list(debts))  # so that it is planned while there are hardly any
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
        *[failed(debt) for debt in debts[:3]],
        *[{"paid": [paid({**debt, "attempts": 1})]} for debt in debts[:3]],
        {"parked": [parked(400_000, 40_000), parked(400_001, 40_000, 7), parked(400_002, content_type_id=4)]},
    ]
    for step in steps:
        with ledger.transaction():
            settle(ledger, **step)
            read = _rows_read(ledger)
        assert read[0] == 0 and read[1] < 50, (step, read)


@pytest.mark.parametrize(
    "owed", [(1, 50_000, 50_001), (1, 7, None), (2, None, None), (4, None, None), (4, 60_000, None)]
)
def test_what_is_read_is_compared_with_debts_by_index(ledger: Connection, owed: tuple[int | None, ...]) -> None:
    """While a hook has debts, that is done for each delivery that it comes to owe."""
    ledger.execute(
        "insert into jobhooks.delivery (change_id, hook_id, content_type_id, lane, status, due_at)"
        " select id, 1, 1, id, 'waiting', now() from generate_series(1, 20000) as id"
        " union all select 100000 + id, 1, 2, null, 'blocked', null from generate_series(1, 20000) as id"
    )
    with psycopg.connect(ledger.info.dsn, cursor_factory=psycopg.RawCursor) as raw:
        query = queries()["blocked_deliveries"]
        content_type_id, lane, other_lane = owed
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
        assert found == ([(300_000,)] if owed[0] == 2 or owed[1] == 7 else [])
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

    debts: dict[Key, Row] = field(default_factory=dict[Key, Row])

    def status(self, debt: Row) -> str:
        if debt["status"] == "dead":
            return "dead"
        return (
            "blocked" if debt["blocks"] and any(_is_before(other, debt) for other in self.debts.values()) else "waiting"
        )

    def check(self, conn: Connection, what: object) -> None:
        rows = conn.execute(
            "select change_id, hook_id, status, attempts, blocks from jobhooks.delivery order by 1, 2"
        ).fetchall()
        expected = [
            (*key, self.status(debt), debt["attempts"], debt["blocks"]) for key, debt in sorted(self.debts.items())
        ]
        assert rows == expected, (what, self.debts)

    def of_status(self, status: str) -> list[Row]:
        return [debt for debt in self.debts.values() if self.status(debt) == status]


def _is_before(older: Row, debt: Row) -> bool:
    if not older["blocks"] or older["hook_id"] != debt["hook_id"] or older["change_id"] >= debt["change_id"]:
        return False
    if older["content_type_id"] != debt["content_type_id"]:
        return False
    return older["lane"] is None or debt["lane"] is None or bool(_lanes(older) & _lanes(debt))


def _lanes(debt: Row) -> set[int]:
    return {debt["lane"], debt["other_lane"]} - {None}


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
        """Return deliveries that are no debts, a few of them."""
        keys = [(change_id, hook_id) for change_id in self.lanes for hook_id in HOOKS]
        free = [key for key in keys if key not in self.oracle.debts]
        return [
            parked(
                change_id, **self.lanes[change_id], hook_id=hook_id, attempts=self.attempts.get((change_id, hook_id), 0)
            )
            for change_id, hook_id in self.rng.sample(free, min(len(free), self.rng.randint(1, 6)))
        ]

    def some(self, debts: list[Row]) -> list[Row]:
        return self.rng.sample(debts, min(len(debts), self.rng.randint(1, 4)))

    def batch(self) -> None:
        """Settle a batch: different deliveries of it are parked, returned, failed and done."""
        waiting = self.some(self.oracle.of_status("waiting"))
        rest: dict[str, list[Row]] = {"parked": [], "results": [], "paid": []}
        news = self.new() if self.rng.random() < 0.7 else []
        for debt in news:
            if self.rng.random() < 0.4:
                self._fail(debt, rest)
            else:
                debt["status"] = self.rng.choice(["blocked", "blocked", "waiting"])
                rest["parked"].append(debt)
                self._owe(debt)
        for debt in waiting:
            end = self.rng.random()
            if end < 0.4:
                rest["paid"].append(paid(debt))
                self._settled(debt)
            elif end < 0.8:
                self._fail(self._moved(debt), rest)
            else:
                status = "blocked" if debt["blocks"] else "waiting"
                rest["parked"].append({**self._moved(debt), "status": status})
        self.rng.shuffle(rest["parked"])
        settle(self.conn, **{name: rows for name, rows in rest.items() if rows})

    def _moved(self, debt: Row) -> Row:
        """Now and then put it into other lanes, as after a change of its table's key."""
        return debt if self.rng.random() < 0.8 else {**debt, "lane": 10 * debt["content_type_id"], "other_lane": None}

    def _fail(self, debt: Row, rest: dict[str, list[Row]]) -> None:
        status = self.rng.choice(["waiting", "waiting", "waiting", "dead"])
        of_it = failed(debt, blocks=self.rng.random() < 0.7, status=status, due_in=self.rng.choice([0, 3600]))
        rest["parked"] += of_it["parked"]
        rest["results"] += of_it["results"]
        self._owe(of_it["parked"][0])

    def _owe(self, debt: Row) -> None:
        key = (debt["change_id"], debt["hook_id"])
        former = self.oracle.debts.get(key, debt)
        self.attempts[key] = max(self.attempts.get(key, 0), debt["attempts"])
        self.oracle.debts[key] = {**debt, "lane": former["lane"], "other_lane": former["other_lane"]}

    def _settled(self, debt: Row) -> None:
        key = (debt["change_id"], debt["hook_id"])
        del self.oracle.debts[key]
        self.attempts[key] = debt["attempts"] + 1

    def retry(self) -> None:
        """Have some attempted again by hand."""
        chosen = self.some(list(self.oracle.debts.values()))
        for debt in chosen:
            debt.update(blocks=True, failures=0, status="blocked")
        self._decide("retry_deliveries", chosen)

    def discard(self) -> None:
        """Discard some. They have a result, so a replay gets the next attempt number."""
        chosen = self.some(list(self.oracle.debts.values()))
        self._decide("discard_deliveries", chosen)
        for debt in chosen:
            self._settled(debt)

    def _decide(self, function: str, chosen: list[Row]) -> None:
        keys = [debt["change_id"] for debt in chosen], [debt["hook_id"] for debt in chosen]
        self.conn.execute(f"select jobhooks.{function}(%s, %s)".encode(), keys)

    def replay(self) -> None:
        """Replay some that were settled or never due. Nothing changes for pending ones."""
        chosen = [*self.new(), *self.some(list(self.oracle.debts.values()))]
        self.conn.execute("select jobhooks.requeue(%s)", [json.dumps(chosen)])
        for debt in chosen:
            key = (debt["change_id"], debt["hook_id"])
            # Numbered on from its last result, which a payment here has not written.
            row = self.conn.execute(
                "select attempts from jobhooks.delivery where change_id = %s and hook_id = %s", key
            ).fetchone()
            assert row is not None
            if key not in self.oracle.debts:
                self._owe({**debt, "attempts": row[0], "status": "blocked"})

    def end(self) -> None:
        """Settle everything in any order that is due, and decide about the dead ones."""
        while self.oracle.debts:
            waiting, dead = self.oracle.of_status("waiting"), self.oracle.of_status("dead")
            if waiting and (not dead or self.rng.random() < 0.8):
                debt = self.rng.choice(waiting)
                settle(self.conn, paid=[paid(debt)])
                del self.oracle.debts[debt["change_id"], debt["hook_id"]]
            else:
                assert dead, "nothing is due, and nothing is dead: nobody will ever be"
                debt = self.rng.choice(dead)
                debt.update(blocks=True, failures=0, status="blocked")
                self._decide("retry_deliveries", [debt])
            self.oracle.check(self.conn, "end")


@pytest.mark.parametrize("turn", range(8))
def test_exactly_those_debts_wait_that_must(ledger: Connection, seed: int, turn: int) -> None:
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
