"""Draining: all changes exist when the daemon starts, and we measure how fast it delivers them."""

import contextlib
import time
from collections.abc import Generator

from psycopg import sql

from bench.daemon import DATABASE, Daemon, Stage, open_stage
from bench.harness import BenchError
from bench.pgbench import Load, run_pgbench
from bench.variants import JOBHOOKS, make
from jobhooks.embedded import EmbeddedServer
from jobhooks.store.connections import connect, execute

NOOP, WITH_OBJECT, TEN_HOOKS, OLD_SNAPSHOT = "noop", "changed_object", "ten hooks", "old snapshot"
FLOOR, ASYNC, DEF = "floor", "async def", "def"
UNBROKEN, KILLED = "unbroken", "killed"
WRITERS = {ASYNC: "receivers.Write", DEF: "receivers.WriteDef"}
HOOKS = 10
# The least that a writing receiver must write: its row and its acknowledgement, in one transaction.
FLOOR_WRITE = r"""
\set id random(1, 1000000000)
begin;
insert into bench.written (change_id, device_id) values (:id, 1);
insert into bench.acknowledged (change_id) values (:id) on conflict do nothing;
commit;
"""
FLOOR_S = 3
CONNECTIONS = 8  # the default concurrency of a hook
TABLE = f"public.{JOBHOOKS.table}"
PERIOD = b"""
select extract(epoch from max(finished_at) - min(started_at))::double precision from jobhooks.job_result
"""
# When the first delivery began, when a tenth of them had ended, when all but a tenth, and all.
TENTHS = b"""
select
    extract(epoch from min(started_at))::double precision,
    percentile_disc(array[0.1, 0.9, 1]) within group (order by extract(epoch from finished_at)::double precision)
from jobhooks.job_result
"""
# Each change makes one delivery per hook, and each delivery must end in one success.
SUCCESSES = b"""
select count(*), (select count(*) from (select distinct change_id, hook_id from jobhooks.job_result) as delivery)
from jobhooks.job_result
where status = 'success'
"""
MIDDLE = b"select (min(id) + max(id)) / 2 from jobhooks.object_change"
WRITTEN = b"select count(*) - count(distinct change_id), $1 - count(distinct change_id) from bench.written"


