"""Servers whose data stay, with PostgreSQL's own programs: to upgrade, to dump and to restore them."""

import contextlib
import os
import subprocess
from collections.abc import Generator
from dataclasses import dataclass
from pathlib import Path

import psycopg

from conftest import Connection
from jobhooks import embedded
from jobhooks.embedded import Account, server_account, system_binaries, usable_binaries, wheel_binaries


@dataclass(frozen=True)
class Cluster:
    """A server whose data stay: its programs, its directory and the account that it runs as."""

    binaries: Path
    directory: Path
    account: Account

    def program(self, name: str, *arguments: str) -> str:
        """Run one of its programs."""
        return embedded.run([str(self.binaries / name), *arguments], self.account)

    @property
    def data(self) -> Path:
        return self.directory / "data"

    @property
    def url(self) -> str:
        return f"postgresql://postgres@/shop?host={self.directory}"

    @property
    def major(self) -> int:
        return int(self.program("postgres", "--version").split()[2].partition(".")[0])

    def restore(self, old_url: str, new_url: str, dump: Path) -> None:
        """Dump a database, its roles included, and restore it into an empty one."""
        roles = self.program("pg_dumpall", "-d", old_url, "--roles-only")
        with psycopg.connect(new_url, autocommit=True) as admin:
            for line in roles.splitlines():
                if "jobhooks" in line:
                    admin.execute(line.encode())
        self.program("pg_dump", "-Fc", "-Z0", "-f", str(dump), old_url)
        self.program("pg_restore", "-d", new_url, str(dump))

    def initialise(self) -> None:
        checksums = ["--no-data-checksums"] if self.major >= 18 else []
        arguments = ["-D", str(self.data), "-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C", "--no-sync"]
        self.program("initdb", *arguments, *checksums)

    @contextlib.contextmanager
    def running(self) -> Generator[None]:
        options = f"-c listen_addresses= -c unix_socket_directories={self.directory} -c fsync=off"
        log = str(self.directory / "log")
        self.program("pg_ctl", "-D", str(self.data), "-w", "-l", log, "-o", options, "start")
        try:
            yield
        finally:
            self.program("pg_ctl", "-D", str(self.data), "-w", "-m", "fast", "stop")


def new_cluster(directory: Path, name: str, binaries: Path) -> Cluster:
    own = directory / name
    account = server_account()
    own.mkdir(mode=0o700)
    if account.uid is not None and account.gid is not None:
        os.chown(own, account.uid, account.gid)
    return Cluster(usable_binaries(binaries, own, account), own, account)


def versions() -> tuple[Path, Path]:
    """The programs of two servers, the older first: of two majors, if this machine has them."""
    found = [each for each in (system_binaries(), wheel_binaries()) if each is not None]
    assert found
    found.sort(key=lambda each: int(embedded.server_version(each, server_account()).partition(".")[0]))
    return found[0], found[-1]


def upgrade(old: Cluster, new: Cluster) -> None:
    """Run pg_upgrade."""
    sides = {"-b": old.binaries, "-B": new.binaries, "-d": old.data, "-D": new.data, "-s": new.directory}
    subprocess.run(
        [str(new.binaries / "pg_upgrade"), "-U", "postgres", *(str(part) for side in sides.items() for part in side)],
        check=True,
        cwd=new.directory,  # it writes a script there
        env=embedded.clean_environment(),
        user=new.account.uid,
        group=new.account.gid,
        extra_groups=new.account.extra_groups,
    )


def compress_as_all_servers_can(conn: Connection) -> None:
    """Compress the log with pglz: the embedded server has no lz4, and a dump names the method."""
    for segment in ("object_change", "object_change_1"):
        for column in ("prechange", "postchange"):
            conn.execute(f"alter table jobhooks.{segment} alter {column} set compression pglz".encode())
