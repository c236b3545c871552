"""Renders the plan to watch many tables: those with the same options together."""

from collections.abc import Sequence

from rich.text import Text

from jobhooks.cli.show.confirm import number
from jobhooks.cli.show.output import console, print_text, printable
from jobhooks.operations.watching import Outcome, TableStep, Watching

INDENT = "    "
SIGNS = {Outcome.WATCHED: "+", Outcome.CHANGED: "~"}
VERBS = {Outcome.WATCHED: "watch", Outcome.CHANGED: "change"}


def print_plan(steps: Sequence[TableStep]) -> None:
    """Print the tables that the plan watches, and their options, without refused tables and those that stay."""
    groups: dict[tuple[Outcome, str], list[str]] = {}
    for step in steps:
        if step.outcome in SIGNS:
            groups.setdefault((step.outcome, options_in_words(step)), []).append(step.table)
    out = console()
    for (outcome, options), tables in groups.items():
        print_text(f"{SIGNS[outcome]} {VERBS[outcome]} {number(len(tables), 'table', 'tables')}{options}")
        names = Text(printable(", ".join(tables)))
        width = max(out.width - len(INDENT), 40) if out.is_terminal else sum(map(len, tables)) + 2 * len(tables)
        for line in names.wrap(out, width):
            print_text(f"{INDENT}{line.plain.rstrip()}")


def options_in_words(step: TableStep) -> str:
    """The planned options of a table; for a watched table, the options that change."""
    wanted, before = step.wanted, step.before
    if step.outcome is not Outcome.CHANGED or before is None:
        before = Watching(wanted.key or ["the primary key"])
    parts = [
        "" if wanted.key or not before.key else " without a key",
        " also rows that logical replication applies" if wanted.always and not before.always else "",
        _lastval(wanted.keep_lastval) if wanted.keep_lastval != before.keep_lastval else "",
        _columns("exclude", before.exclude, wanted.exclude),
        _columns("ignore", before.ignore, wanted.ignore),
    ]
    words = ",".join(filter(None, parts))
    return f":{words}" if words else ""


def _lastval(keep: bool | None) -> str:
    return {True: " keep lastval()", False: " do not keep lastval()", None: ""}[keep]


def _columns(verb: str, before: Sequence[str], wanted: Sequence[str]) -> str:
    added = [printable(name) for name in wanted if name not in before]
    return f" {verb} {' and '.join(added)}" if added else ""
