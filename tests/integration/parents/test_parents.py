"""A change of a child table is an update of its parents: their hooks get it, in the order of the parent's changes."""

import contextlib
from collections.abc import Generator, Sequence
from pathlib import Path

import pytest

from conftest import Connection
from jobhooks.errors import Refused
from jobhooks.matching.hook_settings import HookSettings
from jobhooks.operations import tables
from jobhooks.operations.configuration import hooks
from jobhooks.operations.delivering import replay
from jobhooks.operations.delivering.job_run import queue_job
from jobhooks.operations.delivering.replay import ReplayFilter, plan_replay
from jobhooks.store.connections import connect
from support.daemon import Daemon, await_no_session, wait_until
from support.delivering import backlog
from support.hooking import add_hook, write_receivers

RECEIVERS = """
from pathlib import Path
from jobhooks import JobHookReceiver

TELL = "insert into public.told (hook, change, action, key, related, live, idempotency_key, value) values "

def told(self, change, action, live):
    related, snapshots = change.related, change.get_snapshots()
    row = related and (related.postchange or related.prechange)
    return (
        self.hook.name, change.id, action, str(change.changed_object_id),
        related and f"{related.action} {related.content_type.name} {row.get('tag') or row.get('id')}",
        live and live.name, self.idempotency_key_of(change) if self.batch else self.idempotency_key,
        str(snapshots["differences"]) if related else None,
    )

class Tells(JobHookReceiver):
    batch = False
    class Meta:
        backoff = 0.01
    async def receive_job_hook(self, change, action, changed_object):
        await self.connection.execute(
            TELL + "($1, $2, $3, $4, $5, $6, $7, $8)", *told(self, change, action, changed_object)
        )
        fail(self, change)
        return change.changed_object_id

class TellsNow(JobHookReceiver):
    batch = False
    class Meta:
        backoff = 0.01
    def receive_job_hook(self, change, action, changed_object):
        self.connection.execute(
            TELL + "(%s, %s, %s, %s, %s, %s, %s, %s)", told(self, change, action, changed_object)
        )
        fail(self, change)
        return change.changed_object_id

class TellsBatches(JobHookReceiver):
    batch = True
    async def receive_job_hook_batch(self, changes):
        for change in changes:
            await self.connection.execute(
                TELL + "($1, $2, $3, $4, $5, $6, $7, $8)", *told(self, change, change.action, None)
            )

def fail(self, change):
    if Path("fail").exists() and self.idempotency_key.endswith(":2"):
        raise ValueError("not yet")
    if Path("bad").exists() and change.related is None:
        raise ValueError("bad")
"""
EITHER = pytest.mark.parametrize("receiver", ["Tells", "TellsNow"])
EVENTS = ["create", "update", "delete"]
NOTHING = "{'removed': {}, 'added': {}}"


@pytest.fixture
def receivers(tmp_path: Path) -> Path:
    return write_receivers(tmp_path / "receivers", RECEIVERS)


@pytest.fixture
def tagged(conn: Connection, database: str) -> Generator[Connection]:
    """The client's connection. Devices have tags, and cables lead from one device to another."""
    conn.execute(
        "create table public.device (id integer primary key, name text);"
        " create table public.tag (name text primary key);"
        " create table public.device_tag ("
        "  device_id bigint references public.device on delete cascade,"
        "  tag varchar references public.tag on delete cascade, primary key (device_id, tag));"
        " create table public.cable (id integer primary key, a_id integer references public.device on delete set null,"
        "  b_id integer references public.device on delete set null);"
        " create table public.told (n bigserial primary key, hook text, change bigint, action text, key text,"
        "  related text, live text, idempotency_key text, value text);"
        " insert into public.device values (1, 'one'), (2, 'two'), (3, 'three'), (4, 'four');"
        " insert into public.tag values ('red'), ('blue')"
    )
    with contextlib.closing(connect(database)) as admin:
        tables.watch(admin, "public.device")
        tables.watch(admin, "public.tag")
        tables.watch(admin, "public.device_tag", parents=["public.device", "public.tag=tag"])
        tables.watch(admin, "public.cable", parents=["public.device=a_id", "public.device=b_id"])
    yield conn
    await_no_session(conn)


