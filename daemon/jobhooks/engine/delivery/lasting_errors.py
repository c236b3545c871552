"""Decides which errors time does not fix, by the receiver's settings. Pure, where the error was raised."""

from typing import NamedTuple

from jobhooks.contract.control import Retry
from jobhooks.contract.error_names import closest
from jobhooks.contract.job_settings import FUNCTION, JobLimits
from jobhooks.engine.delivery.delivery import Delivery
from jobhooks.errors import InvalidReceiver

# Faults of the code, and subclasses. A repeat shows whether it was the data of a moment, such as a missing answer.
LASTING = (TypeError, AttributeError, NameError, NotImplementedError, ImportError, SyntaxError)


class RetryRules(NamedTuple):
    """The settings that decide about the next attempt, where a run fails.

    ``failures``: before this one; ``lasting``: the last one was an error that time does not fix. ``has_function``: the
    receiver computes the pause.
    """

    retry_on: tuple[str, ...]
    no_retry_on: tuple[str, ...]
    has_function: bool
    max_attempts: int
    failures: int
    lasting: bool

    def is_last(self, lasting: bool) -> bool:
        """Whether another failure makes the delivery dead, as ``next_step`` decides. ``lasting``: of its error."""
        return (lasting and self.lasting) or self.failures + 1 >= self.max_attempts


def rules_of(delivery: Delivery, *, calls_on_dead: bool) -> RetryRules | None:
    """The rules of a delivery; null if the usual ones are enough, so that a run costs nothing more."""
    limits: JobLimits = delivery.hook.limits
    has_function = limits.backoff == FUNCTION
    if not (calls_on_dead or has_function or limits.retry_on or limits.no_retry_on):
        return None
    numbers = (limits.max_attempts, delivery.failures, delivery.lasting)
    return RetryRules(limits.retry_on, limits.no_retry_on, has_function, *numbers)


def is_lasting(exc: BaseException, rules: RetryRules | None = None) -> bool:
    """Whether time does not fix an error: the settings name its class or a base class, or it is one of ``LASTING``.

    The class named nearest decides. A group of errors lasts if each error in it does.
    """
    if isinstance(exc, Retry):
        return False
    if rules is not None:
        named = closest(type(exc), rules.no_retry_on, rules.retry_on)
        if named is not None:
            return named == 0
    if isinstance(exc, BaseExceptionGroup):
        return all(is_lasting(each, rules) for each in exc.exceptions)  # pyright: ignore[reportUnknownVariableType, reportUnknownMemberType, reportUnknownArgumentType] - of any type
    if isinstance(exc, InvalidReceiver) and exc.__cause__ is not None:
        return is_lasting(exc.__cause__, rules)  # the module does not import in a worker process
    return isinstance(exc, LASTING)
