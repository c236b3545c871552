"""Heartbeats of the connection that listens: which silence is the database's, a pooler's, or the daemon's own."""

import asyncio
import contextlib
import time
from collections.abc import AsyncGenerator
from typing import Any, cast

import psycopg
import pytest

from conftest import Connection
from jobhooks.engine.reading import listener as module
from jobhooks.engine.reading.listener import Listener
from jobhooks.errors import DatabaseUnreachable
from jobhooks.store.connections import AsyncConnection, asyncpg_arguments, close_async, connect, connect_async
from jobhooks.store.session_settings import ENGINE
from support.engine.running import until


@pytest.fixture
async def connection(device: Connection, database: str) -> AsyncGenerator[AsyncConnection]:
    with contextlib.closing(connect(database)) as found:
        arguments = asyncpg_arguments(found).having(ENGINE, command_timeout=60.0)
    conn = await connect_async(arguments)
    yield conn
    await close_async(conn)


class Stopping:
    """A connection of a process that is stopped while it waits for the answer to its second heartbeat."""

    def __init__(self, conn: AsyncConnection, stopped_s: float) -> None:
        self._conn = conn
        self._stopped_s = stopped_s
        self._heartbeats = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._conn, name)

    async def fetch(self, query: str, *arguments: object) -> list[Any]:
        answer = asyncio.create_task(self._conn.fetch(query, *arguments))
        self._heartbeats += "heartbeat" in query
        if self._heartbeats == 2:
            await asyncio.sleep(0)  # it is sent
            time.sleep(self._stopped_s)  # noqa: ASYNC251 - SIGSTOP, for this loop
        return await answer


async def test_a_process_that_was_stopped_looks_again(
    connection: AsyncConnection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The answer came while it was stopped, and has only not been read."""
    monkeypatch.setattr(module, "HEARTBEAT_TIMEOUT_S", 0.3)
    monkeypatch.setattr(module, "HEARTBEAT_INTERVAL_S", 0.0)
    monkeypatch.setattr(module, "LATE_S", 0.1)
    listener = Listener(cast(AsyncConnection, Stopping(connection, 1.0)))
    heard: list[int] = []

    def is_news(last_id: int, _snapshot: str) -> bool:
        heard.append(last_id)
        return False

    await listener.listen()
    hearing = asyncio.create_task(listener.keep_hearing(is_news))
    await until("it hears its heartbeats again", lambda: len(heard) > 3 or hearing.done())
    assert not hearing.done()
    hearing.cancel()
    await asyncio.wait([hearing])


async def test_a_connection_that_answers_and_hears_nothing_may_lead_through_a_pooler(
    connection: AsyncConnection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its LISTEN was for another session."""
    monkeypatch.setattr(module, "HEARTBEAT_TIMEOUT_S", 0.3)
    with pytest.raises(DatabaseUnreachable, match=r"no NOTIFY arrives .* Try: if it leads through a pooler"):
        await Listener(connection).keep_hearing(lambda _id, _snapshot: False)


async def test_a_database_that_does_not_answer_is_not_a_pooler(
    connection: AsyncConnection, database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "HEARTBEAT_TIMEOUT_S", 0.3)
    listener = Listener(connection)
    await listener.listen()
    with psycopg.connect(database) as blocking:
        blocking.execute("alter sequence jobhooks.object_change_id_seq increment by 1")  # which the heartbeat reads
        with pytest.raises(DatabaseUnreachable, match="does not answer"):
            await listener.keep_hearing(lambda _id, _snapshot: False)
        blocking.rollback()