def hook(database: str, receivers: Path, job: str, *names: str, events: Sequence[str] = EVENTS) -> None:
    """Add a hook for these tables to a job."""
    add_hook(database, receivers, f"r.{job}", events, *names or ("public.device",))


def told(conn: Connection, columns: str = "change, action, key, related, live") -> list[tuple[object, ...]]:
    return conn.execute(f"select {columns} from public.told order by n".encode()).fetchall()


def settled(conn: Connection, count: int) -> None:
    def has_results() -> bool:
        row = conn.execute(
            "select count(distinct (change_id, hook_id)) filter (where status <> 'failure'),"
            " (select count(*) from jobhooks.delivery) from jobhooks.job_result"
        ).fetchone()
        return row == (count, 0)

    wait_until(f"{count} deliveries are settled", has_results)


@EITHER
def test_a_tag_fires_the_hooks_of_its_device_in_the_order_of_the_device(
    tagged: Connection, database: str, receivers: Path, log: Path, receiver: str
) -> None:
    hook(database, receivers, receiver)
    tagged.execute("update public.device set name = 'uno' where id = 1")
    tagged.execute("insert into public.device_tag values (1, 'red')")
    tagged.execute("update public.device set name = 'one' where id = 1")
    tagged.execute("update public.device_tag set tag = 'blue'")
    tagged.execute("delete from public.device_tag")
    with Daemon(database, receivers, log):
        settled(tagged, 5)
    assert told(tagged) == [
        (1, "update", "1", None, "one"),
        (2, "update", "1", "create public.device_tag red", "one"),
        (3, "update", "1", None, "one"),
        (4, "update", "1", "update public.device_tag blue", "one"),
        (5, "update", "1", "delete public.device_tag blue", "one"),
    ]
    assert told(tagged, "idempotency_key, value")[1] == ("2:1", NOTHING)


@EITHER
def test_both_devices_get_a_tag_that_moves(
    tagged: Connection, database: str, receivers: Path, log: Path, receiver: str
) -> None:
    """One delivery, with a call for each; if the second call fails, both are undone, and made again."""
    hook(database, receivers, receiver)
    (receivers / "fail").touch()
    tagged.execute("insert into public.device_tag values (1, 'red')")
    tagged.execute("update public.device_tag set device_id = 2")
    with Daemon(database, receivers, log) as daemon:
        daemon.await_event("delivery_failed")
        assert told(tagged, "change, key") == [(1, "1")]
        (receivers / "fail").unlink()
        settled(tagged, 2)
    assert told(tagged, "change, key, live, idempotency_key") == [
        (1, "1", "one", "1:1"),
        (2, "1", "one", "2:1"),
        (2, "2", "two", "2:1:2"),
    ]
    ((value,),) = tagged.execute(
        "select value from jobhooks.job_result where change_id = 2 and status = 'success'"
    ).fetchall()
    assert value == [1, 2]


@EITHER
@pytest.mark.parametrize("restarted", [False, True], ids=["one daemon", "restarted"])
def test_a_tag_waits_for_a_failed_change_of_its_device(
    tagged: Connection, database: str, receivers: Path, log: Path, receiver: str, restarted: bool
) -> None:
    """Also a cable with three devices, which waits for all three: the backlog has it for the whole table."""
    hook(database, receivers, receiver)
    (receivers / "bad").touch()
    tagged.execute("insert into public.cable values (1, 1, 2)")
    with contextlib.ExitStack() as daemons:
        daemon = daemons.enter_context(Daemon(database, receivers, log))
        wait_until("the cable is told", lambda: len(told(tagged)) == 2)
        tagged.execute("update public.device set name = 'tre' where id = 3")
        daemon.await_event("delivery_failed")
        tagged.execute("insert into public.device_tag values (3, 'red'), (2, 'red')")
        tagged.execute("update public.cable set b_id = 3")
        tagged.execute("insert into public.device_tag values (4, 'red'), (1, 'red')")
        wait_until("all wait that must", lambda: len(backlog(tagged)) >= 4)
        if restarted:
            daemon.kill()
            daemon = daemons.enter_context(Daemon(database, receivers, log))
        (receivers / "bad").unlink()
        settled(tagged, 7)
    order = {(change, key): n for n, (change, key) in enumerate(told(tagged, "change, key"))}
    assert len(order) == len(told(tagged)) == 10
    assert order[2, "3"] < order[3, "3"] < order[5, "3"]
    assert order[4, "2"] < order[5, "2"] < order[5, "3"]
    assert order[5, "1"] < order[7, "1"]


