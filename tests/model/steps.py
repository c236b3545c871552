"""The steps of the model: everything that can happen next in a state. A crash is possible between any two of them."""

from model import table
from model.label import Label, Steps, spend
from model.memory import without_delivery
from model.operators import operators
from model.order import can_begin, can_load
from model.outcomes import compare, learn, load
from model.reading import admit, read_own, read_shared
from model.runs import runs
from model.scenario import Rule, Scenario
from model.state import Compare, Load, Memory, Position, Queue, Row, Saved, Sent, Stage, State, Stream
from model.streams import can_join, join, leave, positions


def first_state(scenario: Scenario) -> State:
    """Nothing has happened; a daemon runs."""
    saved = Saved(Position(0, 0, 0), (None,) * scenario.hooks)
    memory = Memory(Stream(saved.shared), (Queue(),) * scenario.hooks)
    return State((), frozenset(), frozenset(), saved, frozenset(), memory, (), scenario.budget)


def steps(scenario: Scenario, state: State) -> Steps:
    """All next states."""
    yield from _writers(scenario, state)
    yield from _reader(scenario, state)
    yield from _settler(scenario, state)
    for hook in range(scenario.hooks):
        yield from _streams(scenario, state, hook)
        if hook not in scenario.standing:
            yield from _loads(scenario, state, hook)
            yield from runs(scenario, state, hook)
    yield from operators(scenario, state)
    yield from _crashes(state)
    yield from _former_daemon(scenario, state)


# Writers and streams.


def _writers(scenario: Scenario, state: State) -> Steps:
    for number in scenario.of_transaction:
        if table.can_commit(scenario, state, number):
            yield Label(f"transaction {number} commits"), state._replace(log=(*state.log, number))


def _reader(scenario: Scenario, state: State) -> Steps:
    """One page at a time is read, and then admitted."""
    memory = state.memory
    if memory.reading is not None:
        admitted = admit(scenario, state, memory.reading)
        yield Label(f"admit the page {list(memory.reading.changes)}"), admitted
        return
    full = {hook for hook, queue in enumerate(memory.queues) if len(queue.lanes) >= scenario.most_open}
    if all(memory.queues[hook].own for hook in full):
        reading = read_shared(scenario, state)
        if reading is not None:
            yield Label("read the shared stream"), state._replace(memory=memory._replace(reading=reading))
    for hook in set(range(scenario.hooks)) - full:
        reading = read_own(scenario, state, hook)
        if reading is not None:
            yield Label("read the own stream", hook), state._replace(memory=memory._replace(reading=reading))


def _streams(scenario: Scenario, state: State, hook: int) -> Steps:
    """A hook leaves if it is full; the budget also lets it leave without a reason."""
    queue = state.memory.queues[hook]
    if scenario.has(Rule.HOOKS_LEAVE):
        if queue.own is None and len(queue.lanes) >= scenario.most_open:
            yield Label("leave", hook), leave(state, hook)
        elif (spent := spend(state, "leaves")) is not None:
            yield Label("leave", hook, harm=True), leave(spent, hook)
    if can_join(scenario, state.memory, hook):
        yield Label("join", hook), join(state, hook)


# The settler's connection: one call at a time.


def _settler(scenario: Scenario, state: State) -> Steps:
    call = state.memory.call
    if isinstance(call, Compare):
        yield Label("compare with the table"), compare(state, call.rows)
    elif isinstance(call, Sent) and call.committed:
        yield Label("learn of the batch"), learn(scenario, state, call)
    elif isinstance(call, Sent):
        yield Label("commit the batch"), table.apply(scenario, state, call)
    elif call is None:
        yield from _calls(scenario, state)


def _calls(scenario: Scenario, state: State) -> Steps:
    memory = state.memory
    if memory.batch:
        sent = memory._replace(batch=frozenset(), call=Sent(memory.batch))
        yield Label("send the batch"), state._replace(memory=sent)
    saved = positions(scenario, memory)
    if saved != state.saved:
        yield Label("save positions"), table.save(scenario, state, saved)
    if memory.notified:
        fetched = memory._replace(call=Compare(state.rows), notified=False)
        yield Label("fetch rows"), state._replace(memory=fetched)


def _loads(scenario: Scenario, state: State, hook: int) -> Steps:
    call = state.memory.call
    if isinstance(call, Load) and call.hook == hook:
        yield Label("load", hook, call.change), load(scenario, state, call)
    elif call is None:
        for row in state.memory.queues[hook].backlog:
            if can_load(scenario, state, hook, row):
                memory = state.memory._replace(call=_fetch(state, hook, row))
                yield Label("fetch", hook, row.change), state._replace(memory=memory)


def _fetch(state: State, hook: int, row: Row) -> Load:
    gone = table.row_of(state, hook, row.change) is None
    settled = table.result_of(state, hook, row.change, row.attempts + 1) is not None
    return Load(hook, row.change, gone, settled)


# A daemon ends, and another one starts.


def _crashes(state: State) -> Steps:
    """In a takeover, the former daemon does not know."""
    if (spent := spend(state, "crashes")) is not None:
        yield Label("crash", harm=True), spent._replace(memory=_start(spent))
    if (spent := spend(state, "takeovers")) is not None:
        former = tuple(queue.lanes for queue in state.memory.queues)
        yield Label("takeover", harm=True), spent._replace(memory=_start(spent), former=former)


def _start(state: State) -> Memory:
    """The memory of a daemon that starts: the saved positions, and the rows of the table."""
    queues = tuple(
        Queue((), _rows_of(state, hook), position and Stream(position))
        for hook, position in enumerate(state.saved.hooks)
    )
    return Memory(Stream(state.saved.shared), queues)


def _rows_of(state: State, hook: int) -> tuple[Row, ...]:
    found = sorted(row for row in state.rows if row.hook == hook)
    return tuple(Row(row.change, row.attempts, row.dead, written=True) for row in found)


def _former_daemon(scenario: Scenario, state: State) -> Steps:
    """The runs of a former daemon commit until it notices. The table refuses its settle batches."""
    for hook, lanes in enumerate(state.former):
        queue = Queue(lanes)
        for delivery in lanes:
            rest = without_delivery(queue, delivery.change).lanes
            after = state._replace(former=(*state.former[:hook], rest, *state.former[hook + 1 :]))
            if delivery.stage is Stage.RECORDED:
                yield Label("former daemon: learn of the commit", hook, delivery.change, harm=True), after
            elif delivery.stage is Stage.RUNNING or can_begin(scenario, queue, delivery):
                yield _former_run(scenario, after, hook, delivery.change, delivery.attempts + 1)


def _former_run(scenario: Scenario, state: State, hook: int, change: int, attempt: int) -> tuple[Label, State]:
    if table.result_of(state, hook, change, attempt) is None:
        recorded = table.record_success(scenario, state, hook, change, attempt)
        return Label("former daemon: commit the run", hook, change, harm=True), recorded
    stopped = state._replace(former=()) if scenario.has(Rule.STALE_STOPS) else state
    return Label("former daemon: find it settled", hook, change, harm=True), stopped
