"""The settings of a hook: the one table that flags, the hook file, ``hook show`` and the history derive from."""

from dataclasses import MISSING, dataclass, field, fields
from enum import Enum
from typing import Annotated, Any, get_type_hints

TRANSACTION = "transaction"
REQUEST = "request"
REQUEST_S = -1.0  # as the value of coalesce_s
WAIT_FOR_REQUEST_S = 1.0  # if a hook that merges the changes of a request names no debounce_s
MAX_COALESCE_S = 86_400
WAITS = 10  # quiet periods, if a hook names no longest wait


class Kind(Enum):
    """The kind of a setting's value: how a command line takes and shows it."""

    NAME = "name"
    TEXT = "text"
    TABLES = "tables"
    JOB = "job"
    EVENTS = "events"
    COLUMNS = "columns"
    ROLES = "roles"
    DATA = "data"
    NUMBER = "number"
    DEPTH = "depth"
    FLAG = "flag"
    COALESCE = "coalesce"
    DURATION = "duration"
    RATE_KEY = "rate key"


@dataclass(frozen=True)
class Rule:
    """The kind and the purpose of a setting. ``metavar``: stands for its value in a usage line.

    ``cleared``: the value that removes it with ``hook edit``, and the effect.
    """

    kind: Kind
    about: str
    metavar: str | None = None
    cleared: str = ""


