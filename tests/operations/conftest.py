"""Fixtures for operations, which are called directly: a connection as they get it, and a log with deliveries."""

import contextlib
from collections.abc import Generator

import pytest

from conftest import Connection
from jobhooks.store.connections import SyncConnection, connect
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
    device.execute("create table public.site (id integer primary key)")
    device.execute("select jobhooks.watch('public.site')")
    for name in "abc":
        device.execute("update public.device set name = %s where id = 1", [name])
    device.execute("insert into public.site values (1)")
    device.execute("update jobhooks.object_change set time = now() - interval '2 hours' where id = 1")
    device.execute("insert into jobhooks.job (class_path, enabled) values ('a.B', true)")
    for name, table in (("first", "device"), ("second", "site")):
        device.execute(f"select jobhooks.add_hook('{name}', '{{public.{table}}}', '{{create,update}}', 'a.B')".encode())
    device.execute(
        "insert into jobhooks.delivery (change_id, hook_id, content_type_id, lane, status, attempts, due_at) values"
        " (1, 1, 1, 7, 'dead', 2, null), (2, 1, 1, 7, 'blocked', 0, null), (3, 1, 1, 8, 'waiting', 1, now()),"
        " (4, 2, 2, 9, 'waiting', 1, now() + interval '1 hour')"
    )
    device.execute(
        "insert into jobhooks.job_result (change_id, hook_id, job_id, attempt, status, started_at, error, traceback)"
        " values (1, 1, 1, 1, 'failure', now(), 'Timeout', null), (1, 1, 1, 2, 'failure', now(), 'KeyError', 'T'),"
        " (3, 1, 1, 1, 'failure', now(), 'Timeout after 5 s', null), (4, 2, 1, 1, 'success', now(), null, null)"
    )
    device.execute(
        "insert into jobhooks.job_log_entry (change_id, hook_id, attempt, line, level, time, object, message) values"
        " (1, 1, 2, 1, 'info', now(), null, 'begins'), (1, 1, 2, 2, 'failure', now(), 'device 1', 'is bad')"
    )
    return device
