"""A hook with a chain_depth also runs for receivers' writes, up to that depth."""

import contextlib
from pathlib import Path
from typing import Any

import pytest

from conftest import Connection
from jobhooks import Change, JobHookReceiver
from jobhooks.engine.reading import listener
from jobhooks.operations import tables
from jobhooks.operations.configuration import hooks
from jobhooks.operations.delivering.explaining import explain
from jobhooks.operations.doctor import problems
from jobhooks.store.connections import connect
from jobhooks.testing.databases import Database
from jobhooks.testing.delivering import run_hooks
from support.daemon import LIMIT, Daemon, wait_until
from support.engine.observing import Recorder, sessions
from support.engine.running import until
from support.hooking import add_hook, write_receivers

SOURCE = """
import os
import psycopg
from jobhooks import JobHookReceiver

class ToSite(JobHookReceiver):
    def receive_job_hook(self, change):
        row = [change.changed_object_id, change.id]
        self.connection.execute("insert into public.site (device, cause) values (%s, %s)", row)

class Follows(JobHookReceiver):
    def receive_job_hook(self, change):
        row = [change.id, change.changed_object_id]
        self.connection.execute("update public.site set cause = %s where device = %s", row)

class ToDevice(JobHookReceiver):
    async def receive_job_hook(self, change):
        device = change.object_data["device"]
        await self.connection.execute("update public.device set name = name || 'x' where id = $1", device)

class Itself(JobHookReceiver):
    def receive_job_hook(self, change):
        self.connection.execute("update public.device set name = name || 'x' where id = %s", [change.changed_object_id])
        return change.depth

class Dies(JobHookReceiver):
    class Meta:
        max_attempts = 1
    def receive_job_hook(self, change):
        os._exit(3)
    def on_dead(self, exc):
        with psycopg.connect(DATABASE) as own:
            self.mark(own)
            own.execute("insert into public.device (name) values ('x')")

class Tags(JobHookReceiver):
    def receive_job_hook(self, change):
        self.connection.execute("insert into public.tag (device) values (%s)", [change.changed_object_id])

class Looks(JobHookReceiver):
    def receive_job_hook(self, change):
        return change.depth

class Counts(JobHookReceiver):
    async def receive_job_hook(self, change):
        row = change.object_data
        counted = "insert into public.count (change, device, cause) values ($1, $2, $3)"
        await self.connection.execute(counted, change.id, row["device"], row["cause"])
"""
CUT = "select from jobhooks.chain_end where changes = 3"
DEPTHS = "select jobhooks.depth_of(triggering, context) from jobhooks.object_change order by id"
SLEEPING = """
select count(*) from pg_locks where locktype = 'advisory' and objid = 2 and mode = 'ExclusiveLock' and granted
    and database = (select oid from pg_database where datname = current_database())
"""
# With a daemon that would sleep for an hour, changes come by a NOTIFY or by what the daemon itself knows.
SLEEPS: dict[str, str] = {"JOBHOOKS_POLL_INTERVAL": "3600"}


@pytest.fixture
def receivers(tmp_path: Path, database: str, device: Connection) -> Path:
    device.execute("create table public.site (id serial primary key, device integer, cause bigint)")
    device.execute("create table public.tag (id serial primary key, device integer)")
    device.execute("create table public.count (id serial primary key, change bigint, device integer, cause bigint)")
    with contextlib.closing(connect(database)) as admin:
        for table in ("public.site", "public.tag"):
            tables.watch(admin, table)
    return write_receivers(tmp_path / "receivers", f"DATABASE = {database!r}\n{SOURCE}")


def add(database: str, receivers: Path, job: str, table: str, **settings: Any) -> None:
    """A hook called like its class, for creates and updates of a table."""
    add_hook(database, receivers, f"r.{job}", ["create", "update"], f"public.{table}")
    with contextlib.closing(connect(database)) as admin:
        hooks.edit_hook(admin, f"hook of r.{job}", {"name": job, **settings})


def edit(database: str, name: str, **settings: Any) -> None:
    with contextlib.closing(connect(database)) as admin:
        hooks.edit_hook(admin, name, settings)


def depths(conn: Connection) -> list[int | None]:
    return [depth for (depth,) in conn.execute(DEPTHS.encode()).fetchall()]


def runs(conn: Connection) -> list[tuple[str, int]]:
    """The hooks that ran, each with the depth of its change."""
    return conn.execute(
        "select result.hook, jobhooks.depth_of(change.triggering, change.context) from jobhooks.results as result"
        " join jobhooks.object_change as change on change.id = result.change_id order by change.id, result.hook"
    ).fetchall()


