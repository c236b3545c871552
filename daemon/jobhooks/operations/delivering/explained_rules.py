"""The rules by which a change is for a hook or not, each with what it says of one change, in words."""

import datetime
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum

from jobhooks.contract.change import Change
from jobhooks.contract.choices import ObjectChangeActionChoices
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
    """A rule, and what it says of the change. ``name``: that of the setting, if it is one."""

    name: str
    outcome: Verdict
    reason: str

    @property
    def refuses(self) -> bool:
        """Whether the change is not for the hook because of this rule."""
        return self.outcome in (Verdict.NOT_MET, Verdict.ERROR)


@dataclass(frozen=True)
class HookFacts:
    """What decides beside the hook's settings and the rows of the change.

    ``passed_over``: the daemon began to read behind the change. ``is_read``: it has read it, and settled it or put it
    into the backlog. ``loop``: why the daemon has paused the hook. ``changed_at``: null unless the hook was changed
    after the change was made.
    """

    job_enabled: bool
    job_installed: bool
    data_error: str | None
    loop: str | None
    next_at: datetime.datetime | None
    passed_over: bool
    is_read: bool
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
    yield from _place(change, hook, facts)


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
            reason = f"{reason}, a child of these tables; this row refers to no row of them"
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
    met = Rule(hook, failures.append).met(change)
    for requirement, is_met in met.items():
        if failures and requirement is Requirement.CONDITIONS:
            reason = f"the conditions could not be evaluated, which counts as false: {failures[-1].error}"
            yield ExplainedRule(requirement.value, Verdict.ERROR, reason)
        else:
            outcome = Verdict.MET if is_met else Verdict.NOT_MET
            yield ExplainedRule(requirement.value, outcome, _reason(requirement, change, hook, is_met=is_met))


def _reason(requirement: Requirement, change: Change, hook: Hook, *, is_met: bool) -> str:
    if requirement is Requirement.ROLES:
        return f"the session logged in as {change.session_role}; the hook is for {', '.join(hook.roles)}"
    if requirement is Requirement.COLUMNS:
        return _columns(change, hook, is_met=is_met)
    if not is_met and change.related is not None:
        return f"false; a change of a child does not have the row of its parent: {hook.conditions}"
    return f"{'true' if is_met else 'false'} for this change: {hook.conditions}"


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


def _place(change: Change, hook: Hook, facts: HookFacts) -> Iterator[ExplainedRule]:
    """Where the change lies: before the hook, before its position in the log, or behind that."""
    if facts.passed_over:
        yield ExplainedRule("position", Verdict.NOT_MET, "it is older than where the daemon began to read")
        return
    is_older = hook.enabled_since.sees(change.transaction_id)
    yield _rule(
        "beginning",
        not is_older,
        "the hook was enabled before the change",
        "the change committed before the hook, or its job, was enabled",
    )
    if not is_older and not facts.is_read:
        reason = "the daemon has not read the change for this hook, or is delivering it now"
        yield ExplainedRule("position", Verdict.WAITS, reason)
    elif not is_older:
        yield ExplainedRule("position", Verdict.MET, "the daemon has read the change")


def waits_of(hook: Hook, facts: HookFacts, *, is_new: bool) -> Iterator[ExplainedRule]:
    """What a pending delivery may wait for beside its turn. ``is_new``: it waits for its first attempt."""
    if facts.next_at is not None:
        at = facts.next_at.isoformat(" ", "seconds")
        each = f" by {', '.join(hook.rate_per)}" if hook.rate_per else ""
        reason = f"the rate {hook.rate}{each} is used up: the next delivery may begin at {at}"
        yield ExplainedRule("rate", Verdict.WAITS, reason)
    if is_new and hook.merges_requests:
        reason = f"the hook waits for {hook.quiet_s:g} s for further changes of the object by the same request"
        yield ExplainedRule("coalesce", Verdict.WAITS, reason)
    elif is_new and hook.debounce_s is not None:
        reason = f"the hook waits for {hook.debounce_s:g} s without a change of the object"
        yield ExplainedRule("debounce", Verdict.WAITS, reason)
    elif is_new and hook.coalesce_s:
        reason = f"the hook merges the changes of an object within {hook.coalesce_s:g} s"
        yield ExplainedRule("coalesce", Verdict.WAITS, reason)


def _rule(name: str, is_met: bool, yes: str, no: str) -> ExplainedRule:  # noqa: FBT001, RUF100
    return ExplainedRule(name, Verdict.MET if is_met else Verdict.NOT_MET, yes if is_met else no)


def trigger_rule(change: Change, cause: Mapping[str, str], *, triggering: bool) -> ExplainedRule:
    """Whether the change triggers hooks at all. ``cause``: the run that made it, as texts; empty without one."""
    if triggering:
        return ExplainedRule("triggering", Verdict.MET, "the change triggers hooks")
    if change.caused_by is None:
        return ExplainedRule("triggering", Verdict.NOT_MET, "changes by this role trigger nothing")
    hook = cause.get("hook", "null")
    reason = (
        f"{'a deleted hook' if hook == 'null' else f'the hook {hook}'} wrote it, in attempt {cause['attempt']}"
        f" for change {cause['change']}: a receiver's own writes trigger no hook"
    )
    return ExplainedRule("triggering", Verdict.NOT_MET, reason)


def matches(rules: Sequence[ExplainedRule]) -> bool:
    """Whether the change is for the hook."""
    return not any(rule.refuses for rule in rules)
