"""The demo's story: the statements on a table, the text for people, and the conditions to check at the end."""

import json
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import LiteralString

from jobhooks.cli.demo.narrator import Narrator, ToldChange, changes_after
from jobhooks.discovery.loading import find_receivers
from jobhooks.errors import JobhooksError
from jobhooks.matching.hook_settings import HookSettings
from jobhooks.operations import tables
from jobhooks.operations.configuration import hooks, jobs
from jobhooks.operations.configuration.receivers import BUILT_IN, register
from jobhooks.schema.install import install
from jobhooks.store.connections import SyncConnection

TABLE = "public.device"
HOOK = "Check serials"
RECEIVER = "validate_serial.ValidateSerial"
CREATE_TABLE: LiteralString = (
    "create table public.device (id integer generated always as identity primary key, name text, serial text)"
)
DELIVERY_TIMEOUT = 15.0  # seconds; a delivery takes milliseconds, the daemon's start about a second


@dataclass(frozen=True)
class Step:
    """One transaction of an ordinary client: a title, its statements, and the number of changes it leads to."""

    title: str
    statements: tuple[LiteralString, ...]
    changes: int
    commit: bool = True


STORY = (
    Step("A device is created", ("insert into public.device (name, serial) values ('edge-1', 'FX2024-00017')",), 1),
    Step(
        "Its serial is changed to one that no vendor has", ("update public.device set serial = 'BAD' where id = 1",), 2
    ),
    Step("It is renamed", ("update public.device set name = 'edge-1.example' where id = 1",), 1),
    Step("It is deleted", ("delete from public.device where id = 1",), 1),
    Step(
        "A transaction is rolled back",
        (
            "insert into public.device (name, serial) values ('ghost', 'BAD')",
            "update public.device set name = 'still a ghost'",
        ),
        changes=0,
        commit=False,
    ),
)


def prepare(conn: SyncConnection, narrator: Narrator) -> None:
    """Act like a new user: install, watch a table, enable a job, add a hook."""
    narrator.statement(CREATE_TABLE)
    conn.execute(CREATE_TABLE)
    install(conn)
    narrator.command("jobhooks install")
    tables.watch(conn, TABLE, None, keyless=False, always=False)
    narrator.command(f"jobhooks table watch {TABLE}")
    register(conn, find_receivers([BUILT_IN]), complete=True)
    jobs.enable_job(conn, RECEIVER)
    narrator.command(f"jobhooks job enable {RECEIVER}")
    hooks.add_hook(conn, HookSettings(HOOK, [TABLE], RECEIVER, ["create", "update", "delete"]))
    narrator.command(
        f'jobhooks hook add "{HOOK}" --content-type {TABLE} --events create,update,delete --job {RECEIVER}'
    )


def play(conn: SyncConnection, narrator: Narrator) -> None:
    """Run the story's transactions, and show the outcome of each.

    Raises:
        JobhooksError: the expected changes and results did not appear in time.
    """
    narrator.command("jobhooks run")
    last_id = 0
    for number, step in enumerate(STORY, 1):
        narrator.title(f"{number}. {step.title}")
        _execute(conn, narrator, step)
        told = _await_settled(conn, last_id, step)
        for change in told:
            narrator.change(change)
            last_id = change.id
        if not told:
            narrator.remark("nothing was recorded, and no hook ran")


def check(conn: SyncConnection, narrator: Narrator, daemon_log: Path) -> None:
    """Check the whole story against the database and the daemon's log, and report each check.

    Raises:
        JobhooksError: a check failed; the message names it.
    """
    narrator.title("Is it right?")
    wrong = [
        claim for claim, holds in _claims(changes_after(conn, 0), daemon_log) if not narrator.verdict(claim, holds)
    ]
    if wrong:
        raise JobhooksError(f"the demo went wrong: it does not hold that {'; '.join(wrong)}")


def _execute(conn: SyncConnection, narrator: Narrator, step: Step) -> None:
    statements: tuple[LiteralString, ...] = step.statements
    if len(statements) > 1 or not step.commit:
        statements = ("begin", *statements, "commit" if step.commit else "rollback")
    for statement in statements:
        narrator.statement(statement)
        conn.execute(statement)


def _await_settled(conn: SyncConnection, last_id: int, step: Step) -> list[ToldChange]:
    """Wait for the number of changes that the step leads to, and return those after ``last_id`` with their results."""
    deadline = time.monotonic() + DELIVERY_TIMEOUT
    while time.monotonic() < deadline:
        told = changes_after(conn, last_id)
        if len(told) >= step.changes and all(change.results for change in told if change.triggering):
            return told
        time.sleep(0.02)
    raise JobhooksError(f'the demo went wrong: "{step.title}" led to nothing within {DELIVERY_TIMEOUT:.0f} seconds')


def _await_events(daemon_log: Path, count: int) -> list[str]:
    """Return the daemon's log events, ``count`` at least if they come in time: it logs after a result is committed."""
    deadline = time.monotonic() + DELIVERY_TIMEOUT
    events: list[str] = []
    while len(events) < count and time.monotonic() < deadline:
        events = [json.loads(line)["event"] for line in daemon_log.read_text().split("\n")[:-1]]
        time.sleep(0.02)
    return events


def _claims(changes: list[ToldChange], daemon_log: Path) -> Iterable[tuple[str, bool]]:
    events = _await_events(daemon_log, 1 + 4)
    rejected, revert = changes[1], changes[2]
    triggering = [change for change in changes if change.triggering]
    results = [result for change in changes for result in change.results]
    yield (
        "the log holds the five changes in order, and nothing of the transaction that was rolled back",
        [change.action for change in changes] == ["create", "update", "update", "update", "delete"]
        and not any("ghost" in str(change.after) for change in changes),
    )
    yield (
        f'the hook "{HOOK}" ran once for each of the four changes that the client made, and succeeded',
        len(triggering) == 4
        and all([result.hook for result in change.results] == [HOOK] for change in triggering)
        and all((result.receiver, result.status, result.attempt) == (RECEIVER, "success", 1) for result in results),
    )
    yield (
        "the receiver put the old serial back, and said so",
        (revert.before, revert.after) == (rejected.after, rejected.before)
        and [entry.level for result in rejected.results for entry in result.log] == ["info", "warning", "success"],
    )
    yield (
        "what the receiver wrote is recorded with the run that wrote it, and triggered nothing",
        [change for change in changes if not change.triggering] == [revert]
        and revert.caused_by_change_id == rejected.id
        and not revert.results,
    )
    yield "the daemon reports four deliveries and no trouble", events == ["started", *["delivered"] * 4]
