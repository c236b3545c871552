"""A call of a receiver that is in progress, as scheduling sees it: its log lines so far, and how to end it."""

from collections.abc import Sequence
from typing import Protocol

from jobhooks.contract.log import LogEntry
from jobhooks.contract.run import DeliveryIdentity
from jobhooks.errors import AlreadySettled


class RunDiscarded(AlreadySettled):
    """The run was ended because its delivery was discarded while it ran."""


class Call(Protocol):
    """A call in progress: of one delivery, of a batch, or of a group that runs one delivery after the other.

    After its end it gets no further lines, and ``end`` does nothing.
    """

    @property
    def worker_pid(self) -> int | None:
        """The process that it runs in, if that is not the daemon."""
        ...

    def is_running(self, delivery: DeliveryIdentity) -> bool:
        """Whether the receiver works on this delivery now, and not on another one of the group."""
        ...

    def lines(self, delivery: DeliveryIdentity) -> Sequence[LogEntry]:
        """The lines so far that belong to this delivery. Those of a batch belong to its first one."""
        ...

    def end(self, reason: Exception) -> None:
        """End it, if the receiver still works.

        ``reason``: ``Cancelled``, which becomes the outcome; or RunDiscarded, which is raised to the runner's caller.
        """
        ...
