"""Each hook sees an object's changes in order, one at a time: with slow, disabled, restarted or deposed parts."""

import random
import time
from collections import defaultdict
from pathlib import Path

import pytest

from conftest import Connection
from support.daemon import Daemon, wait_until
from support.delivering import RECEIVERS as SHARED, backlog, read_to_the_end, seen_by, settled, statuses, write
from support.hooking import add_hook, write_receivers

RECEIVERS = (
    SHARED
    + """
import random

class TellsOverlaps(JobHookReceiver):
    running = set()
    async def receive_job_hook(self, change):
        key = change.postchange["id"]
        word = "beside another" if key in self.running else ""
        self.running.add(key)
        await asyncio.sleep(0.4 + 0.1 * key)
        self.running.discard(key)
        await see(self, change, word)

class Falters(JobHookReceiver):
    # Fails at random, and is slow at random.
    class Meta:
        backoff, max_attempts = 0.01, 1000
    async def receive_job_hook(self, change):
        chance = random.Random(f"SEED {change.id} {self.attempt}")
        await see(self, change)
        if chance.random() < 0.05:
            await asyncio.sleep(chance.random() * 2)
        if chance.random() < 0.2:
            raise ValueError("at random")

class FaltersNow(JobHookReceiver):
    class Meta(Falters.Meta):
        pass
    def receive_job_hook(self, change):
        chance = random.Random(f"SEED {change.id} {self.attempt}")
        see_now(self, change)
        if chance.random() < 0.05:
            time.sleep(chance.random() * 2)
        if chance.random() < 0.2:
            raise ValueError("at random")

class Disagrees(JobHookReceiver):
    # On an object's first change, two daemons come to different ends, the first one of them late.
    class Meta:
        backoff = 3600
    async def receive_job_hook(self, change):
        await self.connection.execute("select 1")
        if change.postchange["serial"] == "1":
            if os.environ["WHO"] == "second":
                raise ValueError("the second daemon fails")
            Path("runs").touch()
            while not Path("go on").exists():
                await asyncio.sleep(0.01)
        await see(self, change, os.environ["WHO"])
"""
)


NOTES_OUTSIDE = """
import asyncio
from pathlib import Path
from jobhooks import JobHookReceiver

class Notes(JobHookReceiver):
    # Without its connection: only the daemon keeps it from running twice.
    async def receive_job_hook(self, change):
        with Path("noted").open("a") as file:
            file.write(f"{change.id}\\n")

class Slow(JobHookReceiver):
    async def receive_job_hook(self, change):
        await asyncio.sleep(0.02)
"""


@pytest.fixture
def receivers(tmp_path: Path, seed: int) -> Path:
    return write_receivers(tmp_path / "receivers", RECEIVERS.replace("SEED", str(seed)))


def test_what_is_overdue_stays_in_order_and_beside_nothing_of_its_object(
    seen: Connection, database: str, receivers: Path, log: Path
) -> None:
    """Another hook moves a slow one's changes to the backlog while older ones of their object still run."""
    add_hook(database, receivers, "r.TellsOverlaps", ["update"])
    add_hook(database, receivers, "r.Sees", ["update"])
    seen.execute("insert into public.device (serial) select '0' from generate_series(1, 8)")
    with seen.transaction():
        for turn in range(1, 7):
            seen.execute("update public.device set serial = %s", [str(turn)])
    with Daemon(database, receivers, log):
        wait_until("all is settled", settled(seen, 96), 60)
    assert_in_order(seen, "TellsOverlaps", 8, 6)
    assert seen.execute("select from public.seen where word = 'beside another'").fetchall() == []


def assert_in_order(conn: Connection, receiver: str, objects: int, turns: int) -> None:
    """Assert that the receiver saw each turn of each object once, in order."""
    by_object: dict[object, list[object]] = defaultdict(list)
    for key, value in seen_by(conn, receiver):
        by_object[key].append(value)
    expected = [str(turn) for turn in range(1, turns + 1)]
    assert {key: values for key, values in by_object.items() if values != expected} == {}
    assert len(by_object) == objects


