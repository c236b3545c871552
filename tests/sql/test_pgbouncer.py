"""The mark and the capture behind PgBouncer in transaction mode, where each transaction may get another connection."""

import contextlib
import os
import shutil
import socket
import subprocess
from collections.abc import Generator
from pathlib import Path

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from conftest import Connection
from jobhooks.embedded import server_account
from support.daemon import wait_until

PGBOUNCER = shutil.which("pgbouncer", path=os.environ.get("PATH", "") + ":/usr/sbin")


@pytest.fixture
def pooled(device: Connection, role: str, tmp_path_factory: pytest.TempPathFactory) -> Generator[str]:
    """The URL of a pool of one connection, which all its clients use in turns."""
    if PGBOUNCER is None:
        assert "pgbouncer" not in os.environ.get("JOBHOOKS_TEST_REQUIRE", "")
        pytest.skip("there is no pgbouncer here")
    device.execute(f"grant usage on schema public to {role}; grant all on public.device to {role}".encode())
    target = conninfo_to_dict(device.info.dsn)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    directory = tmp_path_factory.mktemp("pgbouncer")
    config = directory / "pgbouncer.ini"
    config.write_text(
        f"[pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = {port}\nunix_socket_dir =\nauth_type = any\n"
        f"pool_mode = transaction\ndefault_pool_size = 1\n"
        f"[databases]\n{device.info.dbname} = host={target['host']} port={device.info.port} user={role}\n"
    )
    account = server_account()  # it also refuses to run as root
    for path in (directory, *directory.parents):
        if path == Path("/tmp") or not path.is_relative_to("/tmp"):
            break
        path.chmod(0o755)
    with subprocess.Popen(
        [PGBOUNCER, str(config)],
        stderr=subprocess.PIPE,
        user=account.uid,
        group=account.gid,
        extra_groups=account.extra_groups,
    ) as bouncer:
        url = make_conninfo(host="127.0.0.1", port=port, dbname=device.info.dbname, user=role)
        try:
            wait_until("pgbouncer answers", lambda: answers(url, bouncer))
            yield url
        finally:
            bouncer.terminate()


def answers(url: str, bouncer: "subprocess.Popen[bytes]") -> bool:
    """Return whether connections go through; fail with its words if it ended."""
    if bouncer.poll() is not None:
        assert bouncer.stderr is not None
        raise AssertionError(bouncer.stderr.read().decode())
    with contextlib.suppress(psycopg.OperationalError), psycopg.connect(url, connect_timeout=2):
        return True
    return False


def client(url: str) -> Connection:
    return psycopg.connect(url, autocommit=True, prepare_threshold=None)


def test_a_mark_does_not_reach_whoever_gets_the_connection_next(device: Connection, role: str, pooled: str) -> None:
    device.execute(f"grant jobhooks_receiver to {role}".encode())
    with client(pooled) as receiver, client(pooled) as other:
        with receiver.transaction():
            receiver.execute("set local jobhooks.delivery = '1:2:3'")
            receiver.execute("set local jobhooks.user_name = 'alice'")
            receiver.execute("update public.device set name = 'marked'")
            first = receiver.execute("select pg_backend_pid()").fetchone()
        assert other.execute("select pg_backend_pid()").fetchone() == first
        other.execute("update public.device set name = 'someone else'")
        with contextlib.suppress(psycopg.errors.DivisionByZero), receiver.transaction():
            receiver.execute("set local jobhooks.delivery = '1:2:3'")
            receiver.execute("update public.device set name = 'rolled back'")
            receiver.execute("select 1 / 0")
        other.execute("update public.device set name = 'someone else again'")
    recorded = device.execute(
        "select triggering, postchange ->> 'name', context ->> 'user_name' from jobhooks.object_change order by id"
    ).fetchall()
    assert recorded == [(False, "marked", "alice"), (True, "someone else", None), (True, "someone else again", None)]


def test_a_mark_of_an_application_is_refused_there_too(device: Connection, pooled: str) -> None:
    with client(pooled) as application, application.transaction():
        application.execute("set local jobhooks.delivery = '1:2:3'")
        application.execute("update public.device set name = 'forged'")
    assert device.execute("select triggering, context from jobhooks.object_change").fetchall() == [
        (True, {"refused_mark": "1:2:3"})
    ]


def test_what_is_set_for_a_session_reaches_whoever_gets_the_connection_next(
    device: Connection, role: str, pooled: str
) -> None:
    """A limit of such a pool; the docs say to use settings that are local to the transaction."""
    device.execute(f"grant jobhooks_receiver to {role}".encode())
    with client(pooled) as receiver, client(pooled) as other:
        receiver.execute("set jobhooks.delivery = '1:2:3'")
        receiver.execute("set jobhooks.user_name = 'alice'")
        other.execute("update public.device set name = 'someone else'")
    recorded = device.execute("select triggering, context ->> 'user_name' from jobhooks.object_change").fetchall()
    assert recorded == [(False, "alice")]
