"""Connection strings, and the errors of connecting. No secret of a connection string is in an error."""

import os
import re

import psycopg
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from psycopg.pq import Conninfo

from jobhooks.errors import DatabaseUnreachable, JobhooksError, LoginRefused, SettingsError

APPLICATION_NAME = "jobhooks"
CONNECT_TIMEOUT = 10  # seconds
CONNECT_TIMEOUT_OF_SEVERAL = 3  # seconds for each host: one that is gone must not hold up the next one for long
# How libpq passes a refusal of the server on: in any language, its severity ends in a colon and two spaces.
REFUSED = re.compile(r"failed: [^\s:]+:  ")
TEMPORARY = re.compile(
    r"database system is|recovery|too many (?:clients|connections)|connection slots|pgbouncer cannot"
)


def conninfo_of(database_url: str, options: dict[str, str]) -> str:
    """The connection string for psycopg. ``options``: libpq's, and come first.

    Raises:
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
        raise SettingsError(f"cannot read database_url: {without_secrets(exc, database_url)}") from exc
    _check_parts(database_url)
    return conninfo


def given_parameters(database_url: str) -> dict[str, str]:
    """The parameters that a URL and libpq's variables give; not those of a service that the URL names.

    Raises:
        SettingsError: the URL cannot be read.
    """
    found = {each.keyword.decode(): each.val.decode() for each in Conninfo.get_defaults() if each.val}
    return {**found, **{name: str(value) for name, value in conninfo_to_dict(conninfo_of(database_url, {})).items()}}


def failure(exc: psycopg.OperationalError, database_url: str) -> JobhooksError:
    """Our error for a failed attempt to connect."""
    reason = _reason(exc)
    if unsupported := re.search(r"unsupported startup parameter(?: in options)?: (\w+)", reason):
        return SettingsError(
            f"the pooler refuses the connection parameter {unsupported[1]}: {reason}",
            f"leave out {unsupported[1]}, or name it in ignore_startup_parameters of PgBouncer",
        )
    kind = LoginRefused if REFUSED.search(str(exc)) and not TEMPORARY.search(str(exc)) else DatabaseUnreachable
    if _names_database(database_url):
        return kind(f"cannot connect to the database: {reason}")
    return kind(
        f"no database is named, and cannot connect to the default: {reason}",
        "--database-url postgresql:///NAME, or database_url in the settings file",
    )


def _default_timeout(database_url: str) -> dict[str, int]:
    """The limit for each host, unless the URL or libpq's variable names one."""
    parts = conninfo_to_dict(database_url)
    if "connect_timeout" in parts or os.environ.get("PGCONNECT_TIMEOUT"):
        return {}
    return {"connect_timeout": CONNECT_TIMEOUT_OF_SEVERAL if names_several_hosts(database_url) else CONNECT_TIMEOUT}


def names_several_hosts(conninfo: str) -> bool:
    """Whether a connection string or libpq's variables name more than one host."""
    parts = conninfo_to_dict(conninfo)
    hosts = parts.get("host") or os.environ.get("PGHOST", ""), parts.get("hostaddr") or os.environ.get("PGHOSTADDR", "")
    return any("," in str(names) for names in hosts)


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


def without_secrets(exc: BaseException, database_url: str) -> str:
    """Describe the problem with a URL, without quoted parts if these may contain a password."""
    text = one_line(exc)
    may_hold_one = "@" in database_url or "password" in database_url.lower()
    return re.sub('".*"', '"..."', text) if may_hold_one else text


def _reason(exc: psycopg.OperationalError) -> str:
    """Reduce libpq's reason to one line, without the prefix that repeats the request."""
    return re.sub(r"^connection (failed|is bad): ", "", one_line(exc))


def one_line(exc: BaseException) -> str:
    """The text of an error in one line."""
    return "; ".join(line.strip() for line in str(exc).splitlines() if line.strip()) or type(exc).__name__
