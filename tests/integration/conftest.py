"""Fixtures for tests that run the daemon: its receivers, its log, and the table in which they say what they see."""

from collections.abc import Generator
from pathlib import Path

import pytest

from conftest import Connection
from support.daemon import wait_until
from support.delivering import RECEIVERS, make_seen
from support.hooking import write_receivers


@pytest.fixture
def receivers(tmp_path: Path) -> Path:
    return write_receivers(tmp_path / "receivers", RECEIVERS)


@pytest.fixture
def log(tmp_path: Path) -> Path:
    return tmp_path / "daemon.log"


@pytest.fixture
def seen(device: Connection) -> Generator[Connection]:
    """The client's connection; the receivers write what they see to ``public.seen``."""
    make_seen(device)
    yield device
    left = "select from pg_stat_activity where application_name like 'jobhooks%' and datname = current_database()"
    wait_until("no session of a daemon is left", lambda: not device.execute(left).fetchall())
