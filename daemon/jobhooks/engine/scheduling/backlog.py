"""The backlog of one hook: the rows of its table, which keys are blocked, and which rows can run. No I/O.

This is the only owner of the set of blocked keys. A delivery that goes to the table is put here first, before anything
is awaited, so no delivery with one of its keys can be scheduled past it. The table is a copy that survives a crash.

Two rows conflict if they share a key, or if one of them is for the whole table of the other. Rows that do not block
(``on_failure = "skip"``) conflict with nothing. A row can run if every older row that it conflicts with has been loaded
into memory, where the lanes keep their order. So the rows of a key run in order of change id, in chains.
"""

import heapq
from bisect import bisect_left, bisect_right, insort
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from enum import Enum
from math import inf

from jobhooks.engine.delivery.backlog_row import BacklogRow

MOST_ROWS = 50_000  # in memory; a hook with as many reads no more of the log
MOST_MERGED = 10_000  # rows in one delivery

Covers = Callable[[BacklogRow], bool]  # whether the hook has read the log up to a row


@dataclass(slots=True, eq=False)
class Runnable:
    """A row that can run, with the rows behind it that are merged into it."""

    row: BacklogRow
    merged: list[BacklogRow] = field(default_factory=list[BacklogRow])


class Scope(Enum):
    """Which changes of an object are merged. Those without a request id: by transaction, in the scope of a request."""

    TRANSACTION = "transaction"
    REQUEST = "request"
    OBJECT = "object"


class Mergeable:
    """Decides which rows are merged into the first one of their object.

    ``wait_s``: how long a row waits for others. ``at_most_s``: if each new row starts that wait again, how long the
    first one waits at most.
    """

    def __init__(
        self,
        scope: Scope,
        is_complete: Callable[[int], bool],
        wait_s: float = 0.0,
        at_most_s: float | None = None,
    ) -> None:
        self._scope = scope
        self._is_complete = is_complete
        self.waits_until_quiet = at_most_s is not None
        self._longer_s = (at_most_s or 0.0) - wait_s

    def accepts(self, first: BacklogRow, row: BacklogRow) -> bool:
        """Whether a row is merged into ``first``: its transaction is complete, and it is in the same scope."""
        return self._is_complete(row.transaction_id) and self.is_in_scope(first, row)

    def is_in_scope(self, first: BacklogRow, row: BacklogRow) -> bool:
        """Whether two rows of an object are of one transaction, or of one request, if that counts."""
        if self._scope is Scope.OBJECT:
            return True
        if self._scope is Scope.REQUEST and (first.request, row.request) != (None, None):
            return row.request == first.request
        return row.transaction_id == first.transaction_id

    def waits_until(self, first: BacklogRow, last: BacklogRow) -> float:
        """When an object is quiet whose rows these are, or the first one has waited for long enough."""
        if self._scope is Scope.REQUEST and first.request is None:
            return first.due  # its transaction is complete
        return min(first.due + self._longer_s, last.due)


