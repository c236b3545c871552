"""The ready deliveries of a hook with a rate, by the keys that have the rate for themselves. No I/O.

Each key has a token bucket, kept as one number: when it is full again. A delivery may begin if that leaves a token.
"""

import heapq
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from hashlib import blake2b

from jobhooks.engine.delivery.delivery import Delivery
from jobhooks.matching.rate import OBJECT, Rate

WHOLE_HOOK = 0  # the key of a rate that all deliveries share
SOON_S = 1.0  # a delivery whose turn is later waits in the backlog, if keys have the rate for themselves
MANY_KEYS = 1_000  # in memory; above it full buckets are forgotten
KEYS_PER_CALL = 10_000  # as many are looked at for each call of ``used``, on average

Alarm = Callable[[float], None]  # called with the moment when the next delivery may begin, by the monotonic clock


class Key:
    """A key, with its own share of the rate.

    - ``waiting``: ready deliveries, in order
    - ``full_at``: when its bucket is full again; ``reserved_to``: the same if everything that has a turn had begun
    """

    __slots__ = ("full_at", "number", "reserved_to", "waiting")

    def __init__(self, number: int, full_at: float = 0.0) -> None:
        self.number = number
        self.waiting: deque[Delivery] = deque()
        self.full_at = self.reserved_to = full_at


class PacedDeliveries:
    """Ready deliveries, with the methods of a deque that ``HookQueue`` and the hook tasks use.

    It is as long as there are deliveries if one of them may begin now, and empty otherwise. The keys take turns: first
    is the one that may begin since the longest time. The deliveries of one key, however many, delay no other's.

    ``per``: columns, whose values are the keys; empty: the whole hook has the rate. ``alarm``: called while deliveries
    wait and all are too early.
    """

    def __init__(self, rate: Rate, per: Iterable[str], alarm: Alarm) -> None:
        self._interval_s, self._slack_s = rate.interval_s, (rate.burst - 1) * rate.interval_s
        self._per = tuple(per)
        self._alarm = alarm
        self._alarm_at = 0.0
        self._keys: dict[int, Key] = {}
        self._turns: list[tuple[float, int]] = []  # a heap: the keys with waiting deliveries, each once
        self._calls_to_look = 0
        self._used: set[int] = set()
        self._length = 0

    @property
    def has_keys(self) -> bool:
        """Whether keys have the rate for themselves."""
        return bool(self._per)

    def __len__(self) -> int:
        return self._length if self._length and self._turns[0][0] <= time.monotonic() else 0

    def __iter__(self) -> Iterator[Delivery]:
        return (delivery for key in self._keys.values() for delivery in key.waiting)

    def __getitem__(self, place: int) -> Delivery:
        """The delivery that ``popleft`` takes; no other one can be looked at."""
        assert place == 0
        return self._keys[self._turns[0][1]].waiting[0]

    def append(self, delivery: Delivery) -> None:
        """Put a delivery behind the others of its key."""
        self._put(delivery, self._key_of(delivery), in_front=False)

    def appendleft(self, delivery: Delivery) -> None:
        """Put a delivery back, before the others of its key. Its part of the rate stays used."""
        self._put(delivery, self._key_of(delivery), in_front=True)

    def extend(self, deliveries: Iterable[Delivery]) -> None:
        """Append deliveries."""
        for delivery in deliveries:
            self.append(delivery)

    def _put(self, delivery: Delivery, key: Key, *, in_front: bool) -> None:
        (key.waiting.appendleft if in_front else key.waiting.append)(delivery)
        self._length += 1
        if len(key.waiting) == 1:
            heapq.heappush(self._turns, (self._next_at(key), key.number))
        self._set_alarm()

    def popleft(self) -> Delivery:
        """Take the next delivery that may begin."""
        key = self._keys[heapq.heappop(self._turns)[1]]
        delivery = key.waiting.popleft()
        self._length -= 1
        self._use(key)
        if key.waiting:
            heapq.heappush(self._turns, (self._next_at(key), key.number))
        self._set_alarm()
        return delivery

    def clear(self) -> None:
        """Forget the deliveries, and their turns. Deliveries that have begun count."""
        for key in self._keys.values():
            key.waiting.clear()
            key.reserved_to = key.full_at
        self._turns.clear()
        self._length = 0

    def take_waiting(self, delivery: Delivery) -> bool:
        """Whether a delivery that is not ready may begin, behind others in their group; it counts then."""
        key = self._key_of(delivery)
        if self._next_at(key) > time.monotonic():
            return False
        self._use(key)
        if key.waiting:
            self._turns = [(at if number != key.number else self._next_at(key), number) for at, number in self._turns]
            heapq.heapify(self._turns)
        return True

    def reserve(self, delivery: Delivery) -> float:
        """Give a delivery its turn; when that is."""
        key, now = self._key_of(delivery), time.monotonic()
        turn = max(now, key.reserved_to - self._slack_s)
        key.reserved_to = max(key.reserved_to, now) + self._interval_s
        return turn

    def look(self) -> None:
        """The alarm has gone off, possibly a little too early."""
        self._alarm_at = 0.0
        self._set_alarm()

    def load(self, full_in: Iterable[tuple[int, float]]) -> None:
        """Continue with the state that an earlier daemon saved: keys, and the seconds until their buckets are full."""
        now = time.monotonic()
        longest_s = self._slack_s + self._interval_s  # a server's clock may have been set back
        for number, seconds in full_in:
            self._keys[number] = Key(number, now + min(seconds, longest_s))

    def used(self) -> list[tuple[int, float]]:
        """The keys whose deliveries have begun since the last call, and the seconds until their buckets are full."""
        now = time.monotonic()
        found = [(number, self._keys[number].full_at - now) for number in self._used]
        self._used.clear()
        if len(self._keys) > MANY_KEYS:
            self._calls_to_look -= 1
            if self._calls_to_look <= 0:
                self._forget_keys(now)
        return found

    def _forget_keys(self, now: float) -> None:
        """Forget full buckets. A million keys take 0.3 seconds of the event loop: many are looked at rarely."""
        self._keys = {
            number: key for number, key in self._keys.items() if key.waiting or max(key.full_at, key.reserved_to) > now
        }
        self._calls_to_look = len(self._keys) // KEYS_PER_CALL

    def _use(self, key: Key) -> None:
        key.full_at = max(key.full_at, time.monotonic()) + self._interval_s
        key.reserved_to = max(key.reserved_to, key.full_at)
        self._used.add(key.number)

    def _next_at(self, key: Key) -> float:
        return key.full_at - self._slack_s

    def _set_alarm(self) -> None:
        if not self._turns:
            return
        at, now = self._turns[0][0], time.monotonic()
        if at > now and not now < self._alarm_at <= at:
            self._alarm_at = at
            self._alarm(at)

    def _key_of(self, delivery: Delivery) -> Key:
        number = self._number_of(delivery) if self._per else WHOLE_HOOK
        key = self._keys.get(number)
        if key is None:
            key = self._keys[number] = Key(number)
        return key

    def _number_of(self, delivery: Delivery) -> int:
        """The key of a delivery as a number. The row as it is now has it; rows without these columns share one."""
        change = delivery.change
        if self._per == (OBJECT,):
            keys, salt = change.lane_keys(), change.content_type.id
        else:
            keys, salt = change.lane_keys(self._per), 0
        key = b"" if keys is None else keys[-1]
        return int.from_bytes(blake2b(key, digest_size=8, salt=salt.to_bytes(8)).digest(), signed=True)
