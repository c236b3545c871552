"""The backlog table: what a settle batch writes and refuses, what other sessions decide, and the saved positions."""

import json
import random
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import psycopg
import pytest

from conftest import Connection
from jobhooks.store.queries import Query, find_query
from support.daemon import LIMIT, wait_until

Row = dict[str, Any]
CHANGES = 40
MANY = 20_000


@pytest.fixture
def ledger(device: Connection) -> Connection:
    """The client, with changes 1 to 40 in the log and two hooks."""
    for number in range(CHANGES):
        device.execute("update public.device set serial = %s", [str(number)])
    device.execute("insert into jobhooks.job (class_path, enabled) values ('a.B', true), ('c.D', true)")
    for name, job in (("one", "a.B"), ("two", "c.D")):
        device.execute("select jobhooks.add_hook(%s, '{public.device}', '{update}', %s)", [name, job])
    return device


def settle(
    conn: Connection,
    rest: dict[str, list[Row]] | None = None,
    *,
    successes: Sequence[tuple[int, int]] = (),
    leader: int = 0,
    **more: list[Row],
) -> int:
    """Settle successes, as change and attempt, and the rest; how much was refused."""
    rest = {**(rest or {}), **more}
    ids = [change_id for change_id, _ in successes]
    attempts = [attempt for _, attempt in successes]
    ones = [1] * len(ids)
    row = conn.execute(
        "select jobhooks.settle(%s, %s::bigint[], %s::int[], %s::int[], %s::int[], %s::float8[], %s::float8[], %s)",
        [leader, ids, ones, ones, attempts, ones, ones, json.dumps(rest) if rest else None],
    ).fetchone()
    assert row is not None
    return row[0]


def parked(change_id: int, lane: int | None = 7, other_lane: int | None = None, **changes: object) -> Row:
    """A row as settle takes it; by default of a delivery that was never attempted, and is due."""
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
        "status": "waiting",
        "due_in": 0,
        **changes,
    }


def failed(row: Row, **changes: object) -> dict[str, list[Row]]:
    """The arguments of settle for a failed attempt, with the next one in an hour."""
    number = row["attempts"] + 1
    counted = {"attempted": True, "attempts": number, "failures": row["failures"] + 1, "due_in": 3600}
    return {"parked": [{**row, **counted, **changes}], "results": [result(row["change_id"], number)]}


def result(change_id: int, attempt: int) -> Row:
    return {
        "change_id": change_id,
        "hook_id": 1,
        "job_id": 1,
        "attempt": attempt,
        "status": "failure",
        "started_at": 1,
        "finished_at": 2,
        "error": "x",
    }


def done(change_id: int, attempt: int = 1) -> Row:
    return {"change_id": change_id, "hook_id": 1, "attempt": attempt}


def rows(conn: Connection, columns: str = "status, attempts, failures") -> dict[int, tuple[object, ...]]:
    found = conn.execute(f"select change_id, {columns} from jobhooks.delivery order by change_id".encode())
    return {row[0]: row[1:] for row in found.fetchall()}


def results(conn: Connection) -> list[tuple[object, ...]]:
    found = conn.execute("select change_id, attempt, status from jobhooks.job_result order by change_id, attempt")
    return found.fetchall()


def discard(conn: Connection, *change_ids: int) -> None:
    ids = list(change_ids)
    conn.execute("select jobhooks.discard_deliveries(%s, %s)", [ids, [1] * len(ids)])


def retry(conn: Connection, *change_ids: int) -> int:
    ids = list(change_ids)
    row = conn.execute("select jobhooks.retry_deliveries(%s, %s)", [ids, [1] * len(ids)]).fetchone()
    assert row is not None
    return row[0]


def requeue(conn: Connection, *change_ids: int) -> int:
    queued = [
        {"change_id": change_id, "hook_id": 1, "content_type_id": 1, "lane": 7, "other_lane": None}
        for change_id in change_ids
    ]
    row = conn.execute("select jobhooks.requeue(%s)", [json.dumps(queued)]).fetchone()
    assert row is not None
    return row[0]


# What a settle batch writes.


