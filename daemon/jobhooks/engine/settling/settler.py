"""Settling: writing results, backlog rows and positions to the database, in batches."""

import asyncio
import time
from collections.abc import Iterable
from typing import Protocol

import msgspec

from jobhooks.engine.delivery.backlog_row import BacklogRow
from jobhooks.engine.delivery.cursor import Cursor
from jobhooks.engine.delivery.delivery import Delivery
from jobhooks.engine.delivery.outcome import Outcome
from jobhooks.engine.delivery.settle_batch import RowKey, SettleBatch
from jobhooks.engine.settling.rows import NO_SUCCESSES, other_rows, success_columns
from jobhooks.errors import DatabaseUnreachable, JobhooksError, LeadsNoMore
from jobhooks.runtime.event_log import get_logger
from jobhooks.store.connections import AsyncConnection, call_async
from jobhooks.store.storable_text import storable

LARGEST = 2_000  # results in one batch, so that no batch takes long
LAZY_S = 0.05  # before backlog rows are deleted whose deliveries have a result already: each batch is a commit
SAVE_INTERVAL_S = 1.0  # between two writes of the positions: each leaves dead rows, and a lag costs only a re-read
REFUSED_S = 5.0  # before the part of a hook is written again that the database refused
RETRY_S = (0.1, 0.5, 1.0)  # before a batch is written again that the database refused
log = get_logger()


class SettleListener(Protocol):
    """Gets each settle batch. The dispatcher is one. Both methods are called under the settler's lock."""

    def on_settled(self, batch: SettleBatch) -> None:
        """A batch has committed."""
        ...

    def on_refused(self, hook_id: int, error: JobhooksError) -> None:
        """The database refuses what this hook has to write, after several attempts. It is written again later."""
        ...


