"""Renders the effects of watching a table."""

from collections.abc import Iterator

from rich.text import Text

from jobhooks.cli.show.output import console, printable
from jobhooks.operations.table_explain import ExplainedFunction, TableExplanation


def print_explanation(explained: TableExplanation) -> None:
    """Print an explanation in sections."""
    out = console()
    for title, lines in _sections(explained):
        out.print(Text(title, "bold"))
        for line in lines:
            out.print(Text(f"  {printable(line)}"))


def _sections(explained: TableExplanation) -> Iterator[tuple[str, list[str]]]:
    yield f"{printable(explained.table)} ({explained.state})", _settings(explained)
    yield (
        "Triggers: the condition in WHEN does the work and is never true, so the function after it never runs",
        [
            f"{trigger.name} on {trigger.table} ({trigger.state}): {trigger.statement or 'missing'}"
            for trigger in explained.triggers
        ],
    )
    yield "Called for each", [f"{action}: {', '.join(called)}" for action, called in explained.calls.items() if called]
    yield "Functions, with those that they call", [_rights(function) for function in explained.functions]
    yield "Locks", [f"{lock.taken_by}: {lock.lock}" for lock in explained.locks]
    yield "Limits", explained.limits
    ways = [line for way in explained.switch_off for line in (f"{way.statement};", f"  {way.effect}; undo: {way.undo}")]
    yield "Switch it off", ways
    yield "Check that it is gone: no row means so", [f"{explained.check_it_is_gone};"]


def _settings(explained: TableExplanation) -> list[str]:
    return [
        f"key: {', '.join(explained.key) or 'none'}",
        f"excluded, never recorded: {', '.join(explained.exclude) or 'none'}",
        f"ignored, a change of these alone is not recorded: {', '.join(explained.ignore) or 'none'}",
        f"parents, whose hooks get its changes as updates: {', '.join(explained.parents) or 'none'}",
        f"rows that logical replication applies: {'recorded' if explained.always else 'not recorded'}",
        f"lastval() after a recorded row: {_lastval(explained)}",
    ]


def _lastval(explained: TableExplanation) -> str:
    if explained.keep_lastval:
        return "as before it"
    if any("jobhooks_capture.set_lastval" in called for called in explained.calls.values()):
        return "as before it after an INSERT, else the number of the log"
    return "the number of the log"


def _rights(function: ExplainedFunction) -> str:
    rights = f"runs as {function.owner}" if function.security_definer else "runs as the writer or its caller"
    path = f"search_path {function.search_path}" if function.search_path else "every name in it is qualified"
    return f"{function.function}: {rights}; {path}"
