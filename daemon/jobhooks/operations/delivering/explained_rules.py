"""The rules by which a change is for a hook or not, each with what it says of one change, in words."""

import datetime
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum

from jobhooks.contract.change import Change
from jobhooks.contract.choices import ObjectChangeActionChoices
from jobhooks.matching.conjuncts import Conjunct, conjuncts
from jobhooks.matching.hook_table import Failure, Hook, Requirement, Rule
from jobhooks.matching.parent_updates import DeletedParents, parent_updates


class Verdict(Enum):
    """What a rule says of a change.

    ``WAITS``: the change is for the hook, and does not run now. ``ERROR``: the rule could not be checked, which counts
    as not met.
    """

    MET = "met"
    NOT_MET = "not met"
    WAITS = "waits"
    ERROR = "error"


@dataclass(frozen=True)
class ExplainedRule:
    """A rule, and what it says of the change. ``name``: that of the setting, if it is one.

    ``parts``: of conditions, those that ``&&`` joins; empty if a change of a child has no row to evaluate them for.
    """

    name: str
    outcome: Verdict
    reason: str
    parts: list[Conjunct] = field(default_factory=list[Conjunct])

    @property
    def refuses(self) -> bool:
        """Whether the change is not for the hook because of this rule."""
        return self.outcome in (Verdict.NOT_MET, Verdict.ERROR)


@dataclass(frozen=True)
class HookFacts:
    """What decides beside the hook's settings and the rows of the change.

    ``passed_over``: the daemon began to read behind the change. ``is_read``: it has read it, and settled it or put it
    into the backlog. ``loop``: why the daemon has paused the hook. ``next_at``: when the next run of a key that has
    used its rate may begin. ``reads_alone``: it is behind the other hooks. ``is_led``: a daemon leads. ``changed_at``:
    null unless the hook was changed after the change was made.
    """

    job_enabled: bool
    job_installed: bool
    data_error: str | None
    loop: str | None
    next_at: datetime.datetime | None
    passed_over: bool
    is_read: bool
    reads_alone: bool
    is_led: bool
    changed_at: datetime.datetime | None


@dataclass(frozen=True)
class Seen:
    """How a hook sees a change: as it is, or as the update of a parent; null: not at all. ``reason``: in words."""

    change: Change | None
    reason: str


def rules_of(change: Change, hook: Hook, facts: HookFacts, deleted: DeletedParents) -> Iterator[ExplainedRule]:
    """The rules of a hook in the order in which they apply; only the first if the hook is not for the table."""
    ways = list(_ways(change, hook, deleted))
    # A hook gets a change as it is, or as the update of the first parent that it is for.
    seen, rules = next(
        ((way, rules) for way, rules in ways if not any(rule.refuses for rule in rules)),
        ways[0],
    )
    table = "content_types"
    if seen.change is None:
        yield ExplainedRule(table, Verdict.NOT_MET, seen.reason)
        return
    yield ExplainedRule(table, Verdict.MET, seen.reason)
    yield from rules
    yield from _switches(hook, facts)
    yield from _beginning(change, hook, facts)


def _ways(change: Change, hook: Hook, deleted: DeletedParents) -> Iterator[tuple[Seen, list[ExplainedRule]]]:
    table = change.content_type.name
    is_any = False
    if change.content_type.id in hook.content_type_ids:
        is_any = True
        yield Seen(change, f"the hook is for {table}"), list(_matching(change, hook))
    for updates in parent_updates(change):
        parent = updates[0].content_type
        if parent.id not in hook.content_type_ids:
            continue
        is_any = True
        if left := deleted.without(updates):
            reason = f"the hook is for {parent.name}, a parent of {table}: the change is an update of its row"
            yield Seen(left[0], reason), list(_matching(left[0], hook))
        else:
            reason = f"the hook is for {parent.name}, a parent of {table}, whose row the same transaction has deleted"
            yield Seen(None, reason), [ExplainedRule("content_types", Verdict.NOT_MET, reason)]
    if not is_any:
        reason = f"the hook is for {', '.join(hook.content_types) or 'no table'}, not for {table}"
        if change.content_type.id in hook.child_ids:
            is_truncate = change.action is ObjectChangeActionChoices.ACTION_TRUNCATE
            why = "a truncate updates no row of them" if is_truncate else "this row refers to no row of them"
            reason = f"{reason}, a child of these tables; {why}"
        yield Seen(None, reason), [ExplainedRule("content_types", Verdict.NOT_MET, reason)]


def _matching(change: Change, hook: Hook) -> Iterator[ExplainedRule]:
    action = change.action.value
    is_event = action in hook.events
    named = ", ".join(hook.events)
    yield ExplainedRule(
        "events",
        Verdict.MET if is_event else Verdict.NOT_MET,
        f"the hook is for {named}: {'this is' if is_event else 'not for'} {action}",
    )
    failures: list[Failure] = []
    for requirement, is_met in Rule(hook, failures.append).met(change).items():
        if requirement is Requirement.CONDITIONS:
            yield _conditions(change, hook, failures[-1] if failures else None, is_met=is_met)
        elif requirement is Requirement.ROLES:
            reason = f"the session logged in as {change.session_role}; the hook is for {', '.join(hook.roles)}"
            yield _rule(requirement.value, is_met, reason, reason)
        elif requirement is Requirement.CHAIN_DEPTH:
            reason = f"the change is {change.depth} deep in a chain; the limit is {hook.chain_depth}"
            yield _rule(requirement.value, is_met, reason, reason)
        else:
            reason = _columns(change, hook, is_met=is_met)
            yield _rule(requirement.value, is_met, reason, reason)


