"""``python -m bench.conditions``: the cost of a hook's columns and conditions per change."""

import datetime
import json
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Annotated

import typer
from rich.table import Table

from bench.harness import Spread, print_json, report_console, shown, shuffled, spread, with_progress
from jobhooks.contract.change import Change
from jobhooks.contract.choices import ObjectChangeActionChoices as Action
from jobhooks.contract.content_type import ContentType
from jobhooks.contract.snapshots import Row
from jobhooks.matching.hook_table import Hook, HookTable
from jobhooks.store.snapshot import Snapshot

# Arguments as in a hook: the columns that must have changed, and the conditions.
ASKED: dict[str, tuple[frozenset[str], str]] = {
    "nothing": (frozenset(), ""),
    "columns: status": (frozenset({"status"}), ""),
    "columns: serial, price, name": (frozenset({"serial", "price", "name"}), ""),
    **{
        text: (frozenset[str](), text)
        for text in (
            'action == "update" && user != "etl"',
            'changed("status")',
            'new.status == "active"',
            "old.status != new.status",
            'old == null || old.status != "active" && new.status == "active"',
            'new.status in ["active", "staged"] && new.price > 10.0',
            'new.site.name == "ams" || new.tags.exists(tag, tag == "edge")',
            'new.serial.matches("^SN-[0-9]+$")',
            'changed("status") && new.status in ["active", "staged"] && new.site.name == "ams"'
            ' && old.status != new.status && user != "etl"',
            "new.nothing == 1",
            "old != new",
        )
    },
}
ROW: Row = {
    "id": 17,
    "name": "device-17",
    "serial": "SN-000017",
    "model": "model-1",
    "site": {"id": 3, "name": "ams"},
    "status": "active",
    "price": 12.5,
    "tags": ["leased", "edge"],
    "note": None,
    "data": {"rack": 1, "unit": 1},
    "updated": "2026-11-25T08:00:00.123456+00:00",
    "comments": "comment " * 12,
}
ROWS: dict[str, Row] = {
    "350 bytes": ROW,
    "5,000 bytes": {**ROW, **{f"text_{n}": "lorem ipsum " * 20 for n in range(18)}},
}
TABLE = ContentType(1, "public.device", "public", "device", ("id",), ("integer",))
ENABLED = Hook(
    "h",
    ["public.device"],
    "m.C",
    list(Action),
    id=1,
    job_id=1,
    content_type_ids=frozenset({1}),
    enabled_since=Snapshot.parse("1:1:"),
)


@dataclass(frozen=True)
class Line:
    """Microseconds of CPU time to match one change, by the size of its rows."""

    asked: str
    microseconds: dict[str, Spread]


def main(
    *,
    rounds: Annotated[int, typer.Option(min=1, help="How often each thing is measured.")] = 7,
    changes: Annotated[int, typer.Option(min=1, help="Of each thing in each round.")] = 3_000,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Measure the time to check a hook's columns and conditions for a change, including reading its rows."""
    lines = measure(rounds, changes)
    if as_json:
        print_json(lines)
    else:
        print_report(lines, rounds)


def measure(rounds: int, changes: int) -> list[Line]:
    """Run all rounds, each in a different order."""
    matchers = {(asked, size): _matcher(*rule, row) for asked, rule in ASKED.items() for size, row in ROWS.items()}
    values: dict[tuple[str, str], list[float]] = {key: [] for key in matchers}
    for _ in with_progress(range(rounds), "rounds"):
        for key in shuffled(list(matchers)):
            values[key].append(_microseconds(matchers[key], changes))
    return [Line(asked, {size: spread(values[asked, size]) for size in ROWS}) for asked in ASKED]


def _matcher(columns: frozenset[str], conditions: str, row: Row) -> Callable[[], object]:
    table = HookTable("", [replace(ENABLED, columns=columns, conditions=conditions)])
    change = Change(
        id=1,
        transaction_id=100,
        time=datetime.datetime.now(datetime.UTC),
        content_type=TABLE,
        action=Action.ACTION_UPDATE,
        user_name="alice",
        request_id=None,
        prechange_json=json.dumps({**row, "status": "planned"}, separators=(",", ":")),
        postchange_json=json.dumps(row, separators=(",", ":")),
    )
    return lambda: table.matching(change)


def _microseconds(matcher: Callable[[], object], changes: int) -> float:
    """Measure this thread's CPU time per change, which other load on the machine affects less than elapsed time."""
    began = time.thread_time()
    for _ in range(changes):
        matcher()
    return (time.thread_time() - began) / changes * 1e6


def print_report(lines: Sequence[Line], rounds: int) -> None:
    """Print the report for people."""
    table = Table("a hook asks for", *ROWS, title=f"Microseconds of CPU time for each change, median of {rounds}")
    for line in lines:
        table.add_row(line.asked, *(shown(line.microseconds[size], 1) for size in ROWS))
    report_console().print(table)


if __name__ == "__main__":
    typer.run(main)
