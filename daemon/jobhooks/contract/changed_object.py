"""The live row of a change: its columns as attributes, and saving assigned values.

Values have the types of snapshots (text, int, Decimal, bool, list, dict, null). So the two compare, and a snapshot's
value can be assigned back for every column type.
"""

import datetime
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

from jobhooks.contract.change import Change
from jobhooks.contract.content_type import ContentType
from jobhooks.contract.snapshots import Row
from jobhooks.errors import StaleObject


@dataclass(frozen=True)
class LoadedRow:
    """A row as it was read: its columns, and the version that a write compares against."""

    columns: Row
    version: str


class Rows(Protocol):
    """Reads and writes a live row in the receiver's transaction. Null: no such row or version exists."""

    def load(self, content_type: ContentType, key: Row) -> LoadedRow | None: ...
    def update(self, content_type: ContentType, key: Row, version: str, values: Row) -> LoadedRow | None: ...
    def delete(self, content_type: ContentType, key: Row, version: str) -> bool: ...


class AsyncRows(Protocol):
    """The same for an ``async def`` receiver."""

    async def load(self, content_type: ContentType, key: Row) -> LoadedRow | None: ...
    async def update(self, content_type: ContentType, key: Row, version: str, values: Row) -> LoadedRow | None: ...
    async def delete(self, content_type: ContentType, key: Row, version: str) -> bool: ...


RowsT = TypeVar("RowsT", Rows, AsyncRows)
OWN_ATTRIBUTES = ("_content_type", "_rows", "_loaded", "_assigned")


class LiveRow(Generic[RowsT]):
    """The columns of a row as attributes, and as items for columns whose name is taken (``save``, ``delete``)."""

    _content_type: ContentType
    _rows: RowsT
    _loaded: LoadedRow
    _assigned: Row

    def __init__(self, content_type: ContentType, rows: RowsT, loaded: LoadedRow) -> None:
        self._content_type = content_type
        self._rows = rows
        self._loaded = loaded
        self._assigned = {}

    def __getattr__(self, name: str) -> object:
        try:
            return self[name]
        except KeyError as error:
            raise AttributeError(error.args[0]) from None

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

    def __repr__(self) -> str:
        key = " ".join(f"{name}={value}" for name, value in self._key().items())
        return f"{self._content_type.name} {key}"

    def _check_column(self, name: str) -> None:
        if name not in self._loaded.columns:
            known = ", ".join(self._loaded.columns)
            raise KeyError(f"{self._content_type.name} has no column {name}; it has {known}")

    def _key(self) -> Row:
        return {name: self._loaded.columns[name] for name in self._content_type.key_columns}

    def _take(self, loaded: LoadedRow | None) -> None:
        """Replace the values by those read or written back; assigned values are already saved or discarded."""
        if loaded is None:
            raise self._stale()
        self._loaded = loaded
        self._assigned = {}

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

    def save(self) -> None:
        """Write the assigned columns, and no others.

        Raises:
            StaleObject: another session changed or deleted the row since it was read.
        """
        if self._assigned:
            self._take(self._rows.update(self._content_type, self._key(), self._loaded.version, self._assigned))

    def refresh(self) -> None:
        """Read the row again, and discard assigned values.

        Raises:
            StaleObject: the row no longer exists.
        """
        self._take(self._rows.load(self._content_type, self._key()))

    def delete(self) -> None:
        """Delete the row.

        Raises:
            StaleObject: another session changed or deleted the row since it was read.
        """
        if not self._rows.delete(self._content_type, self._key(), self._loaded.version):
            raise self._stale()


class AsyncChangedObject(LiveRow[AsyncRows]):
    """The live row for an ``async def`` receiver: like ``ChangedObject``, with methods to await."""

    async def save(self) -> None:
        """Write the assigned columns, like ``ChangedObject.save``."""
        if self._assigned:
            self._take(await self._rows.update(self._content_type, self._key(), self._loaded.version, self._assigned))

    async def refresh(self) -> None:
        """Read the row again, like ``ChangedObject.refresh``."""
        self._take(await self._rows.load(self._content_type, self._key()))

    async def delete(self) -> None:
        """Delete the row, like ``ChangedObject.delete``."""
        if not await self._rows.delete(self._content_type, self._key(), self._loaded.version):
            raise self._stale()
