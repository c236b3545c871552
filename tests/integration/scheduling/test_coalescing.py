"""Hooks that merge the changes of an object: of a transaction, or of some seconds."""

import random
from pathlib import Path

import pytest
from psycopg.types.json import Jsonb

from conftest import Connection
from support.daemon import Daemon, wait_until
from support.delivering import backlog, statuses
from support.hooking import add_hook, write_receivers

RECEIVERS = """
import asyncio
from pathlib import Path
from jobhooks import JobHookReceiver

SEE = "insert into public.seen (receiver, object, value, word) values "

def told(change):
    before, after = change.prechange or {}, change.postchange or {}
    return (before or after)["id"], f"{before.get('serial')} > {after.get('serial')}"

class Sees(JobHookReceiver):
    class Meta:
        backoff = 0.01
    async def receive_job_hook(self, change, action):
        await self.connection.execute(SEE + "('Sees', $1, $2, $3)", *told(change), f"{action} {self.idempotency_key}")
        if (change.postchange or {}).get("name") == "bad" and self.attempt == 1:
            raise ValueError("at first")

class SeesNow(JobHookReceiver):
    class Meta:
        backoff = 0.01
    def receive_job_hook(self, change, action):
        self.connection.execute(
            SEE + "('Sees', %s, %s, %s)", [*told(change), f"{action} {self.idempotency_key}"]
        )
        if (change.postchange or {}).get("name") == "bad" and self.attempt == 1:
            raise ValueError("at first")

class Idle(JobHookReceiver):
    async def receive_job_hook(self, change, action):
        pass

class Batches(JobHookReceiver):
    async def receive_job_hook_batch(self, changes):
        for change in changes:
            await self.connection.execute(SEE + "('Sees', $1, $2, $3)", *told(change), str(len(changes)))

class BatchesFail(JobHookReceiver):
    class Meta:
        backoff = 0.5
    async def receive_job_hook_batch(self, changes):
        for change in changes:
            await self.connection.execute(SEE + "('Sees', $1, $2, $3)", *told(change), str(len(changes)))
        if self.attempt == 1 and any((change.postchange or {}).get("name") == "bad" for change in changes):
            raise ValueError("at first")

class Waits(JobHookReceiver):
    async def receive_job_hook(self, change, action):
        await self.connection.execute(SEE + "('Sees', $1, $2, $3)", *told(change), action)
        Path("runs").touch()
        while not Path("go on").exists():
            await asyncio.sleep(0.01)

class Adds(JobHookReceiver):
    async def receive_job_hook(self, change):
        before, after = change.prechange or {}, change.postchange or {}
        amount = int(after.get("serial") or 0) - int(before.get("serial") or 0)
        await self.connection.execute("update public.mended set id = id + $1", amount)
"""
EITHER = pytest.mark.parametrize("receiver", ["Sees", "SeesNow"])


@pytest.fixture
def receivers(tmp_path: Path) -> Path:
    return write_receivers(tmp_path / "receivers", RECEIVERS)


def hook_merged(conn: Connection, database: str, receivers: Path, job: str, seconds: float = 0) -> None:
    add_hook(database, receivers, f"r.{job}")
    conn.execute("update jobhooks.job_hook set coalesce_s = %s", [seconds])


def all_have_a_result(conn: Connection, count: int) -> bool:
    row = conn.execute(
        "select (select count(distinct change_id) from jobhooks.job_result where status <> 'failure'),"
        " (select count(*) from jobhooks.delivery)"
    ).fetchone()
    return row == (count, 0)


def is_settled(conn: Connection) -> bool:
    row = conn.execute("select count(*) from jobhooks.object_change").fetchone()
    return row is not None and all_have_a_result(conn, row[0])


def seen_rows(conn: Connection) -> list[tuple[object, ...]]:
    return conn.execute("select object, value, word from public.seen order by n").fetchall()


