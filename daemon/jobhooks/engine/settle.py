"""Settling a delivery: writing down, once, what the attempt at it did."""

import traceback
from dataclasses import dataclass, replace

import msgspec

from jobhooks.contract.choices import JobResultStatus
from jobhooks.contract.log import LogEntry, ReceiverLog, clean_text
from jobhooks.contract.receiver import DeliveryIdentity
from jobhooks.store.connections import AsyncConnection, call_async, translated_errors


@dataclass(frozen=True)
class Outcome:
    """What an attempt did: whether it succeeded, why not, and what it logged.

    ``started_at`` is by the database's clock, as it writes it. A run whose transaction was not ``rolled_back`` has its
    result in it.
    """

    started_at: str
    log: tuple[LogEntry, ...]
    error: str | None = None
    traceback: str | None = None
    rolled_back: bool = False

    @property
    def status(self) -> JobResultStatus:
        """Success, unless there is an error."""
        return JobResultStatus.SUCCESS if self.error is None else JobResultStatus.FAILURE


def completed(started_at: str, log: ReceiverLog) -> Outcome:
    """Return the outcome of a receiver that returned: a failure where it logged one."""
    return Outcome(started_at, tuple(log.entries), error=log.failure_message())


def failed(started_at: str, log: ReceiverLog, exc: BaseException) -> Outcome:
    """Return the outcome of a receiver that raised ``exc``."""
    message = clean_text(exc)
    error = f"{type(exc).__name__}: {message}" if message else type(exc).__name__
    lines = clean_text("".join(traceback.format_exception(exc)))
    return Outcome(started_at, tuple(log.entries), error, lines, rolled_back=True)


def result_parameters(
    delivery: DeliveryIdentity, outcome: Outcome, *, in_receivers_transaction: bool, server_encoding: str | None
) -> tuple[object, ...]:
    """Return the parameters of the query ``record_result``, in characters that the server's encoding has."""

    def storable(text: str | None) -> str | None:
        if text is None or server_encoding == "UTF8":
            return text
        return text.encode("ascii", "backslashreplace").decode()

    log = [replace(entry, object=storable(entry.object), message=storable(entry.message)) for entry in outcome.log]
    return (
        delivery.change_id,
        delivery.hook_id,
        delivery.attempt,
        outcome.status.value,
        outcome.started_at,
        storable(outcome.error),
        storable(outcome.traceback),
        msgspec.json.encode(log).decode(),
        in_receivers_transaction,
    )


async def record_failure(conn: AsyncConnection, delivery: DeliveryIdentity, outcome: Outcome) -> None:
    """Record a failure whose own transaction was rolled back, and keep the delivery as a debt.

    Raises:
        AlreadySettled: the receiver's transaction had committed after all, or another daemon was faster.
    """
    parameters = result_parameters(
        delivery, outcome, in_receivers_transaction=False, server_encoding=conn.get_settings().server_encoding
    )
    with translated_errors():
        async with conn.transaction(isolation="read_committed"):
            await call_async(conn, "record_result", *parameters)
            await call_async(conn, "park_dead", delivery.change_id, delivery.hook_id, delivery.attempt)
