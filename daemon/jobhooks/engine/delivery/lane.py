"""Lanes of a change: the keys by which a hook gets its changes in order. Pure."""

import struct
from hashlib import blake2b

from jobhooks.contract.change import Change
from jobhooks.contract.choices import Ordering
from jobhooks.matching.hook_table import Hook

# The table, and the object's key as JSON. Without a key, the lane is that of the whole table. Hooks share no lanes.
LaneKey = tuple[int, bytes | None]


def ordering_keys(change: Change, hook: Hook) -> tuple[bytes, ...] | None:
    """The keys by which a hook orders a change: the old one, and the new one if it differs; none: the whole table.

    A hook without an order gets one key per change. It is not JSON, so it equals no key of a row.
    """
    match hook.limits.order_by:
        case Ordering.NONE:
            return (b"#%d" % change.id,)
        case Ordering.TABLE:
            return change.lane_keys(())
        case Ordering.OBJECT:
            return change.lane_keys()
        case columns:
            return change.lane_keys(columns)


def lane_keys(change: Change, keys: tuple[bytes, ...] | None) -> tuple[LaneKey, ...]:
    """The lanes of a change whose object has these ``keys``: the old one, and the new one if it differs.

    A truncate goes into the lane of the whole table, as does a change whose row no longer has a key. All changes of a
    table without key columns share one lane.
    """
    content_type_id = change.content_type.id
    if keys is None:
        return ((content_type_id, None),)
    if len(keys) == 1:
        return ((content_type_id, keys[0]),)
    return tuple((content_type_id, key) for key in keys)


def lane_numbers(lanes: tuple[LaneKey, ...]) -> tuple[int | None, int | None]:
    """Lanes as the backlog table stores them: 64-bit numbers. Two objects with the same number wait for each other.

    A change that updates more than two parents counts there as one of the whole table.
    """
    first, *others = lanes
    if len(others) > 1:
        return None, None
    return _number(first), _number(others[0]) if others else None


def _number(lane: LaneKey) -> int | None:
    content_type_id, key = lane
    if key is None:
        return None
    (number,) = struct.unpack("q", blake2b(key, digest_size=8, salt=struct.pack("q", content_type_id)).digest())
    return number