@EITHER
def test_a_transactions_changes_of_an_object_are_one(
    seen: Connection, database: str, receivers: Path, log: Path, receiver: str
) -> None:
    """With the row before the first and that after the last; those of the next transaction are another."""
    hook_merged(seen, database, receivers, receiver)
    with seen.transaction():
        seen.execute("insert into public.device (serial) values ('1'), ('10')")
        seen.execute("update public.device set serial = '2' where id = 1")
        seen.execute("update public.device set serial = '3' where id = 1")
    with seen.transaction():
        seen.execute("update public.device set serial = '4' where id = 1")
        seen.execute("delete from public.device where id = 1")
    with Daemon(database, receivers, log):
        wait_until("all is settled", lambda: all_have_a_result(seen, 6))
    assert sorted(seen_rows(seen)) == [
        (1, "3 > None", "delete 6:1"),
        (1, "None > 3", "create 4:1"),
        (2, "None > 10", "create 2:1"),
    ]
    assert statuses(seen) == [(change, 1, "success") for change in range(1, 7)]


@pytest.mark.parametrize("order", ["table", ["name"], None], ids=["table", "column", "keyless"])
def test_only_changes_of_one_object_are_merged(
    seen: Connection, database: str, receivers: Path, log: Path, order: object
) -> None:
    """Objects that are delivered in one order stay apart: otherwise the receiver never sees the first of them."""
    if order is None:
        seen.execute("select jobhooks.watch('public.device', keyless => true)")
    hook_merged(seen, database, receivers, "Sees")
    seen.execute("update jobhooks.job set overrides = %s", [Jsonb({} if order is None else {"order_by": order})])
    with seen.transaction():
        seen.execute("insert into public.device (serial) values ('1')")
        seen.execute("insert into public.device (serial) values ('2')")
    with Daemon(database, receivers, log):
        wait_until("all is settled", lambda: all_have_a_result(seen, 2))
    assert seen_rows(seen) == [(1, "None > 1", "create 1:1"), (2, "None > 2", "create 2:1")]


@EITHER
def test_what_comes_to_nothing_is_delivered_to_nobody(
    seen: Connection, database: str, receivers: Path, log: Path, receiver: str
) -> None:
    hook_merged(seen, database, receivers, receiver)
    seen.execute("insert into public.device (serial) values ('1')")
    with seen.transaction():
        seen.execute("insert into public.device (serial) values ('2')")
        seen.execute("delete from public.device where serial = '2'")
        seen.execute("update public.device set serial = '3'")
        seen.execute("update public.device set serial = '1'")
    with Daemon(database, receivers, log):
        wait_until("all is settled", lambda: all_have_a_result(seen, 5))
    assert seen_rows(seen) == [(1, "None > 1", "create 1:1")]
    assert [status for *_, status in statuses(seen)] == ["success", *["discarded"] * 4]
    ran = seen.execute("select change_id from jobhooks.job_result where version is not null").fetchall()
    assert ran == [(1,)], "no code ran for the others"


@pytest.mark.parametrize("receiver", ["Sees", "Idle"])
def test_a_transaction_of_many_pages_is_one(
    seen: Connection, database: str, receivers: Path, log: Path, receiver: str
) -> None:
    """Whether its receiver uses its connection or not; and another hook is not held up by it."""
    hook_merged(seen, database, receivers, receiver)
    with seen.transaction():
        seen.execute("insert into public.device (serial) values ('0'), ('0'), ('0')")
        for serial in range(1, 101):
            seen.execute("update public.device set serial = %s", [str(serial)])
    with Daemon(database, receivers, log, JOBHOOKS_PAGE_SIZE="10"):
        wait_until("all is settled", lambda: all_have_a_result(seen, 303))
    calls = [(device, "None > 100", f"create {300 + device}:1") for device in (1, 2, 3)]
    assert sorted(seen_rows(seen)) == (calls if receiver == "Sees" else [])
    versions = "select count(distinct version), count(version) from jobhooks.job_result"
    assert seen.execute(versions).fetchone() == (1, 303)


