"""Renders what hooks make of a change: the outcome of each hook, then its rules."""

from collections.abc import Iterator

from rich.text import Text

from jobhooks.cli.show.change_diff import ASIDE, heading
from jobhooks.cli.show.output import console, one_line
from jobhooks.cli.show.waits import state_in_words
from jobhooks.operations.delivering.attempts import ResultDetails
from jobhooks.operations.delivering.deliveries import PendingDelivery
from jobhooks.operations.delivering.explained_rules import Verdict
from jobhooks.operations.delivering.explaining import ChangeExplanation, HookExplanation

STYLES = {Verdict.MET: "green", Verdict.NOT_MET: "red", Verdict.ERROR: "red", Verdict.WAITS: "yellow"}
SHORT = 2  # rules: whether the change triggers, and the table
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
        for rule in hook.rules if len(hook.rules) > SHORT else ():
            out.print(
                Text.assemble(
                    (f"  {rule.outcome.value:8} ", STYLES[rule.outcome]),
                    (f"{rule.name:14} ", ASIDE),
                    one_line(rule.reason),
                )
            )
        for line in _asides(hook):
            out.print(Text(one_line(f"  {line}"), ASIDE))


def _outcome(hook: HookExplanation) -> str:
    refusals = [rule.reason for rule in hook.rules if rule.refuses]
    against = f"; by its settings of now the change is not for it: {refusals[0]}" if refusals else ""
    if hook.hook_deleted:
        return f"{_ran(hook.results[-1])}; {refusals[0]}"
    if hook.delivery is not None:
        return _pending(hook.delivery) + against
    if hook.results:
        return _ran(hook.results[-1]) + against
    if refusals:
        return f"not for it: {refusals[0]}"
    if hook.state == "unread":
        return next(rule.reason for rule in hook.rules if rule.outcome is Verdict.WAITS and rule.name == "position")
    return NO_TRACE


def _ran(result: ResultDetails) -> str:
    at = result.started_at.isoformat(" ", "seconds")
    error = f": {result.error}" if result.error else ""
    return f"{result.status} at {at}, in attempt {result.attempt}, in {result.duration_ms:.0f} ms{error}"


def _pending(delivery: PendingDelivery) -> str:
    error = f": {delivery.error}" if delivery.error else ""
    return f"{state_in_words(delivery)}{error}"


def _asides(hook: HookExplanation) -> Iterator[str]:
    if hook.merged_with:
        named = ", ".join(map(str, hook.merged_with))
        yield f"delivered as one with {'change' if len(hook.merged_with) == 1 else 'changes'} {named}"
    if hook.changed_at is not None:
        at = hook.changed_at.isoformat(" ", "seconds")
        yield f"the hook was changed at {at}, after this change: other settings may have applied"
