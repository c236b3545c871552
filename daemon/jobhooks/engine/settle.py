"""Settling a delivery: writing down, once, what the attempt at it did."""

import datetime
import traceback
from dataclasses import dataclass

import msgspec

from jobhooks.contract.choices import JobResultStatus
from jobhooks.contract.log import LogEntry, ReceiverLog, clean_text
from jobhooks.contract.receiver import DeliveryIdentity
from jobhooks.store.connections import AsyncConnection, call_async


@dataclass(frozen=True)
class Outcome:
    """What an attempt did: whether it succeeded, why not, and what it logged.

    ``started_at`` is by the database's clock. A run whose transaction was not ``rolled_back`` has its result in it.
    """

    started_at: datetime.datetime
    log: tuple[LogEntry, ...]
    error: str | None = None
    traceback: str | None = None
    rolled_back: bool = False

    @property
    def status(self) -> JobResultStatus:
        """Success, unless there is an error."""
        return JobResultStatus.SUCCESS if self.error is None else JobResultStatus.FAILURE


def completed(started_at: datetime.datetime, log: ReceiverLog) -> Outcome:
    """Return the outcome of a receiver that returned: a failure where it logged one."""
    return Outcome(started_at, tuple(log.entries), error=log.failure_message())


def failed(started_at: datetime.datetime, log: ReceiverLog, exc: BaseException) -> Outcome:
    """Return the outcome of a receiver that raised ``exc``."""
    error = clean_text(f"{type(exc).__name__}: {exc}" if str(exc) else type(exc).__name__)
    lines = clean_text("".join(traceback.format_exception(exc)))
    return Outcome(started_at, tuple(log.entries), error, lines, rolled_back=True)


def result_parameters(
    delivery: DeliveryIdentity, outcome: Outcome, *, in_receivers_transaction: bool
) -> tuple[object, ...]:
    """Return the parameters of the query ``record_result``."""
    return (
        delivery.change_id,
        delivery.hook_id,
        delivery.attempt,
        outcome.status.value,
        outcome.started_at,
        outcome.error,
        outcome.traceback,
        msgspec.json.encode(outcome.log).decode(),
        in_receivers_transaction,
    )


async def record_failure(conn: AsyncConnection, delivery: DeliveryIdentity, outcome: Outcome) -> None:
    """Record a failure whose own transaction was rolled back, and keep the delivery as a debt.

    Raises:
        AlreadySettled: the receiver's transaction had committed after all, or another daemon was faster.
    """
    async with conn.transaction():
        parameters = result_parameters(delivery, outcome, in_receivers_transaction=False)
        await call_async(conn, "record_result", *parameters)
        await call_async(conn, "park_dead", delivery.change_id, delivery.hook_id, delivery.attempt)
