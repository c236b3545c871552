"""Checks the name of a table, and turns PostgreSQL's errors about relations into errors about tables."""

import re

from jobhooks.errors import UnknownTable
from jobhooks.operations.lookup.nearest_names import nearest_names
from jobhooks.store.connections import SyncConnection, call

PLAIN = re.compile(r"[a-z_][a-z0-9_$]*")
NO_SUCH_NAME = {"42P01", "3F000"}  # SQLSTATEs: undefined table, undefined schema; others mean that it is not a name


def check_table(conn: SyncConnection, name: str) -> None:
    """Check that a table exists; this needs nothing of jobhooks in the database.

    Raises:
        UnknownTable: there is no such table, or this is not the name of one.
    """
    try:
        call(conn, "relation_called", name=name)
    except UnknownTable as exc:
        raise unknown_table(conn, name, exc) from exc


def unknown_table(conn: SyncConnection, name: str, error: UnknownTable) -> UnknownTable:
    """The error for the table ``name``, with the nearest names; ``error``: PostgreSQL's error about a relation."""
    if getattr(error.__cause__, "sqlstate", None) not in NO_SUCH_NAME:
        return UnknownTable(f"not a valid name of a table: {name}", f"'{quoted(name)}', in these quotes for the shell")
    nearest = nearest_names(name, [known for (known,) in call(conn, "names_of_tables")])
    guess = f"; did you mean {' or '.join(nearest)}?" if nearest else ""
    return UnknownTable(f"there is no table {name}{guess}", f"jobhooks table watch {nearest[0]}" if nearest else None)


def quoted(name: str) -> str:
    """A name with its parts in double quotes where SQL needs them: ``public."Upper Case"``."""
    schema, dot, table = name.replace('"', "").partition(".")
    return f"{_quoted_part(schema)}{dot}{_quoted_part(table) if dot else ''}"


def _quoted_part(part: str) -> str:
    return part if PLAIN.fullmatch(part) else f'"{part}"'
