"""``register_jobs`` and ``get_task_logger``, which modules written for Nautobot call."""

import logging


def register_jobs(*jobs: type) -> None:
    """Accept the classes of a module, without effect: jobhooks finds every receiver in it."""
    for job in jobs:
        if not isinstance(job, type):  # pyright: ignore[reportUnnecessaryIsInstance] - authors need no type checker
            raise TypeError(f"register_jobs() takes classes, not {job!r}")


def get_task_logger(name: str) -> logging.Logger:
    """The logger of that name. Its lines during a run go to the run's log."""
    return logging.getLogger(name)
