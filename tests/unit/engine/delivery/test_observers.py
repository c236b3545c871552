"""Observers: an event goes to those that override it, and costs nothing where none does."""

import pytest
import structlog

from jobhooks.engine.delivery.delivery import Delivery
from jobhooks.engine.delivery.observer import Observer, Observers
from jobhooks.engine.delivery.outcome import Outcome
from jobhooks.engine.delivery_log import LINES_PER_S, DeliveryLog
from support.making import make_delivery, make_outcome

EVENTS = [name for name in vars(Observer) if not name.startswith("_")]


class Counts(Observer):
    def __init__(self) -> None:
        self.calls: list[str] = []

    def settled(self, delivery: Delivery, outcome: Outcome | None) -> None:
        self.calls.append("settled")

    def delivery_started(self, delivery: Delivery) -> None:
        self.calls.append("started")


class Starts(Observer):
    def delivery_started(self, delivery: Delivery) -> None:
        raise RuntimeError("no metrics today")


def test_an_event_that_none_overrides_is_none() -> None:
    observers = Observers(Counts(), Starts())
    handlers = {event for event in EVENTS if getattr(observers, event) is not None}
    assert handlers == {"settled", "delivery_started"}


def test_the_log_alone_is_called_directly() -> None:
    """No wrapper: the parts for other observers cost nothing without them."""
    log = Counts()
    assert Observers(log, Starts()).settled == log.settled


def test_each_observer_gets_an_event() -> None:
    log, other = Counts(), Counts()
    observers = Observers(log, other)
    assert observers.delivery_started is not None
    observers.delivery_started(make_delivery(1))
    assert log.calls == other.calls == ["started"]


def test_an_observer_that_raises_does_not_reach_the_engine() -> None:
    log, other = Counts(), Counts()
    observers = Observers(log, Starts(), other)
    assert observers.delivery_started is not None
    with structlog.testing.capture_logs() as lines:
        observers.delivery_started(make_delivery(1))
    assert log.calls == other.calls == ["started"]
    assert [(line["event"], line["observer"], line["failed_in"]) for line in lines] == [
        ("observer_failed", "Starts", "delivery_started")
    ]


def test_observers_have_a_handler_for_each_event() -> None:
    assert set(vars(Observers(Counts()))) == set(EVENTS)


async def test_many_successes_are_logged_as_a_count(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("time.monotonic", lambda: 5.0)
    log = DeliveryLog()
    with structlog.testing.capture_logs() as lines:
        for number in range(LINES_PER_S + 3):
            log.settled(make_delivery(number), make_outcome())
        log.leadership_lost()
    assert [line["event"] for line in lines] == ["delivered"] * LINES_PER_S + ["delivered_more"]
    assert lines[-1]["count"] == 3
