"""The server's clock is set back: deliveries are attempted again after their pause, not after the clock's."""

from collections.abc import Generator
from contextlib import closing
from pathlib import Path

import psycopg
import pytest

from conftest import Connection
from jobhooks.operations import tables
from jobhooks.schema.install import install
from jobhooks.store.connections import connect
from support.daemon import Daemon, wait_until
from support.hooking import add_hook, write_receivers
from support.postgres.faults import OwnServer, own_server
from support.recording import RECEIVERS, all_delivered, assert_once_and_in_order, make_got

HOUR_S = 3600
FAKETIME = next(Path("/usr/lib").glob("*/faketime/libfaketime.so.1"), None)
LATER = "update jobhooks.delivery set due_at = due_at + interval '1 hour', parked_at = parked_at + interval '1 hour'"


class Clock:
    """The clock of a server, which reads a file for the difference to the machine's clock."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self.set_back(0)

    def set_back(self, seconds: int) -> None:
        """Set it to ``seconds`` before the machine's."""
        self._file.write_text(f"{-seconds:+d}")
        self._file.chmod(0o644)


@pytest.fixture
def receivers(tmp_path: Path) -> Path:
    return write_receivers(tmp_path / "receivers", RECEIVERS)


@pytest.fixture
def timed() -> Generator[tuple[OwnServer, Clock]]:
    """A server whose clock can be set, with jobhooks and a watched table."""
    if FAKETIME is None:
        pytest.skip("it needs Debian's package libfaketime")
    with own_server() as own:
        clock = Clock(own.directory / "clock")
        own.set_environment(
            LD_PRELOAD=str(FAKETIME),
            FAKETIME_TIMESTAMP_FILE=str(own.directory / "clock"),
            FAKETIME_NO_CACHE="1",
            FAKETIME_DONT_FAKE_MONOTONIC="1",
        )
        own.start()
        with closing(connect(own.url())) as conn:
            install(conn)
            conn.execute("create table public.device (id serial primary key, name text, serial text)")
            make_got(conn)
            tables.watch(conn, "public.device")
        yield own, clock


def fail(conn: Connection, daemon: Daemon, name: str) -> None:
    """Make a change that fails at its first attempt and has another one behind it."""
    failures = len(daemon.events("delivery_failed"))
    with conn.transaction():
        conn.execute("insert into public.device (name, serial) values ('bad', %s)", [name])
        conn.execute("update public.device set name = 'd' where serial = %s", [name])
    daemon.await_event("delivery_failed", failures + 1)


def test_a_delivery_whose_time_has_moved_away_is_attempted_after_its_pause(
    device: Connection, database: str, receivers: Path, log: Path
) -> None:
    """If the clock goes back by an hour, all that was written before seems an hour later."""
    make_got(device)
    add_hook(database, receivers, "r.FailsThenWaits", ["create", "update"])
    with Daemon(database, receivers, log).await_started() as daemon:
        fail(device, daemon, "1")
        device.execute(LATER)
        wait_until("all is delivered", lambda: all_delivered(device))
        assert daemon.terminate() == 0
    assert_once_and_in_order(device)


def test_deliveries_are_attempted_after_their_pause_though_the_servers_clock_is_set_back(
    timed: tuple[OwnServer, Clock], receivers: Path, log: Path
) -> None:
    """Those that wait already, and those that fail afterwards."""
    own, clock = timed
    add_hook(own.url(), receivers, "r.FailsThenWaits", ["create", "update"])
    with (
        psycopg.connect(own.url(), autocommit=True) as conn,
        Daemon(own.url(), receivers, log).await_started() as daemon,
    ):
        before = now(conn)
        fail(conn, daemon, "1")
        clock.set_back(HOUR_S)
        assert now(conn) < before
        wait_until("all is delivered", lambda: all_delivered(conn))
        fail(conn, daemon, "2")
        wait_until("all is delivered", lambda: all_delivered(conn))
        assert daemon.terminate() == 0
        assert_once_and_in_order(conn)


def test_a_decision_about_another_delivery_does_not_stop_one_after_the_clock_is_set_back(
    timed: tuple[OwnServer, Clock], receivers: Path, log: Path
) -> None:
    """It makes the daemon compare its backlog with the table, where the time of the next attempt is an hour away."""
    own, clock = timed
    add_hook(own.url(), receivers, "r.FailsThenWaits", ["create", "update"])
    with (
        psycopg.connect(own.url(), autocommit=True) as conn,
        Daemon(own.url(), receivers, log).await_started() as daemon,
    ):
        fail(conn, daemon, "1")
        fail(conn, daemon, "2")
        clock.set_back(HOUR_S)
        conn.execute("select jobhooks.discard_deliveries(array[3], array[1], 'not wanted')")
        wait_until("the others are delivered", lambda: all_but_discarded(conn))
        assert daemon.terminate() == 0
        assert conn.execute("select change from public.got where change < 3 order by n").fetchall() == [(1,), (2,)]


def all_but_discarded(conn: Connection) -> bool:
    """Check that nothing waits, and all changes have a result that is no failure."""
    ((open_ones,),) = conn.execute(
        "select count(*) from jobhooks.object_change as change where not exists ("
        " select from jobhooks.job_result as result where result.change_id = change.id and result.status <> 'failure')"
    ).fetchall()
    return not open_ones and not conn.execute("select from jobhooks.delivery").fetchall()


def now(conn: Connection) -> float:
    ((time,),) = conn.execute("select extract(epoch from clock_timestamp())::double precision").fetchall()
    return time
