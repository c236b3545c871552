"""The oracle: compares what hooks got with the log, and says what is wrong. Pure.

A hook's receiver records each change that it gets. Its records are in the order in which its runs began to write.
"""

from bisect import bisect_left, bisect_right
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

MOST = 10  # faults of a kind that are listed


class LoggedChange(NamedTuple):
    """A change of the log. A row is its key and its value; a truncate has no rows."""

    id: int
    table: int
    transaction: int
    action: str
    before: tuple[int, int] | None
    after: tuple[int, int] | None
    request: str | None = None

    @property
    def keys(self) -> tuple[int, ...]:
        """Its keys, each once; none for a truncate."""
        return tuple(dict.fromkeys(row[0] for row in (self.before, self.after) if row is not None))


class Record(NamedTuple):
    """A change as a receiver got it: its id, and the values before and after."""

    change: int
    before: int | None
    after: int | None


@dataclass(frozen=True)
class Promise:
    """What a hook must get.

    - ``is_ordered``: it gets the changes of an object in order, across changes of the key
    - ``is_complete``: it gets all changes of its tables; otherwise at most once
    - ``repeats``: its records are outside the database, so a run that was killed may leave one
    - ``merges``: "transaction", "request" or "time", if it merges changes
    """

    name: str
    tables: frozenset[int]
    actions: frozenset[str] = frozenset({"create", "update", "delete", "truncate"})
    is_ordered: bool = True
    is_complete: bool = True
    repeats: bool = False
    merges: str | None = None


@dataclass
class Observed:
    """What a hook got.

    ``settled``: for each result that is no failure, the change and whether it is a success, a discard by an operator,
    or one of changes that come to nothing together.
    """

    records: Sequence[Record] = ()
    settled: Iterable[tuple[int, str]] = ()


SUCCESS, DISCARDED, NOTHING = "success", "discarded", "nothing"


def faults(log: dict[int, LoggedChange], promise: Promise, observed: Observed) -> list[str]:
    """Everything that is wrong with the deliveries of one hook. ``log``: by id, in order."""
    hook = _Hook(log, promise, observed)
    found = [*hook.results(), *hook.records()]
    if promise.merges is None:
        found += hook.counts()
    else:
        found += hook.merged()
    if promise.is_ordered:
        found += hook.order()
    return [f"{promise.name}: {fault}" for fault in found]


def replayed(log: dict[int, LoggedChange], table: int) -> tuple[dict[int, int], list[int]]:
    """The rows that the changes of an empty table lead to, and the changes that do not begin where others ended."""
    rows: dict[int, int] = {}
    broken: list[int] = []
    for change in log.values():
        if change.table != table:
            continue
        if not change.keys:
            rows.clear()
        if change.before is not None and rows.pop(change.before[0], None) != change.before[1]:
            broken.append(change.id)
        if change.after is not None:
            if change.after[0] in rows:
                broken.append(change.id)
            rows[change.after[0]] = change.after[1]
    return rows, broken


@dataclass
class _Hook:
    log: dict[int, LoggedChange]
    promise: Promise
    observed: Observed
    expected: dict[int, LoggedChange] = field(init=False)
    settled: dict[int, str] = field(init=False)
    twice: list[int] = field(init=False)
    got: list[Record] = field(init=False)

    def __post_init__(self) -> None:
        tables, actions = self.promise.tables, self.promise.actions
        self.expected = {
            id_: change for id_, change in self.log.items() if change.table in tables and change.action in actions
        }
        self.settled, self.twice = {}, []
        for id_, how in self.observed.settled:
            if id_ in self.settled:
                self.twice.append(id_)
            self.settled[id_] = how
        self.got = list(self.observed.records)
        if self.promise.repeats:
            self.got = list({record.change: record for record in self.got}.values())  # in the place of the first one

    def results(self) -> Iterator[str]:
        yield from listed("settled twice", self.twice)
        yield from listed("settled, and not of this hook", self.settled.keys() - self.expected.keys())
        if self.promise.is_complete:
            yield from listed("lost", self.expected.keys() - self.settled.keys())

    def records(self) -> Iterator[str]:
        allowed = (SUCCESS, DISCARDED) if self.promise.repeats else (SUCCESS,)  # discarded after it had run
        unsettled = [record.change for record in self.got if self.settled.get(record.change) not in allowed]
        yield from listed("received without a success", unsettled)

    def counts(self) -> Iterator[str]:
        counts = Counter(record.change for record in self.got)
        yield from listed("received twice", (id_ for id_, count in counts.items() if count > 1))
        missing = (id_ for id_, how in self.settled.items() if how == SUCCESS and id_ not in counts)
        yield from listed("a success, and not received", missing)

    def order(self) -> Iterator[str]:
        """An object's changes share keys one by one, so their order is that of each key's changes."""
        last: dict[tuple[int, int], int] = {}
        highest: dict[int, int] = defaultdict(int)
        truncated: dict[int, int] = defaultdict(int)
        pairs: list[tuple[int, int]] = []
        for record in self.got:
            change = self.expected.get(record.change)
            if change is None:
                continue
            before = [last.get((change.table, key), 0) for key in change.keys]
            before.append(truncated[change.table] if change.keys else highest[change.table])
            pairs += [(other, change.id) for other in before if other >= change.id]
            highest[change.table] = max(highest[change.table], change.id)
            for key in change.keys:
                last[change.table, key] = change.id
            if not change.keys:
                truncated[change.table] = change.id
        yield from listed("received in the wrong order", pairs)

    def merged(self) -> Iterator[str]:
        """Each record stands for its change, and for those of its object since the record before it."""
        chains = _Chains(self.expected, self.settled)
        wrong = [record for record in self.got if not chains.take(record, self.promise.merges)]
        yield from listed("do not add up", wrong)
        yield from listed("a success, and not received", chains.left())
        yield from listed("discarded, although they change something", chains.discarded_wrongly())


