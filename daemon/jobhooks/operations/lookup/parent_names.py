"""Parents of a table as people write them: ``public.device=device_id``, or ``device`` alone."""

from collections.abc import Iterable

import msgspec

from jobhooks.operations.lookup.table_names import full_name
from jobhooks.store.connections import SyncConnection


def parents_json(conn: SyncConnection, parents: Iterable[str]) -> str:
    """The argument of ``jobhooks.watch`` and ``jobhooks.set_parents`` for these parents.

    Raises:
        UnknownTable: there is no such table.
    """
    return msgspec.json.encode([_parent(conn, text) for text in parents]).decode()


def _parent(conn: SyncConnection, text: str) -> dict[str, object]:
    name, equals, columns = text.rpartition("=")
    parent: dict[str, object] = {"columns": [column.strip() for column in columns.split(",")]} if equals else {}
    return {"table": full_name(conn, name if equals else text, command="jobhooks table watch"), **parent}


def listed_parents(wanted: Iterable[str], listed: Iterable[str]) -> list[str]:
    """The wanted parents with the columns of the ``listed`` ones, if they name no columns and list the table once."""
    found: list[str] = []
    for text in wanted:
        same = [each for each in listed if each.startswith(f"{text}=")]
        found.append(same[0] if len(same) == 1 else text)
    return found
