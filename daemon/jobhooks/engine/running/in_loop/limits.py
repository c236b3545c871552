"""Time limits of ``async def`` receivers, and a watchdog for receivers that block the loop."""

import asyncio
import contextlib
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable, Coroutine, Generator, Sequence
from dataclasses import dataclass
from typing import Any, NoReturn

from jobhooks.contract.control import SoftTimeLimitExceeded, TimeLimitExceeded
from jobhooks.contract.log import LogEntry, ReceiverLog
from jobhooks.contract.run import DeliveryIdentity
from jobhooks.engine.delivery.delivery import Delivery
from jobhooks.runtime.event_log import get_logger
from jobhooks.runtime.process_copies import Copies, end_copy

BLOCKED = 1.0  # seconds that the loop may be blocked before the watchdog reports it
LOOK = 0.25  # seconds between two checks
# Seconds of computing beyond the watchdog's limit, after which the system ends the process: if C code lets no other
# thread run Python, the watchdog's cannot look either.
MARGIN_S = 3.0

log = get_logger()


ABANDON_S = 5.0  # after its hard limit, for a receiver to clean up and end


class RaisedGeneratorExit(Exception):
    """The receiver raised GeneratorExit, which Python keeps for the end of generators."""

    def __init__(self) -> None:
        super().__init__("the receiver raised GeneratorExit")


class CurrentStep:
    """The run whose code the loop runs now, for the watchdog: set around each step of its coroutine."""

    __slots__ = ("limited",)

    def __init__(self) -> None:
        self.limited: Limited | None = None


current_step = CurrentStep()  # an object, because Python drops what it has cached for a class when an attribute is set


