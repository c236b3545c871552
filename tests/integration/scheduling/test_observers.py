"""Observers get each kind of event, in the order in which things happen."""

import asyncio
import contextlib
from typing import Any

from conftest import Connection
from jobhooks import Change, JobHookReceiver
from jobhooks.engine.delivery.delivery import Delivery
from jobhooks.engine.delivery.observer import Observer
from support.engine.observing import Recorder, sessions
from support.engine.running import until

Receiver = JobHookReceiver[Any]


class Succeeds(Receiver):
    async def receive_job_hook(self, change: Change) -> None:
        pass


class FailsOnce(Receiver):
    class Meta:
        backoff = 0.01

    async def receive_job_hook(self, change: Change) -> None:
        if self.attempt == 1:
            raise ValueError("at first")


async def test_a_success(hooked: Connection, database: str) -> None:
    recorder = Recorder()
    async with sessions(database, Succeeds, recorder):
        await recorder.until_event("leadership_gained")
        hooked.execute("insert into public.device (name) values ('a'), ('b')")
        await recorder.until_event("settled", count=2)
    assert recorder.names()[0] == "leadership_gained"
    assert recorder.names()[-1] == "leadership_lost"
    read = [change_id for _, *ids in recorder.of("changes_read") for change_id in ids]
    assert read == [1, 2]
    for change_id in (1, 2):
        assert recorder.about(change_id) == [
            ("delivery_started",),
            ("attempt_finished", "success"),
            ("settled", "success"),
        ]


async def test_a_page_is_one_event(hooked: Connection, database: str) -> None:
    """For any number of changes: an observer does its work for a page once."""
    hooked.execute("insert into public.device (name) select 'd' || i from generate_series(1, 50) as i")
    recorder = Recorder()
    async with sessions(database, Succeeds, recorder):
        await recorder.until_event("settled", count=50)
    assert recorder.of("changes_read") == [("changes_read", *range(1, 51))]


async def test_a_failure_is_settled_and_started_again(hooked: Connection, database: str) -> None:
    recorder = Recorder()
    hooked.execute("insert into public.device (name) values ('a')")
    async with sessions(database, FailsOnce, recorder):
        await recorder.until_event("settled", 1, "success")
    assert recorder.about(1) == [
        ("delivery_started",),
        ("attempt_finished", "failure"),
        ("settled", "failure"),
        ("delivery_started",),
        ("attempt_finished", "success"),
        ("settled", "success"),
    ]


async def test_a_delivery_behind_a_failed_one_is_parked(hooked: Connection, database: str) -> None:
    """It has a backlog entry, and no attempt was made."""
    recorder = Recorder()
    hooked.execute("insert into public.device (name) values ('a')")
    hooked.execute("update public.device set name = 'b' where name = 'a'")

    class FailsFirst(Receiver):
        class Meta:
            backoff = 0.01

        async def receive_job_hook(self, change: Change) -> None:
            if change.id == 1 and self.attempt == 1:
                raise ValueError("at first")

    async with sessions(database, FailsFirst, recorder):
        await recorder.until_event("settled", 2, "success")
    assert recorder.events.index(("settled", 1, "failure")) < recorder.events.index(("parked", 2))
    for event in ("attempt_finished", "settled"):
        assert recorder.events.index((event, 1, "success")) < recorder.events.index((event, 2, "success"))


async def test_a_slow_run_is_parked_while_it_runs(hooked: Connection, database: str) -> None:
    may_end = asyncio.Event()

    class Waits(Receiver):
        async def receive_job_hook(self, change: Change) -> None:
            await may_end.wait()

    recorder = Recorder()
    hooked.execute("insert into public.device (name) values ('a')")
    async with sessions(database, Waits, recorder):
        await recorder.until_event("parked", 1)
        assert hooked.execute("select change_id from jobhooks.delivery").fetchall() == [(1,)]
        may_end.set()
        await recorder.until_event("settled", 1)
    assert recorder.about(1) == [
        ("delivery_started",),
        ("parked",),
        ("attempt_finished", "success"),
        ("settled", "success"),
    ]


async def test_a_standby_takes_over(hooked: Connection, database: str) -> None:
    leader, standby = Recorder(), Recorder()
    waiting = "select from pg_locks where locktype = 'advisory' and not granted"
    async with contextlib.AsyncExitStack() as stack:
        async with sessions(database, Succeeds, leader):
            await leader.until_event("leadership_gained")
            await stack.enter_async_context(sessions(database, Succeeds, standby))
            await until("the standby waits", lambda: hooked.execute(waiting).fetchall())
            assert standby.events == []
        assert leader.names() == ["leadership_gained", "leadership_lost"]
        await standby.until_event("leadership_gained")
        hooked.execute("insert into public.device (name) values ('a')")
        await standby.until_event("settled", 1, "success")
    assert standby.names() == [
        "leadership_gained",
        "changes_read",
        "delivery_started",
        "attempt_finished",
        "settled",
        "leadership_lost",
    ]


async def test_a_lost_database_is_noticed_and_its_return(hooked: Connection, database: str) -> None:
    recorder = Recorder()
    async with sessions(database, Succeeds, recorder):
        await recorder.until_event("leadership_gained")
        hooked.execute(
            "select pg_terminate_backend(pid) from pg_stat_activity"
            " where datname = current_database() and pid <> pg_backend_pid() and application_name like 'jobhooks%'"
        )
        await recorder.until_event("leadership_gained", count=2)
        hooked.execute("insert into public.device (name) values ('a')")
        await recorder.until_event("settled", 1)
    assert recorder.names()[:4] == ["leadership_gained", "leadership_lost", "reconnected", "leadership_gained"]


async def test_an_observer_that_raises_stops_nothing(hooked: Connection, database: str) -> None:
    class Raises(Observer):
        def delivery_started(self, delivery: Delivery) -> None:
            raise RuntimeError("no metrics today")

    recorder = Recorder()
    hooked.execute("insert into public.device (name) values ('a')")
    async with sessions(database, Succeeds, Raises(), recorder):
        await recorder.until_event("settled", 1, "success")
    assert recorder.of("delivery_started") == [("delivery_started", 1)]
