"""Pages in queue: the cursor moves past a page when it and all before it are settled or parked."""

from collections import deque

from jobhooks.engine.delivery.cursor import Cursor
from jobhooks.engine.delivery.delivery import Delivery, Page


class Pages:
    """The pages in queue, oldest first; ``bytes`` are those of the pages that are open."""

    def __init__(self) -> None:
        self._pages: deque[Page] = deque()
        self.bytes = 0

    def append(self, page: Page) -> None:
        """Add a page whose deliveries are all known."""
        self._pages.append(page)
        if page.open:
            self.bytes += page.bytes

    def let_go(self, delivery: Delivery) -> bool:
        """Take note that a delivery is settled or parked; return whether nothing keeps its page open any more."""
        page, delivery.page = delivery.page, None
        if page is None:
            return False
        page.open -= 1
        if page.open:
            return False
        self.bytes -= page.bytes
        page.deliveries.clear()  # it may stay for long, behind one that is open
        return True

    def close(self) -> Cursor | None:
        """Take the pages off that are done; return the position after the last of them, None if there was none."""
        position = None
        while self._pages and not self._pages[0].open:
            position = self._pages.popleft().after
        return position

    def overdue(self, before: float) -> list[Delivery]:
        """Return what keeps pages open that were opened before that moment."""
        return [
            delivery
            for page in self._pages
            if page.opened_at < before
            for delivery in page.deliveries
            if delivery.page is page
        ]
