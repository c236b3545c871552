"""Deliveries that run at the same time: by ordering key, and for hooks that share a concurrency limit."""

import json
from pathlib import Path

import pytest

from conftest import Connection
from support.daemon import Daemon, wait_until
from support.delivering import settled
from support.hooking import add_hook, write_receivers

# Each run waits for the number of others in "wanted", or for a moment in which there could have been more.
RECEIVERS = """
import asyncio
from jobhooks import JobHookReceiver

WANTED = 1
running = []

async def run_beside_others(self, change):
    running.append(self)
    most = 0
    for _ in range(30):
        most = max(most, len(running))
        if most > WANTED:
            break
        await asyncio.sleep(0.01)
    running.remove(self)
    await self.connection.execute("insert into public.seen (receiver, object) values ('Most', $1)", most)

class Runs(JobHookReceiver):
    async def receive_job_hook(self, change):
        await run_beside_others(self, change)

class RunsToo(JobHookReceiver):
    async def receive_job_hook(self, change):
        await run_beside_others(self, change)
"""


def most_at_once(
    seen: Connection, database: str, receivers: Path, log: Path, changes: list[str], said: dict[str, object]
) -> int:
    """Deliver the changes of statements; return the greatest number of simultaneous runs that a run saw."""
    jobs = ["r.Runs", "r.RunsToo"] if "queue" in said else ["r.Runs"]
    for job in jobs:
        add_hook(database, receivers, job)
        seen.execute("select jobhooks.set_job(%s, %s)", [job, json.dumps(said)])
        said = {**said, "concurrency": 8}
    with seen.transaction():
        for statement in changes:
            seen.execute(statement.encode())
    with Daemon(database, receivers, log):
        wait_until("all is settled", settled(seen, 3 * len(jobs)))
    (most,) = seen.execute("select max(object) from public.seen").fetchall()
    return most[0]


SAME_OBJECT = [
    "insert into public.device (name, serial) values ('a', '')",
    "update public.device set serial = '1'",
    "update public.device set serial = '2'",
]
OTHER_OBJECTS = ["insert into public.device (name, serial) values ('a', ''), ('a', ''), ('b', '')"]


@pytest.mark.parametrize(
    ("changes", "said", "most"),
    [
        pytest.param(SAME_OBJECT, {}, 1, id="changes of an object one by one"),
        pytest.param(OTHER_OBJECTS, {}, 2, id="those of different objects beside each other"),
        pytest.param(SAME_OBJECT, {"order_by": "none"}, 2, id="no order"),
        pytest.param(OTHER_OBJECTS, {"order_by": "table"}, 1, id="a whole table in order"),
        pytest.param(OTHER_OBJECTS, {"order_by": ["serial"]}, 1, id="by a column that agrees"),
        pytest.param(OTHER_OBJECTS, {"order_by": ["name"]}, 2, id="by one that differs"),
        pytest.param(OTHER_OBJECTS, {"concurrency": 1}, 1, id="a hook's concurrency"),
        pytest.param(OTHER_OBJECTS, {"queue": "erp", "concurrency": 1}, 1, id="the lowest concurrency of a queue"),
    ],
)
def test_as_many_run_at_a_time_as_may(
    seen: Connection,
    database: str,
    tmp_path: Path,
    log: Path,
    changes: list[str],
    said: dict[str, object],
    most: int,
) -> None:
    receivers = write_receivers(tmp_path / "receivers", RECEIVERS)
    assert most_at_once(seen, database, receivers, log, changes, said) == most


def test_of_a_singleton_one_delivery_runs_at_a_time_for_all_its_hooks(
    seen: Connection, database: str, tmp_path: Path, log: Path
) -> None:
    receivers = write_receivers(tmp_path / "receivers", RECEIVERS)
    seen.execute("create table public.part (id integer primary key, serial text)")
    seen.execute("select jobhooks.watch('public.part')")
    add_hook(database, receivers, "r.Runs")
    seen.execute("select jobhooks.add_hook('other', '{public.part}', '{create}', 'r.Runs')")
    seen.execute("""update jobhooks.job set overrides = '{"is_singleton": true}'""")
    with seen.transaction():
        seen.execute("insert into public.device (serial) values (''), ('')")
        seen.execute("insert into public.part values (1, ''), (2, '')")
    with Daemon(database, receivers, log):
        wait_until("all is settled", settled(seen, 4))
    assert seen.execute("select distinct object from public.seen").fetchall() == [(1,)]


def test_a_limit_that_is_set_while_a_hook_has_much_to_do_holds_for_its_next_deliveries(
    seen: Connection, database: str, tmp_path: Path, log: Path
) -> None:
    """Its tasks do not run out of deliveries, so they must not keep the limits that they began with."""
    receivers = write_receivers(tmp_path / "receivers", RECEIVERS)
    add_hook(database, receivers, "r.Runs")
    seen.execute("insert into public.device (name) select 'a' from generate_series(1, 5000)")
    last = "select object from public.seen order by n desc limit 5"
    with Daemon(database, receivers, log):
        wait_until("runs are beside each other", lambda: (1,) not in (seen.execute(last).fetchall() or [(1,)]))
        seen.execute("""select jobhooks.set_job('r.Runs', '{"is_singleton": true}')""")
        wait_until("they are not", lambda: seen.execute(last).fetchall() == [(1,)] * 5)
