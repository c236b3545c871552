"""``python -m bench.listener URL FILE``: the floor of latency.

Each NOTIFY brings an id; the listener reads that row and nothing else.
"""

import asyncio
import signal
import sys
import time
from pathlib import Path

import asyncpg
import uvloop

READ = "select * from public.device_timed where id = $1"


async def listen(database_url: str) -> list[int]:
    """Read the row of each NOTIFY until SIGTERM. The values are the microseconds from INSERT to row."""
    listening, reading = await asyncpg.connect(database_url), await asyncpg.connect(database_url)
    ids: asyncio.Queue[int] = asyncio.Queue()
    latencies: list[int] = []

    def notified(_connection: object, _process: int, _channel: str, payload: object) -> None:
        ids.put_nowait(int(str(payload)))

    await listening.add_listener("bench", notified)
    working = asyncio.create_task(_read(reading, ids, latencies))
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, working.cancel)
    sys.stdout.write("listening\n")
    sys.stdout.flush()
    await asyncio.wait([working])
    return latencies


async def _read(conn: "asyncpg.Connection[asyncpg.Record]", ids: asyncio.Queue[int], latencies: list[int]) -> None:
    while True:
        row = await conn.fetchrow(READ, await ids.get())
        assert row is not None
        latencies.append(time.time_ns() // 1000 - row["sent_us"])


if __name__ == "__main__":
    Path(sys.argv[2]).write_text("".join(f"{latency}\n" for latency in uvloop.run(listen(sys.argv[1]))))
