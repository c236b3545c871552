"""Connecting with the same settings: with psycopg for synchronous code, with asyncpg for the daemon's loop."""

import contextlib
import os
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

import asyncpg
import psycopg
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from psycopg.rows import TupleRow, tuple_row

from jobhooks.errors import (
    BY_SQLSTATE,
    DatabaseUnreachable,
    JobhooksError,
    Refused,
    SettingsError,
    StatementInterrupted,
    Unreadable,
)
from jobhooks.store.queries import queries

APPLICATION_NAME = "jobhooks"
CONNECT_TIMEOUT = 10  # seconds
CLOSE_TIMEOUT = 5  # seconds
LOST = ("08", "57P")  # SQLSTATE classes: connection exceptions, and a server that shuts down
# A statement that was cancelled or timed out, a server short of resources, one that has become a replica, a conflict of
# two transactions: the same statement may succeed later.
INTERRUPTED = ("57014", "53", "25006", "40")
OWN_CLASS = "JH"  # SQLSTATEs raised in sql/, whose hints are remedies
REMEDIES = {
    "57014": "PGOPTIONS='-c statement_timeout=0' before the command, if it ran into a statement_timeout",
    "53200": "a larger max_locks_per_transaction or more memory for the server",
    "53300": "a larger max_connections for the server, or fewer connections",
    "58P01": "ask the server's administrator: a file of PostgreSQL's installation is missing",
}
# Exceptions of asyncpg for a connection that is cut, in addition to PostgreSQL's last error.
BROKEN = (OSError, asyncpg.InterfaceError, asyncpg.InternalClientError)
# Parts of a URL that asyncpg handles like libpq; libpq's other ones (application_name, options) it sends separately.
SHARED_PARAMETERS = (
    "port",
    "user",
    "password",
    "dbname",
    "passfile",
    "sslmode",
    "sslcert",
    "sslkey",
    "sslrootcert",
    "sslcrl",
    "sslpassword",
    "ssl_min_protocol_version",
    "ssl_max_protocol_version",
    "target_session_attrs",
    "krbsrvname",
)

SyncConnection = psycopg.Connection[TupleRow]
if TYPE_CHECKING:
    AsyncConnection = asyncpg.Connection[asyncpg.Record]
else:
    AsyncConnection = asyncpg.Connection  # which is generic for type checkers only


def connect(
    database_url: str,
    kind: type[SyncConnection] = psycopg.Connection,  # pyright: ignore[reportArgumentType] - of tuples, by default
    **options: str,
) -> SyncConnection:
    """Open a connection of a ``kind`` in autocommit mode; the caller closes it.

    libpq's PG* variables, service file and password file supply the parts that ``database_url`` leaves out. ``options``
    are libpq's, and come first.

    Raises:
        DatabaseUnreachable: no server, no such database, wrong password.
        SettingsError: the URL cannot be read.
    """
    try:
        conninfo = make_conninfo(
            database_url,
            fallback_application_name=APPLICATION_NAME,
            client_encoding="utf8",
            **{**_default_timeout(database_url), **options},
        )
    except (psycopg.ProgrammingError, UnicodeEncodeError) as exc:
        raise SettingsError(f"cannot read database_url: {_without_secrets(exc, database_url)}") from exc
    _check_parts(database_url)
    try:
        conn = kind.connect(conninfo, autocommit=True)
    except psycopg.OperationalError as exc:
        if _names_database(database_url):
            raise DatabaseUnreachable(f"cannot connect to the database: {_reason(exc)}") from exc
        raise DatabaseUnreachable(
            f"no database is named, and cannot connect to the default: {_reason(exc)}",
            "--database-url postgresql:///NAME, or database_url in the settings file",
        ) from exc
    except (psycopg.Error, UnicodeEncodeError) as exc:
        raise SettingsError(f"wrong database_url: {_without_secrets(exc, database_url)}") from exc
    conn.isolation_level = psycopg.IsolationLevel.READ_COMMITTED  # regardless of the database's default
    return conn


def asyncpg_arguments(conn: SyncConnection) -> dict[str, Any]:
    """Return the arguments that make asyncpg connect to where ``conn`` is connected, and as whom.

    They are read from ``conn`` and not from its URL, so that PG* variables, service files and defaults count alike.
    """
    options = {option.keyword.decode(): option.val.decode() for option in conn.pgconn.info if option.val}
    shared = {name: options[name] for name in SHARED_PARAMETERS if name in options}
    shared["host"] = options.get("host") or options.get("hostaddr") or conn.info.host
    if conn.info.password:  # possibly from a password file
        shared["password"] = conn.info.password
    server_settings = {"application_name": options.get("application_name", APPLICATION_NAME)}
    if "options" in options:
        server_settings["options"] = options["options"]
    return {
        "dsn": "postgresql://?" + urlencode(shared),
        "server_settings": server_settings,
        "timeout": float(options.get("connect_timeout", CONNECT_TIMEOUT)) or None,  # libpq's 0 is "no limit"
    }


