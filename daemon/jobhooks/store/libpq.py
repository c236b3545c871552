"""libpq's connection parameters, and what asyncpg needs to connect where libpq did, in the same way.

libpq alone reads the URL, the PG* variables, the service file and the password file, and chooses the host. asyncpg then
connects to that address. A parameter that asyncpg cannot honour is refused by name.
"""

import contextlib
import os
import socket
import ssl
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

from jobhooks.errors import SettingsError


class Use(StrEnum):
    """What happens to a parameter."""

    BY_LIBPQ = "libpq evaluates it, and asyncpg gets the result"
    BY_BOTH = "both drivers apply it"
    FIXED = "jobhooks sets it"
    REFUSED = "`jobhooks run` refuses it"
    WITHOUT_EFFECT = "it has no effect in this libpq"


@dataclass(frozen=True)
class Parameter:
    """A parameter of libpq. ``refuses``: whether a value is one that asyncpg cannot honour."""

    use: Use
    note: str = ""
    refuses: Callable[[str], bool] = lambda _: False


def _is(*values: str) -> Callable[[str], bool]:
    return lambda value: value in values


def _any(_: str) -> bool:
    return True


def _is_on(value: str) -> bool:
    return value.lower() not in ("0", "off", "false", "no")


PARAMETERS: dict[str, Parameter] = {
    "service": Parameter(Use.BY_LIBPQ, "its section of the service file supplies the parameters that are missing"),
    "servicefile": Parameter(Use.BY_LIBPQ, "the service file"),
    "host": Parameter(
        Use.BY_LIBPQ,
        "several hosts are tried in order. If the first that answers is a replica, the primary is searched for. A"
        " socket in the abstract namespace (`@`) is refused",
        lambda value: value.startswith("@"),
    ),
    "hostaddr": Parameter(Use.BY_LIBPQ, "`host` need not resolve then; it is the name in the server's certificate"),
    "port": Parameter(Use.BY_LIBPQ),
    "dbname": Parameter(Use.BY_LIBPQ),
    "user": Parameter(Use.BY_LIBPQ),
    "password": Parameter(Use.BY_LIBPQ),
    "passfile": Parameter(Use.BY_LIBPQ),
    "target_session_attrs": Parameter(
        Use.BY_LIBPQ,
        "`standby`, `prefer-standby` and `read-only` are refused: the daemon writes",
        _is("standby", "prefer-standby", "read-only"),
    ),
    "load_balance_hosts": Parameter(Use.BY_LIBPQ, "the host is chosen again when the daemon reconnects"),
    "connect_timeout": Parameter(Use.BY_BOTH, "by default 10 seconds, and 3 for each of several hosts; 0: no limit"),
    "application_name": Parameter(
        Use.BY_BOTH, "by default `jobhooks`; connections of receivers are always called `jobhooks receiver`"
    ),
    "fallback_application_name": Parameter(Use.FIXED, "to `jobhooks`"),
    "client_encoding": Parameter(Use.FIXED, "to UTF8"),
    "options": Parameter(
        Use.BY_BOTH, "an explicit `-c statement_timeout=...` counts; formats such as `datestyle` are fixed"
    ),
    "keepalives": Parameter(Use.BY_BOTH),
    "keepalives_idle": Parameter(Use.BY_BOTH),
    "keepalives_interval": Parameter(Use.BY_BOTH),
    "keepalives_count": Parameter(Use.BY_BOTH),
    "tcp_user_timeout": Parameter(Use.BY_BOTH),
    "sslmode": Parameter(Use.BY_BOTH, "asyncpg uses TLS if libpq did"),
    "sslnegotiation": Parameter(Use.BY_BOTH),
    "sslcert": Parameter(Use.BY_BOTH),
    "sslkey": Parameter(Use.BY_BOTH, "the key of a hardware token is refused", lambda value: ":" in value),
    "sslpassword": Parameter(Use.BY_BOTH),
    "sslcertmode": Parameter(Use.BY_BOTH, "`require` is refused", _is("require")),
    "sslrootcert": Parameter(Use.BY_BOTH, "also `system`, for the certificates of the operating system"),
    "sslcrl": Parameter(Use.BY_BOTH),
    "sslcrldir": Parameter(Use.BY_BOTH),
    "ssl_min_protocol_version": Parameter(Use.BY_BOTH),
    "ssl_max_protocol_version": Parameter(Use.BY_BOTH),
    "sslkeylogfile": Parameter(Use.BY_BOTH),
    "sslsni": Parameter(Use.BY_BOTH, "0 is refused", lambda value: not _is_on(value)),
    "sslcompression": Parameter(Use.WITHOUT_EFFECT),
    "krbsrvname": Parameter(Use.BY_BOTH, "with the package gssapi"),
    "gsslib": Parameter(Use.BY_BOTH, "with the package gssapi"),
    "gssencmode": Parameter(Use.BY_LIBPQ, "`require` is refused: asyncpg cannot encrypt with GSSAPI", _is("require")),
    "gssdelegation": Parameter(Use.REFUSED, "if it is 1", _is_on),
    "channel_binding": Parameter(Use.BY_LIBPQ, "`require` is refused: asyncpg has no channel binding", _is("require")),
    "require_auth": Parameter(Use.REFUSED, "asyncpg takes the method that the server asks for", _any),
    "requirepeer": Parameter(Use.REFUSED, "asyncpg does not look at the server's account", _any),
    "scram_client_key": Parameter(Use.REFUSED, "asyncpg needs the password", _any),
    "scram_server_key": Parameter(Use.REFUSED, "asyncpg needs the password", _any),
    "oauth_issuer": Parameter(Use.REFUSED, "asyncpg does not support OAuth", _any),
    "oauth_client_id": Parameter(Use.REFUSED, "as `oauth_issuer`", _any),
    "oauth_client_secret": Parameter(Use.REFUSED, "as `oauth_issuer`", _any),
    "oauth_scope": Parameter(Use.REFUSED, "as `oauth_issuer`", _any),
    "min_protocol_version": Parameter(
        Use.BY_LIBPQ, "above 3.0 is refused: asyncpg speaks version 3.0", lambda value: value != "3.0"
    ),
    "max_protocol_version": Parameter(Use.BY_LIBPQ, "asyncpg speaks version 3.0"),
    "replication": Parameter(Use.REFUSED, "it is for replication connections", _is_on),
}


