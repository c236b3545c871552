"""Reading and writing the live row that a change is about, inside the receiver's transaction.

A row travels as JSON both ways, and PostgreSQL converts it to each column's type. The version of a row is its xmin: a
write matches no row if another transaction has written it since it was read.
"""

from collections.abc import Callable, Iterable, Sequence
from functools import lru_cache
from typing import Any, LiteralString, Protocol, cast

import asyncpg
from psycopg import sql

from jobhooks.contract.change import Change
from jobhooks.contract.changed_object import LoadedRow
from jobhooks.contract.choices import ObjectChangeActionChoices
from jobhooks.contract.content_type import ContentType, ForeignKey
from jobhooks.contract.snapshots import Row, decode_row, encode_row
from jobhooks.errors import UnwatchableTable
from jobhooks.store.connections import SyncConnection, call, execute
from jobhooks.store.queries import find_query

# $1 is the key as JSON, $2 the version, $3 the new values as JSON.
LOAD = "select row_to_json(live)::text, live.xmin::text from {table} as live where {is_key}"
UPDATE = (
    "update {table} as live"
    " set ({columns}) = (select {columns} from json_populate_record(live, $3::text::json))"
    " where {is_key} and live.xmin::text = $2 returning row_to_json(live)::text, live.xmin::text"
)
LOAD_ALL = f"{LOAD} limit $2::bigint"
LOAD_ALL_IN_ORDER = f"{LOAD} order by {{columns}} limit $2::bigint"
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
        self._foreign_keys: dict[tuple[str, str], Sequence[ForeignKey]] = {}  # as they were in this run

    def foreign_keys(self, schema: str, table: str) -> Sequence[ForeignKey]:
        """The foreign keys of a table; none if there is no such table."""
        if (schema, table) not in self._foreign_keys:
            rows = call(self._connect(), "foreign_keys", schema=schema, table=table)
            self._foreign_keys[schema, table] = [_foreign_key(row) for row in rows]
        return self._foreign_keys[schema, table]

    def load_all(self, foreign_key: ForeignKey, key: Row, most: int) -> list[LoadedRow]:
        """Load up to ``most`` rows whose columns of a foreign key have these values, in order of their primary key."""
        template, columns = _load_all(foreign_key)
        statement = _statement(template, foreign_key.by_columns, columns)
        return [_row(row) for row in execute(self._connect(), statement, encode_row(key), most)]

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

    async def reading_all(self, statement: str, *parameters: object) -> list[asyncpg.Record]:
        """Fetch rows, likewise."""
        ...

    async def writing(self, statement: str, *parameters: str) -> asyncpg.Record | None:
        """Run a statement in the transaction and fetch the row that it returns."""
        ...


class AsyncLiveRows:
    """Live rows of an ``async def`` receiver. Loading one does not begin its transaction."""

    def __init__(self, transaction: AsyncTransaction) -> None:
        self._transaction = transaction
        self._foreign_keys: dict[tuple[str, str], Sequence[ForeignKey]] = {}  # as they were in this run

    async def foreign_keys(self, schema: str, table: str) -> Sequence[ForeignKey]:
        """The foreign keys of a table; none if there is no such table."""
        if (schema, table) not in self._foreign_keys:
            query = find_query("foreign_keys")
            rows = await self._transaction.reading_all(query.text, *query.arguments({"schema": schema, "table": table}))
            self._foreign_keys[schema, table] = [_foreign_key(row) for row in rows]
        return self._foreign_keys[schema, table]

    async def load_all(self, foreign_key: ForeignKey, key: Row, most: int) -> list[LoadedRow]:
        """Load up to ``most`` rows whose columns of a foreign key have these values, in order of their primary key."""
        template, columns = _load_all(foreign_key)
        statement = _text(template, foreign_key.by_columns, columns)
        return [_row(row) for row in await self._transaction.reading_all(statement, encode_row(key), most)]

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


def _load_all(foreign_key: ForeignKey) -> tuple[LiteralString, tuple[str, ...]]:
    columns = foreign_key.table.key_columns
    return (LOAD_ALL_IN_ORDER if columns else LOAD_ALL), columns


def _row(row: Any) -> LoadedRow:
    return LoadedRow(decode_row(row[0]), row[1])


def _foreign_key(row: Any) -> ForeignKey:
    """Make one of a row of the query ``foreign_keys``; both drivers' rows are indexed by position."""
    name, columns, types, source, source_key, source_types, target_columns, target_types, target, key, key_types = row
    return ForeignKey(
        name,
        _table(source, source_key, source_types),
        tuple(columns),
        tuple(types),
        _table(target, key, key_types),
        tuple(target_columns),
        tuple(target_types),
    )


def _table(name: Sequence[str], key_columns: Sequence[str], key_types: Sequence[str]) -> ContentType:
    schema, table = name
    return ContentType(0, f"{schema}.{table}", schema, table, tuple(key_columns), tuple(key_types))


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
