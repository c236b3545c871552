"""Settling: writing results, backlog entries and the cursor to the database, in batches."""

import asyncio
from typing import Protocol

import msgspec

from jobhooks.engine.delivery.cursor import Cursor
from jobhooks.engine.delivery.delivery import Delivery
from jobhooks.engine.delivery.outcome import Outcome
from jobhooks.engine.delivery.settle_batch import SettleBatch
from jobhooks.engine.settling.rows import NO_SUCCESSES, other_rows, success_columns
from jobhooks.errors import LeadsNoMore
from jobhooks.store.connections import AsyncConnection, call_async

LARGEST = 2_000  # results in one batch, so that no batch takes long
CURSOR_INTERVAL_S = 1.0  # between two writes of the cursor: each leaves a dead row, and a lag costs only a re-read


class SettleListener(Protocol):
    """Takes part in each settle batch. The dispatcher is one. Both methods are called under the settler's lock."""

    def before_writing(self, batch: SettleBatch) -> None:
        """A batch is about to be written. Add everything to it that must be written in the same transaction."""
        ...

    def on_settled(self, batch: SettleBatch) -> None:
        """A batch has committed."""
        ...


class Settler:
    """Writes settle batches one after the other, on a separate connection.

    One at a time, so that deliveries parked by one batch and lanes released by another cannot miss each other. A caller
    that holds the ``lock`` sees the backlog as it is, and no entry appears or disappears until the lock is released. It
    may use the settler's connection.
    """

    def __init__(self, conn: AsyncConnection, leader: int) -> None:
        self.lock = asyncio.Lock()
        self._conn = conn
        self._encoding = conn.get_settings().server_encoding
        self._leader = leader
        self._listener: SettleListener
        self._batch = SettleBatch()
        self._cursor: Cursor | None = None
        self._saved_at = 0.0
        self._work = asyncio.Event()
        self._idle = asyncio.Event()
        self._idle.set()

    def attach(self, listener: SettleListener) -> None:
        """Set the listener; required before anything is settled."""
        self._listener = listener

    def succeeded(self, delivery: Delivery, outcome: Outcome) -> None:
        """Write a success that is not recorded yet."""
        self._batch.successes.append((delivery, outcome))
        self._wake()

    def failed(self, delivery: Delivery, outcome: Outcome) -> None:
        """Write a failure or a discarded delivery, and the backlog entry that it leaves."""
        self._batch.failures.append((delivery, outcome))
        self._wake()

    def park(self, delivery: Delivery) -> None:
        """Write a backlog entry, due now or when no older entry of its lanes is left."""
        self._batch.parked.append(delivery)
        self._wake()

    def done(self, delivery: Delivery) -> None:
        """Delete the backlog entry of a delivery whose result is recorded."""
        self._batch.done.append(delivery)
        self._wake()

    def move_cursor(self, cursor: Cursor) -> None:
        """Save this position before long."""
        self._cursor = cursor
        self._wake()

    def _wake(self) -> None:
        self._idle.clear()
        self._work.set()

    async def run(self) -> None:
        """Write batch after batch, until cancelled.

        Raises:
            LeadsNoMore: another daemon leads; nothing was written.
            DatabaseUnreachable: the connection was lost.
        """
        loop = asyncio.get_running_loop()
        while True:
            await self._work.wait()
            self._work.clear()
            if self._batch:
                await self._write()
            if loop.time() - self._saved_at >= CURSOR_INTERVAL_S:
                await self.save()
            if not self._batch and self._cursor is not None:
                loop.call_later(CURSOR_INTERVAL_S, self._work.set)
            if not self._batch:
                self._idle.set()

    async def refuse_stale(self) -> None:
        """Check that this daemon still leads. The caller holds the lock.

        Raises:
            LeadsNoMore: another daemon leads.
        """
        await call_async(self._conn, "settle", leader=self._leader, **NO_SUCCESSES, rest=None)

    async def drain(self) -> None:
        """Wait until everything is written, and save the cursor."""
        await self._idle.wait()
        await self.save()

    async def save(self) -> None:
        """Save the cursor now, if it has moved.

        Raises:
            LeadsNoMore: another daemon leads; nothing was written.
        """
        async with self.lock:
            if self._cursor is not None:
                await self._save()

    async def flush(self) -> None:
        """Write the current batch, and return when it has committed."""
        async with self.lock:
            pass  # a batch that is being written
        if self._batch:
            await self._write()

    async def _write(self) -> None:
        async with self.lock:
            batch = self._batch
            self._batch = SettleBatch()
            if len(batch.successes) > LARGEST:
                self._batch.successes = batch.successes[LARGEST:]
                batch.successes = batch.successes[:LARGEST]
                self._work.set()
            self._listener.before_writing(batch)
            rows = other_rows(batch, self._encoding)
            rows_json = msgspec.json.encode(rows).decode() if rows else None
            await call_async(self._conn, "settle", leader=self._leader, **success_columns(batch), rest=rows_json)
            self._listener.on_settled(batch)

    async def _save(self) -> None:
        cursor, self._cursor = self._cursor, None
        assert cursor is not None
        self._saved_at = asyncio.get_running_loop().time()
        saved = await call_async(
            self._conn,
            "save_cursor",
            seen=cursor.seen,
            seen_low_water_id=cursor.seen_low_water_id,
            horizon=cursor.horizon,
            horizon_low_water_id=cursor.horizon_low_water_id,
            last_id=cursor.last_id,
            leader=self._leader,
        )
        if not saved:
            raise LeadsNoMore
