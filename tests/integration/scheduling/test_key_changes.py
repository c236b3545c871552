"""A change of the key belongs to two objects, and waits for older changes of both, wherever these are."""

import contextlib
from collections.abc import Generator
from pathlib import Path

import pytest

from conftest import Connection
from jobhooks.operations import tables
from jobhooks.store.connections import connect
from support.daemon import Daemon, await_no_session, wait_until
from support.hooking import add_hook, write_receivers
from support.recording import RECEIVERS, all_delivered, assert_once_and_in_order, make_got

# Object 1 moves to key 2 and is changed there.
MOVED = "update public.part set id = 2, name = 'moved' where id = 1; update public.part set serial = 'x' where id = 2"
# Objects 1 and 5 swap their keys, by way of a third one, and are changed afterwards.
SWAPPED = (
    "update public.part set id = 3, name = 'moved' where id = 1; update public.part set id = 1 where id = 5;"
    " update public.part set id = 5 where id = 3; update public.part set serial = 'x' where id in (1, 5)"
)
# Object 1 moves away and back, and another one takes each key in between.
RETAKEN = (
    "update public.part set id = 2, name = 'moved' where id = 1; update public.part set id = 1 where id = 5;"
    " update public.part set serial = 'x' where id = 1; delete from public.part where id = 1;"
    " update public.part set id = 1 where id = 2; delete from public.part where id = 1"
)


@pytest.fixture
def receivers(tmp_path: Path) -> Path:
    return write_receivers(tmp_path / "receivers", RECEIVERS)


@pytest.fixture
def part(conn: Connection, database: str) -> Generator[Connection]:
    """The client's connection; ``public.part`` is watched and has the rows 1, 5 and 9, which are not captured."""
    make_got(conn)
    conn.execute("create table public.part (id integer primary key, name text, serial text)")
    conn.execute("insert into public.part values (1, 'first', ''), (5, 'second', ''), (9, 'marker', '')")
    with contextlib.closing(connect(database)) as admin:
        tables.watch(admin, "public.part")
    yield conn
    await_no_session(conn)


def change(conn: Connection, statements: str, *, together: bool) -> None:
    """Run statements in one transaction, or each in its own, and then change the marker."""
    with conn.transaction() if together else contextlib.nullcontext():
        for statement in statements.split("; "):
            conn.execute(statement.encode())
    conn.execute("update public.part set serial = serial || 'x' where id = 9")


def delivered(conn: Connection) -> list[int]:
    """The changes that were delivered, in this order."""
    return [number for (number,) in conn.execute("select change from public.got order by n").fetchall()]


def await_marker(conn: Connection) -> int:
    """Wait until the last change, which is the marker's, has been delivered; it is the only one. Its number."""
    ((last,),) = conn.execute("select max(id) from jobhooks.object_change").fetchall()
    wait_until("the marker is delivered", lambda: last in delivered(conn))
    return last


@pytest.mark.parametrize("restarted", [False, True], ids=["one daemon", "restarted"])
@pytest.mark.parametrize("together", [True, False], ids=["one transaction", "several"])
@pytest.mark.parametrize("statements", [MOVED, SWAPPED, RETAKEN], ids=["moved", "swapped", "retaken"])
def test_a_change_after_a_change_of_the_key_waits_for_a_failure_under_the_old_key(
    part: Connection, database: str, receivers: Path, log: Path, statements: str, together: bool, restarted: bool
) -> None:
    """It has only the new key, and the failed change has only the old one: the change of the key connects them."""
    add_hook(database, receivers, "r.FailsUntilMended", ["update", "delete"], "public.part")
    with contextlib.ExitStack() as daemons:
        daemon = daemons.enter_context(Daemon(database, receivers, log).await_started())
        part.execute("update public.part set name = 'bad' where id = 1")
        daemon.await_event("delivery_failed")
        change(part, statements, together=together)
        last = await_marker(part)
        assert delivered(part) == [last]
        if restarted:
            daemon.kill()
            daemons.enter_context(Daemon(database, receivers, log))
        part.execute("insert into public.mended values (1)")
        wait_until("all is delivered", lambda: all_delivered(part), 60)
    assert_once_and_in_order(part)


@pytest.mark.parametrize("statements", [MOVED, SWAPPED, RETAKEN], ids=["moved", "swapped", "retaken"])
def test_a_change_after_a_change_of_the_key_waits_for_a_run_under_the_old_key(
    part: Connection, database: str, receivers: Path, log: Path, statements: str
) -> None:
    """A run that lasts long is noted in the table, and its followers wait there."""
    add_hook(database, receivers, "r.Holds", ["update", "delete"], "public.part")
    with Daemon(database, receivers, log).await_started():
        part.execute("update public.part set name = 'bad' where id = 1")
        wait_until("it runs", (receivers / "runs").exists)
        change(part, statements, together=True)
        last = await_marker(part)
        wait_until("the long run is in the table", lambda: part.execute("select from jobhooks.delivery").fetchall())
        assert delivered(part) == [last]
        (receivers / "go on").touch()
        wait_until("all is delivered", lambda: all_delivered(part), 60)
    assert_once_and_in_order(part)