def test_a_device_waits_for_a_failed_cable_of_three_while_one_of_three_others_runs(
    tagged: Connection, database: str, receivers: Path, log: Path
) -> None:
    """All four changes are in the backlog, where each of the cables counts as a change of the whole table."""
    write_receivers(
        receivers,
        """
import asyncio
from pathlib import Path
from jobhooks import JobHookReceiver
again = asyncio.Event()
class Cables(JobHookReceiver):
    class Meta:
        backoff, max_attempts, concurrency = 0.1, 1000, 4
    async def receive_job_hook(self, change):
        if change.id == 5 and Path("fail").exists() or change.id == 6 and self.attempt == 1:
            raise ValueError("not yet")
        if change.id == 6:
            again.set()
        if change.id == 7:
            await again.wait()
        await self.connection.execute(
            "insert into public.told (change, key) values ($1, $2)", change.id, str(change.changed_object_id)
        )
""",
    )
    tagged.execute("insert into public.device values (5, 'five'), (6, 'six')")
    tagged.execute("insert into public.cable values (1, 1, 2), (2, 4, 5)")
    add_hook(database, receivers, "r.Cables", EVENTS)
    (receivers / "fail").touch()
    with Daemon(database, receivers, log) as daemon:
        tagged.execute("update public.device set name = 'uno' where id = 1")
        daemon.await_event("delivery_failed")
        tagged.execute("update public.cable set a_id = 3, b_id = 3 where id = 1")
        tagged.execute("update public.cable set a_id = 6, b_id = 6 where id = 2")
        tagged.execute("update public.device set name = 'one' where id = 1")
        wait_until("they wait", lambda: len(backlog(tagged)) == 4)
        (receivers / "fail").unlink()
        settled(tagged, 4)
    assert [row for row in told(tagged, "change, key") if row[1] == "1"] == [(5, "1"), (6, "1"), (8, "1")]


def test_a_deletion_is_the_last_that_a_hook_gets_of_a_device(
    tagged: Connection, database: str, receivers: Path, log: Path
) -> None:
    """PostgreSQL deletes the tags after the device, and unplugs its cables. The device at the other end is updated."""
    hook(database, receivers, "Tells")
    tagged.execute(
        "insert into public.device_tag values (1, 'red'), (1, 'blue'); insert into public.cable values (1, 1, 2)"
    )
    tagged.execute("delete from public.device where id = 1")
    with tagged.transaction():
        tagged.execute("insert into public.device values (5, 'five'); insert into public.device_tag values (5, 'red')")
        tagged.execute("delete from public.device_tag where device_id = 5; delete from public.device where id = 5")
        tagged.execute("insert into public.device values (5, 'again'); insert into public.device_tag values (5, 'red')")
    with Daemon(database, receivers, log):
        settled(tagged, 11)
        tagged.execute("update public.device set name = 'end' where id = 3")
        settled(tagged, 12)
    by_key = [(key, action, related) for _, action, key, related, _ in told(tagged)]
    assert [told[1:] for told in by_key if told[0] == "1"] == [
        ("update", "create public.device_tag red"),
        ("update", "create public.device_tag blue"),
        ("update", "create public.cable 1"),
        ("delete", None),
    ]
    assert [told[1:] for told in by_key if told[0] == "2"] == [
        ("update", "create public.cable 1"),
        ("update", "update public.cable 1"),
    ]
    assert [told[1] for told in by_key if told[0] == "5"] == [
        "create",
        "update",
        "update",
        "delete",
        "create",
        "update",
    ]


def test_a_null_and_a_truncate_update_no_device(tagged: Connection, database: str, receivers: Path, log: Path) -> None:
    hook(database, receivers, "Tells")
    tagged.execute("insert into public.cable values (1, null, null), (2, null, 2), (3, 3, 3)")
    tagged.execute("truncate public.cable")
    tagged.execute("update public.device set name = 'end' where id = 1")
    with Daemon(database, receivers, log):
        settled(tagged, 3)
    assert sorted(told(tagged, "key, action")) == [("1", "update"), ("2", "update"), ("3", "update")]


