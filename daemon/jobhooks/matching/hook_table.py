"""Which hooks a change is for. Pure decisions."""

from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from jobhooks.contract.change import Change
from jobhooks.contract.choices import ObjectChangeActionChoices, Ordering
from jobhooks.errors import InvalidConditions
from jobhooks.matching.changed_columns import any_changed
from jobhooks.matching.conditions import ConditionFailed, Conditions, compiled
from jobhooks.store.snapshot import Snapshot


@dataclass(frozen=True)
class Hook:
    """An enabled job hook of an enabled job. What ``enabled_since`` sees happened before, and is not its business.

    Times are in seconds; a limit that is None is none. ``blocks``: later changes of an object wait for one that failed.
    ``columns``: an update must have changed one of them, where there are any. ``conditions``: in CEL, or empty.
    ``coalesce_s``: changes of an object are delivered as one, those of one transaction (0) or of so many seconds.
    ``queue_limit``: so many deliveries of all hooks whose jobs are of that queue run at a time.
    ``batch_size``: one call takes up to so many changes, for which it waits ``batch_wait_s``; None: it takes one.
    """

    id: int
    name: str
    job_id: int
    class_path: str
    content_type_ids: frozenset[int]
    events: frozenset[ObjectChangeActionChoices]
    enabled_since: Snapshot
    soft_time_limit: float | None = None
    time_limit: float | None = None
    max_attempts: int = 15
    backoff: float = 1.0
    blocks: bool = True
    concurrency: int = 8
    installed: bool = True
    has_sensitive_variables: bool = False
    queue: str = ""
    queue_limit: int = 1
    is_singleton: bool = False
    order_by: Ordering = Ordering.OBJECT
    order_columns: tuple[str, ...] = ()
    batch_size: int | None = None
    batch_wait_s: float = 0.0
    columns: frozenset[str] = frozenset()
    conditions: str = ""
    coalesce_s: float | None = None


@dataclass(frozen=True)
class Failure:
    """That a hook's conditions could not be evaluated for a change. ``public``: why, without what a row holds.

    ``invalid``: they cannot be for any; and nothing more has happened yet where there is no change.
    """

    hook: Hook
    change: Change | None
    error: str
    public: str
    invalid: bool = False


Told = Callable[[Failure], None]


class Rule:
    """What a hook asks of a change beside its table and event: which columns changed, and its conditions.

    Conditions that cannot be evaluated count as not satisfied, and ``told`` is called.
    """

    def __init__(self, hook: Hook, told: Told) -> None:
        self._hook = hook
        self._told = told
        self._columns = tuple(sorted(hook.columns))
        self._conditions = self._compiled(hook.conditions) if hook.conditions else None

    def _compiled(self, text: str) -> Conditions | str:
        """Return the conditions; why not, if somebody wrote what are none past all checks."""
        try:
            return compiled(text)
        except InvalidConditions as exc:
            reason = str(exc).partition("\n")[0]
            self._told(Failure(self._hook, None, reason, reason, invalid=True))
            return reason

    def wants(self, change: Change) -> bool:
        """Return whether the change is one that the hook asks for."""
        if self._columns and not self._changed(change):
            return False
        return self._conditions is None or self._hold(self._conditions, change)

    def _changed(self, change: Change) -> bool:
        if change.action is not ObjectChangeActionChoices.ACTION_UPDATE:
            return True
        # What could not be written down may have changed: rather one run too many than one too few.
        return change.snapshot_error is not None or any_changed(change, self._columns, strict=False)

    def _hold(self, conditions: Conditions | str, change: Change) -> bool:
        if isinstance(conditions, str):
            self._told(Failure(self._hook, change, conditions, conditions, invalid=True))
            return False
        try:
            return conditions.hold(change)
        except ConditionFailed as exc:
            self._told(Failure(self._hook, change, str(exc), exc.public))
            return False


def told_to_nobody(_failure: Failure) -> None:
    """Take note of nothing."""


class HookTable:
    """The active hooks, by what they are for. ``version``: they are of this configuration, or a newer one.

    ``told`` hears of conditions that could not be evaluated.
    """

    def __init__(self, version: str, hooks: Iterable[Hook], told: Told = told_to_nobody) -> None:
        self.version = version
        self.by_id = {hook.id: hook for hook in hooks}
        self._by_event: dict[tuple[int, ObjectChangeActionChoices], list[Hook]] = defaultdict(list)
        self._rules: dict[int, Rule] = {}
        for hook in self.by_id.values():
            if hook.columns or hook.conditions:
                self._rules[hook.id] = Rule(hook, told)
            for content_type_id in hook.content_type_ids:
                for event in hook.events:
                    self._by_event[content_type_id, event].append(hook)

    def matching(self, change: Change) -> list[Hook]:
        """Return the hooks that the change is for."""
        candidates = self._by_event.get((change.content_type.id, change.action))
        if not candidates:
            return []
        transaction_id = change.transaction_id
        hooks = [hook for hook in candidates if not hook.enabled_since.sees(transaction_id)]
        rules = self._rules
        if not rules:
            return hooks
        return [hook for hook in hooks if hook.id not in rules or rules[hook.id].wants(change)]
