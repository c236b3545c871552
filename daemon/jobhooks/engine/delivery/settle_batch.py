"""The content of one settle batch, which is written in one transaction. Data."""

from collections import defaultdict
from dataclasses import dataclass, field

from jobhooks.engine.delivery.backlog_row import BacklogRow
from jobhooks.engine.delivery.delivery import Delivery
from jobhooks.engine.delivery.outcome import Outcome

RowKey = tuple[int, int]  # a change's id and a hook's


@dataclass(slots=True)
class SettleBatch:
    """Results, and changes of the backlog. A row is in it at most once, as it was last.

    ``rows``: to be inserted or updated. ``parked``: the deliveries in memory whose rows are among these, without a
    failed attempt. ``done``: deliveries whose rows are deleted. ``is_refused_in_part``: after the commit, whether
    results or rows were left as they were, because another session has changed them.
    """

    successes: list[tuple[Delivery, Outcome]] = field(default_factory=list[tuple[Delivery, Outcome]])
    failures: list[tuple[Delivery, Outcome]] = field(default_factory=list[tuple[Delivery, Outcome]])
    rows: dict[RowKey, BacklogRow] = field(default_factory=dict[RowKey, BacklogRow])
    parked: list[Delivery] = field(default_factory=list[Delivery])
    done: list[Delivery] = field(default_factory=list[Delivery])
    is_refused_in_part: bool = False

    def __bool__(self) -> bool:
        return bool(self.successes or self.failures or self.rows or self.done)

    def by_hook(self) -> "dict[int, SettleBatch]":
        """The parts of the batch, one for each hook."""
        parts: dict[int, SettleBatch] = defaultdict(SettleBatch)
        for delivery, outcome in self.successes:
            parts[delivery.hook.id].successes.append((delivery, outcome))
        for delivery, outcome in self.failures:
            parts[delivery.hook.id].failures.append((delivery, outcome))
        for key, row in self.rows.items():
            parts[row.hook_id].rows[key] = row
        for delivery in self.parked:
            parts[delivery.hook.id].parked.append(delivery)
        for delivery in self.done:
            parts[delivery.hook.id].done.append(delivery)
        return parts

    def extend(self, later: "SettleBatch") -> None:
        """Add a later batch."""
        self.successes += later.successes
        self.failures += later.failures
        self.parked += later.parked
        for delivery in later.done:
            self.rows.pop((delivery.change.id, delivery.hook.id), None)
        self.rows |= later.rows
        self.done += later.done
