"""A daemon that runs while clients write, and an idle one."""

import contextlib
import signal
import subprocess
import sys
import time
from collections.abc import Generator
from pathlib import Path

from bench.daemon import PATIENCE_S, Daemon, Stage, open_stage
from bench.drains import FLOOR
from bench.harness import BenchError
from bench.pgbench import SINGLE_ROW_UPDATE, Load, run_pgbench
from bench.receivers import LATENCIES
from bench.variants import BARE, JOBHOOKS, make
from jobhooks.embedded import EmbeddedServer
from jobhooks.operations.tables import watch
from jobhooks.store.connections import connect, execute

CAPTURED, DAEMON = "no daemon", "jobhooks"
SLOW_DISK = "slow disk"
INSERT = """
insert into device_timed (name, serial, model, site, status, comments, data)
values (
    'device-1', md5(random()::text), 'model-1', 'site-1', 'active', repeat('comment ', 5),
    '{"rack": 1, "unit": 1, "tags": ["edge", "spare", "leased"]}'
);
"""
FLOOR_TRIGGER = b"create trigger told after insert on device_timed for each row execute function bench.notify_id()"
CLIENTS = 8  # that insert, together at the rate: a single client would wait for the disk
TIMED = "public.device_timed"
BEHIND = b"select (select count(*) from jobhooks.object_change) - (select count(*) from jobhooks.job_result)"
# Each flush takes 3 ms longer for every session that commits, as on a disk behind a network.
SLOW_FLUSH = (
    b"alter database bench_delivery set commit_delay = 3000",
    b"alter database bench_delivery set commit_siblings = 0",
)
COMMITS = b"select xact_commit from pg_stat_database where datname = $1"
SETTLED_S = 5.0  # by then a started daemon has finished its work


def latency(server: EmbeddedServer, variant: str, seconds: int) -> dict[str, float]:
    """Insert at a rate, and measure the time until the receiver, or the floor, has the row."""
    who, _, rate = variant.partition(", ")
    load = Load(INSERT, CLIENTS, seconds, {}, rate=int(rate.removesuffix("/s").replace(",", "")))
    with open_stage(server, 0) as stage:
        return floor_latency(stage, load) if who == FLOOR else daemon_latency(stage, load)


def daemon_latency(stage: Stage, load: Load) -> dict[str, float]:
    """Measure the latencies of the daemon's receiver, and how far it is behind when the load ends."""
    watch(stage.conn, TIMED)
    stage.hook("receivers.Timed", [TIMED])
    execute(stage.conn, b"checkpoint")
    with stage.daemon() as daemon:
        daemon.await_started()
        rate, changes = run_pgbench(stage.server, stage.url, load)
        behind = stage.figure(BEHIND)
        stage.await_delivered(daemon, changes)
        daemon.stop()
    return {**percentiles(stage.directory / LATENCIES, changes), "inserts/s": rate, "behind at the end": behind}


def floor_latency(stage: Stage, load: Load) -> dict[str, float]:
    """Measure the latencies of the listener."""
    execute(stage.conn, FLOOR_TRIGGER)
    execute(stage.conn, b"checkpoint")
    file = stage.directory / LATENCIES
    command = [sys.executable, "-m", "bench.listener", stage.url, str(file)]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as listener:
        try:
            assert listener.stdout is not None
            listener.stdout.readline()
            rate, changes = run_pgbench(stage.server, stage.url, load)
            time.sleep(1)  # the last NOTIFYs are on their way; the count below finds a missing one
            listener.send_signal(signal.SIGTERM)
            listener.wait(PATIENCE_S)
        finally:
            listener.kill()
    return {**percentiles(file, changes), "inserts/s": rate}


def percentiles(file: Path, changes: int) -> dict[str, float]:
    """Read the latencies in a file as milliseconds.

    Raises:
        BenchError: their number is not that of the changes.
    """
    latencies = sorted(int(line) / 1000 for line in file.read_text().splitlines()) if file.exists() else []
    if len(latencies) != changes:
        raise BenchError(f"{changes} rows were inserted, and {len(latencies)} of them arrived")
    return {"p50 ms": latencies[changes // 2], "p99 ms": latencies[changes * 99 // 100], "highest ms": latencies[-1]}


def writers(server: EmbeddedServer, variant: str, seconds: int, rows: int) -> dict[str, float]:
    """Measure the transactions per second of clients that update single rows: of the bare table, of the watched one
    without a daemon, and with one, including the daemon's deliveries.
    """
    name, clients, *disk = variant.split(", ")
    table = BARE if name == BARE.name else JOBHOOKS
    load = Load(SINGLE_ROW_UPDATE.format(table.table), int(clients), seconds, {"rows": rows})
    with open_stage(server, rows) as stage:
        make(stage.conn, table, filled=True)
        for setting in SLOW_FLUSH if disk else ():
            execute(stage.conn, setting)
        execute(stage.conn, b"checkpoint")
        if name != DAEMON:
            return {"transactions/s": run_pgbench(server, stage.url, load)[0]}
        with noop_daemon(stage, f"public.{table.table}") as daemon:
            rate, changes = run_pgbench(server, stage.url, load)
            behind = stage.figure(BEHIND)
            if (captured := stage.figure(b"select count(*) from jobhooks.object_change")) != changes:
                raise BenchError(f"{changes} changes were made, and {captured:.0f} are in the log")
            ended = time.time()
            caught_up = stage.await_delivered(daemon, changes)
            daemon.stop()
        return {
            "transactions/s": rate,
            "deliveries/s": (changes - behind) / seconds,
            "behind at the end": behind,
            "seconds to catch up": caught_up - ended,
        }


def idle(server: EmbeddedServer, _variant: str, seconds: int) -> dict[str, float]:
    """Measure the resources of an idle daemon.

    A session of another database counts the transactions, so that its queries are not among them.
    """
    with open_stage(server, 0) as stage, contextlib.closing(connect(server.url())) as outside:
        make(stage.conn, JOBHOOKS, filled=False)
        with noop_daemon(stage, f"public.{JOBHOOKS.table}") as daemon:
            time.sleep(SETTLED_S)
            ((database,),) = execute(stage.conn, b"select current_database()")
            ((commits,),) = execute(outside, COMMITS, database)
            cpu_s = daemon.cpu_s()
            time.sleep(seconds)
            cpu_s = daemon.cpu_s() - cpu_s
            ((commits_after,),) = execute(outside, COMMITS, database)
            memory_mb = daemon.memory("VmRSS")
            daemon.stop()
        return {
            "CPU seconds per minute": cpu_s / seconds * 60,
            "transactions/s": (commits_after - commits) / seconds,
            "MB": memory_mb,
        }


@contextlib.contextmanager
def noop_daemon(stage: Stage, table: str) -> Generator[Daemon]:
    """Run a daemon whose receiver does nothing for the changes of ``table``, and wait for its start."""
    stage.hook("receivers.Noop", [table])
    with stage.daemon() as daemon:
        daemon.await_started()
        yield daemon