class Backlog:
    """The rows of one hook. Times are by the monotonic clock, in seconds.

    ``is_complete``: all rows of the table are here. Otherwise rows are missing beyond the change id ``_known_to``. Then
    every key counts as blocked, and of the rows beyond that id no one that blocks can run: an older one may be missing.
    """

    def __init__(self) -> None:
        self.rows: dict[int, BacklogRow] = {}
        self._known_to = inf
        self.loaded = 0  # rows that are loaded
        self._by_lane: dict[int, list[int]] = {}  # blocking rows, as change ids in order; so are the next two
        self._by_table: dict[int, list[int]] = {}
        self._whole_table: dict[int, list[int]] = {}  # those that are for the whole table
        self._due: list[tuple[float, int]] = []  # a heap; entries may be stale
        self._candidates: list[int] = []  # a heap of rows to look at: they may be able to run
        self._is_candidate: set[int] = set()
        self._late: set[int] = set()  # rows that are not loaded, when a younger one of one of their lanes is
        self._beyond: set[int] = set()  # rows that the hook's position in the log has not passed

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def is_complete(self) -> bool:
        """Whether all rows of the table are here."""
        return self._known_to == inf

    @property
    def has_unwritten(self) -> bool:
        """Whether the table does not have all rows yet."""
        return not all(row.written for row in self.rows.values())

    def is_full(self, covers: Covers) -> bool:
        """Whether the hook reads no more of the log. Rows beyond its position can run only when it has read further."""
        if self.is_complete and len(self.rows) < MOST_ROWS:
            return False
        while self._beyond:
            change_id = next(iter(self._beyond))
            if not covers(self.rows[change_id]):
                return False
            self._beyond.discard(change_id)
            self._examine(change_id)
        return True

    def blocks(self, content_type_id: int, lane: int | None, other_lane: int | None) -> bool:
        """Whether a delivery of the log with these keys must become a row: a row, older or younger, conflicts with it.

        Younger rows count, too: the log is read again after a crash, and the row may be of an earlier reading. As a row
        itself, the delivery gets its place before them.
        """
        if not self.is_complete:
            return True
        if lane is None:
            return content_type_id in self._by_table
        if content_type_id in self._whole_table or lane in self._by_lane:
            return True
        return other_lane is not None and other_lane in self._by_lane

    def put(self, row: BacklogRow) -> None:
        """Add a row, or change one; it is unwritten. Its keys are blocked from now on."""
        present = self.rows.get(row.change_id)
        if present is not None:
            # It stays in its lanes, even if the key columns of its table have changed: its followers are there.
            row.lane, row.other_lane, row.content_type_id = present.lane, present.other_lane, present.content_type_id
            self._discard(present)
        self._insert(row)

    def remove(self, change_id: int) -> None:
        """Remove a row: its delivery is settled."""
        row = self.rows.get(change_id)
        if row is not None:
            self._discard(row)
            self._examine_behind(row)
            self._late.discard(change_id)

    def mark_written(self, change_id: int) -> None:
        """The table has this row now, so it can run when it is due."""
        row = self.rows.get(change_id)
        if row is not None:
            row.written = True
            self._await_due(row)

    def unload(self, change_id: int) -> None:
        """The delivery has left memory without an attempt.

        If several leave together, unload the youngest first. Otherwise they count as late, which takes more time.
        """
        row = self.rows.get(change_id)
        if row is not None and row.loaded:
            row.loaded = False
            self.loaded -= 1
            self._note_late(row)
            self._await_due(row)

    def give_turn(self, row: BacklogRow, turn_at: float) -> None:
        """The hook's rate lets a row run at that moment. It waits for its turn, beside its other conditions."""
        row.turn_at = turn_at
        if row.written:
            heapq.heappush(self._due, (turn_at, row.change_id))

    def position_moved(self) -> None:
        """The hook has read more of the log. Until they are examined, the rows count as beyond its position."""
        for change_id in self._beyond:
            self._examine(change_id)

    def due_at(self) -> float | None:
        """When to call ``take_runnable`` again, if nothing changes before; None: never."""
        while self._candidates:
            row = self.rows.get(self._candidates[0])
            if row is not None and row.written and not row.loaded:
                return 0.0
            change_id = heapq.heappop(self._candidates)
            self._is_candidate.discard(change_id)
            self._beyond.discard(change_id)
        while self._due:
            due, change_id = self._due[0]
            row = self.rows.get(change_id)
            if row is not None and due in (row.due, row.not_before, row.turn_at) and not row.loaded:
                return due
            heapq.heappop(self._due)
        return None

    def take_runnable(
        self, now: float, most: int, covers: Covers, mergeable: Mergeable | None = None
    ) -> list[Runnable]:
        """Up to ``most`` rows that can run now, in order of change id; they count as loaded.

        ``covers``: whether the hook has read the log up to a row. Deliveries that were in memory only, before a crash
        or before the hook left its stream, may be older than the row, of the same object, and must be read again first.
        """
        while self._due and self._due[0][0] <= now:
            _, change_id = heapq.heappop(self._due)
            self._examine(change_id)
        runnable: list[Runnable] = []
        while self._candidates and len(runnable) < most:
            change_id = heapq.heappop(self._candidates)
            self._is_candidate.discard(change_id)
            self._beyond.discard(change_id)
            row = self.rows.get(change_id)
            if row is None or row.loaded or not row.written or row.due > now or not self._is_next(row):
                continue
            if not covers(row):
                self._beyond.add(change_id)
                continue
            if row.turn_at > now:
                continue  # it is looked at then
            if mergeable is not None and mergeable.waits_until_quiet and self._postpones(row, mergeable, now):
                continue
            merged = [] if mergeable is None else self._mergeable(row, mergeable)
            runnable.append(Runnable(row, merged))
            for each in (row, *merged):
                if not each.loaded:
                    each.loaded = True
                    self.loaded += 1
            self._examine_behind(merged[-1] if merged else row)
            self._late.difference_update(each.change_id for each in (row, *merged))
        return runnable

    def is_loadable(self, row: BacklogRow) -> bool:
        """Whether a row that was taken to be loaded can still be: every older row that it conflicts with is in memory.

        While its change was read, the delivery before it may have failed.
        """
        return self.rows.get(row.change_id) is row and row.loaded and self._is_next(row)

    def reconcile(self, rows: Iterable[BacklogRow], *, complete: bool, unsent: Callable[[int], bool]) -> list[int]:
        """Take over what other sessions have changed in the table; the change ids of rows that are gone.

        ``rows``: all rows of the table, or the first ones. ``unsent``: whether the settler has yet to write a row,
        which then stays as it is.
        """
        found = {row.change_id: row for row in rows}
        known_to = inf if complete else max(found, default=0)
        gone = [id_ for id_ in self.rows if id_ <= known_to and id_ not in found and not unsent(id_)]
        for change_id in gone:
            self.remove(change_id)
        for change_id, row in found.items():
            if unsent(change_id):
                continue
            present = self.rows.get(change_id)
            row.written = True
            if present is None:
                self._insert(row)
            elif present.loaded:
                present.attempts, present.failures = row.attempts, row.failures
            elif _is_changed(present, row):
                self._discard(present)
                self._insert(row)
                self._examine_first(row)
                self._examine_behind(row)
            elif not present.written:
                self.mark_written(change_id)
        self._know_to(known_to)
        return gone

    def _know_to(self, change_id: float) -> None:
        """No row of the table is missing up to this change. So rows up to it may be able to run now."""
        if change_id > self._known_to:
            for row in self.rows.values():
                if self._known_to < row.change_id <= change_id:
                    self._await_due(row)
        self._known_to = change_id

    def _insert(self, row: BacklogRow) -> None:
        change_id = row.change_id
        self.rows[change_id] = row
        self.loaded += row.loaded
        if row.blocks:
            insort(self._by_table.setdefault(row.content_type_id, []), change_id)
            if row.lane is None:
                insort(self._whole_table.setdefault(row.content_type_id, []), change_id)
            for lane in _lanes(row):
                insort(self._by_lane.setdefault(lane, []), change_id)
        self._note_late(row)
        self._await_due(row)

    def _discard(self, row: BacklogRow) -> None:
        change_id = row.change_id
        del self.rows[change_id]
        self._beyond.discard(change_id)
        self.loaded -= row.loaded
        if row.blocks:
            _take_out(self._by_table, row.content_type_id, change_id)
            if row.lane is None:
                _take_out(self._whole_table, row.content_type_id, change_id)
            for lane in _lanes(row):
                _take_out(self._by_lane, lane, change_id)

    def _await_due(self, row: BacklogRow) -> None:
        if row.written and not row.loaded and row.due < inf:
            heapq.heappush(self._due, (row.due, row.change_id))

    def _examine(self, change_id: int) -> None:
        if change_id not in self._is_candidate:
            self._is_candidate.add(change_id)
            heapq.heappush(self._candidates, change_id)

    def _examine_behind(self, row: BacklogRow) -> None:
        """Examine the rows that may have waited for this one alone: the next one in each lane.

        Behind a row for the whole table, these are all rows of its table up to the next one of its kind that is not
        loaded.
        """
        if not row.blocks:
            return
        change_id, table = row.change_id, row.content_type_id
        whole = self._whole_table.get(table, [])
        places = range(bisect_right(whole, change_id), len(whole))
        next_whole = next((whole[place] for place in places if not self.rows[whole[place]].loaded), None)
        if next_whole is not None:
            self._examine(next_whole)
        if row.lane is None:
            of_table = self._by_table.get(table, [])
            for other in of_table[bisect_right(of_table, change_id) :]:
                if next_whole is not None and other > next_whole:
                    break
                self._examine(other)
        for lane in _lanes(row):
            there = self._by_lane.get(lane)
            behind = None if there is None else self._next_behind(there, row)
            if behind is not None:
                self._examine(behind)

    def _next_behind(self, ids: list[int], row: BacklogRow) -> int | None:
        """The next row of a lane. Behind a late one, others can wait behind those that are loaded."""
        place = bisect_right(ids, row.change_id)
        if row.change_id in self._late:
            while place < len(ids) and self.rows[ids[place]].loaded:
                place += 1
        return ids[place] if place < len(ids) else None

    def _is_next(self, row: BacklogRow) -> bool:
        """Whether every older row that conflicts with this one is loaded.

        In each lane it is enough to look at the one before: by the same rule, those before that one are loaded, and if
        one of them leaves memory, it leaves with it. While a row is late, all of them count. So do all rows for the
        whole table: that is also a row of many keys, which in memory has lanes. So one can leave without the other.
        """
        if not row.blocks:
            return True
        if row.change_id > self._known_to:
            return False
        if row.lane is None:
            return self._are_loaded(self._by_table[row.content_type_id], row.change_id)
        whole = self._whole_table.get(row.content_type_id)
        if whole is not None and not self._are_loaded(whole, row.change_id):
            return False
        in_lanes = [self._by_lane[lane] for lane in _lanes(row)]
        if self._late:
            return all(self._are_loaded(ids, row.change_id) for ids in in_lanes)
        before = [_before(ids, row.change_id) for ids in in_lanes]
        return all(other is None or self.rows[other].loaded for other in before)

    def _are_loaded(self, ids: list[int], change_id: int) -> bool:
        """Whether all rows of a list before this one are loaded. Few are, so the first one that is not comes soon."""
        for other in ids:
            if other >= change_id:
                return True
            if not self.rows[other].loaded:
                return False
        return True

    def _note_late(self, row: BacklogRow) -> None:
        """Note a row that is not loaded if a younger one of one of its lanes is.

        Another session has queued it. Or it has left memory, where the younger one was in another lane: a row keeps the
        lanes that it was written with, and the columns that order the hook's changes are others since then.
        """
        if row.loaded or not row.blocks or not self.loaded:
            return
        for behind in (_after(self._by_lane[lane], row.change_id) for lane in _lanes(row)):
            if behind is not None and (self.rows[behind].loaded or behind in self._late):
                self._late.add(row.change_id)

    def reexamine(self, now: float) -> None:
        """The hook has changed: look at the rows again that wait for longer than until they are due, or for a turn."""
        for change_id, row in self.rows.items():
            if row.turn_at:
                if row.due == row.turn_at:
                    row.due = now
                row.turn_at = 0.0
                self._examine(change_id)
            elif row.not_before:
                self._examine(change_id)

    def _examine_first(self, row: BacklogRow) -> None:
        """Examine the first row of a lane if it waits for its object to be quiet, as this row of it has changed."""
        if row.blocks and row.lane is not None:
            first = self._by_lane[row.lane][0]
            if self.rows[first].not_before:
                self._examine(first)

    def _postpones(self, first: BacklogRow, mergeable: Mergeable, now: float) -> bool:
        """Whether a row waits because its object is not quiet yet. An attempt after a failure has waited already."""
        if first.attempts:
            return False
        rows = [first]
        for row in self._behind(first):
            if not mergeable.is_in_scope(first, row):
                return False  # no further row can join those before this one
            rows.append(row)
        if len(rows) > MOST_MERGED or (until := mergeable.waits_until(first, rows[-1])) <= now:
            return False
        first.not_before = until
        heapq.heappush(self._due, (until, first.change_id))
        return True

    def _mergeable(self, first: BacklogRow, mergeable: Mergeable) -> list[BacklogRow]:
        """The rows directly behind this one in its lane that are merged into it."""
        merged: list[BacklogRow] = []
        for row in self._behind(first):
            if not row.written or not mergeable.accepts(first, row):
                break
            merged.append(row)
        return merged

    def _behind(self, first: BacklogRow) -> Iterator[BacklogRow]:
        """The rows directly behind this one in its lane that can be merged into it. A change of the key ends them."""
        if first.lane is None or first.other_lane is not None or not first.blocks:
            return
        lane = self._by_lane[first.lane]
        whole = self._whole_table.get(first.content_type_id)
        barrier = inf if whole is None else _after(whole, first.change_id) or inf
        start = bisect_right(lane, first.change_id)
        for change_id in lane[start : start + MOST_MERGED]:
            row = self.rows[change_id]
            if (
                change_id > barrier
                or row.loaded
                or row.is_dead
                or row.other_lane is not None
                or row.content_type_id != first.content_type_id
            ):
                return
            yield row


def _is_changed(present: BacklogRow, row: BacklogRow) -> bool:
    """Whether another session has changed a row since it was loaded or written.

    No session postpones a row. If it seems to be due later, only the server's clock has been set back.
    """
    if (present.attempts, present.failures, present.blocks) != (row.attempts, row.failures, row.blocks):
        return True
    return row.due < present.due - 1.0 or row.is_dead != present.is_dead


def _lanes(row: BacklogRow) -> tuple[int, ...]:
    """The keys of a row, each once."""
    if row.lane is None:
        return ()
    return (row.lane,) if row.other_lane is None or row.other_lane == row.lane else (row.lane, row.other_lane)


def _after(ids: list[int], change_id: int) -> int | None:
    place = bisect_right(ids, change_id)
    return ids[place] if place < len(ids) else None


def _before(ids: list[int], change_id: int) -> int | None:
    place = bisect_left(ids, change_id)
    return ids[place - 1] if place else None


def _take_out(lists: dict[int, list[int]], key: int, change_id: int) -> None:
    ids = lists[key]
    if len(ids) == 1:
        del lists[key]
    else:
        del ids[bisect_left(ids, change_id)]
