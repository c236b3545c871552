"""Breaking things on purpose: servers that stop and start, and a network that swallows packets."""

import atexit
import contextlib
import functools
import os
import random
import shlex
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
from collections.abc import Generator
from pathlib import Path

import psycopg
import pytest

from jobhooks import embedded
from jobhooks.embedded import server_account
from support.daemon import Daemon, descendants
from support.postgres.clusters import Cluster
from support.postgres.servers import chosen_binaries


def free_port() -> int:
    """Find a free port of the loopback interface."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class OwnServer:
    """A server of the test's own, which it may stop, kill and start again; reached on ``port`` of the loopback."""

    def __init__(
        self,
        binaries: Path,
        settings: dict[str, str],
        copy_of: "OwnServer | None",
        parent_of_data: Path | None = None,
        *,
        is_alone: bool = True,
    ) -> None:
        """Make its data. ``is_alone``: a copy of a new cluster will do, although it has the identity of the others."""
        self._account = server_account()
        self.directory = Path(tempfile.mkdtemp(prefix="jobhooks-", dir="/tmp"))
        if self._account.uid is not None and self._account.gid is not None:
            os.chown(self.directory, self._account.uid, self._account.gid)
        self._binaries = embedded.usable_binaries(binaries, self.directory, self._account)
        self._data = _make_data_directory(parent_of_data)
        (self.directory / "data").symlink_to(self._data)
        self.port = free_port()
        self._settings = {
            "listen_addresses": "127.0.0.1",
            "port": str(self.port),
            "fsync": "off",
            "synchronous_commit": "on",  # an immediate stop would lose commits of the last half second
            "max_wal_senders": "3",
            "wal_level": "replica",
            **settings,
        }
        if copy_of is None and not is_alone:
            embedded.initialise(self._binaries, self.directory, self._account)
        elif copy_of is None:
            subprocess.run(["cp", "-a", f"{_fresh_cluster(self._binaries)}/data/.", self._data], check=True)
        else:
            if not (self._binaries / "pg_basebackup").exists():
                pytest.skip("there is no pg_basebackup beside this server")
            command = [str(self._binaries / "pg_basebackup"), "-D", str(self.directory / "data"), "-R", "-c", "fast"]
            embedded.run([*command, "-h", "127.0.0.1", "-p", str(copy_of.port), "-U", "postgres"], self._account)
        self._process: subprocess.Popen[bytes] | None = None
        self._proxies: list[Proxy] = []

    def proxy(self, *, swallows_ends: bool = False) -> "Proxy":
        """Open a port in front of it, which is closed with the server."""
        proxy = Proxy(self.port, swallows_ends=swallows_ends)
        self._proxies.append(proxy)
        return proxy

    def url(self, port: int | None = None, *, database: str = "postgres", user: str = "postgres") -> str:
        """Make a connection string, by default for the server's port, otherwise for a proxy's."""
        return f"postgresql://{user}@127.0.0.1:{port or self.port}/{database}"

    def set_environment(self, **variables: str) -> None:
        """Set environment variables of the server; for its next start."""
        settings = " ".join(f"{name}={shlex.quote(value)}" for name, value in variables.items())
        program = self.directory / "programs" / "postgres"
        program.parent.mkdir()
        program.write_text(f'#!/bin/sh\n{settings} exec {shlex.quote(str(self._binaries / "postgres"))} "$@"\n')
        program.chmod(0o755)
        self._binaries = program.parent

    def start(self) -> None:
        """Start it and wait until it takes connections."""
        (self.directory / "data" / "postmaster.pid").unlink(missing_ok=True)
        self._process = embedded.launch(self._binaries, self.directory, self._account, self._settings)
        embedded.await_ready(self._process, self.directory)

    @property
    def is_running(self) -> bool:
        """Whether its first process runs."""
        return self._process is not None and self._process.poll() is None

    @property
    def cluster(self) -> Cluster:
        """Its programs and its data."""
        return Cluster(self._binaries, self.directory, self._account)

    def stop(self, how: signal.Signals = signal.SIGINT) -> None:
        """Stop it: SIGINT is "fast", SIGQUIT "immediate", as in a crash."""
        assert self._process is not None
        self._process.send_signal(how)
        self._process.wait(60)

    def close(self) -> None:
        """Stop it, if it runs, and delete it."""
        if self.is_running:
            self.stop(signal.SIGQUIT)
        for proxy in self._proxies:
            proxy.close()
        shutil.rmtree(self.directory, ignore_errors=True)
        shutil.rmtree(self._data, ignore_errors=True)