def test_a_batch_parks_fails_and_ends_deliveries(ledger: Connection) -> None:
    assert settle(ledger, parked=[parked(1), parked(2), parked(3)]) == 0
    assert rows(ledger) == dict.fromkeys((1, 2, 3), ("waiting", 0, 0))
    one = failed(parked(1), failures=1)
    two = failed(parked(2), status="dead", due_in=None, blocks=False)
    both = {kind: one[kind] + two[kind] for kind in one}
    assert settle(ledger, both, successes=[(3, 1)], done=[done(3)]) == 0
    assert rows(ledger, "status, attempts, failures, blocks, due_at is null") == {
        1: ("waiting", 1, 1, True, False),
        2: ("dead", 1, 1, False, True),
    }
    assert results(ledger) == [(1, 1, "failure"), (2, 1, "failure"), (3, 1, "success")]


def test_a_row_is_due_in_so_many_seconds(ledger: Connection) -> None:
    settle(ledger, parked=[parked(1, due_in=60), parked(2, due_in=0)])
    due = "round(extract(epoch from due_at - clock_timestamp()))::int between {} - 5 and {}"
    assert rows(ledger, f"{due.format(60, 60)}, {due.format(0, 0)}") == {1: (True, False), 2: (False, True)}


def test_a_row_stays_in_its_lanes(ledger: Connection) -> None:
    """With a new key of its table the daemon has other lanes for it, but the rows behind it are in the old ones."""
    settle(ledger, parked=[parked(1, 7, 8)])
    settle(ledger, failed(parked(1, 9, content_type_id=2)))
    assert rows(ledger, "lane, other_lane, content_type_id, attempts") == {1: (7, 8, 1, 1)}


def test_a_success_that_has_a_result_already_is_counted_as_refused(ledger: Connection) -> None:
    assert settle(ledger, successes=[(1, 1), (2, 1)]) == 0
    assert settle(ledger, successes=[(1, 1), (2, 1), (3, 1)]) == 2
    assert results(ledger) == [(1, 1, "success"), (2, 1, "success"), (3, 1, "success")]


# What it refuses, because another session has decided. The daemon compares its rows with the table then.


def test_the_failure_of_a_discarded_delivery_leaves_no_row(ledger: Connection) -> None:
    """Otherwise it would be attempted again."""
    settle(ledger, parked=[parked(1)])
    discard(ledger, 1)
    assert settle(ledger, failed(parked(1))) == 1
    assert rows(ledger) == {}
    assert results(ledger) == [(1, 1, "discarded")]


def test_the_end_of_a_discarded_delivery_is_refused(ledger: Connection) -> None:
    settle(ledger, parked=[parked(1), parked(2)])
    discard(ledger, 1)
    assert settle(ledger, done=[done(1), done(2)]) == 1
    assert rows(ledger) == {}


def test_a_delivery_that_was_queued_again_is_not_touched_by_an_attempt_of_before(ledger: Connection) -> None:
    """It was discarded while it ran, and queued again: the end of that run is the end of another delivery."""
    settle(ledger, parked=[parked(1)])
    discard(ledger, 1)
    assert requeue(ledger, 1) == 1
    before = rows(ledger, "status, attempts, failures, due_at, parked_at")
    assert before[1][:3] == ("waiting", 1, 0)
    ends: list[dict[str, list[Row]]] = [{"done": [done(1)]}, failed(parked(1)), {"parked": [parked(1, due_in=900)]}]
    for end in ends:
        assert settle(ledger, end) == 1
        assert rows(ledger, "status, attempts, failures, due_at, parked_at") == before
    assert settle(ledger, done=[done(1, attempt=2)]) == 0
    assert rows(ledger) == {}


def test_refusals_are_counted(ledger: Connection) -> None:
    settle(ledger, parked=[parked(number, number) for number in range(1, 6)], successes=[(6, 1)])
    discard(ledger, 1, 2, 3)
    requeue(ledger, 3)
    again = failed(parked(4))
    refused = settle(
        ledger,
        successes=[(6, 1), (7, 1)],
        results=[result(1, 1), *again["results"]],
        parked=[parked(1, attempted=True, attempts=1), parked(3), *again["parked"]],
        done=[done(2), done(5)],
    )
    assert refused == 4  # the success of 6, the rows of 1 and 3, and the end of 2
    assert rows(ledger) == {3: ("waiting", 1, 0), 4: ("waiting", 1, 1)}


