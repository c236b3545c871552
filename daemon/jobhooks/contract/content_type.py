"""A watched table, as changes and receivers refer to it."""

from dataclasses import dataclass


@dataclass(frozen=True)
class ContentType:
    """A watched table. ``name`` is ``schema.table``; without ``key_columns`` its rows have no identity.

    ``schema`` and ``table`` are the bare names of the table, null after it is dropped; ``key_types`` are SQL's names
    for the types of the key columns. A change of ``ignored_columns`` alone does not count as a change.
    """

    id: int
    name: str
    schema: str | None
    table: str | None
    key_columns: tuple[str, ...]
    key_types: tuple[str, ...]
    ignored_columns: frozenset[str] = frozenset()