def _conditions(change: Change, hook: Hook, failure: Failure | None, *, is_met: bool) -> ExplainedRule:
    name, text = Requirement.CONDITIONS.value, hook.conditions
    if failure is not None and (failure.invalid or hook.refusal):
        return ExplainedRule(name, Verdict.ERROR, f"they are invalid, which counts as false: {failure.error}")
    parts = conjuncts(text, change)
    outcomes = [part.outcome for part in parts]
    known = False if False in outcomes else None if None in outcomes else True
    if known is not (None if failure is not None else is_met):
        parts = []  # a change of a child does not have the row of its parent, without which they are false
    if failure is not None:
        failed = _in_words([part for part in parts if part.outcome is None]) or failure.error
        return ExplainedRule(name, Verdict.ERROR, f"could not be evaluated, which counts as false: {failed}", parts)
    if is_met:
        return ExplainedRule(name, Verdict.MET, f"true: {text}", parts)
    if change.related is not None and not parts:
        reason = f"false; a change of a child does not have the row of its parent: {text}"
        return ExplainedRule(name, Verdict.NOT_MET, reason)
    wrong = _in_words([part for part in parts if part.outcome is False]) or text
    return ExplainedRule(name, Verdict.NOT_MET, f"false: {wrong}", parts)


def _in_words(parts: Sequence[Conjunct]) -> str:
    """Parts of conditions, each with its error and the values that it saw."""
    described: list[str] = []
    for part in parts:
        error = "" if part.error is None else f": {part.error}"
        seen = ", ".join(f"{name} = {value}" for name, value in part.saw.items())
        described.append(f"{part.text}{error}{f' ({seen})' if seen else ''}")
    return "; ".join(described)


def _columns(change: Change, hook: Hook, *, is_met: bool) -> str:
    named = ", ".join(hook.columns)
    if change.action is not ObjectChangeActionChoices.ACTION_UPDATE:
        return f"columns count for updates only: {named}"
    if change.related is not None:
        return f"a change of a child changes no column of its parent: {named}"
    if change.snapshot_error is not None:
        return f"the rows were not recorded, so they may have changed: {named}"
    return f"the update changed {'one of' if is_met else 'none of'} {named}"


def _switches(hook: Hook, facts: HookFacts) -> Iterator[ExplainedRule]:
    yield _rule("enabled", hook.enabled, "the hook is enabled", "the hook is disabled: changes pass by")
    yield _rule("job", facts.job_enabled, f"{hook.job} is enabled", f"{hook.job} is disabled: changes pass by")
    if not facts.job_installed:
        yield ExplainedRule("job", Verdict.WAITS, f"no daemon has loaded the receiver {hook.job}; changes are kept")
    if facts.data_error is not None:
        yield ExplainedRule("data", Verdict.WAITS, f"the receiver refuses the data: {facts.data_error}")
    if hook.paused:
        why = "" if facts.loop is None else f" by the daemon: {facts.loop}"
        yield ExplainedRule("paused", Verdict.WAITS, f"the hook is paused{why}; changes are kept")


def _beginning(change: Change, hook: Hook, facts: HookFacts) -> Iterator[ExplainedRule]:
    if facts.passed_over:
        yield ExplainedRule("position", Verdict.NOT_MET, "it is older than where the daemon began to read")
        return
    yield _rule(
        "beginning",
        not hook.enabled_since.sees(change.transaction_id),
        "the hook was enabled before the change",
        "the change committed before the hook, or its job, was enabled",
    )


def _rule(name: str, is_met: bool, yes: str, no: str) -> ExplainedRule:  # noqa: FBT001, RUF100
    return ExplainedRule(name, Verdict.MET if is_met else Verdict.NOT_MET, yes if is_met else no)


def trigger_rule(cause: Mapping[str, str], *, depth: int | None, chain_depth: int) -> ExplainedRule:
    """Whether the change triggers a hook with this ``chain_depth`` at all, its depth aside.

    ``cause``: the run that made it, as texts; empty without one. ``depth``: as ``ChangeDetails`` has it.
    """
    if depth == 0:
        return ExplainedRule("triggering", Verdict.MET, "the change triggers hooks")
    if depth is None:
        return ExplainedRule("triggering", Verdict.NOT_MET, "changes by this role trigger nothing")
    hook = cause.get("hook", "null")
    wrote = (
        f"{'a deleted hook' if hook == 'null' else f'the hook {hook}'} wrote it, in attempt {cause['attempt']}"
        f" for change {cause['change']}"
    )
    if not chain_depth:
        reason = f"{wrote}: a receiver's writes trigger no hook without a chain_depth"
        return ExplainedRule("triggering", Verdict.NOT_MET, reason)
    return ExplainedRule("triggering", Verdict.MET, f"{wrote}, and this hook has a chain_depth")


def matches(rules: Sequence[ExplainedRule]) -> bool:
    """Whether the change is for the hook."""
    return not any(rule.refuses for rule in rules)
