"""Connecting with the same settings: with psycopg for synchronous code, with asyncpg for the daemon's loop."""

import asyncio
import contextlib
import json
import re
import socket
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, cast

import asyncpg
import psycopg
from psycopg import sql
from psycopg.rows import TupleRow, tuple_row

from jobhooks.errors import (
    BY_SQLSTATE,
    DatabaseUnreachable,
    JobhooksError,
    LoginRefused,
    PlanOutdated,
    Refused,
    SettingsError,
    StatementInterrupted,
    Unreadable,
)
from jobhooks.store import libpq
from jobhooks.store.conninfo import (
    APPLICATION_NAME,
    CONNECT_TIMEOUT,
    conninfo_of,
    failure,
    names_several_hosts,
    one_line,
    without_secrets,
)
from jobhooks.store.poolers import refuse_shared_sessions
from jobhooks.store.queries import find_query
from jobhooks.store.session_settings import OWN, session_settings, set_again

SET_UP_AGAIN = 5  # times that a statement_timeout may end the statement that removes it
CLOSE_TIMEOUT = 5  # seconds
LOST = ("08", "57P")  # SQLSTATE classes: connection exceptions, and a server that shuts down
# A statement that was cancelled or timed out, a server short of resources, one that has become a replica, a conflict of
# two transactions: the same statement may succeed later.
INTERRUPTED = ("57014", "53", "25006", "40")
OWN_CLASS = "JH"  # SQLSTATEs raised in sql/, whose hints are remedies
REMEDIES = {
    "57014": "a larger statement_timeout in PGOPTIONS or database_url, if one is set there",
    "53200": "a larger max_locks_per_transaction or more memory for the server",
    "53300": "a larger max_connections for the server, or fewer connections",
    "58P01": "ask the server's administrator: a file of PostgreSQL's installation is missing",
}
# Exceptions of asyncpg for a connection that is cut, in addition to PostgreSQL's last error.
BROKEN = (OSError, asyncpg.InterfaceError, asyncpg.InternalClientError)
# A prepared statement that does not exist, and how each driver calls those that it prepares by itself.
FORGOTTEN = (asyncpg.InvalidSQLStatementNameError, psycopg.errors.InvalidSqlStatementName)
NAMED_BY_DRIVER = re.compile(r"\"(?:__asyncpg_|_pg3_)")
SyncConnection = psycopg.Connection[TupleRow]
if TYPE_CHECKING:
    AsyncConnection = asyncpg.Connection[asyncpg.Record]
else:
    AsyncConnection = asyncpg.Connection  # which is generic for type checkers only


class ResettableConnection(psycopg.Connection[TupleRow]):
    """A connection whose session is reset again and again."""

    set_again_after_reset = ""  # the statement that makes the settings again that RESET ALL takes back


class AsyncResettableConnection(AsyncConnection):
    """The same for the loop."""

    set_again_after_reset = ""


def connect(
    database_url: str,
    kind: type[SyncConnection] = psycopg.Connection,  # pyright: ignore[reportArgumentType] - of tuples, by default
    *,
    special: dict[str, str] = OWN,
    checked: bool = False,
    **options: str,
) -> SyncConnection:
    """Open a connection of a ``kind`` in autocommit mode; the caller closes it.

    libpq's PG* variables, service file and password file supply the parts that ``database_url`` leaves out. ``options``
    are libpq's, and come first. ``special``: settings of the session, in addition to those of every session.
    ``checked``: a pooler between here and the database is known to keep sessions.

    Raises:
        DatabaseUnreachable: no server, no such database, wrong password.
        SettingsError: the URL cannot be read, or leads to a pooler that does not keep sessions.
    """
    conninfo = conninfo_of(database_url, options)
    conn = _open(database_url, kind, conninfo)
    try:
        with translated_errors():
            replica = _set_up(conn, conninfo, special, checked=checked)
        if replica and _may_find_primary(conn, conninfo):
            with contextlib.suppress(DatabaseUnreachable):  # there is none now
                elsewhere = {**options, "target_session_attrs": "primary"}
                primary = connect(database_url, kind, special=special, checked=checked, **elsewhere)
                conn.close()
                return primary
    except BaseException:
        conn.close()
        raise
    conn.isolation_level = psycopg.IsolationLevel.READ_COMMITTED  # regardless of the database's default
    return conn


