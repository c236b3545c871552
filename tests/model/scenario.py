"""A scenario: changes, a budget of harm, and the rules of the design that are in force."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from enum import Enum
from functools import cached_property
from typing import NamedTuple

WHOLE_TABLE = "*"


class Change(NamedTuple):
    """A change in the log. ``keys``: one letter each, two for a change of the key, ``WHOLE_TABLE`` for a truncate."""

    id: int
    keys: str
    transaction: int


class Rule(Enum):
    """A rule of the design. A broken variant leaves out one of them."""

    BLOCK_BOTH_KEYS = "a key change blocks both of its keys"
    BLOCK_BEFORE_AWAIT = "keys are blocked before anything is awaited"
    BLOCK_FOR_YOUNGER = "a delivery of the log also becomes a row if a younger row has one of its keys"
    PARK_FOLLOWERS = "everything that waits for a failed delivery, directly or not, becomes a row with it"
    LOAD_COVERED = "a row is loaded only if the hook has read the log up to it"
    LOAD_AFTER_OLDER = "a row is loaded only after the older rows that it conflicts with"
    CHECK_AFTER_FETCH = "a row is loaded only if it can still be loaded after its change has been fetched"
    MEMORY_BEFORE_LOOKUP = "the set of deliveries in memory is taken before results and rows are looked up"
    RECOGNISE_IN_MEMORY = (
        "a change that is read again keeps its page open while its delivery is in memory or its row unwritten"
    )
    ADMIT_IN_PLACE = "a page is dropped if its stream was set back while the page was read"
    SAVE_SETTLED = "the saved position does not pass an open page"
    KEEP_ROW_WHILE_DRAINING = "the row of a hook's position stays until the pages of its former stream are closed"
    JOIN_AT_EQUAL = "a hook joins the shared stream only if both positions are equal"
    GO_ON_AFTER_COMMIT = "a lane goes on only after the result of its first delivery has committed"
    END_GROUP_AT_FAILURE = "after a failure, no later run of its group is kept"
    GIVE_WAY_AFTER_REPORT = "a run gives way if its predecessor in the group was reported and is not committed"
    REPORT_AFTER_GROUP = "behind kept runs, a success is recorded in their transaction, and a failure reported after it"
    COMPARE_AFTER_REFUSAL = "if the table refuses a row or a deletion, the daemon compares its backlog with the table"
    STALE_STOPS = "a daemon that finds an attempt settled goes on only if it still leads"
    HOOKS_LEAVE = "a hook that cannot keep up leaves the shared stream"


class Budget(NamedTuple):
    """How often something may still go wrong."""

    crashes: int = 0
    takeovers: int = 0
    failures: int = 0
    deaths: int = 0  # failures that leave a dead row
    long_runs: int = 0
    leaves: int = 0
    give_backs: int = 0
    retries: int = 0
    discards: int = 0
    replays: int = 0


@dataclass(frozen=True)
class Scenario:
    """A small world that the explorer visits to the end.

    ``standing``: hooks that begin no run. ``most_open``: a hook leaves, or reads no further, when it has this number of
    deliveries in memory. ``most_in_group``: with 1, no runs share a transaction. ``skip``: on_failure = skip.
    ``connections``: a run may commit in a transaction with its result. ``reports``: a success may be reported to the
    settler. ``without``: rules that are left out.
    """

    changes: tuple[Change, ...]
    budget: Budget
    hooks: int = 1
    page_size: int = 1
    most_open: int = 99
    most_in_group: int = 1
    skip: bool = False
    connections: bool = True
    reports: bool = True
    standing: frozenset[int] = frozenset()
    without: frozenset[Rule] = field(default_factory=frozenset[Rule])

    def has(self, rule: Rule) -> bool:
        """Whether a rule is in force."""
        return rule not in self.without

    @cached_property
    def by_id(self) -> dict[int, Change]:
        return {change.id: change for change in self.changes}

    @cached_property
    def conflicts(self) -> dict[int, frozenset[int]]:
        """For each change the others that share a key with it."""
        return {
            change.id: frozenset(other.id for other in self.changes if other is not change and share(change, other))
            for change in self.changes
        }

    @cached_property
    def of_transaction(self) -> dict[int, tuple[int, ...]]:
        """The changes of each transaction."""
        numbers = {change.transaction for change in self.changes}
        return {
            number: tuple(change.id for change in self.changes if change.transaction == number) for number in numbers
        }

    def all_older(self, change: int) -> frozenset[int]:
        """The older changes that a change waits for, directly or not."""
        found: set[int] = set()
        waiting = [change]
        while waiting:
            newest = waiting.pop()
            older = {each for each in self.conflicts[newest] if each < newest} - found
            found |= older
            waiting += older
        return frozenset(found)


def changes(keys: str, transactions: Iterable[int] | None = None) -> tuple[Change, ...]:
    """The changes 1, 2, ... with the given keys: ``changes("a ab b")``; each in its own transaction by default."""
    each: Sequence[str] = keys.split()
    numbers = transactions or range(1, len(each) + 1)
    return tuple(
        Change(id_, keys_of, number) for id_, (keys_of, number) in enumerate(zip(each, numbers, strict=True), 1)
    )


def share(one: Change, other: Change) -> bool:
    """Whether two changes must be delivered in order."""
    return WHOLE_TABLE in one.keys + other.keys or bool(set(one.keys) & set(other.keys))