def test_two_hooks_trigger_each_other_exactly_to_the_limit(
    device: Connection, database: str, receivers: Path, log: Path
) -> None:
    """A user sees that the limit ended the chain, and where. A hook without chains runs for the user's change only."""
    add(database, receivers, "ToSite", "device", chain_depth=3)
    add(database, receivers, "ToDevice", "site", chain_depth=3)
    add(database, receivers, "Looks", "device")
    with Daemon(database, receivers, log, **SLEEPS) as daemon:
        daemon.await_started()
        device.execute("update public.device set name = 'b'")
        (ended,) = daemon.await_event("chain_ended")
        count = "select changes, change_id from jobhooks.chain_end"
        wait_until("it is counted", lambda: device.execute(count).fetchall())
        assert daemon.terminate() == 0
    chain = device.execute("select id from jobhooks.object_change order by id").fetchall()
    assert depths(device) == [0, 1, 2, 3, 4]
    assert runs(device) == [("Looks", 0), ("ToSite", 0), ("ToDevice", 1), ("ToSite", 2), ("ToDevice", 3)]
    (last,) = chain[-1]
    assert (ended["hook"], ended["change"], ended["depth"], ended["chain_depth"]) == ("ToSite", last, 4, 3)
    assert device.execute(count).fetchall() == [(1, last)]
    with contextlib.closing(connect(database)) as admin:
        shown = hooks.hook_details(admin, "ToSite")
        assert (shown.chain_depth, shown.chain_ends, shown.chain_end_change_id) == (3, 1, last)
        (problem,) = [each for each in problems(admin, 30) if each.subject == 'hook "ToSite"']
        assert problem.severity == "warning" and f"change {last}" in problem.problem
        explained = {hook.hook: hook for hook in explain(admin, last).hooks}
        refusals = {name: [rule.name for rule in hook.rules if rule.refuses] for name, hook in explained.items()}
        assert refusals == {"ToSite": ["chain_depth"], "ToDevice": ["content_types"], "Looks": ["triggering"]}
        (hook,) = explain(admin, last - 1, "ToDevice").hooks
        assert hook.matches and hook.state == "success"
        hooks.edit_hook(admin, "ToSite", {"chain_depth": 4})
        assert hooks.hook_details(admin, "ToSite").chain_ends == 0


def test_a_hook_triggers_itself_to_the_limit(device: Connection, database: str, receivers: Path, log: Path) -> None:
    """A chain_depth is about receivers' writes, whoever wrote; the receiver sees the depth. It is no loop to pause."""
    add(database, receivers, "Itself", "device", chain_depth=2)
    with Daemon(database, receivers, log, JOBHOOKS_LOOP_LIMIT="1", **SLEEPS) as daemon:
        daemon.await_started()
        for number in range(1, 4):
            device.execute("update public.device set name = 'b'")
            wait_until("it has ended", lambda n=number: depths(device) == [0, 1, 2, 3] * n)
        wait_until("the ends are counted", lambda: device.execute(CUT).rowcount == 1)
        assert daemon.terminate() == 0
    values = device.execute("select value::text from jobhooks.job_result order by change_id").fetchall()
    assert values == [("0",), ("1",), ("2",)] * 3
    assert device.execute("select paused from jobhooks.job_hook").fetchone() == (False,)


def test_the_last_step_of_a_run_whose_process_died_is_in_the_chain(
    device: Connection, database: str, receivers: Path, log: Path
) -> None:
    """It runs in another process, and could go on for ever if that did not know the depth."""
    add(database, receivers, "Dies", "device", chain_depth=2)
    with Daemon(database, receivers, log) as daemon:
        device.execute("update public.device set name = 'b'")
        daemon.await_event("chain_ended")
        assert daemon.terminate() == 0
    assert depths(device) == [0, 1, 2, 3]


def test_a_chain_keeps_the_order_of_each_object_across_a_kill(
    device: Connection, database: str, receivers: Path, log: Path
) -> None:
    """What the second hook writes is there once for each change, in the order of the changes of a device."""
    device.execute("insert into public.device (name) select 'd' from generate_series(1, 9)")
    device.execute("insert into public.site (device) select id from public.device")
    add(database, receivers, "Follows", "device")
    add(database, receivers, "Counts", "site", chain_depth=1)
    counted = "select count(*) from public.count"
    for kill in (True, False):
        with Daemon(database, receivers, log) as daemon:
            daemon.await_started()
            done = device.execute(counted).fetchone()
            for _ in range(20):
                device.execute("update public.device set name = name || 'x'")
            wait_until("it has begun", lambda d=done: device.execute(counted).fetchone() != d)
            if kill:
                daemon.kill()
                continue
            wait_until("all are counted", lambda: device.execute(counted).fetchone() == (400,))
            assert daemon.terminate() == 0
    assert depths(device).count(1) == 400
    assert device.execute("select change from public.count group by 1 having count(*) > 1").fetchall() == []
    for number in range(1, 11):
        found = device.execute("select cause from public.count where device = %s order by id", [number]).fetchall()
        assert len(found) == 40 and found == sorted(found)


