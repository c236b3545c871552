"""Settling: writing down, in batches, what attempts did and what is owed, and how far the log has been read."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field

import msgspec

from jobhooks.engine.delivery.delivery import Delivery
from jobhooks.engine.delivery.outcome import Outcome
from jobhooks.engine.delivery.retry import next_step
from jobhooks.engine.reading.reader import Cursor
from jobhooks.engine.scheduling.lanes import lane_numbers
from jobhooks.errors import LeadsNoMore
from jobhooks.store.connections import AsyncConnection, call_async
from jobhooks.store.storable_text import storable, storable_json, storable_log

Row = dict[str, object]
NOTHING: tuple[tuple[int, ...], ...] = ((),) * 6
LARGEST = 2_000  # results in one batch, so that none takes long
GIVEN_BACK_S = (
    1.0  # until a debt is due again that was behind a younger one in memory, and does not wait for it otherwise
)
CURSOR_INTERVAL_S = 1.0  # between two savings of the cursor: each leaves a dead row, and a lag costs a re-read only


@dataclass(slots=True)
class Batch:
    """What is to be written at once. ``done``: who wants to know when it is."""

    successes: list[tuple[Delivery, Outcome]] = field(default_factory=list[tuple[Delivery, Outcome]])
    failures: list[tuple[Delivery, Outcome]] = field(default_factory=list[tuple[Delivery, Outcome]])
    parked: list[Delivery] = field(default_factory=list[Delivery])
    paid: list[Delivery] = field(default_factory=list[Delivery])

    def __bool__(self) -> bool:
        return bool(self.successes or self.failures or self.parked or self.paid)


class Settler:
    """Keeps the ledger, on a connection of its own.

    One batch after the other: so what a batch parks and what it frees cannot miss one another, and whoever holds
    the ``lock`` sees the debts as they are, and knows that none comes or goes meanwhile; they may use the connection.
    """

    def __init__(self, conn: AsyncConnection, leader: int) -> None:
        self.lock = asyncio.Lock()
        self._conn = conn
        self._encoding = conn.get_settings().server_encoding
        self._leader = leader
        self._before_writing: Callable[[Batch], None]
        self._on_settled: Callable[[Batch], None]
        self._batch = Batch()
        self._cursor: Cursor | None = None
        self._saved_at = 0.0
        self._work = asyncio.Event()
        self._idle = asyncio.Event()
        self._idle.set()

    def tell(self, before_writing: Callable[[Batch], None], on_settled: Callable[[Batch], None]) -> None:
        """Call these with each batch, under the lock: before it is written, and when it has committed."""
        self._before_writing = before_writing
        self._on_settled = on_settled

    def succeeded(self, delivery: Delivery, outcome: Outcome) -> None:
        """Write down a success that is not recorded yet."""
        self._batch.successes.append((delivery, outcome))
        self._wake()

    def failed(self, delivery: Delivery, outcome: Outcome) -> None:
        """Write down a failure, or that a delivery was discarded, and what is owed now."""
        self._batch.failures.append((delivery, outcome))
        self._wake()

    def park(self, delivery: Delivery) -> None:
        """Write down a delivery as a debt: due at once, or when no older debt of its lanes is left."""
        self._batch.parked.append(delivery)
        self._wake()

    def paid(self, delivery: Delivery) -> None:
        """Take a debt off the ledger whose result is recorded."""
        self._batch.paid.append(delivery)
        self._wake()

    def move_cursor(self, cursor: Cursor) -> None:
        """Save that position before long."""
        self._cursor = cursor
        self._wake()

    def _wake(self) -> None:
        self._idle.clear()
        self._work.set()

    async def run(self) -> None:
        """Write batch after batch, until cancelled.

        Raises:
            LeadsNoMore: another daemon leads by now; nothing was written.
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
        """Find out whether this daemon leads still. For whoever holds the lock.

        Raises:
            LeadsNoMore: another one does.
        """
        await call_async(self._conn, "settle", self._leader, *NOTHING, None)

    async def drain(self) -> None:
        """Wait until all is written, and save the cursor."""
        await self._idle.wait()
        await self.save()

    async def save(self) -> None:
        """Save the cursor now, if it has moved.

        Raises:
            LeadsNoMore: another daemon leads by now; nothing was written.
        """
        async with self.lock:
            if self._cursor is not None:
                await self._save()

    async def flush(self) -> None:
        """Write what there is to write, and return when it has committed."""
        async with self.lock:
            pass  # what is being written
        if self._batch:
            await self._write()

    async def _write(self) -> None:
        async with self.lock:
            batch = self._batch
            self._batch = Batch()
            if len(batch.successes) > LARGEST:
                self._batch.successes = batch.successes[LARGEST:]
                batch.successes = batch.successes[:LARGEST]
                self._work.set()
            self._before_writing(batch)
            numbers = [_success(delivery, outcome) for delivery, outcome in batch.successes if outcome.value is None]
            columns = zip(*numbers, strict=True) if numbers else NOTHING
            rest = self._rest(batch)
            rest_json = msgspec.json.encode(rest).decode() if rest else None
            await call_async(self._conn, "settle", self._leader, *columns, rest_json)
            self._on_settled(batch)

    async def _save(self) -> None:
        cursor, self._cursor = self._cursor, None
        assert cursor is not None
        self._saved_at = asyncio.get_running_loop().time()
        saved = await call_async(
            self._conn,
            "save_cursor",
            cursor.seen,
            cursor.seen_floor,
            cursor.horizon,
            cursor.horizon_floor,
            cursor.last_id,
            self._leader,
        )
        if not saved:
            raise LeadsNoMore

    def _rest(self, batch: Batch) -> dict[str, list[Row]]:
        results = [self._result(delivery, outcome) for delivery, outcome in batch.failures if not outcome.recorded]
        results += [
            self._result(delivery, outcome) for delivery, outcome in batch.successes if outcome.value is not None
        ]
        logged = [
            (delivery, outcome)
            for delivery, outcome in [*batch.successes, *batch.failures]
            if outcome.log and not outcome.recorded
        ]
        log = [
            {
                **_identity(delivery),
                "attempt": delivery.attempt,
                "line": number,
                "level": entry.level,
                "time": entry.time,
                "object": entry.object,
                "message": entry.message,
            }
            for delivery, outcome in logged
            for number, entry in enumerate(storable_log(outcome.log, self._encoding), 1)
        ]
        parked = [_parked(delivery) for delivery in batch.parked]
        parked += [_owed(delivery, outcome) for delivery, outcome in batch.failures if outcome.raised]
        settled = [delivery for delivery, outcome in batch.failures if not outcome.raised]
        paid = [delivery for delivery in [*batch.paid, *settled] if delivery.parked]
        paid += [delivery for delivery, _ in batch.successes if delivery.parked]
        rest = {
            "results": results,
            "log": log,
            "parked": parked,
            "paid": [{**_identity(delivery), "attempt": delivery.attempt} for delivery in paid],
        }
        return {name: rows for name, rows in rest.items() if rows}

    def _result(self, delivery: Delivery, outcome: Outcome) -> Row:
        return {
            **_identity(delivery),
            "job_id": delivery.hook.job_id,
            "attempt": delivery.attempt,
            "status": outcome.status,
            "started_at": outcome.started_at,
            "finished_at": outcome.finished_at,
            "error": storable(outcome.error, self._encoding),
            "traceback": storable(outcome.traceback, self._encoding),
            "value": storable_json(outcome.value, self._encoding),
        }


