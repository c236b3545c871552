"""The database of the machine, in memory: log, results, backlog rows, positions. It checks each commit.

A statement is executed and answered in two steps, so that anything can happen in between.
"""

import asyncio
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from math import inf
from typing import Any

from jobhooks.contract.change import Change
from jobhooks.contract.choices import FailurePolicy, JobResultStatus as Status, ObjectChangeActionChoices as Action
from jobhooks.contract.content_type import ContentType, Parent
from jobhooks.engine.delivery.backlog_row import BacklogRow
from jobhooks.engine.delivery.cursor import NO_LIMIT, Cursor
from jobhooks.engine.delivery.delivery import Delivery, delivery_of_row
from jobhooks.engine.delivery.settle_batch import SettleBatch
from jobhooks.engine.reading.reader import Reading
from jobhooks.errors import AlreadySettled, JobhooksError, LeadsNoMore
from jobhooks.matching.hook_table import Hook, HookTable
from jobhooks.matching.parent_updates import parent_updates
from jobhooks.store.snapshot import Snapshot
from support.making import DEVICE, make_change, make_cursor

PARENTS = (Parent(DEVICE, ("a",)), Parent(DEVICE, ("b",)))
CABLE = ContentType(2, "public.cable", "public", "cable", ("id",), ("integer",), parents=PARENTS)
SETTLED = (Status.SUCCESS, Status.DISCARDED)
Key = tuple[int, int]  # a change's id and a hook's


@dataclass
class StoredRow:
    """A row of the backlog table. ``due``: by the fake clock."""

    attempts: int
    failures: int
    blocks: bool
    due: float
    row: BacklogRow  # its lanes


@dataclass
class Mark:
    """A run of an ``async def`` receiver, marked as ``Suspects`` does. ``process``: the number of its daemon."""

    attempt: int
    process: int
    alone: bool
    crashes: int = 0
    state: str = "running"


@dataclass(eq=False)
class Statement:
    """A statement that was sent. ``execute`` returns its answer, or raises an error."""

    name: str
    execute: Callable[[], Any]
    answer: asyncio.Future[Any]
    is_executed: bool = False
    result: Any = None
    error: JobhooksError | None = None

    def advance(self) -> None:
        """Execute it; if that is done, answer it."""
        if not self.is_executed:
            self.is_executed = True
            try:
                self.result = self.execute()
            except JobhooksError as exc:
                self.error = exc
        elif not self.answer.done():
            if self.error is None:
                self.answer.set_result(self.result)
            else:
                self.answer.set_exception(self.error)


