"""The steps of runs: how they begin, end and share a transaction."""

from model import table
from model.label import Label, Steps, spend
from model.memory import end_group, give_back, row_of, with_delivery, with_queue, with_stage, with_write
from model.order import ahead, can_begin
from model.outcomes import fail, finish, run_long
from model.scenario import Rule, Scenario
from model.state import Delivery, Kind, Queue, Stage, State, Status, Write


def runs(scenario: Scenario, state: State, hook: int) -> Steps:
    """The next steps of the deliveries of a hook."""
    queue = state.memory.queues[hook]
    for delivery in queue.lanes:
        if can_begin(scenario, queue, delivery):
            yield Label("begin", hook, delivery.change), _begin(scenario, state, hook, delivery)
        elif delivery.stage is Stage.RUNNING:
            yield from _endings(scenario, state, hook, delivery)
        elif delivery.stage is Stage.RECORDED and not delivery.in_group:
            yield Label("learn of the commit", hook, delivery.change), finish(state, hook, delivery)
    yield from _group(scenario, state, hook)


def _begin(scenario: Scenario, state: State, hook: int, delivery: Delivery) -> State:
    error = state.error or _why_too_early(scenario, state, hook, delivery.change)
    begun = delivery._replace(stage=Stage.RUNNING, in_group=scenario.most_in_group > 1)
    state = with_queue(state, hook, with_delivery(state.memory.queues[hook], begun))
    return state._replace(error=error)


def _why_too_early(scenario: Scenario, state: State, hook: int, change: int) -> str:
    """The property that a run violates if it begins now. Two daemons at a time may run a change twice."""
    if (hook, change) in state.replayed or scenario.budget.takeovers:
        return ""
    if table.has_status(state, hook, change, Status.SUCCESS):
        return f"change {change} runs again although it has succeeded, hook {hook}"
    grouped = {each.change for each in state.memory.queues[hook].lanes if each.in_group}
    done = (*table.SETTLED, Status.FAILURE) if scenario.skip else table.SETTLED
    for older in scenario.conflicts[change]:
        if older < change and older not in grouped and not table.has_status(state, hook, older, *done):
            return f"change {change} runs before change {older} is settled, hook {hook}"
    return ""


# A run ends.


def _endings(scenario: Scenario, state: State, hook: int, delivery: Delivery) -> Steps:
    """How a run can end, or be parked because it lasts long."""
    change = delivery.change
    yield from _successes(scenario, state, hook, delivery)
    if (spent := spend(state, "failures")) is not None:
        yield Label("fail", hook, change, harm=True), _fail(scenario, spent, hook, delivery, dead=False)
    if (spent := spend(state, "deaths")) is not None:
        yield (
            Label("fail for the last time", hook, change, harm=True),
            _fail(scenario, spent, hook, delivery, dead=True),
        )
    if (spent := spend(state, "give_backs")) is not None:
        yield Label("give back", hook, change, harm=True), give_back(spent, hook, delivery)
    row = row_of(state.memory.queues[hook], change)
    if row is None and (spent := spend(state, "long_runs")) is not None:
        yield Label("run for long", hook, change, harm=True), run_long(scenario, spent, hook, delivery)


def _successes(scenario: Scenario, state: State, hook: int, delivery: Delivery) -> Steps:
    if scenario.connections and delivery.in_group:
        yield from _keep(scenario, state, hook, delivery)
    elif scenario.connections:
        yield from _commit(scenario, state, hook, delivery)
    if scenario.reports:
        yield from _report(scenario, state, hook, delivery)


def _commit(scenario: Scenario, state: State, hook: int, delivery: Delivery) -> Steps:
    """A run outside a group commits with its result, or it meets the result of another session."""
    change, attempt = delivery.change, delivery.attempts + 1
    if table.result_of(state, hook, change, attempt) is not None:
        yield Label("find it settled", hook, change), finish(state, hook, delivery)
    else:
        recorded = table.record_success(scenario, state, hook, change, attempt)
        yield Label("commit the run", hook, change), with_stage(recorded, hook, delivery, Stage.RECORDED)