def test_a_hook_that_is_disabled_and_enabled_while_it_runs_keeps_its_order(
    seen: Connection, database: str, receivers: Path, log: Path
) -> None:
    """What had not begun is given up. A later change of the object that runs waits for that."""
    add_hook(database, receivers, "r.Waits", ["create", "update"])
    with Daemon(database, receivers, log).await_started():
        with seen.transaction():
            one = write(seen, "waits", 1)
            seen.execute("update public.device set name = 'next', serial = '2'")
        wait_until("the first change runs", (receivers / "runs").exists)
        seen.execute("update jobhooks.job_hook set enabled = false")
        passed = write(seen, "while disabled", 1)
        wait_until("the change is read", read_to_the_end(seen))
        seen.execute("update jobhooks.job_hook set enabled = true")
        seen.execute("update public.device set serial = '3' where id = %s", [one])
        other = write(seen, "other", 1)
        wait_until("the hook is back", lambda: (other, "1") in seen_by(seen, "Waits"))
        (receivers / "go on").touch()
        wait_until("all is settled", lambda: len(statuses(seen)) == 3)
    assert seen_by(seen, "Waits") == [(other, "1"), (one, "1"), (one, "3")]
    assert (passed, "1") not in seen_by(seen, "Waits")


SMALL = {"JOBHOOKS_PAGE_SIZE": "20", "JOBHOOKS_WORKERS": "4"}


def restart_again_and_again(
    seen: Connection, database: str, receivers: Path, log: Path, ends: list[float | None], seed: int
) -> None:
    """Write while daemons start and stop, each ended by SIGTERM with a grace in seconds, or (None) by kill -9."""
    rng = random.Random(seed)
    turns = 0
    for grace in ends:
        with Daemon(
            database, receivers, log, JOBHOOKS_SHUTDOWN_GRACE=str(grace or 0), **SMALL
        ).await_started() as daemon:
            for _ in range(5):
                turns += 1
                seen.execute("update public.device set serial = %s", [str(turns)])
                time.sleep(rng.random() * 0.2)
            time.sleep(rng.random() * 0.5)  # it is ended at any moment
            if grace is None:
                daemon.kill()
            else:
                assert daemon.terminate() == 0
            assert not daemon.tracebacks()
    with Daemon(database, receivers, log, **SMALL):
        wait_until("all is settled", settled(seen, 20 * turns), 90)
    (receiver,) = seen.execute("select distinct receiver from public.seen").fetchone() or ("",)
    assert_in_order(seen, receiver, 20, turns)


@pytest.fixture(params=["r.Falters", "r.FaltersNow"])
def faltering(request: pytest.FixtureRequest, seen: Connection, database: str, receivers: Path) -> Connection:
    """The client's connection; a receiver that fails and is slow at random is hooked to twenty devices."""
    add_hook(database, receivers, request.param, ["update"])
    seen.execute("insert into public.device (name, serial) select 'd', '0' from generate_series(1, 20)")
    return seen


@pytest.mark.chaos
def test_objects_keep_their_order_through_restarts(
    faltering: Connection, database: str, receivers: Path, log: Path, seed: int
) -> None:
    """Deliveries that were only in memory are read again, and are older than those in the backlog."""
    restart_again_and_again(faltering, database, receivers, log, [0, None, 0.3], seed)


@pytest.mark.chaos
@pytest.mark.nightly
@pytest.mark.timeout(600)
@pytest.mark.parametrize("ends", [[0, 0.3, 5, 0.3, 0, 5, 0.3] * 2, [None] * 14], ids=["SIGTERM", "kill"])
def test_objects_keep_their_order_through_many_restarts(
    faltering: Connection, database: str, receivers: Path, log: Path, ends: list[float | None], seed: int
) -> None:
    restart_again_and_again(faltering, database, receivers, log, ends, seed)