def _open(database_url: str, kind: type[SyncConnection], conninfo: str) -> SyncConnection:
    try:
        return kind.connect(conninfo, autocommit=True)
    except psycopg.OperationalError as exc:
        raise failure(exc, database_url) from exc
    except (psycopg.Error, UnicodeEncodeError) as exc:
        raise SettingsError(f"wrong database_url: {without_secrets(exc, database_url)}") from exc


def parameters_of(conn: SyncConnection) -> dict[str, str]:
    """libpq's connection parameters that have a value: given, found in the environment or a file, or by default."""
    return {option.keyword.decode(): option.val.decode() for option in conn.pgconn.info if option.val}


def _set_up(conn: SyncConnection, conninfo: str, special: dict[str, str], *, checked: bool) -> bool:
    """Make the settings of a session; whether its server is a replica.

    Raises:
        SettingsError: a pooler gives each transaction another session. Nothing was set in any.
    """
    settings = json.dumps(session_settings(special, parameters_of(conn).get("options", "")))
    announced = None if checked else conn.info.backend_pid  # which a pooler invents
    process, replica, changed = _set_in_session(conn, settings, announced)
    if announced not in (None, process):
        refuse_shared_sessions(conn, process, lambda: psycopg.connect(conninfo, autocommit=True))
        _, _, changed = _set_in_session(conn, settings, process)
    if isinstance(conn, ResettableConnection):
        conn.set_again_after_reset = set_again(json.loads(changed or "{}"))
    return replica


def _set_in_session(conn: SyncConnection, settings: str, process: int | None) -> tuple[int, bool, str | None]:
    for _ in range(SET_UP_AGAIN):
        with contextlib.suppress(psycopg.errors.QueryCanceled):  # by a statement_timeout of some milliseconds
            return _set_once(conn, settings, process)
    return _set_once(conn, settings, process)


def _set_once(conn: SyncConnection, settings: str, process: int | None) -> tuple[int, bool, str | None]:
    query = find_query("set_up_session")
    ((found, replica, changed),) = execute(
        conn, query.encoded, *query.arguments({"settings": settings, "process": process})
    )
    return found, replica, changed


def _may_find_primary(conn: SyncConnection, conninfo: str) -> bool:
    """Whether there are other hosts, and nothing says which of them to use."""
    parameters = parameters_of(conn)
    of_service = parameters.get("host", "") + parameters.get("hostaddr", "")
    return ("," in of_service or names_several_hosts(conninfo)) and parameters.get("target_session_attrs") == "any"


@dataclass(frozen=True)
class AsyncpgArguments:
    """How asyncpg connects: its ``arguments``, libpq's ``parameters``, and the ``special`` settings of a session."""

    arguments: dict[str, Any] = field(repr=False)
    parameters: dict[str, str] = field(repr=False)
    special: dict[str, str] = field(default_factory=lambda: OWN)

    def having(self, special: dict[str, str], **arguments: object) -> "AsyncpgArguments":
        """The same with other special settings, and with further arguments of asyncpg."""
        return replace(self, arguments={**self.arguments, **arguments}, special=special)

    def named(self, application_name: str) -> "AsyncpgArguments":
        """The same with another name of the application."""
        startup = {**self.arguments["server_settings"], "application_name": application_name}
        return replace(self, arguments={**self.arguments, "server_settings": startup})


def asyncpg_arguments(conn: SyncConnection) -> AsyncpgArguments:
    """The arguments that make asyncpg connect to the address where ``conn`` is connected, and as whom.

    They are read from ``conn`` and not from its URL: libpq has evaluated PG* variables, files and hosts.

    Raises:
        SettingsError: asyncpg cannot honour a connection parameter.
    """
    parameters = parameters_of(conn)
    libpq.check(parameters)
    by_socket = conn.info.host.startswith("/")
    uses_tls = conn.pgconn.ssl_in_use
    startup = {"application_name": parameters.get("application_name", APPLICATION_NAME)}
    if "options" in parameters:
        startup["options"] = parameters["options"]
    arguments = {
        "host": conn.info.host if by_socket else conn.info.hostaddr or conn.info.host,
        "port": conn.info.port,
        "user": conn.info.user,
        "password": conn.info.password or "",  # possibly from a password file
        "database": conn.info.dbname,
        "ssl": libpq.tls_context(parameters, conn.info.host) if uses_tls else False,
        "direct_tls": uses_tls and parameters.get("sslnegotiation") == "direct",
        "server_settings": startup,
        "timeout": float(parameters.get("connect_timeout", CONNECT_TIMEOUT)) or None,  # libpq's 0 is "no limit"
        "target_session_attrs": "any",  # libpq has chosen
        **{name: parameters[name] for name in ("krbsrvname", "gsslib") if name in parameters},
    }
    return AsyncpgArguments(arguments, parameters)


