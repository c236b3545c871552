"""The real scheduling classes keep their promises: nothing is lost, nothing comes twice, each key's changes in order.

Hypothesis chooses the next step: a commit, the execution or the answer of a statement, the end of a run, a crash.
"""

import logging
from dataclasses import replace
from math import inf
from typing import Any
from unittest.mock import patch

import pytest
import structlog
from hypothesis import settings, strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from jobhooks.contract.choices import FailurePolicy
from jobhooks.engine.delivery.state import State
from jobhooks.engine.scheduling.hook_queue import NOT_BEGUN
from jobhooks.matching.hook_settings import REQUEST_S
from jobhooks.matching.hook_table import Hook
from machine.daemon import Daemon, Run
from machine.database import Database, keys_of
from support.making import make_hook

KEYS = 3
MOST_CHANGES = 14
MOST_ANSWERS = 20
# The rows that a change of a child updates. More than two count as the whole table in the backlog, and not in memory.
CHILDREN = [(1, 2), (1, 2, 3), (1, 2, 3), (4, 5, 6), (4, 5, 6), (1, 2, 4), (1, 3, 4, 5)]
QUIET = structlog.make_filtering_bound_logger(logging.CRITICAL)
ANY = st.integers(0, 1000)
# The fourth merges the changes of a transaction, the fifth takes batches, the sixth does both, over a second, the
# seventh merges until an object is quiet for a second. The eighth and the ninth have a rate, the ninth for each object.
# The tenth merges the changes of a request, which can be several transactions.
HOOKS = {
    1: make_hook(1, concurrency=2, max_attempts=3),
    2: make_hook(2, max_attempts=2),
    3: make_hook(3, concurrency=2, max_attempts=3, on_failure=FailurePolicy.SKIP),
    4: replace(make_hook(4, concurrency=2, max_attempts=3), coalesce_s=0.0),
    5: replace(make_hook(5, max_attempts=3, batch_size=3, batch_wait=1.0), job="m.B"),
    6: replace(make_hook(6, concurrency=2, max_attempts=3, batch_size=3, batch_wait=0.0), job="m.B", coalesce_s=1.0),
    7: replace(make_hook(7, concurrency=2, max_attempts=3), debounce_s=1.0, longest_wait_s=3.0),
    8: replace(make_hook(8, concurrency=2, max_attempts=3), rate="2/s"),
    9: replace(make_hook(9, concurrency=2, max_attempts=3), rate="2/s", rate_per=["object"]),
    10: replace(make_hook(10, concurrency=2, max_attempts=3), coalesce_s=REQUEST_S, longest_wait_s=3.0),
}
ENDS = st.sampled_from(["commit", "commit", "report", "report", "fail", "fail", "give up", "lose", "give back"])


