"""The hooks that a change is for. Pure decisions."""

from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from enum import Enum

import msgspec

from jobhooks.contract.change import Change
from jobhooks.contract.choices import FailurePolicy, ObjectChangeActionChoices
from jobhooks.contract.job_settings import JobLimits
from jobhooks.errors import InvalidConditions
from jobhooks.matching.changed_columns import any_changed
from jobhooks.matching.conditions import ConditionFailed, Conditions, compiled
from jobhooks.matching.hook_settings import RULES, HookSettings
from jobhooks.matching.parent_updates import DeletedParents, Updates, parent_updates
from jobhooks.store.snapshot import Snapshot


@dataclass(frozen=True, slots=True, kw_only=True)
class Hook(HookSettings):
    """A hook in memory: its settings, the ids that rows refer to, and the limits of its job.

    ``data_json``: the data as JSON, empty without any. ``refusal``: why the conditions are wrong; empty: they are not.
    ``enabled_since``: changes visible to this snapshot committed before the hook was enabled, and are not for the hook.
    ``child_ids``: tables whose changes are updates of its tables. ``queue_limit``: the number of deliveries of the
    job's queue that run at a time. ``runs``: hook and job are enabled, the hook is not paused, the job is installed,
    and its receiver takes the data, as far as that is known.
    """

    id: int
    job_id: int
    content_type_ids: frozenset[int]
    enabled_since: Snapshot
    limits: JobLimits = field(default_factory=JobLimits)
    queue_limit: int = 1
    runs: bool = True
    data_json: str = ""
    refusal: str = ""
    child_ids: frozenset[int] = frozenset()

    @property
    def read_ids(self) -> frozenset[int]:
        """The tables whose changes the hook reads."""
        return self.content_type_ids | self.child_ids

    @property
    def blocks(self) -> bool:
        """Whether later changes of an object wait for a delivery that failed."""
        return self.limits.on_failure is FailurePolicy.BLOCK


def hook_of(  # noqa: PLR0913, RUF100 - the columns of jobhooks.loaded_hooks
    id_: int,
    job_id: int,
    content_type_ids: Iterable[int],
    enabled_since: str,
    queue_limit: int | None,
    runs: bool,
    settings_json: str,
    limits_json: str,
    child_ids: Iterable[int],
    refusal: str | None = None,
) -> Hook:
    """The hook of a row of ``jobhooks.loaded_hooks``, whose columns these are, in order."""
    settings = msgspec.json.decode(settings_json, type=HookSettings)
    return Hook(
        **{name: getattr(settings, name) for name in RULES},
        id=id_,
        job_id=job_id,
        content_type_ids=frozenset(content_type_ids),
        enabled_since=Snapshot.parse(enabled_since),
        limits=msgspec.json.decode(limits_json, type=JobLimits),
        queue_limit=queue_limit or 1,
        runs=runs,
        data_json=msgspec.json.encode(settings.data).decode() if settings.data else "",
        child_ids=frozenset(child_ids),
        refusal=refusal or "",
    )


@dataclass(frozen=True)
class Failure:
    """A failed evaluation of a hook's conditions for a change. ``public``: the reason, without data of the row.

    ``invalid``: they fail for every change; without a change, no change has met them yet.
    """

    hook: Hook
    change: Change | None
    error: str
    public: str
    invalid: bool = False


OnFailure = Callable[[Failure], None]
OnChainEnd = Callable[[int, HookSettings, Change], None]


def has_rule(hook: Hook) -> bool:
    """Whether a hook has requirements beside table and event."""
    return bool(hook.roles or hook.columns or hook.conditions or hook.chain_depth)


class Requirement(Enum):
    """What a hook requires of a change beside its table and event, as its settings name it."""

    ROLES = "roles"
    COLUMNS = "columns"
    CONDITIONS = "conditions"
    CHAIN_DEPTH = "chain_depth"