def _make_data_directory(parent: Path | None = None) -> Path:
    """Make a directory for the server's account, by default in memory if there is room."""
    directory = Path(tempfile.mkdtemp(prefix="jobhooks-", dir=parent or embedded.room_in_memory() or "/tmp"))
    account = server_account()
    if account.uid is not None and account.gid is not None:
        os.chown(directory, account.uid, account.gid)
    return directory


@functools.cache
def _fresh_cluster(binaries: Path) -> Path:
    """A directory with a cluster that no server has used; initdb costs ten times as much as a copy."""
    directory = _make_data_directory()
    atexit.register(shutil.rmtree, directory, ignore_errors=True)
    embedded.initialise(binaries, directory, server_account())
    return directory


@contextlib.contextmanager
def own_server(copy_of: OwnServer | None = None, **settings: str) -> Generator[OwnServer]:
    """Make a server with the programs that the tests run on; it is not started."""
    server = OwnServer(chosen_binaries(), settings, copy_of)
    try:
        yield server
    finally:
        server.close()


class Proxy:
    """A port in front of a server. It can cut connections, or swallow data while both ends see an open connection.

    ``swallows_ends``: while swallowing, it hides the closing of a side from the other, like a firewall.
    """

    def __init__(self, target: int, *, swallows_ends: bool = False) -> None:
        self.target = target
        self._swallows_ends = swallows_ends
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listening.getsockname()[1]
        self._pairs: list[tuple[socket.socket, socket.socket, threading.Event]] = []
        self._threads = [threading.Thread(target=self._accept, daemon=True)]
        self._threads[0].start()

    def swallow(self) -> None:
        """From now on, nothing that is sent through today's connections arrives; new ones work."""
        for _, _, swallowing in self._pairs:
            swallowing.set()

    def cut(self) -> None:
        """Close today's connections."""
        for client, server, _ in self._pairs:
            _end(client, server)

    def close(self) -> None:
        """Close all of it."""
        _end(self._listening)
        self._threads[0].join()
        self.cut()
        for thread in self._threads:
            thread.join()
        for client, server, _ in self._pairs:
            client.close()
            server.close()
        self._listening.close()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listening.accept()
            except OSError:
                return
            try:
                server = socket.create_connection(("127.0.0.1", self.target))
            except OSError:
                client.close()
                continue
            swallowing = threading.Event()
            self._pairs.append((client, server, swallowing))
            for pair in ((client, server), (server, client)):
                thread = threading.Thread(target=self._forward, args=[*pair, swallowing], daemon=True)
                self._threads.append(thread)
                thread.start()

    def _forward(self, source: socket.socket, target: socket.socket, swallowing: threading.Event) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                if not swallowing.is_set():
                    target.sendall(data)
        if not (swallowing.is_set() and self._swallows_ends):
            _end(source, target)


def _end(*sockets: socket.socket) -> None:
    for end in sockets:
        with contextlib.suppress(OSError):
            end.shutdown(socket.SHUT_RDWR)


def end_sessions(server: OwnServer, rng: random.Random) -> None:
    """End about a third of the daemons' sessions."""
    with psycopg.connect(server.url(), autocommit=True) as conn:
        pids = conn.execute("select pid from pg_stat_activity where application_name like 'jobhooks%'").fetchall()
        ended = [pid for (pid,) in pids if rng.random() < 0.3]
        conn.execute("select pg_terminate_backend(pid) from unnest(%s::integer[]) as pid", [ended])


def kill_a_worker(daemon: Daemon, rng: random.Random) -> None:
    """Kill one of the processes below a daemon, if it has any: a worker, or the process that starts them."""
    if below := descendants(daemon.process.pid):
        with contextlib.suppress(ProcessLookupError):
            os.kill(rng.choice(below), signal.SIGKILL)
