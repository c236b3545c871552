"""The end of a session is not the end of its process: who lives is charged for nothing, and who has died still is."""

from collections.abc import Generator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import psycopg
import pytest

from conftest import Connection
from jobhooks.errors import LeadsNoMore
from jobhooks.store.connections import translated_errors
from support.daemon import Daemon, wait_until
from support.hooking import add_hook, write_receivers

ENDED = "select jobhooks.leader_session() is null"


class Process:
    """The sessions of a daemon's process, as the server sees them; ``connect`` opens one after another."""

    def __init__(self, database: str, name: str, stack: ExitStack) -> None:
        self.name = name
        self.leader = 0
        self._database = database
        self._stack = stack
        self.connect()

    def connect(self) -> bool:
        """Connect, and show that the process lives; return whether it could."""
        self.conn = self._stack.enter_context(psycopg.connect(self._database, autocommit=True))
        return self._value("jobhooks.show_process(%s)", self.name)

    def lead(self) -> bool:
        """Lead as soon as no other process does; return whether one before may have died."""
        wait_until("no session leads", lambda: self._value(ENDED.removeprefix("select ")))
        self.leader = self._value("jobhooks.acquire_leadership()")
        return self._value("jobhooks.begin_leadership(%s, %s)", self.leader, self.name)

    def mark(self, change_id: int = 1, *, alone: bool = True) -> None:
        """Mark a change for hook 1."""
        run = f'[{{"change_id": {change_id}, "hook_id": 1, "attempt": 1}}]'
        self._value("jobhooks.mark_runs(%s, '[]', %s, %s)", self.leader, run, alone)

    def doubted(self) -> list[str]:
        """Look which processes are in doubt."""
        return self._value("jobhooks.doubted_processes(%s)", self.leader)

    def load(self, *died: str) -> list[tuple[str, int]]:
        """Judge these processes as dead; return the state and the crashes of the suspects."""
        query = "select state, crashes from jobhooks.load_suspects(%s, %s)"
        return self.conn.execute(query, [self.leader, list(died)]).fetchall()

    def _value(self, call: str, *parameters: object) -> Any:
        ((value,),) = self.conn.execute(f"select {call}".encode(), parameters).fetchall()
        return value


@pytest.fixture
def a(hooked: Connection, database: str) -> Generator[Process]:
    """A process that leads and runs change 1 alone, which was in flight at a crash before."""
    hooked.execute("insert into public.device (name) values ('a')")
    with ExitStack() as stack:
        process = Process(database, "a", stack)
        assert not process.lead()
        process.mark()
        hooked.execute("update jobhooks.suspect set crashes = 1")
        yield process


@pytest.fixture
def b(a: Process, database: str) -> Generator[Process]:
    """A standby."""
    with ExitStack() as stack:
        yield Process(database, "b", stack)


def take_over(former: Process, standby: Process) -> None:
    """End the leader's session; the standby leads, and does not know whether the former leader's process has died."""
    former.conn.close()
    assert standby.lead()


def test_a_process_that_connects_again_is_charged_for_nothing(a: Process, b: Process) -> None:
    take_over(a, b)
    assert (b.doubted(), b.load()) == (["a"], [("running", 1)])
    assert a.connect()
    assert (b.doubted(), b.load()) == ([], [("waiting", 1)])
    a.conn.close()  # killed as a standby: it has outlived its leadership
    assert (b.doubted(), b.load()) == ([], [("waiting", 1)])


def test_a_process_that_has_died_is_charged(a: Process, b: Process) -> None:
    take_over(a, b)
    assert b.doubted() == ["a"]
    assert b.load("a") == [("guilty", 2)]
    assert b.doubted() == []


def test_a_session_shows_a_process_only_by_what_it_sends_later(a: Process, b: Process) -> None:
    """It may have connected twice, and been cut off or stopped before its leadership ended."""
    leading = a.conn
    a.connect()
    leading.close()
    assert b.lead()
    assert b.doubted() == ["a"]
    a.conn.execute("select")
    assert b.doubted() == []


def test_another_role_shows_no_process_and_can_hide_one(a: Process, b: Process, database: str, role: str) -> None:
    """A hidden process is judged as one that is cut off."""
    take_over(a, b)
    with psycopg.connect(database, user=role, autocommit=True) as squatter:
        squatter.execute("select pg_advisory_lock_shared(hashtextextended('a', 0))")
        assert b.doubted() == ["a"]
        squatter.execute("select pg_advisory_unlock_all(), pg_advisory_lock(hashtextextended('a', 0))")
        assert not a.connect()
        assert b.doubted() == ["a"]