class Limited:
    """Runs a receiver's coroutine in the task that awaits this, within its limits, in seconds.

    The soft limit raises SoftTimeLimitExceeded where the receiver waits, and cancels the awaited object, as cancelling
    a task does. The hard limit cancels the receiver, and ``run`` raises TimeLimitExceeded. ``end`` does so with another
    error. A receiver that goes on for some seconds after that is abandoned: its code is not continued. While it waits,
    this is the ``Call`` of its deliveries.

    A receiver that cancels its own task cancels what it waits for next, but not the task: ``run`` raises CancelledError
    while the task's ``cancelling()`` is 0.
    """

    _own_cancellations = 0  # by the receiver, that are not taken back
    _is_ending = False
    worker_pid = None
    ended_by: Exception | None = None  # the receiver was cancelled for good, by its hard limit or by ``end``

    def __init__(
        self,
        coroutine: Coroutine[Any, Any, object],
        receiver: str,
        soft: float | None,
        hard: float | None,
        deliveries: Sequence[Delivery] = (),
        log: ReceiverLog | None = None,
    ) -> None:
        self._coroutine = coroutine
        self.receiver = receiver
        self.deliveries = deliveries
        self._log = log
        self._soft = soft
        self._hard = hard
        self._waited_for: Any = None
        self._over: list[Exception] = []  # exceeded, but not raised yet
        self._abandoned = False
        self._waits = False  # the receiver has not ended, and others run
        self._cancelled_itself = False
        self._copies = Copies.made
        self._task: asyncio.Task[Any]

    async def run(self, task: asyncio.Task[Any] | None = None) -> object:
        """Run the coroutine to its end, and return its value. ``task``: the current one, looked up if not given.

        Raises:
            CancelledError: it has cancelled its own task, or the task was cancelled.
            TimeLimitExceeded: it was cancelled at its hard limit. An error that it raises after that is dropped.
            Exception: the reason that was given to ``end``; as for the hard limit.
        """
        task = task or asyncio.current_task()
        assert task is not None
        self._task = task
        # Most short receivers never wait: then one step is all, and no timer is needed.
        cancelling = task.cancelling()
        current_step.limited = self
        try:
            self._waited_for = self._coroutine.send(None)
        except StopIteration as end:
            if task.cancelling() == cancelling:
                return end.value
            value: object = end.value
            self._disown(cancelling)
        except GeneratorExit as exc:
            self._disown(cancelling)
            await self._absorb()
            raise RaisedGeneratorExit from exc
        except BaseException:
            self._disown(cancelling)
            await self._absorb()
            raise
        else:
            if Copies.made != self._copies:
                end_copy(self._copies, self.receiver)
            self._disown(cancelling)
            value = await self._run_rest()
        finally:
            current_step.limited = None
            if Copies.made != self._copies:
                end_copy(self._copies, self.receiver)
        if self._cancelled_itself and await self._absorb():
            raise asyncio.CancelledError
        return value

    async def _run_rest(self) -> object:
        """Run the steps after the first one."""
        current_step.limited = None
        self._waits = True
        for each in self.deliveries:
            each.call = self
        try:
            value = await (self if self._soft is None and self._hard is None else self._run_limited())
        except GeneratorExit:
            raise
        except BaseException as exc:
            self._end_wait()
            is_ended = isinstance(exc, asyncio.CancelledError) and self._task.cancelling() == self._own_cancellations
            await self._absorb()
            if is_ended and self.ended_by is not None:
                raise self.ended_by from None
            raise
        self._end_wait()
        if self.ended_by is not None:
            raise self.ended_by
        return value

    def _end_wait(self) -> None:
        self._waits = False
        for each in self.deliveries:
            each.call = None

    def _disown(self, cancelling: int) -> None:
        """Count cancellations by the receiver in one step: nothing else runs during a step."""
        if self._task.cancelling() > cancelling:
            self._own_cancellations += self._task.cancelling() - cancelling
            self._cancelled_itself = True

    def _take_back(self) -> None:
        """Take back cancellations by the receiver, once its wait has raised CancelledError.

        Not before: from Python 3.13 on, the last ``uncancel()`` rescinds a CancelledError that is to be raised.
        """
        while self._own_cancellations:
            self._own_cancellations -= 1
            self._task.uncancel()

    async def _absorb(self) -> bool:
        """Let the CancelledError pass that it may have left for the next wait; whether it had."""
        if not self._cancelled_itself:
            return False
        current_step.limited = None  # others run now
        cancelling = self._task.cancelling()
        try:
            await asyncio.sleep(0)
        except asyncio.CancelledError:
            if self._task.cancelling() > cancelling:
                raise  # from outside, just now
            return True
        finally:
            self._take_back()
        return False

    async def _run_limited(self) -> object:
        task = self._task
        loop = asyncio.get_running_loop()
        timers: list[asyncio.TimerHandle] = []
        if self._soft is not None:
            timers.append(loop.call_later(self._soft, self._exceed, task, SoftTimeLimitExceeded(self._soft)))
        if self._hard is not None:
            timers.append(loop.call_later(self._hard, self._exceed, task, TimeLimitExceeded(self._hard)))
            timers.append(loop.call_later(self._hard + ABANDON_S, self._abandon, task))
        try:
            return await self
        finally:
            for timer in timers:
                timer.cancel()

    def is_running(self, delivery: DeliveryIdentity) -> bool:  # noqa: ARG002 - all deliveries of the call run
        """As ``Call`` says."""
        return True

    def lines(self, delivery: DeliveryIdentity) -> Sequence[LogEntry]:
        """As ``Call`` says."""
        return self._log.entries if self._log is not None and self.deliveries[0].identity == delivery else ()

    def end(self, reason: Exception) -> None:
        """Cancel the receiver, unless it has ended; abandon it if it goes on."""
        if self._waits and self.ended_by is None and not self._is_ending:
            self._is_ending = True
            self._exceed(self._task, reason)
            self._task.get_loop().call_later(ABANDON_S, self._abandon_ended)

    def _abandon_ended(self) -> None:
        if self._waits:
            self._abandon(self._task)

    def _exceed(self, task: asyncio.Task[Any], error: Exception) -> None:
        self._over.append(error)
        task.cancel()

    def _abandon(self, task: asyncio.Task[Any]) -> None:
        self._abandoned = True
        task.cancel()

    def _end_abandoned(self) -> NoReturn:
        """Do not continue the coroutine.

        Raises:
            Exception: always: the reason for its end.
        """
        self._take_back()
        self._task.uncancel()
        with contextlib.suppress(BaseException):  # it may resist this as well
            self._coroutine.close()
        assert self.ended_by is not None
        raise self.ended_by from None

    def __await__(self) -> Generator[Any, Any, object]:
        # The same as ``yield from``, except that the watchdog learns of each step, and that a cancellation by the soft
        # limit becomes a SoftTimeLimitExceeded in the coroutine.
        coroutine = self._coroutine
        waited_for = self._waited_for
        while True:
            raised: BaseException | None = None
            try:
                yield waited_for
            except asyncio.CancelledError as cancelled:
                if self._abandoned:
                    self._end_abandoned()
                raised = self._translated(cancelled)
            except GeneratorExit:
                coroutine.close()
                raise
            except BaseException as exc:  # noqa: BLE001 - thrown into the receiver
                raised = exc
            cancelling = self._task.cancelling()
            current_step.limited = self
            try:
                waited_for = coroutine.send(None) if raised is None else coroutine.throw(raised)
            except StopIteration as end:
                return end.value
            except GeneratorExit as exc:
                raise RaisedGeneratorExit from exc
            finally:
                current_step.limited = None
                if Copies.made != self._copies:
                    end_copy(self._copies, self.receiver)
                if self._task.cancelling() > cancelling:
                    self._disown(cancelling)

    def _translated(self, cancelled: asyncio.CancelledError) -> BaseException:
        self._take_back()
        if not self._over:
            return cancelled
        task = self._task
        # After a blocked loop, both limits may expire in one iteration, which delivers a single cancellation.
        over, self._over = self._over, []
        for _ in over:
            task.uncancel()
        ends = [error for error in over if not isinstance(error, SoftTimeLimitExceeded)]
        if not ends:
            return over[-1]
        self.ended_by = self.ended_by or ends[0]
        return cancelled


