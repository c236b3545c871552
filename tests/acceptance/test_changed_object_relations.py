"""A receiver follows foreign keys from the changed object and to it, and reads the other changes of its object."""

from pathlib import Path
from typing import Any

import pytest

from conftest import Connection
from support.daemon import Daemon, wait_until
from support.delivering import settled
from support.hooking import add_hook, write_receivers

TABLES = """
create table public.region (id int primary key, name text);
create table public.site (id int generated always as identity primary key, name text, region_id int references region);
create table public.rack (site int, no int, label text, primary key (site, no));
alter table public.device
    add column site_id int references public.site,
    add column spare_id int,
    add column rack_site int,
    add column rack_id int,
    add column price numeric,
    add foreign key (rack_site, rack_id) references public.rack (site, no);
create table public.interface (id int primary key, device_id int references public.device, name text);
create table public.cable (a_id int references public.device, b_id int references public.device);
insert into public.region values (1, 'north');
insert into public.site (name, region_id) values ('lab', 1);
insert into public.rack values (1, 7, 'left');
"""
RECEIVERS = """
import json
from jobhooks import JobHookReceiver

def tried(call):
    try:
        return call()
    except Exception as exc:
        return f"{type(exc).__name__}: {exc}"

class Follows(JobHookReceiver):
    def receive_job_hook(self, change, action, changed_object):
        it = changed_object
        first = it.site
        it.site.name = "renamed"
        it.site.save()
        return {
            "region": it.site.region.name, "same": it.site is first,
            "rack": it.rack.label, "str": str(it.site), "pk": [it.pk, it.rack.pk],
            "interfaces": [one.name for one in it.related("public.interface")],
            "of the site": [one.name for one in it.site.related("device")],
            "cables": tried(lambda: it.related("public.cable")),
            "a": len(it.related("public.cable", "a_id")), "b": len(it.related("public.cable", column="b_id")),
            "saved": tried(it.related("public.cable", "a_id")[0].save),
            "no key": tried(lambda: it.related("public.region")), "no table": tried(lambda: it.related("nothing")),
            "no reference": tried(lambda: it.spare), "misspelt": tried(lambda: it.serail),
            "custom": tried(lambda: it.custom_field_data), "default": getattr(it, "colour", "none"),
        }

class FollowsAsync(JobHookReceiver):
    async def receive_job_hook(self, change, action, changed_object):
        it = changed_object
        first = await it.site
        site = await it.site
        site.name = "renamed"
        await site.save()
        async def failed(awaitable):
            try:
                return await awaitable
            except Exception as exc:
                return f"{type(exc).__name__}: {exc}"
        (cable,) = await it.related("public.cable", "a_id")
        cable.b_id = None
        rack = await it.rack
        return {
            "region": (await site.region).name, "same": site is first,
            "rack": rack.label, "str": str(site), "pk": [it.pk, rack.pk],
            "interfaces": [one.name for one in await it.related("public.interface")],
            "of the site": [one.name for one in await site.related("device")],
            "cables": await failed(it.related("public.cable")),
            "a": len(await it.related("public.cable", "a_id")),
            "b": len(await it.related("public.cable", column="b_id")),
            "saved": await failed(cable.save()),
            "no key": await failed(it.related("public.region")), "no table": await failed(it.related("nothing")),
            "no reference": await failed(it.spare), "misspelt": tried(lambda: it.serail),
            "custom": tried(lambda: it.custom_field_data), "default": getattr(it, "colour", "none"),
        }

class Reads(JobHookReceiver):
    def receive_job_hook(self, change, changed_object):
        differences = change.get_snapshots()["differences"]
        before, after = change.get_prev_change(), change.get_next_change()
        return {
            "before": before and before.id, "after": after and after.id,
            "related": [one.id for one in change.get_related_changes()],
            "repr": change.object_repr, "str": str(change), "text": repr(change),
            "message": [change.message, change.change_context_detail],
            "context": change.change_context, "caused": after and [after.change_context, after.change_context_detail],
            "data": json.dumps(change.object_data), "json": json.dumps(differences),
            "v2": change.object_data_v2 == change.object_data,
            "now": change.changed_object and change.changed_object.name,
            "user": [str(self.user), self.request.id, self.job_result.id, self.job_result.user.username],
        }

class ReadsAsync(JobHookReceiver):
    async def receive_job_hook(self, change, changed_object):
        differences = change.get_snapshots()["differences"]
        before, after = await change.get_prev_change(), await change.get_next_change()
        now = await change.changed_object
        return {
            "before": before and before.id, "after": after and after.id,
            "related": [one.id for one in await change.get_related_changes()],
            "repr": change.object_repr, "str": str(change), "text": repr(change),
            "message": [change.message, change.change_context_detail],
            "context": change.change_context, "caused": after and [after.change_context, after.change_context_detail],
            "data": json.dumps(change.object_data), "json": json.dumps(differences),
            "v2": change.object_data_v2 == change.object_data,
            "now": now and now.name,
            "user": [str(self.user), self.request.id, self.job_result.id, self.job_result.user.username],
        }
"""


