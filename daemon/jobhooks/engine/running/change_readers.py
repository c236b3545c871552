"""Reads for a receiver: the other changes of a change's object, and its live row."""

from collections.abc import Callable, Sequence
from typing import cast

import asyncpg

from jobhooks.contract.change import Change
from jobhooks.contract.changed_object import AsyncChangedObject, ChangedObject
from jobhooks.contract.content_type import ContentType
from jobhooks.engine.running.live_rows import AsyncLiveRows, AsyncTransaction, SyncLiveRows, key_to_load
from jobhooks.store.change_rows import change_of
from jobhooks.store.connections import SyncConnection, call
from jobhooks.store.queries import find_query

SEARCHED = 100_000  # changes of all tables before the one in question, for previous()
SEARCHED_AROUND = 20_000  # of all tables on one side, for the others
MOST_RELATED = 1_000  # on one side


class SyncChangeReader:
    """Reads through the connection of a ``def`` receiver's run: a ``ChangeReader``."""

    __slots__ = ("_connect",)

    def __init__(self, connect: Callable[[], SyncConnection]) -> None:
        self._connect = connect

    def previous(self, change_id: int, content_type: ContentType) -> Change | None:
        """The change of the same object before one."""
        rows = call(self._connect(), "previous_change", change_id=change_id, looked_at=SEARCHED)
        return next(iter(_changes(rows, content_type)), None)

    def next(self, change_id: int, content_type: ContentType) -> Change | None:
        """The change of the same object after one."""
        return next(iter(self._around(change_id, content_type, later=True, most=1)), None)

    def related(self, change_id: int, content_type: ContentType) -> list[Change]:
        """The other changes of the object of a change, the oldest first."""
        before = self._around(change_id, content_type, later=False, most=MOST_RELATED)
        return before[::-1] + self._around(change_id, content_type, later=True, most=MOST_RELATED)

    def changed_object(self, change: Change) -> ChangedObject | None:
        """The live row of a change."""
        key = key_to_load(change)
        if key is None:
            return None
        rows = SyncLiveRows(self._connect)
        loaded = rows.load(change.content_type, key)
        return None if loaded is None else ChangedObject(change.content_type, rows, loaded)

    def _around(self, change_id: int, content_type: ContentType, *, later: bool, most: int) -> list[Change]:
        rows = call(
            self._connect(),
            "changes_of_object",
            change_id=change_id,
            later=later,
            looked_at=SEARCHED_AROUND,
            most=most,
        )
        return _changes(rows, content_type)


class AsyncChangeReader:
    """The same for an ``async def`` receiver. Does not begin its transaction."""

    __slots__ = ("_transaction",)

    def __init__(self, transaction: AsyncTransaction) -> None:
        self._transaction = transaction

    async def previous(self, change_id: int, content_type: ContentType) -> Change | None:
        """The change of the same object before one."""
        found = await self._read("previous_change", {"change_id": change_id, "looked_at": SEARCHED}, content_type)
        return next(iter(found), None)

    async def next(self, change_id: int, content_type: ContentType) -> Change | None:
        """The change of the same object after one."""
        return next(iter(await self._around(change_id, content_type, later=True, most=1)), None)

    async def related(self, change_id: int, content_type: ContentType) -> list[Change]:
        """The other changes of the object of a change, the oldest first."""
        before = await self._around(change_id, content_type, later=False, most=MOST_RELATED)
        return before[::-1] + await self._around(change_id, content_type, later=True, most=MOST_RELATED)

    async def changed_object(self, change: Change) -> AsyncChangedObject | None:
        """The live row of a change."""
        key = key_to_load(change)
        if key is None:
            return None
        rows = AsyncLiveRows(self._transaction)
        loaded = await rows.load(change.content_type, key)
        return None if loaded is None else AsyncChangedObject(change.content_type, rows, loaded)

    async def _around(self, change_id: int, content_type: ContentType, *, later: bool, most: int) -> list[Change]:
        values: dict[str, object] = {"change_id": change_id, "later": later, "looked_at": SEARCHED_AROUND, "most": most}
        return await self._read("changes_of_object", values, content_type)

    async def _read(self, name: str, values: dict[str, object], content_type: ContentType) -> list[Change]:
        query = find_query(name)
        rows = await self._transaction.reading_all(query.text, *query.arguments(values))
        return _changes(rows, content_type)


def _changes(rows: Sequence[object], content_type: ContentType) -> list[Change]:
    # Both drivers' rows are indexed by position, which is all that change_of needs.
    return [change_of(cast("asyncpg.Record", row), {content_type.id: content_type}) for row in rows]
