"""Explains for each hook whether a change is for it, by which rules, and what became of the delivery."""

import datetime
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from jobhooks.contract.change import Change
from jobhooks.engine.delivery.lane import LaneKey, lane_keys
from jobhooks.engine.delivery.outcome import CHANGES_NOTHING
from jobhooks.errors import UnknownHook
from jobhooks.matching.hook_table import Hook, hook_of
from jobhooks.matching.parent_updates import DeletedParents, parent_updates
from jobhooks.operations.delivering.attempts import ResultDetails
from jobhooks.operations.delivering.change_details import ChangeDetails, change_details
from jobhooks.operations.delivering.deliveries import DeliveryFilter, DeliveryKey, PendingDelivery, delivery_keys
from jobhooks.operations.delivering.explained_rules import (
    ExplainedRule,
    HookFacts,
    Verdict,
    matches,
    rules_of,
    trigger_rule,
)
from jobhooks.operations.delivering.explained_waits import reading_rules, waits_of
from jobhooks.operations.delivering.logged import earlier_changes, logged_changes
from jobhooks.operations.delivering.replay import logged_change
from jobhooks.operations.lookup.names import ids_of_hooks_ever
from jobhooks.store.captured_changes import ListedChange
from jobhooks.store.connections import SyncConnection, call
from jobhooks.store.json_rows import columns

LOADED = 9  # columns of loaded_hooks, which hook_of takes
NEAR = 100_000  # ids around a change, between which those that were merged with it are searched for
MOST_SHOWN = 100  # of these
MOST_EARLIER = 10_000  # changes of parents in one transaction


@dataclass(frozen=True)
class HookExplanation:
    """What a hook makes of a change. ``matches``: the change is for it, by its settings of now.

    ``state``: of a pending delivery, as ``delivery list`` has it; else the status of the last result; else ``unread``,
    ``untraced`` or ``not for it``. ``merged_with``: other changes of the object that the same run was for: they were
    delivered as one, or in one batch; or the one whose run in progress includes this one.
    ``changed_at``: the hook was changed since the change was made, at this time for the last time, so that other
    settings may have applied.
    """

    hook: str | None
    hook_deleted: bool
    job: str | None
    matches: bool
    state: str
    rules: list[ExplainedRule]
    delivery: PendingDelivery | None
    results: list[ResultDetails]
    merged_with: list[int]
    changed_at: datetime.datetime | None


@dataclass(frozen=True)
class ChangeExplanation:
    """A change, with what each hook makes of it, by name."""

    change: ListedChange
    triggering: bool
    hooks: list[HookExplanation]


def explain(conn: SyncConnection, change_id: int, hook: str | None = None) -> ChangeExplanation:
    """Explain what the hooks make of a change, all or one.

    Raises:
        Refused: the log has no change of that id.
        UnknownHook: there is no such hook, and there was none.
    """
    details = change_details(conn, change_id)
    change = logged_change(conn, change_id)
    rows = call(conn, "explained_hooks", change_id=change_id, name=hook)
    if hook is not None and not rows:
        ids_of_hooks_ever(conn, [hook])
    deleted = _deleted_parents(conn, change)
    explained: list[HookExplanation] = []
    for row in rows:
        loaded, facts = hook_of(*row[:LOADED]), HookFacts(*row[LOADED:])
        rules = _rules(details, change, loaded, facts, deleted)
        explained.append(_explained(conn, details, change, loaded, facts, rules))
    explained += _deleted_hooks(details.results, hook)
    if hook is not None and not explained:
        raise UnknownHook(f'the hook "{hook}" was deleted, and has no result for change {change_id}')
    return ChangeExplanation(_listed(details), details.triggering, explained)


def _rules(
    details: ChangeDetails, change: Change, hook: Hook, facts: HookFacts, deleted: DeletedParents
) -> list[ExplainedRule]:
    cause = columns(bytes(details.caused_by).decode())
    first = trigger_rule(cause, depth=details.depth, chain_depth=hook.chain_depth)
    return [first] if first.refuses else [first, *rules_of(change, hook, facts, deleted)]