def test_a_hook_on_child_and_parent_gets_a_change_once(
    tagged: Connection, database: str, receivers: Path, log: Path
) -> None:
    """As it is, if it is for that event, else as an update of the device; of the first parent, if it is on several."""
    hook(database, receivers, "Tells", "public.device_tag", "public.device", events=["update", "delete"])
    hook(database, receivers, "TellsNow", "public.tag", "public.device", events=["update"])
    tagged.execute("insert into public.device_tag values (1, 'red')")
    tagged.execute("delete from public.device_tag")
    with Daemon(database, receivers, log):
        settled(tagged, 4)
    assert sorted(told(tagged, "hook, change, action, key")) == [
        ("hook of r.Tells", 1, "update", "1"),
        ("hook of r.Tells", 2, "delete", "{'device_id': 1, 'tag': 'red'}"),
        ("hook of r.TellsNow", 1, "update", "1"),
        ("hook of r.TellsNow", 2, "update", "1"),
    ]


def test_conditions_and_columns_decide_about_changes_of_children(
    tagged: Connection, database: str, receivers: Path, log: Path
) -> None:
    """Columns are those of the device, whose row a tag does not change; conditions on that row do not hold."""
    hook(database, receivers, "Tells")
    conditions = {
        "new.name != 'x'": [1],
        "related == null": [1],
        "related != null && related.new.tag == 'red'": [2],
        "related != null || changed('name')": [1, 2, 3],
        "unchanged('name')": [2, 3],
        "user != 'nobody' && table == 'public.device'": [1, 2, 3],
    }
    with contextlib.closing(connect(database)) as admin:
        hooks.edit_hook(admin, "hook of r.Tells", {"columns": ["name"]})
        for each in conditions:
            hooks.add_hook(admin, HookSettings(each, ["public.device"], "r.Tells", EVENTS, conditions=each))
    tagged.execute("update public.device set name = 'uno' where id = 1")
    tagged.execute("insert into public.device_tag values (1, 'red')")
    tagged.execute("insert into public.device_tag values (1, 'blue')")
    with Daemon(database, receivers, log):
        settled(tagged, 1 + sum(map(len, conditions.values())))
    found: dict[object, list[object]] = {}
    for name, change in told(tagged, "hook, change"):
        found.setdefault(name, []).append(change)
    assert found == {"hook of r.Tells": [1], **conditions}
    assert tagged.execute("select from jobhooks.condition_failure").fetchall() == []


@EITHER
def test_changes_of_an_object_and_its_children_are_merged(
    tagged: Connection, database: str, receivers: Path, log: Path, receiver: str
) -> None:
    """The rows are those of the device's own changes; the id is that of the last change of all."""
    hook(database, receivers, receiver)
    tagged.execute("update jobhooks.job_hook set coalesce_s = 0")
    with tagged.transaction():
        tagged.execute("insert into public.device_tag values (1, 'red')")
        tagged.execute("update public.device set name = 'uno' where id = 1")
        tagged.execute("insert into public.device_tag values (1, 'blue')")
    with tagged.transaction():
        tagged.execute("insert into public.device_tag values (2, 'red'), (2, 'blue')")
    with tagged.transaction():
        tagged.execute("insert into public.device values (5, 'five')")
        tagged.execute("insert into public.device_tag values (5, 'red'), (5, 'blue')")
    with tagged.transaction():
        tagged.execute("update public.device set name = 'x' where id = 3")
        tagged.execute("update public.device set name = 'three' where id = 3")
        tagged.execute("insert into public.device_tag values (3, 'red')")
    with Daemon(database, receivers, log):
        settled(tagged, 11)
    assert sorted(told(tagged, "change, action, key, related")) == [
        (3, "update", "1", "create public.device_tag blue"),
        (5, "update", "2", "create public.device_tag blue"),
        (8, "create", "5", "create public.device_tag blue"),
        (11, "update", "3", "create public.device_tag red"),
    ]


def test_batches_have_a_change_for_each_parent(tagged: Connection, database: str, receivers: Path, log: Path) -> None:
    hook(database, receivers, "TellsBatches")
    tagged.execute("insert into public.cable values (1, 1, 2)")
    with Daemon(database, receivers, log):
        settled(tagged, 1)
    assert told(tagged, "change, key, idempotency_key") == [(1, "1", "1:1"), (1, "2", "1:1:2")]


