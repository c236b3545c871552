"""The base class of all receivers."""

from collections.abc import Awaitable
from functools import cached_property, partial
from typing import Any, ClassVar, Generic, Protocol

from jobhooks.contract.change import Change
from jobhooks.contract.hook_data import read_data
from jobhooks.contract.nautobot import data_files
from jobhooks.contract.nautobot.identities import Request, RunIdentity, User, user_of
from jobhooks.contract.run import (
    ConnectionT,
    DeliveryIdentity,
    HookIdentity,
    Run,
    idempotency_key,
    mark_of,
    settings_of,
)
from jobhooks.contract.run_logger import RunLogger, level_named
from jobhooks.errors import MarkRefused


class JobHookReceiver(Generic[ConnectionT]):
    """A class whose ``receive_job_hook``, ``def`` or ``async def``, runs for each change that a job hook matches.

    One instance lives for one run. The ``connection`` of a ``def`` receiver is psycopg's, that of an ``async def``
    receiver asyncpg's. For a type checker, the latter is a ``JobHookReceiver[asyncpg.Connection]``.
    """

    # All optional: name, description, grouping, hidden; soft_time_limit, time_limit, backoff and batch_wait in seconds;
    # max_attempts, retry_on, no_retry_on, on_failure, concurrency, queue, is_singleton, order_by, batch_size,
    # has_sensitive_variables.
    Meta: ClassVar[type] = object
    # Optional: a class whose annotated fields are the data that a hook passes.
    Data: ClassVar[type | None] = None

    def __init__(self, run: Run[ConnectionT]) -> None:
        self._run = run

    # Typed so that a type checker accepts any subset of the arguments, def or async def.
    def receive_job_hook(self, *_args: Any, **_arguments: Any) -> Any:
        """Act on ``change``. Override this method; it is called by keyword.

        Its arguments are ``change``, a Change; ``action``, an ObjectChangeActionChoices; and ``changed_object``, the
        live row, a ChangedObject (AsyncChangedObject in an async def receiver), or None if it no longer exists. Leave
        out arguments that you do not need: the row is read only for receivers that name it. An exception rolls back the
        writes through ``connection`` and makes the run a failure, which is retried.
        """
        raise NotImplementedError(f"{type(self).__name__} has no receive_job_hook")

    # The steps are typed for any arguments: they may have those of jobhooks, or those of Nautobot's.
    def before_start(self, *_args: Any, **_options: Any) -> Any:
        """Prepare the run: ``before_start(self)``, called before ``receive_job_hook``, as a part of the run.

        An exception or ``log_failure`` makes the run a failure; ``receive_job_hook`` is not called then. In an
        ``async def`` receiver this method and the next three may be ``async def``.
        """

    def on_success(self, *_args: Any, **_options: Any) -> Any:
        """Act on the return value: ``on_success(self, value)``, as a part of the run: writes commit with it.

        An exception makes the run a failure. Not called if a failure was logged.
        """

    def on_failure(self, *_args: Any, **_options: Any) -> Any:
        """Act on a failed attempt: ``on_failure(self, exc)``, with the exception or a LoggedFailure, each time.

        The run has ended: its writes are rolled back (or committed, if the failure was only logged), and there is no
        connection. An exception here is logged and changes nothing.
        """

    def after_return(self, *_args: Any, **_options: Any) -> Any:
        """Act on the end of the run: ``after_return(self, status, value)``, after commit or rollback.

        Otherwise like ``on_failure``. ``value``: the return value, or the exception.
        """

    def on_dead(self, exc: BaseException) -> Any:
        """Act on a delivery that this failure makes dead: no attempt follows until an operator asks for one.

        Called last, otherwise like ``on_failure``; again if the daemon ends before the result is recorded. For a run
        whose process was killed too: then it runs in another process, and ``exc`` says how the run ended.
        """

    def fail(self, message: object, *args: object, **options: Any) -> None:
        """Make the run a failure, and keep its writes; the same as ``log_failure``, with the logger's arguments."""
        self.logger.failure(message, *args, **options)

    @property
    def hook(self) -> HookIdentity:
        """The job hook of this run, and its ``data``."""
        hook = HookIdentity(self._run.delivery.hook_id, self._run.hook_name)
        hook.read = partial(read_data, type(self), self._run.hook_data)
        return hook

    @property
    def delivery(self) -> DeliveryIdentity:
        """The delivery and the number of the attempt."""
        return self._run.delivery

    @property
    def connection(self) -> ConnectionT:
        """The connection of this run's transaction; its writes commit with the run's result.

        The transaction begins with first use. In an ``async def`` receiver it has asyncpg's methods, to be awaited;
        ``await self.connection`` returns asyncpg's object, for a library that needs it.
        """
        return self._run.connect()

    @property
    def idempotency_key(self) -> str:
        """A text for systems outside the database, the same at every attempt of this delivery.

        A receiver of batches has one per change: ``idempotency_key_of``.
        """
        run = self._run
        return idempotency_key(run.change_id or run.delivery.change_id, run.delivery.hook_id, run.part)

    def idempotency_key_of(self, change: Change) -> str:
        """Return this text for one change of a batch."""
        return idempotency_key(change.id, self._run.delivery.hook_id, change.part)

    @property
    def attempt(self) -> int:
        """The number of this attempt at the delivery, from 1 on."""
        return self._run.delivery.attempt

    @cached_property
    def logger(self) -> RunLogger:
        """A logger of the standard library, for the run's log; with ``success`` and ``failure``."""
        return RunLogger(_logger_name(type(self)), self._run.log)

    @property
    def user(self) -> User:
        """The user who made the change: ``self.user.username``, or its text. In a batch, that of the first change."""
        return user_of(self._run.change)

    @property
    def request(self) -> Request:
        """The request that made the change: ``self.request.id``, ``self.request.user``."""
        change = self._run.change
        return Request(None if change is None else change.request_id, self.user)

    @property
    def job_result(self) -> RunIdentity:
        """The result that this run will have: ``self.job_result.id``, ``self.job_result.user``."""
        return RunIdentity(self._run.delivery.mark, self._run.hook_name, self.user, self.request.id)

    def mark(self, connection: Any) -> Any:
        """Mark the open transaction of another connection: its writes trigger no hook without a ``chain_depth``.

        ``connection`` has DB-API cursors, or is asyncpg's: then await the return value. The mark ends with the
        transaction, so a pooled connection does not carry it to its next user.

        Raises:
            MarkRefused: no transaction is open, or the connection's role may not mark its writes.
        """
        if hasattr(connection, "fetchval"):  # asyncpg's connection, or its pool's
            return _mark_async(connection, self._run)
        return _mark(connection, self._run)

    def load_json(self, file_name: str) -> Any:
        """Read a JSON file of the folder that this module is in."""
        return data_files.load_json(type(self), file_name)

    def load_yaml(self, file_name: str) -> Any:
        """Read a YAML file of the folder that this module is in. PyYAML must be installed."""
        return data_files.load_yaml(type(self), file_name)

    def log(self, message: object, obj: object = None, level_choice: str = "info", grouping: str | None = None) -> None:
        """Log a line of the level ``level_choice``, by default info."""
        self._run.log.add(level_named(level_choice), message, obj, grouping)

    def log_debug(self, obj: object = None, message: str | None = None) -> None:
        """Log details; a message, or an object and a message."""
        self._run.log.debug(obj, message)

    def log_info(self, obj: object = None, message: str | None = None) -> None:
        """Log progress; a message, or an object and a message."""
        self._run.log.info(obj, message)

    def log_success(self, obj: object = None, message: str | None = None) -> None:
        """Log a success; a message, or an object and a message."""
        self._run.log.success(obj, message)

    def log_warning(self, obj: object = None, message: str | None = None) -> None:
        """Log a problem that needs attention; a message, or an object and a message."""
        self._run.log.warning(obj, message)

    def log_failure(self, obj: object = None, message: str | None = None) -> None:
        """Log a failure and make the run a failure, keeping its writes; a message, or an object and a message."""
        self._run.log.failure(obj, message)

    def log_error(self, obj: object = None, message: str | None = None) -> None:
        """Log an error, without making the run a failure; a message, or an object and a message."""
        self._run.log.error(obj, message)

    def log_critical(self, obj: object = None, message: str | None = None) -> None:
        """Log a severe error, without making the run a failure; a message, or an object and a message."""
        self._run.log.critical(obj, message)


