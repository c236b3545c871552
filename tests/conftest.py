"""Fixtures: a separate database for each test, cloned from a template, on the server that the environment selects."""

import gc
import itertools
import os
import random
import signal
import zlib
from collections.abc import Generator
from pathlib import Path
from typing import Protocol

import psycopg
import pytest
from hypothesis import HealthCheck, is_hypothesis_test, settings
from psycopg.rows import TupleRow

from jobhooks.runtime import event_log
from support.postgres.servers import (
    DEVICE_TEMPLATE,
    TEMPLATE,
    Server,
    clone,
    create_device_template,
    create_template,
    drop_database,
    open_server,
    wanted_server,
)

Connection = psycopg.Connection[TupleRow]
numbers = itertools.count(1)
# A machine that is busy with something else is no reason to fail.
settings.register_profile("jobhooks", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("fast", settings.get_profile("jobhooks"), max_examples=25)  # of 100: make test runs them all
settings.load_profile("jobhooks")


SEED = pytest.StashKey[int]()
# Their tests take seconds each, so none of them begins near the end, when no process is left to work beside it.
LONG_FILES = (
    "acceptance/test_demo.py",
    "acceptance/test_testing.py",
    "integration/scheduling/test_backlog_size.py",
    "integration/running/test_bad_receivers.py",
    "integration/connecting/test_connections.py",
    "integration/connecting/test_faults.py",
    "integration/scheduling/test_hot_objects.py",
    "integration/running/test_lost_runs.py",
    "integration/scheduling/test_order.py",
    "integration/connecting/test_refusals.py",
    "integration/connecting/test_server_clock.py",
    "integration/scheduling/test_slow_settling.py",
    "sql/capture/test_fuzz.py",
)
# Their tests wait most of the time: for daemons, timers and other sessions.
SLOW_FOLDERS = ("acceptance", "integration")
LONG_UNTIL, SLOW_UNTIL = 0.6, 0.95  # of a run


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--seed", type=int, help="Draw the same random numbers as the run that printed this seed.")
    parser.addoption("--write-texts", action="store_true", help="Write the texts that test_texts.py compares.")


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config: pytest.Config) -> None:
    gc.disable()  # until all tests are loaded: of what is loaded, nothing is garbage
    # A program inherits which signals are ignored: SIGHUP by nohup, SIGINT and SIGQUIT by a shell's "&".
    for number, handler in (
        (signal.SIGHUP, signal.SIG_DFL),
        (signal.SIGINT, signal.default_int_handler),
        (signal.SIGQUIT, signal.SIG_DFL),
        (signal.SIGTERM, signal.SIG_DFL),
    ):
        if signal.getsignal(number) is signal.SIG_IGN:
            signal.signal(number, handler)
    # The process that hands out tests gives its seed to the others, so all draw from the same one.
    config.option.seed = getattr(config, "workerinput", {}).get("seed", config.option.seed)
    if config.option.seed is None:
        config.option.seed = int(os.environ.get("JOBHOOKS_TEST_SEED") or random.randrange(1 << 32))
    if config.option.hypothesis_seed is None:  # before Hypothesis reads it
        config.option.hypothesis_seed = config.option.seed


class OtherProcess(Protocol):
    """A process that runs tests, as pytest-xdist shows it to the one that hands them out."""

    config: pytest.Config
    workerinput: dict[str, object]


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: OtherProcess) -> None:
    node.workerinput["seed"] = node.config.option.seed


def pytest_report_header(config: pytest.Config) -> list[str]:
    return [f"server: {wanted_server()}", f"seed: {config.option.seed}"]


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """In a run with several processes, mix tests that wait with tests that compute: neither leave processors idle."""
    if hasattr(config, "workerinput"):
        items[:] = mixed(items)


def mixed(items: list[pytest.Item]) -> list[pytest.Item]:
    """Spread the tests of LONG_FILES over most of the others, those of SLOW_FOLDERS over nearly all of the rest."""
    root = Path(__file__).parent
    kinds: dict[float, list[pytest.Item]] = {LONG_UNTIL: [], SLOW_UNTIL: [], 1.0: []}
    for item in items:
        path = item.path.relative_to(root)
        is_long, is_slow = path.as_posix() in LONG_FILES, path.parts[0] in SLOW_FOLDERS
        kinds[LONG_UNTIL if is_long else SLOW_UNTIL if is_slow else 1.0].append(item)
    placed = [(until * n / len(kind), item) for until, kind in kinds.items() for n, item in enumerate(kind)]
    return [item for _, item in sorted(placed, key=lambda each: each[0])]


def pytest_collection_finish() -> None:
    """Spare the garbage collector the modules and the tests, which stay: it would visit them again and again."""
    gc.collect()
    gc.freeze()
    gc.enable()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    if report.failed and (SEED in item.stash or is_hypothesis_test(getattr(item, "obj", None))):
        report.sections.append(("random", f"repeat it with: pytest --seed {item.config.option.seed} {item.nodeid!r}"))
    return report


@pytest.fixture
def seed(request: pytest.FixtureRequest) -> int:
    """A seed for the random numbers of this test: the same whenever it runs with the same --seed."""
    request.node.stash[SEED] = request.config.option.seed
    return zlib.crc32(f"{request.config.option.seed} {request.node.nodeid}".encode())


@pytest.fixture(autouse=True)
def log_as_at_the_start() -> None:
    """A test may set up the log of this process, as a worker does; others capture what structlog logs."""
    event_log.reset()


@pytest.fixture(scope="session")
def server() -> Generator[Server]:
    """The server that all tests of a process share, started for the first test that asks for it."""
    with open_server() as opened:
        yield opened


@pytest.fixture(scope="session")
def template(server: Server) -> Generator[str]:
    """The database that tests clone."""
    create_template(server)
    yield TEMPLATE
    drop_database(server, TEMPLATE)


@pytest.fixture(scope="session")
def device_template(server: Server, template: str) -> Generator[str]:
    """The database that tests with the fixture ``device`` clone."""
    create_device_template(server)
    yield DEVICE_TEMPLATE
    drop_database(server, DEVICE_TEMPLATE)


@pytest.fixture
def empty_database(server: Server) -> Generator[str]:
    """The URL of a database without jobhooks."""
    name = f"jobhooks_test_{next(numbers)}"
    if server.is_shared:
        drop_database(server, name)
    server.execute("create database {}", name)
    yield server.url(name)
    drop_database(server, name)


@pytest.fixture
def cloned(request: pytest.FixtureRequest, template: str) -> str:
    """The database that the test gets a clone of."""
    return request.getfixturevalue("device_template") if "device" in request.fixturenames else template


@pytest.fixture
def database(server: Server, cloned: str) -> Generator[str]:
    """The URL of a database with jobhooks installed."""
    name = f"jobhooks_test_{next(numbers)}"
    if server.is_shared:
        drop_database(server, name)
    yield clone(server, cloned, name)
    drop_database(server, name)


@pytest.fixture
def conn(database: str) -> Generator[Connection]:
    """A connection of an ordinary client, in autocommit mode."""
    with psycopg.connect(database, autocommit=True) as client:
        yield client


@pytest.fixture
def device(conn: Connection) -> Connection:
    """The client's connection, with a watched table ``public.device`` that holds one row: it is in the template."""
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
