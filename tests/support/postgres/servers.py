"""The PostgreSQL that the tests run on, as JOBHOOKS_TEST_DATABASE_URL and JOBHOOKS_TEST_POSTGRES say."""

import contextlib
import os
import time
from collections.abc import Callable, Generator, Sequence
from pathlib import Path
from typing import Literal, LiteralString

import psycopg
import pytest
from psycopg import sql
from psycopg.conninfo import make_conninfo
from psycopg.rows import TupleRow

from jobhooks.embedded import run_server, system_binaries, wheel_binaries
from jobhooks.operations import adopting, tables
from jobhooks.schema.install import install
from jobhooks.store.connections import SyncConnection, connect

TEMPLATE = "jobhooks_test_template"
DEVICE_TEMPLATE = "jobhooks_test_template_device"
OTHER = "JOBHOOKS_TEST_DATABASE_URL"
# One test replicates.
SETTINGS = {"wal_level": "logical", "wal_retrieve_retry_interval": "100ms"}
FILE_COPY = 150000  # the version that has two ways to clone a database, and takes its OID
SESSIONS = "select pg_terminate_backend(pid) from pg_stat_activity where datname = %s"
SESSIONS_END_S = 1.0  # the server has more patience
# Of each clone, since there is one at a time. To adopt a clone instead takes as long as to create it.
CLONE_OID: Literal["1000000"] = "1000000"


class Server:
    """A server on which the tests may create databases and roles, and the words that say which it is."""

    def __init__(self, admin_url: str, origin: str) -> None:
        self.admin_url = admin_url
        self.origin = origin
        self._admin: psycopg.Connection[TupleRow] | None = None

    @property
    def is_shared(self) -> bool:
        """Whether an earlier run of the tests may have left databases on it."""
        return self.origin == OTHER

    def url(self, database: str, **changes: str) -> str:
        """Return how to connect to ``database``."""
        return make_conninfo(self.admin_url, dbname=database, **changes)

    def execute(self, statement: LiteralString, *names: str) -> None:
        """Run a statement as the administrator, with ``names`` as identifiers, in a session that is kept."""
        self._run(sql.SQL(statement).format(*map(sql.Identifier, names)), ())

    def query(self, statement: LiteralString, *values: object) -> list[TupleRow]:
        """Run a query as the administrator, in the same session."""
        return self._run(sql.SQL(statement), values).fetchall()

    def _run(self, statement: sql.SQL | sql.Composed, values: Sequence[object]) -> psycopg.Cursor[TupleRow]:
        try:
            return self.administrator().execute(statement, values)
        except psycopg.OperationalError:
            if self._admin is None or not self._admin.closed:
                raise
            return self.administrator().execute(statement, values)  # a test ended the session

    def administrator(self) -> "psycopg.Connection[TupleRow]":
        """The administrator's session."""
        if self._admin is None or self._admin.closed:
            self._admin = psycopg.connect(self.admin_url, autocommit=True)
        return self._admin

    def close(self) -> None:
        """End the administrator's session."""
        if self._admin is not None:
            self._admin.close()


def wanted_server() -> str:
    """Say which server the environment asks for."""
    if os.environ.get("JOBHOOKS_TEST_DATABASE_URL"):
        return "that of JOBHOOKS_TEST_DATABASE_URL"
    return os.environ.get("JOBHOOKS_TEST_POSTGRES") or "embedded"


@contextlib.contextmanager
def open_server() -> Generator[Server]:
    """Yield the server that the environment asks for; by default the embedded one."""
    with _opened_server() as server, contextlib.closing(server):
        yield server


@contextlib.contextmanager
def _opened_server() -> Generator[Server]:
    url = os.environ.get("JOBHOOKS_TEST_DATABASE_URL")
    wanted = os.environ.get("JOBHOOKS_TEST_POSTGRES", "")
    if url:
        yield Server(url, OTHER)
    elif wanted.startswith("docker"):
        with _container(wanted.partition(":")[2] or "18") as server:
            yield server
    else:
        binaries = chosen_binaries()
        with run_server(binaries, SETTINGS, in_memory=True) as server:
            yield Server(server.url(), "embedded" if binaries == wheel_binaries() else wanted or "system")


