"""Finds the table that a name means, and turns PostgreSQL's errors about relations into errors about tables."""

import re

from jobhooks.errors import UnknownTable
from jobhooks.operations.lookup.nearest_names import nearest_names, suggestion
from jobhooks.operations.lookup.table_patterns import is_pattern
from jobhooks.store.connections import SyncConnection, call

PLAIN = re.compile(r"[a-z_][a-z0-9_$]*")
NO_SUCH_NAME = {"42P01", "3F000"}  # SQLSTATEs: undefined table, undefined schema; others mean that it is not a name
LIST_TABLES = r"\dt *.* in psql, which lists the tables of this database"


def full_name(conn: SyncConnection, name: str, *, command: str) -> str:
    """The name, with its schema, of the table that ``name`` means; this needs nothing of jobhooks in the database.

    PostgreSQL's rules come first, with the session's ``search_path``. If they find no table for a name without schema,
    it means the only table of that name in any schema. ``command``: see ``unknown_table``.

    Raises:
        UnknownTable: there is no such table, or several, or this is not the name of one.
    """
    try:
        with conn.transaction():  # an error must not end the caller's transaction
            ((found,),) = call(conn, "relation_called", name=name)
    except UnknownTable as exc:
        if getattr(exc.__cause__, "sqlstate", None) not in NO_SUCH_NAME:
            raise _invalid_name(name, command) from exc
        elsewhere = [found for (found,) in call(conn, "tables_called", name=name)]
        if not elsewhere:
            raise unknown_table(conn, name, exc, command=command) from exc
        if len(elsewhere) > 1:
            several = f"there are {len(elsewhere)} tables {name}: {', '.join(elsewhere)}"
            raise UnknownTable(several, f"{command} {shell_quoted(elsewhere[0])}") from exc
        found = elsewhere[0]
    return found


def name_or_full_name(conn: SyncConnection, name: str) -> str:
    """The same; the name as it is if it means no table, such as that of a dropped one, or several."""
    try:
        return full_name(conn, name, command="jobhooks table show")
    except UnknownTable:
        return name


def check_is_not_another(conn: SyncConnection, name: str, found: str) -> None:
    """Check that ``name``, which now means the table ``found``, did not mean a watched one that was dropped since.

    For a file, which is applied again: its author meant the dropped table.

    Raises:
        UnknownTable: it did.
    """
    for (dropped,) in call(conn, "dropped_tables_called", name=name, found=found):
        raise UnknownTable(
            f"{name} was {dropped}, which was dropped, and now means {found}",
            f"{found} in the file if you mean that table; else jobhooks table unwatch {shell_quoted(dropped)}",
        )


def unknown_table(conn: SyncConnection, name: str, error: UnknownTable, *, command: str) -> UnknownTable:
    """The error for the table ``name``, with the nearest names.

    ``error``: PostgreSQL's error about a relation. ``command``: a command without its table; the remedy is this command
    with the nearest name.
    """
    if getattr(error.__cause__, "sqlstate", None) not in NO_SUCH_NAME:
        return _invalid_name(name, command)
    if is_pattern(name):
        message = f"there is no table {name}: a pattern is for table watch, and stands for no table elsewhere"
        return UnknownTable(message, f"jobhooks table watch '{name}', or the name of one table")
    known = [known for (known,) in call(conn, "names_of_tables")]
    nearest = nearest_names(name, known)
    if not nearest:
        return UnknownTable(f"there is no table {name} in the database {conn.info.dbname}", LIST_TABLES)
    return UnknownTable(f"there is no table {name}{suggestion(name, known)}", f"{command} {shell_quoted(nearest[0])}")


def _invalid_name(name: str, command: str) -> UnknownTable:
    parts = name.count(".") + 1
    if not name.strip(" ."):
        return UnknownTable("the name of a table is empty", f"{command} SCHEMA.TABLE")
    if parts > len(("schema", "table")) and '"' not in name:
        return UnknownTable(f"not a valid name of a table: {name} has {parts} parts", f"{command} SCHEMA.TABLE")
    return UnknownTable(f"not a valid name of a table: {name}", f"{command} {shell_quoted(quoted(name))}")


def shell_quoted(name: str) -> str:
    """A name as a shell takes it: in single quotes if it has double ones."""
    return f"'{name}'" if '"' in name else name


def quoted(name: str) -> str:
    """A name with its parts in double quotes where SQL needs them: ``public."Upper Case"``."""
    schema, dot, table = name.replace('"', "").partition(".")
    return f"{_quoted_part(schema)}{dot}{_quoted_part(table) if dot else ''}"


def _quoted_part(part: str) -> str:
    return part if PLAIN.fullmatch(part) else f'"{part}"'
