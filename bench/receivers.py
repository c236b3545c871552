"""The receivers of the measured daemon; the benchmark copies them into the daemon's directory."""

# pyright: reportIncompatibleMethodOverride=false
# The daemon passes only the arguments that a receiver names, so these leave out the rest.

import asyncio
import atexit
import time
import zlib
from pathlib import Path
from typing import TYPE_CHECKING, cast

from jobhooks import AsyncChangedObject, Change, JobHookReceiver

if TYPE_CHECKING:
    import asyncpg

    Connection = asyncpg.Connection[asyncpg.Record]

LATENCIES = Path("latencies")  # in the daemon's working directory: microseconds, a line for each delivery
WRITE_ASYNC = "insert into bench.written (change_id, device_id) values ($1, $2)"
WRITE_DEF = "insert into bench.written (change_id, device_id) values (%s, %s)"

RECORD = "insert into bench.recorded (hook_id, change_id) values ($1, $2)"
SLOW_S = 0.01
BROKEN = "broken"  # the status of a row whose change fails at first

latencies: list[int] = []


class Noop(JobHookReceiver["Connection"]):
    """Does nothing."""

    async def receive_job_hook(self, change: Change) -> None:
        """Do nothing."""


class NoopWithObject(JobHookReceiver["Connection"]):
    """Does nothing, but takes the live row."""

    async def receive_job_hook(self, change: Change, changed_object: AsyncChangedObject | None) -> None:
        """Do nothing."""


class Write(JobHookReceiver["Connection"]):
    """Writes one row."""

    async def receive_job_hook(self, change: Change) -> None:
        """Write it."""
        assert change.postchange is not None
        await self.connection.execute(WRITE_ASYNC, change.id, change.postchange["id"])


class WriteDef(JobHookReceiver):
    """Writes one row, in a worker process."""

    def receive_job_hook(self, change: Change) -> None:
        """Write it."""
        assert change.postchange is not None
        self.connection.execute(WRITE_DEF, (change.id, change.postchange["id"]))


class Record(JobHookReceiver["Connection"]):
    """Writes one row, of its hook and the change; several hooks write to the same table."""

    async def receive_job_hook(self, change: Change) -> None:
        """Write it."""
        await self.connection.execute(RECORD, self.hook.id, change.id)


class FailsFirst(Record):
    """Fails at the first attempt at a broken row, and then waits for a retry by hand."""

    class Meta:
        """Longer than any benchmark."""

        backoff = 3600

    async def receive_job_hook(self, change: Change) -> None:
        """Fail, or write."""
        await super().receive_job_hook(change)
        if self.attempt == 1 and change.postchange is not None and change.postchange["status"] == BROKEN:
            raise ValueError("the first attempt fails")


class FailsSometimes(Record):
    """Fails at one attempt in a hundred, after it has written: the same ones in each run."""

    async def receive_job_hook(self, change: Change) -> None:
        """Write, and perhaps fail."""
        await super().receive_job_hook(change)
        if zlib.crc32(f"{change.id} {self.attempt}".encode()) % 100 == 0:
            raise ValueError("one attempt in a hundred fails")


class Slow(JobHookReceiver["Connection"]):
    """Takes ten milliseconds, and does nothing."""

    async def receive_job_hook(self, change: Change) -> None:  # noqa: ARG002 - it takes what Noop takes
        """Wait."""
        await asyncio.sleep(SLOW_S)


class Timed(JobHookReceiver["Connection"]):
    """Records the time from a change's INSERT to its arrival."""

    async def receive_job_hook(self, change: Change) -> None:
        """Record it."""
        received_us = time.time_ns() // 1000
        assert change.postchange is not None
        latencies.append(received_us - cast("int", change.postchange["sent_us"]))


@atexit.register
def write_latencies() -> None:
    """Write the latencies where the benchmark finds them, when the daemon ends."""
    if latencies:
        LATENCIES.write_text("".join(f"{latency}\n" for latency in latencies))
