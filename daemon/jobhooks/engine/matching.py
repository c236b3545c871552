"""Which hooks a change is for. Pure decisions."""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass

from jobhooks.contract.change import Change
from jobhooks.contract.choices import ObjectChangeActionChoices, Ordering
from jobhooks.engine.snapshot import Snapshot


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


class HookTable:
    """The active hooks, by what they are for. ``version``: they are of this configuration, or a newer one."""

    def __init__(self, version: str, hooks: Iterable[Hook]) -> None:
        self.version = version
        self.by_id = {hook.id: hook for hook in hooks}
        self._by_event: dict[tuple[int, ObjectChangeActionChoices], list[Hook]] = defaultdict(list)
        for hook in self.by_id.values():
            for content_type_id in hook.content_type_ids:
                for event in hook.events:
                    self._by_event[content_type_id, event].append(hook)

    def matching(self, change: Change) -> list[Hook]:
        """Return the hooks that the change is for."""
        candidates = self._by_event.get((change.content_type.id, change.action))
        if not candidates:
            return []
        transaction_id = change.transaction_id
        return [hook for hook in candidates if not hook.enabled_since.sees(transaction_id)]