def _keep(scenario: Scenario, state: State, hook: int, delivery: Delivery) -> Steps:
    """A run used the connection of its group. It gives way if a run before it was reported and has not committed."""
    before = {each.stage for each in ahead(scenario, state.memory.queues[hook], delivery.change)}
    if Stage.SETTLING in before and scenario.has(Rule.GIVE_WAY_AFTER_REPORT):
        yield Label("give way", hook, delivery.change), give_back(state, hook, delivery)
    else:
        yield Label("keep the run", hook, delivery.change), with_stage(state, hook, delivery, Stage.KEPT)


def _report(scenario: Scenario, state: State, hook: int, delivery: Delivery) -> Steps:
    """A run used no connection. Its success is reported, unless a kept run before it in its lanes may be rolled back.

    Then it is kept as well; but it gives way if another run before it was reported and has not committed.
    """
    queue, change = state.memory.queues[hook], delivery.change
    before = {each.stage for each in ahead(scenario, queue, change)}
    may_report = Stage.KEPT not in before or not scenario.has(Rule.REPORT_AFTER_GROUP)
    may_keep = bool(_in_transaction(queue)) and Stage.SETTLING not in before
    if may_report:
        reported = with_write(state, Write(Kind.SUCCESS, hook, change, delivery.attempts + 1))
        yield Label("report a success", hook, change), with_stage(reported, hook, delivery, Stage.SETTLING)
    if may_keep:
        yield Label("keep a run without connection", hook, change), with_stage(state, hook, delivery, Stage.KEPT)
    if not may_report and not may_keep:
        yield Label("give way", hook, change), give_back(state, hook, delivery)


def _fail(scenario: Scenario, state: State, hook: int, delivery: Delivery, *, dead: bool) -> State:
    """A run fails. Behind kept runs, this is reported after their commit, as a failure that waits."""
    if _in_transaction(state.memory.queues[hook]) and scenario.has(Rule.REPORT_AFTER_GROUP):
        return with_stage(state, hook, delivery, Stage.UNDONE)
    return fail(scenario, state, hook, delivery, dead=dead)


# A group commits.


def _in_transaction(queue: Queue) -> list[Delivery]:
    """The deliveries of the group whose outcome waits for its commit."""
    return [each for each in queue.lanes if each.in_group and each.stage in (Stage.KEPT, Stage.UNDONE)]


def _group(scenario: Scenario, state: State, hook: int) -> Steps:
    """The steps of a group between its runs."""
    members = [each for each in state.memory.queues[hook].lanes if each.in_group]
    stages = {each.stage for each in members}
    if not members or Stage.RUNNING in stages:
        return
    if Stage.KEPT in stages:
        yield Label("commit the group", hook), _commit_group(scenario, state, hook, members)
        if (spent := spend(state, "give_backs")) is not None:
            yield Label("lose the group", hook, harm=True), _give_back_group(spent, hook, members)
    elif Stage.RECORDED in stages:
        yield Label("learn of the group's commit", hook), _report_group(scenario, state, hook, members)
    elif Stage.UNDONE not in stages:
        yield Label("end the group", hook), with_queue(state, hook, end_group(state.memory.queues[hook]))


def _commit_group(scenario: Scenario, state: State, hook: int, members: list[Delivery]) -> State:
    kept = [each for each in members if each.stage is Stage.KEPT]
    if any(table.result_of(state, hook, each.change, each.attempts + 1) for each in kept):
        return _give_back_group(state, hook, members)
    for each in kept:
        state = table.record_success(scenario, state, hook, each.change, each.attempts + 1)
        state = with_stage(state, hook, each, Stage.RECORDED)
    return state


def _give_back_group(state: State, hook: int, members: list[Delivery]) -> State:
    """The commit failed. All members are attempted again, each alone, except those whose success was reported."""
    for each in members:
        if each.stage is not Stage.SETTLING:
            state = give_back(state, hook, each)
    return with_queue(state, hook, end_group(state.memory.queues[hook]))


def _report_group(scenario: Scenario, state: State, hook: int, members: list[Delivery]) -> State:
    """The group has committed: its successes are done, and then its failure is reported."""
    state = with_queue(state, hook, end_group(state.memory.queues[hook]))
    for each in members:
        ended = each._replace(in_group=False)
        if each.stage is Stage.RECORDED:
            state = finish(state, hook, ended)
        elif each.stage is Stage.UNDONE:
            state = fail(scenario, state, hook, ended, dead=False)
    return state
