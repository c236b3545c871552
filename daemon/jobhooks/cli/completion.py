"""What a shell completes with names that are in the database: quick, and silent where there is no database."""

import os
import re

import typer

from jobhooks.runtime.settings import load
from jobhooks.store.connections import call, connect

TIMEOUT_S = "2"  # for which somebody who pressed Tab waits for a server that is away
COMPLETION_VARIABLE = "_JOBHOOKS_COMPLETE"
SPECIAL = re.compile(r"([^\w@%+=:,./-])")


def tables(context: typer.Context, incomplete: str) -> list[str]:
    """Return the watched tables whose names begin so."""
    return _names("watched_tables_beginning", context, incomplete)


def watchable_tables(context: typer.Context, incomplete: str) -> list[str]:
    """Return the tables of the database whose names begin so."""
    return _names("tables_beginning", context, incomplete)


def hooks(context: typer.Context, incomplete: str) -> list[str]:
    """Return the hooks whose names begin so."""
    return _names("hooks_beginning", context, incomplete)


def jobs(context: typer.Context, incomplete: str) -> list[str]:
    """Return the jobs whose class paths begin so."""
    return _names("jobs_beginning", context, incomplete)


def _names(query: str, context: typer.Context, incomplete: str) -> list[str]:
    try:
        chosen = load(context.params.get("config"), database_url=context.params.get("database_url"))
        with connect(chosen.database_url, connect_timeout=TIMEOUT_S) as conn:
            found = [name for (name,) in call(conn, query, prefix=incomplete)]
    except Exception:  # noqa: BLE001 - whatever it is, a person who is in the middle of a line must not be told
        return []
    # Bash takes what it is given as it would stand on the line; the others quote by themselves.
    in_bash = os.environ.get(COMPLETION_VARIABLE, "").endswith("bash")
    return [SPECIAL.sub(r"\\\1", name) for name in found] if in_bash else found
