"""The steps of persons: retry, discard and replay, from other sessions. They change rows, and notify the daemon."""

from model import table
from model.label import Label, Steps, spend
from model.scenario import Scenario
from model.state import Result, State, Status, TableRow


def operators(scenario: Scenario, state: State) -> Steps:
    """A person retries a dead delivery, discards one in the backlog, or replays one that is settled."""
    for row in state.rows:
        if row.dead and (spent := spend(state, "retries")) is not None:
            rows = spent.rows - {row} | {row._replace(dead=False)}
            yield Label("retry", row.hook, row.change, harm=True), _notify(spent._replace(rows=rows))
        settled = table.result_of(state, row.hook, row.change, row.attempts + 1) is not None
        if not settled and (spent := spend(state, "discards")) is not None:
            yield Label("discard", row.hook, row.change, harm=True), _notify(_discard(spent, row))
    if (spent := spend(state, "replays")) is not None:
        for result in state.results:
            if _can_replay(scenario, state, result):
                yield Label("replay", result.hook, result.change, harm=True), _notify(_replay(spent, result))


def _notify(state: State) -> State:
    return state._replace(memory=state.memory._replace(notified=True))


def _discard(state: State, row: TableRow) -> State:
    results = state.results | {Result(row.hook, row.change, row.attempts + 1, Status.DISCARDED)}
    return state._replace(results=results, rows=state.rows - {row})


def _can_replay(scenario: Scenario, state: State, result: Result) -> bool:
    """Whether a delivery is settled and has no row, and the daemon cannot hold it in memory only."""
    if result.status not in table.SETTLED or table.row_of(state, result.hook, result.change) is not None:
        return False
    position = state.saved.hooks[result.hook] or state.saved.shared
    return table.covers(scenario, state, position, result.change)


def _replay(state: State, result: Result) -> State:
    hook, change = result.hook, result.change
    attempts = max(each.attempt for each in state.results if (each.hook, each.change) == (hook, change))
    rows = state.rows | {TableRow(hook, change, attempts)}
    return state._replace(rows=rows, replayed=state.replayed | {(hook, change)})
