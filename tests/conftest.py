"""Fixtures: a database of its own for each test, cloned from a template, on the server that the environment asks for."""

import contextlib
import itertools
from collections.abc import Generator

import psycopg
import pytest
from psycopg.rows import TupleRow
from support.servers import TEMPLATE, Server, clone_template, create_template, drop_database, open_server

from jobhooks.store import catalogue
from jobhooks.store.connections import connect

Connection = psycopg.Connection[TupleRow]
SERVER = pytest.StashKey[Server]()
CLOSING = pytest.StashKey[contextlib.ExitStack]()
numbers = itertools.count(1)


def pytest_configure(config: pytest.Config) -> None:
    if config.option.collectonly or config.option.help:
        return
    stack = contextlib.ExitStack()
    config.stash[CLOSING] = stack
    config.stash[SERVER] = stack.enter_context(open_server())


def pytest_unconfigure(config: pytest.Config) -> None:
    if CLOSING in config.stash:
        config.stash[CLOSING].close()


def pytest_report_header(config: pytest.Config) -> str:
    return f"server: {config.stash[SERVER].description()}" if SERVER in config.stash else "server: none"


@pytest.fixture(scope="session")
def server(pytestconfig: pytest.Config) -> Server:
    """The server that all tests share."""
    return pytestconfig.stash[SERVER]


@pytest.fixture(scope="session")
def template(server: Server) -> Generator[None]:
    """The database that tests clone."""
    create_template(server)
    yield
    drop_database(server, TEMPLATE)


@pytest.fixture
def empty_database(server: Server) -> Generator[str]:
    """The URL of a database without jobhooks."""
    name = f"jobhooks_test_{next(numbers)}"
    drop_database(server, name)
    server.execute("create database {}", name)
    yield server.url(name)
    drop_database(server, name)


@pytest.fixture
def database(server: Server, template: None) -> Generator[str]:
    """The URL of a database with jobhooks installed."""
    name = f"jobhooks_test_{next(numbers)}"
    drop_database(server, name)
    yield clone_template(server, name)
    drop_database(server, name)


@pytest.fixture
def conn(database: str) -> Generator[Connection]:
    """A connection of an ordinary client, in autocommit mode."""
    with psycopg.connect(database, autocommit=True) as client:
        yield client


@pytest.fixture
def device(conn: Connection, database: str) -> Connection:
    """The client's connection, with a watched table ``public.device`` that holds one row."""
    conn.execute(
        "create table public.device (id integer generated always as identity primary key, name text, serial text)"
    )
    conn.execute("insert into public.device (name, serial) values ('edge-1', 'FX2024-00017')")
    with contextlib.closing(connect(database)) as admin:
        catalogue.watch(admin, "public.device", None, keyless=False, always=False)
    return conn


@pytest.fixture
def role(server: Server) -> Generator[str]:
    """An ordinary role that may log in and has no privilege anywhere."""
    name = f"jobhooks_test_role_{next(numbers)}"
    server.execute("create role {} login", name)
    yield name
    server.execute("drop role {}", name)
