"""The effects of watching one table, for a DBA: its triggers, the functions they call, locks, and how to stop them."""

from dataclasses import dataclass

from jobhooks.operations.lookup.names import ids_of_table
from jobhooks.store.connections import SyncConnection, call
from jobhooks.store.queries import filled

ACTIONS = ("create", "update", "delete", "truncate")
LOCKS = [
    ("each write to the table", "on the table, none but those of the statement itself"),
    ("each write to the table", "ROW EXCLUSIVE on the log's newest segment, as any INSERT into it takes"),
    ("each write to the table", "a shared advisory lock (1785684584, 2), which a writer never waits for"),
    ("watch", "SHARE ROW EXCLUSIVE on the table, waited for at most half a second"),
    ("unwatch", "ACCESS EXCLUSIVE on the table, waited for at most half a second"),
]
LIMITS = [
    "a row of more than 500 MB as JSON is recorded by its key alone",
    "a row that cannot be converted to JSON is recorded by its key alone, with the reason",
    "jobhooks.user_name, jobhooks.request_id and jobhooks.message keep 1,000 characters each",
]


@dataclass(frozen=True)
class ExplainedTrigger:
    """A trigger; ``statement`` is null if it is missing. ``calls``: the functions of jobhooks in it."""

    table: str
    name: str
    state: str
    statement: str | None
    calls: list[str]


@dataclass(frozen=True)
class ExplainedFunction:
    """A function that a trigger calls, itself or through another one.

    ``security_definer``: it runs with the rights of ``owner``, otherwise with the writer's. ``search_path`` is null if
    it is not pinned: then every name in the function is qualified. ``public``: every role may call it, which needs the
    schema as well, and no application may use that.
    """

    function: str
    owner: str
    security_definer: bool
    search_path: str | None
    public: bool


@dataclass(frozen=True)
class Lock:
    """A lock, and when it is taken."""

    taken_by: str
    lock: str


@dataclass(frozen=True)
class SwitchOff:
    """A way to stop the capture, its cost, and how to undo it."""

    statement: str
    effect: str
    undo: str


@dataclass(frozen=True)
class TableExplanation:
    """The effects of watching a table. ``calls``: for each action, the functions that its triggers call."""

    table: str
    state: str
    key: list[str]
    always: bool
    keep_lastval: bool | None
    exclude: list[str]
    ignore: list[str]
    parents: list[str]
    triggers: list[ExplainedTrigger]
    calls: dict[str, list[str]]
    functions: list[ExplainedFunction]
    locks: list[Lock]
    limits: list[str]
    switch_off: list[SwitchOff]
    check_it_is_gone: str


def explain_table(conn: SyncConnection, name: str) -> TableExplanation:
    """Explain the triggers of a table that is watched, or was.

    Raises:
        NotWatched: it is not watched and never was.
    """
    content_type_id = max(ids_of_table(conn, name))
    ((table, state, key, always, keep_lastval, exclude, ignore, parents),) = call(
        conn, "watched_table", content_type_id=content_type_id
    )
    triggers = [ExplainedTrigger(*row) for row in call(conn, "explained_triggers", content_type_id=content_type_id)]
    called = sorted({function for trigger in triggers for function in trigger.calls})
    return TableExplanation(
        table,
        state,
        key,
        always,
        keep_lastval,
        exclude,
        ignore,
        parents,
        triggers=triggers,
        calls={action: _calls(triggers, action) for action in ACTIONS},
        functions=[ExplainedFunction(*row) for row in call(conn, "explained_functions", names=called)],
        locks=[Lock(*lock) for lock in LOCKS],
        limits=LIMITS,
        switch_off=_ways_to_switch_off(table, triggers, always=always),
        check_it_is_gone=" ".join(filled("remaining_triggers", table=_literal(table)).split()),
    )


def _calls(triggers: list[ExplainedTrigger], action: str) -> list[str]:
    """The functions that the triggers of an action call. Further triggers of a partitioned table serve updates."""
    endings = (f"_{action}", "_before", "_end") if action == "update" else (f"_{action}",)
    if action == "truncate":
        endings = (*endings, "_before_truncate")
    return sorted({function for trigger in triggers if trigger.name.endswith(endings) for function in trigger.calls})


def _ways_to_switch_off(table: str, triggers: list[ExplainedTrigger], *, always: bool) -> list[SwitchOff]:
    own = [trigger for trigger in triggers if trigger.statement is not None]
    ways: list[SwitchOff] = []
    for relation in dict.fromkeys(trigger.table for trigger in own):
        names = [trigger.name for trigger in own if trigger.table == relation]
        enabled = "enable always" if always else "enable"
        ways.append(
            SwitchOff(
                _alter(relation, "disable", names),
                "changes are not recorded while the triggers are disabled; everything else stays",
                _alter(relation, enabled, names),
            )
        )
    unwatch = SwitchOff(
        f"select jobhooks.unwatch({_literal(table)})",
        "drops the triggers; recorded changes stay, and are still delivered",
        f"jobhooks table watch '{table}' with the same options, which jobhooks table show lists",
    )
    return [*ways, unwatch]


def _alter(relation: str, verb: str, names: list[str]) -> str:
    return f"alter table {relation} " + ", ".join(f'{verb} trigger "{name}"' for name in names)


def _literal(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"
