"""Reading the log as the daemon does."""

import contextlib
from collections.abc import AsyncGenerator

from jobhooks.contract.change import Change
from jobhooks.engine.reader import Reader
from jobhooks.store.connections import asyncpg_arguments, close_async, connect, connect_async


@contextlib.asynccontextmanager
async def open_reader(database: str, page_size: int = 100) -> AsyncGenerator[Reader]:
    """Open a reader at the position that is saved in the database."""
    with contextlib.closing(connect(database)) as conn:
        arguments = asyncpg_arguments(conn)
    async_conn = await connect_async(arguments)
    try:
        reader = Reader(async_conn, page_size)
        await reader.load()
        yield reader
    finally:
        await close_async(async_conn)


async def read_all(reader: Reader) -> list[Change]:
    """Read until there is nothing more, saving after each page."""
    changes: list[Change] = []
    while page := await reader.next_page():
        changes += page
        await reader.save()
    return changes
