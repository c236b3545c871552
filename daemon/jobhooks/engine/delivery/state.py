"""The states of a delivery in memory, and the transitions between them. Pure."""

from enum import IntEnum, auto


class State(IntEnum):  # whose hash is that of a number: each delivery is looked up in the table several times
    """Where a delivery is. Exactly one of these, from the time it is read or loaded until it leaves memory.

    A delivery of the log keeps its page open until it is settled, parked or dropped.
    """

    WAITING = auto()  # behind an earlier delivery in one of its lanes
    READY = auto()  # first in its lanes, in the hook's queue
    RUNNING = auto()  # a hook task has it
    SETTLING = auto()  # its attempt has ended; the settler writes the result, and the backlog row of a failure
    PARKING = auto()  # the settler writes its backlog row
    SETTLED = auto()  # has a result
    PARKED = auto()  # has a backlog row, and is not in memory
    DROPPED = auto()  # not begun, and not in memory: it is read, or loaded, again


TRANSITIONS: dict[State, frozenset[State]] = {
    State.WAITING: frozenset(
        {State.READY, State.RUNNING, State.PARKING, State.DROPPED}
    ),  # RUNNING: in a group or batch
    State.READY: frozenset({State.RUNNING, State.PARKING, State.DROPPED}),
    State.RUNNING: frozenset({State.WAITING, State.READY, State.SETTLING, State.SETTLED}),  # back: without an attempt
    State.SETTLING: frozenset({State.SETTLED, State.PARKED}),
    State.PARKING: frozenset({State.PARKED}),
    State.SETTLED: frozenset(),
    State.PARKED: frozenset(),
    State.DROPPED: frozenset(),
}
