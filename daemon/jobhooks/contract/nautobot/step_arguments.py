"""The arguments of the steps around a run: those of jobhooks or those of Nautobot, as the method's signature says."""

import inspect
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, cast

# How many arguments a step has here, and in Nautobot: its own and task_id, args, kwargs; einfo as the last of two.
COUNTS = {"before_start": (0, 3), "on_success": (1, 4), "on_failure": (1, 5), "after_return": (2, 6), "on_dead": (1,)}


@dataclass(frozen=True)
class ErrorInfo:
    """``einfo``: the exception of a failed run, with its traceback as text."""

    exception: BaseException

    @property
    def traceback(self) -> str:
        """The traceback."""
        return "".join(traceback.format_exception(self.exception))

    def __str__(self) -> str:
        return self.traceback


@lru_cache(maxsize=1000)
def takes(function: Callable[..., object], count: int) -> bool:
    """Whether a method, as the class has it, can be called with this number of arguments."""
    try:
        inspect.signature(function).bind(None, *range(count))
    except TypeError:
        return False
    return True


def fits(function: Callable[..., object], step: str) -> bool:
    """Whether a step has the arguments of jobhooks or those of Nautobot's."""
    return any(takes(function, count) for count in COUNTS[step])


def call_step(
    receiver: Any, step: str, own: tuple[object, ...], task_id: str, change_id: int, exc: BaseException | None = None
) -> Any:
    """Call a step of a receiver with the arguments ``own``, and those of Nautobot's behind them if it needs these."""
    if takes(getattr(cast("type[object]", type(receiver)), step), len(own)):
        return getattr(receiver, step)(*own)
    more: tuple[object, ...] = (task_id, (), {"object_change": change_id})
    if step in ("on_failure", "after_return"):
        more = (*more, None if exc is None else ErrorInfo(exc))
    return getattr(receiver, step)(*own, *more)
