"""Running receivers: their arguments, and that their writes, log and result commit or roll back together."""

import asyncio
import contextlib
import datetime
from dataclasses import replace
from typing import Any

import asyncpg
import psycopg
import pytest
from psycopg.rows import dict_row

from conftest import Connection
from jobhooks import Change, JobHookReceiver, MarkRefused, StaleObject
from jobhooks.contract.choices import ObjectChangeActionChoices as Action
from jobhooks.contract.job_settings import JobSettings
from jobhooks.discovery.loading import find_receivers
from jobhooks.engine.delivery.outcome import Outcome
from jobhooks.errors import AlreadySettled
from jobhooks.matching.hook_settings import HookSettings
from jobhooks.operations import tables
from jobhooks.operations.configuration import hooks, jobs
from jobhooks.operations.configuration.jobs import FoundJob
from jobhooks.schema.install import install
from jobhooks.store.connections import asyncpg_arguments, connect, connect_async
from support.engine.reading import open_reader
from support.engine.running import HOOK, deliver, last_change, open_running, pending
from support.generated import ROOT
from support.postgres.servers import Server, drop_database


def results(conn: Connection) -> list[tuple[object, ...]]:
    return conn.execute("select status, error from jobhooks.job_result order by change_id, attempt").fetchall()


def name(conn: Connection) -> object:
    row = conn.execute("select name from public.device where id = 1").fetchone()
    return row and row[0]


class Renames(JobHookReceiver):
    """Uses the live row and the connection."""

    def receive_job_hook(self, change: Change, action: Action, changed_object: Any) -> None:
        changed_object.name = f"{changed_object.name} ({action})"
        changed_object.save()
        self.connection.execute("insert into public.device (name) values ('by connection')")
        self.log_info(changed_object, "renamed")


class RenamesAsync(JobHookReceiver["asyncpg.Connection[asyncpg.Record]"]):
    """The same, asynchronously."""

    async def receive_job_hook(self, change: Change, action: Action, changed_object: Any) -> None:
        changed_object.name = f"{changed_object.name} ({action})"
        await changed_object.save()
        await self.connection.execute("insert into public.device (name) values ('by connection')")
        self.log_info(changed_object, "renamed")


@pytest.mark.parametrize("receiver", [Renames, RenamesAsync])
def test_writes_log_and_result_commit_together_and_are_marked(
    hooked: Connection, database: str, receiver: type[JobHookReceiver[Any]]
) -> None:
    hooked.execute("update public.device set name = 'a'")
    outcome = deliver(database, receiver)
    assert outcome.error is None
    assert name(hooked) == "a (update)"
    assert results(hooked) == [("success", None)]
    log = hooked.execute("select line, level, object, message from jobhooks.job_log_entry").fetchall()
    assert log == [(1, "info", "public.device id=1", "renamed")]
    marked = hooked.execute(
        "select triggering, context #>> '{caused_by}', transaction_id::text"
        " from jobhooks.object_change where id > 1 order by id"
    ).fetchall()
    assert [row[:2] for row in marked] == [(False, '{"change":1,"hook":1,"attempt":1}')] * 2
    result_transaction = hooked.execute("select xmin::text from jobhooks.job_result").fetchone()
    assert {row[2] for row in marked} == {result_transaction[0] if result_transaction else None}


class Raises(JobHookReceiver):
    """Fails after it wrote."""

    def receive_job_hook(self, change: Change, action: Action, changed_object: Any) -> None:
        changed_object.name = "written"
        changed_object.save()
        self.log_info("about to fail")
        raise ValueError("no \0 such thing \ud800")


class RaisesAsync(JobHookReceiver["asyncpg.Connection[asyncpg.Record]"]):
    """The same, asynchronously."""

    async def receive_job_hook(self, change: Change, action: Action, changed_object: Any) -> None:
        changed_object.name = "written"
        await changed_object.save()
        self.log_info("about to fail")
        raise ValueError("no \0 such thing \ud800")


