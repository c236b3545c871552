"""Queries whose text may hold bytes that are not characters, which a driver or the server would refuse to return.

A database with encoding SQL_ASCII accepts any bytes, and in any database a session's setting can hold bytes that are
not text. Such a byte is read as U+FFFD and its two hexadecimal digits (E9 as ``�e9``), so different bytes stay
different, and JSON stays JSON. A query without such bytes costs nothing more.
"""

import codecs
import re
from functools import partial
from typing import Any

import asyncpg
import psycopg
from psycopg.abc import Buffer
from psycopg.adapt import Loader
from psycopg.rows import tuple_row

from jobhooks.errors import Unreadable
from jobhooks.store.connections import AsyncConnection, SyncConnection, call, call_async, translated_errors
from jobhooks.store.queries import find_query

ERRORS = "jobhooks.unreadable"


def call_readable(conn: SyncConnection, name: str, /, **parameters: object) -> list[tuple[Any, ...]]:
    """Like ``call``, with unreadable bytes replaced."""
    try:
        return call(conn, name, **parameters)
    except Unreadable:
        encoding = conn.info.parameter_status("server_encoding") or ""
    query = find_query(name)
    call(conn, "send_bytes")
    try:
        with translated_errors(), psycopg.RawCursor(conn, row_factory=tuple_row) as cursor:
            cursor.adapters.register_loader("text", _loader(encoding))
            return cursor.execute(query.encoded, query.arguments(parameters) or None).fetchall()
    finally:
        call(conn, "send_characters")


async def call_readable_async(conn: AsyncConnection, name: str, /, **parameters: object) -> list[asyncpg.Record]:
    """Like ``call_async``, with unreadable bytes replaced."""
    try:
        return await call_async(conn, name, **parameters)
    except Unreadable:
        decoder = partial(decoded, encoding=conn.get_settings().server_encoding)
    await call_async(conn, "send_bytes")
    try:
        await conn.set_type_codec("text", schema="pg_catalog", format="binary", encoder=str.encode, decoder=decoder)
        return await call_async(conn, name, **parameters)
    finally:
        await conn.reset_type_codec("text", schema="pg_catalog")
        await call_async(conn, "send_characters")


def decoded(value: Buffer, encoding: str) -> str:
    """Return the text that bytes are in an encoding, as PostgreSQL calls it, of the server."""
    return bytes(value).decode(_codec(encoding), ERRORS)


def _codec(encoding: str) -> str:
    try:
        return codecs.lookup("utf-8" if encoding == "SQL_ASCII" else re.sub(r"^WIN(?=\d)", "cp", encoding)).name
    except LookupError:
        return "ascii"  # one that Python has not


def _loader(encoding: str) -> type[Loader]:
    class ForgivingLoader(Loader):
        def load(self, data: Buffer) -> str:
            return decoded(data, encoding)

    return ForgivingLoader


def _replace(error: UnicodeError) -> tuple[str, int]:
    assert isinstance(error, UnicodeDecodeError)
    unreadable = error.object[error.start : error.end]
    return "".join(f"\N{REPLACEMENT CHARACTER}{byte:02x}" for byte in unreadable), error.end


codecs.register_error(ERRORS, _replace)