@EITHER
def test_what_fails_is_attempted_again_with_all_that_it_was_and_what_came_since(
    seen: Connection, database: str, receivers: Path, log: Path, receiver: str
) -> None:
    hook_merged(seen, database, receivers, receiver)
    with seen.transaction():
        seen.execute("insert into public.device (name, serial) values ('bad', '1')")
        seen.execute("update public.device set serial = '2'")
    seen.execute("update public.device set serial = '3'")
    with Daemon(database, receivers, log):
        wait_until("all is settled", lambda: all_have_a_result(seen, 3))
    assert seen_rows(seen)[0] == (1, "None > 2", "create 2:1")
    assert [status for *_, status in statuses(seen)].count("failure") == 2  # one of each transaction
    assert statuses(seen)[:3] == [(1, 1, "failure"), (1, 2, "success"), (2, 1, "success")]


def test_the_changes_of_some_seconds_are_one(seen: Connection, database: str, receivers: Path, log: Path) -> None:
    """Counted from the first one. They wait in the backlog, so a killed daemon loses none."""
    hook_merged(seen, database, receivers, "Sees", 3600)
    with Daemon(database, receivers, log) as daemon:
        seen.execute("insert into public.device (serial) values ('1')")
        seen.execute("update public.device set serial = '2'")
        wait_until("they wait", lambda: len(backlog(seen)) == 2)
        assert backlog(seen) == [(1, "waiting", 0), (2, "blocked", 0)]
        daemon.kill()
    seen.execute("update public.device set serial = '3'")
    with Daemon(database, receivers, log.with_name("again")):
        wait_until("all wait", lambda: len(backlog(seen)) == 3)
        due = (
            "select due_at - parked_at between interval '59 minutes' and interval '1 hour'"
            " from jobhooks.delivery_states() where status = 'waiting'"
        )
        assert seen.execute(due).fetchall() == [(True,)] and not seen_rows(seen)
        # As if the hour were over.
        seen.execute("update jobhooks.delivery set due_at = now() where status = 'waiting'")
        seen.execute("select pg_notify('jobhooks', 'deliveries')")
        wait_until("all is settled", lambda: all_have_a_result(seen, 3))
    assert seen_rows(seen) == [(1, "None > 3", "create 3:1")]


def debounced(conn: Connection, seconds: float, longest: float) -> None:
    conn.execute(
        "update jobhooks.job_hook set coalesce_s = null, debounce_s = %s, longest_wait_s = %s", [seconds, longest]
    )


def test_each_change_of_an_object_starts_its_quiet_period_again(
    seen: Connection, database: str, receivers: Path, log: Path
) -> None:
    """Also after a daemon was killed. Another object has a separate period."""
    hook_merged(seen, database, receivers, "Sees")
    debounced(seen, 3600, 7200)
    due = (
        "select head.change_id, (head.due_at - last.parked_at) between interval '59 minutes' and interval '1 hour'"
        " from jobhooks.delivery_states() as head, jobhooks.delivery as last"
        " where head.status = 'waiting' and last.change_id = %s order by 1"
    )
    with Daemon(database, receivers, log) as daemon:
        seen.execute("insert into public.device (serial) values ('1')")
        wait_until("it waits", lambda: len(backlog(seen)) == 1)
        seen.execute(
            "update jobhooks.delivery"
            " set due_at = due_at - interval '30 min', parked_at = parked_at - interval '30 min'"
        )
        seen.execute("update public.device set serial = '2'")
        wait_until("both wait", lambda: len(backlog(seen)) == 2)
        assert seen.execute(due, [2]).fetchall() == [(1, True)]
        daemon.kill()
    # As if the first change were an hour old, and the second had come right now. The longest wait is not over.
    seen.execute(
        "update jobhooks.delivery set due_at = now(), parked_at = now() - interval '1 hour' where change_id = 1"
    )
    seen.execute("insert into public.device (serial) values ('other')")
    with Daemon(database, receivers, log.with_name("again")):
        wait_until("all wait", lambda: len(backlog(seen)) == 3)
        assert seen.execute(due, [2]).fetchall()[0] == (1, True)
        # As if the other one were quiet: when that is delivered, the first one was looked at as well.
        seen.execute("update jobhooks.delivery set due_at = now() where change_id = 3")
        seen.execute("select pg_notify('jobhooks', 'deliveries')")
        wait_until("the other one is settled", lambda: len(backlog(seen)) == 2)
        assert seen_rows(seen) == [(2, "None > other", "create 3:1")]
        seen.execute("update jobhooks.delivery set due_at = now() where change_id = 2")
        seen.execute("select pg_notify('jobhooks', 'deliveries')")
        wait_until("all is settled", lambda: all_have_a_result(seen, 3))
    assert seen_rows(seen)[1:] == [(1, "None > 2", "create 2:1")]


