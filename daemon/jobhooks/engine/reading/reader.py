"""Reading the log with two snapshots, so that a change is found no matter how late its transaction commits.

Ids do not commit in order. Reading "everything with an id greater than the last" would lose the changes of a
transaction that took its ids first and commits last. So the reader keeps the snapshot ``seen``, takes another one, the
``horizon``, and reads the changes that are visible in the second and not in the first. That is correct for every order
of commits, and waits for no open transaction.
"""

from collections.abc import Collection
from dataclasses import dataclass, replace

from jobhooks.contract.change import Change
from jobhooks.engine.delivery.cursor import NO_LIMIT, Cursor
from jobhooks.engine.delivery.delivery import PAGE_BYTES
from jobhooks.store.change_rows import ContentTypes, change_of, load_content_types
from jobhooks.store.connections import AsyncConnection, call_async
from jobhooks.store.snapshot import Snapshot
from jobhooks.store.undecodable_text import call_readable_async

SLICE = 200_000  # ids that one statement searches for the changes of a few tables


@dataclass(frozen=True)
class Reading:
    """A page of the log: changes in order of id, the position after them, and the version of the configuration.

    Without changes, everything that has committed is read. ``full``: the window holds more changes. ``has_parents``: a
    table has a parent.
    """

    changes: list[Change]
    after: Cursor
    configuration: str
    full: bool = False
    has_parents: bool = False


class PageReader:
    """Reads pages of changes from a connection, which nothing else may use at the same time."""

    def __init__(self, conn: AsyncConnection, page_size: int) -> None:
        self.conn = conn
        self._page_size = page_size
        self._content_types: ContentTypes = {}
        self._has_parents = False
        self._configuration = ""
        self._handed_out = 0  # no id was greater at some moment in the past

    async def read_tables(self, window: Cursor, *, up_to: int, content_type_ids: Collection[int]) -> Reading:
        """Read the next page of a window for a few tables, of whose changes the log may hold only one in millions.

        It searches a slice of the log at most. So no statement takes long, and other hooks have their turn.
        """
        slice_to = max(window.last_id, window.first_id, window.seen_low_water_id) + SLICE
        if slice_to >= self._handed_out:
            ((self._handed_out, _),) = await call_async(self.conn, "log_position")
        if slice_to < self._handed_out:  # else it may be the end of the window, which has no higher ids
            up_to = min(up_to, slice_to)
        return await self.read(window, up_to=up_to, content_type_ids=content_type_ids)

    async def read(
        self,
        window: Cursor,
        *,
        new_horizon: bool = False,
        up_to: int = NO_LIMIT,
        content_type_ids: Collection[int] | None = None,
    ) -> Reading:
        """Read the next page of a window. ``new_horizon``: the window ends at a new snapshot, that of this statement.

        ``up_to``: only changes up to this id; ``content_type_ids``: only changes of these tables.
        """
        rows = await call_readable_async(
            self.conn,
            "read_page",
            seen=window.seen,
            horizon=None if new_horizon else window.horizon,
            seen_low_water_id=window.seen_low_water_id,
            after_id=max(window.last_id, window.first_id),
            last_id=up_to,
            content_type_ids=None if content_type_ids is None else list(content_type_ids),
            limit=self._page_size,
            max_bytes=PAGE_BYTES,
        )
        first = rows[0]
        if new_horizon:
            window = replace(window, horizon=first["horizon"])
        found: int = first["found"]
        configuration: str = first["version"]
        changes: list[Change] = []
        if found:
            if configuration != self._configuration:
                self._content_types = await load_content_types(self.conn)
                self._has_parents = any(each.is_parent for each in self._content_types.values())
                self._configuration = configuration
            content_types = self._content_types
            changes = [change_of(row, content_types) for row in rows]
        complete = found < self._page_size and len(changes) == found
        after = window.after(changes, complete=complete, up_to=up_to)
        return Reading(changes, after, configuration, not complete, self._has_parents)