class Scheduling(RuleBasedStateMachine):
    """Writers, a database that answers when the machine says so, runs that end when it says so, crashes."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 1000.0
        self.clock = patch("time.monotonic", lambda: self.now)
        self.clock.start()
        self.loading = patch.multiple("jobhooks.engine.scheduling.loading", MOST_LOADED=4, STEP=2)
        self.loading.start()
        self.logging = structlog.get_config()
        structlog.configure(wrapper_class=QUIET)
        self.has_receivers = True
        self.pending_notify = False
        self.former: Daemon | None = None

    @initialize(hooks=st.sampled_from([(1, 2, 3), (1, 4, 5), (2, 4, 6), (3, 5, 6), (1, 6, 7), (2, 8, 9), (1, 4, 10)]))
    def begin(self, hooks: tuple[int, ...]) -> None:
        """Start the first daemon, with some of the hooks."""
        self.database = Database([HOOKS[number] for number in hooks], lambda: self.now)
        self.daemon = self.start()

    def start(self) -> Daemon:
        daemon = Daemon(self.database, self.has_receivers)
        daemon.may_read.set()
        daemon.step()
        return daemon

    # Writers.

    @rule(old=st.integers(1, KEYS), new=st.integers(1, KEYS), same=st.booleans(), commit=st.booleans(), which=ANY)
    def write(self, old: int, new: int, same: bool, commit: bool, which: int) -> None:
        self._write(old, old if same else new, commit, which, truncate=False)

    @rule(rows=st.lists(st.integers(1, KEYS), min_size=2, max_size=5))
    def write_many(self, rows: list[int]) -> None:
        for row in rows:
            self._write(row, row, True, 0, truncate=row == 1 and rows[0] == KEYS)

    @rule(key=st.integers(1, KEYS), count=st.integers(2, 4), moves=st.booleans())
    def write_transaction(self, key: int, count: int, moves: bool) -> None:
        """Change a row several times in one transaction, and in the end its key."""
        if str(key) in self.database.locked() or len(self.database.changes) + count > MOST_CHANGES:
            return
        transaction_id = self.database.write(None, key, key)
        for _ in range(count - 1):
            self.database.write(transaction_id, key, key)
        if moves and str(KEYS + 1) not in self.database.locked():
            self.database.write(transaction_id, key, KEYS + 1)
        self._commit(transaction_id)

    @rule(parents=st.sampled_from(CHILDREN), commit=st.booleans())
    def write_child(self, parents: tuple[int, ...], commit: bool) -> None:
        """Change a child of several rows, whose writer locks them first."""
        database = self.database
        is_full = len(database.changes) + len(database.open) > MOST_CHANGES
        if is_full or database.locked() & {"*", *map(str, parents)}:
            return
        transaction_id = database.write_child(*parents)
        if commit:
            self._commit(transaction_id)

    def _write(self, old: int, new: int, commit: bool, which: int, *, truncate: bool) -> None:
        database = self.database
        locked = database.locked()
        if (
            (truncate and locked)
            or len(database.changes) + len(database.open) > MOST_CHANGES
            or locked & {str(old), str(new), "*"}
        ):
            return
        transaction_id = database.write(None, old, new, truncate)
        if commit:
            self._commit(transaction_id)

    @precondition(lambda self: self.database.open)
    @rule(which=ANY)
    def commit(self, which: int) -> None:
        self._commit(pick(sorted(self.database.open), which))

    def _commit(self, transaction_id: int) -> None:
        self.database.commit(transaction_id)
        for daemon in self.daemons:
            daemon.may_read.set()
        self._step()

    # The database answers.

    @precondition(lambda self: self.database.statements)
    @rule(which=ANY, whole=st.booleans())
    def advance_statement(self, which: int, whole: bool) -> None:
        self._advance(which, whole)

    @precondition(lambda self: self.database.statements)
    @rule(count=st.integers(1, 6))
    def answer(self, count: int) -> None:
        for _ in range(count):
            if self.database.statements:
                self._advance(0, True)

    def _advance(self, which: int, whole: bool) -> None:
        statement = pick(self.database.statements, which)
        statement.advance()
        if whole:
            statement.advance()
        self._step()

    @property
    def daemons(self) -> list[Daemon]:
        """The one that leads, and a former one."""
        return [self.daemon] if self.former is None else [self.daemon, self.former]

    def _step(self) -> None:
        for daemon in self.daemons:
            daemon.step()
        if self.former is not None and self.former.is_over:
            self.end_former()

    @rule(seconds=st.sampled_from([0.3, 1.2, 6.0, 61.0]))
    def pass_time(self, seconds: float) -> None:
        self._pass(seconds)

    def _pass(self, seconds: float) -> None:
        self.now += seconds
        self._step()

    # Runs.

    @rule(ends=st.lists(st.tuples(ANY, ENDS, st.booleans()), min_size=2, max_size=8))
    def work(self, ends: list[tuple[int, str, bool]]) -> None:
        """The database answers everything, and then a run ends; again and again."""
        for which, how, more in ends:
            for _ in range(MOST_ANSWERS):
                if self.database.statements:
                    self._advance(0, True)
            if self.runs:
                self._end_run(which, how, more)

    @precondition(lambda self: self.runs)
    @rule(which=ANY, how=ENDS, more=st.booleans())
    def end_run(self, which: int, how: str, more: bool) -> None:
        self._end_run(which, how, more)

    @precondition(lambda self: self.runs)
    @rule(ends=st.lists(st.tuples(ANY, ENDS, st.booleans()), min_size=1, max_size=4))
    def end_runs(self, ends: list[tuple[int, str, bool]]) -> None:
        for which, how, more in ends:
            if self.runs:
                self._end_run(which, how, more)

    @precondition(lambda self: self.runs)
    @rule(which=ANY)
    def keep_run(self, which: int) -> None:
        """A run ends in the transaction of its group, which takes another one."""
        self._end_run(which, "commit", True)

    def _end_run(self, which: int, how: str, more: bool) -> None:
        run = pick(self.runs, which)
        if not run.end.done():
            run.end.set_result((how, more))
        self._step()

    @property
    def runs(self) -> list[Run]:
        """What runs, in any daemon."""
        return [run for daemon in self.daemons for run in daemon.runs]

    def end(self, hook_id: int, how: str) -> None:
        """End the first run of a hook."""
        hooks = [run.hook_id for run in self.runs]
        self._end_run(hooks.index(hook_id), how, False)

    # Mishaps: hooks that fall behind, stand still or are disabled, and daemons that end.

    @rule(
        kind=st.sampled_from(["leave", "miss", "toggle", "refuse", "refuse for long", "crash", "take over"]), which=ANY
    )
    def mishap(self, kind: str, which: int) -> None:
        """Something goes wrong, or is mended."""
        match kind:
            case "leave":
                self.leave(which)
            case "miss":
                self._set_receivers(not self.has_receivers)
            case "toggle":
                self._toggle(pick(self.database.hooks, which))
            case "refuse" | "refuse for long":
                self.toggle_refusal(which, for_long=kind == "refuse for long")
            case "take over" if self.former is None:
                self.take_over()
            case "take over":
                self.end_former()
            case _:
                self.crash()

    def leave(self, which: int) -> None:
        queues = [queue for queue in self.daemon.queues.values() if queue.is_active]
        if not queues:
            return
        self.daemon.dispatcher.streams.leave(pick(queues, which), "the machine says so")
        self.daemon.dispatcher._room.set()  # pyright: ignore[reportPrivateUsage]
        self.daemon.step()

    def _set_receivers(self, there: bool) -> None:
        self.has_receivers = there
        self.daemon.set_receivers(there)

    # Other sessions.

    @precondition(lambda self: self.database.rows)
    @rule(which=ANY, retry=st.booleans())
    def change_row(self, which: int, retry: bool) -> None:
        """A person retries or discards a delivery."""
        key = pick(sorted(self.database.rows), which)
        (self.database.retry if retry else self.database.discard)(key)
        self.pending_notify = True

    @precondition(lambda self: self.pending_notify)
    @rule()
    def notify(self) -> None:
        self.pending_notify = False
        self.daemon.dispatcher.backlog_changed()
        self.daemon.step()

    def _toggle(self, hook: Hook) -> None:
        self.database.toggle(hook)
        self.daemon.hooks_changed.set()
        self.daemon.step()

    def toggle_refusal(self, which: int, for_long: bool) -> None:
        """The database refuses the rows of a hook, or accepts them again."""
        self.database.refuses ^= {pick(self.database.hooks, which).id}
        if for_long:
            for _ in range(5):
                while any(statement.name == "settle" for statement in self.database.statements):
                    self._advance([each.name for each in self.database.statements].index("settle"), True)
                self._pass(1.2)

    def crash(self) -> None:
        self.database.dead.add(self.daemon.leader)
        self.daemon.stop()
        self.pending_notify = False
        self.daemon = self.start()

    def take_over(self) -> None:
        """Another daemon leads. The former one goes on until it finds out."""
        self.former = self.daemon
        self.database.doubted.add(self.former.leader)
        self.pending_notify = False
        self.daemon = self.start()

    def end_former(self) -> None:
        """The former daemon ends. If it has found out that it no longer leads, it has shown that it lives."""
        former, self.former = self.former, None
        assert former is not None
        if former.is_over:
            self.database.doubted.discard(former.leader)
        former.stop()

    # Invariants.

    @invariant()
    def deliveries_wait_for_older_rows(self) -> None:
        """No delivery is in the lanes while an older row with one of its keys is not in memory.

        Except for a hook that skips failures: if a person retries one, younger deliveries have passed it already.
        """
        for queue in self.daemon.queues.values():
            for delivery in queue.in_memory.values():
                if delivery.state not in (*NOT_BEGUN, State.RUNNING):
                    continue
                for row in queue.backlog.rows.values():
                    if row.attempts and not queue.hook.blocks:
                        continue
                    if row.change_id < delivery.change.id and row.blocks and not row.loaded:
                        keys = keys_of(self.database.changes[row.change_id]) | keys_of(delivery.change)
                        mine = keys_of(delivery.change) & keys_of(self.database.changes[row.change_id])
                        assert not mine and "*" not in keys, (
                            f"change {delivery.change.id} is scheduled past row {row.change_id}, hook {queue.hook.id}"
                        )

    @invariant()
    def counts_are_right(self) -> None:
        for queue in self.daemon.queues.values():
            pages = [delivery for delivery in queue.in_memory.values() if delivery.page is not None]
            assert queue.open == len(pages), f"hook {queue.hook.id}: open is {queue.open}, not {len(pages)}"
            loaded = sum(row.loaded for row in queue.backlog.rows.values())
            assert queue.backlog.loaded == loaded
            running = {id(each) for each in queue.in_memory.values() if each.state is State.RUNNING}
            assert running == set(map(id, queue.running))

    @invariant()
    def memory_is_the_table(self) -> None:
        """If nothing is under way, the backlog has the rows of the table."""
        daemon = self.daemon
        if (
            self.pending_notify
            or self.database.statements
            or not daemon.settler.is_clean
            or daemon.settler.lock.locked()
        ):
            return
        for queue in daemon.queues.values():
            in_memory = {(id_, row.attempts) for id_, row in queue.backlog.rows.items()}
            in_table = {(key[0], row.attempts) for key, row in self.database.rows.items() if key[1] == queue.hook.id}
            assert in_memory == in_table, f"hook {queue.hook.id}: backlog {in_memory}, table {in_table}"

    def teardown(self) -> None:
        try:
            self._deliver_everything()
        finally:
            for daemon in self.daemons:
                daemon.stop()
            structlog.configure(**self.logging)
            self.clock.stop()
            self.loading.stop()

    def _deliver_everything(self) -> None:
        """From here on nothing goes wrong. Everything is delivered."""
        self._calm()
        idle = 0
        while idle < 20:
            self.memory_is_the_table()
            if self.pending_notify:
                self.notify()
            elif self.runs:
                self._end_run(0, "report", False)
            elif self.database.statements:
                self._advance(0, True)
            elif self._undelivered():
                idle += 1
                for key, row in self.database.rows.items():
                    if row.due == inf:
                        self.database.retry(key)
                        self.pending_notify = True
                self._pass(7.0)
            else:
                break
        assert not self._undelivered(), f"not delivered: {self._undelivered()}"

    def _calm(self) -> None:
        """End everything that can be in the way of deliveries."""
        self.database.refuses.clear()
        if self.former is not None:
            self.end_former()
        for hook in [hook for hook in self.database.hooks if hook.id in self.database.disabled]:
            self._toggle(hook)
        for transaction_id in sorted(self.database.open):
            self._commit(transaction_id)
        self._set_receivers(True)

    def _undelivered(self) -> list[Any]:
        database = self.database
        left: list[Any] = [("row", key) for key in database.rows]
        return left + [
            (change_id, hook.id)
            for change_id in database.changes
            for hook in database.hooks
            if database.expects(hook, database.changes[change_id]) and not database.is_settled(change_id, hook.id)
        ]


def pick(items: list[Any], which: int) -> Any:
    """One of these."""
    return items[which % len(items)]


Scheduling.TestCase.settings = settings(max_examples=60, stateful_step_count=60, deadline=None)
TestScheduling = Scheduling.TestCase


def test_refused_rows_keep_their_keys_blocked() -> None:
    """The database refuses the row of a failure; then another session changes the backlog."""
    machine = Scheduling()
    machine.begin((1, 2, 3))
    machine.write_many([1, 1])
    machine.answer(20)
    machine.toggle_refusal(0, for_long=False)
    machine.end(1, "fail")
    machine.toggle_refusal(1, for_long=True)
    machine.daemon.dispatcher.backlog_changed()
    machine.daemon.step()
    machine.answer(20)
    assert machine.daemon.queues[1].backlog.rows.keys() == {1, 2}
    machine.database.refuses.clear()
    machine.teardown()


def test_a_refused_row_is_not_written_after_its_delivery_is_settled() -> None:
    """The row of a long run is refused. When the run has ended, the database accepts writes again."""
    machine = Scheduling()
    machine.begin((1, 2, 3))
    machine.write_many([1, 2])
    machine.answer(20)
    machine.toggle_refusal(0, for_long=False)
    machine.pass_time(1.2)
    machine.toggle_refusal(1, for_long=True)
    machine.database.refuses.clear()
    machine.end(1, "report")
    machine.answer(20)
    assert (1, 1) not in machine.database.rows
    machine.memory_is_the_table()
    machine.pass_time(6.0)
    machine.answer(1)
    assert (1, 1) not in machine.database.rows
    machine.teardown()


def test_a_hook_that_is_disabled_while_its_backlog_is_loaded_loads_no_more() -> None:
    """Its queue is gone then, so nothing could settle what would run."""
    machine = Scheduling()
    machine.begin((1, 2, 3))
    machine.write_transaction(1, 2, moves=False)
    machine.work([(0, "commit", False), (0, "commit", False), (1, "commit", False), (0, "fail", False)])
    for _ in range(4):
        machine.pass_time(0.3)
    machine.mishap("toggle", 2)
    machine.work([(0, "commit", False), (0, "report", False)])
    assert 3 not in machine.daemon.queues
    machine.teardown()


def test_what_was_merged_into_a_settled_change_is_delivered_before_what_is_behind_it() -> None:
    """A daemon dies after a run has committed, and before its row is deleted; a younger row would be merged into it."""
    machine = Scheduling()
    machine.begin((3, 5, 6))
    machine.write_many([2])
    machine.answer(20)
    machine.pass_time(1.2)
    machine.answer(20)
    machine.write_many([2])
    machine.write(2, 3, same=False, commit=True, which=0)
    machine.answer(20)
    assert {key[0] for key in machine.database.rows if key[1] == 6} == {1, 2, 3}
    machine.end(6, "commit")
    machine.database.statements[-1].advance()
    machine.mishap("crash", 0)
    assert (1, 6, 1) in machine.database.results and (1, 6) in machine.database.rows
    machine.pass_time(6.0)
    machine.teardown()


def test_no_row_passes_a_pending_one_behind_a_settled_one() -> None:
    """A person discards two deliveries in the middle of a lane just before it is loaded, one of them merged before."""
    machine = Scheduling()
    machine.begin((1, 4, 5))
    machine.write_many([1])
    machine.answer(20)
    machine.end(4, "fail")
    machine.answer(20)
    machine.write_transaction(1, 2, moves=False)
    machine.write_many([1, 1])
    machine.answer(20)
    assert {key[0] for key in machine.database.rows if key[1] == 4} == {1, 2, 3, 4, 5}
    for discarded in (2, 4):
        machine.database.discard((discarded, 4))
    machine.pass_time(6.0)
    machine.answer(20)
    machine.teardown()


def test_a_row_that_is_found_settled_is_between_no_others() -> None:
    """It would count as loaded until it is deleted, so a row behind it could pass an older one that fails meanwhile."""
    machine = Scheduling()
    machine.begin((1, 2, 3))
    machine.write_many([1])
    machine.answer(20)
    machine.end(1, "fail")
    machine.answer(20)
    machine.write_many([1, 1])
    machine.answer(20)
    machine.database.discard((2, 1))
    machine.database.rows[2, 1] = machine.database.rows[3, 1]  # as if the daemon that recorded the result had died
    machine.pass_time(6.0)
    backlog = machine.daemon.queues[1].backlog
    assert backlog.rows.keys() == {1, 2, 3}
    while 2 in backlog.rows and (2, 1) in machine.database.rows:
        machine.answer(1)
    assert backlog.rows.keys() == {1, 3} and (2, 1) in machine.database.rows
    machine.answer(20)
    assert (2, 1) not in machine.database.rows
    machine.teardown()


def test_a_retried_row_may_find_younger_deliveries_in_the_lanes() -> None:
    """If failures do not block, they had passed it; they run on while the row waits to be loaded."""
    machine = Scheduling()
    machine.begin((1, 2, 3))
    machine.write_many([1])
    machine.answer(20)
    machine.end(3, "fail")
    machine.answer(20)
    machine.write_many([1])
    machine.answer(20)
    machine.change_row(which=0, retry=True)
    machine.notify()
    machine.answer(2)
    machine.end(1, "report")  # the settler has its turn before the loader
    machine.answer(1)
    backlog, in_memory = machine.daemon.queues[3].backlog, machine.daemon.queues[3].in_memory
    assert (backlog.rows[1].blocks, backlog.rows[1].loaded, list(in_memory)) == (True, False, [2])
    machine.deliveries_wait_for_older_rows()
    machine.teardown()


def chain_in_the_backlog(length: int) -> Scheduling:
    """A machine in which the changes of a row wait in the backlog of hook 1, as the first one has failed."""
    machine = Scheduling()
    machine.begin((1, 2, 3))
    machine.write_many([1])
    machine.answer(20)
    machine.end(1, "fail")
    machine.answer(20)
    machine.write_many([1] * (length - 1))
    machine.answer(20)
    machine.pass_time(6.0)
    machine.answer(20)
    return machine


def test_a_chain_is_loaded_in_steps_while_it_runs() -> None:
    """A query for each delivery that ends would cost more than the run; none until all have ended would pause it."""
    machine = chain_in_the_backlog(6)
    queue = machine.daemon.queues[1]
    assert sorted(queue.in_memory) == [1, 2, 3, 4]
    for in_memory, sent in (([2, 3, 4], []), ([3, 4], ["load"])):
        machine.end(1, "commit")
        machine.answer(1)
        assert (sorted(queue.in_memory), [each.name for each in machine.database.statements]) == (in_memory, sent)
    machine.answer(1)
    assert sorted(queue.in_memory) == [3, 4, 5, 6]
    machine.teardown()


def test_the_rows_of_a_chain_are_deleted_together() -> None:
    """A commit for each of them would cost the server more than the runs. Until then their results count."""
    machine = chain_in_the_backlog(3)
    for _ in range(3):
        machine.end(1, "commit")
        assert [each.name for each in machine.database.statements] == ["commit runs"]
        machine.answer(1)
    rows = {change_id for change_id, hook_id in machine.database.rows if hook_id == 1}
    assert (rows, machine.daemon.queues[1].backlog.rows) == ({1, 2, 3}, {})
    machine.pass_time(0.3)
    assert [each.name for each in machine.database.statements] == ["settle"]
    machine.answer(1)
    assert not any(hook_id == 1 for _, hook_id in machine.database.rows)
    machine.teardown()


def refused_long_run() -> Scheduling:
    """A machine in which hook 3 runs for change 1 for long, and the database refuses the row of that run."""
    machine = Scheduling()
    machine.begin((1, 2, 3))
    machine.write_many([1])
    machine.answer(20)
    machine.toggle_refusal(2, for_long=True)
    machine.pass_time(1.2)
    for _ in range(8):
        machine.answer(5)
        machine.pass_time(0.3)
    return machine


def test_a_refused_row_blocks_its_object_after_its_hook_was_disabled_and_enabled() -> None:
    """The run is lost. When the database takes its row at last, no younger change of its object has been delivered."""
    machine = refused_long_run()
    machine.end(3, "lose")
    machine.answer(20)
    for _ in range(2):
        machine.mishap("toggle", 2)
        machine.answer(20)
    machine.write_many([1])
    machine.answer(20)
    assert 1 in machine.daemon.queues[3].backlog.rows
    machine.database.refuses.clear()
    machine.pass_time(6.0)
    machine.answer(20)
    machine.teardown()


def test_the_refused_row_of_a_run_that_has_ended_is_written_after_its_hook_was_disabled() -> None:
    """The hook's queue is gone then."""
    machine = refused_long_run()
    machine.end(3, "commit")
    machine.answer(20)
    machine.mishap("toggle", 2)
    machine.answer(20)
    assert 3 not in machine.daemon.queues
    machine.database.refuses.clear()
    machine.pass_time(6.0)
    machine.answer(20)
    machine.teardown()


@pytest.mark.nightly
@pytest.mark.timeout(3_600)
def test_thousands_of_histories() -> None:
    """A fault that needs ten steps in one order is rare among the histories of a day."""
    run_state_machine_as_test(Scheduling, settings=settings(max_examples=5_000, stateful_step_count=80, deadline=None))