def test_an_object_that_is_never_quiet_is_delivered_after_the_longest_wait(
    seen: Connection, database: str, receivers: Path, log: Path
) -> None:
    """It is written until then: without that limit this would not end."""
    hook_merged(seen, database, receivers, "Sees")
    debounced(seen, 2, 2.5)
    with Daemon(database, receivers, log):
        seen.execute("insert into public.device (serial) values ('0')")

        def has_run() -> bool:
            seen.execute("update public.device set serial = (serial::integer + 1)::text")
            return bool(seen_rows(seen))

        wait_until("it has run", has_run)
        wait_until("all is settled", lambda: is_settled(seen))
    rows = seen_rows(seen)
    assert str(rows[0][1]).startswith("None > ")
    assert [str(row[1]).split(" > ")[0] for row in rows[1:]] == [str(row[1]).split(" > ")[1] for row in rows[:-1]]


def merged_by_request(conn: Connection, seconds: float) -> None:
    conn.execute("update jobhooks.job_hook set coalesce_s = -1, debounce_s = %s", [seconds])


def write_for(conn: Connection, request: str, *statements: str) -> None:
    """One transaction that says the request."""
    with conn.transaction():
        conn.execute("select set_config('jobhooks.request_id', %s, true)", [request])
        for statement in statements:
            conn.execute(statement.encode())


@EITHER
def test_the_transactions_of_a_request_are_one(
    seen: Connection, database: str, receivers: Path, log: Path, receiver: str
) -> None:
    """Over the ends of pages. Another request between them is another call, as are transactions without a request."""
    hook_merged(seen, database, receivers, receiver)
    merged_by_request(seen, 0.05)
    write_for(seen, "a", "insert into public.device (serial) values ('1'), ('other')")
    write_for(seen, "a", "update public.device set serial = '2' where id = 1")
    write_for(seen, "a", "update public.device set serial = '3' where id = 1")
    write_for(seen, "b", "update public.device set serial = '4' where id = 1")
    write_for(seen, "a", "update public.device set serial = '5' where id = 1")
    for _ in range(2):
        write_for(seen, "", *["update public.device set serial = serial::int + 1 where id = 1"] * 2)
    with Daemon(database, receivers, log, JOBHOOKS_PAGE_SIZE="2"):
        wait_until("all is settled", lambda: all_have_a_result(seen, 10))
    assert [value for object_, value, _ in seen_rows(seen) if object_ == 1] == [
        "None > 3", "3 > 4", "4 > 5", "5 > 7", "7 > 9",
    ]  # fmt: skip


def test_a_request_that_waits_survives_the_daemon(seen: Connection, database: str, receivers: Path, log: Path) -> None:
    """The next daemon knows the requests of the rows, and merges what the request writes after that."""
    hook_merged(seen, database, receivers, "Sees")
    merged_by_request(seen, 3600)
    with Daemon(database, receivers, log) as daemon:
        write_for(seen, "a", "insert into public.device (serial) values ('1')")
        wait_until("it waits", lambda: len(backlog(seen)) == 1)
        write_for(seen, "a", "update public.device set serial = '2'")
        wait_until("both wait", lambda: len(backlog(seen)) == 2)
        daemon.kill()
    write_for(seen, "a", "update public.device set serial = '3'")
    write_for(seen, "b", "update public.device set serial = '4'")
    with Daemon(database, receivers, log.with_name("again")):
        wait_until("all wait", lambda: len(backlog(seen)) == 4)
        # As if the first change had waited for an hour, and the others had not. The other request ends their wait.
        seen.execute("update jobhooks.delivery set due_at = now() where change_id = 1")
        seen.execute("select pg_notify('jobhooks', 'deliveries')")
        wait_until("one is settled", lambda: seen_rows(seen) and len(backlog(seen)) == 1)
    assert seen_rows(seen) == [(1, "None > 3", "create 3:1")]


