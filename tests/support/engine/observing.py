"""Recording the engine's events, and running the daemon's sessions in the test's own process."""

import asyncio
import contextlib
import inspect
from collections.abc import AsyncGenerator, Callable, Sequence
from pathlib import Path
from typing import Any

from jobhooks.contract.change import Change
from jobhooks.contract.meta import read_meta
from jobhooks.contract.receiver import JobHookReceiver
from jobhooks.discovery.registry import FoundReceiver, ReceiverRegistry
from jobhooks.engine.delivery.delivery import Delivery
from jobhooks.engine.delivery.observer import Observer, Observers
from jobhooks.engine.delivery.outcome import Outcome
from jobhooks.engine.delivery_log import DeliveryLog
from jobhooks.engine.session import EngineSettings
from jobhooks.engine.supervisor import run_sessions
from jobhooks.runtime.wakeup_mode import WakeupMode
from jobhooks.testing.thread_runner import ThreadRunner
from support.daemon import LIMIT

Event = tuple[object, ...]


class Recorder(Observer):
    """Records every event: its name, then the id of the change and how an attempt ended."""

    def __init__(self) -> None:
        self.events: list[Event] = []
        self._recorded = asyncio.Event()

    async def until(self, what: str, condition: Callable[[], object]) -> None:
        """Wait until a condition holds, which is checked after each event."""
        try:
            async with asyncio.timeout(LIMIT):
                while not condition():
                    self._recorded.clear()
                    await self._recorded.wait()
        except TimeoutError:
            raise AssertionError(f"waited {LIMIT} seconds in vain until {what}: {self.events}") from None

    async def until_event(self, *event: object, count: int = 1) -> None:
        """Wait until an event has come that begins like this, ``count`` times."""
        await self.until(f"{event} came", lambda: len(self.of(*event)) >= count)

    def of(self, *start: object) -> list[Event]:
        """The events that begin like this."""
        return [event for event in self.events if event[: len(start)] == start]

    def names(self) -> list[object]:
        """The names of the events, in order."""
        return [event[0] for event in self.events]

    def about(self, change_id: int) -> list[Event]:
        """The events of the deliveries of one change, without its id."""
        return [
            (event[0], *event[2:]) for event in self.events if event[0] != "changes_read" and event[1:2] == (change_id,)
        ]

    def _record(self, *event: object) -> None:
        self.events.append(event)
        self._recorded.set()

    def leadership_gained(self, leader: int) -> None:
        self._record("leadership_gained")

    def leadership_lost(self) -> None:
        self._record("leadership_lost")

    def reconnected(self) -> None:
        self._record("reconnected")

    def changes_read(self, changes: Sequence[Change]) -> None:
        self._record("changes_read", *(change.id for change in changes))

    def delivery_started(self, delivery: Delivery) -> None:
        self._record("delivery_started", delivery.change.id)

    def delivery_returned(self, delivery: Delivery) -> None:
        self._record("delivery_returned", delivery.change.id)

    def attempt_finished(self, delivery: Delivery, outcome: Outcome | None) -> None:
        self._record("attempt_finished", delivery.change.id, _status(outcome))

    def settled(self, delivery: Delivery, outcome: Outcome | None) -> None:
        self._record("settled", delivery.change.id, _status(outcome))

    def parked(self, delivery: Delivery) -> None:
        self._record("parked", delivery.change.id)


def _status(outcome: Outcome | None) -> str | None:
    return None if outcome is None else outcome.status.value


@contextlib.asynccontextmanager
async def sessions(
    database: str,
    receiver: type[JobHookReceiver[Any]],
    *observers: Observer,
    environment: str = "",
    waits: Callable[[str], None] = lambda _: None,
    loop_limit: int = 0,
    poll_interval_s: float = 5.0,
) -> AsyncGenerator[None]:
    """Run a daemon's sessions in this event loop, with ``receiver`` as m.C; stop them at the end.

    ``environment``, ``loop_limit``, ``poll_interval_s``: the settings; ``waits``: called with the reason when a session
    has failed.
    """
    found = FoundReceiver("m.C", receiver, read_meta(receiver), Path(inspect.getfile(receiver)))
    stop = asyncio.Event()
    runner = ThreadRunner(database)
    daemon = asyncio.create_task(
        run_sessions(
            _settings(database, environment, loop_limit, poll_interval_s),
            ReceiverRegistry((), {"m.C": found}),
            runner,
            Observers(DeliveryLog(), *observers),
            stop,
            lambda: None,
            waits=waits,
        )
    )
    try:
        yield
    finally:
        stop.set()
        await daemon
        await runner.close()


def _settings(database: str, environment: str, loop_limit: int, poll_interval_s: float) -> EngineSettings:
    return EngineSettings(
        database_url=database,
        page_size=100,
        poll_interval_s=poll_interval_s,
        wakeup=WakeupMode.GATED,
        shutdown_grace_s=10.0,
        leader_timeout_s=10.0,
        retention_days=30.0,
        connections=2,
        workers=1,
        worker_memory_limit=None,
        environment=environment,
        loop_limit=loop_limit,
    )
