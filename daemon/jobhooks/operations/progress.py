"""Callbacks that report the progress of operations, which print nothing themselves."""

import contextlib
from collections.abc import Callable, Generator
from contextlib import AbstractContextManager

Advance = Callable[[int], None]
"""Called with the number of items done since the last call."""

Progress = Callable[[str, int], AbstractContextManager[Advance]]
"""Opened with the name of a long task, such as ``retrying``, and its number of items."""


@contextlib.contextmanager
def no_progress(_task: str, _total: int) -> Generator[Advance]:
    """Report nothing."""
    yield lambda _done: None