def test_a_hook_that_turns_chains_on_gets_what_it_has_not_read(
    device: Connection, database: str, receivers: Path, log: Path
) -> None:
    """The setting counts when a change is read, as all settings do; an older change can be replayed."""
    add(database, receivers, "ToSite", "device")
    add(database, receivers, "Counts", "site")
    add(database, receivers, "Looks", "site")
    with contextlib.closing(connect(database)) as admin, Daemon(database, receivers, log, **SLEEPS) as daemon:
        daemon.await_started()
        hooks.pause_hooks(admin, ["Counts"])
        device.execute("update public.device set name = 'b'")
        wait_until("it has run", lambda: device.execute("select from jobhooks.job_result").rowcount == 1)
        device.execute("insert into public.site (device, cause) values (1, 0)")
        wait_until("the others are past it", lambda: ("Looks", 0) in runs(device))
        for hook in ("Counts", "Looks"):
            hooks.edit_hook(admin, hook, {"chain_depth": 1})
        hooks.pause_hooks(admin, ["Counts"], paused=False)
        wait_until("it has caught up", lambda: len([hook for hook, _ in runs(device) if hook == "Counts"]) == 2)
        assert daemon.terminate() == 0
    assert [run for run in runs(device) if run[0] != "ToSite"] == [("Counts", 1), ("Counts", 0), ("Looks", 0)]


def test_a_receivers_write_to_a_child_is_an_update_of_its_parent(
    device: Connection, database: str, receivers: Path, log: Path
) -> None:
    with contextlib.closing(connect(database)) as admin:
        tables.watch(admin, "public.tag", parents=["public.device=device"])
    add(database, receivers, "Tags", "site")
    add(database, receivers, "Looks", "device", chain_depth=1)
    with Daemon(database, receivers, log, **SLEEPS) as daemon:
        daemon.await_started()
        device.execute("insert into public.site (device) values (1)")
        wait_until("it has run", lambda: runs(device)[-1:] == [("Looks", 1)])


def test_merged_changes_have_the_greatest_of_their_depths(
    device: Connection, database: str, receivers: Path, log: Path
) -> None:
    """Otherwise a merged write of an application would begin the chain again. The depths survive a restart."""
    add(database, receivers, "ToDevice", "site")
    add(database, receivers, "Itself", "device", chain_depth=1, debounce_s=1.5)
    pending = "select from jobhooks.delivery"
    with Daemon(database, receivers, log, **SLEEPS) as daemon:
        daemon.await_started()
        device.execute("insert into public.site (device) values (1)")
        wait_until("a receiver has written", lambda: depths(device)[-1] == 1)
        device.execute("update public.device set name = name || 'y'")
        wait_until("both wait", lambda: device.execute(pending).rowcount == 2)
        daemon.kill()
    with Daemon(database, receivers, log, **SLEEPS) as daemon:
        daemon.await_event("chain_ended")
        assert daemon.terminate() == 0
    assert depths(device) == [0, 1, 0, 2]


class Extends(JobHookReceiver[Any]):
    async def receive_job_hook(self, change: Change) -> None:
        device = change.changed_object_id
        await self.connection.execute("update public.device set name = name || 'x' where id = $1", device)


async def test_a_daemon_that_sleeps_reads_on_when_a_run_has_written(
    hooked: Connection, database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No NOTIFY announces receivers' writes: a chain would advance by one run at each heartbeat."""
    for name in ("HEARTBEAT_INTERVAL_S", "SILENCE_S"):
        monkeypatch.setattr(listener, name, 3600.0)
    hooked.execute("update jobhooks.job_hook set chain_depth = 3")
    async with sessions(database, Extends, Recorder(), poll_interval_s=3600.0):
        await until("the daemon sleeps", lambda: hooked.execute(SLEEPING).fetchone() == (1,))
        hooked.execute("insert into public.device (name) values ('a')")
        await until("the chain has ended", lambda: depths(hooked) == [0, 1, 2, 3, 4])


def test_a_test_of_receivers_runs_a_chain_to_its_end(device: Connection, database: str) -> None:
    """With the fixture run_hooks of the pytest plugin, which has no daemon."""
    with contextlib.closing(connect(database)) as admin:
        assert run_hooks(Database(database, admin), [Extends], LIMIT) == [], "it has a hook from now on"
        hooks.edit_hook(admin, "Extends", {"chain_depth": 2})
        device.execute("insert into public.device (name) values ('a')")
        done = run_hooks(Database(database, admin), [Extends], LIMIT)
    assert [result.status for result in done] == ["success"] * 3
    assert depths(device) == [0, 1, 2, 3]
