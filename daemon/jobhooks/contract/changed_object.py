"""The live row of a change: its columns as attributes, and saving assigned values.

Values have the types of snapshots (text, int, Decimal, bool, list, dict, null). So the two compare, and a snapshot's
value can be assigned back for every column type.
"""

import datetime
from collections.abc import Awaitable, Callable, Generator, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Generic, NoReturn, Protocol, Self, TypeVar

from jobhooks.contract.change import Change
from jobhooks.contract.content_type import ContentType, ForeignKey
from jobhooks.contract.relations.choosing import (
    MOST_RELATED,
    column_of_reference,
    foreign_key_of,
    referring_key,
    table_called,
    unknown_column,
)
from jobhooks.contract.snapshots import Row, encode_row
from jobhooks.errors import StaleObject, UnwatchableTable


@dataclass(frozen=True)
class LoadedRow:
    """A row as it was read: its columns, and the version that a write compares against."""

    columns: Row
    version: str


class Rows(Protocol):
    """Reads and writes a live row in the receiver's transaction. Null: no such row or version exists.

    ``load_all``: the rows whose columns of a foreign key have these values; ``foreign_keys``: those of a table.
    """

    def load(self, content_type: ContentType, key: Row) -> LoadedRow | None: ...
    def load_all(self, foreign_key: ForeignKey, key: Row, most: int, /) -> list[LoadedRow]: ...
    def foreign_keys(self, schema: str, table: str) -> Sequence[ForeignKey]: ...
    def update(self, content_type: ContentType, key: Row, version: str, values: Row) -> LoadedRow | None: ...
    def delete(self, content_type: ContentType, key: Row, version: str) -> bool: ...


class AsyncRows(Protocol):
    """The same for an ``async def`` receiver."""

    async def load(self, content_type: ContentType, key: Row) -> LoadedRow | None: ...
    async def load_all(self, foreign_key: ForeignKey, key: Row, most: int, /) -> list[LoadedRow]: ...
    async def foreign_keys(self, schema: str, table: str) -> Sequence[ForeignKey]: ...
    async def update(self, content_type: ContentType, key: Row, version: str, values: Row) -> LoadedRow | None: ...
    async def delete(self, content_type: ContentType, key: Row, version: str) -> bool: ...


RowsT = TypeVar("RowsT", Rows, AsyncRows)
OWN_ATTRIBUTES = ("_content_type", "_rows", "_loaded", "_assigned", "_followed")