def test_a_daemon_that_leads_no_more_writes_nothing(ledger: Connection) -> None:
    with pytest.raises(psycopg.Error) as caught:
        settle(ledger, leader=1, successes=[(1, 1)], parked=[parked(2)])
    assert caught.value.sqlstate == "JH012"
    assert rows(ledger) == {}
    assert results(ledger) == []


def test_a_new_leader_waits_for_what_the_former_one_is_settling(ledger: Connection) -> None:
    """Otherwise it would read the backlog without the rows being written, and deliver those behind them."""
    dsn = ledger.info.dsn
    with psycopg.connect(dsn) as former, psycopg.connect(dsn) as new, ThreadPoolExecutor(1) as pool:
        settle(former, failed(parked(1)))
        taking = pool.submit(new.execute, "select jobhooks.acquire_leadership()")
        waits = "select from pg_stat_activity where wait_event_type = 'Lock' and pid = %s"
        wait_until("it waits", lambda: ledger.execute(waits, [new.info.backend_pid]).fetchone() is not None)
        former.commit()
        assert taking.result(LIMIT).fetchone() == (1,)
        assert rows(new) == {1: ("waiting", 1, 1)}
        settling = pool.submit(settle, former)
        wait_until("it waits", lambda: ledger.execute(waits, [former.info.backend_pid]).fetchone() is not None)
        new.commit()
        with pytest.raises(psycopg.Error):
            settling.result(LIMIT)


# What other sessions decide.


def test_a_retry_makes_rows_due_without_their_failures(ledger: Connection) -> None:
    """The attempts stay, because they number the results. From now on the others of its key wait for it."""
    settle(ledger, parked=[parked(1, attempts=3, failures=3, status="dead", due_in=None, blocks=False), parked(2, 8)])
    settle(ledger, parked=[parked(3, 9, due_in=900)])
    assert retry(ledger, 1, 3, 99) == 2
    assert rows(ledger, "status, attempts, failures, blocks, due_at <= clock_timestamp()") == {
        1: ("waiting", 3, 0, True, True),
        2: ("waiting", 0, 0, True, True),
        3: ("waiting", 0, 0, True, True),
    }


def test_a_discarded_row_has_a_result(ledger: Connection) -> None:
    settle(ledger, parked=[parked(1, attempts=2), parked(2), parked(3)])
    settle(ledger, successes=[(3, 1)])  # it was delivered, and its row is still there
    discard(ledger, 1, 3, 99)
    assert rows(ledger) == {2: ("waiting", 0, 0), 3: ("waiting", 0, 0)}
    assert results(ledger) == [(1, 3, "discarded"), (3, 1, "success")]


def test_a_queued_delivery_is_numbered_on_and_a_pending_one_stays(ledger: Connection) -> None:
    settle(ledger, successes=[(1, 4)], parked=[parked(2, attempts=3, failures=3, status="dead", due_in=None)])
    assert requeue(ledger, 1, 2, 3, 99_999) == 2
    assert rows(ledger) == {1: ("waiting", 4, 0), 2: ("dead", 3, 3), 3: ("waiting", 0, 0)}


@pytest.mark.parametrize("decide", [retry, discard, requeue])
def test_the_daemon_hears_of_a_decision_after_its_commit(ledger: Connection, decide: Any) -> None:
    settle(ledger, parked=[parked(1)])
    with psycopg.connect(ledger.info.dsn, autocommit=True) as listening:
        listening.execute("listen jobhooks")
        decide(ledger, 1)
        (notify,) = listening.notifies(timeout=LIMIT, stop_after=1)
    assert (notify.channel, notify.payload) == ("jobhooks", "deliveries")


