"""Reading the log as the daemon does, with the engine's reader and settler."""

import contextlib
from collections.abc import AsyncGenerator

from jobhooks.contract.change import Change
from jobhooks.discovery.registry import ReceiverRegistry
from jobhooks.engine.delivery.cursor import Cursor
from jobhooks.engine.delivery.outcome import Clock
from jobhooks.engine.engine import Engine, EngineConnections
from jobhooks.engine.running.in_loop.pool import Connections
from jobhooks.engine.running.in_loop.runner import LoopRunner
from jobhooks.engine.running.runner import Runners
from jobhooks.store.connections import AsyncConnection, asyncpg_arguments, close_async, connect, connect_async
from jobhooks.testing.thread_runner import ThreadRunner


class Pages:
    """The reader of an engine that schedules nothing, and the saving of its position."""

    def __init__(self, engine: Engine, conn: AsyncConnection) -> None:
        self.conn = conn
        self.reader = engine.reader
        self._settler = engine.settler
        self._after: Cursor | None = None

    @property
    def position(self) -> Cursor:
        """The position after the page last returned."""
        assert self._after is not None
        return self._after

    async def next_page(self, *, called: bool = False) -> list[Change]:
        """The next changes; none if all is read. ``called``: by a NOTIFY."""
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
    conn = await connect_async(arguments)
    runners = Runners(LoopRunner(Connections(arguments, 1), Clock()), ThreadRunner(database))
    try:
        connections = EngineConnections(conn, conn, conn, leader)
        pages = Pages(Engine(connections, runners, ReceiverRegistry(()), page_size=page_size), conn)
        await pages.reader.load()
        yield pages
    finally:
        await runners.close()
        await close_async(conn)


async def read_all(pages: Pages) -> list[Change]:
    """Read until there is nothing more, saving after each page."""
    changes: list[Change] = []
    while page := await pages.next_page():
        changes += page
        await pages.save()
    return changes
