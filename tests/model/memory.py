"""Changes of the daemon's memory: the lanes and the backlog of a hook, and the next settle batch."""

from model.state import Delivery, Kind, Queue, Row, Sent, Stage, State, Write


def with_queue(state: State, hook: int, queue: Queue) -> State:
    """Replace the memory of a hook."""
    queues = state.memory.queues
    memory = state.memory._replace(queues=(*queues[:hook], queue, *queues[hook + 1 :]))
    return state._replace(memory=memory)


# The lanes: deliveries in the order of their arrival.


def delivery_of(queue: Queue, change: int) -> Delivery | None:
    """A delivery in memory."""
    for delivery in queue.lanes:
        if delivery.change == change:
            return delivery
    return None


def with_delivery(queue: Queue, delivery: Delivery) -> Queue:
    """Replace a delivery in its place."""
    return queue._replace(lanes=tuple(delivery if each.change == delivery.change else each for each in queue.lanes))


def without_delivery(queue: Queue, change: int) -> Queue:
    """Take a delivery out of its lanes."""
    return queue._replace(lanes=tuple(delivery for delivery in queue.lanes if delivery.change != change))


def with_stage(state: State, hook: int, delivery: Delivery, stage: Stage) -> State:
    """Move a delivery to another stage."""
    queue = with_delivery(state.memory.queues[hook], delivery._replace(stage=stage))
    return with_queue(state, hook, queue)


def give_back(state: State, hook: int, delivery: Delivery) -> State:
    """Let a delivery that was taken wait for its next run, outside the group."""
    return with_stage(state, hook, delivery._replace(in_group=False), Stage.READY)


def end_group(queue: Queue) -> Queue:
    """Let nothing more join the group."""
    return queue._replace(lanes=tuple(each._replace(in_group=False) for each in queue.lanes))


# The backlog: rows in order of change id.


def row_of(queue: Queue, change: int) -> Row | None:
    """A row of the backlog."""
    for row in queue.backlog:
        if row.change == change:
            return row
    return None


def with_row(queue: Queue, row: Row) -> Queue:
    """Put a row into the backlog, or change it."""
    others = [other for other in queue.backlog if other.change != row.change]
    return queue._replace(backlog=tuple(sorted([*others, row])))


def without_row(queue: Queue, change: int) -> Queue:
    """Remove a row from the backlog."""
    return queue._replace(backlog=tuple(row for row in queue.backlog if row.change != change))


def with_row_unloaded(queue: Queue, change: int) -> Queue:
    """Let a delivery go back to its row, if it has one."""
    row = row_of(queue, change)
    return queue if row is None else with_row(queue, row._replace(loaded=False))


# The settle batch.


def with_write(state: State, write: Write) -> State:
    """Put a write into the next settle batch, in place of an earlier one for the same delivery."""
    others = [each for each in state.memory.batch if (each.hook, each.change) != (write.hook, write.change)]
    return state._replace(memory=state.memory._replace(batch=frozenset([*others, write])))


def write_of(state: State, hook: int, change: int) -> Write | None:
    """The write of the next settle batch for a delivery."""
    for write in state.memory.batch:
        if write.hook == hook and write.change == change:
            return write
    return None


def is_sent(state: State, hook: int, change: int) -> bool:
    """Whether a batch that was sent, and may have committed, writes for this delivery."""
    call = state.memory.call
    return isinstance(call, Sent) and any(write.hook == hook and write.change == change for write in call.writes)


def park(state: State, hook: int, change: int, attempts: int, *, loaded: bool = False) -> State:
    """Make a delivery a row: in the backlog now, in the table with the next settle batch."""
    row = Row(change, attempts, loaded=loaded)
    state = with_queue(state, hook, with_row(state.memory.queues[hook], row))
    return with_write(state, Write(Kind.PARK, hook, change, attempts))
