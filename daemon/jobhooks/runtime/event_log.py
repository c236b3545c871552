"""The loggers of jobhooks. A receiver that sets up structlog for itself does not change them."""

from typing import Any, cast

import structlog
from structlog.stdlib import BoundLogger

_set_up: list[Any] = []  # the logger of the process, once its log is set up; until then structlog's own


class EventLog:
    """A logger that finds out at each call how the log is set up: modules make theirs before."""

    def __getattr__(self, name: str) -> Any:
        """A method of the logger of this process."""
        return getattr(_set_up[0] if _set_up else structlog.stdlib.get_logger(), name)


def get_logger() -> BoundLogger:
    """Return a logger of this process."""
    return cast("BoundLogger", EventLog())


def set_up(logger: Any) -> None:
    """Have all loggers of this process log with this one."""
    _set_up[:] = [logger]


def reset() -> None:
    """Log with structlog's own logger again, as before ``set_up``: each test begins so."""
    _set_up.clear()
