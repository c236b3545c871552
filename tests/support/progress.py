"""A progress callback for tests of operations."""

import contextlib
from collections.abc import Generator

from jobhooks.operations.progress import Advance


class RecordedProgress:
    """A progress callback that records the tasks, their totals and how far they came."""

    def __init__(self) -> None:
        self.tasks: list[tuple[str, int]] = []
        self.done = 0

    @contextlib.contextmanager
    def __call__(self, task: str, total: int) -> Generator[Advance]:
        """Record one task."""
        self.tasks.append((task, total))

        def advance(done: int) -> None:
            self.done += done

        yield advance
