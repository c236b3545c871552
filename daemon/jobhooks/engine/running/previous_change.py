"""Finding the change of an object before one, for ``change.previous()``."""

from collections.abc import Callable
from typing import cast

import asyncpg

from jobhooks.contract.change import Change
from jobhooks.contract.content_type import ContentType
from jobhooks.engine.running.live_rows import AsyncTransaction
from jobhooks.store.change_rows import change_of
from jobhooks.store.connections import SyncConnection, call
from jobhooks.store.queries import queries

SEARCHED = 100_000  # changes of all tables before the one in question


def previous_change(connect: Callable[[], SyncConnection], change_id: int, content_type: ContentType) -> Change | None:
    """Search through the connection of a ``def`` receiver's run."""
    rows = call(connect(), "previous_change", change_id=change_id, looked_at=SEARCHED)
    return _change(rows[0] if rows else None, content_type)


async def previous_change_async(
    transaction: AsyncTransaction, change_id: int, content_type: ContentType
) -> Change | None:
    """Search for an ``async def`` receiver. Does not begin its transaction."""
    query = queries()["previous_change"]
    arguments = query.arguments({"change_id": change_id, "looked_at": SEARCHED})
    return _change(await transaction.reading(query.text, *arguments), content_type)


def _change(row: object, content_type: ContentType) -> Change | None:
    # Both drivers' rows are indexed by position, which is all that change_of needs.
    return None if row is None else change_of(cast("asyncpg.Record", row), {content_type.id: content_type})