def _explained(  # noqa: PLR0913, RUF100 - what is known of the change, and of the hook
    conn: SyncConnection,
    details: ChangeDetails,
    change: Change,
    hook: Hook,
    facts: HookFacts,
    rules: list[ExplainedRule],
) -> HookExplanation:
    results = [each for each in details.results if each.hook == hook.name and not each.hook_deleted]
    delivery = next((each for each in details.deliveries if each.hook == hook.name), None)
    if not rules[0].refuses:  # the change triggers this hook
        rules = [*rules, *reading_rules(rules, hook, facts, is_known=bool(results or delivery))]
    waits = waits_of(hook, delivery, _blocker(conn, hook, delivery)) if delivery else ()
    return HookExplanation(
        hook=hook.name,
        hook_deleted=False,
        job=hook.job,
        matches=matches(rules),
        state=_state(rules, delivery, results),
        rules=[*rules, *waits],
        delivery=delivery,
        results=results,
        merged_with=_merged_with(conn, change, hook) if results or delivery else [],
        changed_at=facts.changed_at,
    )


def _state(rules: Sequence[ExplainedRule], delivery: PendingDelivery | None, results: Sequence[ResultDetails]) -> str:
    if delivery is not None:
        return delivery.state
    if results:
        return results[-1].status
    if not matches(rules):
        return "not for it"
    is_unread = any(rule.name == "position" and rule.outcome is Verdict.WAITS for rule in rules)
    return "unread" if is_unread else "untraced"


def _blocker(conn: SyncConnection, hook: Hook, delivery: PendingDelivery) -> DeliveryKey | None:
    """The oldest delivery that a blocked one is behind; null if that is settled by now."""
    if delivery.behind is None:
        return None
    return next(iter(delivery_keys(conn, DeliveryFilter([delivery.behind], [hook.name]))), None)


def _deleted_hooks(results: Iterable[ResultDetails], hook: str | None) -> list[HookExplanation]:
    """What hooks that are deleted by now have made of the change: their results."""
    by_hook: dict[str | None, list[ResultDetails]] = {}
    for result in results:
        if result.hook_deleted and hook in (None, result.hook):
            by_hook.setdefault(result.hook, []).append(result)
    rule = ExplainedRule("deleted", Verdict.NOT_MET, "the hook is deleted")
    return [
        HookExplanation(name, True, found[-1].job, False, found[-1].status, [rule], None, found, [], None)
        for name, found in by_hook.items()
    ]


def _merged_with(conn: SyncConnection, change: Change, hook: Hook) -> list[int]:
    """The changes of the same object that were delivered with this one, or are being so.

    Equal times prove that, whatever the hook's settings are now: runs for one object follow each other, and take longer
    than the microsecond by which times are stored. A batch has equal times for other objects as well.
    """
    merged_into = call(conn, "merged_into", change_id=change.id, hook_id=hook.id)
    if merged_into:
        return [merged_into[0][0]]
    rows = call(
        conn,
        "settled_with",
        change_id=change.id,
        hook_id=hook.id,
        first_id=change.id - NEAR,
        last_id=change.id + NEAR,
        nothing=CHANGES_NOTHING,
        limit=MOST_SHOWN,
    )
    objects = _objects(change, hook)
    others = logged_changes(conn, [id_ for (id_,) in rows]) if rows else ()
    return [other.id for other in others if objects & _objects(other, hook)]


def _objects(change: Change, hook: Hook) -> set[LaneKey]:
    """The objects that the hook may have run for: the row itself, or its parents. A row without a key is none."""
    if not change.content_type.key_columns:
        return set()
    if change.content_type.id in hook.content_type_ids:
        return set(lane_keys(change, change.lane_keys()))
    updates = [update for updates in parent_updates(change) for update in updates]
    return {lane for update in updates or [change] for lane in lane_keys(update, update.lane_keys())}


def _deleted_parents(conn: SyncConnection, change: Change) -> DeletedParents:
    """The rows of parents that the transaction had deleted before the change, as the daemon notes them."""
    deleted = DeletedParents()
    tables = sorted({updates[0].content_type.id for updates in parent_updates(change)})
    if tables:
        for earlier in earlier_changes(conn, change, tables, MOST_EARLIER):
            deleted.note(earlier)
    return deleted


def _listed(details: ListedChange) -> ListedChange:
    return ListedChange(**{name: getattr(details, name) for name in ListedChange.__dataclass_fields__})
