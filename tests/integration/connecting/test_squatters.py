"""Every role can hold any advisory lock: that stops no daemon, no retention and no installation, and is named."""

import asyncio
import contextlib
from collections.abc import AsyncGenerator

import psycopg
import pytest
from structlog.testing import capture_logs

from conftest import Connection
from jobhooks.engine import leadership
from jobhooks.engine.leadership import LeaderSession
from jobhooks.operations.status import status
from jobhooks.runtime.settings import load
from jobhooks.schema.install import install
from jobhooks.store.connections import asyncpg_arguments, close_async, connect, connect_async
from jobhooks.store.session_settings import ENGINE
from support.engine.running import until

LOCKS = "select pg_advisory_lock(1785684584, key) from generate_series(1, 4) as key where key <> 2"
WRITE = "insert into public.device (name) values ('d')"
MAINTAIN = "select jobhooks.maintain_log('30 days', 1)"
LEADERS_LOCK = "select pg_advisory_lock(leader_lock) from jobhooks.cursor"
GRANTED = "select from pg_locks where pid = %s and granted and locktype = 'advisory' and mode = 'ExclusiveLock'"


@contextlib.asynccontextmanager
async def leader_session(database: str, timeout_s: float = 10.0) -> AsyncGenerator[LeaderSession]:
    """The leader session of a daemon."""
    with contextlib.closing(connect(database)) as found:
        arguments = asyncpg_arguments(found).having(ENGINE, command_timeout=60.0)
    conn = await connect_async(arguments)
    try:
        yield LeaderSession(conn, timeout_s)
    finally:
        await close_async(conn)


async def test_locks_of_a_role_without_rights_stop_nothing(device: Connection, database: str, role: str) -> None:
    """Those that an earlier version led, maintained the log and installed with."""
    device.execute(WRITE)
    with psycopg.connect(database, user=role, autocommit=True) as squatter:
        squatter.execute(LOCKS)
        async with leader_session(database) as daemon:
            assert await asyncio.wait_for(daemon.acquire(lambda: None), 5) == 1
        assert device.execute(MAINTAIN).fetchone() == ("began segment 2 of the log",)
        with contextlib.closing(connect(database)) as admin:
            assert install(admin) == []


def test_one_session_maintains_the_log_at_a_time(device: Connection) -> None:
    device.execute(WRITE)
    with psycopg.connect(device.info.dsn) as other:
        other.execute("select jobhooks.maintain_log('30 days')")
        assert device.execute(MAINTAIN).fetchone() == ("",)
    assert device.execute(MAINTAIN).fetchone() == ("began segment 2 of the log",)


async def test_the_leaders_own_lock_in_other_hands_does_not_keep_a_standby_from_leading(
    device: Connection, database: str, role: str
) -> None:
    """A squatter that waits for that lock gets it when the leader ends. It leads nothing."""
    stood_by = asyncio.Event()
    device.execute(f"grant usage on schema jobhooks to {role}; grant select on jobhooks.cursor to {role}".encode())
    async with leader_session(database) as standby:
        async with leader_session(database) as leader:
            assert await leader.acquire(lambda: None) == 1
            (leads,) = device.execute("select jobhooks.leader_session()").fetchone() or (None,)
            squatter = await psycopg.AsyncConnection.connect(database, user=role, autocommit=True)
            squatting = asyncio.create_task(squatter.execute(LEADERS_LOCK))
            await until("it waits", lambda: device.execute("select from pg_locks where not granted").fetchall())
            waiting = asyncio.create_task(standby.acquire(stood_by.set))
            await stood_by.wait()
            assert not waiting.done()
        await squatting
        assert device.execute(GRANTED, [squatter.info.backend_pid]).fetchall()
        assert await asyncio.wait_for(waiting, 10) == 2
        (now_leads,) = device.execute("select jobhooks.leader_session()").fetchone() or (None,)
        assert now_leads not in (leads, None, squatter.info.backend_pid)
        await squatter.close()


async def test_one_of_many_standbys_leads(device: Connection, database: str) -> None:
    async with contextlib.AsyncExitStack() as stack:
        sessions = [await stack.enter_async_context(leader_session(database)) for _ in range(8)]
        waiting = [asyncio.create_task(each.acquire(lambda: None)) for each in sessions]
        done, pending = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
        assert [each.result() for each in done] == [1]
        assert not (await asyncio.wait(pending, timeout=1.5))[0]
        for each in pending:
            each.cancel()
        await asyncio.wait(pending)


async def test_status_tells_a_standby_from_a_squatter(device: Connection, database: str, role: str) -> None:
    stood_by = asyncio.Event()
    device.execute(f"grant usage on schema jobhooks to {role}; grant select on jobhooks.cursor to {role}".encode())
    async with leader_session(database) as leader, leader_session(database) as standby:
        await leader.acquire(lambda: None)
        waiting = asyncio.create_task(standby.acquire(stood_by.set))
        squatter = await psycopg.AsyncConnection.connect(database, user=role, autocommit=True)
        squatting = asyncio.create_task(squatter.execute(LEADERS_LOCK.replace("lock(", "lock_shared(")))
        await until(
            "both wait",
            lambda: len(device.execute("select from pg_locks where not granted").fetchall()) == 2,
        )
        with contextlib.closing(connect(database)) as admin:
            found = status(admin, load(None, database_url=database))
        assert found.leader is not None and found.is_delivering
        assert squatter.info.backend_pid not in [each.pid for each in found.standbys] and len(found.standbys) < 2
        waiting.cancel()
        await asyncio.wait([waiting])
        await squatter.cancel_safe()
        with contextlib.suppress(psycopg.Error):
            await squatting
        await squatter.close()


@pytest.mark.parametrize("lock", ["pg_advisory_lock", "pg_advisory_lock_shared"])
async def test_a_wake_lock_in_strange_hands_is_named(
    device: Connection, database: str, role: str, monkeypatch: pytest.MonkeyPatch, lock: str
) -> None:
    """By the log and by the doctor. The daemon stays awake, and does not ask for the lock all the time."""
    monkeypatch.setattr(leadership, "SQUATTED_S", 0.01)
    with psycopg.connect(database, user=role, autocommit=True, application_name="hr") as squatter:
        squatter.execute(f"select {lock}(1785684584, 2)".encode())
        async with leader_session(database, 0.2) as daemon:
            await daemon.acquire(lambda: None)
            with capture_logs() as lines:
                assert not await daemon.fall_asleep()
                assert not await daemon.fall_asleep()
            (line,) = [line for line in lines if line["event"] == "wake_lock_squatted"]
            pid = squatter.info.backend_pid
            assert (line["pid"], line["role"], line["application_name"]) == (pid, role, "hr")
            ((severity, subject, problem, remedy),) = device.execute("select * from jobhooks.problems()").fetchall()
            assert (severity, subject, remedy) == ("warning", f"session {pid} (hr)", line["remedy"])
            assert role in problem
            squatter.execute("select pg_advisory_unlock_all()")
            assert await daemon.fall_asleep()
            assert device.execute("select * from jobhooks.problems()").fetchall() == []