@dataclass(frozen=True)
class StuckLoop:
    """The loop has not gone on for ``seconds``.

    ``runs``: of the ``receiver`` whose code blocks it, if it is one, each with the receiver's version.
    """

    receiver: str | None
    runs: list[tuple[DeliveryIdentity, int | None]]
    seconds: float


class Watchdog:
    """A thread that reports which receiver blocks the loop: one that computes, or waits without ``await``.

    ``on_stuck`` is called in that thread if the loop does not go on for ``stuck_s``. Only time in which the thread
    could look counts: a process that was stopped, or a machine that was paused, is not stuck.
    """

    def __init__(self, stuck_s: float | None = None, on_stuck: Callable[[StuckLoop], None] | None = None) -> None:
        self._stuck_s = stuck_s
        self._on_stuck = on_stuck
        self._loop_thread = threading.get_ident()
        self._beat = time.monotonic()
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="jobhooks watchdog", daemon=True)

    async def run(self) -> None:
        """Watch until cancelled."""
        self._thread.start()
        try:
            while True:
                self._beat = time.monotonic()
                if self._stuck_s is not None:
                    signal.setitimer(signal.ITIMER_VIRTUAL, self._stuck_s + MARGIN_S)
                await asyncio.sleep(LOOK)
        finally:
            self._ended.set()
            if self._stuck_s is not None:
                signal.setitimer(signal.ITIMER_VIRTUAL, 0)

    def _watch(self) -> None:
        reported: float | None = None
        beat, looks = self._beat, 0
        while not self._ended.wait(LOOK):
            if self._beat != beat:
                beat, looks = self._beat, 0
                continue
            looks += 1
            blocked_s = time.monotonic() - beat
            if blocked_s >= BLOCKED + LOOK and beat != reported and self._report(beat, blocked_s):
                reported = beat
            if self._stuck_s is not None and looks * LOOK >= self._stuck_s and self._on_stuck is not None:
                self._on_stuck(_stuck(blocked_s))

    def _report(self, beat: float, blocked_s: float) -> bool:
        limited = current_step.limited
        frame = sys._current_frames().get(self._loop_thread)  # pyright: ignore[reportPrivateUsage] - documented
        if frame is None or self._beat != beat:
            return False
        log.warning(
            "loop_blocked",
            receiver=None if limited is None else limited.receiver,
            seconds=round(blocked_s, 1),
            stack="".join(traceback.format_stack(frame, limit=8)),
            hint="an async def receiver must await what takes long; make it a def one",
        )
        return True


def _stuck(seconds: float) -> StuckLoop:
    limited = current_step.limited
    if limited is None:
        return StuckLoop(None, [], seconds)
    runs = [(identity, delivery.version) for delivery in limited.deliveries for identity in delivery.identities]
    return StuckLoop(limited.receiver, runs, seconds)
