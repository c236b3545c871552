"""A pytest plugin: a clean database with jobhooks, tables to watch, and deliveries that run inside the test.

pytest loads it wherever jobhooks is installed. So it lies beside jobhooks.testing, and imports that only when a fixture
is requested.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from jobhooks.contract.receiver import JobHookReceiver
    from jobhooks.testing.databases import Database, Server
    from jobhooks.testing.delivering import Result


@pytest.fixture(scope="session")
def jobhooks_server() -> Generator[Server]:
    """A PostgreSQL server on which databases may be created.

    The one in JOBHOOKS_TEST_DATABASE_URL, whose role may create databases. Otherwise a throw-away server, which needs
    ``pip install 'jobhooks[testing]'`` or a PostgreSQL on this machine.
    """
    from jobhooks.testing.databases import open_server

    with open_server() as server:
        yield server


@pytest.fixture
def jobhooks_database(jobhooks_server: Server) -> Generator[Database]:
    """A database of this test's own, with jobhooks installed: its ``url``, and a psycopg ``connection``, autocommit."""
    with jobhooks_server.new_database() as database:
        yield database


@pytest.fixture
def watch(jobhooks_database: Database) -> Callable[..., None]:
    """Watch a table of that database: ``watch("public.device", exclude=["secret"])``, as jobhooks.watch takes it."""
    from jobhooks.operations import tables

    def watch_table(table: str, key: list[str] | None = None, **options: Any) -> None:
        tables.watch(jobhooks_database.connection, table, key, **options)

    return watch_table


@pytest.fixture
def run_hooks(jobhooks_database: Database) -> Callable[..., list[Result]]:
    """Run all pending deliveries in this process, to the end; return the outcome of each attempt.

    ``run_hooks(MyReceiver, Another)``: a class without a hook gets one, on all watched tables and events. A failure is
    in the results, and is retried only by the next call. Raises TimeoutError after ``timeout`` seconds.
    """
    from jobhooks.testing.delivering import run_hooks as run

    def deliver(*receivers: type[JobHookReceiver[Any]], timeout: float = 60.0) -> list[Result]:  # noqa: ASYNC109, RUF100
        return run(jobhooks_database, receivers, timeout)

    return deliver