@pytest.mark.parametrize("receiver", [Raises, RaisesAsync])
def test_a_failure_undoes_the_writes_and_keeps_log_and_delivery(
    hooked: Connection, database: str, receiver: type[JobHookReceiver[Any]]
) -> None:
    hooked.execute("update public.device set name = 'a'")
    deliver(database, receiver)
    assert name(hooked) == "a"
    assert results(hooked) == [("failure", "ValueError: no \\0 such thing \\ud800")]
    assert hooked.execute("select message from jobhooks.job_log_entry").fetchall() == [("about to fail",)]
    (traceback,) = hooked.execute("select traceback from jobhooks.job_result").fetchone() or ("",)
    assert "raise ValueError" in traceback
    assert hooked.execute("select change_id, hook_id, status, attempts from jobhooks.delivery").fetchall() == [
        (1, 1, "waiting", 1)
    ]
    assert hooked.execute("select count(*) from jobhooks.object_change").fetchone() == (1,)


class Commits(JobHookReceiver):
    def receive_job_hook(self, change: Change, action: Action, changed_object: Any) -> None:
        self.connection.execute("update public.device set name = 'half'")
        self.connection.commit()


class CommitsBySql(JobHookReceiver):
    def receive_job_hook(self, change: Change, action: Action, changed_object: Any) -> None:
        self.connection.execute("commit")
        self.connection.execute("begin")


class CommitsBySqlAsync(JobHookReceiver["asyncpg.Connection[asyncpg.Record]"]):
    async def receive_job_hook(self, change: Change, action: Action, changed_object: Any) -> None:
        await self.connection.execute("commit")


class SwallowsAnError(JobHookReceiver):
    def receive_job_hook(self, change: Change, action: Action, changed_object: Any) -> None:
        with contextlib.suppress(psycopg.Error):
            self.connection.execute("select 1/0")


class SwallowsAnErrorAsync(JobHookReceiver["asyncpg.Connection[asyncpg.Record]"]):
    async def receive_job_hook(self, change: Change, action: Action, changed_object: Any) -> None:
        with contextlib.suppress(asyncpg.PostgresError):
            await self.connection.execute("select 1/0")


class Exits(JobHookReceiver):
    def receive_job_hook(self, change: Change, action: Action, changed_object: Any) -> None:
        raise SystemExit(3)


class CancelledInside(JobHookReceiver["asyncpg.Connection[asyncpg.Record]"]):
    async def receive_job_hook(self, change: Change, action: Action, changed_object: Any) -> None:
        task = asyncio.ensure_future(asyncio.sleep(60))
        task.cancel()
        await task


class RaisesWhatIsNoException(JobHookReceiver):
    def receive_job_hook(self, change: Change, action: Action, changed_object: Any) -> None:
        raise asyncio.CancelledError


class Interrupts(JobHookReceiver["asyncpg.Connection[asyncpg.Record]"]):
    async def receive_job_hook(self, change: Change, action: Action, changed_object: Any) -> None:
        raise KeyboardInterrupt


class Unspeakable(Exception):
    def __str__(self) -> str:
        raise RuntimeError("no words")


class RaisesTheUnspeakable(JobHookReceiver):
    def receive_job_hook(self, change: Change, action: Action, changed_object: Any) -> None:
        raise Unspeakable


class HiddenAsync(JobHookReceiver):
    def receive_job_hook(self, change: Change, action: Action, changed_object: Any) -> object:
        async def work() -> None:
            raise AssertionError("never run")

        return work()


class TerminatesItsConnectionAsync(JobHookReceiver["asyncpg.Connection[asyncpg.Record]"]):
    async def receive_job_hook(self, change: Change, action: Action, changed_object: Any) -> None:
        self.connection.terminate()


class ClosesItsConnection(JobHookReceiver):
    def receive_job_hook(self, change: Change, action: Action, changed_object: Any) -> None:
        self.connection.close()


class ClosesItsConnectionAsync(JobHookReceiver["asyncpg.Connection[asyncpg.Record]"]):
    async def receive_job_hook(self, change: Change, action: Action, changed_object: Any) -> None:
        await self.connection.close()


class Empty(JobHookReceiver):
    """Has no receive_job_hook."""


class TakesOther(JobHookReceiver):
    def receive_job_hook(self, row: Any) -> None:  # type: ignore[override]  # pyright: ignore[reportIncompatibleMethodOverride]
        pass


class CannotStart(JobHookReceiver):
    def __init__(self, run: Any) -> None:
        raise RuntimeError("no start")