KEEPALIVE_OPTIONS = {
    "keepalives_idle": "TCP_KEEPIDLE",
    "keepalives_interval": "TCP_KEEPINTVL",
    "keepalives_count": "TCP_KEEPCNT",
}


def check(options: Mapping[str, str]) -> None:
    """Check that asyncpg can connect as libpq did with these parameters.

    Raises:
        SettingsError: one of them has a value that it cannot honour.
    """
    refused = [
        name for name, value in options.items() if name in PARAMETERS and value and PARAMETERS[name].refuses(value)
    ]
    unknown = [name for name in options if name not in PARAMETERS]
    for name in refused + unknown:
        reason = PARAMETERS[name].note if name in PARAMETERS else "this version of jobhooks does not know it"
        raise SettingsError(
            f"the connection parameter {name} cannot be honoured on all connections: {reason.replace('`', '')}",
            f"remove {name} from database_url, the PG* variables or the service file",
        )


class ContextForName(ssl.SSLContext):
    """A TLS context for a server whose certificate has ``name``; the connection may go to an address."""

    name: str = ""

    def wrap_bio(self, *arguments: Any, **options: Any) -> ssl.SSLObject:
        """Check the certificate for the name, and send it as the server's name."""
        return super().wrap_bio(*arguments, **{**options, "server_hostname": self.name or None})


