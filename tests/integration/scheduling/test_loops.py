"""A receiver that writes its own table without a mark triggers itself: its hook is paused, and loses nothing."""

import asyncio
import contextlib
from collections.abc import MutableMapping
from typing import Any

import psycopg
import pytest
from structlog.testing import capture_logs

from conftest import Connection
from jobhooks import Change, JobHookReceiver
from jobhooks.engine.scheduling import loop_watch
from jobhooks.operations.configuration import hooks
from jobhooks.operations.doctor import problems
from jobhooks.store.connections import connect
from support.engine.observing import Recorder, sessions
from support.engine.running import until

Receiver = JobHookReceiver[Any]
PAUSED = "select paused from jobhooks.job_hook"
UNDELIVERED = """
select id from jobhooks.object_change as change
where triggering and not exists (select from jobhooks.job_result where change_id = change.id)
"""


# Somebody resumes the hook as soon as it is paused.
RESUMES = """
create function public.resume() returns trigger language plpgsql as $$
begin
    update jobhooks.job_hook set paused = false where id = new.id;
    return null;
end
$$;
create trigger resume after update on jobhooks.job_hook for each row when (new.paused) execute function public.resume()
"""


def is_pause(line: MutableMapping[str, Any]) -> bool:
    return line["event"] == "hook_paused"


class Loops(Receiver):
    """Writes what it is called for, through a connection without a mark."""

    writes = True
    url = ""
    statement = "update public.device set name = name || 'x' where id = %s"

    async def receive_job_hook(self, change: Change) -> None:
        if type(self).writes:
            async with await psycopg.AsyncConnection.connect(self.url, autocommit=True) as application:
                await application.execute(self.statement.encode(), [(change.object_key() or {})["id"]])


class Inserts(Loops):
    statement = "insert into public.device (name) select 'after ' || %s"


@pytest.mark.parametrize("receiver", [Loops, Inserts])
async def test_a_hook_that_triggers_itself_is_paused_and_its_changes_wait(
    hooked: Connection, database: str, monkeypatch: pytest.MonkeyPatch, receiver: type[Loops]
) -> None:
    """Of one object, or of ever new ones."""
    monkeypatch.setattr(loop_watch, "LEAST_HELD_S", 1.2)
    monkeypatch.setattr(receiver, "url", database)
    hooked.execute("insert into public.device (name) values ('a')")
    with capture_logs() as lines, contextlib.closing(connect(database)) as admin:
        async with sessions(database, receiver, Recorder(), loop_limit=10):
            await until("it is paused", lambda: hooked.execute(PAUSED).fetchone() == (True,))
            await until("what runs has ended", lambda: len(hooked.execute(UNDELIVERED).fetchall()) == 1)
            await until("it is logged", lambda: any(map(is_pause, lines)))
            (line,) = filter(is_pause, lines)
            why_not = hooks.hook_details(admin, "h").why_not
            assert line["reason"] in str(why_not) and line["remedy"] == "jobhooks hook resume 'h'"
            assert "triggered itself" in line["reason"] and "public.device" in line["reason"]
            (problem,) = [each for each in problems(admin, 30) if each.subject == 'hook "h"']
            assert problem.severity == "error" and line["reason"] in problem.problem
            monkeypatch.setattr(receiver, "writes", False)
            hooks.pause_hooks(admin, ["h"], paused=False)
            await until("the rest is delivered", lambda: not hooked.execute(UNDELIVERED).fetchall())
        assert hooked.execute("select from jobhooks.hook_loop").fetchall() == []
        assert hooks.hook_details(admin, "h").why_not is None


class InTurn(Receiver):
    """Writes the other table of two, through a connection without a mark, at its end."""

    writes = True
    url = ""

    async def receive_job_hook(self, change: Change) -> None:
        await asyncio.sleep(0.05)
        other = "site" if change.content_type.table == "device" else "device"
        if type(self).writes:
            async with await psycopg.AsyncConnection.connect(self.url, autocommit=True) as application:
                await application.execute(f"update public.{other} set name = name || 'x' where id = 1".encode())


async def test_hooks_that_trigger_each_other_are_found_and_one_is_paused(
    hooked: Connection, database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The reason names the other one. After a resume without the writes, all is delivered."""
    monkeypatch.setattr(loop_watch, "LEAST_HELD_S", 1.2)
    monkeypatch.setattr(loop_watch, "TRIALS", 1)
    monkeypatch.setattr(InTurn, "url", database)
    hooked.execute("create table public.site (id integer primary key, name text)")
    hooked.execute("insert into public.site values (1, 'a')")
    hooked.execute("select jobhooks.watch('public.site')")
    hooked.execute("select jobhooks.add_hook('other', '{public.site}', '{update}', 'm.C')")
    hooked.execute("update public.device set name = 'a' where id = 1")
    with capture_logs() as lines, contextlib.closing(connect(database)) as admin:
        async with sessions(database, InTurn, Recorder(), loop_limit=10):
            await until("it is logged", lambda: any(map(is_pause, lines)))
            (line,) = filter(is_pause, lines)
            assert line["hook"] == "h"
            assert line["reason"].startswith('it and "other" triggered each other: ')
            assert hooked.execute("select name from jobhooks.job_hook where paused").fetchall() == [("h",)]
            await until("the loop has ended", lambda: len(hooked.execute(UNDELIVERED).fetchall()) == 1)
            monkeypatch.setattr(InTurn, "writes", False)
            hooks.pause_hooks(admin, ["h"], paused=False)
            await until("the rest is delivered", lambda: not hooked.execute(UNDELIVERED).fetchall())


async def test_a_hook_that_is_resumed_before_the_daemon_sees_the_pause_goes_on(
    hooked: Connection, database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It was held until then, with a delivery that could have run."""
    monkeypatch.setattr(loop_watch, "LEAST_HELD_S", 1.2)
    monkeypatch.setattr(loop_watch, "TRIALS", 1)
    monkeypatch.setattr(Loops, "url", database)
    hooked.execute(RESUMES)
    hooked.execute("insert into public.device (name) values ('a')")
    with capture_logs() as lines:
        async with sessions(database, Loops, Recorder(), loop_limit=10):
            await until("it is paused", lambda: any(map(is_pause, lines)))
            monkeypatch.setattr(Loops, "writes", False)
            await until("the rest is delivered", lambda: not hooked.execute(UNDELIVERED).fetchall())


async def test_an_object_that_an_application_writes_during_each_run_is_delivered(
    hooked: Connection, database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It looks like a loop, until the hook is held and the application goes on."""
    monkeypatch.setattr(loop_watch, "LEAST_HELD_S", 1.2)
    hooked.execute("insert into public.device (name) values ('a')")

    class Slow(Receiver):
        async def receive_job_hook(self, change: Change) -> None:
            await asyncio.sleep(0.1)

    async def write() -> None:
        async with await psycopg.AsyncConnection.connect(database, autocommit=True) as application:
            while True:
                await application.execute("update public.device set name = name || 'x'")
                await asyncio.sleep(0.1)

    held = "select count(*) from jobhooks.job_result"
    async with sessions(database, Slow, Recorder(), loop_limit=3):
        writing = asyncio.create_task(write())
        await until("30 are delivered", lambda: (hooked.execute(held).fetchone() or (0,))[0] >= 30)
        writing.cancel()
        await asyncio.wait([writing])
        await until("all is delivered", lambda: not hooked.execute(UNDELIVERED).fetchall())
    assert hooked.execute(PAUSED).fetchone() == (False,)
