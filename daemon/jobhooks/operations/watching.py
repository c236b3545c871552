"""Plans the watching of many tables, and carries it out: each in a separate transaction, with one short lock."""

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from enum import Enum

from jobhooks.errors import LockNotAvailable, Refused, WrongUsage
from jobhooks.operations.lookup.nearest_names import suggestion
from jobhooks.operations.lookup.table_names import full_name, shell_quoted
from jobhooks.operations.lookup.table_patterns import TablePattern, is_pattern, table_pattern
from jobhooks.store.connections import SyncConnection, call
from jobhooks.store.locking import ATTEMPTS, PAUSE

WATCH = "jobhooks table watch"


class Outcome(Enum):
    """The effect of watching on one table of many."""

    WATCHED = "watched"
    CHANGED = "changed"
    UNCHANGED = "unchanged"
    REFUSED = "refused"


@dataclass(frozen=True)
class WatchOptions:
    """Options for many tables. They add to those that a table has; a column applies to the tables that have it."""

    keyless: bool = False  # for tables without a primary key; the others have theirs
    always: bool = False
    exclude: Sequence[str] = ()
    ignore: Sequence[str] = ()
    allow_casts: bool = False
    keep_lastval: bool | None = None


@dataclass(frozen=True)
class Watching:
    """How a table is watched. An empty ``key``: without one, so that its changes identify no object.

    ``parents``: tables that its changes also update, each as ``schema.table=column,column``.
    """

    key: list[str]
    always: bool = False
    keep_lastval: bool | None = None
    exclude: list[str] = field(default_factory=list[str])
    ignore: list[str] = field(default_factory=list[str])
    parents: list[str] = field(default_factory=list[str])


@dataclass(frozen=True)
class Candidate:
    """A table of the database. ``root``: of a partition; ``former``: how it is watched now, or was."""

    table: str
    schema: str
    name: str
    is_visible: bool  # without its schema, by the session's search_path
    is_of_extension: bool
    root: str | None
    primary_key: list[str] | None
    columns: list[str]
    watched: bool
    former: Watching | None


@dataclass(frozen=True)
class TableStep:
    """The planned or finished step of a table. ``problem`` and ``remedy``: why it is refused."""

    table: str
    outcome: Outcome
    before: Watching | None
    wanted: Watching
    problem: str | None = None
    remedy: str | None = None


@dataclass(frozen=True)
class WatchPlan:
    """The steps by table; and the patterns of ``--except`` that match no table."""

    steps: list[TableStep]
    unused_exceptions: list[str]


def candidates(conn: SyncConnection) -> list[Candidate]:
    """The tables of the database that can be watched, judging by their names and kinds."""
    found: list[Candidate] = []
    for row in call(conn, "tables_to_watch"):
        *facts, watched, key, always, keep_lastval, exclude, ignore, parents = row
        former = None if key is None else Watching(key, always, keep_lastval, exclude, ignore, parents)
        found.append(Candidate(*facts, watched=bool(watched), former=former))
    return found


def plan(conn: SyncConnection, names: Sequence[str], excepted: Sequence[str], options: WatchOptions) -> WatchPlan:
    """Plan to watch the tables of these names and patterns.

    Raises:
        UnknownTable: a name means no table.
        Refused: a pattern matches no table, or no table has a column that the user excludes or ignores.
    """
    known = candidates(conn)
    named = {full_name(conn, name, command=WATCH) for name in names if not is_pattern(name)}
    chosen = [one for one in known if one.table in named]
    if missing := named - {one.table for one in chosen}:
        raise Refused(f"cannot watch {min(missing)}: it belongs to the server or to jobhooks, or is not a table")
    for name in filter(is_pattern, names):
        chosen += _matching(known, name)
    exceptions = [(text, table_pattern(text)) for text in excepted]
    left = sorted(
        {one.table: one for one in chosen if not any(_is_matched(one, pattern) for _, pattern in exceptions)}.values(),
        key=lambda one: one.table,
    )
    _check_columns(left, options)
    return WatchPlan(
        [step(one, options) for one in left if not _is_covered(one, left)],
        [text for text, pattern in exceptions if not any(_is_matched(one, pattern) for one in known)],
    )


def step(table: Candidate, options: WatchOptions) -> TableStep:
    """Plan one table of many."""
    former = table.former or Watching([])
    key = _key(table, keyless=options.keyless)
    wanted = Watching(
        key or [],
        options.always or former.always,
        former.keep_lastval if options.keep_lastval is None else options.keep_lastval,
        _added(former.exclude, options.exclude, table.columns),
        _added(former.ignore, options.ignore, table.columns),
        former.parents,
    )
    problem, remedy = _refusal(table, key, wanted.exclude)
    if problem is not None:
        return TableStep(table.table, Outcome.REFUSED, table.former, wanted, problem, remedy)
    if table.watched and wanted == table.former:
        return TableStep(table.table, Outcome.UNCHANGED, table.former, wanted)
    return TableStep(table.table, Outcome.CHANGED if table.watched else Outcome.WATCHED, table.former, wanted)