def _logger_name(receiver: type[object]) -> str:
    """The class path of a receiver, without the package that its module is imported below."""
    package, _, module = receiver.__module__.partition(".")
    return f"{module if package.startswith('jobhooks_receivers_') else receiver.__module__}.{receiver.__name__}"


class _AsyncConnection(Protocol):
    def execute(self, query: str, /) -> Awaitable[object]: ...
    def fetchval(self, query: str, /) -> Awaitable[object]: ...


# Each driver has different placeholders, so the mark, numbers and colons, is written into the statement.
SET_MARK = "select set_config('jobhooks.delivery', '{}', true)"
# The mark as it is now; else the role whose marks have no effect. The same test as jobhooks.may_mark(), which such a
# role may not call. A database without jobhooks captures nothing.
READ_MARK = """
select case
    when pg_catalog.pg_has_role(session_user, coalesce(
        (select oid from pg_catalog.pg_roles where rolname = 'jobhooks_receiver'),
        (select nspowner from pg_catalog.pg_namespace where nspname = 'jobhooks')
    ), 'member') is not false then pg_catalog.current_setting('jobhooks.delivery', true)
    else 'role ' || pg_catalog.quote_ident(session_user)
end
"""


def _mark(connection: Any, run: Run[Any]) -> None:
    """Set the mark, and read it back in a second statement: outside a transaction it does not last."""
    with connection.cursor() as cursor:
        cursor.execute(_set_mark(run))
        cursor.execute(READ_MARK)
        _check_mark(cursor.fetchone()[0], mark_of(run.delivery, run.changes))


async def _mark_async(connection: _AsyncConnection, run: Run[Any]) -> None:
    await connection.execute(_set_mark(run))
    _check_mark(await connection.fetchval(READ_MARK), mark_of(run.delivery, run.changes))


def _set_mark(run: Run[Any]) -> str:
    said = [f", set_config('{name}', {value}, true)" for name, value in settings_of(run.changes)]
    return SET_MARK.format(mark_of(run.delivery, run.changes)) + "".join(said)


def _check_mark(found: object, mark: str) -> None:
    if isinstance(found, str) and found.startswith("role "):
        raise MarkRefused(
            f"the connection cannot be marked: the {found} is no member of jobhooks_receiver, so its writes would"
            " trigger hooks",
            f"grant jobhooks_receiver to {found.removeprefix('role ')}; or write through self.connection",
        )
    if found != mark:
        raise MarkRefused