def test_a_debounced_hook_can_be_changed_while_its_objects_wait(
    seen: Connection, database: str, receivers: Path, log: Path
) -> None:
    """Its first change is discarded during the wait, and the object deleted."""
    hook_merged(seen, database, receivers, "Sees")
    seen.execute("insert into public.device (serial) values ('1')")
    debounced(seen, 1800, 7200)
    with Daemon(database, receivers, log):
        seen.execute("update public.device set serial = '2'")
        seen.execute("delete from public.device")
        wait_until("they wait", lambda: len(backlog(seen)) == 3)
        seen.execute("update jobhooks.delivery set due_at = now() - interval '1 minute' where change_id = 1")
        seen.execute("insert into public.device (serial) values ('other')")
        seen.execute("select pg_notify('jobhooks', 'deliveries')")
        wait_until("the other one waits", lambda: len(backlog(seen)) == 4)
        seen.execute("select jobhooks.discard_deliveries('{1}', '{1}')")
        debounced(seen, 0.01, 0.01)
        seen.execute("update jobhooks.delivery set due_at = now() where change_id > 1")
        seen.execute("select pg_notify('jobhooks', 'deliveries')")
        wait_until("all is settled", lambda: all_have_a_result(seen, 4))
    assert sorted(seen_rows(seen)) == [(1, "1 > None", "delete 3:1"), (2, "None > other", "create 4:1")]


def test_a_new_key_and_a_truncate_are_delivered_by_themselves(
    seen: Connection, database: str, receivers: Path, log: Path
) -> None:
    hook_merged(seen, database, receivers, "Idle")
    with seen.transaction():
        seen.execute("insert into public.device (serial) values ('1')")
        seen.execute("update public.device set serial = '2'")
        seen.execute("update public.device set id = default")
        seen.execute("update public.device set serial = '3'")
        seen.execute("truncate public.device")
        seen.execute("insert into public.device (serial) values ('4')")
    with Daemon(database, receivers, log):
        wait_until("all is settled", lambda: all_have_a_result(seen, 6))
    assert [status for *_, status in statuses(seen)] == ["success"] * 6


def test_where_it_would_be_another_event_than_the_hooks_nothing_is_merged(
    seen: Connection, database: str, receivers: Path, log: Path
) -> None:
    hook_merged(seen, database, receivers, "Sees")
    seen.execute("update jobhooks.job_hook set events = '{create,delete}'")
    seen.execute("create table public.part (id integer primary key, serial text)")
    seen.execute("select jobhooks.watch('public.part')")
    seen.execute("insert into jobhooks.job_hook_content_type select 1, max(id) from jobhooks.content_type")
    seen.execute("insert into public.part values (1, 'a')")
    with seen.transaction():
        seen.execute("delete from public.part")
        seen.execute("insert into public.part values (1, 'b')")
    with Daemon(database, receivers, log):
        wait_until("all is settled", lambda: all_have_a_result(seen, 3))
    assert [value for _, value, _ in seen_rows(seen)] == ["None > a", "a > None", "None > b"]


def test_what_is_merged_is_taken_in_batches_too(seen: Connection, database: str, receivers: Path, log: Path) -> None:
    hook_merged(seen, database, receivers, "Batches")
    seen.execute("""select jobhooks.set_job('r.Batches', '{"batch_size": 10, "batch_wait": 60}')""")
    with seen.transaction():
        seen.execute("insert into public.device (serial) select '1' from generate_series(1, 10)")
        seen.execute("update public.device set serial = '2' where id < 10")
        seen.execute("delete from public.device where id = 10")
    with Daemon(database, receivers, log):
        wait_until("all is settled", lambda: all_have_a_result(seen, 20))
    assert seen_rows(seen) == [(device, "None > 2", "9") for device in range(1, 10)]
    discarded = [change for change, _, status in statuses(seen) if status == "discarded"]
    assert discarded == [10, 20]


