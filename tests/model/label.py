"""Labels of steps, and the budget of harm."""

from collections.abc import Iterator
from typing import NamedTuple

from model.state import State


class Label(NamedTuple):
    """The name of a step. ``harm``: it is in the budget, and deliveries do not depend on it."""

    what: str
    hook: int = -1
    change: int = -1
    harm: bool = False

    def __str__(self) -> str:
        hook = "" if self.hook < 0 else f", hook {self.hook}"
        change = "" if self.change < 0 else f", change {self.change}"
        return f"{self.what}{hook}{change}"


Steps = Iterator[tuple[Label, State]]


def spend(state: State, name: str) -> State | None:
    """Take one harm from the budget, unless it is used up."""
    left = getattr(state.budget, name)
    if not left:
        return None
    return state._replace(budget=state.budget._replace(**{name: left - 1}))
