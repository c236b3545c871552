"""The database of the model: writers, results, rows and positions; and the properties that each commit must keep."""

from model.scenario import Scenario
from model.state import Kind, Result, Saved, Sent, State, Status, TableRow, Write

SETTLED = (Status.SUCCESS, Status.DISCARDED)
NOT_IN_LOG = 99  # after all places of the log


# The log.


def can_commit(scenario: Scenario, state: State, number: int) -> bool:
    """Whether a transaction can commit: the second writer of a row waits for the first one's commit."""
    if number in state.log:
        return False
    older = (
        scenario.by_id[each].transaction
        for change in scenario.of_transaction[number]
        for each in scenario.conflicts[change]
        if each < change
    )
    return all(each in (*state.log, number) for each in older)


def covers(scenario: Scenario, state: State, position: tuple[int, int, int], change: int) -> bool:
    """Whether a change comes before a position."""
    seen, horizon, last = position
    number = scenario.by_id[change].transaction
    place = state.log.index(number) if number in state.log else NOT_IN_LOG
    return place < seen or (place < horizon and change <= last)


def visible(scenario: Scenario, state: State) -> list[int]:
    """The changes in the log."""
    return [change for number in state.log for change in scenario.of_transaction[number]]


# Results and rows.


def result_of(state: State, hook: int, change: int, attempt: int) -> Result | None:
    """The result of an attempt."""
    for result in state.results:
        if result[:3] == (hook, change, attempt):
            return result
    return None


def has_result(state: State, hook: int, change: int) -> bool:
    """Whether a delivery has any result."""
    return any(result.hook == hook and result.change == change for result in state.results)


def has_status(state: State, hook: int, change: int, *statuses: Status) -> bool:
    """Whether a delivery has a result of this kind."""
    return any(
        result.hook == hook and result.change == change and result.status in statuses for result in state.results
    )


def row_of(state: State, hook: int, change: int) -> TableRow | None:
    """The row of a delivery."""
    for row in state.rows:
        if row.hook == hook and row.change == change:
            return row
    return None


def record_success(scenario: Scenario, state: State, hook: int, change: int, attempt: int) -> State:
    """Record a success. A result is identified by hook, change and attempt; the caller has looked for one."""
    error = state.error or why_wrong(scenario, state, hook, change)
    return state._replace(results=state.results | {Result(hook, change, attempt, Status.SUCCESS)}, error=error)


def why_wrong(scenario: Scenario, state: State, hook: int, change: int) -> str:
    """The property that a success violates if it is recorded now. A replay repeats a delivery out of order."""
    if (hook, change) in state.replayed:
        return ""
    if has_status(state, hook, change, Status.SUCCESS):
        return f"change {change} succeeds twice, hook {hook}"
    if scenario.skip and has_status(state, hook, change, Status.FAILURE):
        return ""
    for other in scenario.conflicts[change]:
        if other > change and (hook, other) not in state.replayed and has_status(state, hook, other, Status.SUCCESS):
            return f"change {change} succeeds after change {other}, hook {hook}"
    return ""


# Settle batches.


def apply(scenario: Scenario, state: State, sent: Sent) -> State:
    """Commit a settle batch, and note the refused writes."""
    refused: set[Write] = set()
    for write in sorted(sent.writes, key=lambda write: (write.change, write.hook)):
        state, accepted = _write(scenario, state, write)
        if not accepted:
            refused.add(write)
    memory = state.memory._replace(call=Sent(sent.writes, True, frozenset(refused)))
    return state._replace(memory=memory)


def _write(scenario: Scenario, state: State, write: Write) -> tuple[State, bool]:
    has_result = result_of(state, write.hook, write.change, write.attempt) is not None
    match write.kind:
        case Kind.SUCCESS:
            if not has_result:
                state = record_success(scenario, state, write.hook, write.change, write.attempt)
            return _delete(state, write)
        case Kind.DONE:
            return _delete(state, write)
        case Kind.FAILURE:
            if has_result:
                return state, False
            result = Result(write.hook, write.change, write.attempt, Status.FAILURE)
            return _upsert(state._replace(results=state.results | {result}), write)
        case Kind.PARK:
            return _upsert(state, write)


def _delete(state: State, write: Write) -> tuple[State, bool]:
    """Delete a row, unless it counts this attempt already: then it was discarded and queued again."""
    present = row_of(state, write.hook, write.change)
    if present is None:
        return state, True
    if present.attempts >= write.attempt:
        return state, False
    return state._replace(rows=state.rows - {present}), True


def _upsert(state: State, write: Write) -> tuple[State, bool]:
    row = TableRow(write.hook, write.change, write.attempt, write.dead)
    present = row_of(state, write.hook, write.change)
    if present is None:
        return state._replace(rows=state.rows | {row}), True
    if present.attempts > write.attempt:
        return state, False
    return state._replace(rows=state.rows - {present} | {row}), True


# Positions.


def save(scenario: Scenario, state: State, saved: Saved) -> State:
    """Save the positions. Everything before them must have a result or a row."""
    error = state.error or _why_unsafe(scenario, state, saved)
    return state._replace(saved=saved, error=error)


def _why_unsafe(scenario: Scenario, state: State, saved: Saved) -> str:
    for hook in range(scenario.hooks):
        position = saved.hooks[hook] or saved.shared
        for change in visible(scenario, state):
            known = has_status(state, hook, change, *SETTLED) or row_of(state, hook, change)
            if not known and covers(scenario, state, position, change):
                return f"the saved position passes change {change}, which has no result and no row, hook {hook}"
    return ""
