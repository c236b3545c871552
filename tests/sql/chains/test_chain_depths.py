"""Chains in the database: the depth in a mark and in the log, and which changes a hook with a chain_depth is for."""

import contextlib
import json
from typing import Any

import psycopg
import pytest

from conftest import Connection
from jobhooks.engine.delivery.cursor import NO_LIMIT
from jobhooks.errors import Refused
from jobhooks.operations.delivering.job_run import queue_job
from jobhooks.operations.delivering.replay import ReplayFilter, plan_replay
from jobhooks.store.connections import connect
from jobhooks.store.queries import find_query

DEPTHS = "select id, jobhooks.depth_of(triggering, context) from jobhooks.object_change order by id"
UPDATE = "update public.device set name = name || 'x' where id = 1"
SET = "select set_config('jobhooks.' || %s, %s, true)"
# What a run for an application's change writes, what runs for that write, and so on.
MARKS = ("1:1:1", "2:1:1:2", "3:1:1:3")
MUTED = 5


@pytest.fixture
def chain(device: Connection) -> Connection:
    """The log has changes 1 to 4 of the depths 0 to 3, and a fifth of a run whose role triggers nothing.

    Hook 1, "h", is for all of them but for its chain_depth, and has read none.
    """
    device.execute("insert into jobhooks.job (class_path, enabled) values ('a.B', true)")
    device.execute("select jobhooks.add_hook('h', '{public.device}', '{update}', 'a.B')")
    device.execute(UPDATE)
    for mark in MARKS:
        write(device, delivery=mark)
    write(device, delivery=MARKS[0], triggering="off")
    return device


def write(conn: Connection, **settings: str) -> None:
    with conn.transaction():
        for name, value in settings.items():
            conn.execute(SET, [name, value])
        conn.execute(UPDATE)


def limit(conn: Connection, chain_depth: int) -> None:
    conn.execute("select jobhooks.save_hook('h', %s)", [json.dumps({"chain_depth": chain_depth})])


def test_the_mark_of_a_run_has_the_depth_of_its_writes(chain: Connection) -> None:
    """Without one it is 1, as in the marks of a daemon that knows no chains, and in the log from before."""
    assert chain.execute(DEPTHS).fetchall() == [(1, 0), (2, 1), (3, 2), (4, 3), (MUTED, None)]
    causes = chain.execute("select context -> 'caused_by' from jobhooks.object_change order by id").fetchall()
    assert causes[1] == ({"change": 1, "hook": 1, "attempt": 1},)
    assert causes[2] == ({"change": 2, "hook": 1, "attempt": 1, "depth": 2},)


@pytest.mark.parametrize("mark", ["1:1:1:0", "1:1:1:-1", "1:1:1:100", "1:1:1:2:3", "1:1:1:", "1:1:1:x"])
def test_a_mark_with_another_depth_is_no_mark(device: Connection, mark: str) -> None:
    write(device, delivery=mark)
    logged = device.execute("select triggering, context from jobhooks.object_change").fetchall()
    assert logged == [(True, {"refused_mark": mark})]


@pytest.mark.parametrize("mark", MARKS)
def test_a_role_that_may_not_mark_cannot_choose_a_depth(device: Connection, application: Connection, mark: str) -> None:
    """Neither to hide a change below the limit of a chain, nor to begin one."""
    write(application, delivery=mark)
    assert device.execute(DEPTHS).fetchall() == [(1, 0)]
    assert device.execute("select context from jobhooks.object_change").fetchall() == [({"refused_mark": mark},)]


def page(conn: Connection) -> tuple[list[int], str]:
    """The ids of a page of the whole log, and the plan with the number of times that each part ran."""
    query = find_query("read_page")
    window: dict[str, Any] = {
        "seen": "1:1:",
        "horizon": None,
        "seen_low_water_id": 0,
        "after_id": 0,
        "last_id": NO_LIMIT,
        "content_type_ids": None,
        "limit": 100,
        "max_bytes": 1_000_000,
    }
    with psycopg.connect(conn.info.dsn, cursor_factory=psycopg.RawCursor) as raw:
        rows = raw.execute(query.encoded, query.arguments(window)).fetchall()
        explain = f"explain (analyze, costs off, timing off, summary off) {query.text}".encode()
        plan = raw.execute(explain, query.arguments(window)).fetchall()
    return [row[0] for row in rows if row[0] is not None], "\n".join(line for (line,) in plan)