class _Chains:
    """The changes of each key in order, and how far each was delivered."""

    def __init__(self, expected: dict[int, LoggedChange], settled: dict[int, str]) -> None:
        self._expected = expected
        self._settled = settled
        self._chains: dict[tuple[int, int], list[int]] = defaultdict(list)
        self._at: dict[tuple[int, int], int] = defaultdict(int)
        self._truncates: dict[int, list[int]] = defaultdict(list)
        self._covered: set[int] = set()
        for id_, change in expected.items():
            if not change.keys:
                self._truncates[change.table].append(id_)
            else:
                for key in change.keys:
                    self._chains[change.table, key].append(id_)

    def take(self, record: Record, merges: str | None) -> bool:
        """Deliver up to a record; whether it shows what has changed since the one before."""
        change = self._expected.get(record.change)
        if change is None or change.id in self._covered:
            return False
        self._covered.add(change.id)
        chain = [self._advance((change.table, key), change.id) for key in change.keys]
        if len(chain) != 1:
            return not any(chain) and _shows(record, change, change)
        members = [self._expected[id_] for id_ in chain[0]] + [change]
        self._covered.update(chain[0])
        barriers = self._truncates[change.table]
        return (
            _shows(record, members[0], change)
            and all(len(member.keys) == 1 for member in members)
            and bisect_left(barriers, members[0].id) == bisect_left(barriers, change.id)
            and len({_group(member, merges) for member in members}) == 1
        )

    def _advance(self, key: tuple[int, int], to: int) -> list[int]:
        """The changes of a key since the last record and before this one that were not discarded."""
        ids, start = self._chains[key], self._at[key]
        end = bisect_right(ids, to, start)
        self._at[key] = end
        return [id_ for id_ in ids[start:end] if id_ < to and self._settled.get(id_) not in (NOTHING, DISCARDED)]

    def left(self) -> list[int]:
        """Successes that no record stands for."""
        return [id_ for id_, how in self._settled.items() if how == SUCCESS and id_ not in self._covered]

    def discarded_wrongly(self) -> Iterator[list[int]]:
        """Changes that were found to change nothing together, and do."""
        for ids in self._chains.values():
            run: list[int] = []
            for id_ in [*ids, 0]:
                if self._settled.get(id_) in (NOTHING, DISCARDED):
                    run.append(id_)
                    continue
                discarded = {each for each in run if self._settled[each] == DISCARDED}
                if not _comes_to_nothing([self._expected[each] for each in run], discarded):
                    yield run
                run = []


def _group(change: LoggedChange, merges: str | None) -> tuple[str, object]:
    """What the changes have in common that are merged with this one. Without a request: their transaction."""
    if merges == "time":
        return "any", None
    if merges == "request" and change.request is not None:
        return "request", change.request
    return "transaction", change.transaction


def _shows(record: Record, first: LoggedChange, last: LoggedChange) -> bool:
    before = None if first.before is None else first.before[1]
    after = None if last.after is None else last.after[1]
    return (record.before, record.after) == (before, after)


def _comes_to_nothing(changes: list[LoggedChange], discarded: set[int]) -> bool:
    """Whether these are groups, one after the other, that each end as they began.

    An operator can discard a change alone, or while it is in such a group.
    """
    ends = {0}
    for end in range(1, len(changes) + 1):
        alone = changes[end - 1].id in discarded and end - 1 in ends
        if alone or any(changes[start].before == changes[end - 1].after for start in ends if start < end - 1):
            ends.add(end)
    return len(changes) in ends


def listed(fault: str, found: Iterable[object]) -> Iterator[str]:
    """One line for all faults of a kind."""
    listed = list(found)
    if listed:
        more = "" if len(listed) <= MOST else f" and {len(listed) - MOST} more"
        yield f"{fault}: {', '.join(map(str, listed[:MOST]))}{more}"
