"""The settings of a job: the one table that ``class Meta``, the database, ``job set`` and the reference derive from.

A receiver states them in its ``class Meta``; an operator overrides them. They travel as one JSON object from ``Meta``
to ``jobhooks.job``, and from there to the engine.
"""

from dataclasses import MISSING, dataclass, fields
from enum import Enum
from typing import Annotated, Any, get_type_hints

from jobhooks.contract.choices import FailurePolicy, Ordering

MAX_COUNT = 100_000
MAX_SECONDS = 10 * 365 * 86_400
FUNCTION = "function"  # the backoff of a receiver whose Meta.backoff is one
BATCH_SIZE = 100  # of a receiver of batches without a batch_size


class Kind(Enum):
    """The kind of a setting's value. ``jobhooks.refusal_of_setting`` checks the same kinds in the database."""

    NAME = "name"  # a text that is not empty
    TEXT = "text"
    FLAG = "flag"
    SECONDS = "seconds"
    COUNT = "count"
    POLICY = "policy"
    ORDER = "order"
    ERRORS = "errors"  # a list of names of exception classes
    BACKOFF = "backoff"  # a number of seconds, or a list of them; FUNCTION for a receiver that computes them


@dataclass(frozen=True)
class Rule:
    """The values and the purpose of a setting.

    ``zero``: 0 is allowed; ``optional``: null is allowed; ``shown_default``: its default in the reference, if that
    depends on the receiver.
    """

    kind: Kind
    about: str
    zero: bool = False
    optional: bool = False
    shown_default: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class JobLimits:
    """How the engine runs a job. Times are in seconds; null is no limit.

    ``order_by``: a word, or columns: rows with equal values are delivered in order. ``batch_size``: null for a receiver
    that takes one change at a time.
    """

    soft_time_limit: Annotated[
        float | None,
        Rule(
            Kind.SECONDS,
            "after this many seconds `SoftTimeLimitExceeded` is raised inside the receiver, so that it can clean up",
            optional=True,
        ),
    ] = None
    time_limit: Annotated[
        float | None,
        Rule(
            Kind.SECONDS,
            "after this many seconds the run ends: the process of a `def` receiver is killed, an `async def` receiver"
            " is cancelled",
            optional=True,
        ),
    ] = None
    max_attempts: Annotated[
        int,
        Rule(
            Kind.COUNT,
            "after this many failures a delivery is dead until an operator retries or discards it: `jobhooks delivery"
            " list`",
        ),
    ] = 15
    backoff: Annotated[
        float | tuple[float, ...] | str,
        Rule(
            Kind.BACKOFF,
            "seconds before the second attempt. The pause doubles with each failure, up to an hour, with 20 % jitter:"
            " 15 attempts take about three hours. Or a list of pauses, whose last one repeats; or a function,"
            " see below",
        ),
    ] = 1.0
    no_retry_on: Annotated[
        tuple[str, ...],
        Rule(
            Kind.ERRORS,
            "exception classes, or their names, of errors that time does not fix: such a delivery is dead after one"
            " repeat, see below",
        ),
    ] = ()
    retry_on: Annotated[
        tuple[str, ...],
        Rule(Kind.ERRORS, "exception classes, or their names, that are retried although they count as such"),
    ] = ()
    on_failure: Annotated[
        FailurePolicy,
        Rule(
            Kind.POLICY,
            'how to treat later changes of a failed object: `"block"` holds them, `"skip"` lets them pass',
        ),
    ] = FailurePolicy.BLOCK
    concurrency: Annotated[
        int,
        Rule(
            Kind.COUNT,
            "how many deliveries of one hook run at a time. Deliveries of one object never run at the same time",
        ),
    ] = 8
    order_by: Annotated[
        Ordering | tuple[str, ...],
        Rule(
            Kind.ORDER,
            'the ordering key: `"object"`, `"table"`, a column or a list of columns (rows with equal values are in'
            ' order), or `"none"`',
        ),
    ] = Ordering.OBJECT
    is_singleton: Annotated[bool, Rule(Kind.FLAG, "run one delivery at a time across all hooks of the job")] = False
    queue: Annotated[
        str,
        Rule(
            Kind.TEXT,
            "jobs with the same queue share its concurrency: the lowest `concurrency` among them",
        ),
    ] = ""
    batch_size: Annotated[
        int | None,
        Rule(Kind.COUNT, "how many changes one call takes, in receivers of batches, see below", shown_default="100"),
    ] = None
    batch_wait: Annotated[
        float, Rule(Kind.SECONDS, "seconds that a call waits for its batch to fill, see below", zero=True)
    ] = 0.0
    has_sensitive_variables: Annotated[
        bool, Rule(Kind.FLAG, "store neither the return value nor the text of errors")
    ] = False


@dataclass(frozen=True, slots=True, kw_only=True)
class JobSettings(JobLimits):
    """All settings of a job: how it runs, and how it is listed."""

    name: Annotated[str, Rule(Kind.NAME, "what people call the job", shown_default="the name of the class")]
    description: Annotated[
        str, Rule(Kind.TEXT, "what the job does", shown_default="the first line of the class's docstring")
    ] = ""
    hidden: Annotated[bool, Rule(Kind.FLAG, "leave the job out of lists unless `--all` is given")] = False
    grouping: Annotated[str, Rule(Kind.TEXT, "the heading that the job is listed under")] = ""


def _rules() -> dict[str, Rule]:
    """The rules by the names of the settings, those for lists first."""
    limits = [item.name for item in fields(JobLimits)]
    hints = get_type_hints(JobSettings, include_extras=True)
    own = [name for name in hints if name not in limits]
    return {name: hints[name].__metadata__[0] for name in (*own, *limits)}


RULES = _rules()
DEFAULTS: dict[str, Any] = {
    item.name: None if item.default is MISSING else item.default for item in fields(JobSettings)
}  # null if it depends on the receiver
