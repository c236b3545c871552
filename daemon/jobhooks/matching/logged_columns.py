"""The columns that the log has of the tables of a hook, with the kinds of their values. No I/O."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from jobhooks.matching.cel_kinds import ANY, BOOL, ITEMS, MAP, NOTHING, NUMBER, TEXT, Kinds

# By the kinds of jobhooks.logged_columns.
OF_COLUMNS: Mapping[str, Kinds] = {
    "bool": BOOL | NOTHING,
    "number": NUMBER | NOTHING,
    "numeric": NUMBER | TEXT | NOTHING,  # NaN and the infinities are texts
    "text": TEXT | NOTHING,
    "list": ITEMS | NOTHING,
    "map": MAP | NOTHING,
}


@dataclass(frozen=True)
class Column:
    """A column: its type as PostgreSQL writes it, and the kinds of its values."""

    type: str
    kinds: Kinds


@dataclass(frozen=True)
class LoggedColumns:
    """The columns that the log has of a hook's tables, and those that all its tables leave out."""

    columns: Mapping[str, Column]
    excluded: frozenset[str]


def logged_columns(tables: Iterable[str], rows: Iterable[tuple[Any, ...]]) -> LoggedColumns | None:
    """The columns of tables from rows of ``jobhooks.logged_columns``; null if one of the tables is not known.

    A column that several tables have can have the values of each.
    """
    wanted, found = set(tables), set[str]()
    columns: dict[str, Column] = {}
    excluded: set[str] = set()
    for table, name, type_, kind, is_excluded in rows:
        if table not in wanted:
            continue
        found.add(table)
        if is_excluded:
            excluded.add(name)
            continue
        kinds = OF_COLUMNS.get(kind, ANY)
        known = columns.get(name)
        columns[name] = Column(type_, kinds) if known is None else _both(known, Column(type_, kinds))
    return None if not wanted or found != wanted else LoggedColumns(columns, frozenset(excluded - columns.keys()))


def _both(one: Column, other: Column) -> Column:
    type_ = one.type if other.type in one.type.split(" or ") else f"{one.type} or {other.type}"
    return Column(type_, one.kinds | other.kinds)