@pytest.mark.parametrize(
    ("receiver", "error"),
    [
        (Commits, "commit"),
        (CommitsBySql, "the receiver ended the transaction"),
        (CommitsBySqlAsync, "the receiver ended the transaction"),
        (SwallowsAnError, "current transaction is aborted"),
        (SwallowsAnErrorAsync, "current transaction is aborted"),
        (Exits, "SystemExit: 3"),
        (CancelledInside, "CancelledError"),
        (RaisesWhatIsNoException, "CancelledError"),
        (Interrupts, "KeyboardInterrupt"),
        (RaisesTheUnspeakable, "Unspeakable: <Unspeakable whose __str__ raises RuntimeError>"),
        (HiddenAsync, "awaitable"),
        (TerminatesItsConnectionAsync, "connection"),
        (ClosesItsConnection, "is closed"),
        (ClosesItsConnectionAsync, "connection is closed"),
        (Empty, "receive_job_hook"),
        (TakesOther, "required positional argument: 'row'"),
        (CannotStart, "no start"),
    ],
)
def test_whatever_a_receiver_does_is_a_recorded_failure_and_not_a_crash(
    hooked: Connection, database: str, receiver: type[JobHookReceiver[Any]], error: str
) -> None:
    hooked.execute("update public.device set name = 'a'")
    deliver(database, receiver)
    ((status, recorded),) = results(hooked)
    assert status == "failure" and error in str(recorded)
    assert name(hooked) == "a"
    assert hooked.execute("select status from jobhooks.delivery").fetchall() == [("waiting",)]


def test_a_deferred_constraint_that_fails_at_commit_is_a_recorded_failure(hooked: Connection, database: str) -> None:
    """The result is in the transaction by then, and must go with it."""
    hooked.execute(
        "create table public.rack (id integer primary key, device integer"
        " references public.device (id) deferrable initially deferred)"
    )

    class Dangles(JobHookReceiver):
        def receive_job_hook(self, change: Change, action: Action, changed_object: Any) -> None:
            self.connection.execute("insert into public.rack values (1, 99)")

    hooked.execute("update public.device set name = 'a'")
    deliver(database, Dangles)
    ((status, error),) = results(hooked)
    assert status == "failure" and "foreign key" in str(error)
    assert hooked.execute("select from public.rack").fetchall() == []


def test_log_failure_marks_the_run_failed_and_keeps_the_writes(hooked: Connection, database: str) -> None:
    class Complains(JobHookReceiver):
        def receive_job_hook(self, change: Change, action: Action, changed_object: Any) -> None:
            changed_object.name = "kept"
            changed_object.save()
            self.log_failure("not good")

    hooked.execute("update public.device set name = 'a'")
    deliver(database, Complains)
    assert results(hooked) == [("failure", "not good")]
    assert name(hooked) == "kept"


def test_an_attempt_is_recorded_once(hooked: Connection, database: str) -> None:
    """A daemon that was taken for dead, and goes on, meets the result of its successor and undoes its writes."""
    hooked.execute("update public.device set name = 'a'")
    deliver(database, Renames)
    with pytest.raises(AlreadySettled):
        deliver(database, Renames)
    assert name(hooked) == "a (update)"
    assert results(hooked) == [("success", None)]


def test_a_row_changed_by_someone_else_is_not_overwritten(hooked: Connection, database: str) -> None:
    class Slow(JobHookReceiver):
        def receive_job_hook(self, change: Change, action: Action, changed_object: Any) -> None:
            hooked.execute("update public.device set serial = 'theirs'")
            changed_object.name = "mine"
            changed_object.save()

    hooked.execute("update public.device set name = 'a'")
    deliver(database, Slow)
    ((status, error),) = results(hooked)
    assert (status, str(error).partition(":")[0]) == ("failure", "StaleObject")
    assert "public.device id=1" in str(error)
    assert hooked.execute("select name, serial from public.device").fetchall() == [("a", "theirs")]


def test_a_live_row_saves_refreshes_and_deletes(hooked: Connection, database: str) -> None:
    class HookQueues(JobHookReceiver):
        def receive_job_hook(self, change: Change, action: Action, changed_object: Any) -> None:
            changed_object.save()  # nothing assigned, nothing written
            changed_object.name = "one"
            changed_object.save()
            changed_object["serial"] = "two"
            changed_object.save()  # its own write does not make it stale
            self.connection.execute("update public.device set name = 'three'")
            changed_object.refresh()
            assert (changed_object.name, changed_object.serial) == ("three", "two")
            assert list(changed_object) == ["id", "name", "serial"]
            with pytest.raises(AttributeError, match=r"rack.*id, name, serial"):
                changed_object.rack = 1
            changed_object.delete()
            with pytest.raises(StaleObject):
                changed_object.refresh()

    hooked.execute("update public.device set name = 'a'")
    assert deliver(database, HookQueues).error is None
    actions = hooked.execute(
        "select action::text from jobhooks.object_change where not triggering order by id"
    ).fetchall()
    assert actions == [("update",), ("update",), ("update",), ("delete",)]


