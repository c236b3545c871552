"""Schedules deliveries: what is read, what is loaded from the backlog, what has ended, and what has committed."""

import asyncio
import time
from collections.abc import Callable
from functools import partial

import msgspec

from jobhooks.contract.choices import JobResultStatus
from jobhooks.engine.delivery.cursor import Cursor
from jobhooks.engine.delivery.delivery import Delivery
from jobhooks.engine.delivery.observer import Observers
from jobhooks.engine.delivery.outcome import Clock, Outcome
from jobhooks.engine.delivery.settle_batch import SettleBatch
from jobhooks.engine.delivery.state import State
from jobhooks.engine.reading.reader import Reading
from jobhooks.engine.scheduling.admission import Admission
from jobhooks.engine.scheduling.hook_queue import HookQueue, HookQueues
from jobhooks.engine.scheduling.hook_tasks import HookTasks, WorkOff
from jobhooks.engine.scheduling.loading import BacklogLoader
from jobhooks.engine.scheduling.loop_cycles import LoopCycles
from jobhooks.engine.scheduling.loop_watch import Loop
from jobhooks.engine.scheduling.streams import OVERDUE_S, Streams, is_late
from jobhooks.engine.settling.ledger import Ledger
from jobhooks.engine.settling.settler import Settler
from jobhooks.errors import DatabaseUnreachable, JobhooksError, LeadsNoMore
from jobhooks.matching.hook_table import HookTable
from jobhooks.runtime.event_log import get_logger

LOOK_S = 0.25  # between two searches for slow runs, hooks that fall behind, and hooks that trigger themselves
REFILL_S = 10.0  # between two samples of deliveries that are looked at for loops

log = get_logger()


