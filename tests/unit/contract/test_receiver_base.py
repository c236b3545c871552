"""The base class of receivers: what a run tells it, its log, and marks on other connections."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from jobhooks.contract.choices import JobResultStatus, LogLevel
from jobhooks.contract.receiver import JobHookReceiver
from jobhooks.contract.run import DeliveryIdentity, HookIdentity, Run
from jobhooks.errors import MarkRefused
from support.making import make_change

MARK = "7:3:2"


class Connection:
    """A DB-API connection as far as a mark needs it; ``is_open``: whether a transaction lasts beyond a statement."""

    def __init__(self, *, is_open: bool = True) -> None:
        self._is_open = is_open
        self.mark = ""

    def cursor(self) -> "Connection":
        return self

    def __enter__(self) -> "Connection":
        return self

    def __exit__(self, *_exc: object) -> None:
        pass

    def execute(self, query: str) -> None:
        if "set_config" in query and self._is_open:
            self.mark = query.split("'")[3]

    def fetchone(self) -> tuple[str]:
        return (self.mark,)


class AsyncConnection:
    """The same with asyncpg's methods."""

    def __init__(self, *, is_open: bool = True) -> None:
        self._connection = Connection(is_open=is_open)

    async def execute(self, query: str) -> None:
        self._connection.execute(query)

    async def fetchval(self, query: str) -> str:
        return self._connection.mark


def receiver(connect: Callable[[], Any] = Connection, **run: Any) -> JobHookReceiver[Any]:
    """A receiver in its second attempt at the delivery of change 7 to hook 3."""
    return JobHookReceiver(Run(DeliveryIdentity(7, 3, 2), connect, **run))


def test_a_receiver_knows_its_hook_delivery_and_attempt() -> None:
    told = receiver(hook_name="Check serials")
    assert told.hook == HookIdentity(3, "Check serials")
    assert (told.delivery, told.attempt) == (DeliveryIdentity(7, 3, 2), 2)


def test_the_idempotency_key_is_that_of_the_change_that_the_receiver_sees() -> None:
    """Not of the attempt; and of merged changes it is the last one's."""
    assert receiver().idempotency_key == "7:3"
    assert receiver(change_id=9).idempotency_key == "9:3"
    assert receiver().idempotency_key_of(make_change(8)) == "8:3"


def test_the_connection_is_opened_by_the_first_use() -> None:
    opened: list[Connection] = []

    def connect() -> Connection:
        opened.append(Connection())
        return opened[0]

    told = receiver(connect)
    assert not opened
    assert told.connection is opened[0]


def test_each_log_method_has_its_level_and_an_optional_object() -> None:
    told = receiver()
    for level in LogLevel:
        getattr(told, f"log_{level.value}")("device 1", "a message")
    told.log_info("a lone message")
    entries = told.logger.entries
    assert [(entry.level, entry.object, entry.message) for entry in entries] == [
        *((level, "device 1", "a message") for level in LogLevel),
        (LogLevel.INFO, None, "a lone message"),
    ]


def test_fail_makes_the_run_a_failure() -> None:
    told = receiver()
    told.fail("not good")
    assert told.logger.failure_message() == "not good"


def test_the_steps_do_nothing_and_the_work_must_be_written() -> None:
    told = receiver()
    assert (told.before_start(), told.on_success(1), told.on_failure(ValueError())) == (None, None, None)
    assert told.after_return(JobResultStatus.SUCCESS, 1) is None
    with pytest.raises(NotImplementedError):
        told.receive_job_hook(change=make_change(7))


def test_the_mark_is_set_on_another_connection() -> None:
    connection = Connection()
    receiver().mark(connection)
    assert connection.mark == MARK


def test_a_mark_outside_a_transaction_is_refused() -> None:
    """It would end with its statement, and the writes would trigger hooks."""
    with pytest.raises(MarkRefused):
        receiver().mark(Connection(is_open=False))


def test_the_mark_on_asyncpgs_connection_is_awaited() -> None:
    async def mark(connection: AsyncConnection) -> str:
        await receiver().mark(connection)
        return await connection.fetchval("")

    assert asyncio.run(mark(AsyncConnection())) == MARK
    with pytest.raises(MarkRefused):
        asyncio.run(mark(AsyncConnection(is_open=False)))
