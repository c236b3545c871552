"""PgBouncer between the tests and their server, if it is installed."""

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

from jobhooks.embedded import server_account
from support.daemon import wait_until

PGBOUNCER = shutil.which("pgbouncer", path=os.environ.get("PATH", "") + ":/usr/sbin")


@contextlib.contextmanager
def pgbouncer(
    target: str, directory: Path, pool_mode: str, *, user: str | None = None, pool_size: int = 20, extra: str = ""
) -> Generator[str]:
    """Run PgBouncer, by default with its own defaults, and yield the URL of the database ``target`` through it."""
    if PGBOUNCER is None:
        assert "pgbouncer" not in os.environ.get("JOBHOOKS_TEST_REQUIRE", "")
        pytest.skip("there is no pgbouncer here")
    with psycopg.connect(target) as conn:
        host, port, dbname, login = conn.info.host, conn.info.port, conn.info.dbname, user or conn.info.user
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        own_port = probe.getsockname()[1]
    password = conninfo_to_dict(target).get("password")
    secret = f" password={password}" if password else ""
    config = directory / "pgbouncer.ini"
    config.write_text(
        f"[pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = {own_port}\nunix_socket_dir =\nauth_type = any\n"
        f"pool_mode = {pool_mode}\ndefault_pool_size = {pool_size}\n{extra}\n"
        f"[databases]\n{dbname} = host={host} port={port} user={login}{secret}\n"
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
        url = make_conninfo(host="127.0.0.1", port=own_port, dbname=dbname, user=login)
        try:
            wait_until("pgbouncer answers", lambda: _answers(url, bouncer))
            yield url
        finally:
            bouncer.terminate()


def _answers(url: str, bouncer: "subprocess.Popen[bytes]") -> bool:
    """Whether connections go through; fail with its words if it ended."""
    if bouncer.poll() is not None:
        assert bouncer.stderr is not None
        raise AssertionError(bouncer.stderr.read().decode())
    with contextlib.suppress(psycopg.OperationalError), psycopg.connect(url, connect_timeout=2):
        return True
    return False
