"""Reading the log with two snapshots, so that a change is found however late its transaction commits.

Ids do not commit in order: to read "what has a greater id than the last" would lose the changes of a transaction that
took its ids first and commits last. So the reader keeps the snapshot ``seen``, takes another one, the ``horizon``, and
reads what is visible in the second and not in the first. That is right whatever the order of commits, and waits for
nobody's open transaction.
"""

from dataclasses import dataclass, replace

from jobhooks.contract.change import Change
from jobhooks.engine.delivery.cursor import Cursor
from jobhooks.engine.delivery.delivery import PAGE_BYTES
from jobhooks.store.change_rows import ContentTypes, change_of, load_content_types
from jobhooks.store.connections import AsyncConnection, call_async
from jobhooks.store.snapshot import Snapshot
from jobhooks.store.undecodable_text import call_readable_async


@dataclass(frozen=True)
class Reading:
    """What a look at the log found: changes in order of id, the position after them, and the version of the
    configuration.

    No changes: all that has committed is read. ``full``: there is more where these were.
    """

    changes: list[Change]
    after: Cursor
    configuration: str
    full: bool = False


class Reader:
    """Reads pages of changes in an order that is right per object, and keeps the position.

    Order of id is right per object: whoever writes a row second waits for the first one's commit, and only then takes
    an id; so of two changes of a row visible in the horizon the earlier has the lower id, and where only one is visible
    it is the earlier. ``conn`` is used by nothing else at the same time.
    """

    def __init__(self, conn: AsyncConnection, page_size: int) -> None:
        self._conn = conn
        self._page_size = page_size
        self._cursor: Cursor
        self._content_types: ContentTypes = {}
        self._configuration = ""
        self._has_own_low_water_id = False  # the last window has a floor of its own

    async def load(self) -> Cursor:
        """Take up the position that is saved in the database, which alone is right after a reconnection; return it."""
        (row,) = await call_async(self._conn, "load_cursor")
        self._cursor = Cursor(*row)
        self._has_own_low_water_id = False
        return self._cursor

    async def has_news(self) -> bool:
        """Return whether there can be anything new; so that an idle database is looked at without writing to it.

        Who takes an id after the last floor moves the sequence. Who took one before, and had not ended in the horizon,
        is in it by name.
        """
        cursor = self._cursor
        if cursor.horizon != cursor.seen or not self._has_own_low_water_id:
            return True
        ((last_id, snapshot),) = await call_async(self._conn, "log_position")
        if last_id > cursor.horizon_low_water_id:
            return True
        now = Snapshot.parse(snapshot)
        return any(now.sees(transaction_id) for transaction_id in Snapshot.parse(cursor.horizon).in_progress)

    async def read(self, *, soon: bool = False) -> Reading:
        """Return the next changes, in order of id, at most a page.

        The next reading is that after this one; after a restart, that after the position that was saved. ``soon``:
        somebody has called, after a while in which nothing came.
        """
        reading = None
        if self._cursor.horizon != self._cursor.seen:
            reading = await self._read(self._cursor.horizon)
        elif soon and self._has_own_low_water_id:
            reading = await self._hurry()
        if reading is None or not reading.changes:
            reading = await self._open_window()
        self._cursor = reading.after
        return reading

    async def _hurry(self) -> Reading | None:
        """Return the one page of a window that has the floor of the one before it, or None if there is more.

        So a change is found with one message instead of two. A floor may be as old as it likes: what _open_window says
        of it holds. But the window after this one passes over all that has come since it was read: so there is never a
        second one with the same floor, and none of more than a page.
        """
        self._has_own_low_water_id = False
        cursor = self._cursor
        self._cursor = replace(cursor, seen=cursor.horizon, seen_low_water_id=cursor.horizon_low_water_id, last_id=0)
        full = True
        try:
            reading = await self._read(None)
            full = reading.full
        finally:
            if full:
                self._cursor = cursor
        return None if full else reading

    async def _open_window(self) -> Reading:
        """Take a new horizon and return the first page of its window.

        The next window will look for changes of two kinds: up to this floor, those of the transactions that are in
        progress in this horizon, one by one; above it, all. So whoever takes an id up to the floor must be in the
        horizon by name or have ended, and the order of these three is critical:

        - The floor before the snapshot. The other way round (in one statement the snapshot comes first, too) a change
          made between the two lies below the floor, and its transaction beyond the xmax: never to be read.
        - A transaction of our own between them, which takes an id after the floor was read, and ends. The xmax of a
          snapshot is the highest transaction id that has ended, plus one; a transaction that has begun and written, but
          is younger than any that has ended, lies beyond it and is not named. Ours is younger than all that could take
          an id up to the floor, and has ended: so the xmax lies beyond them all, and those still in progress are named.
        - The snapshot: that of the statement that reads the page, which therefore sees no more and no less.
        """
        ((low_water_id, _),) = await call_async(self._conn, "begin_window")
        self._has_own_low_water_id = True
        cursor = self._cursor
        self._cursor = replace(
            cursor,
            seen=cursor.horizon,
            seen_low_water_id=cursor.horizon_low_water_id,
            horizon_low_water_id=low_water_id,
            last_id=0,
        )
        try:
            return await self._read(None)
        except BaseException:
            self._cursor = cursor
            raise

    async def _read(self, horizon: str | None) -> Reading:
        cursor = self._cursor
        rows = await call_readable_async(
            self._conn,
            "read_page",
            seen=cursor.seen,
            horizon=horizon,
            seen_low_water_id=cursor.seen_low_water_id,
            after_id=max(cursor.last_id, cursor.first_id),
            limit=self._page_size,
            max_bytes=PAGE_BYTES,
        )
        first = rows[0]
        if horizon is None:
            cursor = replace(cursor, horizon=first["horizon"])
        found: int = first["found"]
        configuration: str = first["version"]
        changes: list[Change] = []
        if found:
            if configuration != self._configuration:
                self._content_types = await load_content_types(self._conn)
                self._configuration = configuration
            content_types = self._content_types
            changes = [change_of(row, content_types) for row in rows]
        complete = found < self._page_size and len(changes) == found
        return Reading(changes, cursor.after(changes, complete=complete), configuration, not complete)
