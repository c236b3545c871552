"""What a change waits for that is for a hook: to be read, for its turn, or for another delivery."""

import datetime
from collections.abc import Iterator, Sequence

from jobhooks.matching.hook_table import Hook
from jobhooks.operations.delivering.deliveries import DeliveryKey, PendingDelivery
from jobhooks.operations.delivering.explained_rules import ExplainedRule, HookFacts, Verdict, matches


def reading_rules(
    rules: Sequence[ExplainedRule], hook: Hook, facts: HookFacts, *, is_known: bool
) -> Iterator[ExplainedRule]:
    """Whether the daemon has read a change that is for the hook. ``is_known``: it is pending, or has a result."""
    if is_known:
        yield ExplainedRule("position", Verdict.MET, "the daemon has read the change")
    elif matches(rules):
        yield from _position(hook, facts)


def _position(hook: Hook, facts: HookFacts) -> Iterator[ExplainedRule]:
    """What a change waits for that is for the hook, and that is not in the backlog and has no result."""
    if facts.is_read:
        yield ExplainedRule("position", Verdict.MET, "the daemon has read the change")
        return
    if facts.next_at is not None:
        yield _rate(hook, facts.next_at)
    if (size := hook.limits.batch_size or 1) > 1:
        wait = f"{hook.limits.batch_wait:g} s"
        reason = f"the receiver takes batches of up to {size} changes, and waits up to {wait} for one to be full"
        yield ExplainedRule("batch", Verdict.WAITS, reason)
    reason = "no daemon leads, so nothing reads the log"
    if facts.is_led:
        behind = "; the hook is behind the others in the log" if facts.reads_alone and hook.runs else ""
        reason = f"the daemon has not read the change for this hook, or is delivering it now{behind}"
    yield ExplainedRule("position", Verdict.WAITS, reason)


def _rate(hook: Hook, next_at: datetime.datetime | None) -> ExplainedRule:
    each = f" by {', '.join(hook.rate_per)}" if hook.rate_per else ""
    if next_at is None:
        reason = f"some keys have used the rate {hook.rate}{each}; the change may have one of them"
    else:
        reason = f"the rate {hook.rate}{each} is used up: the next delivery may begin at {_moment(next_at)}"
    return ExplainedRule("rate", Verdict.WAITS, reason)


def waits_of(hook: Hook, delivery: PendingDelivery, blocker: DeliveryKey | None) -> Iterator[ExplainedRule]:
    """What a pending delivery waits for. ``blocker``: the oldest delivery that it is behind."""
    if blocker is not None:
        yield _behind(hook, delivery, blocker)
    elif delivery.waits_for == "rate":
        yield _rate(hook, delivery.due_at)
    elif delivery.waits_for in ("debounce", "coalesce"):
        yield ExplainedRule(delivery.waits_for, Verdict.WAITS, f"{_merging(hook)}{_until(delivery.due_at)}")
    elif delivery.waits_for == "retry":
        yield ExplainedRule("retry", Verdict.WAITS, f"it waits for its next attempt{_until(delivery.due_at)}")


def _behind(hook: Hook, delivery: PendingDelivery, blocker: DeliveryKey) -> ExplainedRule:
    first = f"change {blocker.change_id}, with the same ordering key, comes first"
    if blocker.waits_for in ("debounce", "coalesce") and not delivery.attempts:
        reason = f"{_merging(hook)}: {first}, and may be delivered as one with it{_until(blocker.due_at)}"
        return ExplainedRule(blocker.waits_for, Verdict.WAITS, reason)
    attempts = ""
    if blocker.attempts:
        attempts = f" after {blocker.attempts} {'attempt' if blocker.attempts == 1 else 'attempts'}"
    return ExplainedRule("blocked", Verdict.WAITS, f"{first}: it is {blocker.state}{attempts}")


def _merging(hook: Hook) -> str:
    """How a hook merges changes."""
    if hook.merges_requests:
        return f"the hook waits for {hook.quiet_s:g} s for further changes of the object by the same request"
    if hook.debounce_s is not None:
        return f"the hook waits for {hook.debounce_s:g} s without a change of the object"
    return f"the hook merges the changes of an object within {hook.coalesce_s or 0:g} s"


def _until(at: datetime.datetime | None) -> str:
    return "" if at is None else f", until {_moment(at)}"


def _moment(at: datetime.datetime) -> str:
    return at.isoformat(" ", "seconds")
