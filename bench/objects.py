"""Few objects with many changes: hot rows, and one object whose first change fails."""

import time

import asyncpg
import uvloop
from psycopg import sql

from bench.daemon import POLL_S, Daemon, Stage, open_stage
from bench.drains import FLOOR, TABLE
from bench.harness import BenchError
from bench.receivers import BROKEN, RECORD
from bench.variants import JOBHOOKS, make
from jobhooks.contract.run import DeliveryIdentity
from jobhooks.embedded import EmbeddedServer
from jobhooks.engine.running.result_statements import begin_run, join_run
from jobhooks.engine.running.sharing_policy import MOST
from jobhooks.operations.delivering.deliveries import DeliveryFilter, choose, retry
from jobhooks.store.connections import SyncConnection, execute

ONE_HOOK, BESIDE_SLOW = "one hook", "beside 10 ms"
LANE = "one object"
FAILURES = ("delivery_failed",)  # the warnings of receivers that fail as they should
HOT_ROWS = 4
READ_S = 60.0  # for the daemon to read the changes behind a failed one
# All rows up to :rows, one after the other, again and again: short transactions, as applications make them.
UPDATES = """
do $$
begin
    for turn in 1..{turns} loop
        update {table} set status = turn::text where id <= {rows};
        if turn % 50 = 0 then
            commit;
        end if;
    end loop;
end
$$
"""
PERIOD_OF = b"""
select extract(epoch from max(finished_at) - min(started_at))::double precision
from jobhooks.job_result
where hook_id = (select id from jobhooks.job_hook where name = $1)
"""
REPEATED = b"""
select count(*) from (
    select from jobhooks.job_result where status = 'success' group by change_id, hook_id having count(*) > 1
) as delivery
"""
# Successes that began before that of an older change of the same object, for the same hook. Not in a table without a
# key: two transactions can insert there at the same time, so the order of the ids is not that of the commits.
OUT_OF_ORDER = b"""
select count(*) from (
    select
        result.started_at,
        lag(result.started_at) over (
            partition by result.hook_id, change.content_type_id, array(
                select coalesce(change.postchange, change.prechange) ->> column_name
                from unnest(content_type.key_columns) as key (column_name)
            )
            order by result.change_id
        ) as older_started_at
    from jobhooks.job_result as result
    inner join jobhooks.object_change as change on change.id = result.change_id
    inner join jobhooks.content_type on content_type.id = change.content_type_id
    where result.status = 'success' and content_type.key_columns <> '{}'
) as delivery
where started_at < older_started_at
"""
# Every success of a hook that records, and no other attempt, has left its row.
MISRECORDED = b"""
select count(*)
from (
    select hook_id, change_id, count(*) as rows from bench.recorded group by hook_id, change_id
) as recorded
full join (
    select hook_id, change_id
    from jobhooks.job_result
    where status = 'success' and hook_id in (select hook_id from bench.recorded)
) as success using (hook_id, change_id)
where recorded.rows is distinct from 1 or success.change_id is null
"""


def hot(server: EmbeddedServer, variant: str, changes: int, limit_s: float) -> dict[str, float]:
    """Deliver many changes of a few rows to a hook that writes a row, alone or beside a hook that takes 10 ms each."""
    with open_stage(server, HOT_ROWS) as stage:
        make(stage.conn, JOBHOOKS, filled=True)
        hooks = stage.hook("receivers.Record", [TABLE])
        if variant == BESIDE_SLOW:
            hooks += stage.hook("receivers.Slow", [TABLE])
        update(stage.conn, HOT_ROWS, changes // HOT_ROWS)
        execute(stage.conn, b"checkpoint")
        with stage.daemon() as daemon:
            delivered = [stage.await_successes(daemon, hook, changes, limit_s) for hook in hooks]
            daemon.stop()
        check_order(stage)
        return {
            "deliveries/s": delivered[0] / stage.figure(PERIOD_OF, hooks[0]),
            "delivered %": delivered[0] / changes * 100,
            "backlog rows": stage.backlog_rows(),
        }


def lane(server: EmbeddedServer, variant: str, changes: int, limit_s: float) -> dict[str, float]:
    """Retry the failed first change of an object, and measure how fast the changes behind it follow.

    The floor: the same messages to the server, one after the other, without a daemon.
    """
    with open_stage(server, 1) as stage:
        if variant == FLOOR:
            return {"deliveries/s": changes / uvloop.run(messages_of_runs(stage.url, changes))}
        make(stage.conn, JOBHOOKS, filled=True)
        (hook,) = stage.hook("receivers.FailsFirst", [TABLE])
        execute(stage.conn, b"checkpoint")
        with stage.daemon(FAILURES) as daemon:
            daemon.await_started()
            statement = sql.SQL("update {} set status = {}")
            execute(stage.conn, statement.format(sql.Identifier(JOBHOOKS.table), sql.Literal(BROKEN)))
            await_rows(stage, daemon, 1)
            update(stage.conn, 1, changes)
            await_rows(stage, daemon, 1 + changes)
            head = int(stage.figure(b"select min(change_id) from jobhooks.delivery"))
            began = time.monotonic()
            retry(stage.conn, choose(stage.conn, DeliveryFilter([head])))
            delivered = stage.await_successes(daemon, hook, 1 + changes, limit_s)
            seconds = time.monotonic() - began
            daemon.stop()
        check_order(stage)
        return {"deliveries/s": delivered / seconds, "delivered %": delivered / (1 + changes) * 100}


async def messages_of_runs(url: str, runs: int) -> float:
    """Send what runs of a receiver send that writes one row and shares its transaction; the seconds that it takes."""
    conn = await asyncpg.connect(url)
    began = time.monotonic()
    for number in range(runs):
        place, delivery = number % MOST, DeliveryIdentity(number + 1, 1, 1)
        await conn.execute(join_run(delivery, is_second=place == 1) if place else begin_run(delivery))
        await conn.execute(RECORD, delivery.hook_id, delivery.change_id)
        if place == MOST - 1:
            await conn.execute("commit")
    await conn.execute("commit")
    seconds = time.monotonic() - began
    await conn.close()
    return seconds


def await_rows(stage: Stage, daemon: Daemon, rows: int) -> None:
    """Wait until the backlog has that number of rows.

    Raises:
        BenchError: it has fewer after a minute.
    """
    deadline = time.monotonic() + READ_S
    while (found := stage.figure(b"select count(*) from jobhooks.delivery")) < rows:
        daemon.check()
        if time.monotonic() > deadline:
            raise BenchError(f"{rows} deliveries must wait for the failed one; {found:.0f} do")
        time.sleep(POLL_S)


def update(conn: SyncConnection, rows: int, turns: int) -> None:
    """Change each of the first ``rows`` rows ``turns`` times."""
    execute(conn, UPDATES.format(table=JOBHOOKS.table, rows=rows, turns=turns).encode())


def check_order(stage: Stage) -> None:
    """Check that no delivery has two successes, that each hook got the changes of an object in order, and that the
    receivers that record have recorded each of their successes once.

    Raises:
        BenchError: one of these does not hold.
    """
    for wrong, statement in (
        ("deliveries succeeded twice", REPEATED),
        ("deliveries began before an older one of their object", OUT_OF_ORDER),
        ("deliveries have a success without one row that they wrote, or a row without a success", MISRECORDED),
    ):
        if count := stage.figure(statement):
            raise BenchError(f"{count:.0f} {wrong}")
