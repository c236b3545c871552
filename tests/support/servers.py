"""The PostgreSQL that the tests run on, as JOBHOOKS_TEST_DATABASE_URL and JOBHOOKS_TEST_POSTGRES say."""

import contextlib
import os
from collections.abc import Generator
from dataclasses import dataclass
from pathlib import Path
from typing import LiteralString

import psycopg
import pytest
from psycopg import sql
from psycopg.conninfo import make_conninfo

from jobhooks.embedded import run_server, system_binaries, wheel_binaries
from jobhooks.operations.tables import adopt
from jobhooks.schema.install import install
from jobhooks.store.connections import connect

TEMPLATE = "jobhooks_test_template"


@dataclass(frozen=True)
class Server:
    """A server on which the tests may create databases and roles, and the words that say which it is."""

    admin_url: str
    origin: str

    def url(self, database: str, **changes: str) -> str:
        """Return how to connect to ``database``."""
        return make_conninfo(self.admin_url, dbname=database, **changes)

    def execute(self, statement: LiteralString, *names: str) -> None:
        """Run a statement as the administrator, with ``names`` as identifiers."""
        with psycopg.connect(self.admin_url, autocommit=True) as conn:
            conn.execute(sql.SQL(statement).format(*map(sql.Identifier, names)))


def wanted_server() -> str:
    """Say which server the environment asks for."""
    if os.environ.get("JOBHOOKS_TEST_DATABASE_URL"):
        return "that of JOBHOOKS_TEST_DATABASE_URL"
    return os.environ.get("JOBHOOKS_TEST_POSTGRES") or "embedded"


@contextlib.contextmanager
def open_server() -> Generator[Server]:
    """Yield the server that the environment asks for; by default the embedded one."""
    url = os.environ.get("JOBHOOKS_TEST_DATABASE_URL")
    wanted = os.environ.get("JOBHOOKS_TEST_POSTGRES", "")
    if url:
        yield Server(url, "JOBHOOKS_TEST_DATABASE_URL")
    elif wanted.startswith("docker"):
        with _container(wanted.partition(":")[2] or "18") as server:
            yield server
    else:
        binaries = chosen_binaries()
        with run_server(binaries, in_memory=True) as server:
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
    """Create the database that each test gets a clone of: jobhooks is installed in it."""
    drop_database(server, TEMPLATE)
    server.execute("create database {}", TEMPLATE)
    with contextlib.closing(connect(server.url(TEMPLATE))) as conn:
        install(conn)


def clone_template(server: Server, name: str) -> str:
    """Create a database from the template and return its URL; its cursor is its own."""
    server.execute("create database {} template {}", name, TEMPLATE)
    with contextlib.closing(connect(server.url(name))) as conn:
        adopt(conn)
    return server.url(name)


def drop_database(server: Server, name: str) -> None:
    """Drop a database, and end its connections."""
    server.execute("drop database if exists {} with (force)", name)
