"""Settings that are attached to the database or the role are for applications, and do not reach jobhooks."""

import json
from pathlib import Path
from typing import Any

import pytest

from conftest import Connection
from jobhooks import Change, JobHookReceiver
from jobhooks.store.connections import asyncpg_arguments, close_async, connect, connect_async
from jobhooks.store.session_settings import ENGINE, RECEIVER, session_settings, set_again
from support.daemon import Daemon, jobhooks, wait_until
from support.delivering import RECEIVERS, seen_by, settled, write
from support.engine.grouping import deliver_all
from support.hooking import add_hook, write_receivers

# Each with a value that would change what this program reads, or end its sessions.
ATTACHED = {
    "datestyle": "German",
    "intervalstyle": "sql_standard",
    "timezone": "<+03>-03",
    "client_encoding": "LATIN1",
    "bytea_output": "escape",
    "extra_float_digits": "-15",
    "standard_conforming_strings": "off",
    "quote_all_identifiers": "on",
    "xmlbinary": "hex",
    "xmloption": "document",
    "array_nulls": "off",
    "transform_null_equals": "on",
    "statement_timeout": "100ms",
    "lock_timeout": "1ms",
    "idle_session_timeout": "1s",
    "idle_in_transaction_session_timeout": "1ms",
    "default_transaction_isolation": "serializable",
    "default_transaction_read_only": "on",
    "default_transaction_deferrable": "on",
    "search_path": "nowhere",
    "row_security": "off",
    "exit_on_error": "on",
    "client_min_messages": "error",
    "plan_cache_mode": "force_custom_plan",
}
COMMANDS = (
    ["status"],
    ["doctor"],
    ["table", "list"],
    ["table", "show", "public.device"],
    ["table", "explain", "public.device"],
    ["change", "list"],
    ["change", "show", "1"],
    ["job", "list"],
    ["job", "show", "r.Sees"],
    ["hook", "list"],
    ["hook", "export"],
    ["delivery", "list"],
    ["result", "list"],
    ["install"],
)


def made(special: dict[str, str]) -> dict[str, str]:
    """The settings of a session beside those attached, from which the order of dates comes."""
    wanted = session_settings(special, "")
    return {**wanted, "datestyle": f"{wanted['datestyle']}, DMY"}


def attach(conn: Connection, settings: dict[str, str]) -> None:
    for name, value in settings.items():
        conn.execute(f"alter database {conn.info.dbname} set {name} = '{value}'".encode())


def test_every_command_and_the_daemon_work_beside_them(
    seen: Connection, database: str, tmp_path: Path, log: Path
) -> None:
    receivers = write_receivers(tmp_path / "receivers", RECEIVERS)
    attach(seen, ATTACHED)
    for receiver in ("Sees", "SeesNow"):
        add_hook(database, receivers, f"r.{receiver}", ["create"])
    with Daemon(database, receivers, log).await_started() as daemon:
        one = write(seen, "d", 1)
        wait_until("both have run", settled(seen, 2))
        expected = [(one, "1")]
        assert seen_by(seen, "Sees") == seen_by(seen, "SeesNow") == expected
        for command in COMMANDS:
            finished = jobhooks(*command, "--database-url", database, cwd=tmp_path)
            assert finished.returncode == 0 or command[0] in ("status", "doctor"), (command, finished)
            assert "Traceback" not in finished.stderr and finished.returncode in (0, 1), (command, finished)
        # The sessions have been idle for longer than idle_session_timeout.
        two = write(seen, "d", 2)
        wait_until("both have run again", settled(seen, 4))
        assert sorted(seen_by(seen, "SeesNow")) == [*expected, (two, "2")]
        assert daemon.events("database_lost") == [] and daemon.tracebacks() == []
        assert daemon.terminate() == 0


