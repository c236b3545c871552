"""Completes names from the database in a shell: quickly, and silently if there is no database."""

import os
import re

import typer

from jobhooks.runtime.settings import load
from jobhooks.store.connections import call, connect

TIMEOUT_S = "2"  # the longest wait for an unreachable server after Tab
COMPLETION_VARIABLE = "_JOBHOOKS_COMPLETE"
SPECIAL = re.compile(r"([^\w@%+=:,./-])")


def tables(context: typer.Context, incomplete: str) -> list[str]:
    """The watched tables whose names begin with ``incomplete``."""
    return _names("watched_tables_beginning", context, incomplete)


def watchable_tables(context: typer.Context, incomplete: str) -> list[str]:
    """The tables of the database whose names begin with ``incomplete``."""
    return _names("tables_beginning", context, incomplete)


def hooks(context: typer.Context, incomplete: str) -> list[str]:
    """The hooks whose names begin with ``incomplete``."""
    return _names("hooks_beginning", context, incomplete)


def jobs(context: typer.Context, incomplete: str) -> list[str]:
    """The jobs whose class paths begin with ``incomplete``."""
    return _names("jobs_beginning", context, incomplete)


def _names(query: str, context: typer.Context, incomplete: str) -> list[str]:
    try:
        chosen = load(context.params.get("config"), database_url=context.params.get("database_url"))
        with connect(chosen.database_url, connect_timeout=TIMEOUT_S) as conn:
            found = [name for (name,) in call(conn, query, prefix=incomplete)]
    except Exception:  # noqa: BLE001 - an error would be printed into the line that the user is typing
        return []
    # Bash inserts a name without quoting it; other shells quote it.
    in_bash = os.environ.get(COMPLETION_VARIABLE, "").endswith("bash")
    return [SPECIAL.sub(r"\\\1", name) for name in found] if in_bash else found
