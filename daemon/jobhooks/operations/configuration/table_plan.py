"""Plans the changes to the tables of a file, tries them without locking the tables, and carries them out."""

from collections.abc import Sequence
from dataclasses import dataclass, fields

from jobhooks.errors import Refused, UnknownTable, UnwatchableTable
from jobhooks.operations import tables, watching
from jobhooks.operations.configuration.hook_plan import Difference, StepKind
from jobhooks.operations.configuration.table_file import TableEntry
from jobhooks.operations.lookup.parent_names import listed_parents, parents_json
from jobhooks.operations.lookup.table_names import check_is_not_another, full_name
from jobhooks.operations.progress import Progress, no_progress
from jobhooks.operations.watching import Candidate, Outcome, TableStep, Watching
from jobhooks.store.connections import SyncConnection, call

KINDS = {Outcome.WATCHED: StepKind.ADD, Outcome.CHANGED: StepKind.EDIT}


@dataclass(frozen=True)
class TablePlan:
    """The tables to watch, or to watch in another way; and those that are watched and not in the file."""

    steps: list[TableStep]
    others: list[str]


def exported(conn: SyncConnection) -> list[TableEntry]:
    """The watched tables as a file has them."""
    return [
        TableEntry(
            name=one.table,
            key=None if one.former.key == one.primary_key else one.former.key,
            always=one.former.always,
            exclude=one.former.exclude,
            ignore=one.former.ignore,
            keep_lastval=one.former.keep_lastval,
            parents=one.former.parents,
        )
        for one in watching.candidates(conn)
        if one.watched and one.former is not None
    ]


def plan(conn: SyncConnection, wanted: Sequence[TableEntry]) -> TablePlan:
    """Plan to watch the tables of a file as it says.

    Raises:
        UnknownTable: there is no such table, or its name without a schema means another table than before.
        UnwatchableTable: it has no primary key and the file names no key, or it is in the file twice.
    """
    known = {one.table: one for one in watching.candidates(conn)}
    steps: dict[str, TableStep] = {}
    for entry in wanted:
        name = full_name(conn, entry.name, command="jobhooks table watch")
        check_is_not_another(conn, entry.name, name)
        if name in steps:
            raise UnwatchableTable(f"the table {name} is in the file twice")
        if name not in known:
            raise UnknownTable(f"{name} belongs to the server or to jobhooks, or is not a table")
        steps[name] = _step(known[name], entry)
    others = [one.table for one in known.values() if one.watched and one.table not in steps]
    return TablePlan([step for step in steps.values() if step.outcome is not Outcome.UNCHANGED], others)


def differences(step: TableStep) -> list[Difference]:
    """The options of a table that differ; for a new one, those that differ from the defaults."""
    before = step.before if step.outcome is Outcome.CHANGED and step.before is not None else Watching([])
    names = [field.name for field in fields(Watching)]
    return [
        Difference(name, getattr(before, name), getattr(step.wanted, name))
        for name in names
        if getattr(before, name) != getattr(step.wanted, name)
    ]


def pretend(conn: SyncConnection, plan: TablePlan) -> None:
    """Note the tables as watched, for a trial that is rolled back: hooks need that, and nothing is locked for it.

    Raises:
        UnwatchableTable: a table cannot be watched in this way.
    """
    for step in plan.steps:
        arguments = {
            "table": step.table,
            "key_columns": step.wanted.key,
            "exclude": step.wanted.exclude,
            "ignore": step.wanted.ignore,
        }
        call(conn, "check_watchable", **arguments)
        call(conn, "pretend_to_watch", **arguments)
    _set_parents(conn, plan)


def carry_out(conn: SyncConnection, plan: TablePlan, progress: Progress = no_progress) -> None:
    """Watch the tables, each in a separate transaction.

    Raises:
        Refused: a table could not be watched. The message says how many were.
    """
    refused: list[TableStep] = []
    with progress("watching", len(plan.steps)) as advance:
        for step in watching.carry_out(conn, plan.steps):
            refused += [step] if step.outcome is Outcome.REFUSED else []
            advance(1)
    if refused:
        first, done = refused[0], len(plan.steps) - len(refused)
        raise Refused(
            f"cannot watch {first.table}: {first.problem}. {done} of {len(plan.steps)} tables are watched as the file"
            " says, and no hook was changed",
            first.remedy,
        )
    _set_parents(conn, plan)


def _set_parents(conn: SyncConnection, plan: TablePlan) -> None:
    """Set the parents of the tables, which are all watched now; two tables can be the parents of each other."""
    for step in plan.steps:
        if step.wanted.parents != ([] if step.before is None else step.before.parents):
            call(conn, "set_parents", table=step.table, parents=parents_json(conn, step.wanted.parents))


def unwatch(conn: SyncConnection, names: Sequence[str]) -> None:
    """Stop watching tables, each in a separate transaction.

    Raises:
        Refused: a table is locked, or the role may not; those before it are no longer watched.
    """
    for name in names:
        tables.unwatch(conn, name)


def _step(table: Candidate, entry: TableEntry) -> TableStep:
    key = table.primary_key if entry.key is None else entry.key
    if table.root is not None:
        raise UnwatchableTable(f"cannot watch {table.table}: it is a partition", f"name {table.root} instead")
    if key is None:
        remedy = "key = [...] for the table in the file; or key = [], for a table without a key"
        raise UnwatchableTable(f"cannot watch {table.table}: it has no primary key", remedy)
    parents = listed_parents(entry.parents, [] if table.former is None else table.former.parents)
    wanted = Watching(key, entry.always, entry.keep_lastval, entry.exclude, entry.ignore, parents)
    outcome = Outcome.CHANGED if table.watched else Outcome.WATCHED
    if table.watched and wanted == table.former:
        outcome = Outcome.UNCHANGED
    return TableStep(table.table, outcome, table.former, wanted)