@pytest.mark.parametrize("special", [ENGINE, RECEIVER], ids=["engine", "receiver"])
async def test_both_drivers_set_the_same(conn: Connection, database: str, special: dict[str, str]) -> None:
    attach(conn, ATTACHED)
    query = "select lower(name), setting from pg_settings"
    with connect(database, special=special) as sync:
        by_psycopg = dict(sync.execute(query).fetchall())
        opened = await connect_async(asyncpg_arguments(sync).having(special))
    by_asyncpg = {row[0]: row[1] for row in await opened.fetch(query)}
    await close_async(opened)
    wanted = made(special)
    for name in ATTACHED:
        assert by_psycopg[name] == by_asyncpg[name]
        if name in wanted:
            assert by_psycopg[name].lower() == wanted[name].lower(), name


def test_a_limit_that_a_person_asks_for_holds(device: Connection, database: str) -> None:
    """In contrast to one that is attached to the database: PGOPTIONS is for this command."""
    attach(device, {"statement_timeout": "1min"})
    with connect(database, options="-c statement_timeout=1234 -cdatestyle=German --lock-timeout=77") as conn:
        assert conn.execute("show statement_timeout").fetchone() == ("1234ms",)
        assert conn.execute("show lock_timeout").fetchone() == ("77ms",)
        assert conn.execute("show datestyle").fetchone() == ("ISO, DMY",)
    with connect(database) as conn:
        assert conn.execute("show statement_timeout").fetchone() == ("0",)


def test_no_search_path_puts_functions_before_those_of_postgresql(device: Connection, database: str) -> None:
    """A function of the application would otherwise run in this program's statements."""
    device.execute("create schema app")
    device.execute("create function app.pg_backend_pid() returns int language sql as 'select 7'")
    device.execute(f"alter database {device.info.dbname} set search_path = app, pg_catalog".encode())
    with connect(database) as conn:
        assert conn.execute("select pg_backend_pid() = 7, current_setting('search_path')").fetchone() == (False, "app")


READ = """
    insert into public.copy (change, word)
    select {}, json_object_agg(lower(name), current_setting(name)) from pg_settings where lower(name) = any({})
"""
READ_BY_RECEIVERS = sorted((ATTACHED.keys() & session_settings(RECEIVER, "").keys()) - {"lock_timeout"})


class Reads(JobHookReceiver[Any]):
    """Writes the settings of its session, and changes some for the next run."""

    def receive_job_hook(self, change: Change) -> None:
        self.connection.execute(READ.format("%s", "%s"), [change.id, READ_BY_RECEIVERS])
        self.connection.execute("set statement_timeout = 12345")


class ReadsAsync(JobHookReceiver[Any]):
    """The same."""

    async def receive_job_hook(self, change: Change) -> None:
        await self.connection.execute(READ.format("$1", "$2"), change.id, READ_BY_RECEIVERS)
        if change.id > 2:  # this keeps a run to itself
            await self.connection.execute("set statement_timeout = 12345")


@pytest.mark.usefixtures("patient")
@pytest.mark.parametrize("receiver", [Reads, ReadsAsync])
def test_they_do_not_reach_receivers_after_a_reset(
    copying: Connection, database: str, receiver: type[JobHookReceiver[Any]]
) -> None:
    """The session is reset before each run, which brings back what is attached: it is set again, also for a run that
    joins the transaction of another."""
    copying.execute("insert into public.device (name) select i::text from generate_series(1, 5) as i")
    attach(copying, ATTACHED)
    assert [outcome and outcome.error for outcome in deliver_all(database, receiver).values()] == [None] * 5
    words = copying.execute("select word from public.copy order by change").fetchall()
    wanted = made(RECEIVER)
    expected = {name: wanted[name].lower() for name in READ_BY_RECEIVERS}
    assert [{name: value.lower() for name, value in json.loads(word).items()} for (word,) in words] == [expected] * 5


def test_settings_are_set_again_only_if_they_differ() -> None:
    """A run of a role without settings costs no more."""
    assert set_again({}) == ""
    assert set_again({"a": "b\\c'd", "e": "f"}) == (
        "select pg_catalog.set_config(E'a', E'b\\\\c''d', false), pg_catalog.set_config(E'e', E'f', false);"
    )
