"""Consequences of a run, of a settle batch, of a fetch: lanes go on, rows are written or deleted."""

from model.memory import (
    delivery_of,
    is_sent,
    park,
    row_of,
    with_delivery,
    with_queue,
    with_row,
    with_row_unloaded,
    with_write,
    without_delivery,
    without_row,
    write_of,
)
from model.order import can_load, followers
from model.scenario import Rule, Scenario
from model.state import Delivery, Kind, Load, Queue, Row, Sent, Stage, State, TableRow, Write
from model.streams import release_page

# A run has ended, or lasts long.


def finish(state: State, hook: int, delivery: Delivery) -> State:
    """A delivery has a committed result: its lanes go on, its page closes, and it blocks no key. Its row is deleted."""
    change = delivery.change
    state = with_queue(state, hook, without_delivery(state.memory.queues[hook], change))
    state = release_page(state, hook, change)
    row = row_of(state.memory.queues[hook], change)
    if row is None:
        return state
    write = write_of(state, hook, change)
    if not row.written and write is not None and not is_sent(state, hook, change):
        # The run lasted long, so its row was due to be written. It is not needed now.
        state = state._replace(memory=state.memory._replace(batch=state.memory.batch - {write}))
        return with_queue(state, hook, without_row(state.memory.queues[hook], change))
    state = with_queue(state, hook, without_row(state.memory.queues[hook], change))
    return with_write(state, Write(Kind.DONE, hook, change, delivery.attempts + 1))


def fail(scenario: Scenario, state: State, hook: int, delivery: Delivery, *, dead: bool) -> State:
    """A run failed: its row blocks its keys, and everything that waits for it becomes a row, in one settle batch."""
    attempt = delivery.attempts + 1
    state = with_write(state, Write(Kind.FAILURE, hook, delivery.change, attempt, dead))
    queue = state.memory.queues[hook]
    if scenario.has(Rule.BLOCK_BEFORE_AWAIT):
        queue = with_row(queue, Row(delivery.change, attempt, dead))
    if scenario.skip:
        settling = delivery._replace(stage=Stage.SETTLING, in_group=False)
        return with_queue(state, hook, with_delivery(queue, settling))
    behind = followers(scenario, queue, delivery.change)
    state = with_queue(state, hook, without_delivery(queue, delivery.change))
    for follower in behind:
        state = _put_back(scenario, state, hook, follower)
    return state


def run_long(scenario: Scenario, state: State, hook: int, delivery: Delivery) -> State:
    """A run lasts long: it becomes a row, with everything that waits for it, and goes on."""
    behind = followers(scenario, state.memory.queues[hook], delivery.change)
    state = park(state, hook, delivery.change, delivery.attempts, loaded=True)
    for follower in behind:
        state = _put_back(scenario, state, hook, follower)
    return state


def _put_back(scenario: Scenario, state: State, hook: int, delivery: Delivery) -> State:
    """Make a delivery that has not begun a row, or let it go back to its row."""
    queue = without_delivery(state.memory.queues[hook], delivery.change)
    state = with_queue(state, hook, with_row_unloaded(queue, delivery.change))
    if row_of(queue, delivery.change) is not None:
        return state
    if not scenario.has(Rule.BLOCK_BEFORE_AWAIT):
        return with_write(state, Write(Kind.PARK, hook, delivery.change, delivery.attempts))
    return park(state, hook, delivery.change, delivery.attempts)


# The settler has the answer to its batch.


def learn(scenario: Scenario, state: State, sent: Sent) -> State:
    """The batch has committed. The table refuses a write if another session has settled or changed the delivery."""
    compares = bool(sent.refused) and scenario.has(Rule.COMPARE_AFTER_REFUSAL)
    memory = state.memory
    state = state._replace(memory=memory._replace(call=None, notified=memory.notified or compares))
    for write in sorted(sent.writes, key=lambda write: (write.change, write.hook)):
        state = _learn_write(scenario, state, write, refused=write in sent.refused)
    return state


def _learn_write(scenario: Scenario, state: State, write: Write, *, refused: bool) -> State:
    queue = state.memory.queues[write.hook]
    match write.kind:
        case Kind.SUCCESS:
            queue = without_row(without_delivery(queue, write.change), write.change)
        case Kind.DONE:
            queue = without_row(queue, write.change)
        case Kind.FAILURE:
            queue = without_delivery(queue, write.change)
            if refused and scenario.has(Rule.COMPARE_AFTER_REFUSAL):
                queue = without_row(queue, write.change)
            else:
                queue = _with_row_written(scenario, state, queue, write)
        case Kind.PARK:
            queue = _with_row_written(scenario, state, queue, write)
    return release_page(with_queue(state, write.hook, queue), write.hook, write.change)


def _with_row_written(scenario: Scenario, state: State, queue: Queue, write: Write) -> Queue:
    """Mark a row as written, unless the next batch writes it again."""
    row = row_of(queue, write.change)
    if row is None and not scenario.has(Rule.BLOCK_BEFORE_AWAIT):
        row = Row(write.change, write.attempt, write.dead)
    if row is None or write_of(state, write.hook, write.change) is not None:
        return queue
    return with_row(queue, row._replace(written=True))


# Rows come from the table.


def load(scenario: Scenario, state: State, call: Load) -> State:
    """Put a row's delivery into its lanes, or have the row deleted if its run had committed unnoticed."""
    state = state._replace(memory=state.memory._replace(call=None))
    queue = state.memory.queues[call.hook]
    row = row_of(queue, call.change)
    if row is None or row.loaded or call.gone:
        return state
    if scenario.has(Rule.CHECK_AFTER_FETCH) and not can_load(scenario, state, call.hook, row):
        return state
    queue = with_row(queue, row._replace(loaded=True))
    if call.settled:
        state = with_queue(state, call.hook, queue)
        return with_write(state, Write(Kind.DONE, call.hook, row.change, row.attempts + 1))
    lanes = (*queue.lanes, Delivery(row.change, row.attempts, Stage.READY))
    return with_queue(state, call.hook, queue._replace(lanes=lanes))


def compare(state: State, rows: frozenset[TableRow]) -> State:
    """Bring the backlog in line with the table, except for rows that the settler has yet to write."""
    state = state._replace(memory=state.memory._replace(call=None))
    for hook in range(len(state.memory.queues)):
        of_hook = {row.change: row for row in rows if row.hook == hook}
        state = _drop_missing(state, hook, of_hook)
        for row in of_hook.values():
            state = _take_over(state, row)
    return state


def _drop_missing(state: State, hook: int, rows: dict[int, TableRow]) -> State:
    """Drop the rows that the table has no longer, with the deliveries that have not begun."""
    queue = state.memory.queues[hook]
    for row in queue.backlog:
        if row.change not in rows and row.written and write_of(state, hook, row.change) is None:
            queue = without_row(queue, row.change)
            delivery = delivery_of(queue, row.change)
            if delivery is not None and delivery.stage is Stage.READY:
                queue = without_delivery(queue, row.change)
    return with_queue(state, hook, queue)


def _take_over(state: State, found: TableRow) -> State:
    """Take attempts and status of a row from the table."""
    queue = state.memory.queues[found.hook]
    row = row_of(queue, found.change) or Row(found.change, 0, written=True)
    if not row.written or write_of(state, found.hook, found.change) is not None:
        return state
    queue = with_row(queue, row._replace(attempts=found.attempts, dead=found.dead))
    delivery = delivery_of(queue, found.change)
    if delivery is not None and delivery.stage is Stage.READY:
        queue = with_delivery(queue, delivery._replace(attempts=found.attempts))
    return with_queue(state, found.hook, queue)