@pytest.fixture
def receivers(tmp_path: Path) -> Path:
    return write_receivers(tmp_path / "receivers", RECEIVERS)


def deliver(conn: Connection, database: str, receivers: Path, job: str, count: int) -> list[Any]:
    """Let a daemon deliver, and read the receiver's return value for each change."""
    with Daemon(database, receivers, receivers / "daemon.log").await_started():
        wait_until("it is delivered", settled(conn, count))
    rows = conn.execute("select status, error, value from jobhooks.results order by change_id").fetchall()
    assert [(status, error) for status, error, _ in rows] == [("success", None)] * count
    return [value for _, _, value in rows]


@pytest.mark.parametrize("receiver", ["Follows", "FollowsAsync"])
def test_foreign_keys_are_followed(device: Connection, database: str, receivers: Path, receiver: str) -> None:
    device.execute(TABLES.encode())
    add_hook(database, receivers, f"r.{receiver}")
    device.execute(
        """
        insert into public.device (name, site_id, spare_id, rack_site, rack_id) values ('d', 1, 1, 1, 7)
        """
    )
    device.execute("insert into public.interface select 2, id, 'eth1' from public.device where name = 'd'")
    device.execute("insert into public.interface select 1, id, 'eth0' from public.device where name = 'd'")
    device.execute("insert into public.cable select id, null from public.device where name = 'd'")
    (value,) = deliver(device, database, receivers, receiver, 1)
    row = device.execute("select id from public.device where name = 'd'").fetchone()
    assert row is not None
    (found,) = row
    assert {name: value[name] for name in ("region", "same", "rack", "str", "pk", "interfaces")} == {
        "region": "north",
        "same": True,
        "rack": "left",
        "str": "public.site id=1",
        "pk": [found, {"no": 7, "site": 1}],
        "interfaces": ["eth0", "eth1"],
    }
    assert (value["of the site"], value["a"], value["b"], value["default"]) == (["d"], 1, 0, "none")
    assert value["cables"] == (
        "LookupError: public.cable has 2 foreign keys to public.device: name a column of one,"
        " related('public.cable', column='a_id'); their columns: a_id; b_id"
    )
    assert value["no key"].startswith("LookupError: public.region has no foreign key to public.device")
    assert value["no table"].startswith(
        "LookupError: public.nothing has no foreign key to public.device, or there is no"
    )
    assert value["no reference"].startswith(
        "AttributeError: did you mean spare_id? public.device has no column spare and no foreign key in it; it has id,"
    )
    assert value["misspelt"].startswith(
        "AttributeError: did you mean serial? public.device has no column serail; it has"
    )
    assert value["custom"].startswith(
        "AttributeError: public.device has no column custom_field_data: custom fields are"
    )
    assert (value["saved"] or "").startswith(
        "UnwatchableTable: public.cable has no primary key"
    ) or receiver == "Follows"
    assert device.execute("select name from public.site").fetchall() == [("renamed",)]


@pytest.mark.parametrize("receiver", ["Reads", "ReadsAsync"])
def test_the_other_changes_of_an_object(device: Connection, database: str, receivers: Path, receiver: str) -> None:
    device.execute(TABLES.encode())
    add_hook(database, receivers, f"r.{receiver}", ["update"])
    with device.transaction():
        device.execute(
            "select set_config('jobhooks.user_name', 'alice', true), set_config('jobhooks.request_id', 'r1', true)"
        )
        device.execute("set local jobhooks.message = 'a discount'")
        device.execute("insert into public.device (name) values ('d'), ('other')")
        device.execute("update public.device set price = 12345678901234567890.10 where name = 'd'")
        device.execute("update public.device set name = 'e' where name = 'd'")
        device.execute("set local jobhooks.delivery = '1:2:3'")
        device.execute("update public.device set serial = 'by a run' where name = 'e'")
    first, second = deliver(device, database, receivers, receiver, 2)
    row = device.execute("select id from public.device where name = 'e'").fetchone()
    assert row is not None
    text = f"public.device {row[0]} update by alice"
    base = device.execute("select min(id) from jobhooks.object_change where action = 'create'").fetchone()
    assert base is not None
    create = base[0]
    assert (first["before"], first["after"], first["related"]) == (create, create + 3, [create, create + 3, create + 4])
    assert (second["before"], second["caused"]) == (create + 2, ["job-hook", "1:2:3"])
    assert (first["repr"], first["str"]) == (f"public.device {row[0]}", text)
    assert first["text"] == f"<Change {create + 2}: {text}>" and first["context"] == "orm"
    assert first["json"] == '{"removed": {"price": null}, "added": {"price": "12345678901234567890.10"}}'
    assert '"price": "12345678901234567890.10"' in first["data"] and first["v2"] is True
    assert first["message"] == second["message"] == ["a discount", "a discount"]
    assert first["now"] == "e"
    assert first["user"][:2] == ["alice", "r1"] and first["user"][3] == "alice"
    assert first["user"][2].startswith(f"{create + 2}:")