async def connect_async(arguments: AsyncpgArguments) -> AsyncConnection:
    """Open a connection for the loop, with the arguments of ``asyncpg_arguments``; the caller closes it.

    Raises:
        DatabaseUnreachable: the server is gone, or takes no more connections.
    """
    limit_s = arguments.arguments["timeout"]
    try:
        async with asyncio.timeout(limit_s):
            conn = await asyncpg.connect(**arguments.arguments)
            try:
                await _set_up_async(conn, arguments)
            except BaseException:
                conn.terminate()
                raise
            return conn
    except TimeoutError as exc:
        raise DatabaseUnreachable(f"cannot connect to the database: no answer within {limit_s:.0f} seconds") from exc
    except (asyncpg.InvalidAuthorizationSpecificationError, asyncpg.InvalidCatalogNameError) as exc:
        raise LoginRefused(f"cannot connect to the database: {one_line(exc)}") from exc
    except (asyncpg.PostgresError, *BROKEN) as exc:
        remedy = REMEDIES.get(exc.sqlstate or "") if isinstance(exc, asyncpg.PostgresError) else None
        raise DatabaseUnreachable(f"cannot connect to the database: {one_line(exc)}", remedy) from exc


async def _set_up_async(conn: AsyncConnection, arguments: AsyncpgArguments) -> None:
    libpq.keep_alive(_descriptor(conn), arguments.parameters)
    settings = json.dumps(session_settings(arguments.special, arguments.parameters.get("options", "")))
    query = find_query("set_up_session")
    values = query.arguments({"settings": settings, "process": None})
    rows: list[asyncpg.Record] = []
    for _ in range(SET_UP_AGAIN):
        with contextlib.suppress(asyncpg.QueryCanceledError):
            rows = await conn.fetch(query.text, *values)
            break
    ((_, _, changed),) = rows or await conn.fetch(query.text, *values)
    if type(conn) is AsyncResettableConnection:  # for isinstance, all of asyncpg's connections are of one class
        conn.set_again_after_reset = set_again(json.loads(changed or "{}"))


def _descriptor(conn: AsyncConnection) -> int:
    transport = cast("asyncio.BaseTransport", getattr(conn, "_transport"))  # noqa: B009 - asyncpg has no other way
    return cast("socket.socket", transport.get_extra_info("socket")).fileno()


async def close_async(conn: AsyncConnection) -> None:
    """Close a connection of the loop in any state; do not wait for a server that does not answer."""
    with contextlib.suppress(asyncpg.PostgresError, *BROKEN):
        await conn.close(timeout=CLOSE_TIMEOUT)


def call(conn: SyncConnection, name: str, /, **parameters: object) -> list[tuple[Any, ...]]:
    """Run the query called ``name`` with the values of its parameters and return its rows.

    Raises:
        JobhooksError: of the kind that the database's SQLSTATE stands for.
    """
    query = find_query(name)
    with translated_errors():
        return execute(conn, query.encoded, *query.arguments(parameters))


def execute(conn: SyncConnection, statement: bytes | sql.Composed, *parameters: object) -> list[tuple[Any, ...]]:
    """Run a statement with parameters $1, $2, ... and return its rows.

    It uses a plain cursor, even if a receiver chose another kind for its connection.
    """
    with psycopg.RawCursor(conn, row_factory=tuple_row) as cursor:
        # Without parameters it may be several statements, which cannot be prepared.
        cursor.execute(statement, parameters or None, prepare=None if parameters else False)
        return cursor.fetchall() if cursor.description else []


