"""Running ``def`` receivers in worker processes, so that one that hangs, leaks or crashes takes nothing with it."""

import asyncio
import multiprocessing
import os
import signal
from concurrent.futures import Future
from typing import Any

import msgspec
from pebble import ProcessExpired, ProcessPool

from jobhooks.contract.control import TimeLimitExceeded
from jobhooks.contract.log import ReceiverLog
from jobhooks.engine import worker
from jobhooks.engine.delivery import Delivery
from jobhooks.engine.loading import Findings, FoundReceiver
from jobhooks.engine.outcome import Clock, Outcome, failed

CLOSE_S = 2.0  # for which idle workers have to end


class WorkerDied(Exception):
    """The worker process ended while it ran the receiver."""


class Workers:
    """For each receiver at most ``count`` processes, started when it first runs.

    Each receiver has its own: so a slow one never waits in front of another, and what it does to its process or to its
    connection reaches no other. ``memory_limit``: bytes of data that a process may have; more is a MemoryError in it.
    """

    def __init__(self, database_url: str, findings: Findings, count: int, memory_limit: int | None) -> None:
        self._initializer = (os.getpid(), database_url, findings.directories, memory_limit)
        self._count = count
        self._pools: dict[str, ProcessPool] = {}
        self._running: dict[asyncio.Future[Any], None] = {}
        self._slots: dict[str, asyncio.Semaphore] = {}
        self.clock = Clock()

    def slot(self, class_path: str) -> asyncio.Semaphore:
        """Return what to hold while a receiver runs in a worker, so that no more is begun than there are processes."""
        return self._slots.setdefault(class_path, asyncio.Semaphore(self._count))

    async def run(self, found: FoundReceiver, deliveries: list[Delivery]) -> list[Outcome | None]:
        """Run a receiver in a worker, for one delivery after the other, for a moment; return what those did that began.

        None: it is to be run again, by itself. Cancelling this kills the worker. The limits are those of the hook's
        job. The caller holds a slot.

        Raises:
            AlreadySettled: somebody else was faster; nothing of the run is kept.
            DatabaseUnreachable: the connection was lost: whether it had committed is not known.
        """
        hook = deliveries[0].hook
        orders = self.orders(deliveries)
        started_at = self.clock.now()
        pool = self._pool(found.class_path)
        scheduled: Future[list[Outcome | None]] = pool.schedule(worker.run, args=[orders], timeout=hook.time_limit)
        future = asyncio.wrap_future(scheduled)
        self._running[future] = None
        try:
            return await future
        except TimeoutError:
            assert hook.time_limit is not None
            error: Exception = TimeLimitExceeded(hook.time_limit)
        except ProcessExpired as exc:
            error = WorkerDied(_how_it_ended(exc))
        finally:
            self._running.pop(future, None)
        if len(deliveries) > 1:
            return [None] * len(deliveries)  # by itself, each shows whether it was the one
        return [msgspec.structs.replace(failed(started_at, self.clock, ReceiverLog(), error), unsure=True)]

    def orders(self, deliveries: list[Delivery]) -> list[worker.Order]:
        """Return what a worker is told of them."""
        return [
            worker.Order(hook.class_path, each.identity, hook.job_id, each.change, hook.soft_time_limit, self.clock)
            for each in deliveries
            for hook in [each.hook]
        ]

    async def end_busy(self) -> None:
        """Kill the workers that run something."""
        for future in list(self._running):
            future.cancel()
        self._running.clear()

    async def close(self) -> None:
        """End all workers."""
        pools, self._pools = self._pools, {}
        await asyncio.to_thread(_close, list(pools.values()))

    def _pool(self, class_path: str) -> ProcessPool:
        pool = self._pools.get(class_path)
        if pool is None or not pool.active:
            # From a server process that has neither threads nor connections: a fork of the daemon would inherit both.
            context = multiprocessing.get_context("forkserver")
            context.set_forkserver_preload([worker.__name__])
            pool = self._pools[class_path] = ProcessPool(
                max_workers=self._count,
                initializer=worker.initialize,
                initargs=self._initializer,
                context=context,
            )
        return pool


def _close(pools: list[ProcessPool]) -> None:
    for pool in pools:
        pool.stop()
    for pool in pools:
        pool.join(CLOSE_S)


def _how_it_ended(expired: ProcessExpired) -> str:
    code = expired.exitcode
    if code < 0:
        return f"the worker process was ended by {signal.Signals(-code).name} while it ran the receiver"
    return f"the worker process ended with exit code {code} while it ran the receiver"