@pytest.mark.chaos
def test_a_leader_whose_session_was_ended_delivers_nothing_past_its_successors_failure(
    seen: Connection, database: str, receivers: Path, log: Path, tmp_path: Path
) -> None:
    """It finds its delivery settled by the other, which is no success: the object's next change must wait."""
    add_hook(database, receivers, "r.Disagrees", ["create", "update"])
    with (
        Daemon(database, receivers, log, WHO="first").await_started() as first,
        Daemon(database, receivers, tmp_path / "second.log", WHO="second") as second,
    ):
        second.await_event("standing_by")
        with seen.transaction():
            one = write(seen, "d", 1)
            seen.execute("update public.device set serial = '2'")
        wait_until("it runs", (receivers / "runs").exists)
        seen.execute("select pg_terminate_backend(jobhooks.leader_session())")
        wait_until("the second daemon has failed", lambda: statuses(seen) == [(1, 1, "failure")])
        (receivers / "go on").touch()
        first.await_event("standing_by")
        wait_until("the next change waits", lambda: [row[1] for row in backlog(seen)] == ["waiting", "blocked"])
        other = write(seen, "other", 3)
        wait_until("others go on", lambda: (other, "3") in seen_by(seen, "Disagrees"))
        assert (one, "2") not in seen_by(seen, "Disagrees")


def test_what_a_former_daemon_parked_beyond_the_cursor_is_reached_though_nothing_else_is_to_do(
    seen: Connection, database: str, receivers: Path, log: Path
) -> None:
    """Its backlog does not fit in memory, so nothing is read for it; and its deliveries wait for changes to be read."""
    add_hook(database, receivers, "r.Sees", ["create"])
    seen.execute("insert into public.device (serial) select i::text from generate_series(1, 300) as i")
    with Daemon(database, receivers, log) as daemon:
        wait_until("all is settled", settled(seen, 300))
        daemon.kill()
    # As if the cursor had not been saved, and the last 220 of 300 had been parked.
    seen.execute(
        "update jobhooks.cursor set seen = '3:3:', horizon = '3:3:', seen_floor = 0, horizon_floor = 0, last_id = 0"
    )
    seen.execute("delete from jobhooks.job_result where change_id > 80")
    seen.execute(
        "insert into jobhooks.delivery (change_id, hook_id, status, due_at, content_type_id, lane)"
        " select id, 1, 'waiting', now(), content_type_id, id from jobhooks.object_change where id > 80"
    )
    with Daemon(database, receivers, log.with_name("again"), **SMALL):
        wait_until("all is settled", settled(seen, 300))


def test_a_hook_that_was_ahead_of_the_others_gets_each_change_once(
    seen: Connection, database: str, tmp_path: Path, log: Path
) -> None:
    """The others were held up when the daemon died. It starts where they are, and skips what has a result."""
    receivers = write_receivers(tmp_path / "receivers", NOTES_OUTSIDE)
    add_hook(database, receivers, "r.Notes", ["create"])
    add_hook(database, receivers, "r.Slow", ["create"])
    insert = "insert into public.device (serial) select i::text from generate_series(1, 200) as i"
    first = snapshot(seen)
    with Daemon(database, receivers, log) as daemon:
        seen.execute(insert)
        wait_until("all is settled", settled(seen, 400))
        daemon.kill()
    second = snapshot(seen)
    seen.execute(insert)
    # As if the position of the others had not moved, and the first hook had begun the window of the second half.
    place = "seen = %s, seen_floor = 0, horizon = %s, horizon_floor = 0, last_id = 0"
    seen.execute(f"update jobhooks.cursor set {place}".encode(), [first, first])
    seen.execute(
        "insert into jobhooks.hook_position (hook_id, seen, seen_floor, horizon, horizon_floor, last_id)"
        " values (1, %s, 200, %s, 400, 0) on conflict (hook_id) do update set seen = excluded.seen,"
        " seen_floor = excluded.seen_floor, horizon = excluded.horizon, horizon_floor = excluded.horizon_floor",
        [second, snapshot(seen)],
    )
    with Daemon(database, receivers, log.with_name("again"), **SMALL):
        wait_until("all is settled", settled(seen, 800))
    noted = (receivers / "noted").read_text().split()
    assert len(noted) == len(set(noted)) == 400


def snapshot(conn: Connection) -> str:
    (row,) = conn.execute("select pg_current_snapshot()::text").fetchall()
    return row[0]
