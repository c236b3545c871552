"""Describing events to a person: the changes in the log, with their runs. Plain lines in a pipe."""

import datetime
import time
from collections.abc import Sequence
from dataclasses import dataclass

import msgspec
from rich.console import Console
from rich.text import Text

from jobhooks.contract.snapshots import Row, decode_row, differences
from jobhooks.store.connections import SyncConnection, call

LEVEL_STYLES = {"debug": "dim", "info": "cyan", "success": "green", "warning": "yellow"}
FOLLOW_INTERVAL = 0.2  # seconds


@dataclass(frozen=True)
class ToldLogEntry:
    """A receiver's log line."""

    level: str
    message: str


@dataclass(frozen=True)
class ToldResult:
    """The outcome of a run."""

    hook: str
    receiver: str
    status: str
    attempt: int
    duration_ms: float
    error: str | None
    log: tuple[ToldLogEntry, ...]


@dataclass(frozen=True)
class ToldChange:
    """A change in the log, and the results of its deliveries."""

    id: int
    action: str
    table: str
    triggering: bool
    caused_by_change_id: int | None
    before: Row | None
    after: Row | None
    results: tuple[ToldResult, ...]


def changes_after(conn: SyncConnection, last_id: int) -> list[ToldChange]:
    """Read the changes with a greater id, in order, with their results so far."""
    return [
        ToldChange(
            *facts,
            before=None if before is None else decode_row(before),
            after=None if after is None else decode_row(after),
            results=msgspec.convert(results, tuple[ToldResult, ...]),
        )
        for *facts, before, after, results in call(conn, "told_changes", after_id=last_id)
    ]


def runs_ended_after(
    conn: SyncConnection, moment: datetime.datetime, after_id: int
) -> list[tuple[int, datetime.datetime, ToldResult]]:
    """Read the results that ended later, of changes with a greater id: each with its change and its end, in order."""
    return [
        (change_id, finished_at, msgspec.convert(result, ToldResult))
        for change_id, finished_at, result in call(conn, "told_runs", after_id=after_id, finished_after=moment)
    ]


class Narrator:
    """Prints the story."""

    def __init__(self) -> None:
        self._console = Console(highlight=False, soft_wrap=True)

    def title(self, text: str) -> None:
        """Begin a chapter."""
        self._console.print(Text(f"\n{text}", "bold"))

    def command(self, text: str) -> None:
        """Show a command that a person would type."""
        self._console.print(Text.assemble(("  $ ", "dim"), text))

    def statement(self, sql: str) -> None:
        """Show a statement that a client sends."""
        self._console.print(Text.assemble(("  sql> ", "dim"), (sql, "magenta")))

    def remark(self, text: str) -> None:
        """Say something in passing."""
        self._console.print(Text(f"  {text}", "dim"))

    def verdict(self, claim: str, holds: bool) -> bool:
        """Say whether a claim holds, and return it."""
        mark = ("  yes ", "green") if holds else ("  NO  ", "bold red")
        self._console.print(Text.assemble(mark, claim))
        return holds

    def change(self, change: ToldChange) -> None:
        """Show a change, its differences, and its results."""
        self._console.print(Text.assemble(f"  change {change.id}: ", (change.action, "bold"), f" {change.table}"))
        for line in difference_lines(change.before, change.after):
            self._console.print(Text(f"    {line}"))
        if not change.triggering:
            cause = (
                f"made by the run for change {change.caused_by_change_id}" if change.caused_by_change_id else "marked"
            )
            self.remark(f"  {cause}: recorded, and triggers nothing")
        for result in change.results:
            self._result(result)

    def follow(self, conn: SyncConnection, psql_command: str) -> None:
        """Show changes as they come, until Ctrl-C."""
        last_id = max((change.id for change in changes_after(conn, 0)), default=0)  # before anybody is asked to
        self.title("Your turn: change rows, and watch. Ctrl-C ends it and leaves nothing behind.")
        self.command(psql_command)
        try:
            while True:
                for change in _settled(changes_after(conn, last_id)):
                    self.change(change)
                    last_id = change.id
                time.sleep(FOLLOW_INTERVAL)
        except KeyboardInterrupt:
            self.remark("ending")

    def _result(self, result: ToldResult) -> None:
        style = "green" if result.status == "success" else "red"
        self._console.print(
            Text.assemble(
                f'    hook "{result.hook}" ran {result.receiver}: ',
                (result.status, style),
                f" in {result.duration_ms:.0f} ms" + (f" ({result.error})" if result.error else ""),
            )
        )
        for entry in result.log:
            self._console.print(
                Text.assemble("      ", (f"{entry.level:8}", LEVEL_STYLES.get(entry.level, "red")), entry.message)
            )


def difference_lines(before: Row | None, after: Row | None) -> list[str]:
    """Make a line for each column that differs: the old and the new value."""
    changed = differences(before, after)
    removed, added = changed["removed"] or {}, changed["added"] or {}
    lines: list[str] = []
    for name in {**removed, **added}:
        if name in removed and name in added:
            lines.append(f"{name}: {removed[name]} -> {added[name]}")
        else:
            lines.append(f"{'+' if name in added else '-'} {name}: {({**removed, **added})[name]}")
    return lines


def _settled(changes: Sequence[ToldChange]) -> Sequence[ToldChange]:
    """Leave the last change for later while its run may still be going on."""
    for index, change in enumerate(changes):
        if change.triggering and not change.results and index == len(changes) - 1:
            return changes[:index]
    return changes