@dataclass
class Database:
    """Everything that survives a crash of the daemon. ``leader``: the number of the daemon that leads."""

    hooks: list[Hook]
    now: Callable[[], float]
    changes: dict[int, Change] = field(default_factory=dict[int, Change])
    open: dict[int, list[Change]] = field(default_factory=dict[int, list[Change]])  # transactions
    next_transaction: int = 1
    next_change: int = 1
    results: dict[tuple[int, int, int], Status] = field(default_factory=dict[tuple[int, int, int], Status])
    rows: dict[Key, StoredRow] = field(default_factory=dict[Key, StoredRow])
    shared: Cursor = field(default_factory=make_cursor)
    positions: dict[int, Cursor] = field(default_factory=dict[int, Cursor])
    values: dict[int, int] = field(default_factory=dict[int, int])  # of the rows, by key
    rates: dict[tuple[int, int], float] = field(default_factory=dict[tuple[int, int], float])  # full again, by key
    leader: int = 0
    dead: set[int] = field(default_factory=set[int])  # daemons that have crashed; the next one has not judged them
    doubted: set[int] = field(default_factory=set[int])  # those that led before, and may have crashed
    marks: dict[Key, Mark] = field(default_factory=dict[Key, Mark])  # the last one that began is the last
    late: set[Key] = field(default_factory=set[Key])  # committed by a daemon that no longer leads
    version: int = 1  # of the configuration
    disabled: set[int] = field(default_factory=set[int])  # hooks
    toggled: set[int] = field(default_factory=set[int])  # hooks that were disabled at some time
    refuses: set[int] = field(default_factory=set[int])  # hooks whose parts of settle batches fail
    statements: list[Statement] = field(default_factory=list[Statement])
    at_once: bool = False

    async def send(self, name: str, execute: Callable[[], Any]) -> Any:
        """Send a statement, and wait for its answer."""
        statement = Statement(name, execute, asyncio.get_running_loop().create_future())
        if self.at_once:
            return execute()
        self.statements.append(statement)
        try:
            return await statement.answer
        finally:
            if statement in self.statements:
                self.statements.remove(statement)

    # The log.

    def snapshot(self) -> str:
        """The current snapshot in text form."""
        xmax = self.next_transaction
        return f"{min(self.open, default=xmax)}:{xmax}:{','.join(map(str, sorted(self.open)))}"

    def locked(self) -> set[str]:
        """The keys of rows that open transactions have changed."""
        return {key for changes in self.open.values() for change in changes for key in keys_of(change)}

    def write(self, transaction_id: int | None, old: int, new: int, truncate: bool = False) -> int:
        """Change a row, in an open transaction or a new one."""
        if transaction_id is None:
            transaction_id = self.next_transaction
            self.next_transaction += 1
            self.open[transaction_id] = []
        value = self.values.get(old, 0)
        self.values[new] = 1 - value  # two changes come to nothing
        before, after = {"id": old, "value": value}, {"id": new, "value": 1 - value}
        change = make_change(self.next_change, before=before, after=after, transaction_id=transaction_id)
        # Three transactions are a request; the fourth has none.
        request = None if transaction_id % 4 == 0 else f"request {transaction_id // 4}"
        change = replace(change, request_id=request)
        if truncate:
            change = make_truncate(self.next_change, transaction_id)
        self._log(change)
        return transaction_id

    def write_child(self, *parents: int) -> int:
        """Change a row that refers to two parents at a time, in a new transaction; these are up to four parents."""
        transaction_id = self.next_transaction
        self.next_transaction += 1
        self.open[transaction_id] = []
        a, b, *new = parents
        before, after = {"a": a, "b": b}, {"a": new[0] if new else a, "b": new[-1] if new else b}
        change = make_change(self.next_change, before=before, after=after, transaction_id=transaction_id)
        self._log(replace(change, content_type=CABLE))
        return transaction_id

    def _log(self, change: Change) -> None:
        self.next_change += 1
        self.open[change.transaction_id].append(change)

    def commit(self, transaction_id: int) -> None:
        """Commit a transaction of a writer."""
        self.changes |= {change.id: change for change in self.open.pop(transaction_id)}

    def read(self, window: Cursor, limit: int, *, new_horizon: bool = False, up_to: int = NO_LIMIT) -> Reading:
        """A page of the log."""
        if new_horizon:
            window = replace(window, seen=window.horizon, horizon=self.snapshot(), last_id=0)
        reach = window.reach()
        found = [
            change
            for id_, change in sorted(self.changes.items())
            if window.last_id < id_ <= up_to
            and reach.horizon.sees(change.transaction_id)
            and not reach.seen.sees(change.transaction_id)
        ]
        page = found[:limit]
        complete = len(found) < limit
        after = window.after(page, complete=complete, up_to=up_to)
        return Reading(page, after, str(self.version), not complete, has_parents=True)

    def conflicts(self, hook: Hook, change: Change) -> Iterable[Change]:
        """The changes that the hook must get in order with this one."""
        keys = keys_of(change)
        for other in self.changes.values():
            others = keys_of(other)
            if other is not change and ("*" in keys | others or keys & others):
                yield other

    # Results.

    def is_settled(self, change_id: int, hook_id: int) -> bool:
        """Whether a delivery needs no more attempts."""
        skips = self.hook(hook_id).limits.on_failure is FailurePolicy.SKIP
        return any(
            key[:2] == (change_id, hook_id) and (status in SETTLED or (skips and status is Status.FAILURE))
            for key, status in self.results.items()
        )

    def is_dead_or_settled(self, change_id: int, hook_id: int) -> bool:
        """Whether a delivery is not attempted again by itself."""
        row = self.rows.get((change_id, hook_id))
        return self.is_settled(change_id, hook_id) if row is None else row.due == inf

    def hook(self, hook_id: int) -> Hook:
        """A hook by its id."""
        return next(hook for hook in self.hooks if hook.id == hook_id)

    def has_attempt(self, delivery: Delivery) -> bool:
        """Whether the current attempt has a result."""
        return (delivery.change.id, delivery.hook.id, delivery.attempt) in self.results

    def record(self, deliveries: list[Delivery], leader: int) -> None:
        """Record successes together, with those of merged changes. ``leader``: the number of the daemon.

        Raises:
            AlreadySettled: one of the attempts has a result.
        """
        each_one = [each for delivery in deliveries for each in (delivery, *delivery.merged)]
        if any(self.has_attempt(each) for each in each_one):
            raise AlreadySettled
        for each in each_one:
            self._record(each, Status.SUCCESS)
            if leader != self.leader:
                self.late.add(_key(each))

    def _record(self, delivery: Delivery, status: Status) -> None:
        """Record a result, and check that successes come in order and once."""
        if status is Status.SUCCESS:
            self._check_success(delivery)
        self.results[delivery.change.id, delivery.hook.id, delivery.attempt] = status

    def _check_success(self, delivery: Delivery) -> None:
        change, hook = self.changes[delivery.change.id], delivery.hook
        for attempt in range(1, delivery.attempt):
            assert self.results.get((change.id, hook.id, attempt)) is not Status.SUCCESS, f"{change.id} succeeds twice"
        self.check_order(hook, change, set())

    def check_order(self, hook: Hook, change: Change, together: set[int]) -> None:
        """Check that older changes with its keys are settled, or are in ``together``, and that no younger one is."""
        for other in self.conflicts(hook, change):
            if other.id < change.id and other.id not in together and self.expects(hook, other):
                assert self.is_settled(other.id, hook.id), f"{change.id} comes before {other.id}, hook {hook.id}"
            is_late = (other.id, hook.id) in self.late
            if other.id > change.id and hook.limits.on_failure is FailurePolicy.BLOCK and not is_late:
                assert not self.has_success(other.id, hook.id), f"{change.id} comes after {other.id}, hook {hook.id}"

    def expects(self, hook: Hook, change: Change) -> bool:
        """Whether a hook must get a change: it has not been disabled since then."""
        since = self.hook(hook.id).enabled_since
        return hook.id not in self.disabled and not (hook.id in self.toggled and since.sees(change.transaction_id))

    def has_success(self, change_id: int, hook_id: int) -> bool:
        """Whether a delivery has succeeded."""
        return any(key[:2] == (change_id, hook_id) and status is Status.SUCCESS for key, status in self.results.items())

    # Settle batches.

    def check_leader(self, leader: int) -> None:
        """Refuse a daemon that no longer leads.

        Raises:
            LeadsNoMore: another one does.
        """
        if leader != self.leader:
            raise LeadsNoMore

    def settle(self, batch: SettleBatch, leader: int) -> bool:
        """Commit a settle batch; whether a part of it was refused.

        Raises:
            JobhooksError: the database refuses the rows of a hook.
            LeadsNoMore: another daemon leads.
        """
        self.check_leader(leader)
        if self.refuses & batch.by_hook().keys():
            raise JobhooksError("the database refuses this")
        refused = self._record_successes(batch)
        written = self._record_failures(batch)
        attempted = {_key(delivery) for delivery, outcome in batch.failures if outcome.raised}
        for key, row in batch.rows.items():
            refused |= (key in attempted and key not in written) or not self._upsert(key, row)
        for delivery in batch.done:
            refused |= not self._delete(_key(delivery), delivery.attempt)
        return refused

    def _record_successes(self, batch: SettleBatch) -> bool:
        refused = False
        for delivery, _ in sorted(batch.successes, key=lambda each: each[0].change.id):
            if self.has_attempt(delivery):
                refused = True
            else:
                self._record(delivery, Status.SUCCESS)
        return refused

    def _record_failures(self, batch: SettleBatch) -> set[Key]:
        written: set[Key] = set()
        for delivery, outcome in batch.failures:
            if not self.has_attempt(delivery):
                self._record(delivery, outcome.status)
                written.add(_key(delivery))
        return written

    def _upsert(self, key: Key, row: BacklogRow) -> bool:
        present = self.rows.get(key)
        if present is not None and present.attempts > row.attempts:
            return False
        self.rows[key] = StoredRow(row.attempts, row.failures, row.blocks, row.due, present.row if present else row)
        return True

    def _delete(self, key: Key, attempt: int) -> bool:
        present = self.rows.get(key)
        if present is None or present.attempts >= attempt:
            return False
        del self.rows[key]
        return True

    def save(self, cursor: Cursor | None, positions: dict[int, Cursor | None], leader: int) -> None:
        """Save positions; a disabled hook gets none. Everything before them must have a result or a row.

        Raises:
            LeadsNoMore: another daemon leads.
        """
        self.check_leader(leader)
        self.shared = cursor or self.shared
        for hook_id, position in positions.items():
            if position is None:
                self.positions.pop(hook_id, None)
            elif hook_id not in self.disabled:
                self.positions[hook_id] = position
        for hook in self.hooks:
            reach = self.positions.get(hook.id, self.shared).reach()
            for change in self.changes.values():
                if reach.covers(change.id, change.transaction_id) and self.expects(hook, change):
                    known = self.is_settled(change.id, hook.id) or (change.id, hook.id) in self.rows
                    assert known, f"the saved position of hook {hook.id} passes change {change.id}"

    def save_rates(self, rates: dict[tuple[int, int], float], leader: int) -> None:
        """Save the used part of each hook's rate.

        Raises:
            LeadsNoMore: another daemon leads.
        """
        self.check_leader(leader)
        self.rates |= rates

    def rate_buckets(self, hook_id: int) -> list[tuple[int, float]]:
        """As ``Ledger.rate_buckets``."""
        return [(key[1], full_at - self.now()) for key, full_at in self.rates.items() if key[0] == hook_id]

    # Queries of the ledger.

    def backlog_rows(self, hook_id: int, most: int) -> list[BacklogRow]:
        """The rows of a hook, as ``Ledger.backlog_rows``."""
        found = sorted((key[0], stored) for key, stored in self.rows.items() if key[1] == hook_id)
        return [
            BacklogRow(
                *(change_id, hook_id, stored.row.content_type_id, stored.row.lane, stored.row.other_lane),
                *(
                    self.changes[change_id].transaction_id,
                    stored.attempts,
                    stored.failures,
                    False,
                    stored.blocks,
                    stored.due,
                    stored.row.is_of_child,
                ),
            )
            for change_id, stored in found[:most]
        ]

    def load(self, hook: Hook, rows: list[BacklogRow]) -> tuple[list[Delivery], list[Delivery]]:
        """As ``Ledger.load``."""
        deliveries: list[Delivery] = []
        settled: list[Delivery] = []
        for row in sorted(rows, key=lambda row: row.change_id):
            delivery = delivery_of_row(self.changes[row.change_id], hook, DEVICE)
            delivery.attempts, delivery.failures = row.attempts, row.failures
            later = [key for key in self.results if key[:2] == (row.change_id, hook.id) and key[2] > row.attempts]
            (settled if later else deliveries).append(delivery)
        return deliveries, settled

    def settled(self, deliveries: list[Delivery]) -> set[Key]:
        """As ``Ledger.settled``."""
        known = {key[:2] for key in self.results} | self.rows.keys()
        return {_key(delivery) for delivery in deliveries} & known

    def last_settled(self) -> int:
        """As ``Ledger.last_settled``."""
        return max((key[0] for key in [*self.results, *self.rows]), default=0)

    def changes_to_merge(self, ids: list[int]) -> dict[int, Change]:
        """As ``Ledger.changes_to_merge``."""
        return {id_: self.changes[id_] for id_ in ids}

    def hook_table(self) -> HookTable:
        """The active hooks."""
        return HookTable(str(self.version), [hook for hook in self.hooks if hook.id not in self.disabled])

    # Persons.

    def toggle(self, hook: Hook) -> None:
        """Disable a hook, or enable it: it gets what commits from then on. It has no position then."""
        self.version += 1
        self.toggled.add(hook.id)
        self.positions.pop(hook.id, None)
        self.disabled ^= {hook.id}
        if hook.id not in self.disabled:
            self.hooks[self.hooks.index(hook)] = replace(hook, enabled_since=Snapshot.parse(self.snapshot()))

    def retry(self, key: Key) -> None:
        """As ``jobhooks.retry_deliveries``."""
        row = self.rows[key]
        row.failures, row.blocks, row.due = 0, True, self.now()

    def discard(self, key: Key) -> None:
        """As ``jobhooks.discard_deliveries``."""
        row = self.rows[key]
        if (*key, row.attempts + 1) not in self.results:
            self.results[*key, row.attempts + 1] = Status.DISCARDED
            del self.rows[key]


def _key(delivery: Delivery) -> Key:
    return delivery.change.id, delivery.hook.id


def keys_of(change: Change) -> set[str]:
    """The keys of a change, "*" for the whole table: those of its parents if it is one of a child."""
    change = change.related or change
    if change.content_type is CABLE:
        return {key for (updates,) in [parent_updates(change)] for update in updates for key in keys_of_row(update)}
    return keys_of_row(change)


def keys_of_row(change: Change) -> set[str]:
    """The keys of a change of a row, or of a parent."""
    keys = change.lane_keys()
    return {"*"} if keys is None else {key.decode() for key in keys}


def make_truncate(number: int, transaction_id: int) -> Change:
    """A truncate of the whole table."""
    change = make_change(number, transaction_id=transaction_id)
    return replace(change, action=Action.ACTION_TRUNCATE, prechange_json=None, postchange_json=None)
