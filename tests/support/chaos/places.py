"""Where a database is while a test moves it: on a disk that can be full, behind a pooler, on a standby, upgraded."""

import contextlib
import os
import random
import shutil
import signal
import subprocess
import tempfile
from pathlib import Path
from types import TracebackType

import psycopg
from psycopg.rows import TupleRow

from jobhooks.embedded import EmbeddedServerError, server_account
from support.daemon import jobhooks_within, wait_until
from support.postgres.clusters import compress_as_all_servers_can, upgrade, versions
from support.postgres.faults import OwnServer
from support.postgres.poolers import PGBOUNCER, Pooler

SETTINGS = {
    "max_connections": "200",
    "shared_buffers": "256MB",
    "max_wal_size": "512MB",
    "wal_keep_size": "256MB",  # for a new standby: the changes during its copy
}
SIZE_MB = 8192
ENVIRONMENT = {"JOBHOOKS_ENVIRONMENT": "chaos"}  # the address changes: PgBouncer, a standby


class Disk:
    """A file system in memory whose size a test can change. Only root may make one."""

    def __init__(self) -> None:
        self.directory = Path(tempfile.mkdtemp(prefix="jobhooks-", dir="/tmp"))
        self.can_be_full = os.getuid() == 0 and self._mount(f"size={SIZE_MB}m")
        account = server_account()
        if account.uid is not None and account.gid is not None:
            os.chown(self.directory, account.uid, account.gid)

    def fill(self) -> None:
        """Leave a megabyte free."""
        for _ in range(100):  # writers may take it between the two steps
            used = shutil.disk_usage(self.directory).used
            if self._mount(f"remount,size={used + (1 << 20)}"):
                return
        raise AssertionError("the file system in memory does not shrink")

    def free(self) -> None:
        """Give it its size again."""
        assert self._mount(f"remount,size={SIZE_MB}m")

    def close(self) -> None:
        """Remove it."""
        if self.can_be_full:
            subprocess.run(["umount", "--lazy", self.directory], check=True)
        shutil.rmtree(self.directory, ignore_errors=True)

    def _mount(self, options: str) -> bool:
        command = ["mount", "-t", "tmpfs", "-o", options, "jobhooks-test", str(self.directory)]
        with contextlib.suppress(FileNotFoundError):
            return subprocess.run(command, check=False, capture_output=True).returncode == 0
        return False


class Place:
    """A database and the server that has it. ``url`` is for writers, ``daemon_url`` for daemons."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self.disk = Disk()
        self.old, self.new = versions()
        self.server = self._new_server(self.old)
        self.server.start()
        self.pooler: Pooler | None = None
        self._standby: OwnServer | None = None
        self.daemon_url = self.url

    @property
    def url(self) -> str:
        return self.server.url()

    def connect(self) -> "psycopg.Connection[TupleRow]":
        """Open a session of an administrator."""
        return psycopg.connect(self.url, autocommit=True)

    def __enter__(self) -> "Place":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self.pooler is not None:
            self.pooler.close()
        for server in (self.server, self._standby):
            if server is not None:
                server.close()
        self.disk.close()

    # Faults.

    def restart(self, how: signal.Signals) -> None:
        """Stop the server and start it again."""
        self.server.stop(how)
        self.server.start()

    def await_up(self) -> None:
        """Wait until the server takes connections, and start it if it has ended."""

        def answers() -> bool:
            if not self.server.is_running:
                with contextlib.suppress(EmbeddedServerError):
                    self.server.start()
            with contextlib.suppress(psycopg.OperationalError), self.connect():
                return True
            return False

        wait_until("the server answers", answers, 120)

    # Moves.

    def open_pooler(self) -> bool:
        """Let daemons connect through PgBouncer, if this machine has it."""
        if PGBOUNCER is None:
            return False
        self.pooler = Pooler(self.url, "session", pool_size=150, extra="max_client_conn = 500")
        self.pooler.start()
        self.daemon_url = self.pooler.url
        return True

    def restart_pooler(self, rng: random.Random) -> None:
        """Cut all connections through PgBouncer."""
        assert self.pooler is not None
        self.pooler.stop(rng.choice([signal.SIGTERM, signal.SIGKILL]))
        self.pooler.start()

    def leave_pooler(self) -> None:
        """Let daemons connect to the server; call it before ``close_pooler``."""
        self.daemon_url = self.url

    def close_pooler(self) -> None:
        """Stop PgBouncer."""
        if self.pooler is not None:
            self.pooler.close()
            self.pooler = None

    def add_standby(self) -> None:
        """Make a physical standby that has each commit before the writer hears of it; daemons know both hosts."""
        standby = self._standby = OwnServer(self.server.cluster.binaries, SETTINGS, self.server, self.disk.directory)
        standby.start()
        streams = "select from pg_stat_replication where sync_state = 'sync' and state = 'streaming'"
        with self.connect() as conn:
            conn.execute("alter system set synchronous_standby_names = '*'")
            conn.execute("select pg_reload_conf()")
            wait_until("the standby streams", lambda: conn.execute(streams).fetchall(), 120)
        ports = f"{self.server.port},{standby.port}"
        self.daemon_url = f"host=127.0.0.1,127.0.0.1 port={ports} user=postgres dbname=postgres"

    def promote_standby(self) -> None:
        """Lose the server as in a crash, and promote the standby."""
        assert self._standby is not None
        former = self.server
        former.stop(signal.SIGQUIT)
        with psycopg.connect(self._standby.url(), autocommit=True) as conn:
            conn.execute("select pg_promote()")
        self.server, self._standby = self._standby, None
        former.close()

    def upgrade(self) -> None:
        """Run pg_upgrade. Daemons are stopped; writers find no server until it has ended."""
        with self.connect() as conn:
            compress_as_all_servers_can(conn)
            has_checksums = conn.execute("show data_checksums").fetchone() == ("on",)
        former = self.server
        former.stop(signal.SIGINT)
        new = self._new_server(self.new)
        if new.cluster.major >= 18 and not has_checksums:  # which are its default
            new.cluster.program("pg_checksums", "--disable", "-D", str(new.cluster.data))
        upgrade(former.cluster, new.cluster)
        new.start()
        self._move_to(new)

    def restore(self) -> None:
        """Dump the database and restore it into a new server. Daemons and writers are stopped."""
        new = self._new_server(self.new)
        new.start()
        new.cluster.restore(self.url, new.url(), new.directory / "dump")
        self._move_to(new)

    def _new_server(self, binaries: Path) -> OwnServer:
        return OwnServer(binaries, SETTINGS, None, self.disk.directory, is_alone=False)

    def _move_to(self, server: OwnServer) -> None:
        former, self.server = self.server, server
        self.daemon_url = self.url
        former.close()

    def adopt(self) -> str:
        """Say that the database was moved; a daemon refuses it before."""
        refused = jobhooks_within(600, "run", "--database-url", self.url, **ENVIRONMENT)
        assert refused.returncode == 4 and "jobhooks adopt --moved" in refused.stderr, refused
        adopted = wait_until("adopt gets its locks", self._adopted, 600)
        assert adopted is not None
        return adopted.stderr.strip().splitlines()[-1]

    def _adopted(self) -> "subprocess.CompletedProcess[str] | None":
        """Adopt it. It waits only briefly for the transactions of writers."""
        command = ["adopt", "--moved", "--yes", "--database-url", self.url]
        adopted = jobhooks_within(600, *command, **ENVIRONMENT)
        assert adopted.returncode == 0 or "lock" in adopted.stderr, adopted
        return adopted if adopted.returncode == 0 else None