class Life:
    """Random batches and decisions, applied to the table and to a dictionary."""

    def __init__(self, conn: Connection, seed: int) -> None:
        self.conn = conn
        self.rng = random.Random(seed)
        self.rows: dict[int, Row] = {}
        self.attempts: dict[int, int] = {}  # the last one that has a result

    def some(self) -> list[int]:
        return self.rng.sample(range(1, CHANGES + 1), self.rng.randint(1, 8))

    def settle(self) -> None:
        """A batch of a daemon that knows some rows as they are, and others as they were an attempt ago."""
        rest: dict[str, list[Row]] = {"results": [], "parked": [], "done": []}
        refused = 0
        for change_id in self.some():
            known = self.rows.get(change_id, parked(change_id, attempts=self.attempts.get(change_id, 0)))
            if change_id in self.rows and known["attempts"] and self.rng.random() < 0.3:
                known = {**known, "attempts": known["attempts"] - 1}
            match self.rng.choice(["parked", "failed", "done"]):
                case "parked":
                    rest["parked"].append({**known, "due_in": 5})
                    refused += self._park(known)
                case "failed":
                    failure = failed(known)
                    rest["parked"] += failure["parked"]
                    rest["results"] += failure["results"]
                    refused += self._fail(failure["parked"][0])
                case _:
                    attempt = known["attempts"] + 1
                    rest["done"].append(done(change_id, attempt))
                    refused += self._end(change_id, attempt)
        assert settle(self.conn, {kind: found for kind, found in rest.items() if found}) == refused

    def _park(self, row: Row) -> bool:
        present = self.rows.get(row["change_id"])
        if present is not None and present["attempts"] > row["attempts"]:
            return True
        self.rows[row["change_id"]] = {**row, "attempted": False}
        return False

    def _fail(self, row: Row) -> bool:
        change_id = row["change_id"]
        if self.attempts.get(change_id, 0) >= row["attempts"]:
            return True
        self.attempts[change_id] = row["attempts"]
        return self._park(row)

    def _end(self, change_id: int, attempt: int) -> bool:
        present = self.rows.get(change_id)
        if present is None or present["attempts"] >= attempt:
            return True
        del self.rows[change_id]
        return False

    def retry(self) -> None:
        ids = self.some()
        known = [change_id for change_id in ids if change_id in self.rows]
        assert retry(self.conn, *ids) == len(known)
        for change_id in known:
            self.rows[change_id] |= {"failures": 0}

    def discard(self) -> None:
        ids = self.some()
        discard(self.conn, *ids)
        for change_id in ids:
            row = self.rows.get(change_id)
            if row is not None and self.attempts.get(change_id, 0) <= row["attempts"]:
                self.attempts[change_id] = row["attempts"] + 1
                del self.rows[change_id]

    def requeue(self) -> None:
        ids = self.some()
        new = [change_id for change_id in ids if change_id not in self.rows]
        assert requeue(self.conn, *ids) == len(new)
        for change_id in new:
            self.rows[change_id] = parked(change_id, attempts=self.attempts.get(change_id, 0))

    def check(self) -> None:
        expected = {change_id: (row["attempts"], row["failures"]) for change_id, row in self.rows.items()}
        assert rows(self.conn, "attempts, failures") == expected


@pytest.mark.parametrize("turn", range(4))
def test_the_table_follows_from_what_was_written_and_decided(ledger: Connection, seed: int, turn: int) -> None:
    """So a daemon that hears of each refusal and each decision knows the table."""
    life = Life(ledger, seed + turn)
    for _ in range(60):
        life.rng.choice([life.settle, life.settle, life.retry, life.discard, life.requeue])()
        life.check()


# The saved positions.


def position(last_id: int, **changes: object) -> Row:
    return {"seen": "5:5:", "seen_floor": 1, "horizon": "9:9:", "horizon_floor": 2, "last_id": last_id, **changes}


def save(conn: Connection, shared: Row | None, *hooks: Row, leader: int = 0) -> bool:
    arguments = [None if each is None else json.dumps(each) for each in (shared, hooks or None)]
    row = conn.execute("select jobhooks.save_positions(%s, %s, %s)", [leader, *arguments]).fetchone()
    assert row is not None
    return row[0]


def positions(conn: Connection) -> tuple[tuple[object, ...] | None, list[tuple[object, ...]]]:
    columns = "seen::text, seen_floor, horizon::text, horizon_floor, last_id"
    shared = conn.execute(f"select {columns} from jobhooks.cursor".encode()).fetchone()
    hooks = conn.execute(f"select hook_id, {columns} from jobhooks.hook_position order by 1".encode())
    return shared, hooks.fetchall()


def test_the_positions_of_all_hooks_are_saved_together(ledger: Connection) -> None:
    """A hook that leaves the others must have its position before theirs moves on."""
    assert save(ledger, position(30), position(10, hook_id=1), position(20, hook_id=2))
    assert positions(ledger) == (
        ("5:5:", 1, "9:9:", 2, 30),
        [(1, "5:5:", 1, "9:9:", 2, 10), (2, "5:5:", 1, "9:9:", 2, 20)],
    )


