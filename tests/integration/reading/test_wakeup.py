"""Waking up without the fallback poll: a write is noticed while the daemon falls asleep, sleeps or is awake."""

import random
import threading
import time
from pathlib import Path

import psycopg
import pytest

from conftest import Connection
from support.daemon import Daemon, wait_until
from support.hooking import add_hook, write_receivers

RECEIVERS = """
from jobhooks import JobHookReceiver

class Counts(JobHookReceiver):
    async def receive_job_hook(self, change):
        pass
"""
WRITERS = 12
# Asleep: the lock is held; awake, while much is written: it is not.
HELD = (
    "select count(*) from pg_locks where locktype = 'advisory' and objid = 2 and mode = 'ExclusiveLock' and granted"
    " and database = (select oid from pg_database where datname = current_database())"
)


def write_with_pauses(database: str, seed: int, until: float) -> int:
    """Write in transactions that pause before, between and after their writes, and are rolled back now and then."""
    rng = random.Random(seed)
    committed = 0
    with psycopg.connect(database) as conn:
        while time.monotonic() < until:
            written = rng.randint(1, 3)
            for _ in range(written):
                if rng.random() < 0.3:
                    time.sleep(rng.uniform(0, 0.02))
                conn.execute("insert into public.device (name) values ('d')")
            if rng.random() < 0.5:
                time.sleep(rng.uniform(0, 0.05))
            if rng.random() < 0.8:
                conn.commit()
                committed += written
            else:
                conn.rollback()
            # Sometimes long enough for the daemon to fall asleep.
            time.sleep(rng.choice([0, 0, 0.005, 0.3]))
    return committed


def check_that_nothing_is_missed(conn: Connection, database: str, directory: Path, seconds: float, seed: int) -> None:
    receivers = write_receivers(directory / "receivers", RECEIVERS)
    add_hook(database, receivers, "r.Counts", ["create"])
    committed = [0] * WRITERS
    seen_asleep: set[bool] = set()

    def write(number: int) -> None:
        committed[number] = write_with_pauses(database, seed + number, until)

    with Daemon(
        database, receivers, directory / "daemon.log", "--log-level", "warning", JOBHOOKS_POLL_INTERVAL="3600"
    ) as daemon:
        until = time.monotonic() + seconds
        writers = [threading.Thread(target=write, args=[number]) for number in range(WRITERS)]
        for writer in writers:
            writer.start()
        while any(writer.is_alive() for writer in writers):
            row = conn.execute(HELD).fetchone()
            seen_asleep.add(row == (1,))
            time.sleep(0.01)
        for writer in writers:
            writer.join()
        results = "select count(*) from jobhooks.job_result"
        wait_until("all is delivered", lambda: conn.execute(results).fetchone() == (sum(committed),))
        # And the very last one is noticed by a daemon that sleeps.
        wait_until("it sleeps", lambda: conn.execute(HELD).fetchone() == (1,))
        conn.execute("insert into public.device (name) values ('last')")
        wait_until("the last is delivered", lambda: conn.execute(results).fetchone() == (sum(committed) + 1,))
        assert daemon.terminate() == 0
    assert seen_asleep == {True, False}


def test_nothing_is_missed_though_nobody_looks(device: Connection, database: str, tmp_path: Path, seed: int) -> None:
    check_that_nothing_is_missed(device, database, tmp_path, 4, seed)


@pytest.mark.nightly
@pytest.mark.timeout(300)
def test_nothing_is_missed_for_a_minute(device: Connection, database: str, tmp_path: Path, seed: int) -> None:
    check_that_nothing_is_missed(device, database, tmp_path, 60, seed)


def test_always_means_a_notify_with_each_commit(device: Connection, database: str, tmp_path: Path) -> None:
    """Also for other listeners on the channel: the daemon never stays awake."""
    receivers = write_receivers(tmp_path / "receivers", RECEIVERS)
    add_hook(database, receivers, "r.Counts", ["create"])
    with (
        psycopg.connect(database, autocommit=True) as listening,
        Daemon(database, receivers, tmp_path / "daemon.log", JOBHOOKS_WAKEUP="always").await_started(),
    ):
        listening.execute("listen jobhooks")
        wait_until("it sleeps", lambda: device.execute(HELD).fetchone() == (1,))
        for _ in range(400):  # far above the rate that keeps a gated daemon awake
            device.execute("insert into public.device (name) values ('d')")
        heard = [notify for notify in listening.notifies(timeout=1, stop_after=2000) if notify.payload == ""]
        assert len(heard) == 400
