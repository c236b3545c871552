"""The work of one hook that is in memory, and every transition of its deliveries. No I/O.

Each method is one step: it takes deliveries from one valid state to another without an await in between. The invariant:
a delivery is in the lanes only if none of its keys is blocked by a backlog row that is not in memory.
"""

import asyncio
import time
from collections import deque
from collections.abc import Callable, Iterable

from jobhooks.engine.delivery.backlog_row import BacklogRow, failed_row, row_of
from jobhooks.engine.delivery.cursor import Cursor
from jobhooks.engine.delivery.delivery import Delivery
from jobhooks.engine.delivery.outcome import Outcome
from jobhooks.engine.delivery.state import TRANSITIONS, State
from jobhooks.engine.scheduling.backlog import MOST_ROWS, Backlog, Covers
from jobhooks.engine.scheduling.lanes import Lanes
from jobhooks.engine.scheduling.loop_watch import LoopWatch
from jobhooks.engine.scheduling.pacing import SOON_S, Alarm, PacedDeliveries
from jobhooks.engine.scheduling.stream import Stream
from jobhooks.matching.hook_table import Hook
from jobhooks.matching.rate import parse_rate

NOT_BEGUN = (State.WAITING, State.READY)


class HookQueue:
    """The deliveries of one hook.

    - ``in_memory``: by change id, from the moment they are admitted or loaded until they are settled, or their rows are
      written
    - ``ready``: those that a task can take; ``tasks``: how many tasks take from it, at most the hook's concurrency
    - ``running``: those that tasks have
    - ``pace``: the ready ones, if the hook has a rate: a task can take them when that allows it; ``alarm``: see there
    - ``gathering``: set while a task completes a batch; wakes it for each new delivery, and when the hook changes or
      stands still
    - ``open``: how many deliveries keep pages open
    - ``stream``: where the hook reads alone, if it does not read in the shared stream, or has deliveries of the time
      when it did not; ``is_member``: it reads in the shared stream
    - ``readings``: how often it has begun to read from another position
    - ``read_at``: when a page was last read for it alone
    - ``rows_in_memory``: how many rows of its backlog may be in memory; ``loaded_bytes``: of the deliveries loaded from
      it
    - ``merges_after_s``: of the hook
    - ``is_active``: the hook is enabled, as is its job
    - ``loops``: watches for a hook that triggers itself; it can hold the hook for a while
    - ``halted``: why the hook stands still, if its results or its rows cannot be written
    """

    def __init__(self, hook: Hook, loop_limit: int = 0, *, keeps_rate: bool = True) -> None:
        self.hook = hook
        self.merges_after_s = hook.merges_after_s
        self.alarm: Alarm = ignore_alarm
        self._keeps_rate = keeps_rate
        self.pace: PacedDeliveries | None = None
        self.loops = LoopWatch(loop_limit)
        self.lanes = Lanes()
        self.backlog = Backlog()
        self.ready: deque[Delivery] | PacedDeliveries = deque()
        self.in_memory: dict[int, Delivery] = {}
        self.running: set[Delivery] = set()
        self.tasks = 0
        self.gathering: asyncio.Event | None = None
        self.open = 0
        self.stream: Stream | None = None
        self.is_member = True
        self.readings = 0
        self.read_at = 0.0
        self.rows_in_memory = MOST_ROWS
        self.loaded_bytes = 0
        self.is_active = True
        self.halted: str | None = None
        self._set_rate(hook)
        self._set_whether_it_takes_all()

    def set_hook(self, hook: Hook) -> None:
        """Take the hook as it is now, with the limits of its job."""
        if _merging(hook) != _merging(self.hook):
            self.backlog.reexamine(time.monotonic())
        if (hook.rate, hook.rate_per) != (self.hook.rate, self.hook.rate_per):
            self._set_rate(hook)
            self.backlog.reexamine(time.monotonic())
        self.hook = hook
        self.merges_after_s = hook.merges_after_s
        self._set_whether_it_takes_all()
        if self.loops.is_paused:
            self.loops.forget()  # the pause is loaded, or has ended already
        if self.gathering is not None:
            self.gathering.set()

    def _set_rate(self, hook: Hook) -> None:
        """Let the ready deliveries wait for the rate of the hook, if it has one. Those that have begun do not count."""
        rate = parse_rate(hook.rate) if self._keeps_rate else None
        self.pace = None if rate is None else PacedDeliveries(rate, hook.rate_per, lambda at: self.alarm(at))
        waiting = list(self.ready)
        self.ready = deque() if self.pace is None else self.pace
        self.ready.extend(waiting)

    def _set_whether_it_takes_all(self) -> None:
        self._takes_all = self.merges_after_s is None and (self.pace is None or not self.pace.has_keys)

    # From the log.

    def admit(self, delivery: Delivery) -> bool:
        """Schedule a delivery of the log. False: one of its keys is blocked, so it is a row now, to be written.

        A hook that merges changes has a row for each: they are merged when they are due. If keys have a rate for
        themselves, a delivery whose turn is not soon is a row, so that those of other keys behind it are read.
        """
        self.in_memory[delivery.change.id] = delivery
        if not self._takes_all or self.backlog.rows or not self.backlog.is_complete:
            row = self._row_to_write(delivery)
            if row is not None:
                self.backlog.put(row)
                _move(delivery, State.PARKING)
                return False
        self._enter(delivery)
        return True

    def _row_to_write(self, delivery: Delivery) -> BacklogRow | None:
        """The row that a delivery of the log becomes, if it is not to be scheduled now."""
        now, wait_s = time.monotonic(), self.merges_after_s
        row = row_of(delivery, now + (wait_s or 0.0))
        if self.hook.merges_requests and row.request is None:
            row.due = now
        if wait_s is not None or self.backlog.blocks(row.content_type_id, row.lane, row.other_lane):
            return row
        if self.pace is None or not self.pace.has_keys or (turn := self.pace.reserve(delivery)) <= now + SOON_S:
            return None
        row.due = row.turn_at = turn
        return row

    def has_turn(self, row: BacklogRow, delivery: Delivery) -> bool:
        """Whether a row can be loaded as far as the rate of its key goes. Otherwise it waits for its turn."""
        if self.pace is None or not self.pace.has_keys or row.turn_at:
            return True
        turn = self.pace.reserve(delivery)
        if turn <= time.monotonic() + SOON_S:
            return True
        self.backlog.give_turn(row, turn)
        return False

    def reconcile(self, rows: list[BacklogRow], *, complete: bool, unsent: Callable[[int], bool]) -> list[int]:
        """As ``Backlog.reconcile``. Rows without an attempt wait as the hook has it now, from now on at most.

        So those of an earlier daemon wait for no turn by a rate that was changed, and no longer than they must if the
        server's clock was set back.
        """
        latest = time.monotonic() + (self.merges_after_s or 0.0)
        for row in rows:
            if not row.attempts and not row.is_dead and row.change_id not in self.backlog.rows:
                row.due = min(row.due, latest)
        return self.backlog.reconcile(rows, complete=complete, unsent=unsent)

    def covers_at(self, position: Cursor) -> Covers:
        """Whether the hook has read the log up to a row, if it has read up to this position.

        A hook that merges changes reads whole transactions first.
        """
        if self.merges_after_s is None:
            return lambda row: position.reach().covers(row.change_id, row.transaction_id)
        return lambda row: position.reach().covers_all(row.transaction_id) or row.change_id <= position.first_id

    def keeps_open(self, delivery: Delivery) -> bool:
        """Whether a delivery that is read again must keep the new page open: it is in memory, and in memory only."""
        row = self.backlog.rows.get(delivery.change.id)
        is_here = self.in_memory.get(delivery.change.id) is delivery
        return is_here and delivery.page is None and (row is None or not row.written)

    def load(self, delivery: Delivery) -> None:
        """Schedule a delivery of the backlog, whose row counts as loaded."""
        delivery.has_row = delivery.is_loaded = True
        self.in_memory[delivery.change.id] = delivery
        self.loaded_bytes += delivery.change.size
        self._enter(delivery)

    def withdraw_gone(self, change_id: int) -> list[Delivery]:
        """Another session has deleted this row. If its delivery has not begun, it does not run.

        Everything that waits for it leaves the lanes as well: it may also have to wait for what is before. The
        deliveries whose rows are to be written; the others are loaded again.
        """
        delivery = self.in_memory.get(change_id)
        return self.park([delivery]) if delivery is not None and delivery.has_row else []

    def _enter(self, delivery: Delivery) -> None:
        if self.lanes.add(delivery):
            delivery.state = State.READY
            self.ready.append(delivery)

    # Running.

    def take(self) -> Delivery | None:
        """The next ready delivery; it runs."""
        if not self.ready:
            return None
        delivery = self.ready.popleft()
        self.begin(delivery)
        return delivery

    def begin(self, delivery: Delivery) -> None:
        """Run a delivery, which is ready, or waits only for others of its group or batch."""
        _move(delivery, State.RUNNING)
        delivery.hook = self.hook  # with the current limits of its job
        delivery.began_at = time.monotonic()
        self.running.add(delivery)

    def give_back(self, deliveries: list[Delivery]) -> None:
        """Put deliveries that were taken, and not attempted, back to the front, in order."""
        for delivery in reversed(deliveries):
            self.running.discard(delivery)
            if delivery.waits_for:
                _move(delivery, State.WAITING)
            else:
                _move(delivery, State.READY)
                self.ready.appendleft(delivery)

    def run_long(self, deliveries: Iterable[Delivery]) -> list[Delivery]:
        """Make rows of deliveries that have been running for long, and of everything that waits for them.

        They run on, and have rows: so their pages can close, and no delivery with their keys is scheduled before they
        end. Returns the deliveries that need rows. A hook may run a thousand, in batches, and have tens of
        thousands ready: those are visited once at most.
        """
        new: list[Delivery] = []
        for delivery in (late := list(deliveries)):
            if not delivery.has_row:
                row = row_of(delivery, time.monotonic())
                row.loaded = True
                self.backlog.put(row)
                delivery.has_row = True
                new.append(delivery)
        return new + self.park(each for each in _behind(late) if not each.has_row)

    def park(self, deliveries: Iterable[Delivery]) -> list[Delivery]:
        """Make rows of deliveries that have not begun, and of everything that waits for them; those with new rows."""
        new: list[Delivery] = []
        were_ready = False
        for delivery in reversed(self.lanes.withdraw(each for each in deliveries if each.state in NOT_BEGUN)):
            if delivery.state not in NOT_BEGUN:
                continue  # it was parked when another one failed that it waited for
            were_ready |= delivery.state is State.READY
            if delivery.has_row:
                self._return_to_row(delivery)
            else:
                self.backlog.put(row_of(delivery, time.monotonic()))
                _move(delivery, State.PARKING)
                new.append(delivery)
        if were_ready:  # else, as after most failures, there is no need to visit thousands
            left = [delivery for delivery in self.ready if delivery.state is State.READY]
            self.ready.clear()
            self.ready.extend(left)
        return new[::-1]

    def drop(self) -> None:
        """Drop everything that has not begun. It is read again, or loaded again."""
        not_begun = [each for each in self.in_memory.values() if each.state in NOT_BEGUN]
        for delivery in reversed(self.lanes.withdraw(not_begun)):
            if delivery.state not in NOT_BEGUN:
                continue
            self._return_to_row(delivery)
        self.ready.clear()
        if self.gathering is not None:
            self.gathering.set()  # its batch may have to be dropped

    def _return_to_row(self, delivery: Delivery) -> None:
        """Drop a delivery that has not begun. If it has a row that is not written yet, it stays until that is written.

        Else nothing would show that its page is open, and a crash could lose it.
        """
        if delivery.has_row:
            for each in reversed((delivery, *delivery.merged)):
                self.backlog.unload(each.change.id)
            row = self.backlog.rows.get(delivery.change.id)
            if row is not None and not row.written:
                _move(delivery, State.PARKING)
                return
        _move(delivery, State.DROPPED)
        self._leave_memory(delivery)

    # The end of an attempt.

    def end(self, delivery: Delivery) -> None:
        """An attempt has ended; its result, or the end of its row, is to be written. Its lanes go on after that."""
        _move(delivery, State.SETTLING)
        self.running.discard(delivery)

    def fail(self, delivery: Delivery, outcome: Outcome) -> tuple[BacklogRow, list[Delivery]]:
        """An attempt has failed: block its keys, and make rows of everything that waits for it.

        The row of the failure, and the other deliveries whose rows are to be written in the same transaction: if they
        were in the table earlier, they could run before the failure is known; if later, a crash in between would let
        younger changes pass. If failures do not block, the lanes go on after the commit.
        """
        self.end(delivery)
        row = failed_row(delivery, outcome, time.monotonic())
        behind: list[Delivery] = []
        if row.blocks:
            behind = self.park(delivery.followers)
            self.lanes.withdraw([delivery])
        for merged in reversed(delivery.merged):
            self.backlog.unload(merged.change.id)
        self.backlog.put(row)
        return row, behind

    def settle(self, delivery: Delivery) -> None:
        """The result of a delivery has committed. Its lanes go on.

        If it has a row, that is deleted now or before long: its result shows until then that it is not pending.
        """
        if delivery.state is State.RUNNING:  # its result committed with the receiver's writes
            self.running.discard(delivery)
        _move(delivery, State.SETTLED)
        if delivery.has_row:
            self.backlog.remove(delivery.change.id)
            for merged in delivery.merged:
                self.backlog.remove(merged.change.id)
        self._leave_memory(delivery)
        self._release_followers(delivery)

    def settle_failure(self, delivery: Delivery, *, is_written: bool = True) -> None:
        """The failure of a delivery has committed, and its row, unless the table may have refused it."""
        _move(delivery, State.PARKED)
        self._leave_memory(delivery)
        if is_written:
            self.backlog.mark_written(delivery.change.id)
        self._release_followers(delivery)  # if failures do not block; otherwise there is none

    def _release_followers(self, delivery: Delivery) -> None:
        for follower in self.lanes.finish(delivery):
            if follower.state is State.WAITING:  # else it was parked, or runs in the same group
                _move(follower, State.READY)
                self.ready.append(follower)

    def row_written(self, delivery: Delivery) -> None:
        """The row of a parked delivery has committed, or that of a run that has been running for long.

        If that run has failed since then, its failure has put another row in its place, which is not written yet.
        """
        if delivery.state is not State.SETTLING:
            self.backlog.mark_written(delivery.change.id)
        if delivery.state is State.PARKING:
            _move(delivery, State.PARKED)
            self._leave_memory(delivery)

    def _leave_memory(self, delivery: Delivery) -> None:
        change_id = delivery.change.id
        if self.in_memory.get(change_id) is delivery:
            del self.in_memory[change_id]
            if delivery.is_loaded:
                self.loaded_bytes -= delivery.change.size


HookQueues = dict[int, HookQueue]  # by the hook's id


def ignore_alarm(_at: float) -> None:
    """Do nothing: no task waits for the hook."""


def _behind(deliveries: Iterable[Delivery]) -> list[Delivery]:
    """Everything that waits for one of these deliveries, directly or not."""
    found: dict[int, Delivery] = {}
    waiting = [follower for delivery in deliveries for follower in delivery.followers]
    while waiting:
        each = waiting.pop()
        if id(each) not in found:
            found[id(each)] = each
            waiting += each.followers
    return list(found.values())


def _move(delivery: Delivery, state: State) -> None:
    """Make a transition, which the table must allow."""
    if state not in TRANSITIONS[delivery.state]:
        raise AssertionError(
            f"delivery of change {delivery.change.id}: {delivery.state.name} cannot become {state.name}"
        )
    delivery.state = state


def _merging(hook: Hook) -> tuple[object, ...]:
    """The settings by which a hook merges changes."""
    return hook.merges_requests, hook.merges_after_s, hook.waits_at_most_s
