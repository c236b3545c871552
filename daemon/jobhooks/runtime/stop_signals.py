"""SIGTERM and SIGINT: the daemon stops, whatever its receivers do to the process."""

import asyncio
import atexit
import os
import signal
import threading
from collections.abc import Callable
from types import FrameType

from jobhooks.runtime.event_log import get_logger

SIGNALS = (signal.SIGTERM, signal.SIGINT)
LAST_RESORT_S = 2.0  # after the grace period, and after the end, until the process ends with everything that still runs
LOOK_S = 0.5  # between two checks of the handlers; a daemon that sleeps wakes for each
Handler = Callable[[int, FrameType | None], object] | int | None

log = get_logger()

# At the end Python resets its signal handlers and frees its objects, which can take long: the timer would kill the
# process then. This runs after the threads and the functions of receivers, because this module is imported before them.
atexit.register(signal.setitimer, signal.ITIMER_REAL, 0)


class StopSignals:
    """Sets ``stop`` on a signal. A second one ends the process, and so does the end of ``grace_s``.

    ``requested`` is set even if the event loop stands still. ``on_request`` is called in the loop.
    """

    def __init__(self, stop: asyncio.Event, grace_s: float, on_request: Callable[[], None]) -> None:
        self.requested = threading.Event()
        self._stop = stop
        self._grace_s = grace_s
        self._on_request = on_request
        self._loop = asyncio.get_running_loop()
        self._pid = os.getpid()
        self._set_handler = signal.signal
        self._refused: set[signal.Signals] = set()
        # Not handlers of the event loop: an async receiver that blocks the loop, or resists being cancelled, must not
        # keep the process alive. Its writes are rolled back, and the change is delivered again.
        self._handler = self._on_signal
        for number in SIGNALS:
            signal.signal(number, self._handler)
        # A look at the handlers comes too late for a receiver that replaces one in each run: with SIG_IGN nearly every
        # signal would be lost, with SIG_DFL it would end the process without its grace period.
        signal.signal = self._set_unless_ours

    async def keep(self, look_too: Callable[[], None] = lambda: None) -> None:
        """Report receivers that replace a handler, until cancelled. Set it again if they did so in another way.

        ``look_too``: is called as often. One timer for both, because a daemon that sleeps wakes for it.
        """
        while True:
            for number in SIGNALS:
                is_replaced = signal.getsignal(number) != self._handler
                if is_replaced:
                    signal.signal(number, self._handler)
                if is_replaced or number in self._refused:
                    self._refused.discard(number)
                    log.warning(
                        "signal_handler_replaced",
                        signal=number.name,
                        hint="an async def receiver, or a library that it uses, must leave the daemon's signals alone",
                    )
            look_too()
            await asyncio.sleep(LOOK_S)

    def end_soon(self) -> None:
        """End the process soon: threads of receivers, and functions registered with atexit, may never end."""
        _end_after(LAST_RESORT_S)

    def _set_unless_ours(self, number: int, handler: Handler) -> Handler:
        """Do what ``signal.signal`` does, but leave the daemon's handlers. A forked process may set its handlers."""
        if number in SIGNALS and handler != self._handler and os.getpid() == self._pid:
            self._refused.add(signal.Signals(number))
            return self._handler
        return self._set_handler(number, handler)

    def _on_signal(self, _number: int, _frame: object) -> None:
        if self.requested.is_set():
            os._exit(0)
        self.requested.set()
        _end_after(self._grace_s + LAST_RESORT_S)
        self._loop.call_soon_threadsafe(self._request)

    def _request(self) -> None:
        self._on_request()
        self._stop.set()


def end_at_once_on_sigterm() -> None:
    """End the process on SIGTERM, with exit code 0, until ``StopSignals`` takes over: nothing runs yet."""
    signal.signal(signal.SIGTERM, _exit_process)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)  # restart has blocked them


def _end_after(seconds: float) -> None:
    signal.signal(signal.SIGALRM, _exit_process)
    signal.setitimer(signal.ITIMER_REAL, seconds)


def _exit_process(_number: int, _frame: object) -> None:
    os._exit(0)