def carry_out(conn: SyncConnection, steps: Sequence[TableStep], *, allow_casts: bool = False) -> Iterator[TableStep]:
    """Watch the tables of the steps, and yield each step when it is done, or refused for a reason unknown to the plan.

    Their parents stay as they are: these must be watched first.

    Tables that another session has locked come last: they are tried again after the others.
    """
    left = list(steps)
    for attempt in range(1, ATTEMPTS + 1):
        locked: list[TableStep] = []
        for each in left:
            if each.outcome in (Outcome.REFUSED, Outcome.UNCHANGED):
                yield each
                continue
            try:
                _watch(conn, each, allow_casts=allow_casts)
            except LockNotAvailable as exc:
                if attempt < ATTEMPTS:
                    locked.append(each)
                    continue
                yield refusal(each, exc)
            except Refused as exc:
                yield refusal(each, exc)
            else:
                yield each
        if not (left := locked):
            return
        time.sleep(PAUSE)


def refusal(failed: TableStep, error: Refused) -> TableStep:
    """The step of a table that the database refused to watch."""
    problem = error.message.removeprefix(f"cannot watch {failed.table}: ")
    return replace(failed, outcome=Outcome.REFUSED, problem=problem, remedy=error.remedy)


def _watch(conn: SyncConnection, one: TableStep, *, allow_casts: bool) -> None:
    with conn.transaction():
        call(conn, "set_lock_timeout")
        call(
            conn,
            "watch",
            table=one.table,
            key_columns=one.wanted.key,
            keyless=not one.wanted.key,
            always=one.wanted.always,
            exclude=one.wanted.exclude,
            ignore=one.wanted.ignore,
            allow_casts=allow_casts,
            keep_lastval=one.wanted.keep_lastval,
            parents=None,
        )


def _matching(known: Sequence[Candidate], name: str) -> list[Candidate]:
    """The tables of a pattern. Without a schema: those of search_path, or else those of any schema."""
    pattern = table_pattern(name)
    if not pattern.table.exact:
        raise WrongUsage(f"not a pattern for tables: {name}", f"{WATCH} 'SCHEMA.*'")
    found = [one for one in known if _is_matched(one, pattern) and not one.is_of_extension]
    if pattern.schema is None:
        found = [one for one in found if one.is_visible] or found
    if not found:
        raise Refused(f"no table matches {name}", r"\dt *.* in psql, which lists the tables of this database")
    return found


def _is_matched(one: Candidate, pattern: TablePattern) -> bool:
    return pattern.matches(one.schema, one.name)


def _is_covered(one: Candidate, chosen: Sequence[Candidate]) -> bool:
    """Whether it is a partition of a table that is among them."""
    return one.root is not None and any(other.table == one.root for other in chosen)


def _key(table: Candidate, *, keyless: bool) -> list[str] | None:
    """The watched key of a table, now or earlier, if it has these columns; otherwise its primary key."""
    former = table.former
    was_keyless = former is not None and not former.key
    if former is not None and {*former.key} <= {*table.columns} and (former.key or table.watched):
        return former.key
    return [] if table.primary_key is None and (keyless or was_keyless) else table.primary_key


def _refusal(table: Candidate, key: list[str] | None, exclude: Sequence[str]) -> tuple[str | None, str | None]:
    command = f"{WATCH} {shell_quoted(table.root or table.table)}"
    if table.root is not None:
        return "it is a partition", f"{command}, which covers all its partitions"
    if key is None:
        return "it has no primary key", f"{command} --key COLUMN, or --keyless"
    if excluded := [column for column in key if column in exclude]:
        return f"its key column {excluded[0]} cannot be excluded", "leave that column out of --exclude"
    return None, None


def _added(former: Sequence[str], more: Sequence[str], columns: Sequence[str]) -> list[str]:
    return list(dict.fromkeys([*former, *(name for name in more if name in columns)]))


def _check_columns(chosen: Sequence[Candidate], options: WatchOptions) -> None:
    known = {column for one in chosen for column in one.columns}
    for name in (*options.exclude, *options.ignore):
        if chosen and name not in known:
            raise Refused(f"none of these {len(chosen)} tables has a column {name}{suggestion(name, known)}")
