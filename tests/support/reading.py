"""Reading the log as the daemon does."""

import contextlib
from collections.abc import AsyncGenerator

from jobhooks.contract.change import Change
from jobhooks.engine.delivery.cursor import Cursor
from jobhooks.engine.reading.reader import Reader
from jobhooks.engine.settling.settler import Settler
from jobhooks.store.connections import AsyncConnection, asyncpg_arguments, close_async, connect, connect_async


class Pages:
    """A reader, and the saving of its position as the settler does it."""

    def __init__(self, conn: AsyncConnection, page_size: int, leader: int) -> None:
        self.reader = Reader(conn, page_size)
        self._settler = Settler(conn, leader)
        self._after: Cursor | None = None

    async def next_page(self, *, called: bool = False) -> list[Change]:
        """Return the next changes; none: all is read. ``called``: by a NOTIFY."""
        if not called and not await self.reader.has_news():
            return []
        reading = await self.reader.read(soon=called)
        self._after = reading.after
        return reading.changes

    async def save(self) -> None:
        """Save the position after the page last returned."""
        if self._after is not None:
            self._settler.move_cursor(self._after)
            await self._settler.save()


@contextlib.asynccontextmanager
async def open_reader(database: str, page_size: int = 100) -> AsyncGenerator[Pages]:
    """Open a reader at the position that is saved in the database."""
    with contextlib.closing(connect(database)) as conn:
        arguments = asyncpg_arguments(conn)
        (leader,) = conn.execute("select leader from jobhooks.cursor").fetchone() or (0,)
    async_conn = await connect_async(arguments)
    try:
        pages = Pages(async_conn, page_size, leader)
        await pages.reader.load()
        yield pages
    finally:
        await close_async(async_conn)


async def read_all(pages: Pages) -> list[Change]:
    """Read until there is nothing more, saving after each page."""
    changes: list[Change] = []
    while page := await pages.next_page():
        changes += page
        await pages.save()
    return changes
