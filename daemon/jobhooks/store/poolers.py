"""Recognises a pooler that gives each transaction another session: PgBouncer in transaction and statement mode.

Prepared statements, LISTEN, advisory locks and settings then reach other clients, or get lost.
"""

import contextlib
import select
from collections.abc import Callable
from typing import Any

import psycopg

from jobhooks.errors import SettingsError

ROUNDS = 3  # in each of which two clients ask for their session
ANSWER_S = 3.0  # a pooler in session mode whose pool is exhausted lets the second client wait
PROCESS = b"select pg_catalog.pg_backend_pid()"

Client = psycopg.Connection[Any]


def refuse_shared_sessions(first: Client, process: int, open_second: Callable[[], Client]) -> None:
    """Check that two clients have two sessions, and keep them.

    ``first``: a connection that leads to a pooler. ``process``: of its session, a moment ago.

    Raises:
        SettingsError: they share sessions.
    """
    with contextlib.closing(open_second()) as second:
        of_first: set[bytes | None] = {b"%d" % process}
        of_second: set[bytes | None] = set()
        for _ in range(ROUNDS):
            of_first.add(_process(first))
            process_of_second = _process(second)
            if process_of_second is None:
                break  # it waits for a session, which the first one keeps
            of_second.add(process_of_second)
    if len(of_first) > 1 or of_first & of_second:
        raise SettingsError(
            "the database is behind a pooler in transaction or statement mode, which gives each transaction another"
            " session",
            "connect past the pooler, or set pool_mode = session there for jobhooks; see docs/how-to/use-a-pooler.md",
        )


def _process(client: Client) -> bytes | None:
    """The process id of the session that the client has now; null if no session is free."""
    connection = client.pgconn
    connection.send_query(PROCESS)
    connection.flush()
    while connection.is_busy():
        if not select.select([connection.socket], [], [], ANSWER_S)[0]:
            return None
        connection.consume_input()
    found: bytes | None = None
    while (result := connection.get_result()) is not None:
        if result.ntuples:
            found = result.get_value(0, 0)
    return found
