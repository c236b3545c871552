"""Open pages: the cursor passes a page once its deliveries, and all earlier ones, are settled or parked. No I/O."""

from collections import deque

from jobhooks.engine.delivery.cursor import Cursor
from jobhooks.engine.delivery.delivery import Delivery, Page


class OpenPages:
    """The pages that the cursor has not passed, oldest first. ``bytes``: the rows of those that are still open."""

    def __init__(self) -> None:
        self._pages: deque[Page] = deque()
        self.bytes = 0

    def append(self, page: Page) -> None:
        """Add a page whose deliveries are all known."""
        self._pages.append(page)
        if page.open:
            self.bytes += page.bytes

    def release(self, delivery: Delivery) -> bool:
        """Stop this delivery from keeping its page open; whether that closed the page."""
        page, delivery.page = delivery.page, None
        if page is None:
            return False
        page.open -= 1
        if page.open:
            return False
        self.bytes -= page.bytes
        page.deliveries.clear()  # the page itself may stay for long, behind one that is open
        return True

    def take_closed(self) -> Cursor | None:
        """Remove closed pages from the front; the position after the last of them, if there was one."""
        position = None
        while self._pages and not self._pages[0].open:
            position = self._pages.popleft().after
        return position

    def overdue(self, before: float) -> list[Delivery]:
        """The deliveries that keep pages open which were opened before this moment."""
        return [
            delivery
            for page in self._pages
            if page.opened_at < before
            for delivery in page.deliveries
            if delivery.page is page
        ]
