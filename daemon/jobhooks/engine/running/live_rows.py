"""Reading and writing the live row that a change is about, inside the receiver's transaction.

A row travels as JSON both ways, and PostgreSQL converts it to each column's type. The version of a row is its xmin: a
write matches no row if another transaction has written it since it was read.
"""

from collections.abc import Callable, Iterable
from functools import lru_cache
from typing import LiteralString, Protocol, cast

import asyncpg
from psycopg import sql

from jobhooks.contract.change import Change
from jobhooks.contract.changed_object import LoadedRow
from jobhooks.contract.choices import ObjectChangeActionChoices
from jobhooks.contract.content_type import ContentType
from jobhooks.contract.snapshots import Row, decode_row, encode_row
from jobhooks.errors import UnwatchableTable
from jobhooks.store.connections import SyncConnection, execute

# $1 is the key as JSON, $2 the version, $3 the new values as JSON.
LOAD = "select row_to_json(live)::text, live.xmin::text from {table} as live where {is_key}"
UPDATE = (
    "update {table} as live"
    " set ({columns}) = (select {columns} from json_populate_record(live, $3::text::json))"
    " where {is_key} and live.xmin::text = $2 returning row_to_json(live)::text, live.xmin::text"
)
DELETE = "delete from {table} as live where {is_key} and live.xmin::text = $2 returning live.xmin::text"
# After a delete, a new row may have the same key, but it is another object.
WITHOUT_ROW = (ObjectChangeActionChoices.ACTION_DELETE, ObjectChangeActionChoices.ACTION_TRUNCATE)
IS_KEY = "live.{column} = (select key.{column} from json_to_record($1::text::json) as key ({column} {type}))"


def key_to_load(change: Change) -> Row | None:
    """The key of the row to read for ``change``, or None if there is no row to read.

    Raises:
        UnwatchableTable: the table's key columns have changed since it was watched.
    """
    content_type = change.content_type
    if content_type.table is None or not content_type.key_columns or change.action in WITHOUT_ROW:
        return None
    key = change.object_key()
    if key is None:
        raise UnwatchableTable(
            f"cannot tell which row of {content_type.name} change {change.id} is about: it has no"
            f" {', '.join(content_type.key_columns)}; if the key was renamed, watch the table again"
        )
    return key


class SyncLiveRows:
    """Live rows through psycopg. ``connect`` returns the connection of the run."""

    def __init__(self, connect: Callable[[], SyncConnection]) -> None:
        self._connect = connect

    def load(self, content_type: ContentType, key: Row) -> LoadedRow | None:
        """Load the row with this key."""
        return _loaded(self._fetch(_statement(LOAD, content_type), encode_row(key)))

    def update(self, content_type: ContentType, key: Row, version: str, values: Row) -> LoadedRow | None:
        """Write ``values`` and return the new row; None if the version is not current."""
        statement = _statement(UPDATE, content_type, values)
        return _loaded(self._fetch(statement, encode_row(key), version, encode_row(values)))

    def delete(self, content_type: ContentType, key: Row, version: str) -> bool:
        """Delete the row; False if the version is not current."""
        return self._fetch(_statement(DELETE, content_type), encode_row(key), version) is not None

    def _fetch(self, statement: sql.Composed, *parameters: str) -> tuple[str, ...] | None:
        rows = execute(self._connect(), statement, *parameters)
        return rows[0] if rows else None


class AsyncTransaction(Protocol):
    """The part of an ``async def`` run's transaction that live rows need."""

    async def reading(self, statement: str, *parameters: object) -> asyncpg.Record | None:
        """Fetch one row: in the transaction if it has begun, else without beginning it."""
        ...

    async def writing(self, statement: str, *parameters: str) -> asyncpg.Record | None:
        """Run a statement in the transaction and fetch the row that it returns."""
        ...


class AsyncLiveRows:
    """Live rows of an ``async def`` receiver. Loading one does not begin its transaction."""

    def __init__(self, transaction: AsyncTransaction) -> None:
        self._transaction = transaction

    async def load(self, content_type: ContentType, key: Row) -> LoadedRow | None:
        """Load the row with this key."""
        return _loaded(await self._transaction.reading(_text(LOAD, content_type), encode_row(key)))

    async def update(self, content_type: ContentType, key: Row, version: str, values: Row) -> LoadedRow | None:
        """Write ``values`` and return the new row; None if the version is not current."""
        statement = _text(UPDATE, content_type, tuple(values))
        return _loaded(await self._transaction.writing(statement, encode_row(key), version, encode_row(values)))

    async def delete(self, content_type: ContentType, key: Row, version: str) -> bool:
        """Delete the row; False if the version is not current."""
        return await self._transaction.writing(_text(DELETE, content_type), encode_row(key), version) is not None


@lru_cache(maxsize=1000)
def _text(template: LiteralString, content_type: ContentType, columns: tuple[str, ...] = ()) -> str:
    return _statement(template, content_type, columns).as_string(None)


def _loaded(row: tuple[str, ...] | asyncpg.Record | None) -> LoadedRow | None:
    return None if row is None else LoadedRow(decode_row(row[0]), row[1])


def _statement(template: LiteralString, content_type: ContentType, columns: Iterable[str] = ()) -> sql.Composed:
    assert content_type.schema is not None and content_type.table is not None
    table = sql.Identifier(content_type.schema, content_type.table)
    is_key = sql.SQL(" and ").join(
        # PostgreSQL wrote the name of the type, quoted if need be.
        sql.SQL(IS_KEY).format(column=sql.Identifier(column), type=sql.SQL(cast("LiteralString", type_name)))
        for column, type_name in zip(content_type.key_columns, content_type.key_types, strict=True)
    )
    return sql.SQL(template).format(
        table=table, is_key=is_key, columns=sql.SQL(", ").join(map(sql.Identifier, columns))
    )
