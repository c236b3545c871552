"""The run that is going on, for what an author asks of an object that does not belong to it alone."""

from contextvars import ContextVar
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from jobhooks.contract.receiver import Run

# Set around each call of a receiver, in the task or the process that it runs in, and taken back when that has ended.
current_run: ContextVar["Run[Any] | None"] = ContextVar("current_run", default=None)