class Rule:
    """A hook's requirements beside table and event: the session's role, changed columns, conditions, depth in a chain.

    Conditions that cannot be evaluated count as false, and ``on_failure`` is called. ``on_chain_end`` gets the id of
    the hook, the hook, and a change that only its depth keeps from the hook.
    """

    def __init__(self, hook: Hook, on_failure: OnFailure, on_chain_end: OnChainEnd | None = None) -> None:
        self._hook = hook
        self._on_failure = on_failure
        self._on_chain_end = on_chain_end
        self._chain_depth = hook.chain_depth
        self._roles = frozenset(hook.roles)
        self._columns = tuple(sorted(hook.columns))
        self._conditions = self._compiled(hook.conditions) if hook.conditions else None
        self._is_invalid = isinstance(self._conditions, str)
        if hook.refusal and self._conditions is not None and not self._is_invalid:
            self._conditions = hook.refusal

    def _compiled(self, text: str) -> Conditions | str:
        """Compile the conditions, or describe the error of invalid ones that were written past the checks."""
        try:
            return compiled(text)
        except InvalidConditions as exc:
            reason = str(exc).partition("\n")[0]
            self._on_failure(Failure(self._hook, None, reason, reason, invalid=True))
            return reason

    def wants(self, change: Change) -> bool:
        """Check whether the change meets the hook's requirements."""
        if self._roles and change.session_role not in self._roles:
            return False
        if self._columns and not self._changed(change):
            return False
        if self._conditions is not None and not self._hold(self._conditions, change):
            return False
        if change.depth > self._chain_depth:
            if self._chain_depth and self._on_chain_end is not None:
                self._on_chain_end(self._hook.id, self._hook, change)
            return False
        return True

    def met(self, change: Change) -> dict[Requirement, bool]:
        """Which of the hook's requirements the change meets, each checked as ``wants`` checks it."""
        met: dict[Requirement, bool] = {}
        if self._roles:
            met[Requirement.ROLES] = change.session_role in self._roles
        if self._columns:
            met[Requirement.COLUMNS] = self._changed(change)
        if self._conditions is not None:
            met[Requirement.CONDITIONS] = self._hold(self._conditions, change)
        if change.depth:
            met[Requirement.CHAIN_DEPTH] = change.depth <= self._chain_depth
        return met

    def _changed(self, change: Change) -> bool:
        if change.action is not ObjectChangeActionChoices.ACTION_UPDATE:
            return True
        if change.related is not None:
            return False
        # A row that could not be recorded may have changed: better one run too many than one too few.
        return change.snapshot_error is not None or any_changed(change, self._columns, strict=False)

    def _hold(self, conditions: Conditions | str, change: Change) -> bool:
        if isinstance(conditions, str):
            # The tables may make conditions right that were refused for them, which are invalid by their verdict alone.
            self._on_failure(Failure(self._hook, change, conditions, conditions, invalid=self._is_invalid))
            return False
        if change.related is not None and conditions.need_rows:
            return False  # which the update of a parent through its child does not have
        try:
            return conditions.hold(change)
        except ConditionFailed as exc:
            self._on_failure(Failure(self._hook, change, str(exc), exc.public))
            return False


def ignore_failure(_failure: Failure) -> None:
    """Ignore the failure."""


@dataclass(slots=True)
class Candidates:
    """The hooks of one event of one table. All of them are for the transactions from ``all_from`` on."""

    hooks: list[Hook] = field(default_factory=list[Hook])
    all_from: int = 0

    def add(self, hook: Hook) -> None:
        """Add a hook."""
        self.hooks.append(hook)
        self.all_from = max(self.all_from, hook.enabled_since.xmax)


class HookTable:
    """The active hooks, by table and event. ``version``: they are of this configuration, or a newer one.

    ``on_failure`` is called for conditions that could not be evaluated, ``on_chain_end`` as ``Rule`` calls it.
    """

    def __init__(
        self,
        version: str,
        hooks: Iterable[Hook],
        on_failure: OnFailure = ignore_failure,
        on_chain_end: OnChainEnd | None = None,
    ) -> None:
        self.version = version
        self.by_id = {hook.id: hook for hook in hooks}
        self._by_event: dict[tuple[int, ObjectChangeActionChoices], Candidates] = defaultdict(Candidates)
        self._rules: dict[int, Rule] = {}
        for hook in self.by_id.values():
            if has_rule(hook):
                self._rules[hook.id] = Rule(hook, on_failure, on_chain_end)
            for content_type_id in hook.content_type_ids:
                for event in hook.events:
                    self._by_event[content_type_id, ObjectChangeActionChoices(event)].add(hook)

    @property
    def has_chains(self) -> bool:
        """Whether one of them also runs for receivers' writes."""
        return any(hook.chain_depth for hook in self.by_id.values())

    def only(self, hook_ids: Collection[int]) -> "HookTable":
        """The table of some of these hooks."""
        table = HookTable(self.version, ())
        table.by_id = {id_: hook for id_, hook in self.by_id.items() if id_ in hook_ids}
        for event, candidates in self._by_event.items():
            for hook in candidates.hooks:
                if hook.id in hook_ids:
                    table._by_event[event].add(hook)
        table._rules = {id_: rule for id_, rule in self._rules.items() if id_ in hook_ids}
        return table

    def matching(self, change: Change) -> Sequence[Hook]:
        """List the hooks that the change is for."""
        candidates = self._by_event.get((change.content_type.id, change.action))
        if candidates is None:
            return ()
        transaction_id = change.transaction_id
        hooks = candidates.hooks
        if transaction_id < candidates.all_from:
            hooks = [hook for hook in hooks if not hook.enabled_since.sees(transaction_id)]
        if change.depth:  # the page may be of a configuration in which other hooks had a chain_depth
            hooks = [hook for hook in hooks if hook.chain_depth]
        rules = self._rules
        if not rules:
            return hooks
        return [hook for hook in hooks if hook.id not in rules or rules[hook.id].wants(change)]

    def matching_parents(
        self, change: Change, matching: Sequence[Hook], deleted: DeletedParents
    ) -> Iterator[tuple[Hook, Updates]]:
        """The hooks that a change is for as an update of parents, beside those that it is ``matching`` as it is.

        A hook gets a change once: as it is, or as the update of the first parent that the hook is for.
        """
        has_it = {hook.id for hook in matching}
        for all_updates in parent_updates(change):
            updates = deleted.without(all_updates)
            for hook in self.matching(updates[0]) if updates else ():
                if hook.id not in has_it:
                    has_it.add(hook.id)
                    yield hook, updates