def test_a_live_row_keeps_every_type_when_a_snapshot_is_assigned_back(
    hooked: Connection, conn: Connection, database: str
) -> None:
    """The example receiver's action, for every column type."""
    columns = {
        "i": "integer", "n": "numeric", "f": "double precision", "t": "text", "b": "boolean", "y": "bytea",
        "d": "date", "ts": "timestamptz", "iv": "interval", "u": "uuid", "j": "jsonb", "a": "integer[]", "x": "text[]",
        "r": "int4range", "p": "point", "ip": "inet",
    }  # fmt: skip
    definitions = ", ".join(f"{column} {kind}" for column, kind in columns.items())
    conn.execute(f"create table public.kinds (id integer primary key, {definitions})".encode())
    with contextlib.closing(connect(database)) as admin:
        tables.watch(admin, "public.kinds", None, keyless=False, always=False)
    conn.execute(
        r"""insert into public.kinds values (1, 1, 12345678901234567890.12345678901234567890, 1e-300, E'x''\n', true,
        '\x00ff', '-infinity', 'infinity', '1 mon 2 days 03:04:05.6', gen_random_uuid(),
        '{"a": [1.50, null, "\u00e9"]}', '{{1,2},{3,null}}', '{"a,b","\"",null}', '[1,5)', '(1,2)', '10.0.0.0/8')"""
    )
    (original,) = conn.execute("select kinds::text from public.kinds").fetchall()

    class Restores(JobHookReceiver):
        def receive_job_hook(self, change: Change, action: Action, changed_object: Any) -> None:
            removed = change.get_snapshots()["differences"]["removed"] or {}
            for column, value in removed.items():
                changed_object[column] = value
            changed_object.save()

    nulls = ", ".join(f"{column} = null" for column in columns)
    conn.execute(f"update public.kinds set {nulls}".encode())
    assert deliver(database, Restores).error is None
    assert conn.execute("select kinds::text from public.kinds").fetchall() == [original]


def test_python_values_are_taken_for_columns(hooked: Connection, conn: Connection, database: str) -> None:
    conn.execute(
        "create table public.kinds (id integer primary key, d date, y bytea, iv interval, f float8, ts timestamptz)"
    )
    with contextlib.closing(connect(database)) as admin:
        tables.watch(admin, "public.kinds", None, keyless=False, always=False)

    class Assigns(JobHookReceiver):
        def receive_job_hook(self, change: Change, action: Action, changed_object: Any) -> None:
            changed_object.d = datetime.date(2026, 1, 2)
            changed_object.y = b"\x00\xff"
            changed_object.iv = datetime.timedelta(days=-1, seconds=3.5)
            changed_object.f = float("inf")
            changed_object.ts = datetime.datetime(2026, 1, 2, 3, 4, 5, tzinfo=datetime.UTC)
            changed_object.save()

    conn.execute("insert into public.kinds values (1)")
    assert deliver(database, Assigns).error is None
    with conn.cursor() as cursor:
        cursor.execute("set timezone = 'UTC'")
        cursor.execute("select kinds::text from public.kinds")
        assert cursor.fetchall() == [
            (r'(1,2026-01-02,"\\x00ff","-1 days +00:00:03.5",Infinity,"2026-01-02 03:04:05+00")',)
        ]


def test_the_changed_object_is_none_where_there_is_none(hooked: Connection, database: str) -> None:
    seen: list[object] = []

    class Looks(JobHookReceiver):
        def receive_job_hook(self, change: Change, action: Action, changed_object: Any) -> None:
            seen.append((action, changed_object))

    hooked.execute("delete from public.device")
    deliver(database, Looks)
    hooked.execute("truncate public.device")
    deliver(database, Looks)
    hooked.execute("insert into public.device (name) values ('soon gone')")
    hooked.execute("drop table public.device")
    deliver(database, Looks)
    assert seen == [("delete", None), ("truncate", None), ("create", None)]