class Dispatcher:
    """Connects the parts of scheduling: queues, streams, the backlog's loader, hook tasks and the settler.

    Up to about ``most`` deliveries of a hook are in memory; the rest is not read yet. ``can_run``: whether there is
    a receiver of a class path that takes the data of a hook, as JSON. A hook without one stands still: it keeps its
    position, and reads nothing. ``loop_limit``: the changes in a row that a hook may seem to cause before that is
    tried; 0: never. ``keeps_rates``: whether hooks wait for their rates. ``read_soon``: called after each run while a
    hook has a ``chain_depth``, because no NOTIFY announces receivers' writes.

    Everything happens in one event loop. A queue changes in single steps, with no await between looking at it and
    changing it. The dispatcher is the settler's ``SettleListener`` and the hook tasks' ``TaskOwner``.
    """

    def __init__(
        self,
        work_off: WorkOff,
        settler: Settler,
        ledger: Ledger,
        most: int,
        can_run: Callable[[str, str], bool],
        observers: Observers,
        clock: Clock,
        loop_limit: int = 0,
        *,
        keeps_rates: bool = True,
        read_soon: Callable[[], None] | None = None,
    ) -> None:
        self._clock = clock
        self._keeps_rates = keeps_rates
        self._loop_limit = loop_limit
        self._cycles = LoopCycles()
        self._can_run = can_run
        self._settler = settler
        self._ledger = ledger
        self._queues: HookQueues = {}
        self._hooks = HookTable("", ())
        self.streams = Streams(self._queues, settler, most, self.may_run)
        self._hook_tasks = HookTasks(self._queues, work_off, self, observers)
        self._start_tasks = self._hook_tasks.start
        self._loader = BacklogLoader(self._queues, self.streams, settler, ledger, self.may_run, self._start_tasks)
        self._positions: dict[int, Cursor] = {}  # saved ones of hooks that this daemon has not seen yet
        self._room = asyncio.Event()  # set when a hook may have use for another page
        self._admission = Admission(
            self._queues, self.streams, settler, ledger, self._start_tasks, self._loader.position_moved
        )
        self._attempt_finished = self._on_finished = observers.attempt_finished
        self._read_soon = read_soon
        self._on_settled = observers.settled
        self._on_parked = observers.parked

    @property
    def hooks_version(self) -> str:
        """The version of the configuration that the hooks are of."""
        return self._hooks.version

    async def start(self, position: Cursor) -> None:
        """Begin at ``position`` in the log; look up how far an earlier daemon may have settled changes beyond it."""
        async with self._settler.lock:
            self.streams.start(position, await self._ledger.last_settled())
            self._positions = await self._ledger.positions()

    async def reload_hooks(self) -> None:
        """Load the hooks. A hook that is no longer active gives up what it has not begun, and its position."""
        async with self._settler.lock:
            hooks = await self._ledger.hooks()
            rows = {
                hook_id: await self._ledger.backlog_rows(hook_id, HookQueue(hook).rows_in_memory)
                for hook_id, hook in hooks.by_id.items()
                if hook_id not in self._queues
            }
            rates = {
                hook_id: await self._ledger.rate_buckets(hook_id)
                for hook_id, hook in hooks.by_id.items()
                if hook_id not in self._queues and hook.rate
            }
            unsent = self._settler.unsent()
        for hook_id, hook in hooks.by_id.items():
            queue = self._queues.get(hook_id)
            if queue is None:
                queue = self._queues[hook_id] = HookQueue(hook, self._loop_limit, keeps_rate=self._keeps_rates)
                queue.alarm = partial(self._hook_tasks.start_at, queue)
                if queue.pace is not None:
                    queue.pace.load(rates[hook_id])
                complete = len(rows[hook_id]) < queue.rows_in_memory
                queue.reconcile(rows[hook_id], complete=complete, unsent=lambda id_, of=hook_id: (id_, of) in unsent)
                if hook_id in self._positions:
                    self.streams.begin_at(queue, self._positions.pop(hook_id))
            elif not queue.is_active:
                queue.is_member, queue.is_active = True, True
            queue.set_hook(hook)
        for hook_id, queue in list(self._queues.items()):
            if hook_id not in hooks.by_id:
                if queue.is_active:
                    queue.is_active = False
                    self.streams.give_up(queue)
                # Rows that the database has refused block their keys, also when the hook is enabled again.
                if not queue.in_memory and not queue.tasks and not queue.backlog.has_unwritten:
                    del self._queues[hook_id]
        self._hooks = hooks
        self._on_finished = self._finished_in_chain if hooks.has_chains else self._attempt_finished
        self.streams.set_hooks(hooks)
        self._stand_still()
        self._start_ready()
        self._loader.wake()
        self._room.set()

    def _start_ready(self) -> None:
        """Start tasks for what can run: the limits of its hook may allow more now, or its hook was held."""
        for queue in self._queues.values():
            if queue.ready:
                self._start_tasks(queue)

    # Reading.

    async def admit(self, reading: Reading) -> None:
        """Schedule a page of the shared stream. The hooks must be of the page's configuration, or newer."""
        await self._admission.admit(reading)
        self._room.set()  # hooks that read alone may read up to here

    async def admit_alone(self, queue: HookQueue, reading: Reading) -> None:
        """Schedule a page of a hook that reads alone."""
        await self._admission.admit_alone(queue, reading)

    async def room(self) -> None:
        """Wait until a page of the shared stream is wanted."""
        while not self.streams.wants_page():
            self._room.clear()
            await self._room.wait()

    def is_full(self, queue: HookQueue) -> bool:
        """Whether the hook reads no more for now, so that a batch must not wait for more."""
        return not self.streams.has_room(queue) or self.streams.fills_memory(queue)

    async def next_alone(self) -> HookQueue:
        """Wait for a hook that reads alone and has use for a page, or can join the others; in turn."""
        while True:
            waiting = self.streams.wanting_to_read()
            if waiting:
                queue = min(waiting, key=lambda queue: queue.read_at)
                queue.read_at = asyncio.get_running_loop().time()
                return queue
            self._room.clear()
            await self._room.wait()

    def join(self, queue: HookQueue) -> None:
        """Make a hook that has read exactly as far as the others read with them again, if it keeps up."""
        if queue.stream is not None and not queue.is_member and self.streams.keeps_up(queue) and self.may_run(queue):
            self.streams.join(queue)

    # Running.

    async def run(self) -> None:
        """Make rows of slow runs, let hooks that fall behind read alone, and load the backlog, until cancelled.

        Raises:
            DatabaseUnreachable: the database was lost in a run, or here.
        """
        async with asyncio.TaskGroup() as group:
            group.create_task(self._look())
            group.create_task(self._loader.run())
            group.create_task(self._hook_tasks.raise_failure())

    async def _look(self) -> None:
        loop = asyncio.get_running_loop()
        refill_at = 0.0
        while True:
            await asyncio.sleep(LOOK_S)
            long_ago = loop.time() - OVERDUE_S
            if refills := loop.time() >= refill_at:
                refill_at = loop.time() + REFILL_S
            await self._look_for_loops(refills=refills)
            for queue in self._queues.values():
                if late := [running for running in queue.running if is_late(running, long_ago)]:
                    self._park(queue, queue.run_long(late))
            self._save_rates()
            self.streams.leave_overdue(long_ago)
            self._room.set()

    def _save_rates(self) -> None:
        """Save the used part of each hook's rate, so that a daemon that takes over keeps to it."""
        for hook_id, queue in self._queues.items():
            if queue.pace is not None and (used := queue.pace.used()):
                self._settler.save_rates(hook_id, used)

    async def _look_for_loops(self, *, refills: bool) -> None:
        """Hold hooks that seem to trigger themselves or each other, and pause those that do."""
        self._cycles.look(self._queues, self._clock.now())
        for hook_id, queue in list(self._queues.items()):
            loops = queue.loops
            if loops.loop is not None:
                await self._pause(hook_id, queue, loops.loop)
            elif loops.look(self._clock.now(), is_idle=not queue.running):
                self._start_tasks(queue)
            elif refills:
                loops.refill()

    async def _pause(self, hook_id: int, queue: HookQueue, loop: Loop) -> None:
        """Pause a hook that is in a loop. Until that has committed it begins nothing."""
        name, job = queue.hook.name, queue.hook.job
        try:
            await self._settler.pause_loop(hook_id, loop.reason)
        except (DatabaseUnreachable, LeadsNoMore):
            raise
        except JobhooksError as exc:
            log.warning("hook_not_paused", hook=name, error=str(exc))  # a session changes it: the next time
        else:
            loop_watch = queue.loops
            loop_watch.loop, loop_watch.is_paused = None, True
            log.error("hook_paused", hook=name, job=job, reason=loop.reason, remedy=f"jobhooks hook resume '{name}'")

    def on_receivers_changed(self) -> None:
        """Let hooks stand still whose receivers are missing, or do not take their data; go on with the others."""
        self._ledger.check_again()
        self._stand_still()
        self._loader.wake()
        self._room.set()

    def _stand_still(self) -> None:
        for queue in self._queues.values():
            if queue.is_active and not self.may_run(queue):
                self._drop(queue)

    def _drop(self, queue: HookQueue) -> None:
        """Drop what a hook that stands still has not begun. It keeps its position, unless it has given that up."""
        if queue.is_active:
            self.streams.leave(queue, "it stands still")
        else:
            queue.drop()

    def may_run(self, queue: HookQueue) -> bool:
        """Whether a hook's deliveries run at present."""
        if not queue.is_active or queue.hook.paused:
            return False
        return queue.halted is None and self._can_run(queue.hook.job, queue.hook.data_json)

    @property
    def queues(self) -> HookQueues:
        """The work of each hook, by its id."""
        return self._queues

    def backlog_changed(self) -> None:
        """Another session has changed the backlog."""
        self._loader.table_changed()

    async def stop(self) -> None:
        """Begin nothing more, and wait for running deliveries. Those that have not begun stay unsettled."""
        await self._hook_tasks.stop()

    async def cancel(self) -> None:
        """End everything that runs."""
        await self._hook_tasks.cancel()

    @property
    def is_idle(self) -> bool:
        """Whether nothing runs or waits to run, nothing keeps a page open, and no hook that can run is behind."""
        return (
            self._hook_tasks.are_idle
            and not any(queue.in_memory for queue in self._queues.values())
            and not self.streams.alone()
            and not self._loader.has_due
        )

    def on_given_back(self, queue: HookQueue) -> None:
        """Drop deliveries that were given back, if the hook stands still."""
        if not self.may_run(queue):
            self._drop(queue)

    def on_reload(self, queue: HookQueue, delivery: Delivery) -> None:
        """An operator, or a run that committed unnoticed, has settled a part of a delivery: load the rest again."""
        queue.give_back([delivery])
        self._park(queue, queue.park([delivery]))
        self._loader.table_changed()

    def on_outcome(self, queue: HookQueue, delivery: Delivery, outcome: Outcome | None) -> None:
        """Settle an attempt, with everything that was merged into it."""
        if self._on_finished is not None:
            self._on_finished(delivery, outcome)
        if queue.loops.left > 0 and outcome is not None:
            queue.loops.ran(delivery, outcome)
        if outcome is None or outcome.recorded:
            if self._on_settled is not None:
                for each in (delivery, *delivery.merged):
                    self._on_settled(each, outcome)
            if delivery.has_row:
                self._settler.done(delivery)  # if a crash prevents that, its result shows that its row is done
            self._settle(queue, delivery)
            self._room.set()
        elif outcome.status is JobResultStatus.SUCCESS:
            queue.end(delivery)
            self._settler.succeeded(delivery, outcome)
        elif outcome.raised:
            row, behind = queue.fail(delivery, outcome)
            outcome = msgspec.structs.replace(outcome, next_attempt_in=row.due - time.monotonic())
            self._settler.failed(delivery, outcome, row)
            self._park(queue, behind)
        else:
            queue.end(delivery)
            self._settler.given_up(delivery, outcome)

    def _finished_in_chain(self, delivery: Delivery, outcome: Outcome | None) -> None:
        if self._attempt_finished is not None:
            self._attempt_finished(delivery, outcome)
        if self._read_soon is not None:
            self._read_soon()

    def _park(self, queue: HookQueue, deliveries: list[Delivery]) -> None:
        for delivery in deliveries:
            self._settler.park(delivery, queue.backlog.rows[delivery.change.id])

    def _settle(self, queue: HookQueue, delivery: Delivery) -> None:
        """A delivery is settled: its lanes go on, and its page may close."""
        queue.settle(delivery)
        if delivery.page is not None:
            self.streams.release(queue, delivery)
        if queue.ready and queue.tasks < queue.hook.limits.concurrency:
            self._start_tasks(queue)
        if delivery.has_row:
            self._loader.row_left(queue)

    # The settler's side.

    def on_settled(self, batch: SettleBatch) -> None:
        """A batch has committed: let lanes go on, and pages close. Called under the settler's lock."""
        self._report_settled(batch)
        queues = self._queues
        for delivery, _ in batch.successes:
            if delivery.state is State.SETTLING:
                self._settle(queues[delivery.hook.id], delivery)
            else:
                self._ended(delivery)
        for delivery, outcome in batch.failures:
            if outcome.raised:
                self._failure_written(delivery, is_written=not batch.is_refused_in_part)
            else:
                self._ended(delivery)
        for delivery in batch.parked:
            self._row_written(delivery)
        for delivery in batch.done:
            self._ended(delivery)
        if batch.is_refused_in_part:
            self._loader.table_changed()  # a run had committed after all, or another session has decided
        if batch.rows or batch.done:
            self._loader.wake()
        self._room.set()
        if any(queue.halted is not None for queue in self._queues.values()):
            self._resume()

    def _report_settled(self, batch: SettleBatch) -> None:
        if (on_settled := self._on_settled) is not None:
            for delivery, outcome in (*batch.successes, *batch.failures):
                on_settled(delivery, outcome)

    def _ended(self, delivery: Delivery) -> None:
        """The result of a delivery has committed, or the end of its row."""
        queue = self._queues.get(delivery.hook.id)
        if queue is None:
            return
        if delivery.state is State.SETTLING:
            self._settle(queue, delivery)
        elif delivery.state is State.WAITING:  # merged into another one, or found settled when it was loaded
            queue.backlog.remove(delivery.change.id)

    def _failure_written(self, delivery: Delivery, *, is_written: bool) -> None:
        queue = self._queues[delivery.hook.id]
        queue.settle_failure(delivery, is_written=is_written)
        self.streams.release(queue, delivery)
        self._start_tasks(queue)

    def _row_written(self, delivery: Delivery) -> None:
        queue = self._queues.get(delivery.hook.id)
        if queue is None:
            return  # the run of this row has been settled since then, and the hook disabled
        queue.row_written(delivery)
        self.streams.release(queue, delivery)
        if self._on_parked is not None:
            self._on_parked(delivery)

    def on_refused(self, hook_id: int, error: JobhooksError) -> None:
        """The database refuses what this hook has to write: the hook stands still until it is accepted."""
        queue = self._queues.get(hook_id)
        if queue is not None and queue.halted is None:
            queue.halted = str(error)
            log.error("hook_halted", hook=queue.hook.name, error=str(error))
            self._drop(queue)

    def _resume(self) -> None:
        """Go on with hooks whose refused results the database has accepted."""
        for hook_id, queue in self._queues.items():
            if queue.halted is not None and not self._settler.is_refused(hook_id):
                queue.halted = None
                log.info("hook_resumed", hook=queue.hook.name)
                self._room.set()
