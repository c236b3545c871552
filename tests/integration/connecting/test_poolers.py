"""jobhooks behind PgBouncer at its defaults: session mode works, the other modes are refused."""

from pathlib import Path

import psycopg
import pytest

from conftest import Connection
from support.daemon import Daemon, jobhooks, wait_until
from support.delivering import RECEIVERS, seen_by, settled, write
from support.hooking import add_hook, write_receivers
from support.postgres.poolers import pgbouncer

FORMATS = "alter database {} set datestyle = 'German'; alter database {} set bytea_output = 'escape'"


def test_all_works_in_session_mode(seen: Connection, database: str, tmp_path: Path, log: Path) -> None:
    """PgBouncer refuses most startup parameters, so settings are made after connecting, for workers as well."""
    name = seen.info.dbname
    seen.execute(FORMATS.format(name, name).encode())
    receivers = write_receivers(tmp_path / "receivers", RECEIVERS)
    with pgbouncer(database, "session") as url:
        for receiver in ("Sees", "SeesNow"):
            add_hook(url, receivers, f"r.{receiver}", ["create"])
        with Daemon(url, receivers, log).await_started() as daemon:
            one = write(seen, "d", 1)
            wait_until("both have run", settled(seen, 2))
            assert daemon.terminate() == 0
        assert seen_by(seen, "Sees") == seen_by(seen, "SeesNow") == [(one, "1")]
        for command in (["status"], ["doctor"], ["hook", "list"], ["change", "list"], ["result", "list", "--json"]):
            finished = jobhooks(*command, "--database-url", url)
            assert finished.returncode in (0, 1) and "Traceback" not in finished.stderr, finished


@pytest.mark.parametrize("pool_mode", ["transaction", "statement"])
def test_a_pooler_that_does_not_keep_sessions_is_refused(device: Connection, database: str, pool_mode: str) -> None:
    """By the daemon and by commands, with one line, and before a setting has reached a session of the pool."""
    device.execute(f"alter database {device.info.dbname} set datestyle = 'German'".encode())
    with pgbouncer(database, pool_mode) as url:
        for command in ("run", "status", "doctor"):
            finished = jobhooks(command, "--database-url", url)
            assert finished.returncode == 6, finished
            (line,) = finished.stderr.splitlines()
            assert "pooler in transaction or statement mode" in line and "pool_mode = session" in line
        with psycopg.connect(url, autocommit=True, prepare_threshold=None) as client:
            assert client.execute("show datestyle").fetchone() == ("German, DMY",)


def test_other_clients_of_the_pool_do_not_hide_its_mode(device: Connection, database: str) -> None:
    """The pool has idle connections to give, and other clients take some."""
    with pgbouncer(database, "transaction", extra="server_round_robin = 1") as url:
        clients = [psycopg.connect(url) for _ in range(4)]
        for client in clients:
            client.execute("select 1")
        for client in clients:
            client.rollback()
        assert jobhooks("status", "--database-url", url).returncode == 6
        for client in clients:
            client.close()


def test_an_exhausted_pool_in_session_mode_is_no_other_mode(device: Connection, database: str) -> None:
    """The second client that would tell the mode waits for a session; the command goes on with the first."""
    with pgbouncer(database, "session", pool_size=1) as url:
        assert jobhooks("hook", "list", "--database-url", url).returncode == 0


def test_a_parameter_that_the_pooler_refuses_is_named(device: Connection, database: str) -> None:
    """The daemon would wait forever for a pooler that does not change its mind."""
    with pgbouncer(database, "session") as url:
        finished = jobhooks("run", "--database-url", f"{url} options='-c work_mem=8MB'")
        assert finished.returncode == 6 and "options" in finished.stderr, finished
