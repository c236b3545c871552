"""A hook's queue: its counts, and its room for more of the backlog."""

from dataclasses import replace

from jobhooks.engine.delivery.delivery import PAGE_BYTES
from jobhooks.engine.scheduling.hook_queue import MOST_LOADED, HookQueue
from support.making import make_delivery, make_hook


def test_a_delivery_begins_with_the_hook_as_it_is_now() -> None:
    """The limits of its job may have changed since it was read."""
    delivery = make_delivery(1)
    queue = HookQueue(make_hook(time_limit=5.0))
    queue.begin(delivery)
    assert delivery.hook is queue.hook
    assert delivery.running
    assert delivery.began_at > 0
    assert queue.begun == {delivery}


def test_it_has_room_until_half_of_the_limit_is_loaded() -> None:
    queue = HookQueue(make_hook())
    entries = [make_delivery(number) for number in range(MOST_LOADED // 2 + 1)]
    for entry in entries:
        assert queue.wants_backlog
        queue.count_loaded(entry)
    assert not queue.wants_backlog
    queue.count_released(entries[0])
    assert queue.wants_backlog


def test_it_has_no_room_beside_huge_rows() -> None:
    queue = HookQueue(make_hook())
    huge = make_delivery(1)
    huge.change = replace(huge.change, postchange_json="x" * (PAGE_BYTES + 1))
    queue.count_loaded(huge)
    assert not queue.wants_backlog
    queue.count_released(huge)
    assert (queue.loaded, queue.loaded_bytes, queue.wants_backlog) == (0, 0, True)
