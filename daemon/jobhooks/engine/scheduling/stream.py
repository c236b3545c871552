"""A stream: a place in the log where hooks read, and the pages behind it that are still open. No I/O.

Most hooks read in one shared stream. A hook that cannot keep up has one for itself.
"""

from collections import deque
from collections.abc import Iterable

from jobhooks.contract.change import Change
from jobhooks.engine.delivery.cursor import Cursor
from jobhooks.engine.delivery.delivery import Delivery, Page
from jobhooks.matching.parent_updates import DeletedParents

FEW_PAGES = 100


class Stream:
    """Pages of the log, oldest first, from ``settled_to`` up to ``position``, where the next page begins.

    - ``settled_to``: every delivery before it is settled or has a backlog row, so a restart can begin there
    - ``read_again_to``: a change up to this id may have been delivered in an earlier reading
    - ``bytes``: of the rows of the pages that are still open
    - ``deleted``: rows of parents that were deleted in it
    - ``begun``: where it began; ``recalled``: transactions of that position's window, whose changes before it have
      been looked up
    """

    def __init__(self, position: Cursor, read_again_to: int) -> None:
        self.position = position
        self.settled_to = position
        self.read_again_to = read_again_to
        self.bytes = 0
        self.deleted = DeletedParents()
        self.begun = position
        self.recalled: set[int] = set()
        self._pages: deque[Page] = deque()
        self._most_pages = FEW_PAGES  # until closed ones are united

    @property
    def is_settled(self) -> bool:
        """Whether no page is open."""
        return not self._pages

    @property
    def pages(self) -> int:
        """How many pages are in memory, open or behind an open one."""
        return len(self._pages)

    @property
    def oldest(self) -> Page | None:
        """The oldest open page."""
        return self._pages[0] if self._pages else None

    def to_recall(self, changes: Iterable[Change]) -> list[int]:
        """The transactions of these changes of children that can have changed parents before the stream began.

        The changes of a transaction are in one window. So only those of the stream's first window can.
        """
        begun, position = self.begun, self.position
        if begun.is_between_windows or (begun.seen, begun.horizon) != (position.seen, position.horizon):
            self.recalled.clear()
            return []
        found = {change.transaction_id for change in changes if change.content_type.parents} - self.recalled
        self.recalled |= found
        return sorted(found)

    def append(self, page: Page) -> None:
        """Add a page whose deliveries are all known, and go on behind it."""
        self.position = page.after
        if page.open or self._pages:
            self._pages.append(page)
            self.bytes += page.bytes if page.open else 0
            if len(self._pages) > self._most_pages:
                self._unite_closed()
        else:
            self.settled_to = page.after

    def release(self, delivery: Delivery) -> bool:
        """Stop this delivery from keeping its page open; whether ``settled_to`` has moved."""
        page, delivery.page = delivery.page, None
        if page is None:
            return False
        page.open -= 1
        if page.open:
            return False
        self.bytes -= page.bytes
        page.deliveries.clear()  # the page itself may stay for long, behind one that is open
        moved = False
        while self._pages and not self._pages[0].open:
            self.settled_to = self._pages.popleft().after
            moved = True
        return moved

    def _unite_closed(self) -> None:
        """Unite closed pages that follow each other. A batch may keep an older page open for hours."""
        pages: deque[Page] = deque()
        for page in self._pages:
            if pages and not page.open and not pages[-1].open:
                pages[-1].after = page.after
            else:
                pages.append(page)
        self._pages = pages
        self._most_pages = max(FEW_PAGES, 2 * len(pages))

    def open_since(self, before: float) -> list[Page]:
        """The open pages that were read before this moment, oldest first."""
        pages: list[Page] = []
        for page in self._pages:
            if page.opened_at >= before:
                break
            if page.open:
                pages.append(page)
        return pages