def test_a_failure_of_a_hook_that_was_deleted_leaves_no_row(ledger: Connection) -> None:
    """It ran when the hook was deleted. No daemon would attempt it again, and the log would keep its change."""
    ledger.execute("select jobhooks.delete_hook('one')")
    batch = failed(parked(1))
    batch["parked"] += [parked(2), parked(3, hook_id=2)]
    assert settle(ledger, batch) == 2
    assert ledger.execute("select change_id, hook_id from jobhooks.delivery").fetchall() == [(3, 2)]
    assert ledger.execute("select change_id, status from jobhooks.job_result").fetchall() == [(1, "failure")]


def test_positions_that_have_not_moved_stay(ledger: Connection) -> None:
    before, _ = positions(ledger)
    assert save(ledger, None, position(10, hook_id=1))
    assert positions(ledger) == (before, [(1, "5:5:", 1, "9:9:", 2, 10)])
    assert save(ledger, position(30))
    assert save(ledger, None, position(20, hook_id=1, horizon="12:12:", horizon_floor=8))
    assert positions(ledger) == (("5:5:", 1, "9:9:", 2, 30), [(1, "5:5:", 1, "12:12:", 8, 20)])


def test_a_hook_that_reads_with_the_others_has_no_row(ledger: Connection) -> None:
    save(ledger, None, position(10, hook_id=1), position(10, hook_id=2))
    assert save(ledger, position(30), {"hook_id": 1}, position(20, hook_id=2), {"hook_id": 99})
    assert positions(ledger)[1] == [(2, "5:5:", 1, "9:9:", 2, 20)]


def test_a_hook_that_is_disabled_or_deleted_gets_no_position(ledger: Connection) -> None:
    """It gives its position up; if it is enabled again, older changes are not for it."""
    ledger.execute("select jobhooks.enable_hook('one', false)")
    assert save(ledger, position(30), position(10, hook_id=1), position(10, hook_id=99))
    assert positions(ledger) == (("5:5:", 1, "9:9:", 2, 30), [])


def test_a_position_goes_with_its_hook(ledger: Connection) -> None:
    save(ledger, None, position(10, hook_id=1), position(10, hook_id=2))
    ledger.execute("select jobhooks.delete_hook('one')")
    assert [row[0] for row in positions(ledger)[1]] == [2]


@pytest.mark.parametrize("statement", ["delete_hook('one')", "edit_hook('one', '{\"priority\": 1}')"])
def test_positions_are_saved_while_another_session_changes_a_hook(ledger: Connection, statement: str) -> None:
    """If they waited for it, so would all results, until that session ends."""
    save(ledger, None, position(10, hook_id=2))
    with psycopg.connect(ledger.info.dsn) as other:
        other.execute(f"select jobhooks.{statement}".encode())
        ledger.execute("set lock_timeout = '5s'")
        assert save(ledger, position(30), position(10, hook_id=1), position(20, hook_id=2))
        assert [row[0] for row in positions(ledger)[1]] == [1, 2]
    assert [row[0] for row in positions(ledger)[1]] == ([2] if "delete" in statement else [1, 2])


def test_a_position_that_was_saved_before_its_hook_is_deleted_does_not_stop_that(ledger: Connection) -> None:
    """Nor does it stay, if it is saved again in between."""
    save(ledger, None, position(10, hook_id=1))
    with psycopg.connect(ledger.info.dsn) as other:
        other.execute("select jobhooks.delete_hook('one')")
        ledger.execute("set lock_timeout = '5s'")
        assert save(ledger, None, position(20, hook_id=1))
    assert positions(ledger)[1] == []


def test_a_stale_leader_saves_nothing(ledger: Connection) -> None:
    """It would take the new leader back to a place where that has begun already."""
    before = positions(ledger)
    assert not save(ledger, position(30), position(10, hook_id=1), leader=7)
    assert positions(ledger) == before


def test_a_position_is_loaded_with_the_first_id_of_the_database(ledger: Connection) -> None:
    save(ledger, None, position(10, hook_id=2))
    ledger.execute("update jobhooks.cursor set first_id = 5")
    query = find_query("load_hook_positions")
    assert ledger.execute(query.text.encode()).fetchall() == [(2, "5:5:", 1, "9:9:", 2, 10, 5)]