def test_a_change_behind_some_that_come_to_nothing_waits_for_what_is_before_them(
    seen: Connection, database: str, receivers: Path, log: Path
) -> None:
    """All are in one batch, which fails; what is before them fails again by itself."""
    hook_merged(seen, database, receivers, "BatchesFail")
    seen.execute("""select jobhooks.set_job('r.BatchesFail', '{"batch_size": 5, "batch_wait": 1}')""")
    seen.execute("insert into public.device (name, serial) values ('bad', '1')")
    with seen.transaction():
        seen.execute("update public.device set serial = '2'")
        seen.execute("update public.device set serial = '1'")
    seen.execute("update public.device set name = 'good', serial = '3'")
    seen.execute("insert into public.device (serial) values ('1'), ('1')")
    with Daemon(database, receivers, log):
        wait_until("all is settled", lambda: all_have_a_result(seen, 6))
    assert [value for object_, value, _ in seen_rows(seen) if object_ == 1] == ["None > 1", "1 > 3"]
    assert [status for *_, status in statuses(seen)].count("discarded") == 2


@pytest.mark.parametrize("discarded", [1, 2, 3])
def test_what_is_merged_with_a_change_that_an_operator_discards_is_delivered(
    seen: Connection, database: str, receivers: Path, log: Path, discarded: int
) -> None:
    """While all of it runs: that run cannot record a second result, and is rolled back."""
    hook_merged(seen, database, receivers, "Waits")
    with seen.transaction():
        seen.execute("insert into public.device (serial) values ('1')")
        seen.execute("update public.device set serial = '2'")
        seen.execute("update public.device set serial = '3'")
    with Daemon(database, receivers, log):
        wait_until("it runs", (receivers / "runs").exists)
        seen.execute("select jobhooks.discard_deliveries(%s, '{1}')", [[discarded]])
        (receivers / "go on").touch()
        wait_until("all is settled", lambda: all_have_a_result(seen, 3))
    assert [value for _, value, _ in seen_rows(seen)] == [{1: "1 > 3", 2: "None > 3", 3: "None > 2"}[discarded]]
    assert [change for change, _, status in statuses(seen) if status == "discarded"] == [discarded]


@pytest.mark.chaos
@pytest.mark.parametrize(("seconds", "merging"), [(0, ""), (0.1, ""), (0, "debounced"), (0, "by request")])
def test_the_differences_add_up_whoever_is_killed(
    seen: Connection, database: str, receivers: Path, log: Path, seconds: float, merging: str, seed: int
) -> None:
    """Nothing is lost in merging, and nothing counted twice."""
    rng = random.Random(seed)
    hook_merged(seen, database, receivers, "Adds", seconds)
    if merging == "debounced":
        debounced(seen, 0.1, 0.3)
    elif merging:
        merged_by_request(seen, 0.1)
    seen.execute("insert into public.mended values (0)")
    for turn in range(4):
        with Daemon(database, receivers, log.with_name(f"{turn}.log"), JOBHOOKS_PAGE_SIZE="20") as daemon:
            for _ in range(30):
                with seen.transaction():
                    request = rng.choice(["", "a", "b"]) if merging else ""
                    seen.execute("select set_config('jobhooks.request_id', %s, true)", [request])
                    for _ in range(rng.randint(1, 8)):
                        device = rng.randint(1, 5)
                        match rng.randint(1, 6):
                            case 1:
                                seen.execute("insert into public.device (serial) values (%s)", [rng.randint(1, 1000)])
                            case 2:
                                seen.execute("delete from public.device where id %% 5 = %s", [device % 5])
                            case _:
                                seen.execute(
                                    "update public.device set serial = %s where id %% 5 = %s",
                                    [rng.randint(1, 1000), device % 5],
                                )
            if turn < 3:
                wait_until("it has begun", lambda: statuses(seen))
                daemon.kill()
            else:
                wait_until("all is settled", lambda: is_settled(seen))
    row = seen.execute("select (select sum(serial::int) from public.device), (select id from public.mended)").fetchone()
    assert row is not None and row[0] == row[1]
