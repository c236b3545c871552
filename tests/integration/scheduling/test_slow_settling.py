"""Locks that hold up the daemon's own statements for more than a second: it lives, and delivers all once."""

import time
from collections.abc import Generator
from pathlib import Path
from typing import LiteralString

import psycopg
import pytest

from conftest import Connection
from support.daemon import Daemon, await_no_session, wait_until
from support.hooking import add_hook, write_receivers
from support.recording import RECEIVERS, all_delivered, assert_once_and_in_order, make_got, replace_devices

HOLD_S = 1.5  # longer than deliveries may take before they are noted in the table
ROUNDS = 3
CURSOR: LiteralString = "select from jobhooks.cursor for update"
BACKLOG: LiteralString = "lock table jobhooks.delivery in access exclusive mode"


@pytest.fixture
def receivers(tmp_path: Path, seed: int) -> Path:
    return write_receivers(tmp_path / "receivers", RECEIVERS.replace("SEED", str(seed)))


@pytest.fixture
def got(device: Connection) -> Generator[Connection]:
    """The client's connection; receivers record their deliveries. The log is empty."""
    make_got(device)
    replace_devices(device, rows=0)
    yield device
    await_no_session(device)


def hold(database: str, lock: LiteralString) -> None:
    """Hold a lock for more than a second."""
    with psycopg.connect(database) as other:
        other.execute(lock)
        time.sleep(HOLD_S)


def ended(daemon: Daemon) -> bool:
    return daemon.process.poll() is not None


PAIRS = [("Stumbles", "Dawdles"), ("Counts", "Records"), ("RecordsBatches", "Stumbles")]


@pytest.mark.timeout(300)
@pytest.mark.parametrize(
    ("pair", "lock"),
    [
        (PAIRS[1], CURSOR),
        (PAIRS[2], BACKLOG),
        pytest.param(PAIRS[0], CURSOR, marks=pytest.mark.nightly),
        pytest.param(PAIRS[0], BACKLOG, marks=pytest.mark.nightly),
        pytest.param(PAIRS[1], BACKLOG, marks=pytest.mark.nightly),
        pytest.param(PAIRS[2], CURSOR, marks=pytest.mark.nightly),
    ],
)
def test_two_hooks_get_all_once_while_settling_is_held_up(
    got: Connection, database: str, receivers: Path, log: Path, pair: tuple[str, str], lock: LiteralString
) -> None:
    """A delivery that waits for its batch to commit is not put into a second one."""
    for receiver in pair:
        add_hook(database, receivers, f"r.{receiver}", ["create", "update"])
    with Daemon(database, receivers, log).await_started() as daemon:
        for _ in range(ROUNDS):
            got.execute("insert into public.device (name, serial) select 'd', '' from generate_series(1, 150)")
            got.execute(
                "update public.device set serial = serial || 'x' where id > (select max(id) - 100 from public.device)"
            )
            hold(database, lock)
            assert not ended(daemon), daemon.words()[-3000:]
        wait_until("all is delivered", lambda: ended(daemon) or all_delivered(got), 120)
        assert not ended(daemon) and not daemon.tracebacks(), daemon.words()[-3000:]
    assert_once_and_in_order(got)


@pytest.mark.parametrize("lock", [CURSOR, BACKLOG], ids=["cursor", "backlog"])
def test_a_delivery_behind_a_failure_is_parked_once_while_settling_is_held_up(
    got: Connection, database: str, receivers: Path, log: Path, lock: LiteralString
) -> None:
    """It waits behind the failure, its hook has a backlog, and a second is over: three reasons, one row."""
    add_hook(database, receivers, "r.FailsUntilMended", ["create", "update"])
    add_hook(database, receivers, "r.Records", ["create", "update"])
    with Daemon(database, receivers, log).await_started() as daemon:
        got.execute("insert into public.device (name, serial) values ('bad', '')")
        daemon.await_event("delivery_failed")
        for turn in range(ROUNDS):
            with psycopg.connect(database) as other:
                other.execute(lock)
                got.execute("update public.device set serial = %s, name = 'd'", [str(turn)])
                got.execute("insert into public.device (name, serial) values ('other', '')")
                time.sleep(HOLD_S)
            assert not ended(daemon), daemon.words()[-3000:]
        got.execute("insert into public.mended values (1)")
        wait_until("all is delivered", lambda: ended(daemon) or all_delivered(got), 60)
        assert not ended(daemon) and not daemon.tracebacks(), daemon.words()[-3000:]
    assert_once_and_in_order(got)
