"""``self.logger`` is a logger of the standard library, whose lines go to the log of its run."""

import logging
import pickle
from typing import Any

import pytest

from jobhooks import JobHookReceiver
from jobhooks.contract.log import LONGEST_TEXT, LogEntry
from jobhooks.contract.run import DeliveryIdentity, Run
from jobhooks.contract.run_logger import RunLogger


class Checks(JobHookReceiver):
    pass


def connect() -> Any:
    raise AssertionError("no receiver of these needs a connection")


@pytest.fixture
def receiver() -> JobHookReceiver[Any]:
    return Checks(Run(DeliveryIdentity(1, 2, 3), connect))


def lines(receiver: JobHookReceiver[Any]) -> list[tuple[str, str | None, str]]:
    return [(entry.level.value, entry.object, entry.message) for entry in receiver.logger.entries]


def only(receiver: JobHookReceiver[Any]) -> LogEntry:
    (entry,) = receiver.logger.entries
    return entry


def test_it_is_a_logger_named_for_its_class(receiver: JobHookReceiver[Any]) -> None:
    """Libraries that take a logger take it."""
    assert isinstance(receiver.logger, logging.Logger) and receiver.logger is receiver.logger
    assert receiver.logger.name == f"{__name__}.Checks"
    assert pickle.loads(pickle.dumps(receiver.logger)).name == receiver.logger.name


def test_a_message_has_arguments(receiver: JobHookReceiver[Any]) -> None:
    receiver.logger.info("%s was %s to %s", "device 1", "A1", None)
    receiver.logger.info("%(old)s, then %(new)d", {"old": "a", "new": 2})
    receiver.logger.info("100 %")
    assert [message for _, _, message in lines(receiver)] == ["device 1 was A1 to None", "a, then 2", "100 %"]


def test_each_level_has_its_method(receiver: JobHookReceiver[Any]) -> None:
    levels = ["debug", "info", "success", "warning", "failure", "error", "critical"]
    for level in levels:
        getattr(receiver.logger, level)("%d of them", 2)
    receiver.logger.log(logging.WARNING, "by number")
    receiver.logger.log(25, "a success")
    assert [(level, text) for level, _, text in lines(receiver)] == [
        *((level, "2 of them") for level in levels),
        ("warning", "by number"),
        ("success", "a success"),
    ]


def test_only_failure_makes_the_run_a_failure(receiver: JobHookReceiver[Any]) -> None:
    """As in Nautobot, an error is a line, and not the end."""
    receiver.logger.error("bad")
    receiver.logger.critical("worse")
    assert receiver.logger.failure_message() is None
    receiver.fail("it is %s", "over", extra={"object": "device 1"})
    assert receiver.logger.failure_message() == "it is over"
    assert lines(receiver)[-1] == ("failure", "device 1", "it is over")


def test_an_object_and_a_grouping_come_by_extra(receiver: JobHookReceiver[Any]) -> None:
    receiver.logger.info("checked", extra={"object": "device 1", "grouping": "serials"})
    entry = only(receiver)
    assert (entry.object, entry.grouping, entry.source, entry.message) == ("device 1", "serials", None, "checked")


def test_an_object_first_still_works(receiver: JobHookReceiver[Any]) -> None:
    """Receivers that were written before the logger took arguments."""
    receiver.logger.info("device", "renamed")
    receiver.logger.warning(7, "seven")
    receiver.logger.success(obj="device", message="by name")
    assert lines(receiver) == [
        ("info", "device", "renamed"),
        ("warning", "7", "seven"),
        ("success", "device", "by name"),
    ]


def test_an_exception_has_its_traceback(receiver: JobHookReceiver[Any]) -> None:
    try:
        raise ValueError("password=hunter2")
    except ValueError:
        receiver.logger.exception("could not reach %s", "a1")
    entry = only(receiver)
    assert entry.level == "error"
    assert entry.message.startswith("could not reach a1\nTraceback") and entry.message.endswith("password=***")


def test_the_end_of_a_long_traceback_stays(receiver: JobHookReceiver[Any]) -> None:
    """Its last line has the error."""

    def deep(level: int) -> None:
        if level:
            deep(level - 1)
        raise ValueError("at the bottom")

    with pytest.raises(ValueError, match="bottom") as caught:
        deep(300)
    error = caught.value
    error.__notes__ = ["n" * 9_000, "the last note"]
    receiver.logger.error("x" * 2_000, exc_info=error)
    message = only(receiver).message
    assert len(message) <= LONGEST_TEXT + 10 and message.endswith("the last note")


def test_wrong_arguments_lose_no_line(receiver: JobHookReceiver[Any]) -> None:
    """The standard library prints such an error to stderr, and drops the line."""
    receiver.logger.info("%d devices", "many", 3)
    receiver.logger.info("no place", 1, 2)
    assert [message for _, _, message in lines(receiver)] == ["%d devices many, 3", "no place 1, 2"]


def test_a_line_may_skip_the_run(receiver: JobHookReceiver[Any], caplog: pytest.LogCaptureFixture) -> None:
    receiver.logger.warning("only for the console", extra={"skip_db_logging": True})
    assert receiver.logger.entries == [] and caplog.messages == ["only for the console"]


def test_log_takes_a_level_by_name(receiver: JobHookReceiver[Any]) -> None:
    receiver.log("plain")
    receiver.log("about", obj="device", level_choice="WARNING", grouping="g")
    assert lines(receiver) == [("info", None, "plain"), ("warning", "device", "about")]
    with pytest.raises(ValueError, match="there is no log level 'loud': use debug, info, success"):
        receiver.log("x", level_choice="loud")


def test_a_record_of_another_logger_can_be_handed_over(receiver: JobHookReceiver[Any]) -> None:
    """A queue of a library does so."""
    receiver.logger.handle(logging.LogRecord("lib", logging.ERROR, "", 1, "%s broke", ("it",), None))
    assert lines(receiver) == [("error", None, "it broke")]


def test_a_level_can_be_set(receiver: JobHookReceiver[Any]) -> None:
    logger: RunLogger = receiver.logger
    logger.setLevel(logging.WARNING)
    logger.info("too low")
    logger.success("too low as well")
    logger.warning("kept")
    assert [message for _, _, message in lines(receiver)] == ["kept"]
