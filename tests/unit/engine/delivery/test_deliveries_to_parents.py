"""Deliveries of changes of children: their hooks and lanes."""

from dataclasses import replace

from jobhooks.contract.choices import Ordering
from jobhooks.contract.content_type import ContentType, Parent
from jobhooks.engine.delivery.delivery import Delivery, deliveries_of, delivery_of, delivery_of_row
from jobhooks.engine.delivery.lane import lane_numbers
from support.making import DEVICE, make_change, make_hook

CABLE = ContentType(
    2,
    "public.cable",
    "public",
    "cable",
    ("id",),
    ("integer",),
    parents=(Parent(DEVICE, ("a",)), Parent(DEVICE, ("b",))),
)
HOOK = make_hook()


def plugged(before: dict[str, int] | None = None, after: dict[str, int] | None = None) -> Delivery:
    change = replace(make_change(5, before=before, after=after), content_type=CABLE)
    delivery = delivery_of(change, HOOK)
    assert delivery is not None
    return delivery


def lane_of(device: int) -> int | None:
    (delivery,) = deliveries_of(make_change(1, device), [HOOK])
    return lane_numbers(delivery.lanes)[0]


def test_it_is_in_the_lane_of_each_device() -> None:
    delivery = plugged(after={"a": 7, "b": 8})
    assert lane_numbers(delivery.lanes) == (lane_of(7), lane_of(8))
    assert [each.object_key() for each in delivery.changes] == [{"id": 7}, {"id": 8}]
    assert lane_numbers(plugged(after={"a": 7, "b": 7}).lanes) == (lane_of(7), None)


def test_more_than_two_devices_have_their_lanes_in_memory_only() -> None:
    """A row of the backlog has room for two: as a row it is of the whole table, which conflicts with each of them."""
    delivery = plugged({"a": 7, "b": 8}, {"a": 7, "b": 9})
    assert delivery.lanes == ((1, b"7"), (1, b"8"), (1, b"9"))
    assert lane_numbers(delivery.lanes) == (None, None)


def test_other_orders_apply_to_updates_through_children() -> None:
    cable = replace(make_change(5, after={"a": 7, "b": 8}), content_type=CABLE)
    lanes = {
        order_by: found.lanes
        for order_by in (Ordering.NONE, Ordering.TABLE, ("site",), ("id",))
        if (found := delivery_of(cable, make_hook(order_by=order_by))) is not None
    }
    assert lanes == {
        Ordering.NONE: ((1, b"#5"),),
        Ordering.TABLE: ((1, b""),),
        ("site",): ((1, None),),  # which the cable does not say
        ("id",): ((1, b"7"), (1, b"8")),
    }


def test_a_hook_for_both_gets_the_change_as_it_is_if_it_wants_that() -> None:
    both = replace(HOOK, content_type_ids=frozenset({1, 2}))
    cable = replace(make_change(5, after={"a": 7}), content_type=CABLE)
    assert [each and each.change.related for each in (delivery_of(cable, both), delivery_of(cable, HOOK))] == [
        None,
        cable,
    ]
    for hook in (replace(both, events=["update"]), both):
        found = delivery_of(cable, hook, lambda change: change.action == "update")
        assert found is not None
        assert found.change.related is cable
    assert delivery_of(cable, replace(HOOK, events=["create"])) is None
    assert delivery_of(replace(cable, postchange_json='{"id": 1}'), HOOK) is None


def test_a_row_says_of_which_table_the_object_is() -> None:
    cable = replace(make_change(5, after={"a": 7}), content_type=CABLE)
    assert delivery_of_row(cable, HOOK, CABLE).lanes == ((2, b"1"),)
    assert delivery_of_row(cable, HOOK, DEVICE).lanes == ((1, b"7"),)
