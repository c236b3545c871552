"""A stream: it is settled up to a page when nothing keeps that page, or an earlier one, open."""

from jobhooks.engine.delivery.delivery import Delivery, Page
from jobhooks.engine.scheduling.stream import FEW_PAGES, Stream
from support.making import make_cursor, make_delivery


def new_stream() -> Stream:
    return Stream(make_cursor(), read_again_to=0)


def page(stream: Stream, last_id: int, *deliveries: Delivery, opened_at: float = 0.0) -> Page:
    """Read a page up to a change, with these deliveries."""
    made = Page(last_id, stream.position, make_cursor(last_id), is_shared=True, opened_at=opened_at, bytes=100)
    for delivery in deliveries:
        made.add(delivery)
    stream.append(made)
    return made


def test_a_page_without_deliveries_is_closed() -> None:
    stream = new_stream()
    page(stream, 1)
    page(stream, 2)
    assert stream.position == stream.settled_to == make_cursor(2)
    assert stream.is_settled
    assert stream.oldest is None
    assert stream.bytes == 0


def test_a_page_closes_with_its_last_delivery() -> None:
    stream = new_stream()
    first, second = make_delivery(1), make_delivery(2)
    opened = page(stream, 2, first, second)
    assert (stream.position, stream.settled_to) == (make_cursor(2), make_cursor())
    assert stream.oldest is opened
    assert stream.bytes == 100
    assert not stream.release(first)
    assert stream.settled_to == make_cursor()
    assert stream.release(second)
    assert (stream.bytes, stream.settled_to) == (0, make_cursor(2))
    assert stream.is_settled


def test_a_closed_page_waits_for_those_before_it() -> None:
    """Its rows are not in memory any more, no matter what is before it."""
    stream = new_stream()
    first, second = make_delivery(1), make_delivery(2)
    page(stream, 1, first)
    closed = page(stream, 2, second)
    page(stream, 3)
    assert not stream.release(second)
    assert (stream.bytes, stream.settled_to) == (100, make_cursor())
    assert not closed.deliveries
    assert not stream.is_settled
    assert stream.release(first)
    assert (stream.bytes, stream.settled_to) == (0, make_cursor(3))


def test_a_delivery_is_released_once() -> None:
    """A slow run that got a row is released again when it ends."""
    stream = new_stream()
    first, second = make_delivery(1), make_delivery(2)
    page(stream, 2, first, second)
    stream.release(first)
    assert first.page is None
    assert not stream.release(first)
    assert stream.settled_to == make_cursor()


def test_open_pages_that_were_read_before_a_moment() -> None:
    stream = new_stream()
    old, released, new = make_delivery(1), make_delivery(2), make_delivery(3)
    pages = [
        page(stream, 1, old, opened_at=1.0),
        page(stream, 2, released, opened_at=1.5),
        page(stream, 3, new, opened_at=2.0),
    ]
    stream.release(released)
    assert stream.open_since(1.0) == []
    assert stream.open_since(2.0) == [pages[0]]
    assert stream.open_since(3.0) == [pages[0], pages[2]]


def test_closed_pages_behind_an_open_one_do_not_add_up() -> None:
    """A batch that waits for more may keep its page open for hours."""
    stream = new_stream()
    waiting = make_delivery(1)
    page(stream, 1, waiting)
    number = 1
    for _ in range(10 * FEW_PAGES):
        number += 2
        settled = make_delivery(number)
        page(stream, number, settled)
        page(stream, number + 1)
        stream.release(settled)
    late = make_delivery(number + 2)
    page(stream, number + 2, late)
    assert stream.pages <= 2 * FEW_PAGES
    assert stream.release(waiting)
    assert stream.settled_to == make_cursor(number + 1)
    assert stream.release(late)
    assert stream.settled_to == make_cursor(number + 2)
    assert stream.pages == 0