async def connect_async(arguments: dict[str, Any]) -> AsyncConnection:
    """Open a connection for the loop, with the arguments of ``asyncpg_arguments``; the caller closes it.

    Raises:
        DatabaseUnreachable: the server is gone, or takes no more connections.
    """
    try:
        return await asyncpg.connect(**arguments)
    except (asyncpg.PostgresError, *BROKEN) as exc:
        remedy = REMEDIES.get(exc.sqlstate or "") if isinstance(exc, asyncpg.PostgresError) else None
        raise DatabaseUnreachable(f"cannot connect to the database: {_one_line(exc)}", remedy) from exc


async def close_async(conn: AsyncConnection) -> None:
    """Close a connection of the loop in any state; do not wait for a server that does not answer."""
    with contextlib.suppress(asyncpg.PostgresError, *BROKEN):
        await conn.close(timeout=CLOSE_TIMEOUT)


def call(conn: SyncConnection, name: str, /, **parameters: object) -> list[tuple[Any, ...]]:
    """Run the query called ``name`` with the values of its parameters and return its rows.

    Raises:
        JobhooksError: of the kind that the database's SQLSTATE stands for.
    """
    query = queries()[name]
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
    query = queries()[name]
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
        raise error_of(ErrorReport(exc.sqlstate, exc.message or _one_line(exc), exc.hint)) from exc
    if isinstance(exc, BROKEN):
        raise DatabaseUnreachable(f"lost the connection to the database: {_one_line(exc)}") from exc
    if isinstance(exc, UnicodeDecodeError):
        raise Unreadable from exc
    if isinstance(exc, UnicodeEncodeError):
        raise Refused(f"the database cannot store this text: {exc.object!r}") from exc


def lost_by(exc: BaseException) -> DatabaseUnreachable:
    """The error of a run that ended by ``exc``: a lost connection, unless ``exc`` says what failed."""
    if isinstance(exc, DatabaseUnreachable):
        return type(exc)(exc.message, exc.remedy)
    return DatabaseUnreachable(f"lost the connection to the database: {exc}")


def is_lock_timeout(exc: BaseException | None) -> bool:
    """Return whether an error is that a lock was not to be had, or comes from that."""
    while exc is not None:
        if getattr(exc, "sqlstate", None) in ("55P03", "40P01"):
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
    return ErrorReport(exc.sqlstate, exc.diag.message_primary or _one_line(exc), exc.diag.message_hint, failed)


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


def _default_timeout(database_url: str) -> dict[str, int]:
    return {} if "connect_timeout" in conninfo_to_dict(database_url) else {"connect_timeout": CONNECT_TIMEOUT}


def _names_database(database_url: str) -> bool:
    """Whether the URL or libpq's own variables name a database; by default libpq takes the one named like the role."""
    parts = conninfo_to_dict(database_url)
    return any([parts.get("dbname"), parts.get("service"), os.environ.get("PGDATABASE"), os.environ.get("PGSERVICE")])


def _check_parts(database_url: str) -> None:
    """Check that no part of a password is taken for another part: libpq would name it in its error.

    Raises:
        SettingsError: the password has characters with a meaning in a URL.
    """
    parts = conninfo_to_dict(database_url)
    taken_for = "host" if "@" in str(parts.get("host", "")) else "port"
    if taken_for == "host" or re.search(r"[^\d, ]", str(parts.get("port", ""))):
        raise SettingsError(
            f"cannot read database_url: its {taken_for} is not valid",
            "in a user name or a password, write @ as %40, / as %2F, : as %3A and % as %25",
        )


def _without_secrets(exc: BaseException, database_url: str) -> str:
    """Describe the problem with a URL, without quoted parts if these may contain a password."""
    text = _one_line(exc)
    may_hold_one = "@" in database_url or "password" in database_url.lower()
    return re.sub('".*"', '"..."', text) if may_hold_one else text


def _reason(exc: psycopg.OperationalError) -> str:
    """Reduce libpq's reason to one line, without the prefix that repeats the request."""
    return re.sub(r"^connection (failed|is bad): ", "", _one_line(exc))


def _one_line(exc: BaseException) -> str:
    return "; ".join(line.strip() for line in str(exc).splitlines() if line.strip()) or type(exc).__name__