def test_a_changed_key_is_followed(hooked: Connection, database: str) -> None:
    hooked.execute("update public.device set id = default")
    hooked.execute("alter table public.device alter id set generated by default")
    hooked.execute("update public.device set id = 77")
    assert deliver(database, Renames).error is None
    assert hooked.execute("select name from public.device where id = 77").fetchall() == [("edge-1 (update)",)]


def test_a_connection_of_the_receivers_own_can_be_marked(hooked: Connection, database: str) -> None:
    """An ORM's, say. The mark ends with the transaction, and outside one it is refused."""

    class Orm(JobHookReceiver):
        def receive_job_hook(self, change: Change, action: Action, changed_object: Any) -> None:
            with psycopg.connect(database) as own:
                self.mark(own)
                own.execute("update public.device set serial = 'marked'")
                own.commit()
                own.execute("update public.device set serial = 'not marked'")
            with psycopg.connect(database, autocommit=True) as own, pytest.raises(MarkRefused):
                self.mark(own)

    hooked.execute("update public.device set name = 'a'")
    assert deliver(database, Orm).error is None
    rows = hooked.execute(
        "select triggering, (context -> 'caused_by' ->> 'change')::integer from jobhooks.object_change"
        " where id > 1 order by id"
    )
    assert rows.fetchall() == [(False, 1), (True, None)]


def test_an_async_connection_of_the_receivers_own_can_be_marked(hooked: Connection, database: str) -> None:
    class Own(JobHookReceiver["asyncpg.Connection[asyncpg.Record]"]):
        async def receive_job_hook(self, change: Change, action: Action, changed_object: Any) -> None:
            with contextlib.closing(connect(database)) as conn:
                arguments = asyncpg_arguments(conn)
            own = await connect_async(arguments)
            async with own.transaction():
                await self.mark(own)
                await own.execute("update public.device set serial = 'marked'")
            with pytest.raises(MarkRefused):
                await self.mark(own)
            await own.close()

    hooked.execute("update public.device set name = 'a'")
    assert deliver(database, Own).error is None
    rows = hooked.execute("select triggering from jobhooks.object_change where id > 1").fetchall()
    assert rows == [(False,)]


def test_a_mark_of_a_role_without_leave_is_refused(hooked: Connection, database: str, role: str) -> None:
    """The database would ignore the mark, and the receiver would trigger itself without end."""
    hooked.execute(f"grant all on public.device to {role}".encode())
    marked: list[str] = []

    class Orm(JobHookReceiver):
        def receive_job_hook(self, change: Change, action: Action, changed_object: Any) -> None:
            with psycopg.connect(database, user=role) as own:
                with pytest.raises(
                    MarkRefused, match=rf"role {role} is no member.* Try: grant jobhooks_receiver to {role};"
                ):
                    self.mark(own)
                own.execute("select 1")  # the transaction goes on
                hooked.execute(f"grant jobhooks_receiver to {role}".encode())
                self.mark(own)
                marked.append("def")

    class Own(JobHookReceiver["asyncpg.Connection[asyncpg.Record]"]):
        async def receive_job_hook(self, change: Change, action: Action, changed_object: Any) -> None:
            with contextlib.closing(connect(database, user=role)) as conn:
                arguments = asyncpg_arguments(conn)
            own = await connect_async(arguments)
            async with own.transaction():
                with pytest.raises(MarkRefused, match="is no member of jobhooks_receiver"):
                    await self.mark(own)
                marked.append("async def")
            await own.close()

    hooked.execute("update public.device set name = 'a'")
    assert deliver(database, Orm).error is None
    hooked.execute(f"revoke jobhooks_receiver from {role}".encode())
    assert deliver(database, Own).error is None
    assert marked == ["def", "async def"]


def test_the_example_brings_back_the_last_valid_serial(hooked: Connection, database: str) -> None:
    """Two invalid serials in one transaction: neither run may write the first one back over the second."""
    registry = find_receivers([ROOT / "receivers"])
    found = registry.receivers["validate_serial.ValidateSerial"].receiver

    async def attempt_both() -> list[Outcome]:
        async with open_reader(database, 1000) as reader:
            changes = (await reader.next_page())[-2:]
        async with open_running(database) as running:
            return [await running.attempt(found, pending(change)) for change in changes]

    with hooked.transaction():
        for serial in ("first", "second"):
            hooked.execute("update public.device set serial = %s where id = 1", [serial])
    outcomes = asyncio.run(attempt_both())
    assert [outcome.error for outcome in outcomes] == [None, None]
    assert hooked.execute("select serial from public.device where id = 1").fetchone() == ("FX2024-00017",)
    log = hooked.execute("select message from jobhooks.job_log_entry order by change_id, line")
    messages = [text for (text,) in log]
    assert "The serial first is not valid, and has changed since." in messages
    assert messages[-1] == "Set the serial back to FX2024-00017."


