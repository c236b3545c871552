"""Renders what hooks make of a change: the outcome of each hook, then its rules."""

import sys
from collections.abc import Iterator, Sequence

from rich.console import Console
from rich.table import Table
from rich.text import Text

from jobhooks.cli.show.change_diff import ASIDE, heading
from jobhooks.cli.show.output import console, one_line
from jobhooks.cli.show.waits import state_in_words
from jobhooks.operations.delivering.attempts import ResultDetails
from jobhooks.operations.delivering.deliveries import PendingDelivery
from jobhooks.operations.delivering.explained_rules import ExplainedRule, Verdict
from jobhooks.operations.delivering.explaining import ChangeExplanation, HookExplanation

STYLES = {Verdict.MET: "green", Verdict.NOT_MET: "red", Verdict.ERROR: "red", Verdict.WAITS: "yellow"}
SHORT = 2  # rules: whether the change triggers, and the table
OF_CHANGES = ("triggering", "content_types", "events", "chain_depth", "roles", "columns", "conditions")
NARROW = 60  # a terminal below this width has no room for a column of reasons
NO_TRACE = (
    "the change is for it now, but has no result: other settings applied when the daemon read it, or the result is no"
    " longer kept"
)


def print_explanation(explained: ChangeExplanation) -> None:
    """Print an explanation, hook by hook."""
    out = console()
    out.print(heading(explained.change))
    if not explained.hooks:
        out.print(Text("  there is no hook", ASIDE))
    for hook in explained.hooks:
        out.print(Text.assemble((one_line(f'hook "{hook.hook}": '), "bold"), one_line(_outcome(hook))))
        # If the change is not for the table of the hook, the line above has said everything.
        if len(hook.rules) > SHORT:
            _print_rules(out, hook.rules)
        for line in _asides(hook):
            out.print(Text(one_line(f"  {line}"), ASIDE))


def _print_rules(out: Console, rules: Sequence[ExplainedRule]) -> None:
    """Print a line for each rule; on a terminal that is wide enough, a long reason continues below its beginning."""
    is_table = sys.stdout.isatty() and out.width >= NARROW
    table = Table.grid(padding=(0, 1))
    table.add_column(no_wrap=True)
    table.add_column(no_wrap=True, style=ASIDE)
    table.add_column(overflow="fold")
    for rule in rules:
        outcome = Text(f"  {rule.outcome.value:8}", STYLES[rule.outcome])
        reason = Text(one_line(rule.reason))
        if is_table:
            table.add_row(outcome, f"{rule.name:13}", reason)
        else:
            out.print(Text.assemble(outcome, " ", (f"{rule.name:14} ", ASIDE), reason))
    if is_table:
        out.print(table, soft_wrap=False)


def _outcome(hook: HookExplanation) -> str:
    refusals = [rule for rule in hook.rules if rule.refuses]
    if hook.hook_deleted:
        return f"{_ran(hook.results[-1])}; {refusals[0].reason}"
    # The other rules count at the moment when a change is read: the hook may have been disabled since.
    against = next((rule.reason for rule in refusals if rule.name in OF_CHANGES), None)
    suffix = "" if against is None else f"; by its settings of now the change is not for it: {against}"
    if hook.delivery is not None:
        return _pending(hook.delivery) + suffix
    if hook.results:
        return _ran(hook.results[-1]) + suffix
    if refusals:
        return f"not for it: {refusals[0].reason}"
    if hook.state == "unread":
        return next(rule.reason for rule in hook.rules if rule.outcome is Verdict.WAITS)
    return NO_TRACE


def _ran(result: ResultDetails) -> str:
    at = result.started_at.isoformat(" ", "seconds")
    error = f": {result.error}" if result.error else ""
    if result.status == "discarded":
        return f"discarded at {at}{error}"
    return f"{result.status} at {at}, in attempt {result.attempt}, in {result.duration_ms:.0f} ms{error}"


def _pending(delivery: PendingDelivery) -> str:
    error = f": {delivery.error}" if delivery.error else ""
    return f"{state_in_words(delivery)}{error}"


def _asides(hook: HookExplanation) -> Iterator[str]:
    if hook.merged_with:
        named = ", ".join(map(str, hook.merged_with))
        changes = "change" if len(hook.merged_with) == 1 else "changes"
        runs = hook.delivery is not None and hook.delivery.run is not None
        yield f"{'runs with' if runs else 'in one run with'} {changes} {named} of the same object"
    if hook.changed_at is not None:
        at = hook.changed_at.isoformat(" ", "seconds")
        yield f"the hook was changed at {at}, after this change: other settings may have applied"
