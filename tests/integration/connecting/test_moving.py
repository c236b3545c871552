"""A database that was moved: nothing that was unread or pending is lost, and nothing is delivered twice."""

import asyncio
import contextlib
import json
from pathlib import Path

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from conftest import Connection
from jobhooks.operations import adopting
from jobhooks.operations.adopting import Owed
from jobhooks.store.connections import call, connect
from jobhooks.store.place import configured_place
from support.daemon import jobhooks
from support.engine.observing import Recorder, sessions
from support.engine.running import until
from support.postgres.moving import RUNS, Counts, as_restored, deliver_all, insert, make_shop, work, write_here

POSITIONS = """
select seen::text, seen_floor, horizon::text, horizon_floor, last_id from jobhooks.cursor
union all select seen::text, seen_floor, horizon::text, horizon_floor, last_id from jobhooks.hook_position
union all select enabled_since::text, id, null, null, null from jobhooks.job_hook
"""


@pytest.fixture
def shop(hooked: Connection, database: str) -> Connection:
    """The client's connection, with more tables and hooks."""
    make_shop(hooked, database)
    return hooked


@pytest.mark.parametrize("way", ["restored", "upgraded"])
async def test_a_moved_database_delivers_each_change_once(shop: Connection, database: str, way: str) -> None:
    """The ledger is exact: what ran before the move runs no more, and everything else runs once."""
    await work(shop, database)
    if way == "restored":
        as_restored(shop)
    else:
        shop.execute("update jobhooks.cursor set system_identifier = 1")
    with psycopg.connect(database) as early:
        early.execute("insert into public.unwatched values (1)")  # it has its id, and many others get theirs
        with contextlib.closing(connect(database)) as admin:
            call(admin, "use_up_transaction_ids")
        write_here(shop)
        before = shop.execute(POSITIONS).fetchall()
        with contextlib.closing(connect(database)) as admin:
            found = {each.hook: each for each in adopting.plan_adoption(admin).hooks}
            assert adopting.adopt_moved(admin) is (way == "upgraded")
        assert (shop.execute(POSITIONS).fetchall() == before) is (way == "upgraded")
        insert(shop, "device", 5)
        early.execute("insert into public.device (name) values ('early')")
    of_device = sum(hook == "h" for hook, _ in RUNS)
    assert found["h"] == Owed("h", 291 - of_device, complete=True, waiting=2, dead=0)
    assert found["of sites"] == Owed("of sites", 5, complete=True, waiting=0, dead=0)
    assert found["of racks"] == Owed("of racks", 3, complete=True, waiting=0, dead=0)
    await deliver_all(shop, database)


async def test_a_physical_copy_delivers_nothing_until_it_is_adopted(hooked: Connection, database: str) -> None:
    """From inside it is the original; only where its daemon is configured to connect differs."""
    RUNS.clear()
    recorder = Recorder()
    async with sessions(database, Counts, recorder):
        await recorder.until_event("leadership_gained")
        insert(hooked, "device", 1)
        await recorder.until_event("settled")
    assert hooked.execute("select place is not null from jobhooks.cursor").fetchone() == (True,)
    insert(hooked, "device", 2)
    # As if the database had been copied from there.
    elsewhere = '{"environment": "", "hosts": [{"host": "db1", "port": 5432}], "database": "shop"}'
    hooked.execute("update jobhooks.cursor set place = %s::json", [elsewhere])
    refused = await asyncio.to_thread(jobhooks, "run", "--database-url", database)
    assert refused.returncode == 4 and "the log is that of shop at db1:5432. Try: jobhooks adopt" in refused.stderr
    waiting: list[str] = []
    async with sessions(database, Counts, recorder, waits=waiting.append):
        await until("a session that is running finds it out", lambda: waiting)
        assert "the log is that of shop at db1:5432" in waiting[0]
        with contextlib.closing(connect(database)) as admin:
            adopting.adopt(admin)
        insert(hooked, "device", 3)
        await recorder.until_event("settled", count=4)  # without a restart
    assert sorted(change_id for _, change_id in RUNS) == [1, 4, 5, 6]


async def test_with_the_name_of_an_environment_the_address_may_change(hooked: Connection, database: str) -> None:
    """Also an address that a copy has by now."""
    place = '{"environment": "production", "hosts": [{"host": "db1", "port": 5432}], "database": "shop"}'
    hooked.execute("update jobhooks.cursor set place = %s::json", [place])
    recorder = Recorder()
    async with sessions(database, Counts, recorder, environment="production"):
        await recorder.until_event("leadership_gained")
    assert "db1" not in str(hooked.execute("select place from jobhooks.cursor").fetchone())


def test_the_place_has_all_hosts_whichever_answered(database: str) -> None:
    """A failover leads to another one of them, which is no move."""
    reachable = str(conninfo_to_dict(database)["host"])
    url = make_conninfo(database, host=f"/nowhere,{reachable}")
    with contextlib.closing(connect(url)) as conn:
        place = json.loads(configured_place(conn, url, "production"))
    assert [host["host"].partition(" on ")[0] for host in place["hosts"]] == ["/nowhere", reachable]
    assert (place["environment"], place["database"]) == ("production", conninfo_to_dict(database)["dbname"])


@pytest.mark.parametrize("named", ["in the URL", "in the environment"])
def test_the_place_of_a_service_is_its_address(
    database: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, named: str
) -> None:
    """Not its name: the same name may stand for another server on another machine."""
    reachable = str(conninfo_to_dict(database)["host"])
    (tmp_path / "services").write_text(f"[shop]\nhost=/nowhere,{reachable}\nuser=postgres\n")
    monkeypatch.setenv("PGSERVICEFILE", str(tmp_path / "services"))
    url = f"dbname={conninfo_to_dict(database)['dbname']}"
    if named == "in the URL":
        url += " service=shop"
    else:
        monkeypatch.setenv("PGSERVICE", "shop")
    with contextlib.closing(connect(url)) as conn:
        place = json.loads(configured_place(conn, url, ""))
    assert [host["host"].partition(" on ")[0] for host in place["hosts"]] == ["/nowhere", reachable]
