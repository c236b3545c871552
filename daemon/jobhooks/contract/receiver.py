"""The base class of all receivers."""

from collections.abc import Awaitable
from typing import Any, ClassVar, Generic, Protocol

from jobhooks.contract.change import Change
from jobhooks.contract.choices import JobResultStatus
from jobhooks.contract.log import ReceiverLog
from jobhooks.contract.run import ConnectionT, DeliveryIdentity, HookIdentity, Run, idempotency_key
from jobhooks.errors import MarkRefused


class JobHookReceiver(Generic[ConnectionT]):
    """A class whose ``receive_job_hook``, ``def`` or ``async def``, runs for each change that a job hook matches.

    One instance lives for one run. A ``def`` receiver's ``connection`` is psycopg's, an ``async def`` receiver's
    asyncpg's; whoever checks types writes ``JobHookReceiver[asyncpg.Connection]`` for the latter.
    """

    # All optional: name, description, grouping, hidden; soft_time_limit, time_limit, backoff and batch_wait in seconds;
    # max_attempts, on_failure, concurrency, queue, is_singleton, order_by, batch_size, has_sensitive_variables.
    Meta: ClassVar[type] = object

    def __init__(self, run: Run[ConnectionT]) -> None:
        self._run = run

    # So written, whatever arguments an author takes, def or async def, are right for a type checker.
    def receive_job_hook(self, *_args: Any, **_arguments: Any) -> Any:
        """Act on ``change``: the method of yours that is called, by keyword.

        Its arguments are ``change``, a Change; ``action``, an ObjectChangeActionChoices; and ``changed_object``, the
        live row, a ChangedObject (AsyncChangedObject in an async def receiver), or None where it is gone. Leave out
        those that you do not need: the live row is read for those who ask for it. What is raised here undoes what was
        written through ``connection`` and makes the run a failure, to be attempted again.
        """
        raise NotImplementedError(f"{type(self).__name__} has no receive_job_hook")

    def before_start(self) -> Any:
        """Prepare what the run needs; called before ``receive_job_hook``, and a part of the run.

        What is raised makes the run a failure, and so does ``log_failure``: ``receive_job_hook`` is not called then.
        Of an ``async def`` receiver this and the next three may be ``async def``, too.
        """

    def on_success(self, value: Any) -> Any:
        """Act on what the run returned, ``value``; a part of the run: what is written commits with it.

        What is raised makes the run a failure. Not called where a failure was logged.
        """

    def on_failure(self, exc: BaseException) -> Any:
        """Act on what made the run fail: ``exc``, which was raised, or a LoggedFailure. Called for each such attempt.

        The run has ended: what it wrote is undone (or committed, where the failure was only logged), there is no
        connection any more, and what is raised here is logged and changes nothing.
        """

    def after_return(self, status: JobResultStatus, value: Any) -> Any:
        """Act on the end of the run, whatever it is, when what it wrote is committed or undone; as ``on_failure``.

        ``value``: what the run returned, or raised.
        """

    def fail(self, message: str) -> None:
        """Make the run a failure, keeping what was written; as ``log_failure``."""
        self.log_failure(message)

    @property
    def hook(self) -> HookIdentity:
        """The job hook that this run is for."""
        return HookIdentity(self._run.delivery.hook_id, self._run.hook_name)

    @property
    def delivery(self) -> DeliveryIdentity:
        """Which attempt at which delivery this is."""
        return self._run.delivery

    @property
    def connection(self) -> ConnectionT:
        """The connection of this run's transaction; what is written through it commits with the run's result.

        The transaction begins when this is first used. Of an ``async def`` receiver it has asyncpg's methods, to be
        awaited; ``await self.connection`` returns asyncpg's own object, for a library that insists on one.
        """
        return self._run.connect()

    @property
    def idempotency_key(self) -> str:
        """A text to give to systems outside the database: the same whenever this delivery is attempted again.

        A receiver that takes batches has one for each change: ``idempotency_key_of``.
        """
        return idempotency_key(self._run.change_id or self._run.delivery.change_id, self._run.delivery.hook_id)

    def idempotency_key_of(self, change: Change) -> str:
        """Return such a text for one change of a batch."""
        return idempotency_key(change.id, self._run.delivery.hook_id)

    @property
    def attempt(self) -> int:
        """The number of this attempt at the delivery, from 1 on."""
        return self._run.delivery.attempt

    @property
    def logger(self) -> ReceiverLog:
        """The run's log."""
        return self._run.log

    def mark(self, connection: Any) -> Any:
        """Mark the open transaction of another connection, so that what it writes triggers no hook.

        ``connection`` has DB-API cursors, or is asyncpg's: then await what this returns. The mark ends with the
        transaction, so that a pooled connection does not carry it to its next user.

        Raises:
            MarkRefused: there is no open transaction that the mark could hold for.
        """
        if hasattr(connection, "fetchval"):  # asyncpg's, or its pool's
            return _mark_async(connection, self._run.delivery.mark)
        return _mark(connection, self._run.delivery.mark)

    def log_debug(self, obj: object = None, message: str | None = None) -> None:
        """Log for whoever looks closely; a message, or an object and a message."""
        self.logger.debug(obj, message)

    def log_info(self, obj: object = None, message: str | None = None) -> None:
        """Log what is going on; a message, or an object and a message."""
        self.logger.info(obj, message)

    def log_success(self, obj: object = None, message: str | None = None) -> None:
        """Log what went well; a message, or an object and a message."""
        self.logger.success(obj, message)

    def log_warning(self, obj: object = None, message: str | None = None) -> None:
        """Log what someone should look at; a message, or an object and a message."""
        self.logger.warning(obj, message)

    def log_failure(self, obj: object = None, message: str | None = None) -> None:
        """Log what went wrong and make the run a failure, keeping what was written; a message, or an object and one."""
        self.logger.failure(obj, message)


class _AsyncConnection(Protocol):
    def execute(self, query: str, /) -> Awaitable[object]: ...
    def fetchval(self, query: str, /) -> Awaitable[object]: ...


# Each driver has its own placeholders, so the mark, three numbers and two colons, is written into the statement.
SET_MARK = "select set_config('jobhooks.delivery', '{}', true)"
READ_MARK = "select current_setting('jobhooks.delivery', true)"


def _mark(connection: Any, mark: str) -> None:
    """Set the mark, and read it back in a second statement: outside a transaction it is gone by then."""
    with connection.cursor() as cursor:
        cursor.execute(SET_MARK.format(mark))
        cursor.execute(READ_MARK)
        if cursor.fetchone()[0] != mark:
            raise MarkRefused


async def _mark_async(connection: _AsyncConnection, mark: str) -> None:
    await connection.execute(SET_MARK.format(mark))
    if await connection.fetchval(READ_MARK) != mark:
        raise MarkRefused
