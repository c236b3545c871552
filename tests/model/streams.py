"""Streams: positions, open pages, and hooks that leave the shared stream and join it again."""

from collections.abc import Iterable

from model.memory import with_queue, with_row_unloaded, without_delivery
from model.scenario import Rule, Scenario
from model.state import Memory, Page, Position, Queue, Saved, Stage, State, Stream


def read_position(memory: Memory, hook: int) -> Position:
    """How far a hook has read the log."""
    own = memory.queues[hook].own
    return memory.shared.position if own is None else own.position


def release_page(state: State, hook: int, change: int) -> State:
    """Let a delivery keep no page open."""
    memory, queue = state.memory, state.memory.queues[hook]
    shared = memory.shared._replace(pages=_without(memory.shared.pages, hook, change))
    own = queue.own and queue.own._replace(pages=_without(queue.own.pages, hook, change))
    queue = queue._replace(own=own, draining=_without(queue.draining, hook, change))
    return with_queue(state._replace(memory=memory._replace(shared=shared)), hook, queue)


def _without(pages: Iterable[Page], hook: int, change: int) -> tuple[Page, ...]:
    """The pages that are open without this delivery."""
    left = (page._replace(open=page.open - {(hook, change)}) for page in pages)
    return tuple(page for page in left if page.open)


# Positions to save.


def positions(scenario: Scenario, memory: Memory) -> Saved:
    """The positions to save."""
    hooks = tuple(_hook_position(scenario, memory, queue) for queue in memory.queues)
    return Saved(_settled_to(scenario, memory.shared), hooks)


def _hook_position(scenario: Scenario, memory: Memory, queue: Queue) -> Position | None:
    if queue.draining and scenario.has(Rule.KEEP_ROW_WHILE_DRAINING):
        return _settled_to(scenario, Stream(memory.shared.position, queue.draining))
    return queue.own and _settled_to(scenario, queue.own)


def _settled_to(scenario: Scenario, stream: Stream) -> Position:
    """The position before the oldest open page."""
    if stream.pages and scenario.has(Rule.SAVE_SETTLED):
        return stream.pages[0].before
    return stream.position


# Leaving and joining.


def leave(state: State, hook: int) -> State:
    """Give a hook a stream that starts before its oldest open page, and drop all deliveries that have not begun."""
    start = _oldest_open(state.memory, hook)
    if state.memory.queues[hook].own is None:
        state = _without_hook(state, hook)
    queue = state.memory.queues[hook]
    for delivery in queue.lanes:
        if delivery.stage is Stage.READY:
            queue = with_row_unloaded(without_delivery(queue, delivery.change), delivery.change)
    return with_queue(state, hook, queue._replace(own=Stream(start), draining=()))


def _oldest_open(memory: Memory, hook: int) -> Position:
    """The position before the oldest open page of a hook. Without one: as far as it has read."""
    queue = memory.queues[hook]
    if queue.own is not None:
        pages = queue.own.pages
    else:
        pages = (*queue.draining, *(page for page in memory.shared.pages if any(key[0] == hook for key in page.open)))
    return pages[0].before if pages else read_position(memory, hook)


def _without_hook(state: State, hook: int) -> State:
    """Take a hook's deliveries out of the pages of the shared stream."""
    memory = state.memory
    left = (page._replace(open=frozenset(key for key in page.open if key[0] != hook)) for page in memory.shared.pages)
    shared = memory.shared._replace(pages=tuple(page for page in left if page.open))
    return state._replace(memory=memory._replace(shared=shared))


def can_join(scenario: Scenario, memory: Memory, hook: int) -> bool:
    """Whether a hook has caught up. The reading lock is free only if no page is read."""
    own = memory.queues[hook].own
    if own is None or memory.reading is not None:
        return False
    if not scenario.has(Rule.JOIN_AT_EQUAL):
        return own.position.seen == memory.shared.position.seen
    return own.position == memory.shared.position


def join(state: State, hook: int) -> State:
    """Make a hook a member of the shared stream. The open pages of its former stream drain."""
    queue = state.memory.queues[hook]
    assert queue.own is not None
    return with_queue(state, hook, queue._replace(own=None, draining=queue.own.pages))
