"""Fixtures for tests that run the daemon, or its code for running receivers."""

from collections.abc import AsyncGenerator, Generator
from pathlib import Path

import pytest

from conftest import Connection
from jobhooks.contract.job_settings import JobSettings
from jobhooks.engine.running.in_loop import shared_runs
from jobhooks.matching.hook_settings import HookSettings
from jobhooks.operations import tables
from jobhooks.operations.configuration import hooks, jobs
from jobhooks.operations.configuration.jobs import FoundJob
from jobhooks.store.connections import SyncConnection
from support.daemon import await_no_session
from support.delivering import RECEIVERS, make_seen
from support.engine.conforming import CHANGES, RUNNERS, UnderTest, under_test
from support.engine.grouping import write
from support.hooking import write_receivers
from support.postgres.servers import Server, prepared_template


@pytest.fixture
def receivers(tmp_path: Path, seed: int) -> Path:
    return write_receivers(tmp_path / "receivers", RECEIVERS.replace("SEED", str(seed)))


@pytest.fixture
def log(tmp_path: Path) -> Path:
    return tmp_path / "daemon.log"


@pytest.fixture
def seen(device: Connection) -> Generator[Connection]:
    """The client's connection; receivers write their input to ``public.seen``."""
    make_seen(device)
    yield device
    await_no_session(device)


@pytest.fixture(scope="session")
def hooked_template(server: Server, device_template: str) -> Generator[str]:
    """The database that tests with the fixture ``hooked`` clone."""

    def prepare(admin: SyncConnection) -> None:
        jobs.register_jobs(admin, [FoundJob("m.C", JobSettings(name="C"))], complete=True)
        jobs.enable_job(admin, "m.C")
        events = ["create", "update", "delete", "truncate"]
        hooks.add_hook(admin, HookSettings("h", ["public.device"], "m.C", events))

    with prepared_template(server, device_template, "jobhooks_test_template_hooked", prepare) as name:
        yield name


@pytest.fixture(scope="session")
def copying_template(server: Server, hooked_template: str) -> Generator[str]:
    """The database that tests with the fixture ``copying`` clone."""

    def prepare(admin: SyncConnection) -> None:
        admin.execute("create table public.copy (n bigserial primary key, change bigint, word text)")
        admin.execute("create table public.ledger (id integer primary key, amount integer)")
        admin.execute("insert into public.ledger values (1, 0)")
        tables.watch(admin, "public.copy")

    with prepared_template(server, hooked_template, "jobhooks_test_template_copying", prepare) as name:
        yield name


@pytest.fixture
def cloned(request: pytest.FixtureRequest, cloned: str) -> str:
    for name in ("copying", "hooked"):
        if name in request.fixturenames:
            return request.getfixturevalue(f"{name}_template")
    return cloned


@pytest.fixture
def hooked(device: Connection) -> Connection:
    """The client's connection; ``public.device`` is watched, and hook 1 leads its changes to m.C, in the template."""
    return device


@pytest.fixture
def copying(hooked: Connection) -> Connection:
    """The client's connection; receivers write to ``public.copy``, which is also watched: it is in the template."""
    return hooked


@pytest.fixture
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """However busy the machine is, runs come soon enough after one another to share a transaction."""
    monkeypatch.setattr(shared_runs, "LONGEST_S", 60)
    monkeypatch.setattr(shared_runs, "LATE_S", 60)
    monkeypatch.setattr(shared_runs, "SLICE_S", 60)


@pytest.fixture(params=RUNNERS)
async def rig(
    request: pytest.FixtureRequest, copying: Connection, database: str, tmp_path: Path
) -> AsyncGenerator[UnderTest]:
    """Each runner, with the deliveries of ``CHANGES`` changes of different devices, and of as many of one device."""
    write(copying, CHANGES)
    for number in range(CHANGES):
        copying.execute("update public.device set name = %s where id = 1", [str(number)])
    async with under_test(request.param, database, tmp_path) as made:
        yield made