def drain_noop(server: EmbeddedServer, variant: str, changes: int) -> dict[str, float]:
    """Drain into a receiver that does nothing. With ten hooks, a tenth of the changes makes the same work.

    A receiver that takes the live row gets a quarter of the changes, because each row is read.
    """
    changes = changes // 4 if variant == WITH_OBJECT else changes
    job = "receivers.NoopWithObject" if variant == WITH_OBJECT else "receivers.Noop"
    hooks = HOOKS if variant == TEN_HOOKS else 1
    holder = old_snapshot(server) if variant == OLD_SNAPSHOT else contextlib.nullcontext()
    with backlog(server, job, changes // hooks, hooks) as stage, holder, stage.daemon() as daemon:
        return drained(stage, daemon, changes)


def drain_write(server: EmbeddedServer, variant: str, changes: int) -> dict[str, float]:
    """Drain into a receiver that writes a row. The floor: pgbench writes such rows for some seconds."""
    if variant == FLOOR:
        with open_stage(server, 0) as stage:
            execute(stage.conn, b"checkpoint")
            rate, _ = run_pgbench(server, stage.url, Load(FLOOR_WRITE, CONNECTIONS, FLOOR_S, {}))
            return {"deliveries/s": rate}
    with backlog(server, WRITERS[variant], changes) as stage, stage.daemon() as daemon:
        figures = drained(stage, daemon, changes)
        check_written(stage, changes)
        return figures


def kill(server: EmbeddedServer, variant: str, changes: int) -> dict[str, float]:
    """Drain into a receiver that writes, and kill the daemon half way; or not, for comparison."""
    kind, _, fate = variant.partition(", ")
    with backlog(server, WRITERS[kind], changes) as stage:
        began = time.time()
        if fate == KILLED:
            with stage.daemon() as first:
                stage.await_change(
                    first,
                    stage.figure(b"select percentile_disc(0.5) within group (order by id) from jobhooks.object_change"),
                )
        with stage.daemon() as daemon:
            all_at = stage.await_delivered(daemon, changes)
            daemon.stop()
        repeated, missing = check_written(stage, changes)
        return {"seconds": all_at - began, "repeated": repeated, "missing": missing}


def flat(server: EmbeddedServer, _variant: str, changes: int) -> dict[str, float]:
    """Drain a long backlog, and compare the end with the beginning."""
    with backlog(server, "receivers.Noop", changes) as stage, stage.daemon() as daemon:
        stage.await_change(daemon, 1)
        first_mb = daemon.memory("VmRSS")
        stage.await_delivered(daemon, changes)
        last_mb, highest_mb = daemon.memory("VmRSS"), daemon.memory("VmHWM")
        daemon.stop()
        ((began, (tenth, nine_tenths, ended)),) = execute(stage.conn, TENTHS)
        return {
            "first tenth, deliveries/s": changes / 10 / (tenth - began),
            "last tenth, deliveries/s": changes / 10 / (ended - nine_tenths),
            "first MB": first_mb,
            "last MB": last_mb,
            "highest MB": highest_mb,
        }


@contextlib.contextmanager
def backlog(server: EmbeddedServer, job: str, changes: int, hooks: int = 1) -> Generator[Stage]:
    """Make that number of changes with one INSERT into a table whose hooks run ``job``."""
    with open_stage(server, changes) as stage:
        make(stage.conn, JOBHOOKS, filled=False)
        stage.hook(job, [TABLE], hooks)
        execute(stage.conn, b"checkpoint")
        statement = sql.SQL("insert into {} select * from bench.source")
        execute(stage.conn, statement.format(sql.Identifier(JOBHOOKS.table)))
        yield stage


def drained(stage: Stage, daemon: Daemon, deliveries: int) -> dict[str, float]:
    """Wait for all deliveries, and measure the rate."""
    daemon.await_started()
    cpu_s = daemon.cpu_s()
    all_at = stage.await_delivered(daemon, deliveries)
    memory_mb, cpu_s = daemon.memory("VmHWM"), daemon.cpu_s() - cpu_s
    daemon.stop()
    check_delivered(stage, deliveries)
    return {
        "deliveries/s": deliveries / stage.figure(PERIOD),
        "seconds from process start": all_at - daemon.started_at,
        "CPU us per delivery": cpu_s / deliveries * 1e6,
        "highest MB": memory_mb,
    }


def check_delivered(stage: Stage, expected: int) -> None:
    """Check that each delivery has exactly one success.

    Raises:
        BenchError: a delivery has no success, or several.
    """
    ((successes, deliveries),) = execute(stage.conn, SUCCESSES)
    if (successes, deliveries) != (expected, expected):
        raise BenchError(
            f"{expected} deliveries were expected; {deliveries} have results, {successes} of them successes"
        )


def check_written(stage: Stage, changes: int) -> tuple[float, float]:
    """Check that every change was written exactly once.

    Raises:
        BenchError: a row was written again, or is missing.
    """
    check_delivered(stage, changes)
    ((repeated, missing),) = execute(stage.conn, WRITTEN, changes)
    if repeated or missing:
        raise BenchError(f"{repeated} rows were written again, {missing} are missing")
    return repeated, missing


@contextlib.contextmanager
def old_snapshot(server: EmbeddedServer) -> Generator[None]:
    """Hold a snapshot from before the daemon starts, so that vacuum cannot remove the dead rows it leaves."""
    with contextlib.closing(connect(server.url(DATABASE))) as conn:
        execute(conn, b"begin isolation level repeatable read")
        execute(conn, b"select")
        yield