@pytest.mark.parametrize(("last_id", "found"), [(2, [1, 2]), (40, [39, 40]), (39, [39])])
def test_a_transaction_is_none_of_the_former_server(ledger: Connection, last_id: int, found: list[int]) -> None:
    """In a database that was moved, numbers of transactions come again."""
    ledger.execute("update jobhooks.object_change set transaction_id = '7' where id in (1, 2, 39, 40)")
    ledger.execute("update jobhooks.cursor set first_id = 2")
    query = find_query("changes_of_tables")
    parameters = {"transaction_id": 7, "after_id": 0, "last_id": last_id, "content_type_ids": [1], "limit": 9}
    cursor = psycopg.RawCursor(ledger)
    assert [id_ for id_, *_ in cursor.execute(query.encoded, query.arguments(parameters)).fetchall()] == found


# Costs: none of the hot statements reads more of the backlog than it needs, for any state of the planner's statistics.


def test_the_backlog_has_one_index_beside_its_key(conn: Connection) -> None:
    """Each index is written with each row."""
    found = conn.execute("select indexname from pg_indexes where tablename = 'delivery' order by 1").fetchall()
    assert [name for (name,) in found] == ["delivery_of_hook", "delivery_pkey"]


@pytest.fixture(params=[False, True], ids=["unknown", "analyzed"])
def large(ledger: Connection, request: pytest.FixtureRequest) -> Connection:
    """A large backlog, whether the planner has heard of it or not."""
    ledger.execute("alter table jobhooks.delivery set (autovacuum_enabled = off)")
    settle(ledger, parked=[parked(1)])  # so that it is planned while there are hardly any
    ledger.execute(
        "insert into jobhooks.delivery (change_id, hook_id, content_type_id, lane, status, due_at)"
        " select id, 1 + id %% 2, 1, 7, 'waiting', now() from generate_series(2, %s) as id",
        [MANY],
    )
    if request.param:
        ledger.execute("analyze jobhooks.delivery")
    return ledger


def test_a_batch_costs_the_same_however_large_the_backlog_is(large: Connection) -> None:
    steps: list[dict[str, list[Row]]] = [
        failed(parked(1)),
        {"parked": [parked(MANY + 1), parked(MANY + 2, None)]},
        {"done": [done(1, attempt=2)]},
    ]
    for step in steps:
        with large.transaction():
            assert settle(large, step) == 0
            assert _rows_read(large) <= (0, 4), step


def test_decisions_cost_the_same_however_large_the_backlog_is(large: Connection) -> None:
    for decide in (retry, discard, requeue):
        with large.transaction():
            decide(large, 20)
            assert _rows_read(large) <= (0, 4), decide


STATEMENTS: list[tuple[str, Row, int]] = [
    ("backlog_rows", {"hook_id": 2, "limit": 10}, 10),
    ("changes_of_rows", {"change_ids": [3, 5]}, 0),
    ("settled_deliveries", {"change_ids": [5, MANY, 99_999_999], "hook_ids": [1, 2]}, 4),
    ("last_settled", {}, 1),
    ("backlog_changes", {"hook_id": 1, "change_ids": [3, 5], "attempts": [0, 0], "max_bytes": 10_000}, 0),
]


@pytest.mark.parametrize(("name", "parameters", "most"), STATEMENTS, ids=[name for name, *_ in STATEMENTS])
def test_the_daemons_queries_find_rows_by_index(large: Connection, name: str, parameters: Row, most: int) -> None:
    with psycopg.connect(large.info.dsn, cursor_factory=psycopg.RawCursor) as raw:
        query: Query = find_query(name)
        assert raw.execute(query.encoded, query.arguments(parameters)).fetchall()
        assert _rows_read(raw) <= (0, most)


def _rows_read(conn: Connection) -> tuple[int, int]:
    """How many scans of the whole table there were in this transaction, and how many rows the indexes led to."""
    row = conn.execute(
        "select seq_scan, coalesce(idx_tup_fetch, 0) from pg_stat_xact_user_tables"
        " where relid = 'jobhooks.delivery'::regclass"
    ).fetchone()
    assert row is not None
    return row[0], row[1]