async def call_async(conn: AsyncConnection, name: str, /, **parameters: object) -> list[asyncpg.Record]:
    """Like ``call``, on a connection of the loop.

    Raises:
        JobhooksError: the error for the database's SQLSTATE.
    """
    query = find_query(name)
    with translated_errors():
        return await conn.fetch(query.text, *query.arguments(parameters))


class translated_errors:  # noqa: N801 - a context manager, and called for each run: one with a generator costs more
    """Turn either driver's errors into ours: by SQLSTATE, and a lost connection into DatabaseUnreachable."""

    __slots__ = ()

    def __enter__(self) -> None:
        """Begin."""

    def __exit__(self, _kind: object, exc: BaseException | None, _traceback: object) -> None:
        """Translate the exception."""
        if exc is not None:
            _raise_translated(exc)


def _raise_translated(exc: BaseException) -> None:
    if isinstance(exc, psycopg.Error):
        raise error_of(_report(exc)) from exc
    if isinstance(exc, asyncpg.PostgresError):
        raise error_of(ErrorReport(exc.sqlstate, exc.message or one_line(exc), exc.hint)) from exc
    if isinstance(exc, BROKEN):
        raise DatabaseUnreachable(f"lost the connection to the database: {one_line(exc)}") from exc
    if isinstance(exc, UnicodeDecodeError):
        raise Unreadable from exc
    if isinstance(exc, UnicodeEncodeError):
        raise Refused(f"the database cannot store this text: {exc.object!r}") from exc


def lost_by(exc: BaseException) -> DatabaseUnreachable:
    """The error of a run that ended by ``exc``: a lost connection, unless ``exc`` says what failed."""
    if isinstance(exc, DatabaseUnreachable):
        return type(exc)(exc.message, exc.remedy)
    if is_stale_plan(exc):
        return PlanOutdated(f"a prepared statement is outdated: {one_line(exc)}")
    return DatabaseUnreachable(f"lost the connection to the database: {exc}")


def is_lock_timeout(exc: BaseException | None) -> bool:
    """Return whether an error is that a lock was not to be had, or comes from that."""
    while exc is not None:
        if getattr(exc, "sqlstate", None) in ("55P03", "40P01"):
            return True
        exc = exc.__cause__ or exc.__context__
    return False


def is_stale_plan(exc: BaseException | None) -> bool:
    """Return whether a statement failed, or an error comes from that, because it was prepared before.

    A table has changed since then; or a receiver had the server forget the statement, which the driver has not noticed.
    """
    while exc is not None:
        if isinstance(exc, asyncpg.InvalidCachedStatementError | asyncpg.OutdatedSchemaCacheError):
            return True
        if isinstance(exc, psycopg.errors.FeatureNotSupported) and exc.diag.source_function == "RevalidateCachedQuery":
            return True
        if isinstance(exc, FORGOTTEN) and NAMED_BY_DRIVER.search(str(exc)):
            return True
        exc = exc.__cause__ or exc.__context__
    return False


@dataclass(frozen=True)
class ErrorReport:
    """PostgreSQL's report of an error; ``sqlstate`` is None if the driver itself reports a broken connection."""

    sqlstate: str | None
    message: str
    hint: str | None = None
    connection_failed: bool = False


def _report(exc: psycopg.Error) -> ErrorReport:
    failed = exc.sqlstate is None and isinstance(exc, psycopg.OperationalError)
    return ErrorReport(exc.sqlstate, exc.diag.message_primary or one_line(exc), exc.diag.message_hint, failed)


def error_of(report: ErrorReport) -> JobhooksError:
    """Our error for one of PostgreSQL's, with a remedy if one is known."""
    sqlstate = report.sqlstate or ""
    if sqlstate.startswith(OWN_CLASS):
        return BY_SQLSTATE.get(sqlstate, JobhooksError)(report.message, report.hint)
    remedy = REMEDIES.get(sqlstate)
    text = f"{report.message}. {report.hint}" if report.hint and not remedy else report.message
    if sqlstate in BY_SQLSTATE:
        return BY_SQLSTATE[sqlstate](text, remedy)
    if report.connection_failed or sqlstate.startswith(LOST):
        return DatabaseUnreachable(f"lost the connection to the database: {text}", remedy)
    if sqlstate.startswith(INTERRUPTED):
        return StatementInterrupted(f"the database did not complete the statement: {text}", remedy)
    return JobhooksError(f"the database failed: {text}", remedy)