def test_a_process_that_leads_again_lives(a: Process) -> None:
    """Both lost their sessions with the server, and it was the first to come back."""
    a.conn.close()
    a.connect()
    assert not a.lead()
    assert (a.doubted(), a.load()) == ([], [("waiting", 1)])


def test_a_process_that_was_judged_and_comes_back_has_been_charged_once(a: Process, b: Process) -> None:
    """It was cut off for longer than it may be silent."""
    take_over(a, b)
    assert b.load("a") == [("guilty", 2)]
    b.conn.close()
    a.connect()
    assert a.lead()
    assert (a.doubted(), a.load()) == (["b"], [("guilty", 2)])


def test_the_doubt_outlives_a_leader_that_loses_its_session(a: Process, b: Process, database: str) -> None:
    """The next one judges each process for itself: one has died, the other one lives."""
    take_over(a, b)
    with ExitStack() as stack:
        c = Process(database, "c", stack)
        take_over(b, c)
        assert c.doubted() == ["a", "b"]
        b.connect()
        assert (c.doubted(), c.load()) == (["a"], [("running", 1)])
        assert c.load("a") == [("guilty", 2)]


def test_a_run_that_the_next_leader_began_again_is_its_own(a: Process, b: Process) -> None:
    """Whatever becomes of the process that ran it before."""
    take_over(a, b)
    b.mark()
    assert b.load("a") == []
    assert b.doubted() == []
    b.conn.close()
    assert a.connect()
    assert a.lead()
    assert a.load("b") == [("guilty", 2)]


def test_runs_that_go_on_beside_a_doubt_leave_its_marks_as_they_are(a: Process, b: Process) -> None:
    """The run in doubt was alone, whatever runs now."""
    take_over(a, b)
    b.mark(2, alone=False)
    assert b.load("a") == [("guilty", 2)]


def test_a_process_that_noted_its_end_is_not_in_doubt(a: Process, b: Process) -> None:
    a.conn.execute("select jobhooks.end_leadership(%s)", [a.leader])
    a.conn.close()
    assert not b.lead()
    assert b.doubted() == []


def test_a_former_leader_judges_no_process(a: Process, b: Process) -> None:
    """It has not yet found out that its session has ended."""
    former = a.leader
    take_over(a, b)
    b.leader, leads = former, b.leader
    for judge in (b.doubted, lambda: b.load("a")):
        with pytest.raises(LeadsNoMore), translated_errors():
            judge()
    b.leader = leads
    assert b.doubted() == ["a"]


SLOW = """
import asyncio
from pathlib import Path
from jobhooks import JobHookReceiver

class Slow(JobHookReceiver):
    class Meta:
        max_attempts = 1
    async def receive_job_hook(self, change):
        while not Path("go").exists():
            await asyncio.sleep(0.05)
"""


def test_sessions_that_end_charge_no_delivery(device: Connection, database: str, tmp_path: Path) -> None:
    """Two daemons that both live lead in turn, while the same deliveries are in flight, marked and alone."""
    receivers = write_receivers(tmp_path / "receivers", SLOW)
    add_hook(database, receivers, "r.Slow", ["create"])
    with ExitStack() as stack:
        daemons = [stack.enter_context(Daemon(database, receivers, tmp_path / f"{number}.log")) for number in (1, 2)]
        wait_until("one stands by", lambda: any(daemon.events("standing_by") for daemon in daemons))
        wait_until("one leads", lambda: any(daemon.events("started") for daemon in daemons))
        device.execute("insert into public.device (name) select i::text from generate_series(1, 30) as i")
        for turn in range(1, 4):
            started = sum(len(daemon.events("started")) for daemon in daemons)
            device.execute("select pg_terminate_backend(jobhooks.leader_session())")
            wait_until(
                "the next one leads",
                lambda started=started: sum(len(daemon.events("started")) for daemon in daemons) > started,
            )
            wait_until(
                "the other one is back",
                lambda turn=turn: sum(len(daemon.events("standing_by")) for daemon in daemons) > turn,
            )
        (receivers / "go").touch()
        count = "select count(*), count(*) filter (where status = 'success') from jobhooks.job_result"
        wait_until("all are delivered", lambda: device.execute(count).fetchone() == (30, 30))
        assert not any(daemon.events("last_daemon_died") for daemon in daemons)
        assert any(daemon.events("former_leader_in_doubt") for daemon in daemons)