class LiveRow(Generic[RowsT]):
    """The columns of a row as attributes, and as items for columns whose name is taken (``save``, ``delete``)."""

    _content_type: ContentType
    _rows: RowsT
    _loaded: LoadedRow
    _assigned: Row
    _followed: "dict[tuple[str, str], Any] | None" = None  # rows that were reached by foreign keys

    def __init__(self, content_type: ContentType, rows: RowsT, loaded: LoadedRow) -> None:
        self._content_type = content_type
        self._rows = rows
        self._loaded = loaded
        self._assigned = {}

    def __getattr__(self, name: str) -> Any:
        loaded: LoadedRow | None = self.__dict__.get("_loaded")
        if loaded is None:  # it is being copied
            raise AttributeError(name)
        columns = loaded.columns
        if name in columns:
            return self._assigned.get(name, columns[name])
        if column_of_reference(name) in columns:
            return self._follow(name)
        raise AttributeError(unknown_column(self._content_type.name, name, columns))

    def _follow(self, name: str) -> Any:
        """The row that a foreign key leads to."""
        raise NotImplementedError

    def unsaved(self) -> list[str]:
        """The columns that were assigned and not saved, also those of rows that were reached from this one."""
        names = [f"{self._content_type.name}.{name}" for name in self._assigned]
        reached = [row for row in (self._followed or {}).values() if row is not None]
        return names + [name for row in reached for name in row.unsaved()]

    def __setattr__(self, name: str, value: object) -> None:
        if name in OWN_ATTRIBUTES:
            object.__setattr__(self, name, value)
            return
        try:
            self[name] = value
        except KeyError as error:
            raise AttributeError(error.args[0]) from None

    def __getitem__(self, name: str) -> object:
        self._check_column(name)
        return self._assigned.get(name, self._loaded.columns[name])

    def __setitem__(self, name: str, value: object) -> None:
        self._check_column(name)
        self._assigned[name] = value

    def __iter__(self) -> Iterator[str]:
        return iter(self._loaded.columns)

    def has_moved_on(self, change: Change, *columns: str) -> bool:
        """Whether the row no longer has what ``change`` wrote, in ``columns``, or in all that it changed.

        A change is history, and the row is as it is now: a later change, also one of the same transaction, has a run
        of its own. A receiver that writes back an earlier value asks this first.

        Raises:
            KeyError: the row has no such column.
        """
        written = change.postchange
        if written is None:
            return True
        changed = columns or tuple(change.get_snapshots()["differences"]["added"] or {})
        return any(not _is_same(self._loaded_value(name), written.get(name)) for name in changed)

    def _loaded_value(self, name: str) -> object:
        self._check_column(name)
        return self._loaded.columns[name]

    @property
    def pk(self) -> object:
        """The key: a value, or a dict for a key of several columns. A column of that name goes first."""
        if "pk" in self._loaded.columns:
            return self["pk"]
        key = self._key()
        return next(iter(key.values())) if len(key) == 1 else key

    def __repr__(self) -> str:
        columns = self._content_type.key_columns
        key = " ".join(f"{name}={self._loaded.columns[name]}" for name in columns)
        return f"{self._content_type.name} {key}"

    def _check_column(self, name: str) -> None:
        if name not in self._loaded.columns:
            raise KeyError(unknown_column(self._content_type.name, name, self._loaded.columns))

    def _values_for(self, key: ForeignKey) -> Row | None:
        """The key of the row that a foreign key of this table leads to; null if it leads nowhere."""
        values = dict(zip(key.target_columns, (self[column] for column in key.columns), strict=True))
        return None if None in values.values() else values

    def _values_of(self, key: ForeignKey) -> Row | None:
        """The values in the foreign key of the rows that refer to this one."""
        values = dict(zip(key.columns, (self._loaded.columns[name] for name in key.target_columns), strict=True))
        return None if None in values.values() else values

    def _remember(self, name: tuple[str, str], row: Any) -> Any:
        if self._followed is None:
            self._followed = {}
        self._followed[name] = row
        return row

    def _made(self, content_type: ContentType, loaded: LoadedRow | None) -> Self | None:
        return None if loaded is None else type(self)(content_type, self._rows, loaded)

    def _related(self, key: ForeignKey, loaded: list[LoadedRow]) -> list[Self]:
        if len(loaded) > MOST_RELATED:
            raise LookupError(
                f"more than {MOST_RELATED} rows of {key.table.name} refer to {self!r}: query them through"
                " self.connection"
            )
        return [type(self)(key.table, self._rows, each) for each in loaded]

    def _key(self) -> Row:
        if not self._content_type.key_columns:
            raise UnwatchableTable(
                f"{self._content_type.name} has no primary key, so a row of it cannot be written or read again:"
                " use self.connection"
            )
        return {name: self._loaded.columns[name] for name in self._content_type.key_columns}

    def _take(self, loaded: LoadedRow | None) -> None:
        """Replace the values by those read or written back; assigned values are already saved or discarded."""
        if loaded is None:
            raise self._stale()
        self._loaded = loaded
        self._assigned = {}
        self._followed = None

    def _stale(self) -> StaleObject:
        return StaleObject(f"{self!r} was changed or deleted by someone else after the receiver read it")


def _is_same(live: object, written: object) -> bool:
    """Whether two values are the same; a time with a zone is written in the zone of each session."""
    if live == written or not (isinstance(live, str) and isinstance(written, str)):
        return live == written
    try:
        return datetime.datetime.fromisoformat(live) == datetime.datetime.fromisoformat(written)
    except ValueError:
        return False