def chosen_binaries() -> Path:
    """Find the folder of programs in JOBHOOKS_TEST_POSTGRES; by default the embedded ones."""
    wanted = os.environ.get("JOBHOOKS_TEST_POSTGRES", "")
    embedded = wheel_binaries() if wanted in ("", "embedded") or wanted.startswith("docker") else None
    binaries = Path(wanted) if wanted.startswith("/") else embedded or system_binaries()
    known = wanted in ("", "embedded", "system") or wanted.startswith("docker") or (Path(wanted) / "postgres").exists()
    if binaries is None or not known:
        pytest.exit(
            f"no PostgreSQL for JOBHOOKS_TEST_POSTGRES={wanted!r}: it takes embedded, system, docker:16, or the folder"
            " of a server's programs",
            2,
        )
    return binaries


@contextlib.contextmanager
def _container(tag: str) -> Generator[Server]:
    """Run the official image; the Docker client alone is common, so the engine is asked first."""
    from docker import from_env
    from docker.errors import DockerException
    from testcontainers.community.postgres import PostgresContainer

    try:
        from_env().ping()  # pyright: ignore[reportUnknownMemberType]
    except DockerException as exc:
        pytest.exit(f"JOBHOOKS_TEST_POSTGRES=docker:{tag}, but no Docker engine answers: {exc}", 2)
    with PostgresContainer(f"postgres:{tag}", driver=None) as container:
        yield Server(container.get_connection_url(), f"docker:{tag}")


def create_template(server: Server) -> None:
    """Create the database that tests get a clone of: jobhooks is installed in it."""
    with made_as_a_clone(server, None, TEMPLATE) as conn:
        install(conn)


def create_device_template(server: Server) -> None:
    """Create the database that most tests get a clone of: it has a watched table ``public.device`` with one row."""
    with made_as_a_clone(server, TEMPLATE, DEVICE_TEMPLATE) as conn:
        conn.execute(
            "create table public.device (id integer generated always as identity primary key, name text, serial text)"
        )
        conn.execute("insert into public.device (name, serial) values ('edge-1', 'FX2024-00017')")
        tables.watch(conn, "public.device", None, keyless=False, always=False)


@contextlib.contextmanager
def made_as_a_clone(server: Server, template: str | None, name: str) -> Generator[SyncConnection]:
    """Make a template in a database with the OID of its clones, so that what jobhooks notes of it is true of them."""
    drop_database(server, name)
    made = f"{name}_made"
    drop_database(server, made)
    if template is None and _clones_have_one_oid(server):
        server.execute(f"create database {{}} oid {CLONE_OID}", made)
    elif template is None:
        server.execute("create database {}", made)
    else:
        clone(server, template, made)
    with contextlib.closing(connect(server.url(made))) as conn:
        yield conn
    server.execute("create database {} template {}", name, made)
    drop_database(server, made)
    _fill_caches(server, name)


@contextlib.contextmanager
def prepared_template(
    server: Server, template: str, name: str, prepare: Callable[[SyncConnection], object]
) -> Generator[str]:
    """Make a template from another one, for a fixture of the session, and drop it at the end."""
    with made_as_a_clone(server, template, name) as conn:
        prepare(conn)
    yield name
    drop_database(server, name)


def clone(server: Server, template: str, name: str) -> str:
    """Create a database from a template and return its URL; its cursor is its own. Drop the former clone first."""
    if _clones_have_one_oid(server):
        # The other strategy costs twice as much here, and leaves the file of ``_fill_caches`` behind.
        server.execute(f"create database {{}} template {{}} strategy file_copy oid {CLONE_OID}", name, template)
        return server.url(name)
    server.execute("create database {} template {}", name, template)
    with contextlib.closing(connect(server.url(name))) as conn:
        adopting.adopt(conn)
    return server.url(name)


def _clones_have_one_oid(server: Server) -> bool:
    """Whether clones need no adoption: the server takes an OID, and nothing else uses it."""
    return not server.is_shared and server.administrator().info.server_version >= FILE_COPY


def _fill_caches(server: Server, template: str) -> None:
    """Let a first session write the file that saves later ones reading the catalogue."""
    psycopg.connect(server.url(template)).close()


def drop_database(server: Server, name: str) -> None:
    """Drop a database, and end its connections."""
    _end_sessions(server, name)
    server.execute("drop database if exists {} with (force)", name)


def _end_sessions(server: Server, name: str) -> None:
    """End the sessions in a database. A server that finds one when it drops the database waits for 100 ms."""
    deadline = time.monotonic() + SESSIONS_END_S
    while server.query(SESSIONS, name) and time.monotonic() < deadline:
        time.sleep(0.001)
