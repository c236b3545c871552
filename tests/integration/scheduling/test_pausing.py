"""Paused hooks: they run nothing, keep their position in the log, and continue there in order, each change once."""

from pathlib import Path

from conftest import Connection
from support.daemon import Daemon, wait_until
from support.delivering import seen_by, settled, statuses, write
from support.hooking import add_hook

POSITIONS = "select from jobhooks.hook_position"
PAUSE = "select jobhooks.pause_hook('hook of r.Fails', %s)"


def changes(conn: Connection) -> int:
    row = conn.execute("select count(*) from jobhooks.object_change").fetchone()
    assert row is not None
    return row[0]


def write_and_wait(conn: Connection, *objects: int) -> None:
    """Update objects, and wait until the hook that is not paused has got all changes of the log."""
    for object_ in objects:
        conn.execute("update public.device set serial = (serial::integer + 1)::text where id = %s", [object_])
    wait_until("the other hook goes on", lambda: len(seen_by(conn, "Sees")) == changes(conn))


def failures(conn: Connection) -> list[tuple[object, ...]]:
    return [each for each in statuses(conn) if each[2] == "failure"]


def test_a_paused_hook_continues_where_it_was(seen: Connection, database: str, receivers: Path, log: Path) -> None:
    """Beside a hook that goes on; over a restart of the daemon; with a delivery that has failed and one behind it."""
    add_hook(database, receivers, "r.Fails")
    add_hook(database, receivers, "r.Sees")
    with Daemon(database, receivers, log) as daemon:
        bad, good = write(seen, "bad", 1), write(seen, "good", 1)
        daemon.await_event("delivery_failed")
        wait_until("it runs", lambda: seen_by(seen, "Fails") == [(good, "1")])
        seen.execute(PAUSE, [True])
        # A page carries the version of the hooks, so these are read after the pause.
        write_and_wait(seen, good, bad, good)
        assert seen_by(seen, "Fails") == [(good, "1")]
        wait_until("its position is saved", lambda: bool(seen.execute(POSITIONS).fetchall()))
        assert daemon.terminate() == 0
    failed = failures(seen)
    with Daemon(database, receivers, log.with_name("again")) as daemon:
        write_and_wait(seen, good, bad, good)
        assert seen_by(seen, "Fails") == [(good, "1")] and failures(seen) == failed
        seen.execute("insert into public.mended values (%s)", [bad])
        seen.execute(PAUSE, [False])
        wait_until("all is settled", settled(seen, 2 * changes(seen)))
        wait_until("it reads with the other", lambda: not seen.execute(POSITIONS).fetchall())
        assert daemon.terminate() == 0
    for object_, last in ((bad, 3), (good, 5)):
        values = [value for id_, value in seen_by(seen, "Fails") if id_ == object_]
        assert values == [str(value) for value in range(1, last + 1)]


def test_a_hook_that_was_paused_while_no_daemon_ran_misses_nothing(
    seen: Connection, database: str, receivers: Path, log: Path
) -> None:
    """Its position is that of the last daemon."""
    add_hook(database, receivers, "r.Fails")
    add_hook(database, receivers, "r.Sees")
    good = write(seen, "good", 1)
    seen.execute(PAUSE, [True])
    with Daemon(database, receivers, log) as daemon:
        write_and_wait(seen, good, good)
        assert seen_by(seen, "Fails") == []
        seen.execute(PAUSE, [False])
        wait_until("all is settled", settled(seen, 2 * changes(seen)))
        assert daemon.terminate() == 0
    assert seen_by(seen, "Fails") == [(good, "1"), (good, "2"), (good, "3")]


def test_a_paused_hook_that_was_disabled_starts_when_it_is_enabled(
    seen: Connection, database: str, receivers: Path, log: Path
) -> None:
    """Changes of the time in which it was disabled have skipped it; later ones wait until it is resumed."""
    add_hook(database, receivers, "r.Fails")
    add_hook(database, receivers, "r.Sees")
    with Daemon(database, receivers, log) as daemon:
        good = write(seen, "good", 1)
        wait_until("it runs", settled(seen, 2))
        seen.execute(PAUSE, [True])
        write_and_wait(seen, good)
        wait_until("its position is saved", lambda: bool(seen.execute(POSITIONS).fetchall()))
        seen.execute("select jobhooks.enable_hook('hook of r.Fails', false)")
        write_and_wait(seen, good)
        seen.execute("select jobhooks.enable_hook('hook of r.Fails')")
        write_and_wait(seen, good)
        assert seen_by(seen, "Fails") == [(good, "1")]
        seen.execute(PAUSE, [False])
        wait_until("it continues", lambda: seen_by(seen, "Fails") == [(good, "1"), (good, "4")])
        assert daemon.terminate() == 0