def _success(delivery: Delivery, outcome: Outcome) -> tuple[int, int, int, int, float, float]:
    """Return a success as the row of numbers that it is, in the order of the parameters of ``settle``."""
    hook = delivery.hook
    return delivery.change.id, hook.id, hook.job_id, delivery.attempts + 1, outcome.started_at, outcome.finished_at


def _identity(delivery: Delivery) -> Row:
    return {"change_id": delivery.change.id, "hook_id": delivery.hook.id}


def _lanes(delivery: Delivery) -> Row:
    lane, other_lane = lane_numbers(delivery)
    return {
        **_identity(delivery),
        "content_type_id": delivery.change.content_type.id,
        "lane": lane,
        "other_lane": other_lane,
    }


def _parked(delivery: Delivery) -> Row:
    """Return a debt that was not attempted now: one that runs is due, so that it does not wait for itself.

    One that does not block others waits for none. If it is given back, that is since a younger one runs for long: it is
    due again only after a while, so that it is not taken up and given back all the time.
    """
    blocks = delivery.hook.blocks or not delivery.failures
    return {
        **_lanes(delivery),
        "attempts": delivery.attempts,
        "failures": delivery.failures,
        "attempted": False,
        "blocks": blocks,
        "status": "waiting" if delivery.running or not blocks else "blocked",
        "due_in": 0 if delivery.running or blocks else GIVEN_BACK_S,
    }


def _owed(delivery: Delivery, outcome: Outcome) -> Row:
    """Return the debt that a failure leaves."""
    hook = delivery.hook
    step = next_step(delivery.failures + 1, hook.max_attempts, hook.backoff, outcome.retry_after)
    return {
        **_lanes(delivery),
        "attempts": delivery.attempt,
        "failures": delivery.failures + 1,
        "attempted": True,
        "blocks": hook.blocks,
        "status": "dead" if step.due_in is None else "waiting",
        "due_in": step.due_in,
    }
