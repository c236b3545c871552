"""Two daemons of one database: one leads, and one stands by. When one ends, the next is started."""

import contextlib
import random
import signal
from collections.abc import Callable, Generator

from support.daemon import LIMIT, Daemon, wait_until


class Pair:
    """The two daemons, the one that was started first in front: it often leads. ``start``: starts the next one."""

    def __init__(self, start: Callable[[], Daemon], rng: random.Random, limit_s: float = LIMIT) -> None:
        self._start = start
        self._rng = rng
        self._limit_s = limit_s
        self.daemons: list[Daemon] = []
        self.ended: list[Daemon] = []

    @contextlib.contextmanager
    def running(self) -> Generator[None]:
        """Run them."""
        try:
            self.begin()
            yield
        finally:
            for daemon in self.daemons:
                daemon.process.send_signal(signal.SIGCONT)
                daemon.kill()

    def begin(self) -> None:
        """Start both."""
        self.daemons.append(self._start())
        wait_until("the first one leads", lambda: self.daemons[0].events("started"), self._limit_s)
        self.daemons.append(self._start())

    def choose(self) -> Daemon:
        """Choose one, most often the one that was started first."""
        return self.daemons[0 if self._rng.random() < 0.8 else -1]

    def kill(self) -> None:
        """Kill a daemon; the other one takes over."""
        self._replaced().kill()

    def terminate(self) -> None:
        """End a daemon as systemd does."""
        self._end(self._replaced())

    def terminate_all(self) -> None:
        """End both."""
        while self.daemons:
            daemon = self.daemons.pop()
            self.ended.append(daemon)
            self._end(daemon)

    def tracebacks(self) -> list[str]:
        """Read the tracebacks that the daemons wrote."""
        return [traceback for daemon in self._all() for traceback in daemon.tracebacks()]

    def events(self, name: str) -> list[dict[str, object]]:
        """Read the events of a name that the daemons logged."""
        return [event for daemon in self._all() for event in daemon.events(name)]

    def _all(self) -> list[Daemon]:
        return [*self.ended, *self.daemons]

    def _replaced(self) -> Daemon:
        daemon = self.choose()
        self.daemons.remove(daemon)
        self.ended.append(daemon)
        self.daemons.append(self._start())
        return daemon

    def _end(self, daemon: Daemon) -> None:
        """Before it leads or stands by, it may not handle the signal yet."""
        ready = "it leads or stands by"
        wait_until(ready, lambda: daemon.events("started") or daemon.events("standing_by"), self._limit_s)
        daemon.process.send_signal(signal.SIGTERM)
        assert daemon.process.wait(self._limit_s) == 0
