"""PgBouncer between the tests and their server, if it is installed."""

import contextlib
import os
import shutil
import signal
import socket
import subprocess
from collections.abc import Generator
from pathlib import Path
from tempfile import TemporaryDirectory

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from jobhooks.embedded import server_account
from support.daemon import LIMIT, wait_until

PGBOUNCER = shutil.which("pgbouncer", path=os.environ.get("PATH", "") + ":/usr/sbin")


class Pooler:
    """PgBouncer in front of a server, which a test may stop and start again; it keeps its port."""

    def __init__(
        self,
        target: str,
        pool_mode: str,
        *,
        user: str | None = None,
        pool_size: int = 20,
        extra: str = "",
    ) -> None:
        if PGBOUNCER is None:
            assert "pgbouncer" not in os.environ.get("JOBHOOKS_TEST_REQUIRE", "")
            pytest.skip("there is no pgbouncer here")
        self._program = PGBOUNCER
        with psycopg.connect(target) as conn:
            host, port, dbname, login = conn.info.host, conn.info.port, conn.info.dbname, user or conn.info.user
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            own_port = probe.getsockname()[1]
        password = conninfo_to_dict(target).get("password")
        secret = f" password={password}" if password else ""
        # Not the test's own folder: another run of pytest closes the folder above it to other accounts.
        self._folder = TemporaryDirectory(prefix="jobhooks-pgbouncer-")
        directory = Path(self._folder.name)
        directory.chmod(0o755)
        self._config = directory / "pgbouncer.ini"
        self._log = directory / "pgbouncer.log"
        self._config.write_text(
            f"[pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = {own_port}\nunix_socket_dir =\nauth_type = any\n"
            f"pool_mode = {pool_mode}\ndefault_pool_size = {pool_size}\n{extra}\n"
            f"[databases]\n{dbname} = host={host} port={port} user={login}{secret}\n"
        )
        self.url = make_conninfo(host="127.0.0.1", port=own_port, dbname=dbname, user=login)
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it and wait until connections go through."""
        account = server_account()  # it also refuses to run as root
        with self._log.open("ab") as log:  # a pipe that nothing reads would stop it
            process = self._process = subprocess.Popen(
                [self._program, str(self._config)],
                stderr=log,
                user=account.uid,
                group=account.gid,
                extra_groups=account.extra_groups,
            )
        wait_until("pgbouncer answers", lambda: self._answers(process))

    def stop(self, how: signal.Signals = signal.SIGTERM) -> None:
        """Stop it, with its connections."""
        assert self._process is not None
        self._process.send_signal(how)
        self._process.wait(LIMIT)

    def close(self) -> None:
        """Stop it, if it runs, and remove its files."""
        if self._process is not None and self._process.poll() is None:
            self.stop()
        self._folder.cleanup()

    def _answers(self, process: "subprocess.Popen[bytes]") -> bool:
        """Whether connections go through; fail with its words if it ended."""
        if process.poll() is not None:
            raise AssertionError(self._log.read_text())
        with contextlib.suppress(psycopg.OperationalError), psycopg.connect(self.url, connect_timeout=2):
            return True
        return False


@contextlib.contextmanager
def pgbouncer(
    target: str, pool_mode: str, *, user: str | None = None, pool_size: int = 20, extra: str = ""
) -> Generator[str]:
    """Run PgBouncer, by default with its own defaults, and yield the URL of the database ``target`` through it."""
    with contextlib.closing(Pooler(target, pool_mode, user=user, pool_size=pool_size, extra=extra)) as pooler:
        pooler.start()
        yield pooler.url
