"""Fixtures: a separate database for each test, cloned from a template, on the server that the environment selects."""

import contextlib
import itertools
from collections.abc import Generator

import psycopg
import pytest
from hypothesis import HealthCheck, settings
from psycopg.rows import TupleRow

from jobhooks.operations import tables
from jobhooks.store.connections import connect
from support.servers import (
    TEMPLATE,
    Server,
    clone_template,
    create_template,
    drop_database,
    open_server,
    wanted_server,
)

Connection = psycopg.Connection[TupleRow]
numbers = itertools.count(1)
# A machine that is busy with something else is no reason to fail.
settings.register_profile("jobhooks", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("jobhooks")


def pytest_report_header() -> str:
    return f"server: {wanted_server()}"


@pytest.fixture(scope="session")
def server() -> Generator[Server]:
    """The server that all tests of a process share, started for the first test that asks for it."""
    with open_server() as opened:
        yield opened


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
        tables.watch(admin, "public.device", None, keyless=False, always=False)
    return conn


@pytest.fixture(scope="session")
def roles(server: Server) -> Generator[list[str]]:
    """The roles that tests made; dropped at the end, when the databases that they have privileges in are gone."""
    names: list[str] = []
    yield names
    for name in names:
        server.execute("drop owned by {} cascade", name)  # including its grants to others
        server.execute("drop role {}", name)


@pytest.fixture
def role(server: Server, roles: list[str]) -> str:
    """An ordinary role that may log in and has no privilege anywhere."""
    name = f"jobhooks_test_role_{next(numbers)}"
    server.execute("drop role if exists {}", name)
    server.execute("create role {} login", name)
    roles.append(name)
    return name


@pytest.fixture
def application(device: Connection, role: str) -> Generator[Connection]:
    """A client of an ordinary role, which may write ``public.device`` and knows nothing of jobhooks."""
    device.execute(f"grant usage on schema public to {role}; grant all on public.device to {role}".encode())
    with psycopg.connect(device.info.dsn, user=role, autocommit=True) as client:
        yield client
