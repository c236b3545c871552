"""Recognises a copy of this process that a receiver made by ``os.fork``: it must not go on as if it were the original.

A copy has the connections of the original, so it would commit its runs, and answer for it.
"""

import contextlib
import os
from collections.abc import Generator
from contextlib import contextmanager

from jobhooks.runtime.event_log import get_logger

EXIT_CODE = 1
HINT = "os._exit in it, or subprocess"

log = get_logger()


class Copies:
    """``made``: how often this process, or one it comes from, has become a copy of another."""

    made = 0


def _become_copy() -> None:
    Copies.made += 1


os.register_at_fork(after_in_child=_become_copy)


def end_copy(made_before: int, receiver: str) -> None:
    """End this process if it has become a copy since ``Copies.made`` was ``made_before``, in the code of a receiver.

    Programs that the receiver starts, and copies that end themselves with ``os._exit``, do not come here.
    """
    if Copies.made != made_before:
        with contextlib.suppress(OSError, ValueError):
            # Not to sys.stderr, which is part of the log of a run while one runs.
            log.error(
                "copy_ended", receiver=receiver, error="it called os.fork, and the new process went on", hint=HINT
            )
        os._exit(EXIT_CODE)


@contextmanager
def without_copies(receiver: str) -> Generator[None]:
    """End each copy of this process that comes to the end of the block."""
    made = Copies.made
    try:
        yield
    finally:
        end_copy(made, receiver)
