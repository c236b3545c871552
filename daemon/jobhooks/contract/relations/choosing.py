"""Finds the foreign key that an author means, and explains a name without one. Pure."""

import difflib
from collections.abc import Collection, Sequence

from jobhooks.contract.content_type import ContentType, ForeignKey

MOST_RELATED = 10_000  # rows of one call of related()
# Names that objects of Nautobot's have, and rows have not, with the remedy.
OF_NAUTOBOT = {
    "cf": "custom fields are Nautobot's",
    "custom_field_data": "custom fields are Nautobot's; read the column _custom_field_data, if the table has it",
    "get_custom_fields": "custom fields are Nautobot's",
    "objects": "there are no managers: use related(), or a query through self.connection",
    "tags": "tags are rows of another table: use related(), or a query through self.connection",
    "full_clean": "the database checks values when they are saved",
    "clean": "the database checks values when they are saved",
}


def column_of_reference(name: str) -> str:
    """The column that holds the key of a reference: ``site_id`` for ``site``."""
    return f"{name}_id"


def foreign_key_of(name: str, keys: Sequence[ForeignKey]) -> ForeignKey | None:
    """The foreign key of a reference: the one with the fewest columns that has ``site_id`` for ``site``."""
    column = column_of_reference(name)
    return min((key for key in keys if column in key.columns), key=lambda key: len(key.columns), default=None)


def referring_key(target: ContentType, table: str, column: str | None, keys: Sequence[ForeignKey]) -> ForeignKey:
    """The foreign key from the rows of ``table`` to those of ``target``.

    Raises:
        LookupError: there is no such key, or ``column`` does not choose one of several.
    """
    found = [key for key in keys if (key.target.schema, key.target.table) == (target.schema, target.table)]
    chosen = [key for key in found if column is None or column in key.columns]
    if len(chosen) == 1:
        return chosen[0]
    if not found:
        raise LookupError(f"{table} has no foreign key to {target.name}, or there is no such table")
    names = "; ".join(", ".join(key.columns) for key in found)
    if not chosen:
        raise LookupError(f"{table} has no foreign key to {target.name} with the column {column}; its columns: {names}")
    raise LookupError(
        f"{table} has {len(chosen)} foreign keys to {target.name}: name a column of one,"
        f" related({table!r}, column={chosen[0].columns[0]!r}); their columns: {names}"
    )


def table_called(name: str, beside: ContentType) -> tuple[str, str]:
    """The schema and the table of a name; without a schema, that of another table."""
    schema, dot, table = name.partition(".")
    return (schema, table) if dot else (beside.schema or "public", name)


def unknown_column(table: str, name: str, columns: Collection[str]) -> str:
    """The message for a name that is no column: with the nearest one first, if one is near."""
    if name in OF_NAUTOBOT:
        return f"{table} has no column {name}: {OF_NAUTOBOT[name]}; it has {', '.join(columns)}"
    likely = [column_of_reference(name)] if column_of_reference(name) in columns else []
    near = likely or difflib.get_close_matches(name, columns, 1)
    hint = f"did you mean {near[0]}? " if near else ""
    reason = " and no foreign key in it" if likely else ""
    return f"{hint}{table} has no column {name}{reason}; it has {', '.join(columns)}"