@dataclass(frozen=True, slots=True)
class HookSettings:
    """The settings of a hook, as ``jobhooks.save_hook`` takes them.

    ``paused``: it runs nothing, and continues at its position in the log when it is resumed.
    ``job``: the class path. ``columns``: an update fires only if it changed one of them; empty: any column.
    ``roles``: only changes of sessions that logged in as one of them; empty: any role.
    ``data``: the values that it passes to its receiver, as JSON has them.
    ``coalesce_s``: merge the changes of one transaction (0), of one request (-1), or of this many seconds; null: merge
    no changes. A request has no end in the log, so its changes wait for ``debounce_s``, by default a second.
    ``debounce_s``: merge the changes of an object until that many seconds have passed without another;
    ``longest_wait_s``: but at most this time after the first one; null: ten times ``debounce_s``.
    ``rate``: how many deliveries begin in a span of time, such as ``30/min``; ``rate_per``: the columns whose values
    have it each for itself, or ``object``; empty: all deliveries share it.
    ``chain_depth``: it also runs for receivers' writes, its own included, up to this number of runs away from an
    application's change; 0: for none.
    """

    name: Annotated[str, Rule(Kind.NAME, "A name of your choice.", "NAME")]
    content_types: Annotated[list[str], Rule(Kind.TABLES, "A watched table, schema.table. Repeatable.", "TABLE")]
    job: Annotated[str, Rule(Kind.JOB, "module.Class, as job list shows it.", "JOB")]
    events: Annotated[
        list[str],
        Rule(Kind.EVENTS, "create, update, delete or truncate, or several, separated by commas.", "EVENT[,EVENT...]"),
    ]
    enabled: Annotated[bool, Rule(Kind.FLAG, "Whether changes run the job.")] = True
    paused: Annotated[bool, Rule(Kind.FLAG, "Whether it runs nothing and keeps its position in the log.")] = False
    priority: Annotated[int, Rule(Kind.NUMBER, "Lists show hooks of a higher priority first.", "N")] = 0
    description: Annotated[str, Rule(Kind.TEXT, "What the hook is for.")] = ""
    columns: Annotated[
        list[str],
        Rule(
            Kind.COLUMNS,
            "An update fires only if this column, or another one named, changed. Repeatable.",
            "COLUMN",
            "Empty: any column.",
        ),
    ] = field(default_factory=list[str])
    conditions: Annotated[
        str, Rule(Kind.TEXT, "An expression in CEL that a change must satisfy.", "EXPRESSION", "Empty: none.")
    ] = ""
    roles: Annotated[
        list[str],
        Rule(
            Kind.ROLES,
            "Only changes of sessions that logged in as this role, or one of several, separated by commas.",
            "ROLE[,ROLE...]",
            "Empty: any role.",
        ),
    ] = field(default_factory=list[str])
    data: Annotated[
        dict[str, Any],
        Rule(
            Kind.DATA,
            "A value that the receiver gets in self.hook.data: JSON, or else a text. Repeatable.",
            "KEY=VALUE",
            "The other keys stay.",
        ),
    ] = field(default_factory=dict[str, Any])
    coalesce_s: Annotated[
        float | None,
        Rule(
            Kind.COALESCE,
            "Deliver the changes of an object as one: those of one transaction, request, or that many seconds.",
            "transaction|request|SECONDS",
            "Or none.",
        ),
    ] = None
    debounce_s: Annotated[
        float | None,
        Rule(
            Kind.DURATION,
            "Deliver the changes of an object as one, when this time has passed without another: 5s, 1min.",
            "DURATION",
            "Or none.",
        ),
    ] = None
    longest_wait_s: Annotated[
        float | None,
        Rule(
            Kind.DURATION,
            "With --debounce: the longest wait after the first change; default: ten times --debounce.",
            "DURATION",
            "Or none.",
        ),
    ] = None

    rate: Annotated[
        str,
        Rule(
            Kind.TEXT,
            "Limit the deliveries that begin in a span of time: 30/min, 5/s, 1000/h, 1/day.",
            "N/UNIT",
            "Empty: any.",
        ),
    ] = ""
    rate_per: Annotated[
        list[str],
        Rule(
            Kind.RATE_KEY,
            "With --rate: each value of this column, or of several, has the rate for itself; object: each object.",
            "COLUMN[,COLUMN...]",
            "Empty: the whole hook has it.",
        ),
    ] = field(default_factory=list[str])
    chain_depth: Annotated[
        int,
        Rule(
            Kind.DEPTH,
            "Also run for receivers' writes, up to this number of runs away from an application's change; at most 10.",
            "N",
            "0: for none.",
        ),
    ] = 0

    @property
    def merges_after_s(self) -> float | None:
        """How long a change waits to be merged with others: until its transaction is read if 0; null: it does not."""
        return self.coalesce_s if self.quiet_s is None else self.quiet_s

    @property
    def merges_requests(self) -> bool:
        """Whether only changes with the same request id are merged; those without one, by transaction."""
        return self.coalesce_s == REQUEST_S

    @property
    def quiet_s(self) -> float | None:
        """How long an object must stay unchanged, if each change starts the wait again."""
        if self.debounce_s is None and self.merges_requests:
            return WAIT_FOR_REQUEST_S
        return self.debounce_s

    @property
    def waits_at_most_s(self) -> float | None:
        """How long after its first change an object is delivered at the latest, if each change starts a new wait."""
        if self.quiet_s is None:
            return None
        return WAITS * self.quiet_s if self.longest_wait_s is None else self.longest_wait_s


def _default(item: Any) -> Any:
    return item.default_factory() if item.default_factory is not MISSING else item.default


RULES: dict[str, Rule] = {
    name: hint.__metadata__[0] for name, hint in get_type_hints(HookSettings, include_extras=True).items()
}
REQUIRED = [item.name for item in fields(HookSettings) if _default(item) is MISSING]
DEFAULTS: dict[str, Any] = {item.name: _default(item) for item in fields(HookSettings) if item.name not in REQUIRED}


def shown_name(setting: str) -> str:
    """The name that people use for a setting, in files and in messages: a duration without its unit."""
    return setting.removesuffix("_s")


def setting_named(shown: str) -> str:
    """The setting that ``shown_name`` gives this name; ``shown`` itself if no setting has it."""
    return next((setting for setting in RULES if shown_name(setting) == shown), shown)
