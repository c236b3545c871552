"""The mark and the capture behind PgBouncer in transaction mode, where each transaction may get another connection."""

import contextlib
from collections.abc import Generator

import psycopg
import pytest

from conftest import Connection
from support.postgres.poolers import pgbouncer


@pytest.fixture
def pooled(device: Connection, database: str, role: str) -> Generator[str]:
    """The URL of a pool of one connection, which all its clients use in turns."""
    device.execute(f"grant usage on schema public to {role}; grant all on public.device to {role}".encode())
    with pgbouncer(database, "transaction", user=role, pool_size=1) as url:
        yield url


def client(url: str) -> Connection:
    return psycopg.connect(url, autocommit=True, prepare_threshold=None)


def test_a_mark_does_not_reach_whoever_gets_the_connection_next(device: Connection, role: str, pooled: str) -> None:
    device.execute(f"grant jobhooks_receiver to {role}".encode())
    with client(pooled) as receiver, client(pooled) as other:
        with receiver.transaction():
            receiver.execute("set local jobhooks.delivery = '1:2:3'")
            receiver.execute("set local jobhooks.user_name = 'alice'")
            receiver.execute("update public.device set name = 'marked'")
            first = receiver.execute("select pg_backend_pid()").fetchone()
        assert other.execute("select pg_backend_pid()").fetchone() == first
        other.execute("update public.device set name = 'someone else'")
        with contextlib.suppress(psycopg.errors.DivisionByZero), receiver.transaction():
            receiver.execute("set local jobhooks.delivery = '1:2:3'")
            receiver.execute("update public.device set name = 'rolled back'")
            receiver.execute("select 1 / 0")
        other.execute("update public.device set name = 'someone else again'")
    recorded = device.execute(
        "select triggering, postchange ->> 'name', context ->> 'user_name' from jobhooks.object_change order by id"
    ).fetchall()
    assert recorded == [(False, "marked", "alice"), (True, "someone else", None), (True, "someone else again", None)]


def test_a_mark_of_an_application_is_refused_there_too(device: Connection, pooled: str) -> None:
    with client(pooled) as application, application.transaction():
        application.execute("set local jobhooks.delivery = '1:2:3'")
        application.execute("update public.device set name = 'forged'")
    assert device.execute("select triggering, context from jobhooks.object_change").fetchall() == [
        (True, {"refused_mark": "1:2:3"})
    ]


def test_what_is_set_for_a_session_reaches_whoever_gets_the_connection_next(
    device: Connection, role: str, pooled: str
) -> None:
    """A limit of such a pool; the docs say to use settings that are local to the transaction."""
    device.execute(f"grant jobhooks_receiver to {role}".encode())
    with client(pooled) as receiver, client(pooled) as other:
        receiver.execute("set jobhooks.delivery = '1:2:3'")
        receiver.execute("set jobhooks.user_name = 'alice'")
        other.execute("update public.device set name = 'someone else'")
    recorded = device.execute("select triggering, context ->> 'user_name' from jobhooks.object_change").fetchall()
    assert recorded == [(False, "alice")]
