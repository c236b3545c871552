"""Limits that a role or a database has for the sessions of applications do not end the daemon's."""

import time
from pathlib import Path

import psycopg
import pytest

from conftest import Connection
from support.daemon import Daemon, wait_until
from support.delivering import settled, write
from support.hooking import add_hook

HOLD_S = 1.5
TROUBLE = {"session_failed", "database_lost", "settling_failed", "hook_halted", "log_not_maintained"}


@pytest.mark.parametrize("limit", ["statement_timeout", "lock_timeout", "idle_session_timeout"])
def test_a_short_limit_of_the_database_does_not_end_a_session(
    seen: Connection, database: str, receivers: Path, log: Path, limit: str
) -> None:
    """The daemon waits for a lock, and is idle, for longer than that."""
    add_hook(database, receivers, "r.Fails")
    seen.execute(f"alter database {seen.info.dbname} set {limit} = '300ms'".encode())
    with Daemon(database, receivers, log).await_started() as daemon:
        with psycopg.connect(database, options=f"-c {limit}=0") as other:
            other.execute("select from jobhooks.cursor for update")
            write(seen, "good", 1)
            time.sleep(HOLD_S)
        write(seen, "good", 1)
        wait_until("all is settled", settled(seen, 2))
        assert daemon.terminate() == 0
        assert not [event for event in daemon.events() if event["event"] in TROUBLE]
