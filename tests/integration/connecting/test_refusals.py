"""The database refuses a statement of the daemon: the daemon lives, says so, and goes on when it can."""

from pathlib import Path

import pytest

from conftest import Connection
from support.daemon import Daemon, wait_until
from support.delivering import RECEIVERS, backlog, seen_by, settled, write
from support.hooking import add_hook, write_receivers

# What one hook has to write is refused: a check that only its failures violate.
REFUSE_FAILURES = "alter table jobhooks.delivery add constraint refused check (hook_id <> 1) not valid"
ACCEPT_FAILURES = "alter table jobhooks.delivery drop constraint refused"


@pytest.fixture
def receivers(tmp_path: Path) -> Path:
    return write_receivers(tmp_path / "receivers", RECEIVERS)


@pytest.fixture
def log(tmp_path: Path) -> Path:
    return tmp_path / "daemon.log"


def test_a_hook_whose_rows_are_refused_stands_still_and_delays_no_other(
    seen: Connection, database: str, receivers: Path, log: Path
) -> None:
    """Its failure is written, and everything behind it delivered, once the database accepts them."""
    add_hook(database, receivers, "r.Fails", ["create", "update"])
    add_hook(database, receivers, "r.Sees", ["create", "update"])
    with Daemon(database, receivers, log).await_started() as daemon:
        seen.execute(REFUSE_FAILURES)
        bad = write(seen, "bad", 1)
        daemon.await_event("hook_halted")
        seen.execute("update public.device set serial = '2' where id = %s", [bad])
        other = write(seen, "good", 3)
        wait_until("the other hook goes on", lambda: (other, "3") in seen_by(seen, "Sees"))
        assert seen_by(seen, "Fails") == []
        seen.execute(ACCEPT_FAILURES)
        daemon.await_event("hook_resumed")
        seen.execute("insert into public.mended values (%s)", [bad])
        wait_until("all is settled", settled(seen, 6))
        wait_until("no row is left", lambda: not backlog(seen))
        assert daemon.terminate() == 0
    assert sorted(seen_by(seen, "Fails")) == [(bad, "1"), (bad, "2"), (other, "3")]


def test_an_error_of_any_other_statement_ends_a_session_and_not_the_daemon(
    seen: Connection, database: str, receivers: Path, log: Path
) -> None:
    """It begins again, until the database is right."""
    add_hook(database, receivers, "r.Sees", ["create"])
    with Daemon(database, receivers, log).await_started() as daemon:
        first = write(seen, "a", 1)
        wait_until("it is delivered", settled(seen, 1))
        seen.execute("alter function jobhooks.configuration_version() rename to configuration_version_away")
        second = write(seen, "b", 2)
        (failed, *_) = daemon.await_event("session_failed")
        assert "configuration_version" in str(failed["error"])
        seen.execute("alter function jobhooks.configuration_version_away() rename to configuration_version")
        wait_until("it is delivered", settled(seen, 2))
        assert daemon.terminate() == 0
    assert seen_by(seen, "Sees") == [(first, "1"), (second, "2")]


CANCELS_LATER = """
import asyncio
from jobhooks import JobHookReceiver

class C(JobHookReceiver):
    async def receive_job_hook(self, change):
        await self.connection.execute(
            "insert into public.seen (receiver, object, value) values ('C', $1, '1')", change.changed_object_id
        )
        if change.postchange["name"] == "cancels" and self.attempt == 1 and not hasattr(asyncio, "cancelled_once"):
            asyncio.cancelled_once = True
            task = asyncio.current_task()
            asyncio.get_running_loop().call_later(0.1, task.cancel)
            await asyncio.sleep(60)
"""


def test_a_receiver_that_has_its_hooks_task_cancelled_later_stops_no_hook(
    seen: Connection, database: str, tmp_path: Path, log: Path
) -> None:
    """It looks like the end of the session. All deliveries are read again."""
    receivers = write_receivers(tmp_path / "receivers", CANCELS_LATER)
    add_hook(database, receivers, "r.C", ["create"])
    with Daemon(database, receivers, log).await_started() as daemon:
        first = write(seen, "cancels", 1)
        second = write(seen, "b", 1)
        wait_until("all is settled", settled(seen, 2))
        assert daemon.terminate() == 0
    assert sorted(seen_by(seen, "C")) == [(first, "1"), (second, "1")]
