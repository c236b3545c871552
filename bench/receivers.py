"""The receivers of the measured daemon; the benchmark copies them into the daemon's directory."""

# pyright: reportIncompatibleMethodOverride=false
# The daemon passes only the arguments that a receiver names, so these leave out the rest.

import atexit
import time
from pathlib import Path
from typing import TYPE_CHECKING, cast

from jobhooks import AsyncChangedObject, Change, JobHookReceiver

if TYPE_CHECKING:
    import asyncpg

    Connection = asyncpg.Connection[asyncpg.Record]

LATENCIES = Path("latencies")  # in the daemon's working directory: microseconds, a line for each delivery
WRITE_ASYNC = "insert into bench.written (change_id, device_id) values ($1, $2)"
WRITE_DEF = "insert into bench.written (change_id, device_id) values (%s, %s)"

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