def test_a_paused_hook_reads_the_changes_of_children_later(
    tagged: Connection, database: str, receivers: Path, log: Path
) -> None:
    """It reads the log alone, its tables only: among them are the children, also one that it has got since then."""
    hook(database, receivers, "Tells")
    tagged.execute("update jobhooks.job_hook set paused = true")
    with Daemon(database, receivers, log).await_started():
        tagged.execute("insert into public.device_tag values (1, 'red')")
        tagged.execute("create table public.port (id integer primary key, device integer)")
        with contextlib.closing(connect(database)) as admin:
            tables.watch(admin, "public.port", parents=["public.device=device"])
        tagged.execute("insert into public.port values (1, 2)")
        tagged.execute("update jobhooks.job_hook set paused = false")
        settled(tagged, 2)
    assert sorted(told(tagged, "key, related")) == [
        ("1", "create public.device_tag red"),
        ("2", "create public.port 1"),
    ]


def test_a_pending_delivery_stays_after_its_parent_was_removed(
    tagged: Connection, database: str, receivers: Path, log: Path
) -> None:
    hook(database, receivers, "Tells")
    (receivers / "bad").touch()
    with Daemon(database, receivers, log) as daemon:
        tagged.execute("update public.device set name = 'bad' where id = 1")
        daemon.await_event("delivery_failed")
        tagged.execute("insert into public.device_tag values (1, 'red')")
        wait_until("it waits", lambda: len(backlog(tagged)) == 2)
        with contextlib.closing(connect(database)) as admin:
            assert tables.watch(admin, "public.device_tag").parents == []
        tagged.execute("insert into public.device_tag values (1, 'blue')")
        (receivers / "bad").unlink()
        settled(tagged, 2)
        tagged.execute("update public.device set name = 'end' where id = 2")
        settled(tagged, 3)
    assert told(tagged, "key, related") == [("1", None), ("1", "create public.device_tag red"), ("2", None)]


def test_what_a_receiver_writes_to_a_child_fires_nothing(
    tagged: Connection, database: str, receivers: Path, log: Path
) -> None:
    write_receivers(
        receivers,
        "from jobhooks import JobHookReceiver\n"
        "class Tags(JobHookReceiver):\n"
        "    async def receive_job_hook(self, change):\n"
        "        await self.connection.execute(\"insert into public.device_tag values (1, 'red')\")\n",
    )
    add_hook(database, receivers, "r.Tags", EVENTS)
    tagged.execute("update public.device set name = 'uno' where id = 1")
    with Daemon(database, receivers, log):
        settled(tagged, 1)
        tagged.execute("insert into public.device_tag values (2, 'blue')")
        wait_until("the next one fails", lambda: tagged.execute("select from jobhooks.delivery").fetchall())
    assert tagged.execute(
        "select change_id, status from jobhooks.job_result order by 1, attempt limit 2"
    ).fetchall() == [
        (1, "success"),
        (3, "failure"),
    ]


def test_a_replay_and_a_run_deliver_it_as_an_update_of_the_parent(
    tagged: Connection, database: str, receivers: Path, log: Path
) -> None:
    """Changes without a device are left out."""
    hook(database, receivers, "Tells")
    tagged.execute("insert into public.cable values (1, null, 2), (2, null, null)")
    tagged.execute("insert into public.device_tag values (1, 'red')")
    with Daemon(database, receivers, log), contextlib.closing(connect(database)) as admin:
        settled(tagged, 2)
        plan = plan_replay(admin, ReplayFilter("hook of r.Tells"))
        assert list(plan.change_ids) == [1, 3]
        assert replay.replay(admin, plan) == 2
        wait_until("all is told again", lambda: len(told(tagged)) == 4)
        settled(tagged, 2)
        queue_job(admin, "r.Tells", 3)
        wait_until("it is told a third time", lambda: len(told(tagged)) == 5)
        with pytest.raises(Refused, match=r"no hook delivers the create of public\.cable"):
            queue_job(admin, "r.Tells", 2)
    assert sorted(told(tagged, "change, key")) == [(1, "2"), (1, "2"), (3, "1"), (3, "1"), (3, "1")]
