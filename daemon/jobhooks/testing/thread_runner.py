"""Running ``def`` receivers in the test's own process, so that a debugger stops in them."""

import asyncio
import contextlib
import threading
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any, TypeVar

from jobhooks.discovery.registry import FoundReceiver
from jobhooks.engine.delivery.delivery import Delivery
from jobhooks.engine.delivery.outcome import Clock, Outcome
from jobhooks.engine.running.in_process import calls
from jobhooks.engine.running.in_process.order import Order
from jobhooks.engine.running.in_process.runner import orders_of
from jobhooks.engine.running.in_process.transaction import KeptConnection
from jobhooks.engine.running.runner import Feed, TimeLimits
from jobhooks.errors import AlreadySettled, DatabaseUnreachable

T = TypeVar("T")


class ThreadRunner:
    """Runs ``def`` receivers one after the other, on one connection, each call in a thread: a ``Runner``.

    The thread allows a receiver to run an event loop, and keeps a hanging one from blocking the test run. A thread
    cannot be interrupted, so time limits have no effect: a debugger may stop in a receiver for any time.
    """

    capacity = 1
    time_limits = TimeLimits.NONE

    def __init__(self, database_url: str, clock: Clock | None = None) -> None:
        self._database_url = database_url
        self._connection = KeptConnection(database_url)
        self._slot = asyncio.Semaphore(1)
        self.clock = clock or Clock()

    async def run(self, found: FoundReceiver, deliveries: list[Delivery]) -> Outcome:
        """Call a receiver once; see ``Runner``."""
        async with self._slot:
            return await self._in_thread(partial(calls.call_receiver, found, self._orders(found, deliveries)))

    async def run_each(self, found: FoundReceiver, first: Delivery, feed: Feed) -> None:
        """Call a receiver for ``first``; see ``Runner``."""
        try:
            async with self._slot:
                run = partial(calls.run_receivers, found, self._orders(found, [first]))
                (outcome,) = await self._in_thread(run)
        except (AlreadySettled, DatabaseUnreachable):
            outcome = None
        if outcome is None:
            feed.give_back_alone([first])
        else:
            feed.report(first, outcome)

    def end_runs(self) -> None:
        """Cut the connection of the current run. The thread goes on, if it does not end by itself."""
        self._connection.close()
        self._connection = KeptConnection(self._database_url)

    def retire(self) -> None:
        """Keep everything: receivers are the test's own classes, and are not reloaded."""

    async def close(self) -> None:
        """Close the connection."""
        self._connection.close()

    def _orders(self, found: FoundReceiver, deliveries: list[Delivery]) -> list[Order]:
        return [replace(order, soft_time_limit=None) for order in orders_of(found, deliveries, self.clock)]

    async def _in_thread(self, work: Callable[[KeptConnection], T]) -> T:
        """Run a function in a thread. Cancelling cuts the connection and does not wait for the thread."""
        try:
            return await _in_thread(partial(work, self._connection))
        except asyncio.CancelledError:
            self.end_runs()
            raise


async def _in_thread(function: Callable[[], T]) -> T:
    loop = asyncio.get_running_loop()
    future: asyncio.Future[T] = loop.create_future()

    def end(error: Exception | None, value: Any) -> None:
        if future.done():
            return
        if error is None:
            future.set_result(value)
        else:
            future.set_exception(error)

    def work() -> None:
        error, value = None, None
        try:
            value = function()
        except Exception as exc:  # noqa: BLE001 - raised in the caller
            error = exc
        with contextlib.suppress(RuntimeError):  # the loop is closed
            loop.call_soon_threadsafe(end, error, value)

    threading.Thread(target=work, name="jobhooks receiver", daemon=True).start()
    return await future
