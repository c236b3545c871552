"""Fixtures for operations, which are called directly: a connection as they get it, and a log with deliveries."""

import contextlib
from collections.abc import Generator

import pytest

from conftest import Connection
from jobhooks.store.connections import SyncConnection, connect
from support.ledger import fill_ledger
from support.progress import RecordedProgress


@pytest.fixture
def progress() -> RecordedProgress:
    return RecordedProgress()


@pytest.fixture
def admin(database: str) -> Generator[SyncConnection]:
    """A connection of the role that installed jobhooks."""
    with contextlib.closing(connect(database)) as conn:
        yield conn


@pytest.fixture
def ledger(device: Connection) -> Connection:
    """Four changes of two tables, two hooks, four pending deliveries of all kinds, four results; no daemon."""
    fill_ledger(device)
    return device
