"""Connecting, with psycopg for what is synchronous and asyncpg for the daemon's loop, by the same settings."""

import contextlib
import re
from collections.abc import Generator
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

import asyncpg
import psycopg
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from psycopg.rows import TupleRow

from jobhooks.errors import BY_SQLSTATE, DatabaseUnreachable, JobhooksError, SettingsError
from jobhooks.store.sql_files import query

APPLICATION_NAME = "jobhooks"
CONNECT_TIMEOUT = 10  # seconds
CLOSE_TIMEOUT = 5  # seconds
# What asyncpg takes in a URL as libpq does; the rest of what libpq knows (application_name, options) it sends apart.
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


def connect(database_url: str, *, autocommit: bool = True) -> SyncConnection:
    """Open a connection; what ``database_url`` leaves out comes from libpq's PG* variables, service and password files.

    The caller closes it. Queries take $1, $2, ... as those of asyncpg do.

    Raises:
        DatabaseUnreachable: no server, no such database, wrong password.
        SettingsError: the URL cannot be read.
    """
    try:
        conninfo = make_conninfo(
            database_url, fallback_application_name=APPLICATION_NAME, **_default_timeout(database_url)
        )
    except psycopg.ProgrammingError as exc:
        raise SettingsError(f"cannot read database_url: {_one_line(exc)}") from exc
    try:
        return psycopg.connect(conninfo, autocommit=autocommit, cursor_factory=psycopg.RawCursor)
    except psycopg.OperationalError as exc:
        raise DatabaseUnreachable(f"cannot connect to the database: {_reason(exc)}") from exc


def asyncpg_arguments(conn: SyncConnection) -> dict[str, Any]:
    """Return the arguments that make asyncpg connect to where ``conn`` is connected, and as whom.

    They are read from ``conn`` and not from its URL, so that PG* variables, service files and defaults count alike.
    """
    options = {option.keyword.decode(): option.val.decode() for option in conn.pgconn.info if option.val}
    shared = {name: options[name] for name in SHARED_PARAMETERS if name in options}
    shared["host"] = options.get("host") or options.get("hostaddr") or conn.info.host
    if conn.info.password:  # perhaps from a password file
        shared["password"] = conn.info.password
    server_settings = {"application_name": options.get("application_name", APPLICATION_NAME)}
    if "options" in options:
        server_settings["options"] = options["options"]
    return {
        "dsn": "postgresql://?" + urlencode(shared),
        "server_settings": server_settings,
        "timeout": float(options.get("connect_timeout", CONNECT_TIMEOUT)),
    }


async def connect_async(arguments: dict[str, Any]) -> AsyncConnection:
    """Open a connection for the loop, with what ``asyncpg_arguments`` returned; the caller closes it.

    Raises:
        DatabaseUnreachable: the server is not there any more, or takes no more connections.
    """
    try:
        return await asyncpg.connect(**arguments)
    except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError) as exc:
        raise DatabaseUnreachable(f"cannot connect to the database: {_one_line(exc)}") from exc


async def close_async(conn: AsyncConnection) -> None:
    """Close a connection of the loop, whatever state it is in; a server that does not answer is not waited for."""
    with contextlib.suppress(OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError):
        await conn.close(timeout=CLOSE_TIMEOUT)


def call(conn: SyncConnection, name: str, *parameters: object) -> list[tuple[Any, ...]]:
    """Run the query called ``name`` and return its rows.

    Raises:
        JobhooksError: of the kind that the database's SQLSTATE stands for.
    """
    with translated_errors():
        cursor = conn.execute(query(name).encode(), parameters)
        return cursor.fetchall() if cursor.description else []


async def call_async(conn: AsyncConnection, name: str, *parameters: object) -> list[asyncpg.Record]:
    """Run the query called ``name`` on a connection of the loop and return its rows.

    Raises:
        JobhooksError: of the kind that the database's SQLSTATE stands for.
    """
    try:
        return await conn.fetch(query(name), *parameters)
    except asyncpg.PostgresError as exc:
        raise _error(exc.sqlstate, exc.message, exc.hint, lost=conn.is_closed()) from exc
    except (OSError, asyncpg.InterfaceError) as exc:
        raise DatabaseUnreachable(f"lost the connection to the database: {_one_line(exc)}") from exc


@contextlib.contextmanager
def translated_errors() -> Generator[None]:
    """Turn the database's errors into ours where a SQLSTATE tells which; a lost connection into DatabaseUnreachable."""
    try:
        yield
    except psycopg.Error as exc:
        raise translate(exc) from exc


def translate(exc: psycopg.Error) -> JobhooksError:
    """Return our error for one of psycopg's: the message, and what the database suggests."""
    message = exc.diag.message_primary or _one_line(exc)
    return _error(exc.sqlstate, message, exc.diag.message_hint, lost=isinstance(exc, psycopg.OperationalError))


def _error(sqlstate: str | None, message: str | None, hint: str | None, *, lost: bool) -> JobhooksError:
    text = f"{message} ({hint})" if hint else str(message)
    if sqlstate in BY_SQLSTATE:
        return BY_SQLSTATE[sqlstate](text)
    if lost:
        return DatabaseUnreachable(f"lost the connection to the database: {text}")
    return JobhooksError(f"the database failed: {text}")


def _default_timeout(database_url: str) -> dict[str, int]:
    return {} if "connect_timeout" in conninfo_to_dict(database_url) else {"connect_timeout": CONNECT_TIMEOUT}


def _reason(exc: psycopg.OperationalError) -> str:
    """Return libpq's reason in one line, without the prefix that repeats what was attempted."""
    return re.sub(r"^connection failed: ", "", _one_line(exc))


def _one_line(exc: BaseException) -> str:
    return " ".join(str(exc).split()) or type(exc).__name__
