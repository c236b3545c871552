"""Reading the log with two snapshots, so that a change is found however late its transaction commits.

Ids do not commit in order: to read "what has a greater id than the last" would lose the changes of a transaction that
took its ids first and commits last. So the reader keeps the snapshot ``seen``, takes another one, the ``horizon``, and
reads what is visible in the second and not in the first. That is right whatever the order of commits, and waits for
nobody's open transaction.
"""

from dataclasses import dataclass, replace

import asyncpg

from jobhooks.contract.change import Change, ContentType
from jobhooks.contract.choices import ObjectChangeActionChoices
from jobhooks.store.connections import AsyncConnection, call_async


@dataclass(frozen=True)
class Cursor:
    """A position: settled is all that ``seen`` sees, and of the window up to ``horizon`` all up to ``last_id``.

    The snapshots are PostgreSQL's text form. A transaction at or above a snapshot's xmax took no id up to its
    floor. What is up to ``first_id`` belongs to the database that this one was copied from.
    """

    seen: str
    seen_floor: int
    horizon: str
    horizon_floor: int
    last_id: int
    first_id: int

    def after(self, page: list[Change], *, complete: bool) -> "Cursor":
        """Return the position after ``page``; ``complete``: it was the window's last."""
        if complete:
            return replace(self, seen=self.horizon, seen_floor=self.horizon_floor, last_id=0)
        return replace(self, last_id=page[-1].id)


class Reader:
    """Reads pages of changes in an order that is right per object, and keeps the position.

    Order of id is right per object: whoever writes a row second waits for the first one's commit, and only then takes
    an id; so of two changes of a row visible in the horizon the earlier has the lower id, and where only one is visible
    it is the earlier. ``conn`` is used by nothing else.
    """

    def __init__(self, conn: AsyncConnection, page_size: int) -> None:
        self._conn = conn
        self._page_size = page_size
        self._cursor: Cursor
        self._after: Cursor

    async def load(self) -> None:
        """Take up the position that is saved in the database, which alone is right after a reconnection."""
        (row,) = await call_async(self._conn, "load_cursor")
        self._cursor = self._after = Cursor(*row)

    async def next_page(self) -> list[Change]:
        """Return the next changes, in order of id, at most a page; none: all that has committed is read.

        Until ``save`` is called the same changes would be returned after a restart.
        """
        self._cursor = self._after
        page: list[Change] = []
        if self._cursor.horizon != self._cursor.seen:
            page = await self._read()
        if not page and await self._open_window():
            page = await self._read()
        self._after = self._cursor.after(page, complete=len(page) < self._page_size)
        return page

    async def save(self) -> None:
        """Save the position after the page last returned: all of it is settled or parked."""
        cursor = self._after
        await call_async(
            self._conn,
            "save_cursor",
            cursor.seen,
            cursor.seen_floor,
            cursor.horizon,
            cursor.horizon_floor,
            cursor.last_id,
        )

    async def _open_window(self) -> bool:
        """Take a new horizon; return False where no transaction has ended since the last one.

        The next window will look for changes of two kinds: up to this floor, those of the transactions that are in
        progress in this horizon, one by one; above it, all. So whoever takes an id up to the floor must be in the
        horizon by name or have ended, and the order of these three statements is critical:

        - The floor before the snapshot. The other way round (in one statement the snapshot comes first, too) a change
          made between the two lies below the floor, and its transaction beyond the xmax: never to be read.
        - A transaction of our own between them, which takes an id and ends. The xmax of a snapshot is the highest
          transaction id that has ended, plus one; a transaction that has begun and written, but is younger than any
          that has ended, lies beyond it and is not named. Ours is younger than all that could take an id up to the
          floor, and has ended: so the xmax lies beyond them all, and those still in progress are named.
        """
        ((snapshot,),) = await call_async(self._conn, "current_snapshot")
        if snapshot == self._cursor.horizon:
            return False
        ((floor,),) = await call_async(self._conn, "log_floor")
        await call_async(self._conn, "end_a_transaction")
        ((horizon,),) = await call_async(self._conn, "current_snapshot")
        self._cursor = replace(
            self._cursor,
            seen=self._cursor.horizon,
            seen_floor=self._cursor.horizon_floor,
            horizon=horizon,
            horizon_floor=floor,
            last_id=0,
        )
        return True

    async def _read(self) -> list[Change]:
        cursor = self._cursor
        position = max(cursor.last_id, cursor.first_id)
        rows = await call_async(
            self._conn, "read_page", cursor.seen, cursor.horizon, cursor.seen_floor, position, self._page_size
        )
        if not rows:
            return []
        content_types = await self._content_types()
        return [_change(row, content_types[row["content_type_id"]]) for row in rows]

    async def _content_types(self) -> dict[int, ContentType]:
        rows = await call_async(self._conn, "content_types")
        return {
            row["id"]: ContentType(
                id=row["id"],
                name=row["name"],
                schema=row["schema"],
                table=row["table"],
                key_columns=tuple(row["key_columns"]),
                key_types=tuple(row["key_types"]),
                ignored_columns=frozenset(row["ignore"]),
            )
            for row in rows
        }


def _change(row: asyncpg.Record, content_type: ContentType) -> Change:
    return Change(
        id=row["id"],
        transaction_id=row["transaction_id"],
        time=row["time"],
        content_type=content_type,
        action=ObjectChangeActionChoices(row["action"]),
        user_name=row["user_name"],
        request_id=row["request_id"],
        prechange_json=row["prechange"],
        postchange_json=row["postchange"],
        object_key_json=row["object_key"],
        snapshot_error=row["snapshot_error"],
        partition=row["partition"],
    )
