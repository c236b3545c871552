"""Lanes: deliveries of an object run one by one, in order, and wait for no unrelated delivery."""

import datetime
import random
from dataclasses import dataclass, field

from hypothesis import given, strategies as st

from jobhooks.contract.change import Change
from jobhooks.contract.choices import ObjectChangeActionChoices as Action, Ordering
from jobhooks.contract.content_type import ContentType
from jobhooks.contract.job_settings import JobLimits
from jobhooks.engine.delivery.delivery import Delivery, deliveries_of
from jobhooks.engine.delivery.lane import lane_numbers
from jobhooks.engine.delivery.state import State
from jobhooks.engine.scheduling.lanes import Lanes
from jobhooks.matching.hook_table import Hook
from jobhooks.store.snapshot import Snapshot

TABLES = [
    ContentType(1, "public.device", "public", "device", ("id",), ("integer",)),
    ContentType(2, "public.log", "public", "log", (), ()),
    ContentType(3, "public.pair", "public", "pair", ("a", "B c"), ("text", "integer")),
]
LANE_OF_7 = -1592311886093372563


def hook(number: int, order_by: Ordering | tuple[str, ...] = Ordering.OBJECT) -> Hook:
    return Hook(
        *("h", ["public.device"], "m.C", ["update"]),
        id=number,
        job_id=1,
        content_type_ids=frozenset(),
        enabled_since=Snapshot.parse("1:1:"),
        limits=JobLimits(order_by=order_by),
    )


HOOKS = [
    hook(1),
    hook(2),
    hook(3, Ordering.TABLE),
    hook(4, Ordering.NONE),
    hook(5, ("group",)),
    hook(6, ("group", "dropped")),
]


def change(number: int, table: ContentType, action: Action, before: object = None, after: object = None) -> Change:
    def row(key: object) -> str | None:
        return (
            None
            if key is None
            else f'{{"x": "\\ud800\\u0000", "id": {key}, "a": "a{key}", "B c": {key}, "group": {int(str(key)) % 2}}}'
        )

    now = datetime.datetime.now(datetime.UTC)
    return Change(number, 1, now, table, action, "u", None, row(before), row(after))


@dataclass
class Oracle:
    """Decides without lanes which deliveries must wait: two of a hook and table that have an object in common."""

    open: list[Delivery] = field(default_factory=list[Delivery])

    def must_wait(self, delivery: Delivery) -> bool:
        before = self.open[: self.open.index(delivery)]
        return any(_concern_one_object(delivery, other) for other in before)


def _concern_one_object(one: Delivery, other: Delivery) -> bool:
    table = one.change.content_type
    if one.hook is not other.hook or table is not other.change.content_type:
        return False
    match one.hook.limits.order_by:
        case Ordering.NONE:
            return False
        case Ordering.TABLE:
            return True
        case Ordering.OBJECT:
            columns = table.key_columns
        case columns:
            pass
    if not columns or "dropped" in columns:
        return True
    mine, theirs = _objects(one, columns), _objects(other, columns)
    return bool(mine & theirs) or not (mine and theirs)


def _objects(delivery: Delivery, columns: tuple[str, ...]) -> set[str]:
    """List the keys; a truncate has no keys."""
    rows = (delivery.change.prechange, delivery.change.postchange)
    return {str([row[name] for name in columns]) for row in rows if row is not None}


class Life:
    """Random deliveries are added, end, or are withdrawn, in the lanes of their hooks."""

    def __init__(self, seed: int) -> None:
        self.rng = random.Random(seed)
        self.lanes = {hook.id: Lanes() for hook in HOOKS}
        self.oracle = Oracle()
        self.ready: list[Delivery] = []

    def add(self, number: int) -> None:
        hooks = self.rng.sample(HOOKS, self.rng.randint(1, 2))
        for delivery in deliveries_of(_random_change(self.rng, number), hooks):
            self.oracle.open.append(delivery)
            if self.lanes[delivery.hook.id].add(delivery):
                self.ready.append(delivery)

    def finish(self) -> None:
        delivery = self.ready.pop(self.rng.randrange(len(self.ready)))
        self.oracle.open.remove(delivery)
        freed = self.lanes[delivery.hook.id].finish(delivery)
        self.ready += [follower for follower in freed if follower.state is State.WAITING]

    def withdraw(self) -> None:
        """Withdraw a delivery, which may wait: those before it stay, and others wait for them."""
        open_before = list(self.oracle.open)
        chosen = self.rng.choice(open_before)
        # Those that were withdrawn before may still be among the followers; the queue knows them by their state.
        withdrawn = [
            delivery for delivery in self.lanes[chosen.hook.id].withdraw([chosen]) if delivery.state is State.WAITING
        ]
        for delivery in withdrawn:
            delivery.state = State.DROPPED
        assert [delivery.change.id for delivery in withdrawn] == sorted(d.change.id for d in withdrawn)
        gone = {id(delivery) for delivery in withdrawn}
        assert gone <= {id(delivery) for delivery in open_before}
        # All that had to wait for it went with it, directly or not, and nothing else.
        for place, delivery in enumerate(open_before):
            waits = any(id(other) in gone and _concern_one_object(delivery, other) for other in open_before[:place])
            assert (id(delivery) in gone) == (waits or delivery is chosen)
        self.oracle.open = [delivery for delivery in open_before if id(delivery) not in gone]
        self.ready = [delivery for delivery in self.ready if id(delivery) not in gone]

    def check(self) -> None:
        assert {id(delivery) for delivery in self.ready} == {
            id(delivery) for delivery in self.oracle.open if not self.oracle.must_wait(delivery)
        }


