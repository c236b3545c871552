"""Starting as a service: what it waits for is visible, and it holds up neither systemctl nor the boot."""

import re
import socket
from collections.abc import Generator
from pathlib import Path

import pytest

from conftest import Connection
from jobhooks import app
from jobhooks.errors import LoginRefused
from jobhooks.runtime import systemd
from jobhooks.runtime.settings import load
from jobhooks.schema.install import install
from jobhooks.store.connections import connect
from support.daemon import Daemon, wait_until
from support.generated import ROOT
from support.postgres.faults import own_server
from support.postgres.servers import Server


@pytest.fixture
def manager(tmp_path: Path) -> Generator[socket.socket]:
    """The socket of a service manager."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as bound:
        bound.bind(str(tmp_path / "notify"))
        bound.settimeout(20)
        yield bound


def test_a_missing_database_is_in_the_status_of_the_service(
    server: Server, tmp_path: Path, log: Path, manager: socket.socket
) -> None:
    with Daemon(server.url("nowhere"), tmp_path, log, NOTIFY_SOCKET=str(tmp_path / "notify")) as daemon:
        heard = [manager.recv(1000).decode() for _ in range(2)]
        assert any(re.match("STATUS=cannot connect to the database: .*nowhere", line) for line in heard), heard
        server.execute("create database {}", "nowhere")
        try:
            # A database without jobhooks is an error that a person must mend.
            assert daemon.process.wait(40) == 4
        finally:
            server.execute("drop database {} with (force)", "nowhere")


def test_a_start_that_takes_too_long_fails(
    server: Server, tmp_path: Path, manager: socket.socket, monkeypatch: pytest.MonkeyPatch
) -> None:
    """systemctl start then says so, and the boot goes on; systemd starts the service again."""
    monkeypatch.setattr(systemd, "START_LIMIT_S", 0.5)
    monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
    with pytest.raises(LoginRefused, match="nowhere") as failed:
        app.run_daemon(load(database_url=server.url("nowhere"), receivers_path=(tmp_path,)), None)
    assert failed.value.exit_code == 3


def test_without_a_service_manager_the_daemon_waits_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NOTIFY_SOCKET", raising=False)
    assert systemd.Service().time_to_start() == float("inf")


def test_the_unit_waits_longer_than_the_daemon_but_not_forever() -> None:
    unit = (ROOT / "daemon" / "jobhooks.service").read_text()
    (limit,) = re.findall(r"^TimeoutStartSec=(\d+)$", unit, re.MULTILINE)
    (restart,) = re.findall(r"^RestartPreventExitStatus=(.*)$", unit, re.MULTILINE)
    assert systemd.START_LIMIT_S < int(limit) <= 90 and "3" not in restart.split()


def test_a_replica_holds_up_no_start(tmp_path: Path, log: Path, manager: socket.socket) -> None:
    """It is promoted when that is due."""
    with own_server() as primary:
        primary.start()
        with own_server(copy_of=primary) as standby:
            standby.start()
            with connect(primary.url()) as conn:
                install(conn)
                (position,) = conn.execute("select pg_current_wal_lsn()").fetchone() or ("",)
            with connect(standby.url()) as conn:
                caught_up = "select pg_last_wal_replay_lsn() >= %s::pg_lsn"
                wait_until("it has the schema", lambda: conn.execute(caught_up, [position]).fetchone() == (True,))
            with Daemon(standby.url(), tmp_path, log, NOTIFY_SOCKET=str(tmp_path / "notify")):
                assert manager.recv(1000) == b"READY=1"
                assert b"replica" in manager.recv(1000)


def test_a_lost_database_is_in_the_status_until_it_is_back(
    device: Connection, database: str, tmp_path: Path, log: Path, manager: socket.socket
) -> None:
    with Daemon(database, tmp_path, log, NOTIFY_SOCKET=str(tmp_path / "notify")).await_started() as daemon:
        assert manager.recv(1000) == b"READY=1"
        device.execute(
            "select pg_terminate_backend(pid) from pg_stat_activity where application_name = 'jobhooks'"
            " and datname = current_database()"
        )
        assert manager.recv(1000).startswith(b"STATUS=")
        heard: list[bytes] = []
        wait_until("it is back", lambda: heard.append(manager.recv(1000)) or heard[-1] == b"STATUS=ready")
        assert b"READY=1" in heard
        assert daemon.terminate() == 0
