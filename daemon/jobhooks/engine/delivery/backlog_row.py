"""A row of the backlog table, as the engine has it in memory. Data."""

from math import inf

import msgspec

from jobhooks.engine.delivery.delivery import Delivery
from jobhooks.engine.delivery.lane import lane_numbers
from jobhooks.engine.delivery.outcome import Outcome
from jobhooks.engine.delivery.retry import next_step


class BacklogRow(msgspec.Struct, eq=False):
    """A delivery whose ordering key is blocked.

    - ``lane``, ``other_lane``: its keys, as ``lane_numbers`` makes them
    - ``attempts`` have a result, and ``failures`` of them count against the hook's limit
    - ``lasting``: the last attempt failed with an error that time does not fix
    - ``blocks``: younger deliveries with one of its keys wait for it, and it waits for older ones
    - ``due``: when it can be attempted, by the monotonic clock in seconds; ``inf``: never, it is dead
    - ``is_of_child``: the change is one of a child of the table
    - ``request``: a hash of the request id of the change, valid in this process; None without one
    - ``depth``: of the change, in a chain
    - ``written``: the table has this row, as it is here
    - ``loaded``: the delivery is in memory: it waits in its lanes, or runs
    - ``not_before``: if it waits for longer than until it is due, when to look at it again; in memory only
    - ``turn_at``: when its turn is by the hook's rate; in memory only; 0: not known yet
    """

    change_id: int
    hook_id: int
    content_type_id: int
    lane: int | None
    other_lane: int | None
    transaction_id: int
    attempts: int = 0
    failures: int = 0
    lasting: bool = False
    blocks: bool = True
    due: float = 0.0
    is_of_child: bool = False
    request: int | None = None
    depth: int = 0
    written: bool = False
    loaded: bool = False
    not_before: float = 0.0
    turn_at: float = 0.0

    @property
    def is_dead(self) -> bool:
        """Whether it is attempted again only if a person asks for that."""
        return self.due == inf


def row_of(delivery: Delivery, due: float) -> BacklogRow:
    """The row of a delivery that is parked without an attempt."""
    change = delivery.change
    lane, other_lane = lane_numbers(delivery.lanes)
    return BacklogRow(
        change.id,
        delivery.hook.id,
        change.content_type.id,
        lane,
        other_lane,
        change.transaction_id,
        attempts=delivery.attempts,
        failures=delivery.failures,
        lasting=delivery.lasting,
        due=due,
        is_of_child=change.related is not None,
        request=request_number(change.request_id),
        depth=change.depth,
    )


def request_number(request_id: str | None) -> int | None:
    """A number for a request id, so that a row needs no more memory for a long one."""
    return hash(request_id) if request_id else None


def failed_row(delivery: Delivery, outcome: Outcome, now: float) -> BacklogRow:
    """The row that a failed attempt leaves: due after its backoff, or dead; a cancelled one is dead without a retry."""
    hook = delivery.hook
    failures = delivery.failures + 1
    lasts = outcome.lasting and delivery.lasting
    step = next_step(failures, hook.limits, outcome.retry_after, lasts=lasts)
    row = row_of(delivery, inf if step.due_in is None or outcome.cancelled else now + step.due_in)
    row.attempts, row.failures, row.blocks = delivery.attempt, failures, hook.blocks
    row.lasting = outcome.lasting
    return row