class Settler:
    """Writes settle batches one after the other, on a separate connection.

    Each batch is one transaction. Everything that is passed to the settler between two awaits is in the same batch. A
    caller that holds the ``lock`` sees the backlog as it is, apart from the batch that is being collected. It may use
    the settler's connection.
    """

    def __init__(self, conn: AsyncConnection, leader: int) -> None:
        self.lock = asyncio.Lock()
        self._conn = conn
        self._encoding = conn.get_settings().server_encoding
        self._leader = leader
        self._listener: SettleListener
        self._batch = SettleBatch()
        self._cursor: Cursor | None = None
        self._positions: dict[int, Cursor | None] = {}
        self._rates: dict[tuple[int, int], float] = {}  # by hook and key, when its bucket is full
        self._saved_at = 0.0
        self._timer: asyncio.TimerHandle | None = None  # until positions are to be saved
        self._lazy: asyncio.TimerHandle | None = None  # until rows are to be deleted
        self._refused: dict[int, SettleBatch] = {}  # by hook
        self._retry_due: set[int] = set()
        self._work = asyncio.Event()
        self._idle = asyncio.Event()
        self._idle.set()

    def attach(self, listener: SettleListener) -> None:
        """Set the listener; required before anything is settled."""
        self._listener = listener

    def succeeded(self, delivery: Delivery, outcome: Outcome) -> None:
        """Write a success that is not recorded yet, and delete the backlog rows of its delivery."""
        batch = self._batch
        if not batch.successes:
            self._wake()
        batch.successes.append((delivery, outcome))
        if delivery.merged:
            quiet = _for_merged(delivery, outcome)
            batch.successes += [(merged, quiet) for merged in delivery.merged]
        if delivery.has_row:
            self._delete_rows(delivery)

    def given_up(self, delivery: Delivery, outcome: Outcome) -> None:
        """Write a result that is no success and ends the delivery, and delete its backlog rows."""
        batch = self._batch
        batch.failures.append((delivery, outcome))
        if delivery.merged:
            quiet = _for_merged(delivery, outcome)
            batch.failures += [(merged, quiet) for merged in delivery.merged]
        if delivery.has_row:
            self._delete_rows(delivery)
        self._wake()

    def failed(self, delivery: Delivery, outcome: Outcome, row: BacklogRow) -> None:
        """Write a failure, and the backlog row that it leaves."""
        self._batch.failures.append((delivery, outcome))
        self._batch.rows[row.change_id, row.hook_id] = row
        self._wake()

    def park(self, delivery: Delivery, row: BacklogRow) -> None:
        """Write the backlog row of a delivery that runs on, or that no attempt has begun of."""
        self._batch.parked.append(delivery)
        self._batch.rows[row.change_id, row.hook_id] = row
        self._wake()

    def done(self, delivery: Delivery) -> None:
        """Delete the backlog rows of a delivery whose result is recorded, before long, or with the next batch.

        Its result shows until then that it is settled. A chain of short runs settles many in that time.
        """
        self._delete_rows(delivery)
        self._idle.clear()
        if len(self._batch.done) >= LARGEST:
            self._work.set()
        elif self._lazy is None:
            self._lazy = asyncio.get_running_loop().call_later(LAZY_S, self._delete_later)

    def unsent(self) -> set[RowKey]:
        """The backlog rows that the table does not have yet: those of the current batch, and of refused ones."""
        unsent: set[RowKey] = set()
        for batch in (self._batch, *self._refused.values()):
            unsent |= batch.rows.keys()
            unsent |= {(delivery.change.id, delivery.hook.id) for delivery in batch.done}
        return unsent

    def is_refused(self, hook_id: int) -> bool:
        """Whether the database has refused what this hook has to write."""
        return hook_id in self._refused

    def _delete_rows(self, delivery: Delivery) -> None:
        for each in (delivery, *delivery.merged):
            self._batch.rows.pop((each.change.id, each.hook.id), None)
            self._batch.done.append(each)

    def move_cursor(self, cursor: Cursor) -> None:
        """Save the position of the shared stream before long."""
        self._cursor = cursor
        self._wake()

    def move_hook(self, hook_id: int, position: Cursor | None) -> None:
        """Save the position of a hook that reads alone before long. None: it has read in the shared stream for a while.

        Positions are saved together. So if a hook leaves the shared stream, its position is saved with, or before, the
        first one of the shared stream that lies behind it.
        """
        self._positions[hook_id] = position
        self._wake()

    def save_rates(self, hook_id: int, used: Iterable[tuple[int, float]]) -> None:
        """Save before long how many seconds it takes until these keys have all of the hook's rate again."""
        now = time.monotonic()
        self._rates |= {(hook_id, key): now + seconds for key, seconds in used}
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
            if self._retry_due:
                await self._write_refused()
            if self._batch:
                await self._write()
            has_position = self._cursor is not None or self._positions or self._rates
            if has_position and loop.time() - self._saved_at >= SAVE_INTERVAL_S:
                await self.save()
                has_position = False
            if not self._batch and has_position and self._timer is None:
                self._timer = loop.call_later(SAVE_INTERVAL_S, self._save_later)
            if not self._batch:
                self._idle.set()

    def _delete_later(self) -> None:
        self._lazy = None
        self._work.set()

    def _save_later(self) -> None:
        self._timer = None
        self._work.set()

    async def refuse_stale(self) -> None:
        """Check that this daemon still leads. The caller holds the lock.

        Raises:
            LeadsNoMore: another daemon leads.
        """
        await call_async(self._conn, "settle", leader=self._leader, **NO_SUCCESSES, rest=None)

    async def pause_loop(self, hook_id: int, reason: str) -> None:
        """Pause a hook that triggers itself.

        Raises:
            LeadsNoMore: another daemon leads.
            LockNotAvailable: a session is changing the hook.
        """
        async with self.lock:
            shown = storable(reason, self._encoding)
            await call_async(self._conn, "pause_loop", leader=self._leader, hook_id=hook_id, reason=shown)

    async def drain(self) -> None:
        """Wait until everything is written, and save the positions."""
        self._work.set()
        await self._idle.wait()
        await self.save()

    async def save(self) -> None:
        """Save the positions now, if they have moved.

        Raises:
            LeadsNoMore: another daemon leads; nothing was written.
        """
        async with self.lock:
            if self._rates:
                await self._save_rates()
            if self._cursor is not None or self._positions:
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
            if len(batch.successes) > LARGEST and not (batch.failures or batch.rows or batch.done):
                self._batch.successes = batch.successes[LARGEST:]
                batch.successes = batch.successes[:LARGEST]
                self._work.set()
            if not self._refused and await self._sent(batch):
                self._listener.on_settled(batch)
            else:
                await self._write_by_hook(batch)

    async def _sent(self, batch: SettleBatch) -> bool:
        """Write a batch, several times if need be; whether the database accepted it."""
        for wait_s in (*RETRY_S, None):
            try:
                await self._send(batch)
            except (DatabaseUnreachable, LeadsNoMore):
                raise
            except JobhooksError as exc:
                log.warning("settling_failed", error=str(exc), next_attempt_s=wait_s)
                if wait_s is not None:
                    await asyncio.sleep(wait_s)
            else:
                return True
        return False

    async def _write_by_hook(self, batch: SettleBatch) -> None:
        """Write the part of each hook separately, so that one hook's rows do not keep another's from being written.

        A part follows what was refused before: otherwise a row could be written after its delivery is settled.
        """
        for hook_id, part in batch.by_hook().items():
            whole = self._refused.pop(hook_id, SettleBatch())
            whole.extend(part)
            await self._write_part(hook_id, whole)

    async def _write_refused(self) -> None:
        """Write again what the database has refused."""
        due, self._retry_due = self._retry_due, set()
        async with self.lock:
            for hook_id in due & self._refused.keys():  # a batch may have written it
                await self._write_part(hook_id, self._refused.pop(hook_id))

    async def _write_part(self, hook_id: int, part: SettleBatch) -> None:
        try:
            await self._send(part)
        except (DatabaseUnreachable, LeadsNoMore):
            raise
        except JobhooksError as exc:
            refused = self._refused.setdefault(hook_id, SettleBatch())
            refused.extend(part)
            asyncio.get_running_loop().call_later(REFUSED_S, self._retry, hook_id)
            self._listener.on_refused(hook_id, exc)
        else:
            self._listener.on_settled(part)

    def _retry(self, hook_id: int) -> None:
        if hook_id in self._refused:
            self._retry_due.add(hook_id)
            self._wake()

    async def _send(self, batch: SettleBatch) -> None:
        rows = other_rows(batch, self._encoding, time.monotonic())
        rows_json = msgspec.json.encode(rows).decode() if rows else None
        ((refused,),) = await call_async(
            self._conn, "settle", leader=self._leader, **success_columns(batch), rest=rows_json
        )
        batch.is_refused_in_part = refused > 0

    async def _save_rates(self) -> None:
        """Before the positions: the deliveries that they pass have begun, and must count."""
        rates, self._rates = self._rates, {}
        self._saved_at = asyncio.get_running_loop().time()
        now = time.monotonic()
        rows = [{"hook_id": hook_id, "key": key, "full_in": full_at - now} for (hook_id, key), full_at in rates.items()]
        ((saved,),) = await call_async(
            self._conn, "save_rates", leader=self._leader, buckets=msgspec.json.encode(rows).decode()
        )
        if not saved:
            raise LeadsNoMore

    async def _save(self) -> None:
        cursor, self._cursor = self._cursor, None
        positions, self._positions = self._positions, {}
        self._saved_at = asyncio.get_running_loop().time()
        rows = [
            {"hook_id": hook_id, **({} if position is None else _position_row(position))}
            for hook_id, position in positions.items()
        ]
        ((saved,),) = await call_async(
            self._conn,
            "save_positions",
            leader=self._leader,
            shared=None if cursor is None else msgspec.json.encode(_position_row(cursor)).decode(),
            hooks=msgspec.json.encode(rows).decode() if rows else None,
        )
        if not saved:
            raise LeadsNoMore


def _for_merged(delivery: Delivery, outcome: Outcome) -> Outcome:
    """The outcome of the deliveries that are merged into this one: without the log. One version ran for all."""
    for merged in delivery.merged:
        merged.version = delivery.version
    return msgspec.structs.replace(outcome, log=())


def _position_row(cursor: Cursor) -> dict[str, object]:
    return {
        "seen": cursor.seen,
        "seen_floor": cursor.seen_low_water_id,
        "horizon": cursor.horizon,
        "horizon_floor": cursor.horizon_low_water_id,
        "last_id": cursor.last_id,
    }
