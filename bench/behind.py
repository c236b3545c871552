"""Hooks that cannot keep up, or that fail: their cost for other hooks and for the database."""

import time
from concurrent.futures import Future, ThreadPoolExecutor

from psycopg import sql

from bench.daemon import Daemon, Stage, open_stage
from bench.drains import TABLE
from bench.harness import set_autovacuum
from bench.objects import FAILURES, PERIOD_OF, check_order
from bench.pgbench import SINGLE_ROW_UPDATE, Load, initialise_pgbench, run_pgbench
from bench.variants import JOBHOOKS, make
from jobhooks.embedded import EmbeddedServer
from jobhooks.operations.tables import watch
from jobhooks.store.connections import execute

ALONE, BESIDE_LAGGING = "alone", "beside a lagging one"
TPCB, STEADY = "two hooks", "1 % fail"
SCALE = 4
CLIENTS = 16
ACCOUNTS = "pgbench_accounts"
# The history has no key.
TPCB_TABLES = {"pgbench_branches": False, "pgbench_tellers": False, ACCOUNTS: False, "pgbench_history": True}
STEADY_CLIENTS, STEADY_RATE, STEADY_ROWS = 8, 300, 1000
CHANGES = b"select count(*) from jobhooks.object_change"
BEHIND_OF = b"""
select (select count(*) from jobhooks.object_change) - count(*)
from jobhooks.job_result
where status = 'success' and hook_id = (select id from jobhooks.job_hook where name = $1)
"""
BACKLOG_KB = b"select pg_relation_size('jobhooks.delivery') / 1024"
INDEX_KB = b"select pg_indexes_size('jobhooks.delivery') / 1024"


def lagging(server: EmbeddedServer, variant: str, changes: int, limit_s: float) -> dict[str, float]:
    """Drain into a hook that does nothing, alone or beside one that takes 10 ms each, until the first has all."""
    with open_stage(server, changes) as stage:
        make(stage.conn, JOBHOOKS, filled=False)
        (fast,) = stage.hook("receivers.Noop", [TABLE])
        if variant == BESIDE_LAGGING:
            stage.hook("receivers.Slow", [TABLE])
        statement = sql.SQL("insert into {} select * from bench.source")
        execute(stage.conn, statement.format(sql.Identifier(JOBHOOKS.table)))
        execute(stage.conn, b"checkpoint")
        with stage.daemon() as daemon:
            stage.await_change(daemon, 1)
            first_mb = daemon.memory("VmRSS")
            delivered = stage.await_successes(daemon, fast, changes, limit_s)
            last_mb, highest_mb = daemon.memory("VmRSS"), daemon.memory("VmHWM")
            daemon.stop()
        check_order(stage)
        return {
            "deliveries/s": delivered / stage.figure(PERIOD_OF, fast),
            "delivered %": delivered / changes * 100,
            "backlog rows": stage.backlog_rows(),
            "first MB": first_mb,
            "last MB": last_mb,
            "highest MB": highest_mb,
        }


def tpcb(server: EmbeddedServer, _variant: str, seconds: int, limit_s: float) -> dict[str, float]:
    """Run TPC-B beside a daemon with two hooks that write a row for each change, and wait until all is delivered."""
    with open_stage(server, 0) as stage:
        initialise_pgbench(server, stage.url, SCALE)
        for table, keyless in TPCB_TABLES.items():
            watch(stage.conn, table, keyless=keyless)
        hooks = stage.hook("receivers.Record", [f"public.{table}" for table in TPCB_TABLES], 2)
        execute(stage.conn, b"checkpoint")
        with stage.daemon() as daemon:
            daemon.await_started()
            rate, _ = run_pgbench(server, stage.url, Load(None, CLIENTS, seconds, {}))
            ended = time.monotonic()
            changes = int(stage.figure(CHANGES))
            behind = sum(stage.figure(BEHIND_OF, hook) for hook in hooks)
            delivered = sum(stage.await_successes(daemon, hook, changes, limit_s) for hook in hooks)
            caught_up_s = time.monotonic() - ended
            daemon.stop()
        check_order(stage)
        return {
            "transactions/s": rate,
            "deliveries": changes * len(hooks),
            "behind at the end": behind,
            "seconds to catch up": caught_up_s,
            "delivered %": delivered / (changes * len(hooks)) * 100,
            "backlog rows": stage.backlog_rows(),
        }


def bloat(server: EmbeddedServer, _variant: str, seconds: int, limit_s: float) -> dict[str, float]:
    """Change rows at a steady rate, with a hook that fails at one attempt in a hundred beside one that does not.

    Autovacuum is on, as in production.
    """
    with open_stage(server, STEADY_ROWS) as stage:
        make(stage.conn, JOBHOOKS, filled=True)
        hooks = [stage.hook(job, [TABLE])[0] for job in ("receivers.FailsSometimes", "receivers.Record")]
        execute(stage.conn, b"checkpoint")
        set_autovacuum(stage.conn, on=True)
        try:
            with stage.daemon(FAILURES) as daemon, ThreadPoolExecutor(1) as pool:
                daemon.await_started()
                script = SINGLE_ROW_UPDATE.format(JOBHOOKS.table)
                load = Load(script, STEADY_CLIENTS, seconds, {"rows": STEADY_ROWS}, rate=STEADY_RATE)
                running = pool.submit(run_pgbench, server, stage.url, load)
                figures = sampled(stage, daemon, hooks, running, seconds)
                changes = int(stage.figure(CHANGES))
                delivered = sum(stage.await_successes(daemon, hook, changes, limit_s) for hook in hooks)
                daemon.stop()
        finally:
            set_autovacuum(stage.conn, on=False)
        check_order(stage)
        return {**figures, "delivered %": delivered / (changes * len(hooks)) * 100}


def sampled(
    stage: Stage, daemon: Daemon, hooks: list[str], running: Future[tuple[float, int]], seconds: int
) -> dict[str, float]:
    """Measure the backlog after a tenth and the half of the time, and when the load has ended."""
    began = time.monotonic()
    figures: dict[str, float] = {}
    for when, after_s in {"start": seconds / 10, "middle": seconds / 2, "end": float(seconds)}.items():
        time.sleep(max(0.0, began + after_s - time.monotonic()))
        if when == "end":
            running.result()
        daemon.check()
        failing, other = hooks
        figures |= {
            f"{when} rows": stage.figure(b"select count(*) from jobhooks.delivery"),
            f"{when} table kB": stage.figure(BACKLOG_KB),
            f"{when} index kB": stage.figure(INDEX_KB),
            f"{when} behind": stage.figure(BEHIND_OF, failing),
            f"{when} beside": stage.figure(BEHIND_OF, other),
        }
    return figures