def tls_context(options: Mapping[str, str], name: str) -> ssl.SSLContext:
    """The TLS context that does what libpq does with these parameters, and has just done.

    Raises:
        SettingsError: a file cannot be read.
    """
    context = ContextForName(ssl.PROTOCOL_TLS_CLIENT)
    context.name = name
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.set_alpn_protocols(["postgresql"])
    try:
        _trust(context, options)
        _identify(context, options)
    except OSError as exc:  # an SSLError is one
        raise SettingsError(f"cannot use a certificate or key of the connection parameters: {exc}") from exc
    _limit_versions(context, options)
    if options.get("sslkeylogfile"):
        context.keylog_filename = options["sslkeylogfile"]
    return context


def _trust(context: ssl.SSLContext, options: Mapping[str, str]) -> None:
    root = options.get("sslrootcert")
    if root == "system":
        context.load_default_certs()
        context.verify_mode = ssl.CERT_REQUIRED
        context.check_hostname = True
        return
    certificates = Path(root) if root else _personal("root.crt")
    if not certificates.exists():
        return
    context.load_verify_locations(cafile=certificates)
    context.verify_mode = ssl.CERT_REQUIRED
    context.check_hostname = options.get("sslmode") == "verify-full"
    _revoke(context, options)


def _revoke(context: ssl.SSLContext, options: Mapping[str, str]) -> None:
    """Load the lists of revoked certificates; libpq uses its default file only if none is named."""
    files, folder = options.get("sslcrl"), options.get("sslcrldir")
    default = _personal("root.crl")
    lists = Path(files) if files else None if folder else default
    if lists is not None and lists.exists():
        context.load_verify_locations(cafile=lists)
        context.verify_flags |= ssl.VERIFY_CRL_CHECK_CHAIN
    if folder:
        context.load_verify_locations(capath=folder)
        context.verify_flags |= ssl.VERIFY_CRL_CHECK_CHAIN


def _identify(context: ssl.SSLContext, options: Mapping[str, str]) -> None:
    if options.get("sslcertmode") == "disable":
        return
    certificate = Path(options["sslcert"]) if options.get("sslcert") else _personal("postgresql.crt")
    if not certificate.exists():
        return
    key = Path(options["sslkey"]) if options.get("sslkey") else _personal("postgresql.key")
    password = options.get("sslpassword", "")
    context.load_cert_chain(certificate, key if key.exists() else None, lambda: password)


def _limit_versions(context: ssl.SSLContext, options: Mapping[str, str]) -> None:
    lowest, highest = options.get("ssl_min_protocol_version"), options.get("ssl_max_protocol_version")
    if lowest:
        context.minimum_version = _version(lowest)
    if highest:
        context.maximum_version = _version(highest)


def _version(name: str) -> ssl.TLSVersion:
    return ssl.TLSVersion[name.upper().replace("TLSV", "TLSv").replace(".", "_")]


def _personal(name: str) -> Path:
    """The default file of the account: libpq looks at HOME first."""
    return Path(os.environ.get("HOME") or "~").expanduser() / ".postgresql" / name


def keep_alive(descriptor: int, options: Mapping[str, str]) -> None:
    """Set the TCP options of an open socket as libpq does for its own."""
    with socket.socket(fileno=os.dup(descriptor)) as sock:
        if sock.family == socket.AF_UNIX:
            return
        if options.get("keepalives", "1") != "0":
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
            for name, option in KEEPALIVE_OPTIONS.items():
                _set_count(sock, option, options.get(name))
        _set_count(sock, "TCP_USER_TIMEOUT", options.get("tcp_user_timeout"))


def _set_count(sock: socket.socket, option: str, value: str | None) -> None:
    number = getattr(socket, option, None)  # not every system has each of them
    with contextlib.suppress(ValueError, OSError):
        if value and int(value) > 0 and number is not None:
            sock.setsockopt(socket.IPPROTO_TCP, number, int(value))
