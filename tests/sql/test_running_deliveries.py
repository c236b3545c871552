"""The functions for runs in progress, and their rows, without a daemon."""

from collections.abc import Callable, Generator
from contextlib import ExitStack
from typing import Any

import psycopg
import pytest

from conftest import Connection
from support.daemon import wait_until

Row = tuple[Any, ...]
STATES = "select change_id, state from jobhooks.delivery_states() order by change_id"
BEGUN = (
    '[{{"change_id": {0}, "hook_id": 1, "attempt": {1}, "job_id": 1, "started_at": 0, "host": "h", "pid": 7,'
    ' "merged_into": {2}}}]'
)


class Leader:
    """A session that leads, as a daemon's does. ``conn`` is closed when the next one leads."""

    def __init__(self, conn: Connection) -> None:
        self.conn = conn
        self.number = wait_until("no other session leads", self._acquire)

    def _acquire(self) -> int | None:
        ((number,),) = self.conn.execute("select jobhooks.acquire_leadership()").fetchall()
        return number

    def note(self, *, ended: str | None = None, begun: str | None = None, lines: str | None = None) -> list[Row]:
        query = "select change_id, attempt, deliveries, cancelled from jobhooks.note_runs(%s, %s, %s, %s)"
        return self.conn.execute(query, [self.number, ended, begun, lines]).fetchall()

    def interrupt(self) -> int:
        ((count,),) = self.conn.execute("select jobhooks.interrupt_runs(%s)", [self.number]).fetchall()
        return count


def lines(change_id: int, *messages: str) -> str:
    rows = [
        f'{{"change_id": {change_id}, "hook_id": 1, "line": {number}, "level": "info", "time": "2026-01-01",'
        f' "message": "{message}"}}'
        for number, message in enumerate(messages, 1)
    ]
    return f"[{', '.join(rows)}]"


@pytest.fixture
def lead(database: str) -> Generator[Callable[[], Leader]]:
    """Ends the session that leads, and makes another one lead."""
    stack = ExitStack()

    def next_leader() -> Leader:
        stack.close()
        return Leader(stack.enter_context(psycopg.connect(database, autocommit=True)))

    with stack:
        yield next_leader


@pytest.fixture
def backlog(device: Connection) -> Connection:
    """Hook 1 has a delivery of each of three changes: of one object, of another, and one that is behind the first."""
    device.execute("insert into jobhooks.job (class_path, enabled) values ('a.B', true)")
    device.execute("select jobhooks.add_hook('h', '{public.device}', '{create,update}', 'a.B')")
    for name in "abc":
        device.execute("update public.device set name = %s where id = 1", [name])
    device.execute(
        "insert into jobhooks.delivery (change_id, hook_id, content_type_id, lane, status, due_at) values"
        " (1, 1, 1, 7, 'waiting', now()), (2, 1, 1, 8, 'waiting', now()), (3, 1, 1, 7, 'waiting', now())"
    )
    return device


def states(conn: Connection) -> list[Row]:
    return conn.execute(STATES).fetchall()


def log(conn: Connection, change_id: int) -> list[str]:
    query = "select message from jobhooks.job_log_entry where change_id = %s order by attempt, line"
    return [message for (message,) in conn.execute(query, [change_id])]


def test_each_state(backlog: Connection, lead: Callable[[], Leader]) -> None:
    assert states(backlog) == [(1, "waiting"), (2, "waiting"), (3, "blocked")]
    leader = lead()
    assert leader.note(begun=BEGUN.format(1, 1, "null")) == [(1, 1, 1, None)]
    backlog.execute("update jobhooks.delivery set attempts = 1, failures = 1 where change_id = 2")
    assert states(backlog) == [(1, "running"), (2, "retrying"), (3, "blocked")]
    backlog.execute("update jobhooks.job_hook set paused = true")
    assert states(backlog) == [(1, "running"), (2, "paused"), (3, "blocked")]
    lead()  # another daemon leads, and has not begun anything yet
    assert states(backlog)[0] == (1, "interrupted")
    backlog.execute("update jobhooks.delivery set status = 'dead', due_at = null where change_id = 1")
    assert states(backlog)[0] == (1, "dead")


def test_the_row_of_an_earlier_attempt_says_nothing(backlog: Connection, lead: Callable[[], Leader]) -> None:
    """It is deleted a moment after the result has committed."""
    lead().note(begun=BEGUN.format(1, 1, "null"))
    backlog.execute("update jobhooks.delivery set attempts = 1, failures = 1 where change_id = 1")
    assert states(backlog)[0] == (1, "retrying")


