"""Reading for the hooks that cannot keep up with the others, page by page, until they have caught up."""

import asyncio
from collections.abc import Awaitable, Callable

from jobhooks.engine.delivery.cursor import Cursor
from jobhooks.engine.reading.reader import Reading
from jobhooks.engine.scheduling.dispatcher import Dispatcher
from jobhooks.engine.scheduling.hook_queue import HookQueue

# Reads the next page of a window for a hook, up to an id.
ReadPage = Callable[[HookQueue, Cursor, int], Awaitable[Reading]]


class Follower:
    """Follows the shared stream. ``shared_reading`` is held while the position of that stream moves."""

    def __init__(self, dispatcher: Dispatcher, read: ReadPage, shared_reading: asyncio.Lock) -> None:
        self._dispatcher = dispatcher
        self._read = read
        self._shared_reading = shared_reading

    async def run(self) -> None:
        """Read for one hook after the other, a page each, until cancelled."""
        while True:
            queue = await self._dispatcher.next_alone()
            if not await self._page(queue):
                continue
            # The others have read little more since then. They wait for as long as it takes to read that. Otherwise a
            # hook could follow them for ever, always one page behind.
            async with self._shared_reading:
                if await self._page(queue):
                    self._dispatcher.join(queue)

    async def _page(self, queue: HookQueue) -> bool:
        """Read a page for a hook; whether it has read as far as the others had when this began."""
        stream = queue.stream
        shared = self._dispatcher.streams.shared.position
        if stream is None or queue.is_member:
            return False
        if stream.position == shared:
            return True
        window, up_to = stream.position.towards(shared)
        reading = await self._read(queue, window, up_to)
        if queue.stream is not stream or queue.is_member:
            return False  # it reads from another position now
        await self._dispatcher.admit_alone(queue, reading)
        return stream.position == shared
