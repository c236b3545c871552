"""Reading: a page is read, its deliveries are looked up, and later they are admitted. There is an await between."""

from model import table
from model.memory import delivery_of, park, row_of, with_queue
from model.order import is_blocked
from model.scenario import Rule, Scenario
from model.state import Delivery, Page, Position, Reading, Stage, State, Stream

# Read a page.


def read_shared(scenario: Scenario, state: State) -> Reading | None:
    """The next page of the shared stream, if there is one. A new snapshot ends the next window."""
    before = position = state.memory.shared.position
    if position.horizon == position.seen:
        position = Position(position.seen, len(state.log), 0)
    if position.horizon == position.seen:
        return None
    changes, after = _next_page(scenario, state, position, None)
    return _look_up(scenario, state, None, before, after, changes)


def read_own(scenario: Scenario, state: State, hook: int) -> Reading | None:
    """The next page of a hook's own stream. Its windows end at the shared stream's snapshots, and not beyond it."""
    own, shared = state.memory.queues[hook].own, state.memory.shared.position
    if own is None:
        return None
    before = position = own.position
    if position.horizon == position.seen:
        horizon = shared.seen if shared.seen > position.seen else shared.horizon
        if shared.seen < position.seen or horizon == position.seen:
            return None
        position = Position(position.seen, horizon, 0)
    same_window = (shared.seen, shared.horizon) == (position.seen, position.horizon)
    changes, after = _next_page(scenario, state, position, shared.last if same_window else None)
    return None if after == before else _look_up(scenario, state, hook, before, after, changes)


def _next_page(
    scenario: Scenario, state: State, position: Position, limit: int | None
) -> tuple[tuple[int, ...], Position]:
    """A page of a window, and the position after it. ``limit``: read to this change, not to the end of the window."""
    found = [change for change in _window(scenario, state, position) if limit is None or change <= limit]
    page = tuple(found[: scenario.page_size])
    if len(found) > len(page):
        return page, position._replace(last=page[-1])
    if limit is None:
        return page, Position(position.horizon, position.horizon, 0)
    return page, position._replace(last=limit)


def _window(scenario: Scenario, state: State, position: Position) -> list[int]:
    """The rest of a window: changes in order of id."""
    numbers = state.log[position.seen : position.horizon]
    changes = [change for number in numbers for change in scenario.of_transaction[number]]
    return sorted(change for change in changes if change > position.last)


def _look_up(
    scenario: Scenario, state: State, hook: int | None, before: Position, after: Position, changes: tuple[int, ...]
) -> Reading:
    """Look up which deliveries of a page have a result or a row, or are in memory."""
    deliveries = [(each, change) for each in range(scenario.hooks) for change in changes]
    settled = frozenset(key for key in deliveries if table.has_result(state, *key) or table.row_of(state, *key))
    in_memory: frozenset[tuple[int, int]] = frozenset()
    if scenario.has(Rule.MEMORY_BEFORE_LOOKUP):
        queues = state.memory.queues
        in_memory = frozenset((each, change) for each, change in deliveries if delivery_of(queues[each], change))
    return Reading(hook, before, after, changes, settled, in_memory)


# Admit it.


def admit(scenario: Scenario, state: State, reading: Reading) -> State:
    """Schedule the deliveries of a page, which stays open until each has a result or a row."""
    state = state._replace(memory=state.memory._replace(reading=None))
    stream = _stream(state, reading.hook)
    if stream is None or (stream.position != reading.before and scenario.has(Rule.ADMIT_IN_PLACE)):
        return state
    opened: set[tuple[int, int]] = set()
    for change in reading.changes:
        for hook in _members(state, reading.hook):
            state, is_open = _admit_delivery(scenario, state, hook, change, reading)
            if is_open:
                opened.add((hook, change))
    pages = (*stream.pages, Page(reading.before, frozenset(opened))) if opened else stream.pages
    return _with_stream(state, reading.hook, Stream(reading.after, pages))


def _stream(state: State, hook: int | None) -> Stream | None:
    return state.memory.shared if hook is None else state.memory.queues[hook].own


def _with_stream(state: State, hook: int | None, stream: Stream) -> State:
    if hook is None:
        return state._replace(memory=state.memory._replace(shared=stream))
    return with_queue(state, hook, state.memory.queues[hook]._replace(own=stream))


def _members(state: State, hook: int | None) -> list[int]:
    """The hooks that read in a stream."""
    if hook is not None:
        return [hook]
    return [each for each, queue in enumerate(state.memory.queues) if queue.own is None]


def _admit_delivery(scenario: Scenario, state: State, hook: int, change: int, reading: Reading) -> tuple[State, bool]:
    """Schedule a delivery or make it a row, unless it is done or known. Also: whether it keeps the page open."""
    queue = state.memory.queues[hook]
    row = row_of(queue, change)
    if row is not None or delivery_of(queue, change) is not None:
        # If its row is in the table, it keeps nothing open.
        is_open = row is None or not row.written
        return state, is_open and scenario.has(Rule.RECOGNISE_IN_MEMORY)
    if (hook, change) in reading.settled | reading.in_memory:
        return state, False
    if is_blocked(scenario, queue, change):
        return park(state, hook, change, 0), True
    queue = queue._replace(lanes=(*queue.lanes, Delivery(change, 0, Stage.READY)))
    return with_queue(state, hook, queue), True
