"""What the daemon sends to a worker process: the data of one attempt."""

from dataclasses import dataclass

from jobhooks.contract.change import Change
from jobhooks.contract.control import TimeLimitExceeded, WorkerDied
from jobhooks.contract.run import DeliveryIdentity
from jobhooks.engine.delivery.lasting_errors import RetryRules
from jobhooks.engine.delivery.outcome import Clock, Outcome


@dataclass(frozen=True)
class Order:
    """The data of one attempt, sent to a worker. Times are in seconds.

    ``merged``: settled with it. ``further``: updates of further parents; the receiver is also called for each of them.
    ``behind``: it is a later change of an object of others that are sent with it. ``rules``: for the next attempt, if
    they are not the usual ones.
    """

    class_path: str
    delivery: DeliveryIdentity
    job_id: int
    change: Change
    soft_time_limit: float | None
    clock: Clock
    hook_name: str = ""
    sensitive: bool = False
    merged: tuple[DeliveryIdentity, ...] = ()
    further: tuple[Change, ...] = ()
    behind: bool = False
    rules: RetryRules | None = None
    hook_data: str = ""

    def makes_dead(self, outcome: Outcome) -> bool:
        """Whether this outcome makes the delivery dead."""
        return outcome.may_call_on_dead and self.rules is not None and self.rules.is_last(outcome.lasting)


class DeadRun:
    """A run whose process was ended, and which made its delivery dead."""

    def __init__(self, order: Order, exc: TimeLimitExceeded | WorkerDied) -> None:
        self.order = order
        self._limit_s = exc.seconds if isinstance(exc, TimeLimitExceeded) else None
        self._message = str(exc)

    @property
    def exc(self) -> Exception:
        """How the run ended, made again from the values that can be sent."""
        return WorkerDied(self._message) if self._limit_s is None else TimeLimitExceeded(self._limit_s)