def test_a_page_has_what_receivers_wrote_only_if_a_hook_has_chains(chain: Connection) -> None:
    """Also what is too deep for that hook, which counts it; never what a role wrote that triggers nothing."""
    assert page(chain)[0] == [1]
    limit(chain, 1)
    assert page(chain)[0] == [1, 2, 3, 4]
    chain.execute("select jobhooks.enable_hook('h', false)")
    assert page(chain)[0] == [1]


def test_a_page_without_receivers_writes_looks_for_no_chains(chain: Connection) -> None:
    """Nobody pays who uses no chains: the hooks are looked up once for a page with such a write, else not at all."""
    looks = "Seq Scan on job_hook"
    assert f"{looks} (actual rows=0 loops=1)" in page(chain)[1].replace("0.00", "0")
    chain.execute("delete from jobhooks.object_change where not triggering")
    assert f"{looks} (never executed)" in page(chain)[1]


@pytest.mark.parametrize(("chain_depth", "ids"), [(0, [1]), (1, [1, 2]), (2, [1, 2, 3]), (10, [1, 2, 3, 4])])
def test_all_that_counts_a_hooks_changes_counts_to_its_limit(
    chain: Connection, database: str, chain_depth: int, ids: list[int]
) -> None:
    limit(chain, chain_depth)
    owed = chain.execute("select unread from jobhooks.owed_deliveries()").fetchall()
    unread = find_query("unread_changes")
    with psycopg.connect(chain.info.dsn, cursor_factory=psycopg.RawCursor) as raw:
        waiting = raw.execute(unread.encoded, unread.arguments({"limit": 100})).fetchall()
    chain.execute("select jobhooks.pause_hook('h')")
    behind = chain.execute("select changes from jobhooks.lagging_hooks()").fetchall()
    assert (owed, behind, waiting[0][0]) == ([(len(ids),)], [(len(ids),)], len(ids))
    chain.execute("update jobhooks.job_hook set paused = false, enabled_since = pg_current_snapshot()")
    with contextlib.closing(connect(database)) as admin:
        assert list(plan_replay(admin, ReplayFilter("h")).change_ids) == ids
        assert [each.hook.name for each in queue_job(admin, "a.B", ids[-1]).deliveries] == ["h"]
        for beyond in {1, 2, 3, 4} - {*ids}:
            with pytest.raises(Refused) as refused:
                queue_job(admin, "a.B", beyond)
            assert refused.value.message.count("deep in a chain" if chain_depth else "a receiver made the change") == 1


def test_a_result_is_recorded_in_the_transaction_of_a_run_in_a_chain(chain: Connection) -> None:
    """The mark of another delivery is refused, even if it begins with the same digits."""
    record = "select jobhooks.record_result(2, 1, 1, 1, 'success', 0, 0, null, null, null)"
    for mark in ("2:1:11", "2:1:11:2", "12:1:1:2", ""):
        with pytest.raises(psycopg.Error) as refused, chain.transaction():
            chain.execute(SET, ["delivery", mark])
            chain.execute(record)
        assert refused.value.sqlstate == "JH011"
    with chain.transaction():
        chain.execute(SET, ["delivery", "2:1:1:2"])
        chain.execute(record)


@pytest.mark.parametrize("chain_depth", [-1, 11])
def test_a_chain_depth_out_of_range_is_refused(chain: Connection, chain_depth: int) -> None:
    with pytest.raises(psycopg.Error) as refused:
        limit(chain, chain_depth)
    assert refused.value.sqlstate == "JH028" and "from 0 to 10" in str(refused.value)


def note(conn: Connection, chain_depth: int, changes: int, change_id: int) -> None:
    ends = [{"hook_id": 1, "chain_depth": chain_depth, "changes": changes, "change_id": change_id}]
    assert conn.execute("select jobhooks.note_chain_ends(%s)", [json.dumps(ends)]).fetchall() == [(True,)]


def test_the_ends_of_chains_are_counted_for_one_chain_depth(chain: Connection) -> None:
    """Another one begins a new count. The doctor reports those of the last day, while the hook is enabled."""
    ends = "select chain_ends, chain_end_change_id from jobhooks.hooks"
    reported = "select remedy from jobhooks.problems_of_chains()"
    limit(chain, 1)
    note(chain, 1, 2, 3)
    note(chain, 1, 1, 4)
    note(chain, 5, 7, 9)
    assert chain.execute(ends).fetchall() == [(3, 4)]
    ((remedy,),) = chain.execute(reported).fetchall()
    assert remedy.startswith("jobhooks change show 4")
    chain.execute("update jobhooks.chain_end set time = now() - interval '25 hours'")
    assert chain.execute(reported).fetchall() == []
    limit(chain, 2)
    assert chain.execute(ends).fetchall() == [(0, None)]