@given(st.integers(0, 2**32))
def test_exactly_those_wait_that_must(seed: int) -> None:
    """Random tables, keys, changed keys, truncates and hooks; random deliveries end or are withdrawn."""
    life = Life(seed)
    for number in range(life.rng.randint(1, 40)):
        if life.rng.random() < 0.6:
            life.add(number)
        elif life.ready and life.rng.random() < 0.8:
            life.finish()
        elif life.oracle.open:
            life.withdraw()
        life.check()
    while life.ready:
        life.finish()
        life.check()
    assert not life.oracle.open


def _random_change(rng: random.Random, number: int) -> Change:
    table = rng.choice(TABLES)
    action = rng.choices(list(Action), [3, 5, 2, 1])[0]
    key = rng.randint(1, 3)
    if action is Action.ACTION_TRUNCATE:
        return change(number, table, action)
    before = None if action is Action.ACTION_CREATE else key
    after = None if action is Action.ACTION_DELETE else rng.choice([key, key, rng.randint(1, 3)]) if before else key
    return change(number, table, action, before, after)


def test_a_change_of_the_key_is_in_the_lanes_of_both_keys() -> None:
    (moved,) = deliveries_of(change(1, TABLES[0], Action.ACTION_UPDATE, 1, 2), HOOKS[:1])
    (old,) = deliveries_of(change(2, TABLES[0], Action.ACTION_DELETE, 1), HOOKS[:1])
    (new,) = deliveries_of(change(3, TABLES[0], Action.ACTION_CREATE, None, 2), HOOKS[:1])
    assert lane_numbers(moved.lanes) == (lane_numbers(old.lanes)[0], lane_numbers(new.lanes)[0])
    assert lane_numbers(old.lanes)[1] is None


def test_lanes_in_the_database_are_the_same_for_ever() -> None:
    """They are compared with values that another daemon wrote, possibly years ago."""
    (delivery,) = deliveries_of(change(1, TABLES[0], Action.ACTION_CREATE, None, 7), HOOKS[:1])
    assert lane_numbers(delivery.lanes) == (LANE_OF_7, None)
    (whole_table,) = deliveries_of(change(1, TABLES[0], Action.ACTION_TRUNCATE), HOOKS[:1])
    assert lane_numbers(whole_table.lanes) == (None, None)


def test_lanes_of_different_tables_are_different() -> None:
    """Objects of two tables may have the same key."""
    numbers = {lane_numbers(((table, b"7"),)) for table in range(1, 100)}
    assert len(numbers) == 99


def test_a_key_is_the_same_whichever_reader_has_to_read_the_row() -> None:
    """The fast reader refuses half a surrogate pair and deep nesting; an object must not get two lanes."""
    deep = "[" * 5000 + '"a,\\"]}"' + "]" * 5000
    rows = [
        '{"id":7,"B c":"x\\"y:{","j":{"a":[1,{"b":2}]}}',
        '{"j":"\\ud800","id":7,"B c":"x\\"y:{"}',
        f'{{"id":7,"j":{deep},"B c":"x\\"y:{{"}}',
        f'{{"j":{deep},"k":[],"B c":"x\\"y:{{","id":7}}',
    ]
    pair = ContentType(4, "public.p", "public", "p", ("id", "B c"), ("integer", "text"))
    now = datetime.datetime.now(datetime.UTC)
    keys = {Change(1, 1, now, pair, Action.ACTION_CREATE, "u", None, None, row).lane_keys() for row in rows}
    assert keys == {(b'7,"x\\"y:{"',)}
    gone = Change(1, 1, now, pair, Action.ACTION_CREATE, "u", None, None, f'{{"id":7,"j":{deep}}}')
    assert gone.lane_keys() is None