class ChangedObject(LiveRow[Rows]):
    """The live row, for a ``def`` receiver."""

    def _follow(self, name: str) -> "ChangedObject | None":
        own = self._content_type
        key = foreign_key_of(name, self._rows.foreign_keys(own.schema or "", own.table or ""))
        if key is None:
            raise AttributeError(unknown_column(own.name, name, self._loaded.columns))
        values = self._values_for(key)
        if values is None:
            return None
        place = (key.name, encode_row(values))
        if self._followed is not None and place in self._followed:
            return self._followed[place]
        loaded = self._rows.load(key.target_by_columns, values)
        return self._remember(place, self._made(key.target, loaded))

    def related(self, table: str, column: str | None = None) -> list[Self]:
        """The rows of ``table`` that refer to this one by a foreign key. ``column`` chooses one of several keys.

        Raises:
            LookupError: there is no such foreign key, there are several, or more than 10,000 rows.
        """
        schema, name = table_called(table, self._content_type)
        keys = self._rows.foreign_keys(schema, name)
        key = referring_key(self._content_type, f"{schema}.{name}", column, keys)
        values = self._values_of(key)
        return [] if values is None else self._related(key, self._rows.load_all(key, values, MOST_RELATED + 1))

    def save(self) -> None:
        """Write the assigned columns, and no others.

        Raises:
            StaleObject: another session changed or deleted the row since it was read.
        """
        if self._assigned:
            self._take(self._rows.update(self._content_type, self._key(), self._loaded.version, self._assigned))

    def validated_save(self) -> None:
        """The same as ``save``: the database checks the values."""
        self.save()

    def refresh(self) -> None:
        """Read the row again, and discard assigned values.

        Raises:
            StaleObject: the row no longer exists.
        """
        self._take(self._rows.load(self._content_type, self._key()))

    def refresh_from_db(self) -> None:
        """The same as ``refresh``."""
        self.refresh()

    def delete(self) -> None:
        """Delete the row.

        Raises:
            StaleObject: another session changed or deleted the row since it was read.
        """
        if not self._rows.delete(self._content_type, self._key(), self._loaded.version):
            raise self._stale()


class FollowedRow:
    """A row that is read when this is awaited. It is no coroutine, so that one that is not awaited does no harm."""

    __slots__ = ("_load", "_name")

    def __init__(self, load: Callable[[str], Awaitable[Any]], name: str) -> None:
        self._load = load
        self._name = name

    def __await__(self) -> Generator[Any, Any, Any]:
        return self._load(self._name).__await__()

    def __getattr__(self, name: str) -> NoReturn:
        raise AttributeError(f"{self._name} is read when it is awaited: (await changed_object.{self._name}).{name}")


class AsyncChangedObject(LiveRow[AsyncRows]):
    """The live row for an ``async def`` receiver: like ``ChangedObject``, with methods to await."""

    def _follow(self, name: str) -> "FollowedRow":
        return FollowedRow(self._load_followed, name)

    async def _load_followed(self, name: str) -> "AsyncChangedObject | None":
        own = self._content_type
        key = foreign_key_of(name, await self._rows.foreign_keys(own.schema or "", own.table or ""))
        if key is None:
            raise AttributeError(unknown_column(own.name, name, self._loaded.columns))
        values = self._values_for(key)
        if values is None:
            return None
        place = (key.name, encode_row(values))
        if self._followed is not None and place in self._followed:
            return self._followed[place]
        loaded = await self._rows.load(key.target_by_columns, values)
        return self._remember(place, self._made(key.target, loaded))

    async def related(self, table: str, column: str | None = None) -> list[Self]:
        """The rows of ``table`` that refer to this one, like ``ChangedObject.related``."""
        schema, name = table_called(table, self._content_type)
        keys = await self._rows.foreign_keys(schema, name)
        key = referring_key(self._content_type, f"{schema}.{name}", column, keys)
        values = self._values_of(key)
        return [] if values is None else self._related(key, await self._rows.load_all(key, values, MOST_RELATED + 1))

    async def save(self) -> None:
        """Write the assigned columns, like ``ChangedObject.save``."""
        if self._assigned:
            self._take(await self._rows.update(self._content_type, self._key(), self._loaded.version, self._assigned))

    async def validated_save(self) -> None:
        """The same as ``save``."""
        await self.save()

    async def refresh(self) -> None:
        """Read the row again, like ``ChangedObject.refresh``."""
        self._take(await self._rows.load(self._content_type, self._key()))

    async def refresh_from_db(self) -> None:
        """The same as ``refresh``."""
        await self.refresh()

    async def delete(self) -> None:
        """Delete the row, like ``ChangedObject.delete``."""
        if not await self._rows.delete(self._content_type, self._key(), self._loaded.version):
            raise self._stale()
