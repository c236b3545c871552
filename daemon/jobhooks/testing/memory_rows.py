"""Rows in memory, for a receiver that runs without a database: the live row, and those that foreign keys lead to."""

from collections.abc import Mapping, Sequence
from typing import Any, NoReturn

from jobhooks.contract.change import Change
from jobhooks.contract.changed_object import AsyncChangedObject, ChangedObject, LoadedRow
from jobhooks.contract.content_type import ContentType, ForeignKey
from jobhooks.contract.relations.choosing import column_of_reference
from jobhooks.contract.snapshots import Row, decode_row, encode_row

Related = Mapping[str, Mapping[str, object] | Sequence[Mapping[str, object]]]


class MemoryRows:
    """The live row, with its ``columns`` (null where the row has no value), and the rows of ``related``.

    ``related``: a row by the name of the reference (``site``), or rows by the table that refers (``public.interface``).
    """

    def __init__(self, content_type: ContentType, columns: Row | None, related: Related | None = None) -> None:
        self._content_type = content_type
        self.columns = columns
        self.version = 1
        self._others: dict[str, list[Row]] = {}
        self._keys: list[ForeignKey] = []
        for name, rows in (related or {}).items():
            self._add(name, rows)

    def _add(self, name: str, rows: Mapping[str, object] | Sequence[Mapping[str, object]]) -> None:
        own = self._content_type
        schema, _, table = name.rpartition(".")
        other = ContentType(0, f"{schema or own.schema}.{table}", schema or own.schema, table, ("id",), ("bigint",))
        listed = [rows] if isinstance(rows, Mapping) else rows
        self._others[other.name] = [decode_row(encode_row(dict(row))) for row in listed]
        if isinstance(rows, Mapping):
            key = ForeignKey(name, own, (column_of_reference(name),), ("bigint",), other, ("id",), ("bigint",))
        else:
            key = ForeignKey(name, other, own.key_columns, own.key_types, own, own.key_columns, own.key_types)
        self._keys.append(key)

    def foreign_keys(self, schema: str, table: str) -> Sequence[ForeignKey]:
        """The foreign keys of a table, as far as ``related`` has rows for them."""
        found = [key for key in self._keys if (key.table.schema, key.table.table) == (schema, table)]
        if not found:
            _not_given(f"{schema}.{table}")
        return found

    def load_all(self, foreign_key: ForeignKey, _key: Row, most: int) -> list[LoadedRow]:
        """All rows that refer."""
        return [LoadedRow(dict(row), "1") for row in self._others[foreign_key.table.name][:most]]

    def load(self, content_type: ContentType, key: Row) -> LoadedRow | None:
        """The live row, or another."""
        if content_type.name != self._content_type.name:
            found = self._other(content_type, key)
            return None if found is None else LoadedRow(dict(found), "1")
        return None if self.columns is None else LoadedRow(dict(self.columns), str(self.version))

    def update(self, content_type: ContentType, key: Row, version: str, values: Row) -> LoadedRow | None:
        """Write values to a row."""
        written = decode_row(encode_row(values))
        if content_type.name != self._content_type.name:
            found = self._other(content_type, key)
            return None if found is None else LoadedRow(found | written, "1")
        if self.columns is None or version != str(self.version):
            return None
        self.columns = {**self.columns, **written}
        self.version += 1
        return self.load(content_type, key)

    def delete(self, content_type: ContentType, key: Row, version: str) -> bool:
        """Delete the live row, or another."""
        if content_type.name != self._content_type.name:
            found = self._other(content_type, key)
            if found is not None:
                self._others[content_type.name].remove(found)
            return found is not None
        if self.columns is None or version != str(self.version):
            return False
        self.columns = None
        self.version += 1
        return True

    def _other(self, content_type: ContentType, key: Row) -> Row | None:
        rows = self._others[content_type.name]
        return next((row for row in rows if all(row.get(name, value) == value for name, value in key.items())), None)


def _not_given(table: str) -> NoReturn:
    raise RuntimeError(
        f"the receiver asks for the foreign keys of {table}, and there is no database: pass"
        " receive(..., related={'site': {...}, 'public.interface': [...]}), or test it with the fixture run_hooks"
    )


class AsyncMemoryRows:
    """The same, to be awaited."""

    def __init__(self, rows: MemoryRows) -> None:
        self._rows = rows

    async def foreign_keys(self, schema: str, table: str) -> Sequence[ForeignKey]:
        """As there."""
        return self._rows.foreign_keys(schema, table)

    async def load_all(self, foreign_key: ForeignKey, key: Row, most: int) -> list[LoadedRow]:
        """As there."""
        return self._rows.load_all(foreign_key, key, most)

    async def load(self, content_type: ContentType, key: Row) -> LoadedRow | None:
        """As there."""
        return self._rows.load(content_type, key)

    async def update(self, content_type: ContentType, key: Row, version: str, values: Row) -> LoadedRow | None:
        """As there."""
        return self._rows.update(content_type, key, version, values)

    async def delete(self, content_type: ContentType, key: Row, version: str) -> bool:
        """As there."""
        return self._rows.delete(content_type, key, version)


class MemoryChanges:
    """A ``ChangeReader`` without a log: there are no other changes."""

    def __init__(self, rows: MemoryRows) -> None:
        self._rows = rows

    def previous(self, _change_id: int, _content_type: ContentType) -> Any:
        """None."""
        return None

    def next(self, _change_id: int, _content_type: ContentType) -> Any:
        """None."""
        return None

    def related(self, _change_id: int, _content_type: ContentType) -> Any:
        """Nothing."""
        return []

    def changed_object(self, change: Change) -> Any:
        """The live row."""
        loaded = self._loaded(change)
        return None if loaded is None else ChangedObject(change.content_type, self._rows, loaded)

    def _loaded(self, change: Change) -> LoadedRow | None:
        return self._rows.load(change.content_type, {}) if change.content_type.key_columns else None


class AsyncMemoryChanges(MemoryChanges):
    """The same, to be awaited."""

    async def previous(self, _change_id: int, _content_type: ContentType) -> Any:
        """None."""
        return None

    async def next(self, _change_id: int, _content_type: ContentType) -> Any:
        """None."""
        return None

    async def related(self, _change_id: int, _content_type: ContentType) -> Any:
        """Nothing."""
        return []

    async def changed_object(self, change: Change) -> Any:
        """The live row."""
        loaded = self._loaded(change)
        rows = AsyncMemoryRows(self._rows)
        return None if loaded is None else AsyncChangedObject(change.content_type, rows, loaded)
