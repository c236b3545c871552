"""Open pages: the cursor passes a page when nothing keeps it, or an earlier one, open."""

from jobhooks.engine.delivery.delivery import Delivery, Page
from jobhooks.engine.scheduling.open_pages import OpenPages
from support.making import make_cursor, make_delivery


def page(pages: OpenPages, last_id: int, *deliveries: Delivery, opened_at: float = 0.0) -> Page:
    made = Page(make_cursor(last_id), opened_at, bytes=100)
    for delivery in deliveries:
        made.add(delivery)
    pages.append(made)
    return made


def test_a_page_without_deliveries_is_closed() -> None:
    pages = OpenPages()
    page(pages, 1)
    page(pages, 2)
    assert pages.take_closed() == make_cursor(2)
    assert pages.take_closed() is None
    assert pages.bytes == 0


def test_a_page_closes_with_its_last_delivery() -> None:
    pages = OpenPages()
    first, second = make_delivery(1), make_delivery(2)
    page(pages, 2, first, second)
    assert pages.bytes == 100
    assert not pages.release(first)
    assert pages.take_closed() is None
    assert pages.release(second)
    assert (pages.bytes, pages.take_closed()) == (0, make_cursor(2))


def test_a_closed_page_waits_for_those_before_it() -> None:
    """Its rows are not in memory any more, whatever is before it."""
    pages = OpenPages()
    first, second = make_delivery(1), make_delivery(2)
    page(pages, 1, first)
    page(pages, 2, second)
    assert pages.release(second)
    assert (pages.bytes, pages.take_closed()) == (100, None)
    assert pages.release(first)
    assert pages.take_closed() == make_cursor(2)


def test_a_delivery_is_released_once() -> None:
    """A slow run that was parked is released again when it ends."""
    pages = OpenPages()
    first, second = make_delivery(1), make_delivery(2)
    page(pages, 2, first, second)
    pages.release(first)
    assert not pages.release(first)
    assert pages.take_closed() is None


def test_what_keeps_old_pages_open_is_overdue() -> None:
    pages = OpenPages()
    old, released, new = make_delivery(1), make_delivery(2), make_delivery(3)
    page(pages, 2, old, released, opened_at=1.0)
    page(pages, 3, new, opened_at=2.0)
    pages.release(released)
    assert pages.overdue(1.0) == []
    assert pages.overdue(2.0) == [old]
    assert pages.overdue(3.0) == [old, new]
