"""Renders settings of hooks and jobs, and plans of changes."""

import json
from collections.abc import Sequence
from dataclasses import dataclass

from rich.console import Console
from rich.text import Text

from jobhooks.cli.show.change_diff import ADDED, REMOVED
from jobhooks.cli.show.confirm import number
from jobhooks.cli.show.output import printable
from jobhooks.operations.configuration.hook_plan import Difference, Step, StepKind

CHANGED = "yellow"
TABLE_VERBS = {StepKind.ADD: "watch", StepKind.EDIT: "change", StepKind.DELETE: "unwatch"}
SIGNS = {StepKind.ADD: ("+", ADDED), StepKind.EDIT: ("~", CHANGED), StepKind.DELETE: ("-", REMOVED)}


def print_plan(out: Console, steps: Sequence[Step]) -> None:
    """Print the planned change of each hook, with old and new values."""
    for step in steps:
        sign, style = SIGNS[step.kind]
        lost = f", which discards {number(step.deliveries, 'delivery', 'deliveries')}" if step.deliveries else ""
        out.print(Text(printable(f'{sign} {step.kind.value} hook "{step.name}"{lost}'), style))
        for difference in step.differences:
            before = "" if step.kind is StepKind.ADD else f"{in_words(difference.before)} -> "
            out.print(Text(f"    {difference.setting}: {before}{in_words(difference.after)}"))


@dataclass(frozen=True)
class TableChange:
    """A planned change of a watched table; a deletion is the end of its watching."""

    kind: StepKind
    name: str
    differences: list[Difference]


def print_table_plan(out: Console, changes: Sequence[TableChange]) -> None:
    """Print the planned change of each table, with old and new values."""
    for change in changes:
        sign, style = SIGNS[change.kind]
        out.print(Text(printable(f"{sign} {TABLE_VERBS[change.kind]} table {change.name}"), style))
        for difference in change.differences:
            before = "" if change.kind is StepKind.ADD else f"{in_words(difference.before)} -> "
            out.print(Text(f"    {difference.setting}: {before}{in_words(difference.after)}"))


def differences_in_words(differences: Sequence[Difference]) -> str:
    """The differences on one line."""
    return "; ".join(f"{one.setting} {in_words(one.before)} -> {in_words(one.after)}" for one in differences)


def seconds(*durations: float) -> str:
    """Durations with their unit: ``1 second``, ``0.5 seconds``, ``1, 5 seconds``."""
    return f"{', '.join(f'{each:g}' for each in durations)} {'second' if durations == (1,) else 'seconds'}"


def in_words(value: object) -> str:
    """The value of a setting on one line."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return seconds(value)
    if isinstance(value, list | tuple) and value and all(isinstance(each, float) for each in value):  # pyright: ignore[reportUnknownVariableType] - of anything
        return seconds(*value)  # pyright: ignore[reportUnknownArgumentType]
    if isinstance(value, dict):
        value = json.dumps(value, ensure_ascii=False) if value else ""
    if isinstance(value, list | tuple):
        value = ", ".join(map(str, value))  # pyright: ignore[reportUnknownArgumentType, reportUnknownVariableType] - of texts
    return printable(str(value)).replace("\n", "\\n") if value not in ("", None) else "none"
