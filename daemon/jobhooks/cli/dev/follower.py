"""Shows changes, runs and the daemon's messages about receivers, as they come: as lines for people, or as JSON."""

import datetime
from collections.abc import Sequence
from typing import Any

from rich.console import Console
from rich.text import Text

from jobhooks.cli.demo.narrator import (
    LEVEL_STYLES,
    ToldChange,
    ToldResult,
    changes_after,
    difference_lines,
    runs_ended_after,
)
from jobhooks.cli.show.output import print_json_line, print_message, printable
from jobhooks.errors import with_remedy
from jobhooks.operations.changes import server_time
from jobhooks.operations.development import PREFIX, Arranged
from jobhooks.store.connections import SyncConnection, call

DEAD = "it runs again when you save its file"
FACTS = ("hook", "receiver", "error", "reason", "hint", "remedy")  # of an error in the daemon's log
LATE_CHANGES = 200  # before the newest change, which may have committed after it
LATE_RUNS = datetime.timedelta(seconds=30)  # before the last end of a run, which may have committed after it
CHANGES_WITH_RUNS = 100_000  # the newest ones; a run of an older one is not looked for


class DevFollower:
    """Prints new changes and runs; remembers those that it has printed."""

    def __init__(self, conn: SyncConnection, *, as_json: bool) -> None:
        """Begin after the newest change."""
        ((_, newest),) = call(conn, "log_ends")
        self._conn = conn
        self._as_json = as_json
        self._first = newest or 0
        self._newest = newest or 0
        self._shown: set[int] = set()
        self._runs: set[tuple[int, str, int]] = set()
        self._start = self._last_end = server_time(conn)
        self._refused: set[str] = set()
        self._unhooked: dict[str, str] = {}  # the reason by receiver
        self._out = Console(highlight=False, soft_wrap=True)

    def show_new(self) -> None:
        """Show the changes and runs that have come since the last call."""
        for change in changes_after(self._conn, max(self._first, self._newest - LATE_CHANGES)):
            if change.id not in self._shown:
                self._shown.add(change.id)
                self._newest = max(self._newest, change.id)
                self._change(change)
        begin = self._last_end - LATE_RUNS
        for change_id, end, result in runs_ended_after(self._conn, begin, self._newest - CHANGES_WITH_RUNS):
            run = (change_id, result.hook, result.attempt)
            # That of a change which has committed in the meantime comes after it, at the next call.
            if run not in self._runs and (
                change_id in self._shown or (change_id <= self._first and end >= self._start)
            ):
                self._runs.add(run)
                self._last_end = max(self._last_end, end)
                self._run(change_id, result)

    def arranged(self, new: Arranged) -> None:
        """Show which tables are watched and which receivers are hooked from now on."""
        refused = [step for step in new.refused if step.table not in self._refused]
        self._refused |= {step.table for step in refused}
        if self._as_json:
            for name in ("watched", "enabled", "hooked"):
                if getattr(new, name):
                    print_json_line({"event": name, "names": getattr(new, name)})
        else:
            self._remark("watching", new.watched)
            self._remark("enabled", new.enabled)
            self._remark("hooked to all tables:", [name.removeprefix("dev: ") for name in new.hooked])
        for step in refused:
            print_message(with_remedy(f"cannot watch {step.table}: {step.problem}", step.remedy))
        unhooked = {one.job: str(one.error) for one in new.unhooked}
        for job, problem in unhooked.items():
            if self._unhooked.get(job) != problem:
                print_message(f"cannot hook {job}: {problem}")
        self._unhooked = unhooked

    def retried(self, change_ids: Sequence[int]) -> None:
        """Show whose failed runs are attempted again, with the code that was saved."""
        if self._as_json and change_ids:
            print_json_line({"event": "retried", "change_ids": change_ids})
        elif change_ids:
            self._remark("trying again: change", [str(change_id) for change_id in change_ids])

    def daemon_events(self, events: Sequence[dict[str, Any]]) -> None:
        """Show the daemon's log events about receivers, and its errors. The database has the runs."""
        for event in events:
            name = event["event"]
            if name == "receivers_reloaded":
                self._reloaded(event)
            elif name == "receiver_module_broken":
                self._fault(event, f"broken: {event['path']}:{event['line']}: {event['error']}")
            elif name == "delivery_dead":
                next_step = DEAD if event["hook"].startswith(PREFIX) else f"Try: {event['remedy']}"
                self._fault(event, f"  change {event['change']} is dead for {event['receiver']}: {next_step}")
            elif event.get("level") in ("error", "critical"):
                self._fault(event, ": ".join(["daemon", name, *(str(event[key]) for key in FACTS if key in event)]))

    def _reloaded(self, event: dict[str, Any]) -> None:
        parts = [f"{word} {', '.join(event[word])}" for word in ("added", "changed", "removed") if event.get(word)]
        self._say(event, Text(printable(f"reloaded: {'; '.join(parts)}"), "bold"))

    def _fault(self, event: dict[str, Any], text: str) -> None:
        self._say(event, Text(printable(text), "red"))

    def _change(self, change: ToldChange) -> None:
        if self._as_json:
            print_json_line(
                {
                    "event": "change",
                    "change_id": change.id,
                    "action": change.action,
                    "table": change.table,
                    "triggering": change.triggering,
                    "caused_by": change.caused_by_change_id,
                    "prechange": change.before,
                    "postchange": change.after,
                }
            )
            return
        by = f"  (by the run for change {change.caused_by_change_id})" if change.caused_by_change_id else ""
        self._out.print(
            Text.assemble(f"change {change.id}: ", (change.action, "bold"), printable(f" {change.table}"), (by, "dim"))
        )
        for line in difference_lines(change.before, change.after):
            self._out.print(Text(printable(f"    {line}")))

    def _run(self, change_id: int, result: ToldResult) -> None:
        if self._as_json:
            print_json_line(
                {
                    "event": "run",
                    "change_id": change_id,
                    "hook": result.hook,
                    "job": result.receiver,
                    "status": result.status,
                    "attempt": result.attempt,
                    "duration_ms": result.duration_ms,
                    "error": result.error,
                    "log": result.log,
                }
            )
            return
        attempt = f" (attempt {result.attempt})" if result.attempt > 1 else ""
        style = "green" if result.status == "success" else "red"
        self._out.print(
            Text.assemble(
                f"  run for change {change_id}: {result.receiver}: ",
                (result.status, style),
                f" in {result.duration_ms:.0f} ms{attempt}",
                printable(f": {result.error}" if result.error else ""),
            )
        )
        for entry in result.log:
            style = LEVEL_STYLES.get(entry.level, "")
            self._out.print(Text.assemble("      ", (f"{entry.level:8}", style), printable(entry.message)))

    def _remark(self, doing: str, names: Sequence[str]) -> None:
        if names:
            self._out.print(Text(printable(f"{doing} {', '.join(names)}"), "dim"))

    def _say(self, event: dict[str, Any], text: Text) -> None:
        if self._as_json:
            print_json_line(event)
        else:
            self._out.print(text)
