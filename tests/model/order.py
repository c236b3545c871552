"""The rules of order: may a delivery be scheduled, may it run, may its row be loaded?"""

from model import table
from model.memory import delivery_of
from model.scenario import Rule, Scenario
from model.state import Delivery, Queue, Row, Stage, State
from model.streams import read_position


def blocks(scenario: Scenario, row: Row, change: int) -> bool:
    """Whether a row and a delivery must keep their order. With on_failure = skip, a failure blocks nothing."""
    if scenario.skip and row.attempts:
        return False
    if not scenario.has(Rule.BLOCK_BOTH_KEYS):
        return scenario.by_id[row.change].keys[0] in scenario.by_id[change].keys
    return row.change in scenario.conflicts[change]


def is_blocked(scenario: Scenario, queue: Queue, change: int) -> bool:
    """Whether a delivery of the log must become a row, because a row has one of its keys."""
    any_age = scenario.has(Rule.BLOCK_FOR_YOUNGER)
    return any(blocks(scenario, row, change) and (any_age or row.change < change) for row in queue.backlog)


def ahead(scenario: Scenario, queue: Queue, change: int) -> list[Delivery]:
    """The deliveries before this one in its lanes."""
    before: list[Delivery] = []
    for delivery in queue.lanes:
        if delivery.change == change:
            break
        if delivery.change in scenario.conflicts[change]:
            before.append(delivery)
    return before


def followers(scenario: Scenario, queue: Queue, change: int) -> list[Delivery]:
    """Everything that waits for a delivery, directly or not."""
    waited_for = {change}
    found: list[Delivery] = []
    place = [delivery.change for delivery in queue.lanes].index(change)
    for delivery in queue.lanes[place + 1 :]:
        if delivery.stage is Stage.READY and scenario.conflicts[delivery.change] & waited_for:
            found.append(delivery)
            if scenario.has(Rule.PARK_FOLLOWERS):
                waited_for.add(delivery.change)
    return found


def can_begin(scenario: Scenario, queue: Queue, delivery: Delivery) -> bool:
    """Whether a delivery is the first in its lanes, or the next of the group that runs."""
    if delivery.stage is not Stage.READY:
        return False
    before = ahead(scenario, queue, delivery.change)
    if not scenario.has(Rule.GO_ON_AFTER_COMMIT):
        before = [each for each in before if each.stage is not Stage.SETTLING]
    group = [each for each in queue.lanes if each.in_group]
    if not group:
        return not before
    return can_join_group(scenario, group) and all(each.in_group for each in before)


def can_join_group(scenario: Scenario, group: list[Delivery]) -> bool:
    """Whether the group takes one more: its last run has ended, its transaction is open, and nothing has failed."""
    stages = {each.stage for each in group}
    if Stage.UNDONE in stages and scenario.has(Rule.END_GROUP_AT_FAILURE):
        return False
    return len(group) < scenario.most_in_group and not stages & {Stage.RUNNING, Stage.RECORDED}


def can_load(scenario: Scenario, state: State, hook: int, row: Row) -> bool:
    """Whether a row may run: it has committed, the hook has read up to it, and the older rows are in memory."""
    queue = state.memory.queues[hook]
    if row.dead or row.loaded or not row.written or delivery_of(queue, row.change) is not None:
        return False
    is_read = table.covers(scenario, state, read_position(state.memory, hook), row.change)
    if not is_read and scenario.has(Rule.LOAD_COVERED):
        return False
    if not scenario.has(Rule.LOAD_AFTER_OLDER) or (scenario.skip and row.attempts):
        return True
    older = [each for each in queue.backlog if each.change < row.change and blocks(scenario, each, row.change)]
    return all(each.loaded for each in older)
