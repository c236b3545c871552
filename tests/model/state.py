"""The state of the model: the database, and the daemon's memory. Data only.

Everything is a tuple or a frozen set, so that the explorer can look a state up among those that it has visited.
"""

from enum import IntEnum
from typing import NamedTuple

from model.scenario import Budget


class Position(NamedTuple):
    """A place in the log. Snapshots are numbers of transactions, in order of commit.

    It comes after everything that the first ``seen`` transactions wrote, and after the changes up to id ``last`` of the
    first ``horizon`` transactions.
    """

    seen: int
    horizon: int
    last: int


class Page(NamedTuple):
    """A page that is open: the position before it, and the deliveries that keep it open, as hook and change."""

    before: Position
    open: frozenset[tuple[int, int]]


class Stream(NamedTuple):
    """A place in the log with the open pages behind it, oldest first."""

    position: Position
    pages: tuple[Page, ...] = ()


class Stage(IntEnum):
    """The state of a delivery in memory."""

    READY = 1  # or waiting for an earlier one in its lanes
    RUNNING = 2
    KEPT = 3  # the run has ended, in a transaction that others share; not committed
    UNDONE = 4  # the run failed in such a transaction; reported after its commit
    RECORDED = 5  # committed with its result; the daemon does not know yet
    SETTLING = 6  # reported; the settler writes the result


class Delivery(NamedTuple):
    """A delivery in the lanes of a hook."""

    change: int
    attempts: int
    stage: Stage
    in_group: bool = False  # part of the group that runs


class Row(NamedTuple):
    """A row of a hook's backlog in memory. ``loaded``: its delivery is in the lanes."""

    change: int
    attempts: int
    dead: bool = False
    written: bool = False
    loaded: bool = False


class Queue(NamedTuple):
    """The memory of one hook.

    ``own``: its stream, unless it reads in the shared one. ``draining``: the open pages of a former own stream.
    """

    lanes: tuple[Delivery, ...] = ()
    backlog: tuple[Row, ...] = ()
    own: Stream | None = None
    draining: tuple[Page, ...] = ()


class Reading(NamedTuple):
    """A page that has been read and is not admitted. ``hook``: of an own stream, not of the shared one.

    ``settled`` and ``in_memory``: hooks and changes that had a result or row, or were in memory, at the lookup.
    """

    hook: int | None
    before: Position
    after: Position
    changes: tuple[int, ...]
    settled: frozenset[tuple[int, int]]
    in_memory: frozenset[tuple[int, int]]


class Kind(IntEnum):
    """The kinds of writes."""

    SUCCESS = 1
    FAILURE = 2
    PARK = 3
    DONE = 4  # its row is deleted: it has a result


class Write(NamedTuple):
    """A part of a settle batch. ``attempt``: of the result; for a parked row, the attempts that it has."""

    kind: Kind
    hook: int
    change: int
    attempt: int
    dead: bool = False


class Sent(NamedTuple):
    """A settle batch that was sent: committed or not, and the refused writes."""

    writes: frozenset[Write]
    committed: bool = False
    refused: frozenset[Write] = frozenset()


class Load(NamedTuple):
    """A fetch of a row's change. The table has the row no longer (``gone``), or its next attempt has a result."""

    hook: int
    change: int
    gone: bool
    settled: bool


class TableRow(NamedTuple):
    """A row of the backlog table."""

    hook: int
    change: int
    attempts: int
    dead: bool = False


class Compare(NamedTuple):
    """A comparison of memory with the table, whose rows have been fetched."""

    rows: frozenset[TableRow]


class Memory(NamedTuple):
    """The memory of a daemon: lost in a crash. ``call``: the statement on the settler's connection; one at a time."""

    shared: Stream
    queues: tuple[Queue, ...]
    reading: Reading | None = None
    batch: frozenset[Write] = frozenset()
    call: Sent | Load | Compare | None = None
    notified: bool = False


class Status(IntEnum):
    """How an attempt ended."""

    SUCCESS = 1
    FAILURE = 2
    DISCARDED = 3


class Result(NamedTuple):
    """A row of the table of results."""

    hook: int
    change: int
    attempt: int
    status: Status


class Saved(NamedTuple):
    """The saved positions: of the shared stream, and of each hook that has a row."""

    shared: Position
    hooks: tuple[Position | None, ...]


class State(NamedTuple):
    """The database and the daemon's memory. ``log``: transactions in order of commit.

    ``former``: the lanes of a daemon that leads no more and does not know. ``error``: the property that the last step
    violated.
    """

    log: tuple[int, ...]
    results: frozenset[Result]
    rows: frozenset[TableRow]
    saved: Saved
    replayed: frozenset[tuple[int, int]]
    memory: Memory
    former: tuple[tuple[Delivery, ...], ...]
    budget: Budget
    error: str = ""
