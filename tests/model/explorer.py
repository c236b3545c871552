"""Visits every state of a scenario, breadth first, so that a counterexample is a shortest one."""

from dataclasses import dataclass, field

from model import table
from model.label import Label
from model.scenario import Scenario
from model.state import State
from model.steps import first_state, steps

UNDELIVERABLE = "not everything can be delivered any more"


@dataclass
class Exploration:
    """The answer. ``problem``: the violated property, with a shortest ``trace`` to it; empty: all hold."""

    states: int
    problem: str = ""
    trace: list[str] = field(default_factory=list[str])

    def __str__(self) -> str:
        numbered = [f"{number:4}  {line}" for number, line in enumerate(self.trace, 1)]
        return "\n".join([self.problem or f"{self.states} states; all properties hold", *numbered])


@dataclass
class _Visited:
    """The states by number.

    ``reached``: the step that first led to each. ``before``: the states that lead to it by a step without harm.
    """

    numbers: dict[State, int] = field(default_factory=dict[State, int])
    reached: list[tuple[int, Label]] = field(default_factory=list[tuple[int, Label]])
    before: list[list[int]] = field(default_factory=list[list[int]])

    def add(self, state: State, origin: int, label: Label) -> bool:
        """Note a step to a state; whether the state is new."""
        number = self.numbers.setdefault(state, len(self.before))
        is_new = number == len(self.before)
        if is_new:
            self.reached.append((origin, label))
            self.before.append([])
        if not label.harm:
            self.before[number].append(origin)
        return is_new

    def trace(self, number: int) -> list[str]:
        """The steps to a state."""
        lines: list[str] = []
        while number > 0:
            number, label = self.reached[number]
            lines.append(str(label))
        return lines[::-1]

    def first_stuck(self, goals: list[int]) -> int | None:
        """The first state without a way to a goal that needs no harm."""
        good = bytearray(len(self.before))
        for goal in goals:
            good[goal] = 1
        waiting = list(goals)
        while waiting:
            for number in self.before[waiting.pop()]:
                if not good[number]:
                    good[number] = 1
                    waiting.append(number)
        stuck = good.find(0)
        return None if stuck < 0 else stuck


def explore(scenario: Scenario) -> Exploration:
    """Check the properties in every state, and that from each everything can be delivered without harm."""
    first = first_state(scenario)
    visited = _Visited({first: 0}, [(0, Label("start"))], [[]])
    states = [first]
    goals: list[int] = []
    for number, state in enumerate(states):
        problem = state.error or why_inconsistent(state)
        if problem:
            return Exploration(len(states), problem, visited.trace(number))
        if is_goal(scenario, state):
            goals.append(number)
        for label, following in steps(scenario, state):
            if visited.add(following, number, label):
                states.append(following)
    stuck = visited.first_stuck(goals)
    if stuck is not None:
        return Exploration(len(states), UNDELIVERABLE, visited.trace(stuck))
    return Exploration(len(states))


def is_idle(state: State) -> bool:
    """Whether no write is due and no other session has changed a row."""
    memory = state.memory
    return not memory.batch and memory.call is None and not memory.notified


def why_inconsistent(state: State) -> str:
    """Whether memory and table differ although nothing is under way."""
    if not is_idle(state):
        return ""
    for hook, queue in enumerate(state.memory.queues):
        in_memory = {(row.change, row.attempts, row.dead) for row in queue.backlog}
        in_table = {(row.change, row.attempts, row.dead) for row in state.rows if row.hook == hook}
        if in_memory != in_table:
            return f"the backlog has the rows {sorted(in_memory)}, the table {sorted(in_table)}, hook {hook}"
    return ""


def is_goal(scenario: Scenario, state: State) -> bool:
    """Whether everything is delivered that can be, and nothing is under way."""
    if len(state.log) < len(scenario.of_transaction) or not is_idle(state):
        return False
    return all(_is_delivered(scenario, state, hook) for hook in range(scenario.hooks) if hook not in scenario.standing)


def _is_delivered(scenario: Scenario, state: State, hook: int) -> bool:
    """Whether a hook has only dead deliveries left, and those behind them."""
    dead = {row.change for row in state.rows if row.hook == hook and row.dead}
    left = dead | {change for change in scenario.by_id if scenario.all_older(change) & dead}
    if state.memory.queues[hook].lanes or any(row.hook == hook and row.change not in left for row in state.rows):
        return False
    return all(table.has_status(state, hook, change, *table.SETTLED) for change in scenario.by_id if change not in left)