def run_both(
    database: str, first: type[JobHookReceiver[Any]], second: type[JobHookReceiver[Any]], class_path: str
) -> list[Outcome]:
    """Run two receivers for the newest change, one after the other, the second one as ``class_path``."""

    async def attempt() -> list[Outcome]:
        change = await last_change(database)
        async with open_running(database) as running:
            return [
                await running.attempt(first, pending(change)),
                await running.attempt(second, pending(change, replace(HOOK, job=class_path), attempts=1)),
            ]

    return asyncio.run(attempt())


STATE = """
    set search_path = pg_temp; set role pg_monitor; create temporary table litter (a integer);
    select pg_advisory_lock(4711); listen litter; declare litter cursor with hold for select 1
"""
LEFT = """
    select current_setting('search_path'), current_user = session_user, to_regclass('pg_temp.litter'),
    (select count(*) from pg_locks where locktype = 'advisory' and objid = 4711 and pid = pg_backend_pid()),
    (select count(*) from pg_listening_channels()), (select count(*) from pg_cursors where name = 'litter'), 5
"""


class Litters(JobHookReceiver):
    def receive_job_hook(self, change: Change, action: Action, changed_object: Any) -> None:
        self.connection.row_factory = dict_row  # pyright: ignore[reportAttributeAccessIssue] - as authors do
        for statement in STATE.split(";"):
            self.connection.execute(statement.encode())
        self.connection.execute("reset role")


class Finds(JobHookReceiver):
    def receive_job_hook(self, change: Change, action: Action, changed_object: Any) -> None:
        assert self.connection.execute(LEFT).fetchone() == ('"$user", public', True, None, 0, 0, 0, 5)
        assert self.connection.execute("select %s::text", ["as psycopg has it"]).fetchone() == ("as psycopg has it",)


class LittersAsync(JobHookReceiver["asyncpg.Connection[asyncpg.Record]"]):
    async def receive_job_hook(self, change: Change, action: Action, changed_object: Any) -> None:
        await self.connection.execute(STATE)
        await self.connection.execute("reset role")


class FindsAsync(JobHookReceiver["asyncpg.Connection[asyncpg.Record]"]):
    async def receive_job_hook(self, change: Change, action: Action, changed_object: Any) -> None:
        row = await self.connection.fetchrow(LEFT)
        assert row is not None and tuple(row) == ('"$user", public', True, None, 0, 0, 0, 5), row


@pytest.mark.parametrize(("first", "second"), [(Litters, Finds), (LittersAsync, FindsAsync)])
def test_what_a_receiver_leaves_in_its_session_does_not_reach_the_next(
    hooked: Connection, database: str, first: type[JobHookReceiver[Any]], second: type[JobHookReceiver[Any]]
) -> None:
    hooked.execute("update public.device set name = 'a'")
    assert [outcome.traceback for outcome in run_both(database, first, second, "m.C")] == [None, None]


class TeachesAsync(JobHookReceiver["asyncpg.Connection[asyncpg.Record]"]):
    async def receive_job_hook(self, change: Change, action: Action, changed_object: Any) -> None:
        for name in ("json", "timestamptz", "int4"):
            await self.connection.set_type_codec(name, schema="pg_catalog", encoder=repr, decoder=repr)


def test_what_a_receiver_teaches_its_driver_does_not_reach_another(hooked: Connection, database: str) -> None:
    """A session can be made as new, a driver's connection cannot: so each receiver has its own."""
    hooked.execute("update public.device set name = 'a'")
    outcomes = run_both(database, TeachesAsync, FindsAsync, "m.D")
    assert [outcome.traceback for outcome in outcomes] == [None, None]


class IsIdle(JobHookReceiver):
    def receive_job_hook(self, change: Change, action: Action, changed_object: Any) -> None:
        self.log_info("ran")


class IsIdleAsync(JobHookReceiver["asyncpg.Connection[asyncpg.Record]"]):
    async def receive_job_hook(self, change: Change, action: Action, changed_object: Any) -> None:
        self.log_info("ran")


