"""Short runs of a ``def`` receiver share a transaction in their worker, as those in the loop do."""

import asyncio
import contextlib
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psycopg
import pytest

from conftest import Connection
from jobhooks import Change, Discard, JobHookReceiver
from jobhooks.contract.meta import read_meta
from jobhooks.discovery.registry import FoundReceiver
from jobhooks.engine.delivery.outcome import Clock, Outcome
from jobhooks.engine.running.in_process import calls
from jobhooks.engine.running.in_process.connection import RUN_HAS_ENDED
from jobhooks.engine.running.in_process.order import Order
from jobhooks.engine.running.in_process.transaction import KeptConnection
from support.daemon import wait_until
from support.engine.grouping import copied, pending_deliveries, transactions, write

Work = Callable[["Receiver", Change], None]


class Receiver(JobHookReceiver):
    """Does the same action, ``what``, for each change."""

    what: Work

    def receive_job_hook(self, change: Change) -> None:  # pyright: ignore[reportIncompatibleMethodOverride] - it is given what it names
        type(self).what(self, change)


def copy(self: Receiver, change: Change) -> None:
    self.connection.execute("insert into public.copy (change) values (%s)", [change.id])


def run_at_once(database: str, what: Work, monkeypatch: pytest.MonkeyPatch) -> dict[int, str | None]:
    """Hand all deliveries to a worker; return its outcomes by change. None: run again; missing: not begun."""
    monkeypatch.setattr(calls, "LONGEST_S", 60)
    does = type("Does", (Receiver,), {"what": staticmethod(what)})
    found = FoundReceiver("m.C", does, read_meta(does), Path(__file__))
    deliveries = list(asyncio.run(pending_deliveries(database)))
    orders = [Order("m.C", each.identity, each.hook.job_id, each.change, None, Clock()) for each in deliveries]
    with contextlib.closing(KeptConnection(database)) as connection:
        outcomes = calls.run_receivers(found, orders, connection)
    return {
        each.change.id: None if outcome is None else _said(outcome)
        for each, outcome in zip(deliveries, outcomes, strict=False)
    }


def _said(outcome: Outcome) -> str:
    return f"{outcome.status.value}{', recorded' if outcome.recorded else ''}"


def recorded(conn: Connection) -> list[tuple[Any, ...]]:
    return conn.execute("select change_id, status from jobhooks.job_result order by change_id").fetchall()


def test_they_commit_together_and_each_failure_is_undone_alone(
    copying: Connection, database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def what(self: Receiver, change: Change) -> None:
        if change.id != 7:
            copy(self, change)
        match change.id:
            case 2:
                raise ValueError("no")
            case 3:
                raise Discard("not for us")
            case 4:
                self.log_failure("not good, but kept")
            case 5:
                self.connection.execute("select 1/0")
            case _:
                pass

    write(copying, 8)
    said = run_at_once(database, what, monkeypatch)
    assert said == {
        1: "success, recorded",
        2: "failure",
        3: "discarded",
        4: "failure, recorded",
        5: "failure",
        6: "success, recorded",
        7: "success",
        8: "success, recorded",
    }
    assert copied(copying) == [1, 4, 6, 8] and transactions(copying) == 1
    assert recorded(copying) == [(1, "success"), (4, "failure"), (6, "success"), (8, "success")]


def test_a_thread_that_a_run_leaves_has_no_connection(
    copying: Connection, database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Otherwise it would write in the transaction of a later run, with that run's mark."""
    second_runs = threading.Event()
    errors: list[str] = []
    left: list[threading.Thread] = []

    def what(self: Receiver, change: Change) -> None:
        copy(self, change)
        if change.id == 1:
            conn = self.connection
            leaked = "insert into public.copy (word) values ('leaked')"
            cursor, prepared = conn.cursor(), "prepare p as select 1"
            ways: list[Callable[[], object]] = [
                lambda: self.connection.execute(leaked),
                lambda: conn.execute(leaked),
                lambda: conn.execute(prepared),
                lambda: cursor.execute(leaked),
                lambda: cursor.executemany(leaked, [()]),
                lambda: cursor.copy("copy public.copy (word) from stdin").__enter__(),
                lambda: next(cursor.stream("select 1")),
                conn.transaction().__enter__,
                conn.close,
            ]
            left.append(threading.Thread(target=try_all, args=[ways]))
            left[0].start()
        elif change.id == 2:
            second_runs.set()
            left[0].join()

    def try_all(ways: list[Callable[[], object]]) -> None:
        second_runs.wait()
        for way in ways:
            try:
                way()
            except psycopg.Error as exc:
                errors.append(str(exc))

    write(copying, 3)
    outcomes = run_at_once(database, what, monkeypatch)
    assert outcomes == dict.fromkeys((1, 2, 3), "success, recorded")
    assert errors == [RUN_HAS_ENDED] * 8  # close() does nothing
    assert copied(copying) == [1, 2, 3] and transactions(copying) == 1


@pytest.mark.parametrize("statement", ["commit", "commit; begin", "rollback", "set constraints all immediate"])
def test_what_does_more_than_to_query_is_not_done_beside_others(
    copying: Connection, database: str, monkeypatch: pytest.MonkeyPatch, statement: str
) -> None:
    """It is run again alone; the runs before it are committed, with their results."""

    def what(self: Receiver, change: Change) -> None:
        copy(self, change)
        if change.id == 3:
            self.connection.execute(statement.encode())

    write(copying, 5)
    said = run_at_once(database, what, monkeypatch)
    assert said == {1: "success, recorded", 2: "success, recorded", 3: None}
    assert copied(copying) == [1, 2] and recorded(copying) == [(1, "success"), (2, "success")]


def test_an_error_that_one_swallows_has_all_run_again(
    copying: Connection, database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Alone, each shows its outcome."""

    def what(self: Receiver, change: Change) -> None:
        copy(self, change)
        if change.id == 3:
            with contextlib.suppress(psycopg.Error):
                self.connection.execute("select 1/0")

    write(copying, 5)
    assert set(run_at_once(database, what, monkeypatch).values()) == {None}
    assert copied(copying) == [] and recorded(copying) == []


def test_one_that_would_wait_for_a_lock_gives_way_whatever_it_handles(
    copying: Connection, database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A receiver that handles such an error would take ours for one that it asked for."""

    def what(self: Receiver, change: Change) -> None:
        copy(self, change)
        if change.id == 3:
            with contextlib.suppress(psycopg.Error), self.connection.transaction():
                self.connection.execute("update public.ledger set amount = amount + 1")

    write(copying, 3)
    with psycopg.connect(database) as other:
        other.execute("select from public.ledger for update")
        said = run_at_once(database, what, monkeypatch)
    assert said == {1: "success, recorded", 2: "success, recorded", 3: None}
    assert copied(copying) == [1, 2]


def test_one_that_takes_long_is_ended_where_others_wait_for_it(
    copying: Connection, database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also in the middle of a statement: then all are run again, and the statement does not continue."""
    monkeypatch.setattr(calls, "TOO_LONG_S", 0.3)

    def what(self: Receiver, change: Change) -> None:
        copy(self, change)
        if change.id == 2:
            self.connection.execute("select pg_sleep(60)")

    write(copying, 2)
    assert set(run_at_once(database, what, monkeypatch).values()) == {None}
    assert copied(copying) == []
    running = "select from pg_stat_activity where query like '%pg_sleep(60)%' and pid <> pg_backend_pid()"
    wait_until("its session has ended", lambda: copying.execute(running).fetchall() == [])
