"""A watched table, and a foreign key between tables, as changes and receivers refer to them."""

from dataclasses import dataclass, replace


@dataclass(frozen=True)
class ContentType:
    """A watched table. ``name`` is ``schema.table``; without ``key_columns`` its rows have no identity.

    ``schema`` and ``table`` are the bare names of the table, null after it is dropped; ``key_types`` are SQL's names
    for the types of the key columns. A change of ``ignored_columns`` alone does not count as a change. ``parents``:
    a change of this table is also an update of these tables; ``is_parent``: it is the active parent of a table.
    """

    id: int
    name: str
    schema: str | None
    table: str | None
    key_columns: tuple[str, ...]
    key_types: tuple[str, ...]
    ignored_columns: frozenset[str] = frozenset()
    parents: tuple["Parent", ...] = ()
    is_parent: bool = False


@dataclass(frozen=True)
class Parent:
    """A parent of a table. ``columns`` of the child hold its key. Inactive: only pending deliveries refer to it."""

    content_type: ContentType
    columns: tuple[str, ...]
    is_active: bool = True


@dataclass(frozen=True)
class ForeignKey:
    """A foreign key: ``columns`` of ``table`` refer to ``target_columns`` of ``target``.

    ``column_types`` and ``target_types`` are SQL's names for their types. Both tables have their primary keys as
    ``key_columns``, and need not be watched.
    """

    name: str
    table: ContentType
    columns: tuple[str, ...]
    column_types: tuple[str, ...]
    target: ContentType
    target_columns: tuple[str, ...]
    target_types: tuple[str, ...]

    @property
    def by_columns(self) -> ContentType:
        """The table, with the columns of this foreign key as if they were its key."""
        return replace(self.table, key_columns=self.columns, key_types=self.column_types)

    @property
    def target_by_columns(self) -> ContentType:
        """The other table, likewise."""
        return replace(self.target, key_columns=self.target_columns, key_types=self.target_types)