@pytest.mark.parametrize("receiver", [IsIdle, IsIdleAsync])
def test_a_connection_that_was_cut_while_idle_fails_nobody(
    hooked: Connection, database: str, receiver: type[JobHookReceiver[Any]]
) -> None:
    """By a firewall, idle_session_timeout or a failover: no receiver was called, so none fails."""
    hooked.execute("update public.device set name = 'a'")

    async def attempt() -> Outcome:
        change = await last_change(database)
        async with open_running(database) as running:
            await running.attempt(receiver, pending(change))
            hooked.execute(
                "select pg_terminate_backend(pid, 5000) from pg_stat_activity"
                " where application_name = 'jobhooks receiver' and datname = current_database()"
            )
            return await running.attempt(receiver, pending(change, attempts=1))

    assert asyncio.run(attempt()).error is None
    assert results(hooked) == [("success", None)] * 2


def test_a_table_with_a_domain_that_is_never_null_is_read_and_written(
    hooked: Connection, conn: Connection, database: str
) -> None:
    conn.execute("create domain public.never_null as text not null")
    conn.execute("create table public.kinds (id public.never_null primary key, a public.never_null, b text)")
    with contextlib.closing(connect(database)) as admin:
        tables.watch(admin, "public.kinds", None, keyless=False, always=False)

    class Writes(JobHookReceiver):
        def receive_job_hook(self, change: Change, action: Action, changed_object: Any) -> None:
            changed_object.b = "written"
            changed_object.save()

    conn.execute("insert into public.kinds values ('1', 'a')")
    assert deliver(database, Writes).error is None
    assert conn.execute("select id, a, b from public.kinds").fetchall() == [("1", "a", "written")]


def test_a_database_in_another_encoding_takes_what_it_can_of_a_log(server: Server, roles: list[str]) -> None:
    """An arrow in a message must not fail the run, nor end the daemon."""
    name = "jobhooks_test_latin"
    drop_database(server, name)
    server.execute("create database {} encoding 'LATIN1' locale 'C' template template0", name)
    database = server.url(name)
    try:
        with psycopg.connect(database, autocommit=True, client_encoding="utf8") as conn:
            conn.execute("create table public.device (id integer primary key, name text, serial text)")
            with contextlib.closing(connect(database)) as admin:
                install(admin)
                tables.watch(admin, "public.device", None, keyless=False, always=False)
                jobs.register_jobs(admin, [FoundJob("m.C", JobSettings(name="C"))], complete=True)
                jobs.enable_job(admin, "m.C")
                hooks.add_hook(admin, HookSettings("h", ["public.device"], "m.C", ["create"]))

            class Logs(JobHookReceiver):
                def receive_job_hook(self, change: Change, action: Action, changed_object: Any) -> None:
                    self.log_info(f"{changed_object.name} → there")
                    raise ValueError("→")

            conn.execute("insert into public.device values (1, 'é')")
            deliver(database, Logs)
            assert results(conn) == [("failure", "ValueError: \\u2192")]
            messages = conn.execute("select message from jobhooks.job_log_entry").fetchall()
            assert messages == [("\\xe9 \\u2192 there",)]
    finally:
        drop_database(server, name)


class Prepares(JobHookReceiver):
    """Prepares its transaction, whose locks would outlive the run."""

    def receive_job_hook(self, change: Change) -> None:
        self.connection.execute("update public.device set name = 'prepared'")
        self.connection.execute("prepare transaction 'kept'")


class PreparesAsync(JobHookReceiver["asyncpg.Connection[asyncpg.Record]"]):
    """The same, asynchronously."""

    async def receive_job_hook(self, change: Change) -> None:
        await self.connection.execute("update public.device set name = 'prepared'")
        await self.connection.execute("prepare transaction 'kept'")


@pytest.mark.parametrize("receiver", [Prepares, PreparesAsync])
def test_a_receiver_cannot_prepare_its_transaction(
    hooked: Connection, database: str, receiver: type[JobHookReceiver[Any]]
) -> None:
    """The run fails, and leaves no prepared transaction."""
    hooked.execute("update public.device set name = 'a'")
    deliver(database, receiver)
    ((status, error),) = results(hooked)
    assert status == "failure" and "a receiver cannot prepare its transaction" in str(error)
    assert hooked.execute("select count(*) from pg_prepared_xacts").fetchone() == (0,)
    assert name(hooked) == "a"