class Reader:
    """Reads pages of changes in an order that is right per object, and keeps the position.

    Order of id is right per object: the second writer of a row waits for the first one's commit, and only then takes an
    id. So of two changes of a row that are visible in the horizon, the earlier has the lower id; if only one is
    visible, it is the earlier.
    """

    def __init__(self, conn: AsyncConnection, page_size: int) -> None:
        self._conn = conn
        self._pages = PageReader(conn, page_size)
        self._cursor: Cursor
        self._has_own_low_water_id = False  # the last window took a new low-water id

    async def load(self) -> Cursor:
        """Load the position that is saved in the database. After a reconnection only that one is right."""
        (row,) = await call_async(self._conn, "load_cursor")
        self._cursor = Cursor(*row)
        self._has_own_low_water_id = False
        return self._cursor

    async def has_news(self) -> bool:
        """Cheap check for new changes. Assigns no transaction id, so an idle database stays idle."""
        if self._is_in_window:
            return True
        ((last_id, snapshot),) = await call_async(self._conn, "log_position")
        return self.is_news(last_id, snapshot)

    def is_news(self, last_id: int, snapshot: str) -> bool:
        """Whether a position of the log, read by any session, shows that there can be changes that are not read.

        ``last_id``: the greatest id handed out by then; ``snapshot``: which transactions have ended. A transaction that
        takes an id after the last low-water id moves the sequence. One that took an id before, and had not ended at the
        horizon, is in progress in the horizon's snapshot.
        """
        cursor = self._cursor
        if self._is_in_window or last_id > cursor.horizon_low_water_id:
            return True
        now = Snapshot.parse(snapshot)
        return any(now.sees(transaction_id) for transaction_id in Snapshot.parse(cursor.horizon).in_progress)

    @property
    def _is_in_window(self) -> bool:
        return self._cursor.horizon != self._cursor.seen or not self._has_own_low_water_id

    async def read(self, *, soon: bool = False) -> Reading:
        """Read the next changes, in order of id, at most a page.

        The next call goes on after this page; after a restart, reading goes on after the saved position. ``soon``: a
        NOTIFY has come after a while without changes.
        """
        reading = None
        if self._cursor.horizon != self._cursor.seen:
            reading = await self._pages.read(self._cursor)
        elif soon and self._has_own_low_water_id:
            reading = await self._hurry()
        if reading is None or not reading.changes:
            reading = await self._open_window()
        self._cursor = reading.after
        return reading

    async def _hurry(self) -> Reading | None:
        """Read a window of one page with the low-water id of the window before it; None if it holds more than a page.

        This finds a change with one statement instead of two. A low-water id may be old: the argument in _open_window
        still holds. But everything above it is searched again by the window after this one. So no two windows in a row
        reuse a low-water id, and no such window has more than a page.
        """
        self._has_own_low_water_id = False
        cursor = self._cursor
        self._cursor = replace(cursor, seen=cursor.horizon, seen_low_water_id=cursor.horizon_low_water_id, last_id=0)
        full = True
        try:
            reading = await self._pages.read(self._cursor, new_horizon=True)
            full = reading.full
        finally:
            if full:
                self._cursor = cursor
        return None if full else reading

    async def _open_window(self) -> Reading:
        """Take a new horizon, and read the first page of its window.

        The next window searches for changes of two kinds: up to this low-water id, the changes of each transaction that
        is in progress in this horizon; above it, all changes. So every transaction that takes an id up to the low-water
        id must have ended, or be listed as in progress in the horizon. Therefore the order of three steps is critical:

        1. Read the low-water id, before the snapshot. In the other order (and within one statement the snapshot comes
           first), a change made between the two has an id below the low-water id and a transaction beyond the
           snapshot's xmax. It would never be read.
        2. Run a transaction that takes a transaction id after the low-water id was read, and ends. The xmax of a
           snapshot is the highest transaction id that has ended, plus one. A transaction that has begun and written,
           but is younger than every ended one, lies beyond the xmax and is not listed. This transaction is younger than
           every one that could take an id up to the low-water id, and it has ended. So the xmax lies beyond them all,
           and those still in progress are listed.
        3. Take the snapshot: the one of the statement that reads the page, which therefore sees exactly that.
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
            return await self._pages.read(self._cursor, new_horizon=True)
        except BaseException:
            self._cursor = cursor
            raise