def test_a_run_is_noted_once_its_delivery_is_in_the_backlog(backlog: Connection, lead: Callable[[], Leader]) -> None:
    """Otherwise a later daemon could take a delivery for settled by this row, and it would be lost."""
    leader = lead()
    assert leader.note(begun=BEGUN.format(4, 1, "null")) == []
    assert leader.note(begun=BEGUN.format(1, 2, "null")) == []


def test_a_former_leader_notes_nothing(backlog: Connection, lead: Callable[[], Leader]) -> None:
    former = lead()
    backlog.execute("update jobhooks.cursor set leader = leader + 1")
    with pytest.raises(psycopg.Error) as raised:
        former.note(begun=BEGUN.format(1, 1, "null"))
    assert raised.value.sqlstate == "JH012"


def test_lines_of_interrupted_runs_come_first(backlog: Connection, lead: Callable[[], Leader]) -> None:
    """In the order of the runs; and a result with lines of the same numbers can be written."""
    for message in ("one", "two"):
        leader = lead()
        leader.interrupt()
        leader.note(begun=BEGUN.format(1, 1, "null"), lines=lines(1, message))
    leader = lead()
    assert leader.interrupt() == 1
    backlog.execute(
        "insert into jobhooks.job_log_entry (change_id, hook_id, attempt, line, level, time, message)"
        " values (1, 1, 1, 1, 'info', now(), 'three')"
    )
    messages = log(backlog, 1)
    assert [messages[0], messages[2], messages[4]] == ["one", "two", "three"]
    assert "process 7 on h" in messages[1] and "process 7 on h" in messages[3]
    assert states(backlog)[0] == (1, "waiting")


def test_a_daemon_that_is_killed_again_and_again_adds_no_more_lines(
    backlog: Connection, lead: Callable[[], Leader]
) -> None:
    """Nothing grows for ever."""
    backlog.execute(
        "insert into jobhooks.job_log_entry (change_id, hook_id, attempt, line, level, time, message)"
        " select 1, 1, 1, -2000000000 + number, 'info', now(), 'x' from generate_series(1, 9999) as number"
    )
    for expected in (10_001, 10_001):  # one more line, and one about the interruption
        leader = lead()
        leader.interrupt()
        assert len(log(backlog, 1)) in (9_999, expected)
        leader.note(begun=BEGUN.format(1, 1, "null"), lines=lines(1, "one", "two"))
    lead().interrupt()
    assert len(log(backlog, 1)) == 10_001


def test_a_run_with_a_result_was_not_interrupted(backlog: Connection, lead: Callable[[], Leader]) -> None:
    """It had committed, and its daemon was killed before the row was deleted."""
    leader = lead()
    leader.note(begun=BEGUN.format(1, 1, "null"), lines=lines(1, "one"))
    backlog.execute(
        "insert into jobhooks.job_result (change_id, hook_id, job_id, attempt, status, started_at)"
        " values (1, 1, 1, 1, 'success', now())"
    )
    backlog.execute("select jobhooks.cancel_deliveries('{1}', '{1}')")
    assert leader.note() == [(1, 1, 1, None)]
    assert lead().interrupt() == 1
    assert log(backlog, 1) == []


def test_merged_deliveries_run_together(backlog: Connection, lead: Callable[[], Leader]) -> None:
    leader = lead()
    begun = f"{BEGUN.format(1, 1, 'null')[:-1]}, {BEGUN.format(3, 1, '1')[1:]}"
    assert leader.note(begun=begun) == [(1, 1, 2, None)]
    assert states(backlog) == [(1, "running"), (2, "waiting"), (3, "running")]
    ((ending,),) = backlog.execute("select jobhooks.cancel_deliveries('{3,1}', '{1,1}', 'why')").fetchall()
    ((_, _, _, cancelled),) = leader.note()
    assert ending == 1 and cancelled.startswith("by ") and cancelled.endswith(": why")
    backlog.execute("select jobhooks.discard_deliveries('{3}', '{1}')")
    assert leader.note()[0][:3] == (1, 1, 1)
    assert leader.note(ended='[{"change_id": 1, "hook_id": 1, "attempt": 1}]') == []
    assert backlog.execute("select from jobhooks.running_delivery").fetchall() == []


def test_lines_without_a_result_are_dropped_with_their_changes(backlog: Connection, lead: Callable[[], Leader]) -> None:
    """The hook was deleted after its run was interrupted, so no result will come."""
    leader = lead()
    leader.note(begun=BEGUN.format(1, 1, "null"), lines=lines(1, "one"))
    lead().interrupt()
    backlog.execute("delete from jobhooks.delivery")
    drop = "select jobhooks.drop_old_results(interval '0', 0)"
    backlog.execute(drop)
    assert len(log(backlog, 1)) == 2
    backlog.execute("update jobhooks.log_segment set first_id = 2")
    backlog.execute(drop)
    assert log(backlog, 1) == []
