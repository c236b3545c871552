"""Shared code of the capture tests: watch a table, and read the recorded changes in few words."""

import contextlib
import os
from collections.abc import Generator, Sequence

import psycopg
import pytest
from psycopg import Connection
from psycopg.rows import TupleRow

from jobhooks.operations import tables
from jobhooks.store.connections import connect


def watch(  # noqa: PLR0913, RUF100 - these are the ways in which a table can be watched
    conn: Connection[TupleRow],
    table: str,
    *,
    key: Sequence[str] | None = None,
    always: bool = False,
    exclude: Sequence[str] = (),
    ignore: Sequence[str] = (),
    allow_casts: bool = False,
    keep_lastval: bool | None = None,
) -> None:
    """Watch ``table`` in the database of ``conn``, in a separate session."""
    with contextlib.closing(connect(conn.info.dsn)) as admin:
        tables.watch(
            admin,
            table,
            key,
            always=always,
            exclude=exclude,
            ignore=ignore,
            allow_casts=allow_casts,
            keep_lastval=keep_lastval,
        )


def changes(conn: Connection[TupleRow]) -> list[tuple[object, ...]]:
    """List the log: action, row before, row after."""
    return conn.execute("select action::text, prechange, postchange from jobhooks.object_change order by id").fetchall()


def words(conn: Connection[TupleRow], column: str = "note") -> list[str]:
    """List the log in words: ``create 1 a``, ``update 1 a>b``: id, and a column's values."""
    rows = conn.execute(
        "select concat_ws(' ', action, coalesce(postchange, prechange) ->> 'id',"
        " nullif(concat_ws('>', prechange ->> %(column)s, postchange ->> %(column)s), ''))"
        " from jobhooks.object_change order by id",
        {"column": column},
    )
    return [word for (word,) in rows]


def forget(conn: Connection[TupleRow]) -> None:
    """Empty the log."""
    conn.execute("delete from jobhooks.object_change")


def trigger(conn: Connection[TupleRow], when: str, body: str, name: str = "users") -> None:
    """Give a table a trigger of the user's: ``when`` is such as ``after insert on public.t for each row``."""
    conn.execute(
        f"create function public.{name}() returns trigger language plpgsql as $$ begin {body} end $$;"
        f' create trigger "{name}" {when} execute function public.{name}()'.encode()
    )


@contextlib.contextmanager
def client_with(conn: Connection[TupleRow], options: bytes) -> Generator[Connection[TupleRow]]:
    """Open another connection as the user of ``conn``, with libpq's ``options``, which need be no text."""
    with pytest.MonkeyPatch.context() as patch:
        # A setting of the process, since psycopg itself takes text only; libpq, and the server, take anything.
        patch.setenv("PGOPTIONS", os.fsdecode(options))
        client = psycopg.connect(conn.info.dsn, autocommit=True)
    with client:
        yield client
